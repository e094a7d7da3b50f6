"""``python -m spacy lstm-ner convert``"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import spacy
import typer
from spacy.tokens import Doc, DocBin
from wasabi import msg

from ..data.reader import ReadReport, read_docs
from ..files import write_atomically
from .app import app

_ATTRIBUTES = ["SENT_START", "ENT_IOB", "ENT_TYPE"]


@app.command("convert")
def convert_cli(
    input_path: Annotated[Path, typer.Argument(metavar="INPUT", help="Annotated file, or a folder of them")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write, ending in .spacy")],
    format: Annotated[str, typer.Option("--format", "-f", help="conll, csv, inline, or auto")] = "auto",
    n_sents: Annotated[
        int, typer.Option("--n-sents", "-n", help="Sentences per doc; 0: whole documents if marked")
    ] = 0,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the text, for the tokenizer")] = "en",
    start: Annotated[float, typer.Option("--from", help="Begin at this fraction of a file's sentences")] = 0.0,
    stop: Annotated[float, typer.Option("--to", help="Stop at this fraction of a file's sentences")] = 1.0,
) -> None:
    """Turn annotated text into spaCy's binary format, and say what was read.

    The output replaces an older file only when all of it is written.
    """
    if output_path.suffix != ".spacy":
        msg.fail(f"Expected an output file that ends in .spacy, found {output_path}", exits=1)
    report = ReadReport()
    try:
        nlp = spacy.blank(lang)
        docs = read_docs(input_path, nlp, format, n_sents, (start, stop), report)
        data = DocBin(attrs=_ATTRIBUTES, store_user_data=False, docs=_with_progress(docs))
        write_atomically(output_path, data.to_bytes())
    except FileNotFoundError as error:
        msg.fail("Cannot find the input", error, exits=1)
    except (ValueError, OSError, ImportError) as error:
        msg.fail("Cannot convert", error, exits=1)
    msg.good(f"{report.docs} docs written to {output_path}")
    msg.table(report_rows(report), divider=True, header=("Read", str(input_path)))


def report_rows(report: ReadReport) -> list[tuple[str, str]]:
    """The rows of the table that `convert` prints."""
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
    ]


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(sorted(counts))


def _with_progress(docs: Iterable[Doc]) -> Iterator[Doc]:
    """Pass docs on, and show how many went by; on standard error, so that the report can be piped."""
    with typer.progressbar(docs, label="Reading", show_pos=True, file=sys.stderr) as passing:
        yield from passing
