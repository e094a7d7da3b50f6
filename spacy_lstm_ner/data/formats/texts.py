"""The format texts: texts without annotation, as JSON lines, as a table with a column for them, or one a line.

It is never recognized, since any text would be. The option `text` names another field or column.

    {"text": "Anna sings."}
    text,source
    Anna sings.
"""

from collections.abc import Iterator

from ..annotated_file import AnnotatedFile, Record
from .base import Format, no_text
from .json_values import field, read_values
from .tables import place_of, read_rows


def _read(file: AnnotatedFile) -> Iterator[Record]:
    file.marks_documents = True
    for text, number in _texts(file):
        if text.strip():
            yield Record(text, [], f"{file.path}:{number}", complete=False)


def _texts(file: AnnotatedFile) -> Iterator[tuple[str, int]]:
    suffix, name = file.path.suffix.lower(), file.column("text") or "text"
    if suffix in (".json", ".jsonl"):
        for item, number, named in read_values(file):
            try:
                yield field(item, name, str), number
            except ValueError as error:
                raise file.error(number, named + str(error)) from error
    elif suffix in (".csv", ".tsv"):
        rows = read_rows(file, in_one_line=False)
        header, _ = next(rows, ([], 1))
        at = place_of(header, "text", name)
        if at < 0:
            raise file.error(1, f"expected a column {name!r}. Name another one with --columns text=NAME")
        yield from ((row[at], number) for row, number in rows)
    else:
        yield from ((line, number) for number, line in enumerate(file.stream(), 1))


FORMAT = Format("texts", "texts without annotation", no_text, _read)
