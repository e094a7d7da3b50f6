"""The formats of annotated text. Each is read into the same list of sentences.

conll   Columns separated by tabs or by spaces: the word first, its tag last. An empty line ends a sentence, a
        `-DOCSTART-` line starts a document.
csv     The form of `ner_dataset.csv`: the columns `Sentence #`, `Word` and `Tag`, among others. The first of them is
        filled only in the first row of a sentence.
inline  One sentence a line, `[Sharon](per) flew to [Miami](geo).` (see `inline`). An empty line ends a document, a line
        that starts with `# ` is a comment.

To add a format, write a function that appends the sentences of a text to an `AnnotatedFile`, and name it in `_READERS`.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Optional

from .inline import parse_inline
from .tag_schemes import FileScheme, FileTag, LabelSpan, parse_tag, read_tags, recognize_scheme

_SUFFIXES = {
    ".csv": "csv",
    ".conll": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".bio": "conll",
    ".tsv": "conll",
}
_CSV_COLUMNS = ("Sentence #", "Word", "Tag")
# Enough lines to tell columns from prose, even if some of them are broken.
_LINES_TO_GUESS = 50
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
class _Rows:
    """The tagged words of one sentence while its file is read; lines[i] is the line of words[i]."""

    starts_doc: bool
    words: list[str] = field(default_factory=list)
    tags: list[FileTag] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


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
    """
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    sample = [line for line in lines if line.strip() and not line.startswith("# ")][:_LINES_TO_GUESS]
    if sample and sample[0].startswith(_CSV_COLUMNS[0]):
        return "csv"
    tagged = sum(line.startswith("-DOCSTART-") or _is_tag(_columns(line)[-1]) for line in sample)
    return "conll" if 2 * tagged > len(sample) else "inline"


def _decode(raw: bytes) -> tuple[str, str]:
    """Text and encoding of a file: UTF-8, with or without byte order mark, if all of it is UTF-8, else latin-1."""
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


# Columns


def _read_conll(file: AnnotatedFile, text: str, lines: Sequence[str]) -> None:
    """Add the sentences of a file with columns."""
    _add_tagged(file, lines, _conll_rows(file, lines))


def _conll_rows(file: AnnotatedFile, lines: Sequence[str]) -> Iterator[_Rows]:
    """Sentences of a file with columns. Notes documents and comments in `file`."""
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
        # "#" can be a word, so a line is a comment only if it does not end in a tag.
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


def _columns(line: str) -> list[str]:
    """The columns of a line. If it has a tab, spaces belong to the words."""
    return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))


def _is_tag(text: str) -> bool:
    try:
        parse_tag(text)
    except ValueError:
        return False
    return True


# CSV


def _read_csv(file: AnnotatedFile, text: str, lines: Sequence[str]) -> None:
    """Add the sentences of a file like `ner_dataset.csv`."""
    _add_tagged(file, lines, _csv_rows(file, text, lines))


def _csv_rows(file: AnnotatedFile, text: str, lines: Sequence[str]) -> Iterator[_Rows]:
    """Sentences of a file like `ner_dataset.csv`."""
    # Strict, since otherwise a quote that is never closed makes one word of the rest of the file.
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
                number_at, word_at, tag_at = _csv_columns(file, header, line)
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


def _csv_columns(file: AnnotatedFile, header: Sequence[str], line: str) -> list[int]:
    """The places of the columns that are needed."""
    absent = [name for name in _CSV_COLUMNS if name not in header]
    if absent:
        problem = f"expected a header with the columns {', '.join(_CSV_COLUMNS)}, found none named {absent[0]}"
        raise CorpusError(file.path, 1, problem, line)
    return [header.index(name) for name in _CSV_COLUMNS]


# Tagged words, of both formats


def _add_row(file: AnnotatedFile, rows: _Rows, word: str, tag: str, number: int, line: str) -> None:
    """Add a word with its tag to a sentence. Raises CorpusError for an empty word and for an invalid tag."""
    if not word:
        raise CorpusError(file.path, number, "expected a word in the first column, found none", line)
    try:
        rows.tags.append(parse_tag(tag.strip()))
    except ValueError as error:
        raise CorpusError(file.path, number, str(error), line) from error
    rows.words.append(word)
    rows.lines.append(number)


def _add_tagged(file: AnnotatedFile, lines: Sequence[str], tagged: Iterable[_Rows]) -> None:
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


# Inline annotation


def _read_inline(file: AnnotatedFile, text: str, lines: Sequence[str]) -> None:
    """Add the sentences of a file with inline annotation."""
    if file.encoding != "utf-8":
        raise CorpusError(file.path, *_first_bad_line(file.path))
    starts_doc = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            starts_doc = True
        elif line.startswith("# "):
            file.comments += 1
        else:
            try:
                plain, spans = parse_inline(line.strip())
            except ValueError as error:
                raise CorpusError(file.path, number, str(error), line) from error
            file.sentences.append(Sentence(plain, None, spans, number, starts_doc, []))
            starts_doc = False
    # If no empty line separates two sentences, the file may as well be a list of single sentences.
    file.marks_documents = any(after.starts_doc for _, after in pairwise(file.sentences))


def _first_bad_line(path: Path) -> tuple[int, str, str]:
    """The first line that is not UTF-8: its number, the problem, and the line read as latin-1."""
    for number, raw in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            return number, f"expected UTF-8, found the byte 0x{raw[error.start]:02x}", raw.decode("latin-1")
    raise ValueError(f"{path}: every line is UTF-8")


_READERS: dict[str, Callable[[AnnotatedFile, str, Sequence[str]], None]] = {
    "conll": _read_conll,
    "csv": _read_csv,
    "inline": _read_inline,
}
"""What adds the sentences of a file, by format; it gets the file's text, and its lines without their ends."""

FORMATS = tuple(_READERS)
"""The names of the formats."""
