"""The format conll: columns, the word first and its tag last.

Columns are separated by tabs or by spaces. An empty line ends a sentence, a `-DOCSTART-` line starts a document. The
options `word` and `tag` choose other columns, by their numbers from 1; `tag=3+4` reads the tags of two columns.

    Sharon B-per
    flew O
    Miami B-geo
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from ..annotated_file import AnnotatedFile, Entity, Record
from ..tag_schemes import parse_tag
from .base import Format, Head, Writing
from .tagged import MISSING_TAG, TaggedWords, add_word, find_way, tagged

_START = "-DOCSTART-"
_ROWS_TO_SEE = 10_000


def _sniff(head: Head) -> float:
    rows = [_columns(line) for line in head.lines if not line.startswith(_START)]
    last = [_last(row) for row in rows]
    if 2 * (sum(is_tag(tag) for tag in last) + len(head.lines) - len(rows)) > len(head.lines):
        return 0.8
    rows = [row for row in rows if not row[0].startswith("#")]
    last = [_last(row) for row in rows]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return 0.0
    way = find_way({layer for tag in last for layer in tag.split("|")})
    return (0.6 if way == "IO" else 0.8 if way and "" not in last else 0.0) or 0.3 * ("\t" in head.text)


def _sentences(file: AnnotatedFile) -> Iterator[TaggedWords]:
    """Sentences of a file with columns. Notes documents and comments in `file`."""
    lines = (line for line in file.stream() if line.strip() and not line.startswith(("#", _START)))
    data = [_columns(line) for line in islice(lines, _ROWS_TO_SEE)]
    trailing = bool(data) and all(len(row) > 2 and not row[-1].strip() for row in data)
    width = len(data[0]) if data else 0
    rows = TaggedWords(starts_doc=True)
    n_columns, first_line = 0, 0
    word_at, tags_at = 0, [-1]
    for number, line in enumerate(file.stream(), 1):
        if not line.strip() or line.startswith(_START):
            if rows.words:
                yield rows
                rows = TaggedWords(starts_doc=False)
            if line.strip():
                rows.starts_doc = file.marks_documents = True
            continue
        columns = _columns(line)
        # "#" can be a word, so a line is a comment only if it does not end in a tag or has other columns.
        if line.startswith("#") and not is_tag(columns[-1]) and ("\t" not in line or len(columns) != width):
            file.comments += 1
            continue
        if not n_columns:
            n_columns, first_line = len(columns), number
            word_at, tags_at = _places(file, data, trailing, number)
        if n_columns < 2:
            raise file.error(number, "expected a word and a tag, found 1 column")
        if len(columns) != n_columns:
            raise file.error(number, f"expected {n_columns} columns as in line {first_line}, found {len(columns)}")
        if trailing and columns[-1].strip():
            raise file.error(number, "expected nothing in the last column, as in the lines before")
        tags = [columns[at].strip() for at in tags_at]
        # A word that only one level tags has one tag.
        tag = "|".join([tag for tag in tags if tag != "O"] or ["O"]) if len(tags) > 1 else tags[0]
        add_word(file, rows, columns[word_at], tag, number)
    if rows.words:
        yield rows


def _places(file: AnnotatedFile, data: Sequence[Sequence[str]], trailing: bool, number: int) -> tuple[int, list[int]]:
    """The places of the word and of the tags in a row."""
    width = len(data[0]) if data else 2
    word, tag = file.column("word"), file.column("tag")
    try:
        word_at = int(word) - 1 if word else 0
        tags_at = [int(part) - 1 for part in tag.split("+")] if tag else [width - 1 - trailing]
    except ValueError as error:
        problem = "expected numbers of columns, such as word=2,tag=3 or tag=3+4, since columns have no names here"
        raise file.error(number, problem) from error
    if not all(0 <= at < width for at in (word_at, *tags_at)):
        raise file.error(number, f"expected columns from 1 to {width}, found word={word}, tag={tag}")
    if not word and len(data) > 1 and all(row[0].isascii() and row[0].isdigit() for row in data):
        found = [k + 1 for k in range(1, width) if all(len(row) == width and is_tag(row[k]) for row in data)]
        problem = "expected words in column 1, found running numbers; the columns with tags are: "
        problem += " and ".join(map(str, found)) or "none"
        raise file.error(number, f"{problem}. Name the columns with --columns word=2,tag={found[0] if found else 3}")
    return word_at, tags_at


def _columns(line: str) -> list[str]:
    """The columns of a line. If it has a tab, spaces belong to the words."""
    return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))


def _last(row: Sequence[str]) -> str:
    """The last column that is not empty."""
    return next((column.strip() for column in reversed(row) if column.strip()), "")


def is_tag(text: str) -> bool:
    """Whether a text is a tag like `B-PER` or `O`."""
    try:
        parse_tag(text)
    except ValueError:
        return False
    return True


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    """Write words and tags, in the scheme IOB2. Unannotated words have the tag `-`."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for record in records:
            out.write(f"{_START}\tO\n\n")
            out.writelines(_lines(record, writing))


def _lines(record: Record, writing: Writing) -> Iterator[str]:
    starts = set(record.sents or ())
    written: set[Entity] = set()
    at = 0
    for word, space in zip(record.words or (), record.spaces or [True] * len(record.words or ()), strict=True):
        start, end = at, at + len(word)
        if start in starts and start:
            yield "\n"
        at = end + space
        if not word.strip() or word.startswith(_START):
            if word.strip():
                writing.lost("words that the format reserves", f"{record.place}: {word!r}")
            continue
        span = next((span for span in record.spans if span.start < end and start < span.end), None)
        unknown = not record.complete or any(begin < end and start < stop for begin, stop in record.missing)
        label = re.sub(r"[\s|]", "_", span.label) if span else ""
        if span and label != span.label:
            writing.lost("labels with white space or |", f"{record.place}: {span.label!r}")
        if span:
            written.add(span)
        role = "I" if span and record.text[span.start : start].strip() else "B"
        tag = f"{role}-{label}" if span else MISSING_TAG if unknown else "O"
        yield "{}\t{}\n".format(re.sub(r"[\t\r\n]", " ", word), tag)
    for span in record.spans:
        if span not in written:
            writing.lost("unwritten", f"{record.place}: {span.label}")
    for span in record.rejected:
        writing.lost("spans that are known to be wrong", f"{record.place}: {span.label}")
    yield "\n"


FORMAT = Format(
    "conll",
    "lines of a word and a tag such as B-PER, in columns",
    _sniff,
    tagged(_sentences),
    _write,
    suffixes=(".conll", ".iob", ".iob2", ".bio", ".tsv"),
    flat=True,
)
