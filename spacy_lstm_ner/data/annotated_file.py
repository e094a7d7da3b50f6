"""An annotated file as a list of sentences with entities, whatever its format is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional

from .tag_schemes import FileScheme, FileTag, LabelSpan, parse_tag, read_tags, recognize_scheme

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


class Sentence(NamedTuple):
    """A sentence with its entities.

    Attributes:
        text (str): The text of the sentence. Where the file gives words, they are joined by spaces.
        words (Optional[list[str]]): The file's own tokens. None if spaCy's tokenizer has to find them.
        spans (list[LabelSpan]): The entities, as character offsets into `text`.
        line (int): The number of the sentence's first line in the file.
        starts_doc (bool): Whether a document of the file begins here.
        repairs (list[str]): The tags that broke the scheme of the file, each as `file:line: tag`.
    """

    text: str
    words: Optional[list[str]]
    spans: list[LabelSpan]
    line: int
    starts_doc: bool
    repairs: list[str]


@dataclass
class AnnotatedFile:
    """The sentences of a file and the properties that were found in it.

    Attributes:
        path (Path): The file.
        format (str): One of `FORMATS`.
        encoding (str): "utf-8" or "latin-1".
        sentences (list[Sentence]): All sentences.
        scheme (Optional[FileScheme]): The scheme of its tags. None for inline annotation.
        marks_documents (bool): Whether the file marks where documents begin.
        comments (int): The number of comment lines, which are skipped.
    """

    path: Path
    format: str
    encoding: str
    sentences: list[Sentence]
    scheme: Optional[FileScheme] = None
    marks_documents: bool = False
    comments: int = 0


@dataclass
class TaggedWords:
    """The tagged words of one sentence while its file is read; lines[i] is the line of words[i]."""

    starts_doc: bool
    words: list[str] = field(default_factory=list)
    tags: list[FileTag] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def add_word(file: AnnotatedFile, rows: TaggedWords, word: str, tag: str, number: int, line: str) -> None:
    """Add a word with its tag to a sentence. Raises CorpusError for an empty word and for an invalid tag."""
    if not word:
        raise CorpusError(file.path, number, "expected a word in the first column, found none", line)
    try:
        rows.tags.append(parse_tag(tag.strip()))
    except ValueError as error:
        raise CorpusError(file.path, number, str(error), line) from error
    rows.words.append(word)
    rows.lines.append(number)


def add_tagged(file: AnnotatedFile, lines: Sequence[str], tagged: Iterable[TaggedWords]) -> None:
    """Read the tags of all sentences by the scheme of the file, and add the sentences."""
    all_rows = list(tagged)
    try:
        file.scheme = recognize_scheme(rows.tags for rows in all_rows)
    except ValueError as error:
        # The error names the line of the first tag that only one of the schemes has.
        number = next(
            line for rows in all_rows for tag, line in zip(rows.tags, rows.lines, strict=True) if tag.prefix in "LUES"
        )
        raise CorpusError(file.path, number, str(error), lines[number - 1]) from error
    for rows in all_rows:
        spans, repaired = read_tags(rows.tags, file.scheme)
        offsets = [0]
        for word in rows.words:
            offsets.append(offsets[-1] + len(word) + 1)
        file.sentences.append(
            Sentence(
                text=" ".join(rows.words),
                words=rows.words,
                spans=[LabelSpan(offsets[start], offsets[end] - 1, label) for start, end, label in spans],
                line=rows.lines[0],
                starts_doc=rows.starts_doc,
                repairs=[f"{file.path}:{rows.lines[i]}: {'-'.join(rows.tags[i])}" for i in repaired],
            )
        )
