"""The format csv-offsets: a table with a row for each entity, its limits in characters.

Rows next to each other with the same text, or the same id if there is a column for it, are one text. A text without
entities has a row without limits. The options `text`, `start`, `end`, `label`, `id` and `score` name the columns.

    text;start;end;label
    Anna sings in Oslo.;0;4;PER
    Anna sings in Oslo.;14;18;LOC
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..annotated_file import AnnotatedFile, Entity, Record
from .base import Format, Head, Writing
from .tables import header_of, place_of, read_rows

NEEDED = ("text", "start", "end", "label")
COLUMNS = ("id", *NEEDED, "score")


def _sniff(head: Head) -> float:
    header, _ = header_of(head.all_lines[0], head.path)
    return 0.95 if all(place_of(header, meaning) >= 0 for meaning in NEEDED) else 0.0


def _read(file: AnnotatedFile) -> Iterator[Record]:
    rows = read_rows(file, in_one_line=False)
    header, _ = next(rows, ([], 1))
    places = {meaning: place_of(header, meaning, file.column(meaning)) for meaning in COLUMNS}
    for meaning in NEEDED:
        if places[meaning] < 0:
            wanted = ", ".join(file.column(name) or name for name in NEEDED)
            problem = f"expected a header with the columns {wanted}, found none for {meaning}"
            raise file.error(1, f"{problem}. Name it with --columns {meaning}=NAME")
    found = {meaning: at for meaning, at in places.items() if at >= 0}
    yield from group_rows(file, (({name: row[at] for name, at in found.items()}, number) for row, number in rows))


def group_rows(file: AnnotatedFile, rows: Iterable[tuple[dict[str, Any], int]]) -> Iterator[Record]:
    """Make a record of the rows of each text. Each row has values by the meaning of their columns, and a number."""
    file.marks_documents = True
    record, key = None, None
    for row, number in rows:
        name, text = str(row.get("id") or ""), row["text"]
        if not isinstance(text, str):
            raise file.error(number, f"expected a text, found {text!r}")
        if record is None or key != (name, text):
            if record is not None:
                yield record
            record, key = Record(text, [], f"{file.path}:{number}", name=name), (name, text)
        if row["start"] in ("", None) and row["end"] in ("", None):
            continue
        try:
            start, end = int(float(row["start"])), int(float(row["end"]))
            score = None if row.get("score") in ("", None) else float(row["score"])
        except (TypeError, ValueError, OverflowError) as error:
            raise file.error(number, "expected whole numbers as limits of an entity", str(row)) from error
        label = str(row["label"] or "").strip()
        if not label:
            raise file.error(number, "expected a label", str(row))
        record.spans.append(Entity(start, end, label, score))
    if record is not None:
        yield record


def rows_of(records: Iterable[Record], writing: Writing) -> Iterator[tuple[Any, ...]]:
    """The rows of records, in the order of COLUMNS."""
    for number, record in enumerate(records, 1):
        writing.note(record)
        name = record.name or str(number)
        for span in record.spans:
            yield name, record.text, span.start, span.end, span.label, span.score
        if not record.spans:
            yield name, record.text, None, None, None, None


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t" if ".tsv" in path.suffixes else ",", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(COLUMNS)
        writer.writerows(rows_of(records, writing))


FORMAT = Format("csv-offsets", "a table with the columns text, start, end and label", _sniff, _read, _write)
