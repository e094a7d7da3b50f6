"""An annotated file as a sequence of records, whatever its format is, and the entities in them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple, Optional

from .encodings import find_encoding, read_text

_LONGEST_QUOTE = 160


class CorpusError(ValueError):
    """Annotated text that cannot be read.

    Attributes:
        path (Path): The file.
        line (int): The number of the line, from 1.
        problem (str): What was expected there, and what was found.
        text (str): The line.
    """

    def __init__(self, path: Path, line: int, problem: str, text: str) -> None:
        super().__init__(path, line, problem, text)
        self.path, self.line, self.problem, self.text = path, line, problem, text

    def __str__(self) -> str:
        quote = self.text if len(self.text) <= _LONGEST_QUOTE else self.text[:_LONGEST_QUOTE] + "…"
        return f"{self.path}:{self.line}: {self.problem}: {quote!r}"


class Entity(NamedTuple):
    """An entity in the text of a record.

    Attributes:
        start (int): Its first character.
        end (int): The character after its last one.
        label (str): Its label.
        score (Optional[float]): Its probability, if the format has one.
        text (Optional[str]): What the file says that its text is; None if it does not say.
        parts (tuple[tuple[int, int], ...]): The limits of its pieces, if it has gaps.
    """

    start: int
    end: int
    label: str
    score: Optional[float] = None
    text: Optional[str] = None
    parts: tuple[tuple[int, int], ...] = ()

    def moved(self, offset: int) -> "Entity":
        """The same entity in a text that has `offset` more characters before it."""
        parts = tuple((start + offset, end + offset) for start, end in self.parts)
        return self._replace(start=self.start + offset, end=self.end + offset, parts=parts)


@dataclass
class Record:
    """A text with its entities: a sentence, or a whole document.

    Attributes:
        text (str): The text. Where the file gives words and no spaces, it is the words with a space between them.
        spans (list[Entity]): The entities.
        place (str): Where the record is, as `file:line`.
        words (Optional[list[str]]): The file's own tokens. None if a tokenizer has to find them.
        spaces (Optional[list[bool]]): Whether a space follows each word. None if the file does not say.
        sents (Optional[list[int]]): The first characters of the sentences. None if the file does not say.
        starts_doc (bool): Whether a document of the file begins here.
        complete (bool): Whether text outside of entities is known to have no entity. If not, it is unannotated.
        missing (list[tuple[int, int]]): The limits of parts of the text without annotation.
        rejected (list[Entity]): Spans that are known to be no entities with this label.
        repairs (list[str]): The tags that broke the scheme of the file, each as `file:line: tag`.
        accepted (bool): Whether the annotation was accepted in a tool that asks for an answer.
        name (str): The identifier of the text in the file; empty if there is none.
        meta (Mapping[str, object]): More about the text, for the formats that have a place for it.
    """

    text: str
    spans: list[Entity]
    place: str
    words: Optional[list[str]] = None
    spaces: Optional[list[bool]] = None
    sents: Optional[list[int]] = None
    starts_doc: bool = True
    complete: bool = True
    missing: list[tuple[int, int]] = field(default_factory=list)
    rejected: list[Entity] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    accepted: bool = True
    name: str = ""
    meta: Mapping[str, object] = field(default_factory=dict)


class ReadOptions(NamedTuple):
    """What a file does not say of itself.

    Attributes:
        encoding (str): The encoding; empty to find it.
        columns (Mapping[str, str]): The columns or fields by their meaning, such as "word": names or numbers.
        names (Sequence[str]): The tags by number, for files that have numbers in place of tags.
    """

    encoding: str = ""
    columns: Mapping[str, str] = {}
    names: Sequence[str] = ()


NO_OPTIONS = ReadOptions()


@dataclass
class AnnotatedFile:
    """The records of a file and the properties that were found in it.

    Attributes:
        path (Path): The file.
        format (str): One of `FORMATS`.
        options (ReadOptions): What the file does not say of itself.
        encoding (str): The encoding, such as "utf-8"; "none" for binary formats.
        sentences (Iterable[Record]): Its records, which may be read as they are needed.
        scheme (Optional[str]): The scheme of its tags. None if the format has no tags.
        marks_documents (bool): Whether the file marks where documents begin. Known when the first record is read.
        comments (int): The number of comment lines, which are skipped.
        skipped (Counter[str]): What else was skipped, by kind.
        position (int): The bytes read so far, for a progress bar.
        previous (str): The identifier of the text before, in formats that repeat texts.
    """

    path: Path
    format: str
    options: ReadOptions = NO_OPTIONS
    encoding: str = "none"
    sentences: Iterable[Record] = ()
    scheme: Optional[str] = None
    marks_documents: bool = False
    comments: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    position: int = 0
    previous: str = ""
    _codec: str = ""

    def text(self) -> str:
        """The text of the file, with its line ends."""
        text, self.encoding = read_text(self.path, self.options.encoding)
        self.position = self.path.stat().st_size
        return text

    def stream(self, ends: bool = False) -> Iterator[str]:
        """The lines, one after the other, in bounded memory; with their ends as they are, or without."""
        if not self._codec:
            self._codec, self.encoding = find_encoding(self.path, self.options.encoding)
        self.position = self.comments = 0
        with self.path.open(encoding=self._codec, newline="" if ends else None) as lines:
            for line in lines:
                self.position += len(line)
                yield line if ends else line.rstrip("\n")

    def error(self, line: int, problem: str, text: Optional[str] = None) -> CorpusError:
        """The error of a bad line. It quotes the line, or the text if one is given."""
        if text is None:
            text = "" if self.encoding == "none" else next(islice(self.stream(), line - 1, None), "")
        return CorpusError(self.path, line, problem, text)

    def column(self, meaning: str) -> Optional[str]:
        """The column that the options give for a meaning."""
        return self.options.columns.get(meaning)


def text_of(words: Sequence[str], spaces: Optional[Sequence[bool]]) -> tuple[str, list[int]]:
    """Join words.

    Args:
        words (Sequence[str]): The words.
        spaces (Optional[Sequence[bool]]): Whether a space follows each word; None for a space between all of them.

    Returns:
        tuple[str, list[int]]: The text, without a space at its end, and the first character of each word.
    """
    after = [True] * len(words) if spaces is None else spaces
    ends = list(accumulate(len(word) + space for word, space in zip(words, after, strict=True)))
    text = "".join(word + " " * space for word, space in zip(words, after, strict=True))
    return text[: len(text) - bool(words and after[-1])], [0, *ends[:-1]] if words else []


def join(records: Sequence[Record]) -> Record:
    """Make one record of the sentences of a document, with a space between them unless their words say otherwise.

    Args:
        records (Sequence[Record]): The sentences, at least one.

    Returns:
        Record: The document.
    """
    if len(records) == 1:
        return records[0]
    offsets, pieces, length = [], [], 0
    for record in records:
        offsets.append(length)
        spaced = record is not records[-1] and (record.spaces is None or record.spaces[-1:] != [False])
        pieces.append(record.text + " " * spaced)
        length += len(pieces[-1])
    pairs = list(zip(records, offsets, strict=True))
    all_words = all(record.words is not None for record in records)
    all_spaces = all_words and all(record.spaces is not None for record in records)
    return replace(
        records[0],
        text="".join(pieces),
        spans=[span.moved(offset) for record, offset in pairs for span in record.spans],
        words=[word for record in records for word in record.words or ()] if all_words else None,
        spaces=[space for record in records for space in record.spaces or ()] if all_spaces else None,
        sents=None
        if any(record.sents is None for record in records)
        else [start + offset for record, offset in pairs for start in record.sents or ()],
        missing=[(start + offset, end + offset) for record, offset in pairs for start, end in _unannotated(record)],
        rejected=[span.moved(offset) for record, offset in pairs for span in record.rejected],
        repairs=[place for record in records for place in record.repairs],
        complete=True,
    )


def _unannotated(record: Record) -> list[tuple[int, int]]:
    """The parts without annotation, where an incomplete record has its whole text."""
    return record.missing if record.complete else [(0, len(record.text))]
