"""What the parts share: new processes of one thread that take turns, medians, and facts about the machine."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

BENCHMARKS = Path(__file__).parent.parent
ROOT = BENCHMARKS.parent
VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
ENV = {**os.environ, **dict.fromkeys(VARIABLES, "1"), "PYTHONPATH": str(BENCHMARKS), "TOKENIZERS_PARALLELISM": "false"}
RESULT = "RESULT "
PACKAGES = ("spacy", "thinc", "numpy", "torch", "flair", "stanza", "spacy-lstm-ner")

Record = dict[str, Any]


class Work(NamedTuple):
    """Data and settings of a run.

    Attributes:
        folder (Path): The work folder for data and pipelines. What it has is used again.
        train (Path): Training data in spaCy's format.
        dev (Path): Dev data in spaCy's format.
        vectors (Path | None): Static vectors for configs/accuracy.cfg. None makes random ones.
        untrained (bool): Initialize pipelines instead of training them.
        steps (int | None): Steps of a training, at most. None means those of the config.
    """

    folder: Path
    train: Path
    dev: Path
    vectors: Path | None
    untrained: bool
    steps: int | None


class ChildFailed(RuntimeError):
    """A process of the benchmark failed. The message is the end of its output."""


def call(function: str, env: Mapping[str, str] = ENV, **arguments: Any) -> Any:
    """Call a function of this package in a new process, by default of one thread.

    Args:
        function (str): `module:function`.
        env (Mapping[str, str]): The environment of the process.
        **arguments (Any): Its arguments, which become JSON.

    Returns:
        Any: What it returned, read from JSON.

    Raises:
        ChildFailed: If the process fails.
    """
    command = [sys.executable, "-m", "pipeline_parts.child", function, json.dumps(arguments, default=str)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not lines:
        raise ChildFailed((done.stderr or done.stdout).strip()[-2000:] or f"{function}: no result")
    return json.loads(lines[-1].removeprefix(RESULT))


def in_turn(names: Iterable[str], rounds: int, turn: Callable[[str], Record]) -> dict[str, list[Record]]:
    """Results of several rounds. Contestants take turns, so that other programs slow all of them alike.

    Args:
        names (Iterable[str]): The contestants.
        rounds (int): Turns of each.
        turn (Callable[[str], Record]): Runs one turn of a contestant.

    Returns:
        dict[str, list[Record]]: The result of each turn by contestant.
    """
    found: dict[str, list[Record]] = {name: [] for name in names}
    for number in range(rounds):
        for name in found:
            found[name].append(turn(name))
            print(f"  round {number + 1}: {name} {found[name][-1]}", flush=True)
    return found


def median(results: list[Record], key: str) -> float:
    return statistics.median(result[key] for result in results)


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def machine() -> Record:
    """Facts about the machine and its software, and its load."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": 1,
        "load_before": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    for line in about.read_text().splitlines() if about.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
