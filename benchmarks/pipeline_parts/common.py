"""What the parts share: one thread, fresh processes that take turns, medians, and what machine it was."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
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
    """What a run works on.

    folder: for the data and the trained pipelines; what is there is used again. train, dev: the data in spaCy's format.
    vectors: static vectors for configs/accuracy.cfg, or None. steps: of a training, or None for what the config says.
    """

    folder: Path
    train: Path
    dev: Path
    vectors: Path | None
    untrained: bool
    steps: int | None


class ChildFailed(RuntimeError):
    """A process of the benchmark ended with an error; the message is the end of what it wrote."""


def call(function: str, **arguments: Any) -> Any:
    """Call `module:function` of this package in a fresh process of one thread.

    RETURNS what it returned, by way of JSON. Raises ChildFailed.
    """
    command = [sys.executable, "-m", "pipeline_parts.child", function, json.dumps(arguments, default=str)]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not lines:
        raise ChildFailed((done.stderr or done.stdout).strip()[-2000:] or f"{function}: no result")
    return json.loads(lines[-1].removeprefix(RESULT))


def in_turn(names: Iterable[str], rounds: int, turn: Callable[[str], Record]) -> dict[str, list[Record]]:
    """`rounds` results of each, who take turns, so that what else the machine does hits all alike."""
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
    """The machine, its software, and how busy it was."""
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
