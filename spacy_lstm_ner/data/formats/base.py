"""What a format is, and the beginning of a file by which formats recognize it."""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Optional

from ..annotated_file import AnnotatedFile, Record
from ..encodings import find_encoding

_HEAD = 1 << 18
_LINES_TO_GUESS = 50


class Head:
    """The beginning of a file.

    Attributes:
        path (Path): The file.
        text (str): The beginning of its text; empty if it is no text.
        whole (bool): Whether this is all of the text.
    """

    def __init__(self, path: Path, text: str, whole: bool = True) -> None:
        self.path, self.text, self.whole = path, text, whole

    @classmethod
    def of(cls, path: Path, encoding: str = "") -> "Head":
        """Read the beginning of a file."""
        codec, _ = find_encoding(path, encoding)
        with path.open(encoding=codec) as file:
            text = file.read(_HEAD)
            return cls(path, text, not file.read(1))

    @cached_property
    def all_lines(self) -> list[str]:
        """The lines without their ends."""
        return io.StringIO(self.text, newline=None).read().split("\n")

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are neither empty nor comments."""
        lines = (line for line in self.all_lines if line.strip() and not line.startswith("# "))
        return [line for line, _ in zip(lines, range(_LINES_TO_GUESS), strict=False)]

    @cached_property
    def items(self) -> list[Any]:
        """The first JSON values: of the lines, or of the list that the file is."""
        text = self.text.lstrip()
        if text[:1] not in ("{", "["):
            return []
        if text[0] == "[" and not _is_value(text.split("\n", 1)[0]):
            text = text[1:].lstrip()
        found: list[Any] = []
        decoder = json.JSONDecoder()
        while len(found) < _LINES_TO_GUESS and text:
            try:
                value, end = decoder.raw_decode(text)
            except (ValueError, RecursionError):
                break
            found.append(value)
            text = text[end:].lstrip(" \t\r\n,")
        if not found and not self.whole:
            # Its first value is longer than the beginning.
            return Head(self.path, self.path.read_text("utf-8", "replace")).items
        # A file with one list in its only line.
        return found[0] if len(found) == 1 and isinstance(found[0], list) and not is_pair(found[0]) else found


def _is_value(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def is_pair(value: Any) -> bool:
    """Whether a JSON value is a text with a dict, as in spaCy's TRAIN_DATA."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


def no_text(head: Head) -> float:
    """For formats that are recognized by the suffix only."""
    return 0.0


@dataclass(frozen=True)
class Format:
    """A format of annotated text.

    Attributes:
        name (str): The name for `--format`.
        looks (str): What its files look like, for errors.
        sniff (Callable[[Head], float]): How sure it is that a text has this format, from 0 to 1.
        read (Callable[[AnnotatedFile], Iterator[Record]]): Yields the records of a file and notes its properties.
        write (Optional[Callable[[Iterable[Record], Path, Writing], None]]): Writes records to a file, or to an empty
            folder; None if it cannot.
        suffixes (tuple[str, ...]): Suffixes that stand for this format when the content is not clear.
        binary (bool): Whether the files are no text.
        folder (tuple[str, ...]): The suffixes of the files, if it is written as a folder with files for each text.
        tokens (bool): Whether it is written with tokens.
        flat (bool): Whether it can only hold entities that do not overlap and that consist of whole tokens.
    """

    name: str
    looks: str
    sniff: Callable[[Head], float]
    read: Callable[[AnnotatedFile], Iterator[Record]]
    write: Optional[Callable[[Iterable[Record], Path, "Writing"], None]] = None
    suffixes: tuple[str, ...] = ()
    binary: bool = False
    folder: tuple[str, ...] = ()
    tokens: bool = False
    flat: bool = False


@dataclass
class Writing:
    """What a writer is told, and what it tells.

    Attributes:
        model (str): The name and version of the pipeline that predicted the entities; empty for a corpus.
        lost (Callable[[str, str], None]): Called with the kind and the place of each thing that the format
            cannot hold.
    """

    model: str
    lost: Callable[[str, str], None]

    def note(self, record: Record, gaps: bool = False) -> None:
        """Note what a format with texts and entities only cannot hold; gaps: whether its entities may have them."""
        if record.missing or not record.complete:
            self.lost("parts without annotation, which look annotated now", record.place)
        for span in record.rejected:
            self.lost("spans that are known to be wrong", f"{record.place}: {span.label}")
        for span in record.spans:
            if span.parts and not gaps:
                self.lost("gaps in entities", f"{record.place}: {span.label}")


def named(records: Iterable[Record]) -> Iterator[tuple[str, Record]]:
    """Give each record a name for its file: its own one if it is new, or else a number."""
    names: set[str] = set()
    for number, record in enumerate(records, 1):
        name = re.sub(r"[^\w.-]", "_", record.name)
        name = name if name and name not in names else f"{number:06d}"
        names.add(name)
        yield name, record


def utf16_offsets(text: str) -> list[int]:
    """The number of UTF-16 code units before each character, and in the whole text."""
    return list(accumulate((1 + (ord(char) > 0xFFFF) for char in text), initial=0))
