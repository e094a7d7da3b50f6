"""The command `python -m spacy lstm-ner convert`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model
from wasabi import msg

from ..data.annotated_file import ReadOptions, Record
from ..data.formats import WRITTEN
from ..data.formats.spacy_binary import record_of
from ..data.languages import blank_pipeline
from ..data.reader import ReadReport, read_records, read_texts
from ..data.span_policy import MISALIGNED, OVERLAP, SpanPolicy
from ..data.tokenization import count_retokenized
from ..data.writers import name_and_version, output_format, write_annotated
from ..files import write_atomically
from ..pipeline.component import find_component
from .app import app, exit_on_error, warn_of_losses
from .options import ColumnsOption, EncodingOption, FormatOption, parse_columns
from .progress import progress


@app.command("convert")
def convert_cli(
    input_path: Annotated[Path, typer.Argument(metavar="INPUT", help="Annotated file, or a folder of annotated files")],
    output_path: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", help="File to write; a folder for brat, or for parts in the format spacy"),
    ],
    format: FormatOption = "auto",
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
    encoding: EncodingOption = "",
    columns: ColumnsOption = "",
    names: Annotated[
        str, typer.Option("--names", help="The tags in order, such as O,B-PER,I-PER, if the data has numbers")
    ] = "",
    overlap: Annotated[
        Optional[str],
        typer.Option(
            "--overlap",
            help=f"What to do with entities that overlap: {', '.join(OVERLAP)}. By default, longest, with exit code 1",
        ),
    ] = None,
    misaligned: Annotated[
        Optional[str],
        typer.Option(
            "--misaligned",
            help=f"What to do with entities that are not tokens: {', '.join(MISALIGNED)}. By default, missing, with "
            "exit code 1",
        ),
    ] = None,
    incorrect_spans_key: Annotated[
        str, typer.Option("--incorrect-spans-key", help="Group of doc.spans for spans that are known to be wrong")
    ] = "incorrect_spans",
    out_format: Annotated[
        Optional[str],
        typer.Option("--output-format", "-o", help=f"Format to write: {', '.join(WRITTEN)}; by default by the suffix"),
    ] = None,
    model: Annotated[
        Optional[str],
        typer.Option("--model", "-m", help="Pipeline that annotates the texts of INPUT: a folder or a package"),
    ] = None,
    pipe: Annotated[
        Optional[str],
        typer.Option("--pipe", "-p", help="Name of the component of --model; by default, the first lstm_ner"),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Exit code 0 also if there are no entities, or some are lost")
    ] = False,
) -> None:
    """Convert annotated text from any format to any other, by default to spaCy's binary format.

    Recognizes the format and prints what was read: tag schemes, entities by label, repaired tags, entities that do not
    fit the tokens, and entities with other tokens than the tokenizer makes of the text. Entities that are lost or
    changed are listed in OUTPUT.problems.jsonl. If there are none, or some are lost that no option gives up, the exit
    code is 1. An existing output file is replaced only when the new one is complete.
    """
    listed: list[str] = []
    report = ReadReport()
    report.problems.listing = lambda problem: listed.append(json.dumps(problem, ensure_ascii=False) + "\n")
    listing = output_path.with_name(output_path.name + ".problems.jsonl")
    with exit_on_error("Cannot convert", not_found="Cannot find the input"):
        written = output_format(output_path, out_format)
        policy = SpanPolicy(overlap or "longest", misaligned or "missing", incorrect_spans_key)
        policy.check()
        options = ReadOptions(encoding, parse_columns(columns), [name for name in names.split(",") if name])
        if model is None:
            nlp, version = blank_pipeline(lang), ""
            records = read_records(input_path, format, n_sents, (start, stop), report, options)
        else:
            nlp = load_model(model)
            version = name_and_version(nlp)
            records = _predicted(nlp, pipe, input_path, read_texts(input_path, format, report, options))

        def check(doc: Doc) -> None:
            count_retokenized(Example(doc, doc), nlp.tokenizer, report.retokenized)

        empty = allow_empty or model is not None
        with progress("Reading", total=_size(input_path), unit="B") as bar:
            records = _shown(records, bar, report)
            write_annotated(records, output_path, written, nlp, policy, report, version, check, empty)
        if listed:
            write_atomically(listing, "".join(listed).encode("utf-8", "surrogatepass"))
        else:
            listing.unlink(missing_ok=True)
    _print(report, input_path, output_path, listing if listed else None)
    accepted = {"overlapping"} if overlap else set()
    accepted |= {"misaligned", "discontinuous"} if misaligned else set()
    lost = report.problems.lost(except_for=accepted)
    if lost and not allow_empty:
        msg.fail(
            f"{lost} entities were lost",
            f"They are listed in {listing}. Choose a policy with --overlap or --misaligned, or accept this with "
            "--allow-empty",
            exits=1,
        )


def _predicted(nlp: Language, pipe: Optional[str], path: Path, texts: Iterable[str]) -> Iterator[Record]:
    """Texts with the entities that a pipeline predicts, and their probabilities."""
    attr = find_component(nlp.pipeline, pipe).cfg["score_attr"]
    for number, doc in enumerate(nlp.pipe(texts), 1):
        yield record_of(doc, f"{path}:{number}", attr)


def _print(report: ReadReport, input_path: Path, output_path: Path, listing: Optional[Path]) -> None:
    message = f"{report.docs} docs written to {output_path}"
    msg.warn(message) if report.problems.lost() else msg.good(message)
    msg.table(report_rows(report), divider=True, header=("Read", str(input_path)))
    warn_of_losses(report, except_for=("misaligned",))
    if listing is not None:
        msg.info(f"All of these are listed in {listing}")
    if report.skipped_files.count:
        msg.warn(f"{report.skipped_files.count} files were not read: {report.skipped_files}")
    if report.odd_labels.count:
        msg.warn(f"{report.odd_labels.count} entities have a label that looks like a link: {report.odd_labels}")
    if "latin-1" in report.encodings:
        msg.warn("The text is not UTF-8 and was read as Latin-1. If it has another encoding, give it with --encoding")


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
        *((f"Skipped: {kind}", str(count)) for kind, count in report.skipped.items()),
        ("Repaired tags", str(report.repaired.count)),
        *(("", place) for place in report.repaired.examples),
        ("Misaligned entities", str(report.misaligned.count)),
        *(("", place) for place in report.misaligned.examples),
        ("Retokenized entities", str(report.retokenized.count)),
        *(("", example) for example in report.retokenized.examples),
    ]


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(sorted(counts))


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _shown(records: Iterable[Record], bar: Any, report: ReadReport) -> Iterator[Record]:
    """Pass records on, and show how many bytes were read."""
    for record in records:
        bar.update(report.position - bar.n)
        yield record
