"""Tables with a header: their separator, the columns by their meaning, and their rows."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Optional

from ..annotated_file import AnnotatedFile

SEPARATORS = ",;\t|"
# Whole texts in one field are longer than the default of the csv module.
csv.field_size_limit(1 << 27)
NAMES = {
    "sentence": ("sentence #", "sentence_id", "sent_id", "sentence_idx", "sentence id", "sentence_number"),
    "word": ("word", "words", "token", "tokens", "form"),
    "tag": ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "bio", "iob"),
    "id": ("id", "doc_id", "document_id", "text_id"),
    "text": ("text", "content", "sentence", "document", "sentences"),
    "start": ("start", "begin", "start_offset", "start_char", "startoffset"),
    "end": ("end", "stop", "end_offset", "end_char", "endoffset"),
    "label": ("label", "type", "entity_type", "tag", "category", "labels", "entity", "ner"),
    "score": ("score", "probability", "confidence"),
}
"""The names that columns have, without regard to case."""


def header_of(line: str, path: Path, wanted: Sequence[str] = ()) -> tuple[list[str], str]:
    """The fields of a header and its separator: the one by which the header has most of the known names."""
    known = {name for names in NAMES.values() for name in names} | {name.lower() for name in wanted}
    marks = ("\t" if path.suffix.lower() == ".tsv" else ",", *SEPARATORS)
    rows = [(next(csv.reader([line], delimiter=mark), []), mark) for mark in marks]
    return max(rows, key=lambda row: (sum(field.strip().lower() in known for field in row[0]), len(row[0])))


def place_of(header: Sequence[str], meaning: str, given: Optional[str] = None) -> int:
    """The place of a column with a meaning in a header: the one with a given name or number, or a known name; or -1."""
    fields = [field.strip().lower() for field in header]
    if given and given.lower() not in fields and given.isdigit() and 0 < int(given) <= len(fields):
        return int(given) - 1
    names = (given.lower(),) if given else NAMES[meaning]
    return next((fields.index(name) for name in names if name in fields), -1)


def read_rows(file: AnnotatedFile, in_one_line: bool) -> Iterator[tuple[list[str], int]]:
    """Read the rows of a table, the header first.

    Args:
        file (AnnotatedFile): The file.
        in_one_line (bool): Whether each row must be in one line.

    Yields:
        tuple[list[str], int]: The fields, and the number of the first line.

    Raises:
        CorpusError: If a row is no row of the table.
    """
    lines = file.stream(ends=True)
    first = next(lines, "")
    _, separator = header_of(first.rstrip("\r\n"), file.path, list(file.options.columns.values()))
    # Strict, since otherwise a quote that is never closed makes one word of the rest of the file.
    reader = csv.reader(chain([first], lines), strict=True, delimiter=separator)
    width, number = 0, 1
    try:
        for fields in reader:
            if fields:
                if width and len(fields) != width:
                    raise file.error(number, f"expected {width} columns as in the header, found {len(fields)}")
                if in_one_line and reader.line_num != number:
                    raise file.error(number, "expected a row in one line, found a quote left open")
                width = len(fields)
                yield fields, number
            number = reader.line_num + 1
    except csv.Error as error:
        raise file.error(number, f"expected a row of CSV, found: {error}") from error
