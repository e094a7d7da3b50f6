"""One run: train, predict, keep the result. The results in the work folder, and which runs have one."""

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

from spacy_lstm_ner.files import write_atomically
from training import ENV, ROOT, train, write_spacy_config

from .data import ALSO_ON, available, corpus, our_vectors, spacy_vectors, training_file
from .entities import Entity, Scores, by_familiarity, by_type, gold_entities, out_of_domain
from .rows import SPACY, Row, Run, Settings, has_vectors

PACKAGES = ("spacy", "thinc", "numpy", "spacy-lstm-ner")


def load_configs(rows: Iterable[Row], work: Path) -> dict[str, Settings]:
    """The config of each system: of configs/, and the one that `spacy init config` writes."""
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


def result_path(results: Path, run: Run) -> Path:
    """Where the result of a run is kept."""
    return results / f"{run.fingerprint}.json"


def load_result(results: Path, run: Run) -> dict[str, Any] | None:
    """The result of a run; None if it was not done."""
    path = result_path(results, run)
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text("utf8"))
    return result


def perform(run: Run, work: Path, results: Path) -> dict[str, Any]:
    """Train, predict and keep the result, which is written last: a run that was cut off leaves none.

    work: folder for data, vectors and what is trained. results: see `result_path`.

    Raises RuntimeError if a step fails.
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
        "id": run.id,
        "data": run.row.data,
        "share": run.row.share,
        "system": run.system,
        "seed": run.seed,
        "scores": found["scores"],
        "parts": _parts(run, work, found["entities"]),
        "training": training,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": platform.machine(),
    }
    write_atomically(result_path(results, run), (json.dumps(result, indent=1) + "\n").encode())
    return result


def _parts(run: Run, work: Path, found: dict[str, list[Entity]]) -> dict[str, dict[str, Scores]]:
    """Scores by type, of seen and unseen entities, and on the other data set (`out_of_domain`), by name of the part.

    found: the entities that the run found, by data set.
    """
    row = run.row
    own, truth = found[row.data], gold_entities(corpus(work, row.data) / f"{row.scored}.spacy")
    train = gold_entities(corpus(work, row.data) / "train.spacy")
    parts = {"types": by_type(truth, own), "familiarity": by_familiarity(truth, own, train), "out_of_domain": {}}
    other = ALSO_ON.get(row.data)
    if other in found:
        parts["out_of_domain"] = {other: out_of_domain(gold_entities(corpus(work, other) / "dev.spacy"), found[other])}
    return parts


def _predict(run: Run, work: Path, folder: Path) -> dict[str, Any]:
    """Scores on the row's own data, and entities by data set."""
    names = [run.row.data]
    files = [corpus(work, run.row.data) / f"{run.row.scored}.spacy"]
    other = ALSO_ON.get(run.row.data)
    if other is not None and available(other) and not run.on_sentences:
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
