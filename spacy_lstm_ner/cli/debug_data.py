"""``python -m spacy lstm-ner debug-data``"""

import json
from pathlib import Path
from typing import Annotated, Optional

import typer
from click import ClickException
from confection import ConfigValidationError
from spacy.cli._util import import_code, parse_config_overrides
from wasabi import msg

from ..data.data_report import DataReport
from ..files import write_atomically
from ..training.data_sources import Sources, from_config, from_files, report
from .app import app

# A setting that is none is a ClickException, raised where spaCy reads them.
_PROBLEMS = (ValueError, OSError, ImportError, ConfigValidationError, ClickException)


@app.command("debug-data", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def debug_data_cli(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="CONFIG|TRAIN", help="Config, or training data: a file or folder")],
    dev: Annotated[Optional[str], typer.Argument(metavar="[DEV]", help="Dev data, where TRAIN is data")] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the text, where TRAIN is data")] = "en",
    component: Annotated[
        Optional[str], typer.Option("--component", "-p", help="The lstm_ner of the config; the first if none is named")
    ] = None,
    code: Annotated[Optional[Path], typer.Option("--code", "-c", help="Python file with functions to register")] = None,
    json_path: Annotated[Optional[Path], typer.Option("--json", help="JSON file for the report")] = None,
) -> None:
    """Look through training and dev data for what training would stumble over.

    With a config, settings can be overridden: --paths.train corpus/train.spacy. The exit code is 1 if there are
    errors; warnings leave it at 0.
    """
    try:
        import_code(code)
        found = report(_sources(ctx, source, dev, lang, component))
    except FileNotFoundError as error:
        msg.fail("Cannot find the data", error, exits=1)
    except _PROBLEMS as error:
        msg.fail(f"Cannot look into the data of {source}", error, exits=1)
    _print(found)
    if json_path is not None:
        write_atomically(json_path, json.dumps(found.to_dict(), indent=2).encode("utf-8"))
        msg.good(f"Report written to {json_path}")
    if found.errors:
        raise typer.Exit(1)


def _sources(ctx: typer.Context, source: Path, dev: Optional[str], lang: str, component: Optional[str]) -> Sources:
    if source.suffix == ".cfg":
        # The first setting stands where the dev data would.
        settings = ctx.args if dev is None else [dev, *ctx.args]
        if settings and not settings[0].startswith("--"):
            raise ValueError(f"a config names its own dev data, but {settings[0]} was given too")
        return from_config(source, parse_config_overrides(settings), component)
    if dev is None or ctx.args or dev.startswith("-"):
        raise ValueError("expected a config, a file ending in .cfg, with settings; or training data and dev data")
    return from_files(source, Path(dev), lang)


def _print(found: DataReport) -> None:
    header = ("", *found.parts)
    aligns = ("l", *("r" for _ in found.parts))
    msg.table(count_rows(found), header=header, aligns=aligns, divider=True, title="Data")
    msg.table(label_rows(found), header=header, aligns=aligns, divider=True, title="Entities by label")
    for message in found.warnings:
        msg.warn(message)
    for message in found.errors:
        msg.fail(message)
    if found.errors or found.warnings:
        msg.info(f"{len(found.errors)} errors, {len(found.warnings)} warnings")
    else:
        msg.good("Nothing wrong was found")


def count_rows(found: DataReport) -> list[tuple[str, ...]]:
    """The rows of the table of counts, a column for each part."""
    values = [part.to_dict() for part in found.parts.values()]
    rows = {
        "Docs": "docs",
        "  without annotation": "docs_without_annotation",
        "  without entities": "docs_without_entities",
        "  with the text of another": "docs_repeated",
        "Tokens": "tokens",
        "Tokens without annotation": "tokens_missing",
        "Entities": "entities",
    }
    return [(title, *(str(value[key]) for value in values)) for title, key in rows.items()]


def label_rows(found: DataReport) -> list[tuple[str, ...]]:
    """The rows of the table of labels, most frequent in training data first."""
    parts = list(found.parts.values())
    labels = {label for part in parts for label in part.labels}
    ordered = sorted(labels, key=lambda label: (*(-part.labels[label] for part in parts), label))
    return [(label, *(str(part.labels[label]) for part in parts)) for label in ordered]
