"""Train pipelines on the same data, and compare what they get right, their speed, their size and their memory.

Each training and each turn is a process of its own with one thread. Times are processor time. For the speed, pipelines
take turns, so that other programs slow all of them alike; the figure is the median of the turns.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Callable, Optional

import numpy as np

from ..threads import ONE_THREAD_ENV
from . import bootstrap
from .counts import Counts

LINES_SHOWN = 12
"""Of the output of a process that fails."""
Step = Callable[[str], AbstractContextManager[None]]
"""Makes a block for a piece of work, from its name."""


@dataclass
class Contestant:
    """A pipeline in a comparison.

    Attributes:
        name (str): Its name in the table.
        model (str): Its folder or package. If it is trained, the folder that training writes.
        config (Optional[Path]): The config to train it with. None if it is trained already.
        seconds (Optional[float]): The processor time of its training.
        turns (list[dict[str, Any]]): What `contestant.take_turn` returned.
    """

    name: str
    model: str
    config: Optional[Path] = None
    seconds: Optional[float] = None
    turns: list[dict[str, Any]] = field(default_factory=list)


def train(contestant: Contestant, data: tuple[Path, Path], more: Sequence[str]) -> None:
    """Train a contestant with `spacy train`, and note the processor time.

    Args:
        contestant (Contestant): The contestant, with a config.
        data (tuple[Path, Path]): Training and dev data.
        more (Sequence[str]): More options of `spacy train`.

    Raises:
        ValueError: If training fails. The message has the end of its output.
    """
    output, paths = Path(contestant.model).parent, ("--paths.train", data[0], "--paths.dev", data[1])
    start = _clock()
    _run(f"training {contestant.name}", "spacy", "train", contestant.config, "--output", output, *paths, *more)
    contestant.seconds = _clock() - start


def _clock() -> float:
    """The processor time of child processes that have ended. On Windows, which has none: the time that passes."""
    times = os.times()
    return time.perf_counter() if os.name == "nt" else times.children_user + times.children_system


def measure(contestants: Sequence[Contestant], dev: Path, rounds: int, code: Optional[Path], step: Step) -> None:
    """Let the contestants take turns. They are scored in the first one.

    Args:
        contestants (Sequence[Contestant]): The contestants, trained.
        dev (Path): Annotated data.
        rounds (int): The number of turns of each.
        code (Optional[Path]): A Python file to import first.
        step (Step): Shows the progress.

    Raises:
        ValueError: If a pipeline cannot be loaded or scored.
    """
    for number in range(rounds):
        for own in contestants:
            what = f"{own.name}, turn {number + 1}"
            options = ("time" if number else "score", *([] if code is None else [code]))
            with step(what):
                said = _run(what, f"{__package__}.contestant", own.model, dev, *options)
            own.turns.append(json.loads(said.splitlines()[-1]))


def _run(what: str, *command: Any) -> str:
    """Run a Python module in a process of its own. Returns its output."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        env={**os.environ, **ONE_THREAD_ENV, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()
        raise ValueError("\n".join([f"{what} failed:", *lines[-LINES_SHOWN:]]))
    return done.stdout


def figures(contestants: Sequence[Contestant], samples: int, seed: int) -> list[dict[str, Any]]:
    """Compute the row of each contestant.

    Args:
        contestants (Sequence[Contestant]): The contestants after their turns.
        samples (int): The number of samples of the bootstrap.
        seed (int): Its seed.

    Returns:
        list[dict[str, Any]]: The rows, in the order of the contestants.
    """
    counts = [np.array(own.turns[0]["counts"], dtype=np.int64) for own in contestants]
    sums = [Counts(*own.sum(axis=0).tolist()).figures() for own in counts]
    best = max(range(len(sums)), key=lambda number: sums[number]["f"] or 0.0)
    rows = []
    for number, (own, its, scores) in enumerate(zip(contestants, counts, sums, strict=True)):
        (limits,) = bootstrap.intervals(its[:, None], samples, seed)
        against = None if number == best else bootstrap.compare(its, counts[best], samples, seed)
        rows.append({"name": own.name, **scores, **limits, "against_best": against, **_costs(own)})
    return rows


def _costs(own: Contestant) -> dict[str, Any]:
    turns, peaks = own.turns, [turn["peak"] for turn in own.turns]
    return {
        "words_per_second": median(turn["words"] / turn["again"] for turn in turns),
        "words_per_second_first": median(turn["words"] / turn["first"] for turn in turns),
        "training_seconds": own.seconds,
        "bytes": turns[0]["size"],
        "peak_bytes": None if None in peaks else median(peaks),
        "turns": [{key: turn[key] for key in ("words", "first", "again", "peak")} for turn in turns],
    }


HEADER = (
    "Pipeline",
    "F1",
    "95 % interval",
    "Less than best",
    "Words/s, first pass",
    "Words/s, second pass",
    "Training",
    "MB on disk",
    "MB of memory",
)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Write a row of the table.

    Args:
        row (dict[str, Any]): The row of `figures`.

    Returns:
        tuple[str, ...]: A cell for each title of HEADER. Figures that there are not are a dash.
    """
    against, limits, seconds = row["against_best"], row["f_interval"], row["training_seconds"]
    less = "-"
    if against is not None and against["p_value"] is not None:
        less = f"{abs(100 * against['difference']):.2f} (p = {against['p_value']:.3f})"
    return (
        row["name"],
        "-" if row["f"] is None else f"{100 * row['f']:.2f}",
        "-" if limits is None else f"{100 * limits[0]:.1f} to {100 * limits[1]:.1f}",
        less,
        *(f"{row[key]:,.0f}" for key in ("words_per_second_first", "words_per_second")),
        "-" if seconds is None else f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min",
        *("-" if row[key] is None else f"{row[key] / 1e6:.1f}" for key in ("bytes", "peak_bytes")),
    )
