"""Texts without annotation."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Their lines are no texts.
_OTHER_FORMATS = (".json", ".spacy", ".conll", ".parquet", ".xlsx", ".gz", ".zip")


def read_texts(path: Path) -> Iterator[str]:
    """Read texts from a file. Empty lines and empty texts are skipped.

    Args:
        path (Path): A `.jsonl` file of objects with a field "text", a `.csv` or `.tsv` file with a column "text", or a
            file with one text a line.

    Yields:
        str: The next text.

    Raises:
        ValueError: If the file has no such fields, or another format. The message has the number of the line.
    """
    suffix = path.suffix.lower()
    if suffix in _OTHER_FORMATS:
        raise ValueError(
            f"{path}: cannot read texts from {suffix} files. Write them to a .jsonl file of objects with a "
            '"text", a .csv file with a column "text", or a .txt file with one text a line'
        )
    if suffix in _DELIMITERS:
        # The csv module wants the ends of lines as they are.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from _read_table(path, lines, _DELIMITERS[suffix])
        return
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if suffix != ".jsonl":
                yield line.rstrip("\n")
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number}: expected JSON, found {line.strip()[:80]!r} ({error})") from error
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise ValueError(
                    f'{path}:{number}: expected an object with a string "text", found {line.strip()[:80]!r}'
                )
            yield record["text"]


def _read_table(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """The texts of a table with a header."""
    # A quote that is not closed would make one text of all lines after it.
    rows = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        columns = list(rows.fieldnames or ())
        if "text" not in columns:
            raise ValueError(f'{path}:1: expected a column "text", found the columns {", ".join(map(repr, columns))}')
        yield from (row["text"] for row in rows if row["text"] and row["text"].strip())
    except csv.Error as error:
        raise ValueError(
            f"{path}:{rows.reader.line_num}: cannot read the table: {error}. Write the texts to a .jsonl file"
        ) from error
