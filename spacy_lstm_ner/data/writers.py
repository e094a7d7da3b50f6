"""Write annotated texts in any format that can be written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Optional

from spacy.language import Language
from spacy.tokens import Doc

from ..files import replaced_file, replaced_folder, write_atomically
from .annotated_file import Record
from .corpora import pack_docs
from .formats import REGISTRY, WRITTEN
from .formats.base import Writing
from .formats.spacy_binary import record_of
from .reader import ReadReport
from .span_policy import SpanPolicy, make_doc

_TOKENS_IN_PART = 2_000_000
_SUFFIXES = {
    ".spacy": "spacy",
    ".parquet": "parquet",
    **dict.fromkeys((".csv", ".tsv"), "csv-offsets"),
    **dict.fromkeys((".conll", ".iob", ".iob2", ".bio"), "conll"),
}


def output_format(path: Path, format: Optional[str], default: Optional[str] = None) -> str:
    """Find the format to write.

    Args:
        path (Path): The file to write.
        format (Optional[str]): The format that the user gives; None to go by the suffix.
        default (Optional[str]): The format if the suffix stands for none; None to raise an error.

    Returns:
        str: One of `WRITTEN`.

    Raises:
        ValueError: If the format cannot be written, or the suffix stands for none.
    """
    found = format or _SUFFIXES.get(path.suffix, default)
    if found is None:
        raise ValueError(
            f"Expected an output file that ends in .spacy, or a format with --output-format ({', '.join(WRITTEN)}), "
            f"found {path}"
        )
    if found not in WRITTEN:
        raise ValueError(f"expected an output format among {', '.join(WRITTEN)}, found {found!r}")
    return found


def check_target(path: Path, format: str) -> None:
    """Check that a file or folder can be written, before the work that leads to it.

    Args:
        path (Path): The file or the folder.
        format (str): One of `WRITTEN`.

    Raises:
        ValueError: If it is a folder with other files, or a folder where the format needs a file.
    """
    if REGISTRY[format].folder:
        _check_folder(path, REGISTRY[format].folder)
    elif path.is_dir() and format != "spacy":
        raise ValueError(f"{path}: expected the name of a file for the format {format}, found a folder")


def name_and_version(nlp: Language) -> str:
    """Name a pipeline for tools that show what predicted an entity.

    Args:
        nlp (Language): The pipeline.

    Returns:
        str: Its name and its version.
    """
    return f"{nlp.meta['lang']}_{nlp.meta['name']} {nlp.meta['version']}"


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
        records (Iterable[Record]): The records. They are read once, and are not all in memory.
        path (Path): The file, or the folder for brat and webanno. For the format spacy, a name without the suffix
            `.spacy` is a folder of files; and so is one with it if there are more than 2,000,000 tokens.
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

    if format == "spacy":
        _write_parts(docs(), path)
        return
    kind = REGISTRY[format]
    assert kind.write is not None
    writing = Writing(model, report.problems.note)
    if kind.flat:
        found: Iterable[Record] = (
            record_of(doc, f"{path}:{number}", incorrect=policy.incorrect_spans_key)
            for number, doc in enumerate(docs(), 1)
        )
    else:
        tokenize = nlp.tokenizer if kind.tokens else None
        found = _whole(_counted(records, path, report, allow_empty), report, tokenize)
    if kind.folder:
        _check_folder(path, kind.folder)
    with replaced_folder(path) if kind.folder else replaced_file(path) as temporary:
        kind.write(found, temporary, writing)


def _write_parts(docs: Iterator[Doc], path: Path) -> None:
    """Write docs to a file; or to a folder of files if there are many, or if the name does not end in .spacy."""
    single = path.suffix == ".spacy" and not path.is_dir()
    if not single:
        _check_folder(path, (".spacy",))
    data, following = pack_docs(_part(docs)), next(docs, None)
    if single and following is None:
        write_atomically(path, data)
        return
    with replaced_folder(path) as folder:
        for number in count(1):
            (folder / f"{number:04d}.spacy").write_bytes(data)
            if following is None:
                return
            data, following = pack_docs(_part(chain([following], docs))), next(docs, None)


def _part(docs: Iterable[Doc]) -> Iterator[Doc]:
    """The first docs, as many as a file should have, so that it needs little memory."""
    tokens = 0
    for doc in docs:
        yield doc
        tokens += len(doc)
        if tokens >= _TOKENS_IN_PART:
            return


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


def _whole(records: Iterable[Record], report: ReadReport, tokenize: Optional[Callable[[str], Doc]]) -> Iterator[Record]:
    """Pass records on, without spans that no format can hold: outside of the text, or empty. Give them tokens."""
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
        if tokenize is not None and record.words is None:
            doc = tokenize(record.text)
            whole.words, whole.spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
        report.add_record(whole)
        yield whole


def _check_folder(path: Path, suffixes: tuple[str, ...]) -> None:
    """Check that a folder has only files of its format, since it is replaced."""
    others = [name for name in path.iterdir() if name.suffix not in suffixes] if path.is_dir() else []
    if others:
        raise ValueError(
            f"{path}: expected a new folder, or one with {' and '.join(suffixes)} files, found {others[0]}"
        )
