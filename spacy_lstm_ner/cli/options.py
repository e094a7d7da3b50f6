"""Options that several commands have, and what they stand for."""

from typing import Annotated, Optional

import typer

from ..data.formats import FORMATS, WRITTEN

FormatOption = Annotated[
    str, typer.Option("--format", "-f", help=f"Format of the input: {', '.join(FORMATS)}, or auto to recognize it")
]
EncodingOption = Annotated[str, typer.Option("--encoding", "-e", help="Encoding of the input; by default, found")]
ColumnsOption = Annotated[
    str,
    typer.Option(
        "--columns", "-c", help="Columns or fields by their meaning, such as word=2,tag=3 or text=body,spans=marks"
    ),
]
TasksFormatOption = Annotated[
    Optional[str],
    typer.Option(
        "--output-format", "-o", help=f"Format to write: {', '.join(WRITTEN)}; by default by the suffix, or prodigy"
    ),
]


def parse_columns(given: str) -> dict[str, str]:
    """Read the option for columns.

    Args:
        given (str): Its value, such as word=2,tag=3.

    Returns:
        dict[str, str]: The columns by their meaning.

    Raises:
        ValueError: If it has another form.
    """
    pairs = [part.partition("=") for part in given.split(",") if part]
    for name, equals, value in pairs:
        if not name.strip() or not equals or not value.strip():
            raise ValueError(f"expected --columns such as word=2,tag=3, found {given!r}")
    return {name.strip(): value.strip() for name, _, value in pairs}
