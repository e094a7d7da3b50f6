"""Sweeps: trainings with several values of settings and several seeds, side by side with Ray Tune, the extra `ray`.

Each training is a trial, with a folder of its own:

manifest.json  All that its scores depend on: its config, and the checksums of its data.
config.cfg     Its config. `spacy train` runs with it in a process of its own, with one thread.
log.txt        What this process prints.
pipelines/     model-best and model-last of a training that has ended.
result.json    The scores of model-best. It is written last: a trial with this file is done.
"""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby, product
from pathlib import Path
from statistics import fmean, stdev
from threading import Thread
from typing import Any, Optional, TextIO

from spacy.cli._util import _parse_override, setup_cli
from spacy.training.loop import DIR_MODEL_BEST
from spacy.util import ENV_VARS, load_config, load_model_from_config
from thinc.api import Config

from ..files import check_manifest, checksum, flat, remove_folder, replaced_folder, write_atomically
from ..ray_cluster import connected
from ..threads import ONE_THREAD_ENV
from .logger import to_svg

SEED = "training.seed"
CONFIG, LOG, _PIPELINES, _RESULT = "config.cfg", "log.txt", "pipelines", "result.json"
_TUNE = ".tune"
_RETRIES = 2
"""How often a trial is started again if Ray loses its process or its machine. One that fails by itself is not."""


@dataclass(frozen=True)
class Trial:
    """A training of a sweep.

    Attributes:
        folder (Path): Its folder.
        setting (dict[str, Any]): The values of the settings in the sweep, by dotted name.
        seed (int): Its seed.
    """

    folder: Path
    setting: dict[str, Any]
    seed: int

    def __str__(self) -> str:
        return ", ".join([*(f"{name}={value}" for name, value in self.shown), f"seed {self.seed}"])

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Settings and values as they are shown: only the last two parts of a name."""
        values = (value if isinstance(value, str) else json.dumps(value) for value in self.setting.values())
        return list(zip((".".join(name.split(".")[-2:]) for name in self.setting), values, strict=True))

    @property
    def scores(self) -> Optional[dict[str, Any]]:
        """The content of result.json; None if the trial is not done."""
        path = self.folder / _RESULT
        return json.loads(path.read_bytes()) if path.exists() else None


@dataclass(frozen=True)
class Row:
    """The trials with the same setting.

    Attributes:
        trials (list[Trial]): The trials, one for each seed.
    """

    trials: list[Trial]

    @property
    def scores(self) -> list[float]:
        """The scores on the dev data of the trials that are done, as `spacy train` prints them, from 0 to 1."""
        return [trial.scores["score"] for trial in self.trials if trial.scores is not None]

    @property
    def mean(self) -> Optional[float]:
        return fmean(self.scores) if self.scores else None

    @property
    def sd(self) -> Optional[float]:
        """The standard deviation of the sample; None with less than two seeds."""
        return stdev(self.scores) if len(self.scores) > 1 else None


def read_settings(given: Sequence[str]) -> dict[str, list[Any]]:
    """Read settings such as `training.dropout=0.1,0.2`.

    Args:
        given (Sequence[str]): A name and values each. The values are those of a config, with commas between; strings
            need no quotes.

    Returns:
        dict[str, list[Any]]: The values by dotted name.

    Raises:
        ValueError: If one has another form, or is there twice.
    """
    found: dict[str, list[Any]] = {}
    for text in given:
        name, _, values = text.partition("=")
        if "." not in name or not values:
            raise ValueError(f"expected --set such as training.dropout=0.1,0.2, found {text!r}")
        if name in (SEED, "system.seed"):
            raise ValueError(f"expected the number of seeds by --seeds, found --set {text}")
        try:
            own = json.loads(f"[{values}]")
        except ValueError:
            own = [_parse_override(value) for value in values.split(",")]
        if name in found or any(value in own[:k] for k, value in enumerate(own)):
            raise ValueError(f"expected each setting and each value once, found --set {text} after others")
        found[name] = own
    return found


def plan(
    path: Path,
    output: Path,
    settings: Mapping[str, Sequence[Any]],
    seeds: int,
    overrides: Mapping[str, Any],
    code: Optional[Path] = None,
) -> list[Trial]:
    """Make the folders of the trials, or compare those of an earlier run.

    Args:
        path (Path): The config.
        output (Path): The folder of the sweep.
        settings (Mapping[str, Sequence[Any]]): The values of each setting. All combinations are tried.
        seeds (int): The number of seeds: 0, 1, and so on.
        overrides (Mapping[str, Any]): Settings that all trials have in place of those of the config.
        code (Optional[Path]): A Python file to import first.

    Returns:
        list[Trial]: The trials, done or not.

    Raises:
        ValueError: If the config is not valid or has no such setting, or if an earlier run had another config or data.
    """
    known = flat(load_model_from_config(_load(path, overrides), auto_fill=True).config)
    for name in settings:
        # spaCy takes no notice of unknown names in [training].
        if name in overrides or name not in known:
            why = "is set for all trials too" if name in overrides else f"is no setting of {path}"
            raise ValueError(f"--set {name} {why}")
    trials, sums = [], dict[str, str]()
    for values, seed in product(product(*settings.values()), range(seeds)):
        setting = dict(zip(settings, values, strict=True))
        trial = Trial(_folder(output.absolute() / "trials", setting, seed), setting, seed)
        config = _load(path, {**overrides, **setting, SEED: seed})
        whole = flat(config.interpolate())
        manifest = {"config": whole, "data": _checksums(whole, sums), "code": code and checksum(code)}
        check_manifest(trial.folder, json.loads(json.dumps(manifest)))
        write_atomically(trial.folder / CONFIG, config.to_bytes())
        trials.append(trial)
    return trials


def _load(path: Path, overrides: Mapping[str, Any]) -> Config:
    try:
        return load_config(path, overrides=dict(overrides), interpolate=False)
    except ValueError as error:
        raise ValueError(f"{path} is no config for this: {' '.join(str(error).split())}") from error


def _folder(parent: Path, setting: dict[str, Any], seed: int) -> Path:
    """A folder with a name that says which trial it is, and that no other setting has."""
    words = re.sub(r"[^\w.=]+", "-", str(Trial(parent, setting, seed)))[:80]
    return parent / f"{words}-{sha256(json.dumps([setting, seed], sort_keys=True).encode()).hexdigest()[:8]}"


def _checksums(config: Mapping[str, Any], known: dict[str, str]) -> dict[str, str]:
    """The checksums of the files and folders that a config names. Those that are known are not read again."""
    found = {}
    for name, value in config.items():
        is_place = name.startswith(("paths.", "corpora.", "initialize.")) or name.endswith(".source")
        if is_place and isinstance(value, str) and value and Path(value).exists():
            known[value] = found[value] = known.get(value) or checksum(Path(value))
    return found


def run(
    trials: Sequence[Trial],
    workers: int = 0,
    address: Optional[str] = None,
    code: Optional[Path] = None,
    progress: Optional[TextIO] = None,
) -> dict[str, str]:
    """Train the trials that are not done, side by side, each on one core.

    Args:
        trials (Sequence[Trial]): The trials of one sweep.
        workers (int): How many to train at a time; 0 for one on each core.
        address (Optional[str]): The address of a Ray cluster that sees the same files; None for this machine.
        code (Optional[Path]): A Python file that `spacy train` imports first.
        progress (Optional[TextIO]): Where to print a line for each trial that ends; None for stderr.

    Returns:
        dict[str, str]: Why trials have failed, by the names of their folders.

    Raises:
        ConnectionError: If there is no cluster at this address.
    """
    todo = {trial.folder.name: trial for trial in trials if trial.scores is None}
    if not todo:
        return {}
    errors: dict[str, str] = {}
    ended, place, here = len(trials) - len(todo), trials[0].folder.parent, os.getcwd()

    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"error": train_alone(place / config["name"], code and code.absolute(), here)}

    def on_end(name: str, error: Optional[str]) -> None:
        nonlocal ended
        ended += 1
        scores = todo[name].scores
        if scores is None:
            errors[name] = error or "it ended without scores"
        told = f"failed: {errors[name]}" if scores is None else f"score {100 * scores['score']:.2f}"
        print(f"{ended} of {len(trials)} trials, {todo[name]}: {told}", file=progress or sys.stderr, flush=True)

    with connected(address, workers):
        _tune(train, list(todo), place.parent, workers, on_end)
    return errors


def _tune(
    train: Callable[[dict[str, Any]], dict[str, Any]],
    names: list[str],
    output: Path,
    workers: int,
    on_end: Callable[[str, Optional[str]], None],
) -> None:
    """Let Ray Tune call a function with each name, and note how the calls end."""
    from ray import tune

    class Progress(tune.Callback):
        on_end: Callable[[str, Optional[str]], None]

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.on_end(trial.config["name"], trial.last_result.get("error"))

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.on_end(trial.config["name"], str(trial.get_error()).strip().splitlines()[-1])

        def __getstate__(self) -> dict[str, Any]:
            # Tune saves callbacks. What this one writes to may be a file, which cannot be saved.
            return {}

    progress = Progress()
    progress.on_end = on_end
    remove_folder(output / _TUNE)
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"name": tune.grid_search(names)},
        tune_config=tune.TuneConfig(max_concurrent_trials=workers or None),
        run_config=tune.RunConfig(
            name=_TUNE,
            storage_path=str(output),
            failure_config=tune.FailureConfig(max_failures=_RETRIES),
            callbacks=[progress],
            verbose=0,
        ),
    )
    # It prints some tables even so.
    with redirect_stdout(io.StringIO()):
        tuner.fit()
    remove_folder(output / _TUNE)


def train_alone(folder: Path, code: Optional[Path], here: str) -> Optional[str]:
    """Train a trial with `spacy train` in a process of its own, with one thread, and write its result.

    Args:
        folder (Path): The folder of the trial.
        code (Optional[Path]): A Python file to import first.
        here (str): The folder that relative paths in the config start from.

    Returns:
        Optional[str]: Why training has failed; None if it has not.
    """
    # The config has what this variable says already, and with it settings of the sweep would have other values.
    env = {name: value for name, value in os.environ.items() if name != ENV_VARS.CONFIG_OVERRIDES}
    env |= {**ONE_THREAD_ENV, "PYTHONIOENCODING": "utf-8", "ANSI_COLORS_DISABLED": "1"}
    try:
        with replaced_folder(folder / _PIPELINES) as new, (folder / LOG).open("wb") as log:
            command = [sys.executable, "-m", __name__, "train", str(folder / CONFIG), "--output", str(new)]
            command += [] if code is None else ["--code", str(code)]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, env=env, cwd=here, stdin=pipe, stdout=log, stderr=log) as process:
                exit_code = process.wait()
            if exit_code:
                raise ChildProcessError(f"{_last_error(folder / LOG)} (exit code {exit_code})")
            meta = json.loads((new / DIR_MODEL_BEST / "meta.json").read_bytes())
            weights = load_config(new / DIR_MODEL_BEST / "config.cfg")["training"]["score_weights"]
    except ChildProcessError as error:
        return str(error)
    scores = meta["performance"]
    score = sum(scores.get(name, 0.0) * weight for name, weight in weights.items() if weight is not None)
    write_atomically(folder / _RESULT, json.dumps({"score": score, **scores}, indent=2).encode("utf-8"))
    return None


def _last_error(log: Path) -> str:
    """The last line of a traceback, or the last message of spaCy with the line behind it."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith("✘"):
            lines = [": ".join([line.removeprefix("✘").strip(), *lines[number + 1 : number + 2]])]
            break
    return " ".join((lines or ["no output"])[-1].split())


def tabulate(trials: Sequence[Trial]) -> list[Row]:
    """Put the scores of each setting together.

    Args:
        trials (Sequence[Trial]): The trials of a sweep.

    Returns:
        list[Row]: The settings, the one with the highest mean first. Those with trials that have failed are behind the
            others, since their means are of other seeds.
    """
    rows = [Row(list(own)) for _, own in groupby(trials, lambda trial: trial.setting)]
    return sorted(rows, key=lambda row: (-len(row.scores), -(row.mean or 0.0)))


def draw(rows: Sequence[Row]) -> bytes:
    """Draw the score of each trial, and mean and standard deviation of each setting. It needs matplotlib.

    Args:
        rows (Sequence[Row]): The settings.

    Returns:
        bytes: An SVG image.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        if row.mean is not None:
            axes.plot([100 * score for score in row.scores], [place] * len(row.scores), "o", alpha=0.4, color="C0")
            axes.errorbar(100 * row.mean, place, xerr=100 * (row.sd or 0.0), fmt="|", capsize=4, color="C1")
    names = [", ".join(map("=".join, row.trials[0].shown)) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set(xlabel="dev score in percent, and mean ± sd", ylim=(len(rows) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)
    return to_svg(figure, "Scores of a sweep")


def _train_while_watched() -> None:
    """Run spaCy's command with the arguments of this process. End when stdin does, so as not to survive a sweep."""

    def watch() -> None:
        # Not sys.stdin, whose lock would stop Python at the end of training.
        os.read(0, 1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
    setup_cli()


if __name__ == "__main__":
    _train_while_watched()
