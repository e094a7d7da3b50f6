"""The command `python -m spacy lstm-ner debug-data`."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.cli._util import import_code, parse_config_overrides
from wasabi import msg

from ..data.data_report import DataReport
from ..training.data_sources import DataSources, report_data, sources_from_config, sources_from_files
from .app import app, exit_on_error, print_numbers, write_json


@app.command("debug-data", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def debug_data_cli(
    ctx: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(metavar="CONFIG|TRAIN", help="Training config, or training data: a file or a folder"),
    ],
    dev: Annotated[
        Optional[str], typer.Argument(metavar="DEV", help="Dev data, if the first argument is training data")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the data, if there is no config")] = "en",
    component: Annotated[
        Optional[str],
        typer.Option(
            "--component", "-p", help="Name of the lstm_ner component in the config; by default the first one"
        ),
    ] = None,
    code: Annotated[
        Optional[Path], typer.Option("--code", "-c", help="Python file with functions to register, imported first")
    ] = None,
    json_path: Annotated[Optional[Path], typer.Option("--json", help="JSON file to write the report to")] = None,
) -> None:
    """Check training and dev data for problems before training.

    Prints the numbers of docs, tokens and entities, and then warnings and errors. The exit code is 1 if there are
    errors, and 0 if there are only warnings. With a config, the data is read as in training; override settings with
    options such as --paths.train corpus/train.spacy.
    """
    with exit_on_error(f"Cannot check the data of {source}", not_found="Cannot find the data"):
        import_code(code)
        found = report_data(_sources(ctx, source, dev, lang, component))
    _print(found)
    if json_path is not None:
        write_json(json_path, found.to_dict())
        msg.good(f"Report written to {json_path}")
    if found.errors:
        raise typer.Exit(1)


def _sources(ctx: typer.Context, source: Path, dev: Optional[str], lang: str, component: Optional[str]) -> DataSources:
    """The data that the arguments name."""
    if source.suffix == ".cfg":
        # With a config, the first setting is parsed as the dev data.
        settings = ctx.args if dev is None else [dev, *ctx.args]
        if settings and not settings[0].startswith("--"):
            raise ValueError(f"a config names its own dev data, but {settings[0]} was given too")
        return sources_from_config(source, parse_config_overrides(settings), component)
    if dev is None or ctx.args or dev.startswith("-"):
        raise ValueError("expected a config (a file ending in .cfg) with settings, or training data and dev data")
    return sources_from_files(source, Path(dev), lang)


def _print(found: DataReport) -> None:
    header = ("", *found.parts)
    print_numbers(count_rows(found), header, "Data")
    print_numbers(label_rows(found), header, "Entities by label")
    for message in found.warnings:
        msg.warn(message)
    for message in found.errors:
        msg.fail(message)
    if found.errors or found.warnings:
        msg.info(f"{len(found.errors)} errors, {len(found.warnings)} warnings")
    else:
        msg.good("No problems found")


def count_rows(found: DataReport) -> list[tuple[str, ...]]:
    """List the rows of the table of counts.

    Args:
        found (DataReport): The report.

    Returns:
        list[tuple[str, ...]]: A name and the counts, one for each part of the data.
    """
    values = [part.to_dict() for part in found.parts.values()]
    facts = [part.facts for part in found.parts.values()]
    rows = {
        "Docs": "docs",
        "  without annotation": "docs_without_annotation",
        "  without entities": "docs_without_entities",
        "  with a repeated text": "docs_repeated",
        "Tokens": "tokens",
        "Tokens without annotation": "tokens_missing",
        "Entities": "entities",
    }
    return [
        *((title, *(str(value[key]) for value in values)) for title, key in rows.items()),
        ("  with other tokens in raw text", *(str(part.retokenized.count) for part in found.parts.values())),
        ("Tokens per doc", *(f"{part.tokens_per_doc:.1f}" for part in facts)),
        ("Sentences per doc", *(f"{part.sentences_per_doc:.1f}" for part in facts)),
        ("Entities with a capital", *(f"{part.capital_names:.0%}" for part in facts)),
        ("Other words with a capital", *(f"{part.capital_words:.0%}" for part in facts)),
    ]


def label_rows(found: DataReport) -> list[tuple[str, ...]]:
    """List the rows of the table of labels.

    Args:
        found (DataReport): The report.

    Returns:
        list[tuple[str, ...]]: A label and its number of entities in each part of the data, the most frequent label in
            the training data first.
    """
    parts = list(found.parts.values())
    labels = {label for part in parts for label in part.labels}
    ordered = sorted(labels, key=lambda label: (*(-part.labels[label] for part in parts), label))
    return [(label, *(str(part.labels[label]) for part in parts)) for label in ordered]
