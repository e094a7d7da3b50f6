"""`spacy train` on one thread, timed, with the evaluations of its log. Not a benchmark itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ENV = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
SCORES = ("ents_p", "ents_r", "ents_f", "ents_token_acc")


class LogReader:
    """Finds the evaluations in the log of `spacy train`. The header of its table names the columns."""

    def __init__(self) -> None:
        self.columns: list[str] = []

    def read(self, line: str) -> tuple[int, float] | None:
        """(step, entity F1 in percent) if the line is an evaluation. Without such a column, its last score counts."""
        # The name of a loss column has a space: LOSS NER.
        fields = line.replace("LOSS ", "LOSS_").split()
        if fields[:2] == ["E", "#"]:
            self.columns = fields
            return None
        if not self.columns or len(fields) != len(self.columns) or not (fields[0] + fields[1]).isdigit():
            return None
        # A tagger has no entities.
        score = "ENTS_F" if "ENTS_F" in self.columns else "SCORE"
        return int(fields[1]), float(fields[self.columns.index(score)])


def train(config: Path, output: Path, overrides: Mapping[str, Any], echo: bool = True) -> dict[str, Any]:
    """Run `spacy train`, and note when it prints each evaluation.

    Args:
        config (Path): The config file.
        output (Path): The folder for model-best.
        overrides (Mapping[str, Any]): Settings by dotted name.
        echo (bool): Print the log.

    Returns:
        dict[str, Any]: `best_dev_f` (percent), `best_step`, wall time and CPU time in seconds until the best evaluation
            and in all, both from the start of the program, and all `evaluations`. CPU time until an evaluation is None
            on systems without /proc.

    Raises:
        RuntimeError: If the training fails. The message has the end of the log.
    """
    command = [sys.executable, "-m", "spacy", "train", str(config), "-o", str(output)]
    for name, value in overrides.items():
        command += [f"--{name}", str(value)]
    log, reader, rows = [], LogReader(), []
    start, cpu_before = time.perf_counter(), _cpu_of_children()
    with subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for line in process.stdout or ():
                log.append(line)
                if echo:
                    print(line, end="", flush=True)
                found = reader.read(line)
                if found is not None:
                    rows.append((*found, time.perf_counter() - start, _cpu_of(process.pid)))
        except BaseException:
            process.kill()
            raise
    if process.returncode or not rows:
        raise RuntimeError(f"{config}: training failed with {' '.join(command)}\n{''.join(log[-30:])}")
    seconds, cpu_seconds = time.perf_counter() - start, _cpu_of_children() - cpu_before
    best = max(rows, key=lambda row: row[1])
    return {
        "best_dev_f": best[1],
        "best_step": best[0],
        "seconds_until_best": round(best[2], 1),
        "seconds_in_all": round(seconds, 1),
        "cpu_seconds_until_best": best[3],
        "cpu_seconds_in_all": round(cpu_seconds, 1),
        "evaluations": [
            {"f": f, "step": step, "seconds": round(wall, 1), "cpu_seconds": cpu} for step, f, wall, cpu in rows
        ],
    }


def shorten(training: Any, steps: int) -> None:
    """Make a config's training block end after `steps`, and scale its learning rate schedule accordingly."""
    training.update(max_steps=steps, eval_frequency=min(steps, training["eval_frequency"]))
    rate = training["optimizer"].get("learn_rate")
    # Our own schedule has its warm-up as a share of max_steps.
    if isinstance(rate, dict) and "warmup_steps" in rate:
        rate.update(warmup_steps=rate["warmup_steps"] * steps // rate["total_steps"], total_steps=steps)


def _cpu_of(pid: int) -> float | None:
    """CPU time of a running process so far, in seconds."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return None
    # User and system time are fields 14 and 15. The name before them can have spaces.
    fields = path.read_text().rpartition(")")[2].split()
    return round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 1)


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def seconds_until(f: float, evaluations: Iterable[tuple[float | None, float]]) -> float | None:
    """When a training first reached a score.

    Args:
        f (float): The score, in percent.
        evaluations (Iterable[tuple[float | None, float]]): Seconds since the start and score of each evaluation.

    Returns:
        float | None: Seconds, or None if the score was not reached.
    """
    return next((seconds for seconds, score in evaluations if score >= f), None)


def evaluate(model: Path, data: Path, output: Path) -> dict[str, Any]:
    """Scores of a trained pipeline by `spacy lstm-ner evaluate`, which writes all of them to `output`."""
    command = [sys.executable, "-m", "spacy", "lstm-ner", "evaluate", str(model), str(data), "--output", str(output)]
    subprocess.run(command, env=ENV, check=True, stdout=subprocess.DEVNULL)
    scores = json.loads(output.read_text())
    return {name: scores[name] for name in SCORES if name in scores}


def write_spacy_config(target: Path, *options: str) -> None:
    """Write the config of spaCy's `ner` by `spacy init config -p ner -o efficiency`, with more options if given."""
    command = [sys.executable, "-m", "spacy", "init", "config", str(target), "-p", "ner", "-o", "efficiency", "-F"]
    command += options
    subprocess.run(command, check=True, env=ENV, stdout=subprocess.DEVNULL)
