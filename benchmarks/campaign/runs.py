"""One run: train a pipeline, predict with it, and store the result."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from functools import cache, partial
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spacy.util import load_model_from_config
from thinc.api import Config

import corpora
from spacy_lstm_ner.cli.init_config import Optimize, init_config_cli
from training import ENV, ROOT, train, write_spacy_config

from . import augmenters, store
from .augmenters import SWAP_FIRST
from .data import ALSO_ON, corpus, our_vectors, source, spacy_vectors, training_file
from .entities import Entity, Scores, by_familiarity, by_type, gold_entities, out_of_domain
from .rows import SPACY, START, Configs, Row, Run, Settings, configured, has_vectors, put

PACKAGES = ("spacy", "thinc", "numpy", "spacy-lstm-ner")
TIMES = ("cpu_seconds_until_best", "cpu_seconds_in_all")


STARTED, AT_START = "started", "initialize.components.lstm_ner.start"
# The options of `init-config` for systems whose config depends on the training data. The config gets no paths, so it
# only matters whether there are vectors.
FITTED: dict[str, dict[str, Any]] = {
    "fitted": {},
    "fitted-vectors": {"vectors": "vectors", "optimize": Optimize.accuracy},
}


def load_configs(rows: Iterable[Row], work: Path, steps: int | None = None) -> Configs:
    """The config of each system.

    Args:
        rows (Iterable[Row]): The rows whose systems count.
        work (Path): The work folder. It keeps the config of spaCy's `ner`, which `spacy init config` writes.
        steps (int | None): Number of steps of a trial, see `rows.configured`.

    Returns:
        Configs: Configs by name of the system, without paths.
    """
    found: dict[str, Settings | Callable[[Row, int], Settings]] = {}
    for name in sorted({system for row in rows for system in row.systems}):
        if name in FITTED:
            found[name] = partial(_fitted, work, FITTED[name])
        elif name == STARTED:
            found[name] = partial(_started, work, steps)
        else:
            found[name] = _of_file(name, work)
    return found


def _of_file(name: str, work: Path) -> Settings:
    path = ROOT / "configs" / f"{name}.cfg"
    if name == SPACY:
        path = work / "configs" / "spacy.cfg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_spacy_config(path)
    return dict(Config().from_disk(path, interpolate=False))


def _fitted(work: Path, options: Mapping[str, Any], row: Row, seed: int) -> Settings:
    """The config that `init-config` writes for the training documents of a row."""
    if source(row.data) is None:
        raise ValueError(f"the configs of {row.group}/{row.name} depend on its data. {corpora.without(row.data)}")
    return _init_config(training_file(work, row, seed), row.lang, **options)


@cache
def _init_config(train: Path, lang: str, **options: Any) -> Settings:
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        output = Path(folder, "fitted.cfg")
        init_config_cli(output, train, lang=lang, **options)
        config = dict(Config().from_disk(output, interpolate=False))
    return config | {"paths": dict.fromkeys(config["paths"])}


def _started(work: Path, steps: int | None, row: Row, seed: int) -> Settings:
    """The config for a start from START's pipeline with seed 0, whose fingerprint takes the place of its folder."""
    system, base = START.systems[0], _of_file(START.systems[0], work)
    with TemporaryDirectory() as folder:
        # Its settings are needed, but not its weights.
        load_model_from_config(Config(base), auto_fill=True).to_disk(folder)
        config = deepcopy(_fitted(work, {"start": folder}, row, seed))
    put(AT_START, Run(START, system, 0, configured(START, system, base, steps)).fingerprint)(config)
    return config


def perform(run: Run, work: Path, results: Path) -> dict[str, Any]:
    """Train, predict and store the result. A run that is cut off leaves none.

    Args:
        run (Run): What to train.
        work (Path): The folder for data, vectors and pipelines. The trained pipeline is deleted in the end, but that
            of START, which other rows start from, is copied.
        results (Path): The file of results, see `store`.

    Returns:
        dict[str, Any]: The result as it is stored.

    Raises:
        RuntimeError: If a step fails.
        ImportError: If the run needs vectors whose package is not installed.
    """
    name = run.id.replace("/", "-").replace(" ", "_").replace(":", "").replace(",", "")
    folder = work / "training" / name
    config = work / "configs" / f"{name}.cfg"
    config.parent.mkdir(parents=True, exist_ok=True)
    Config(run.config).to_disk(config)
    parts = corpus(work, run.row.data)
    overrides = {
        "paths.train": training_file(work, run.row, run.seed),
        "paths.dev": parts / "dev.spacy",
        "system.seed": run.seed,
        "nlp.lang": run.row.lang,
    }
    if has_vectors(run.config):
        overrides["paths.vectors"] = spacy_vectors(work) if run.system == SPACY else our_vectors(work)
    if (run.config["corpora"]["train"].get("augmenter") or {}).get("@augmenters") == SWAP_FIRST:
        overrides["code"] = Path(augmenters.__file__)
    if run.system == STARTED:
        overrides[AT_START] = model = work / "start" / run.config["initialize"]["components"]["lstm_ner"]["start"]
        if not model.exists():
            raise RuntimeError(
                f"{run.id}: there is no {model}. The training of {START.group}/{START.name} with seed 0 makes it: "
                f"remove its result from {results}, and train it again"
            )
    try:
        training = train(config, folder, overrides)
        found = _predict(run, work, folder)
        if (run.row, run.system, run.seed) == (START, START.systems[0], 0):
            shutil.copytree(folder / "model-best", work / "start" / run.fingerprint, dirs_exist_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        "key": run.fingerprint,
        "id": run.id,
        "scores": found["scores"],
        "conditions": found["conditions"],
        "parts": _parts(run, work, found["entities"]),
        "training": {
            **{name: training[name] for name in ("best_dev_f", *TIMES)},
            "evaluations": [(row["cpu_seconds"], row["f"]) for row in training["evaluations"]],
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": platform.machine(),
    }
    store.add(results, result)
    return result


def _parts(run: Run, work: Path, found: dict[str, list[Entity]]) -> dict[str, dict[str, Scores]]:
    """Scores by type, of seen and unseen entities, and on the other data set. found: entities by data set."""
    row = run.row
    own, truth = found[row.data], gold_entities(corpus(work, row.data) / f"{row.scored}.spacy")
    train = gold_entities(corpus(work, row.data) / "train.spacy")
    parts = {"types": by_type(truth, own), "familiarity": by_familiarity(truth, own, train), "out_of_domain": {}}
    other = ALSO_ON.get(row.data)
    if other in found:
        parts["out_of_domain"] = {other: out_of_domain(gold_entities(corpus(work, other) / "dev.spacy"), found[other])}
    return parts


def _predict(run: Run, work: Path, folder: Path) -> dict[str, Any]:
    """Scores on the row's data, and the predicted entities by data set."""
    names = [run.row.data]
    files = [corpus(work, run.row.data) / f"{run.row.scored}.spacy"]
    other = ALSO_ON.get(run.row.data)
    if other is not None and source(other) and not run.on_sentences:
        names.append(other)
        files.append(corpus(work, other) / "dev.spacy")
    output = folder / "predicted.json"
    command = [sys.executable, "-m", "campaign.predict", str(folder / "model-best"), str(output), *map(str, files)]
    command += ["--on-sentences"] if run.on_sentences else []
    paths = [str(ROOT / "benchmarks"), *filter(None, [ENV.get("PYTHONPATH")])]
    env = ENV | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{run.id}: predicting failed\n{done.stderr[-2000:]}")
    found = json.loads(output.read_text("utf8"))
    entities = [[Entity(*fields) for fields in listed] for listed in found["entities"]]
    return {**found, "entities": dict(zip(names, entities, strict=True))}
