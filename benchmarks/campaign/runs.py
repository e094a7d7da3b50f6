"""One run: train a pipeline, predict with it, and store the result."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thinc.api import Config

from training import ENV, ROOT, train, write_spacy_config

from . import store
from .data import ALSO_ON, corpus, our_vectors, source, spacy_vectors, training_file
from .entities import Entity, Scores, by_familiarity, by_type, gold_entities, out_of_domain
from .rows import SPACY, Row, Run, Settings, has_vectors

PACKAGES = ("spacy", "thinc", "numpy", "spacy-lstm-ner")
TIMES = ("cpu_seconds_until_best", "cpu_seconds_in_all")


def load_configs(rows: Iterable[Row], work: Path) -> dict[str, Settings]:
    """The config of each system.

    Args:
        rows (Iterable[Row]): The rows whose systems count.
        work (Path): The work folder. It keeps the config of spaCy's `ner`, which `spacy init config` writes.

    Returns:
        dict[str, Settings]: Configs by name of the system.
    """
    found: dict[str, Settings] = {}
    for name in sorted({system for row in rows for system in row.systems}):
        path = ROOT / "configs" / f"{name}.cfg"
        if name == SPACY:
            path = work / "configs" / "spacy.cfg"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_spacy_config(path)
        found[name] = dict(Config().from_disk(path, interpolate=False))
    return found


def perform(run: Run, work: Path, results: Path) -> dict[str, Any]:
    """Train, predict and store the result. A run that is cut off leaves none.

    Args:
        run (Run): What to train.
        work (Path): The folder for data, vectors and pipelines. The trained pipeline is deleted in the end.
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
        "paths.train": training_file(work, run.row.data, run.row.share, run.seed),
        "paths.dev": parts / "dev.spacy",
        "system.seed": run.seed,
    }
    if has_vectors(run.config):
        overrides["paths.vectors"] = spacy_vectors(work) if run.system == SPACY else our_vectors(work)
    try:
        training = train(config, folder, overrides)
        found = _predict(run, work, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        "key": run.fingerprint,
        "id": run.id,
        "scores": found["scores"],
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
    return {"scores": found["scores"], "entities": dict(zip(names, entities, strict=True))}
