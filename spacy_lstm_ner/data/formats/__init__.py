"""The formats of annotated text: one file for each, and how they are recognized.

To add a format, write a file with a `FORMAT` (see `base`) and add it to `_ALL`.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from ..annotated_file import NO_OPTIONS, AnnotatedFile, CorpusError, ReadOptions
from . import (
    brat,
    conll,
    conll2012,
    conllu,
    csv_offsets,
    csv_words,
    dataturks,
    doccano,
    huggingface,
    inline,
    json_spans,
    label_studio,
    parquet,
    prodigy,
    pubtator,
    spacy_binary,
    spacy_json,
    train_data,
    webanno,
    word_tag,
)
from .base import Format, Head

_ALL = (
    conll,
    conllu,
    conll2012,
    word_tag,
    csv_words,
    csv_offsets,
    inline,
    doccano,
    prodigy,
    label_studio,
    dataturks,
    train_data,
    spacy_json,
    huggingface,
    json_spans,
    brat,
    pubtator,
    webanno,
    parquet,
    spacy_binary,
)
REGISTRY: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in _ALL}
"""The formats by name."""
FORMATS = tuple(REGISTRY)
"""The names of the formats."""
WRITTEN = (*(name for name, format in REGISTRY.items() if format.write), "spacy")
"""The names of the formats that can be written."""
_CERTAIN, _LIKELY = 0.9, 0.5
_BINARY = {".spacy": "spacy", ".parquet": "parquet", ".arrow": "parquet"}


def open_file(path: Path, format: str = "auto", options: ReadOptions = NO_OPTIONS) -> AnnotatedFile:
    """Open an annotated file and read its first record.

    Args:
        path (Path): The file.
        format (str): One of `FORMATS`, or "auto" to recognize it.
        options (ReadOptions): What the file does not say of itself.

    Returns:
        AnnotatedFile: The file. Its other records are read when they are needed.

    Raises:
        CorpusError: At the first place that breaks the format.
        ValueError: If the format is unknown.
    """
    if format not in (*FORMATS, "auto"):
        raise ValueError(f"expected a format among auto, {', '.join(FORMATS)}, found {format!r}")
    found = recognize(path, options) if format == "auto" else format
    file = AnnotatedFile(path, found, options)
    records = REGISTRY[found].read(file)
    first = next(records, None)
    if first is None:
        skipped = ", ".join(f"{count} {kind}" for kind, count in file.skipped.items() if count)
        raise CorpusError(
            path, 1, "expected at least one sentence, found none" + f" ({skipped} skipped)" * bool(skipped), ""
        )
    file.sentences = chain([first], records)
    return file


def read_file(path: Path, format: str = "auto", options: ReadOptions = NO_OPTIONS) -> AnnotatedFile:
    """Read all of an annotated file; see `open_file`.

    Args:
        path (Path): The file.
        format (str): One of `FORMATS`, or "auto" to recognize it.
        options (ReadOptions): What the file does not say of itself.

    Returns:
        AnnotatedFile: The file with the list of its records, at least one.
    """
    file = open_file(path, format, options)
    file.sentences = list(file.sentences)
    return file


def recognize(path: Path, options: ReadOptions = NO_OPTIONS) -> str:
    """Recognize the format of a file.

    Args:
        path (Path): The file.
        options (ReadOptions): What the file does not say of itself.

    Returns:
        str: One of `FORMATS`.

    Raises:
        ValueError: If the file has none of the formats, or several of them.
    """
    if path.suffix.lower() in _BINARY:
        return _BINARY[path.suffix.lower()]
    return _recognize(Head.of(path, options.encoding))


def guess_format(path: Path, lines: Sequence[str]) -> str:
    """Recognize the format of lines.

    Args:
        path (Path): The name of their file.
        lines (Sequence[str]): The lines.

    Returns:
        str: One of `FORMATS`.

    Raises:
        ValueError: If the lines have none of the formats, or several of them.
    """
    return _recognize(Head(path, "\n".join(lines)))


def _recognize(head: Head) -> str:
    if not head.text.strip():
        return "inline"
    scores = {name: format.sniff(head) for name, format in REGISTRY.items()}
    best = sorted(scores, key=lambda name: -scores[name])
    top = scores[best[0]]
    by_suffix = next((name for name in FORMATS if head.path.suffix.lower() in REGISTRY[name].suffixes), None)
    if top < _CERTAIN and by_suffix and not (top >= _LIKELY and scores[by_suffix] == 0 and by_suffix == "brat"):
        return by_suffix if not head.items else _named(head, best, scores)
    return _named(head, best, scores)


def _named(head: Head, best: Sequence[str], scores: dict[str, float]) -> str:
    """The format with the best score, if there is one, and it is the only one."""
    top = scores[best[0]]
    likely = [name for name in best if scores[name] == top]
    if top >= _LIKELY and len(likely) == 1:
        return likely[0]
    if top >= _LIKELY:
        raise ValueError(f"{head.path}: expected one format, found {' and '.join(likely)}. Give one with --format")
    looked = "; ".join(f"{name} ({format.looks})" for name, format in REGISTRY.items() if not format.binary)
    nearest = f"{best[0]} comes nearest" if top else "none comes near"
    line = next(iter(head.lines), "")
    raise ValueError(
        f"{head.path}: expected annotated text in a known format, found {line[:80]!r}; {nearest}. Give the format with "
        f"--format, and columns or fields of other names with --columns. For text without any entity, give --format "
        f"inline. Looked for: {looked}"
    )
