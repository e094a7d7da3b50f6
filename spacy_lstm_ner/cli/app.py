"""The group of commands `python -m spacy lstm-ner`, and what the commands share."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import typer
from click import ClickException
from confection import ConfigValidationError
from spacy.cli._util import app as spacy_app
from wasabi import msg

from ..data.reader import ReadReport
from ..data.span_policy import CHANGED, LOST
from ..files import write_atomically

app = typer.Typer(
    name="lstm-ner",
    no_args_is_help=True,
    help="Commands for the named entity recognizer lstm_ner.",
    rich_markup_mode=None,
)
# spaCy imports this module for its entry point, which makes the commands available.
spacy_app.add_typer(app)

# spaCy raises a ClickException for a config setting that it cannot read from the command line.
_USER_ERRORS = (ValueError, OSError, ImportError, ConfigValidationError, ClickException)


@contextmanager
def exit_on_error(title: str, not_found: Optional[str] = None) -> Iterator[None]:
    """Turn an error within the block into a message and exit code 1. Errors of the program itself pass.

    Args:
        title (str): What failed. The text of the error follows.
        not_found (Optional[str]): The title if a file is missing; None for the same.
    """
    try:
        yield
    except FileNotFoundError as error:
        msg.fail(not_found or title, error, exits=1)
    except _USER_ERRORS as error:
        msg.fail(title, error, exits=1)


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Say which extra to install if an import within the block fails.

    Args:
        name (str): The extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the package {error.name} is missing; install the extra: pip install 'spacy-lstm-ner[{name}]'"
        ) from error


def warn_of_losses(report: ReadReport, except_for: Collection[str] = ()) -> None:
    """Print a warning for each kind of entity that could not be read or written as it is.

    Args:
        report (ReadReport): What was read and written.
        except_for (Collection[str]): The kinds that are shown elsewhere.
    """
    for kind, found in report.problems.found.items():
        if found.count and kind not in except_for:
            msg.warn(f"{found.count} {LOST.get(kind) or CHANGED.get(kind) or 'could not be written: ' + kind}: {found}")


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file. An existing file is replaced when the new one is complete.

    Args:
        path (Path): The file. Its folder is created if necessary.
        data (Any): What to write.
    """
    write_atomically(path, json.dumps(data, indent=2).encode("utf-8"))


def print_numbers(rows: Sequence[Sequence[str]], header: Sequence[str], title: str) -> None:
    """Print a table of numbers: the first column to the left, the others to the right.

    Args:
        rows (Sequence[Sequence[str]]): The rows.
        header (Sequence[str]): The titles of the columns.
        title (str): The title of the table.
    """
    aligns = ("l", *("r" for _ in header[1:]))
    msg.table(rows, header=header, aligns=aligns, divider=True, title=title)
