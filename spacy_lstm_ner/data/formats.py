"""The formats of annotated text, and how one is recognized.

conll   Columns, see `columns`.
csv     A table like `ner_dataset.csv`, see `table`.
inline  Text with `[Sharon](per)`, see `inline`.

To add a format, write a function that appends the sentences of a text to an `AnnotatedFile` in a file of its own, and
name it in `_READERS`.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from .annotated_file import AnnotatedFile, CorpusError
from .columns import columns_of, is_tag, read_columns
from .inline import read_inline
from .table import TABLE_COLUMNS, read_table

_SUFFIXES = {
    ".csv": "csv",
    ".conll": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".bio": "conll",
    ".tsv": "conll",
}
_NO_ANNOTATED_TEXT = (".json", ".jsonl", ".spacy")
# Enough lines to tell columns from prose, even if some of them are broken.
_LINES_TO_GUESS = 50


def read_file(path: Path, format: str = "auto") -> AnnotatedFile:
    """Read an annotated file.

    The whole file is read at once, since only all of its sentences show which scheme its tags follow.

    Args:
        path (Path): The file.
        format (str): One of `FORMATS`, or "auto" to go by the suffix of the name or else by the content.

    Returns:
        AnnotatedFile: The sentences, at least one.

    Raises:
        CorpusError: At the first place that breaks the format.
        ValueError: If the format is unknown.
    """
    if format not in (*FORMATS, "auto"):
        raise ValueError(f"expected a format among auto, {', '.join(FORMATS)}, found {format!r}")
    text, encoding = _decode(path.read_bytes())
    lines = io.StringIO(text, newline=None).read().split("\n")
    found = guess_format(path, lines) if format == "auto" else format
    file = AnnotatedFile(path, found, encoding, [])
    _READERS[found](file, text, lines)
    if not file.sentences:
        raise CorpusError(path, 1, "expected at least one sentence, found none", lines[0])
    return file


def guess_format(path: Path, lines: Sequence[str]) -> str:
    """Guess the format of a file from its suffix, or else from most of its first lines.

    Args:
        path (Path): The name of the file.
        lines (Sequence[str]): Its lines.

    Returns:
        str: One of `FORMATS`.

    Raises:
        ValueError: If the suffix is that of another format.
    """
    if path.suffix.lower() in _NO_ANNOTATED_TEXT:
        raise ValueError(
            f"{path}: expected annotated text, found a {path.suffix} file. A .spacy file needs no conversion. Convert "
            "JSON and JSONL with a script that writes a DocBin, or name the format of the file"
        )
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    sample = [line for line in lines if line.strip() and not line.startswith("# ")][:_LINES_TO_GUESS]
    if sample and sample[0].startswith(TABLE_COLUMNS[0]):
        return "csv"
    tagged = sum(line.startswith("-DOCSTART-") or is_tag(columns_of(line)[-1]) for line in sample)
    return "conll" if 2 * tagged > len(sample) else "inline"


def _decode(raw: bytes) -> tuple[str, str]:
    """Text and encoding of a file: UTF-8, with or without byte order mark, if all of it is UTF-8, else latin-1."""
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


_READERS: dict[str, Callable[[AnnotatedFile, str, Sequence[str]], None]] = {
    "conll": read_columns,
    "csv": read_table,
    "inline": read_inline,
}
"""What adds the sentences of a file, by format; it gets the file's text, and its lines without their ends."""


FORMATS = tuple(_READERS)
"""The names of the formats."""
