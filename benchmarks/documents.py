"""Tables in Markdown, and where the documents have their places for them. Not a benchmark itself."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path


def table(header: Sequence[str], rows: Iterable[Sequence[str]], n_texts: int = 1) -> str:
    """A table in Markdown.

    Args:
        header (Sequence[str]): Titles of the columns.
        rows (Iterable[Sequence[str]]): The cells of each row.
        n_texts (int): Number of columns on the left that hold text. The others hold numbers and are aligned right.

    Returns:
        str: The table, without a line break at its end.
    """
    rule = ["---"] * n_texts + ["---:"] * (len(header) - n_texts)
    lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([f"| {' | '.join(header)} |", f"|{'|'.join(rule)}|", *lines])


def fill(document: Path, name: str, text: str) -> None:
    """Replace what a document has between `<!-- name: start -->` and `<!-- name: end -->`.

    Args:
        document (Path): A Markdown file.
        name (str): The name in the markers.
        text (str): What to put between them.

    Raises:
        ValueError: If the document does not have exactly one such pair of markers.
    """
    start, end = (f"<!-- {name}: {side} -->" for side in ("start", "end"))
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    block = "\n".join([start, text, end])
    changed, count = pattern.subn(lambda _: block, document.read_text("utf8"))
    if count != 1:
        raise ValueError(f"{document}: expected one pair of markers {start} and {end}, found {count}")
    document.write_text(changed, "utf8")
