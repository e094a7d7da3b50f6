"""The command `python -m spacy lstm-ner convert`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from wasabi import msg

from ..data.corpora import write_docs
from ..data.formats import FORMATS
from ..data.languages import blank_pipeline
from ..data.reader import ReadReport, read_docs
from ..data.tokenization import count_retokenized
from .app import app, exit_on_error


@app.command("convert")
def convert_cli(
    input_path: Annotated[Path, typer.Argument(metavar="INPUT", help="Annotated file, or a folder of annotated files")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write; must end in .spacy")],
    format: Annotated[
        str, typer.Option("--format", "-f", help=f"Format of the input: {', '.join(FORMATS)}, or auto to detect it")
    ] = "auto",
    n_sents: Annotated[
        int,
        typer.Option(
            "--n-sents",
            "-n",
            help="Sentences per doc. 0 makes a doc of each document, or of each sentence if no documents are marked",
        ),
    ] = 0,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the text, for the tokenizer")] = "en",
    start: Annotated[
        float, typer.Option("--from", help="Start at this fraction of each file's sentences, from 0 to 1")
    ] = 0.0,
    stop: Annotated[
        float, typer.Option("--to", help="Stop at this fraction of each file's sentences, from 0 to 1")
    ] = 1.0,
) -> None:
    """Convert annotated text to spaCy's binary format.

    Reads CoNLL columns (IOB1, IOB2, BILUO or IOBES tags), CSV files like ner_dataset.csv, and text with inline
    annotation. Prints what was read: the formats and tag schemes, the entities by label, repaired tags, entities that
    do not fit the tokens, and entities with other tokens than the tokenizer makes of the text. An existing output file
    is replaced only when the new one is complete.
    """
    if output_path.suffix != ".spacy":
        msg.fail(f"Expected an output file that ends in .spacy, found {output_path}", exits=1)
    report = ReadReport()
    with exit_on_error("Cannot convert", not_found="Cannot find the input"):
        nlp = blank_pipeline(lang)
        docs = read_docs(input_path, nlp, format, n_sents, (start, stop), report)
        write_docs(_with_progress(_checked(docs, nlp, report)), output_path)
    msg.good(f"{report.docs} docs written to {output_path}")
    msg.table(report_rows(report), divider=True, header=("Read", str(input_path)))


def report_rows(report: ReadReport) -> list[tuple[str, str]]:
    """List the rows of the table that the command prints.

    Args:
        report (ReadReport): What was read.

    Returns:
        list[tuple[str, str]]: A name and a value each.
    """
    entities = report.entities.most_common()
    return [
        ("Files", str(report.files)),
        ("Format", _names(report.formats)),
        ("Encoding", _names(report.encodings)),
        ("Scheme", _names(report.schemes)),
        ("Documents", str(report.documents)),
        ("Sentences", str(report.sentences)),
        ("Tokens", str(report.tokens)),
        ("Entities", str(report.entities.total())),
        *((f"  {label}", str(count)) for label, count in entities),
        ("Docs without entities", str(report.docs_without_entities)),
        ("Comment lines", str(report.comments)),
        ("Repaired tags", str(report.repaired.count)),
        *(("", place) for place in report.repaired.examples),
        ("Misaligned entities", str(report.misaligned.count)),
        *(("", place) for place in report.misaligned.examples),
        ("Retokenized entities", str(report.retokenized.count)),
        *(("", example) for example in report.retokenized.examples),
    ]


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(sorted(counts))


def _checked(docs: Iterable[Doc], nlp: Language, report: ReadReport) -> Iterator[Doc]:
    """Pass docs on, and count entities whose tokens are not those of the tokenizer."""
    for doc in docs:
        count_retokenized(Example(doc, doc), nlp.tokenizer, report.retokenized)
        yield doc


def _with_progress(docs: Iterable[Doc]) -> Iterator[Doc]:
    """Pass docs on and count them on standard error, so that the report can be piped."""
    with typer.progressbar(docs, label="Reading", show_pos=True, file=sys.stderr) as passing:
        yield from passing
