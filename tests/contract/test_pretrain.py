"""`spacy pretrain` on the encoder, as the README shows it."""

import json

import numpy as np
import pytest
import spacy
from spacy.cli._util import app as spacy_app
from spacy.training.initialize import init_nlp
from spacy.training.pretrain import pretrain
from spacy.util import load_config
from support.forked import run_spacy
from typer.testing import CliRunner

from spacy_lstm_ner.cli import app

TEXTS = ["Sharon flew to Miami last Friday.", "The board of Nokia met in New York.", "He said no."] * 4
SETTINGS = {"pretraining.component": "lstm_ner", "pretraining.layer": "tok2vec"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory, root):
    """Raw text, a corpus, and configs with a block for pretraining as spaCy fills it in."""
    folder = tmp_path_factory.mktemp("pretrain")
    (folder / "raw.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), "utf8")
    convert = ["convert", str(root / "assets/embedded/dev.txt"), str(folder / "dev.spacy")]
    fill = [
        ["init", "fill-config", str(root / f"configs/{name}.cfg"), str(folder / f"{name}.cfg"), "--pretraining"]
        for name in ("default", "accuracy")
    ]
    for commands, arguments in ((app, convert), *((spacy_app, arguments) for arguments in fill)):
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == 0, result.output
    return folder


def vectors(folder):
    nlp = spacy.blank("en")
    for k, word in enumerate(("miami", "Nokia", "the")):
        nlp.vocab.set_vector(word, np.random.default_rng(k).normal(size=20).astype("float32"))
    nlp.to_disk(folder)
    return str(folder)


CHARACTERS, VECTORS = "spacy.PretrainCharacters.v1", "spacy.PretrainVectors.v1"


@pytest.mark.parametrize(
    "name, objective",
    [
        ("default", CHARACTERS),
        ("accuracy", VECTORS),
        pytest.param("default", VECTORS, marks=pytest.mark.slow),
        pytest.param("accuracy", CHARACTERS, marks=pytest.mark.slow),
    ],
)
def test_pretrained_weights_are_learned_and_taken_over(name, objective, paths, tmp_path):
    overrides = {
        **SETTINGS,
        "paths.raw_text": str(paths / "raw.jsonl"),
        "pretraining.max_epochs": 8,
        "pretraining.batcher.size": 50,
        "paths.train": str(paths / "dev.spacy"),
        "paths.dev": str(paths / "dev.spacy"),
    }
    if name == "accuracy" or "Vectors" in objective:
        overrides["paths.vectors"] = vectors(tmp_path / "vectors")
    config = load_config(paths / f"{name}.cfg", overrides=overrides, interpolate=False)
    if "Vectors" in objective:
        config["pretraining"]["objective"] = {
            "@architectures": objective,
            "maxout_pieces": 3,
            "hidden_size": 30,
            "loss": "cosine",
        }
    (tmp_path / "out").mkdir()
    pretrain(config.interpolate(), tmp_path / "out")
    log = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text("utf8").splitlines()]
    assert log[7]["epoch_loss"] < log[0]["epoch_loss"]

    config["initialize"]["init_tok2vec"] = str(tmp_path / "out/model-last.bin")
    nlp = init_nlp(config.interpolate())
    model = nlp.get_pipe("lstm_ner").model
    loaded = init_nlp(config.interpolate())
    plain_config = config.copy()
    plain_config["initialize"]["init_tok2vec"] = None
    plain = init_nlp(plain_config.interpolate())
    docs = [nlp.make_doc(text) for text in TEXTS[:3]]
    tok2vec = model.get_ref("tok2vec").predict(docs)
    for ours, same, other in zip(
        tok2vec,
        loaded.get_pipe("lstm_ner").model.get_ref("tok2vec").predict(docs),
        plain.get_pipe("lstm_ner").model.get_ref("tok2vec").predict(docs),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, same)
        assert not np.allclose(ours, other, atol=1e-3)


def test_the_commands_of_the_readme(paths, tmp_path, run_env):
    settings = [f"--{key}={value}" for key, value in SETTINGS.items()]
    config, weights, out = str(paths / "default.cfg"), tmp_path / "weights", tmp_path / "out"
    pretraining = ["--paths.raw_text", str(paths / "raw.jsonl"), "--pretraining.max_epochs", "1"]
    training = ["--paths.init_tok2vec", str(weights / "model-last.bin"), "--training.max_steps", "1", "--verbose"]
    training += ["--paths.train", str(paths / "dev.spacy"), "--paths.dev", str(paths / "dev.spacy")]
    for command in (
        ["pretrain", config, str(weights), *pretraining, *settings],
        ["train", config, "-o", str(out), *training, *settings],
    ):
        said, code = run_spacy(*command, folder=tmp_path, env=run_env)
        assert code == 0, said[-6000:]
    assert "Loaded pretrained weights" in said
    assert spacy.load(out / "model-best").pipe_names == ["lstm_ner"]
