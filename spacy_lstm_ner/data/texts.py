"""Texts without annotation."""

import json
from collections.abc import Iterator
from pathlib import Path


def read_texts(path: Path) -> Iterator[str]:
    """Read texts from a file, one for each line. Empty lines are skipped.

    Args:
        path (Path): A `.jsonl` file of objects with a field "text", or any other file of plain lines.

    Yields:
        str: The next text.

    Raises:
        ValueError: If a line of a `.jsonl` file is not such an object. The message has the number of the line.
    """
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if path.suffix != ".jsonl":
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
