"""Write annotated texts in any format that can be written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Optional

from spacy.language import Language
from spacy.tokens import Doc

from ..files import replaced_file, replaced_folder
from .annotated_file import Record
from .corpora import write_docs
from .formats import REGISTRY, WRITTEN
from .formats.base import Writing
from .formats.spacy_binary import record_of
from .reader import ReadReport
from .span_policy import SpanPolicy, make_doc

_TOKENS_IN_PART = 500_000
_SUFFIXES = {
    ".spacy": "spacy",
    ".parquet": "parquet",
    ".csv": "csv-offsets",
    ".tsv": "csv-offsets",
    ".conll": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".bio": "conll",
}


def output_format(path: Path, format: Optional[str]) -> str:
    """Find the format to write.

    Args:
        path (Path): The file to write.
        format (Optional[str]): The format that the user gives; None to go by the suffix.

    Returns:
        str: One of `WRITTEN`.

    Raises:
        ValueError: If the format cannot be written, or the suffix stands for none.
    """
    if format is None and path.suffix not in _SUFFIXES:
        raise ValueError(
            f"Expected an output file that ends in .spacy, or a format with --output-format ({', '.join(WRITTEN)}), "
            f"found {path}"
        )
    found = _SUFFIXES[path.suffix] if format is None else format
    if found not in WRITTEN:
        raise ValueError(f"expected an output format among {', '.join(WRITTEN)}, found {found!r}")
    return found


def write_annotated(
    records: Iterable[Record],
    path: Path,
    format: str,
    nlp: Language,
    policy: SpanPolicy,
    report: ReadReport,
    model: str = "",
    check: Callable[[Doc], None] = lambda doc: None,
    allow_empty: bool = False,
) -> None:
    """Write records. An existing file is replaced when all are written.

    Args:
        records (Iterable[Record]): The records. They are read once. Only a single `.spacy` file needs
            all of them in memory.
        path (Path): The file; for brat, the folder; for the format spacy, a name without the suffix `.spacy` is a
            folder of several files.
        format (str): One of `WRITTEN`.
        nlp (Language): The pipeline, whose tokenizer is used where the records have no words.
        policy (SpanPolicy): What to do with spans that cannot be entities, in formats with tokens.
        report (ReadReport): Counts what is written, and what the format cannot hold.
        model (str): The name and version of the pipeline that predicted the entities; empty for a corpus.
        check (Callable[[Doc], None]): Called with each doc, in formats with tokens.
        allow_empty (bool): Whether to write a corpus without any entity.

    Raises:
        ValueError: If there is no entity, and `allow_empty` is false. Nothing is written.
    """

    def docs() -> Iterator[Doc]:
        for record in _counted(records, path, report, allow_empty):
            doc = make_doc(nlp, record, policy, report.problems)
            report.add_doc(doc)
            check(doc)
            yield doc

    if format == "spacy" and path.suffix == ".spacy":
        write_docs(docs(), path)
        return
    if format == "spacy":
        _check_folder(path, (".spacy",))
        with replaced_folder(path) as folder:
            for number, part in enumerate(_parts(docs()), 1):
                write_docs(part, folder / f"{number:04d}.spacy")
        return
    write = REGISTRY[format].write
    assert write is not None
    writing = Writing(model, report.problems.note)
    if REGISTRY[format].flat:
        found: Iterable[Record] = (
            record_of(doc, f"{path}:{number}", incorrect=policy.incorrect_spans_key)
            for number, doc in enumerate(docs(), 1)
        )
    else:
        found = _whole(_counted(records, path, report, allow_empty), report)
    if format == "brat":
        _check_folder(path, (".txt", ".ann"))
        with replaced_folder(path) as folder:
            write(found, folder, writing)
    else:
        with replaced_file(path) as temporary:
            write(found, temporary, writing)


def _counted(records: Iterable[Record], path: Path, report: ReadReport, allow_empty: bool) -> Iterator[Record]:
    """Pass records on, and raise an error after the last one if there was no entity in them."""
    found = 0
    for record in records:
        found += len(record.spans) + len(record.rejected)
        yield record
    if not found and not allow_empty:
        raise ValueError(
            f"{path}: expected entities, found none in {report.sentences} texts. If this is right, use --allow-empty; "
            "else give the format with --format, and the columns or fields with --columns"
        )


def _whole(records: Iterable[Record], report: ReadReport) -> Iterator[Record]:
    """Pass records on, without spans that are outside of the text or empty, which no format can hold."""
    for record in records:
        kept = []
        for span in record.spans:
            if not 0 <= span.start <= span.end <= len(record.text):
                report.problems.add("outside", record, span)
            elif span.start == span.end:
                report.problems.add("empty", record, span)
            else:
                kept.append(span)
        whole = replace(record, spans=kept)
        report.add_record(whole)
        yield whole


def _parts(docs: Iterator[Doc]) -> Iterator[list[Doc]]:
    """Lists of docs that need little memory."""
    part: list[Doc] = []
    tokens = 0
    for doc in docs:
        part.append(doc)
        tokens += len(doc)
        if tokens >= _TOKENS_IN_PART:
            yield part
            part, tokens = [], 0
    if part:
        yield part


def _check_folder(path: Path, suffixes: tuple[str, ...]) -> None:
    """Check that a folder has only files of its format, since it is replaced."""
    others = [name for name in path.iterdir() if name.suffix not in suffixes] if path.is_dir() else []
    if others:
        raise ValueError(
            f"{path}: expected a new folder, or one with {' and '.join(suffixes)} files, found {others[0]}"
        )
