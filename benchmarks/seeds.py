"""Results of several seeds of a pipeline, whose folders have names such as NAME-0, NAME-1. Not a benchmark itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from campaign.report import number
from campaign.summary import mean_and_sd

Results = dict[str, dict[str, Any]]


def store(output: Path, results: Mapping[str, Mapping[str, Any]]) -> Results:
    """Add results to a file. Results that it has of the same pipelines stay where the new ones have nothing.

    Args:
        output (Path): The JSON file. It need not exist.
        results (Mapping[str, Mapping[str, Any]]): The figures of each pipeline, by the name of its folder.

    Returns:
        Results: All results of the file.
    """
    found: Results = json.loads(output.read_text("utf8")) if output.exists() else {}
    for name, own in results.items():
        found[name] = {**found.get(name, {}), **own}
    if results:
        output.parent.mkdir(exist_ok=True)
        output.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", "utf8")
    return found


def by_pipeline(results: Results) -> dict[str, list[dict[str, Any]]]:
    """The figures of the seeds of each pipeline, by its name without the seed."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, own in sorted(results.items()):
        found.setdefault(name.rpartition("-")[0] or name, []).append(own)
    return found


def cell(runs: Sequence[Mapping[str, Any]], *path: str, digits: int = 3, scale: int = 1) -> str:
    """Mean ± standard deviation of a figure over the seeds that have it.

    Args:
        runs (Sequence[Mapping[str, Any]]): The figures of each seed.
        path (str): Where the figure is.
        digits (int): Digits behind the point.
        scale (int): Factor for both numbers.

    Returns:
        str: The text of a cell of a table.
    """

    def look_up(value: Any) -> float | None:
        for key in path:
            value = value.get(key) if value is not None else None
        return value

    return number(mean_and_sd(look_up(run) for run in runs), digits, scale)


def title(name: str, runs: Sequence[Any]) -> str:
    """A row's title: the name of the pipeline, and the number of its seeds."""
    return f"{name} ({len(runs)} seed{'s' * (len(runs) > 1)})"
