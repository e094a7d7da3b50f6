"""The three forms of annotated text that can be read, each turned into the same list of sentences.

conll   columns separated by tabs or by runs of spaces, the word first and its tag last; a line without text
        ends a sentence, a ``-DOCSTART-`` line starts a document.
csv     the form of ``ner_dataset.csv``: the columns ``Sentence #``, ``Word`` and ``Tag`` among others, the
        first of them filled only in a sentence's first row.
inline  a sentence a line, ``[Sharon](per) flew to [Miami](geo).``, see `inline`; an empty line ends a
        document, a line that starts with ``# `` is a comment.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Optional

from .inline import parse_inline
from .tag_schemes import Scheme, Span, Tag, parse_tag, recognise_scheme, tags_to_spans

FORMATS = ("conll", "csv", "inline")


_SUFFIXES = {
    ".csv": "csv",
    ".conll": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".bio": "conll",
    ".tsv": "conll",
}
_CSV_COLUMNS = ("Sentence #", "Word", "Tag")
# Enough lines to tell columns from prose even when some of them are broken.
_LINES_TO_GUESS = 50
_LONGEST_QUOTE = 160


class CorpusError(ValueError):
    """Annotated text that cannot be read: file, number of the line, what was expected there, and the line."""

    def __init__(self, path: Path, line: int, problem: str, text: str) -> None:
        super().__init__(path, line, problem, text)
        self.path, self.line, self.problem, self.text = path, line, problem, text

    def __str__(self) -> str:
        quote = self.text if len(self.text) <= _LONGEST_QUOTE else self.text[:_LONGEST_QUOTE] + "…"
        return f"{self.path}:{self.line}: {self.problem}: {quote!r}"


class Sentence(NamedTuple):
    """A sentence with its entities.

    text        as it enters a Doc; the words joined by spaces where the file gives words
    words       the file's own tokens; None where spaCy's tokenizer is to find them
    spans       entities as character offsets into `text`
    line        number of its first line in the file
    starts_doc  True if a document of the file begins here
    repairs     the tags that broke the file's scheme, each as ``file:line: tag``
    """

    text: str
    words: Optional[list[str]]
    spans: list[Span]
    line: int
    starts_doc: bool
    repairs: list[str]


@dataclass
class AnnotatedFile:
    """All sentences of a file, and what was found out about it.

    scheme          scheme of its tags, None for inline annotation
    encoding        "utf-8" or "latin-1"
    marks_documents whether the file says where documents begin
    comments        number of comment lines left out
    """

    path: Path
    format: str
    encoding: str
    sentences: list[Sentence]
    scheme: Optional[Scheme] = None
    marks_documents: bool = False
    comments: int = 0


@dataclass
class _Rows:
    """The tagged words of one sentence while its file is read; lines[i] is the line of words[i]."""

    starts_doc: bool
    words: list[str] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read_file(path: Path, format: str = "auto") -> AnnotatedFile:
    """Read an annotated file whole; a scheme shows only in all of its sentences.

    path: the file.
    format: "conll", "csv", "inline", or "auto" to go by the suffix or, failing that, by the content.
    Raises CorpusError at the first place that breaks the format, and ValueError for an unknown format.
    """
    if format not in (*FORMATS, "auto"):
        raise ValueError(f"expected a format among auto, {', '.join(FORMATS)}, found {format!r}")
    text, encoding = _decode(path.read_bytes())
    lines = io.StringIO(text, newline=None).read().split("\n")
    found = guess_format(path, lines) if format == "auto" else format
    file = AnnotatedFile(path, found, encoding, [])
    if found == "inline":
        if encoding != "utf-8":
            raise CorpusError(path, *_first_bad_line(path))
        _read_inline(file, lines)
    else:
        _from_tags(file, lines, _csv_rows(file, text, lines) if found == "csv" else _conll_rows(file, lines))
    if not file.sentences:
        raise CorpusError(path, 1, "expected at least one sentence, found none", lines[0])
    return file


def guess_format(path: Path, lines: Sequence[str]) -> str:
    """The format of a file by its suffix, else by what most of its first lines look like.

    path: the file's name.
    lines: its lines.
    """
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    sample = [line for line in lines if line.strip() and not line.startswith("# ")][:_LINES_TO_GUESS]
    if sample and sample[0].startswith(_CSV_COLUMNS[0]):
        return "csv"
    tagged = sum(line.startswith("-DOCSTART-") or _is_tag(_columns(line)[-1]) for line in sample)
    return "conll" if 2 * tagged > len(sample) else "inline"


def _decode(raw: bytes) -> tuple[str, str]:
    """Text and encoding of a file: UTF-8, with or without byte order mark, if all of it is, else latin-1."""
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def _first_bad_line(path: Path) -> tuple[int, str, str]:
    """Number of the first line that is not UTF-8, the complaint about it, and the line as latin-1."""
    for number, raw in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            return number, f"expected UTF-8, found the byte 0x{raw[error.start]:02x}", raw.decode("latin-1")
    raise ValueError(f"{path}: every line is UTF-8")


def _columns(line: str) -> list[str]:
    """The columns of a line; one tab is enough to say that spaces belong to the words."""
    return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))


def _is_tag(text: str) -> bool:
    try:
        parse_tag(text)
    except ValueError:
        return False
    return True


def _conll_rows(file: AnnotatedFile, lines: Sequence[str]) -> Iterator[_Rows]:
    """Sentences of a file with columns; `file` is told about documents and comments."""
    rows = _Rows(starts_doc=True)
    n_columns, first_line = 0, 0
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("-DOCSTART-"):
            if rows.words:
                yield rows
                rows = _Rows(starts_doc=False)
            if line.strip():
                rows.starts_doc = file.marks_documents = True
            continue
        columns = _columns(line)
        # A word may well be "#", so a line is a comment only if it does not end in a tag.
        if line.startswith("#") and "\t" not in line and not _is_tag(columns[-1]):
            file.comments += 1
            continue
        if not n_columns:
            n_columns, first_line = len(columns), number
        if n_columns < 2:
            raise CorpusError(file.path, number, "expected a word and a tag, found 1 column", line)
        if len(columns) != n_columns:
            problem = f"expected {n_columns} columns as in line {first_line}, found {len(columns)}"
            raise CorpusError(file.path, number, problem, line)
        _add_row(file, rows, columns[0], columns[-1], number, line)
    if rows.words:
        yield rows


def _csv_rows(file: AnnotatedFile, text: str, lines: Sequence[str]) -> Iterator[_Rows]:
    """Sentences of a file like ``ner_dataset.csv``."""
    # Strict, because a quote that is never closed would otherwise swallow the rest of the file as one word.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = _Rows(starts_doc=True)
    sentence = ""
    header: list[str] = []
    number = 1
    try:
        for fields in reader:
            line = lines[number - 1]
            if not header:
                header = fields
                absent = [name for name in _CSV_COLUMNS if name not in header]
                if absent:
                    problem = f"expected a header with the columns {', '.join(_CSV_COLUMNS)}"
                    raise CorpusError(file.path, number, f"{problem}, found none named {absent[0]}", line)
                number_at, word_at, tag_at = (header.index(name) for name in _CSV_COLUMNS)
            elif fields:
                if len(fields) != len(header):
                    problem = f"expected {len(header)} columns as in the header, found {len(fields)}"
                    raise CorpusError(file.path, number, problem, line)
                if reader.line_num != number:
                    raise CorpusError(file.path, number, "expected a row in one line, found a quote left open", line)
                # Some copies of the file repeat the sentence's number in every row.
                if fields[number_at] not in ("", sentence):
                    if rows.words:
                        yield rows
                    rows, sentence = _Rows(starts_doc=False), fields[number_at]
                if not sentence:
                    raise CorpusError(file.path, number, "expected a sentence number in the first row", line)
                _add_row(file, rows, fields[word_at], fields[tag_at], number, line)
            number = reader.line_num + 1
    except csv.Error as error:
        raise CorpusError(file.path, number, f"expected a row of CSV, found: {error}", lines[number - 1]) from error
    if rows.words:
        yield rows


def _add_row(file: AnnotatedFile, rows: _Rows, word: str, tag: str, number: int, line: str) -> None:
    """Add a word with its tag to a sentence; CorpusError for an empty word and for a bad tag."""
    if not word:
        raise CorpusError(file.path, number, "expected a word in the first column, found none", line)
    try:
        rows.tags.append(parse_tag(tag.strip()))
    except ValueError as error:
        raise CorpusError(file.path, number, str(error), line) from error
    rows.words.append(word)
    rows.lines.append(number)


def _from_tags(file: AnnotatedFile, lines: Sequence[str], tagged: Iterable[_Rows]) -> None:
    """Add the sentences of a file of tagged words, once all of them are read and the scheme is known."""
    all_rows = list(tagged)
    try:
        file.scheme = recognise_scheme(rows.tags for rows in all_rows)
    except ValueError as error:
        # The line of the first tag that only one of the schemes has shows where to look.
        number = next(
            line for rows in all_rows for tag, line in zip(rows.tags, rows.lines, strict=True) if tag.prefix in "LUES"
        )
        raise CorpusError(file.path, number, str(error), lines[number - 1]) from error
    for rows in all_rows:
        spans, repaired = tags_to_spans(rows.tags, file.scheme)
        offsets = [0]
        for word in rows.words:
            offsets.append(offsets[-1] + len(word) + 1)
        file.sentences.append(
            Sentence(
                text=" ".join(rows.words),
                words=rows.words,
                spans=[Span(offsets[start], offsets[end] - 1, label) for start, end, label in spans],
                line=rows.lines[0],
                starts_doc=rows.starts_doc,
                repairs=[f"{file.path}:{rows.lines[i]}: {'-'.join(rows.tags[i])}" for i in repaired],
            )
        )


def _read_inline(file: AnnotatedFile, lines: Sequence[str]) -> None:
    """Add the sentences of a file with inline annotation."""
    starts_doc = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            starts_doc = True
        elif line.startswith("# "):
            file.comments += 1
        else:
            try:
                text, spans = parse_inline(line.strip())
            except ValueError as error:
                raise CorpusError(file.path, number, str(error), line) from error
            file.sentences.append(Sentence(text, None, spans, number, starts_doc, []))
            starts_doc = False
    # Without an empty line between two sentences, nothing says that the whole file is one document.
    file.marks_documents = any(after.starts_doc for _, after in pairwise(file.sentences))
