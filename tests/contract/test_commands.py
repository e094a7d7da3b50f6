"""spaCy's commands, as a user types them, with this component in the config."""

import json
import re
import subprocess
import sys

import pytest
import spacy
from spacy import displacy
from spacy.cli import app
from spacy.cli.find_threshold import find_threshold
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from support.shared_tok2vec import GOLD, TEXTS
from support.small import entities, examples_for, learned
from thinc.api import Config
from typer.testing import CliRunner


def run(*words):
    """RETURNS: what the command `spacy` prints with these words behind it."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, a trained pipeline, and the configs that `init config` and `init fill-config` make."""
    folder = tmp_path_factory.mktemp("commands")
    nlp = learned()
    nlp.to_disk(folder / "model")
    docs = [example.reference for example in examples_for(nlp)]
    for doc in docs:
        doc.spans["sc"] = list(doc.ents)
    DocBin(docs=docs).to_disk(folder / "corpus.spacy")
    run("init", "config", folder / "init.cfg", "-p", "lstm_ner", "--lang", "en")
    (folder / "partial.cfg").write_text(
        '[nlp]\nlang = "en"\npipeline = ["x"]\n[components]\n[components.x]\nfactory = "lstm_ner"\n'
    )
    run("init", "fill-config", folder / "partial.cfg", folder / "filled.cfg")
    return folder


@pytest.fixture(scope="module")
def default():
    """The component's part of a config, every default filled in."""
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    return nlp.config["components"]["lstm_ner"]


def paths(folder):
    return ["--paths.train", folder / "corpus.spacy", "--paths.dev", folder / "corpus.spacy"]


def test_init_config_gives_a_pipeline_with_a_model_of_its_own(folder, default):
    config = Config().from_disk(folder / "init.cfg")
    assert config["nlp"]["pipeline"] == ["lstm_ner"]
    assert config["components"]["lstm_ner"] == default
    assert config["training"]["score_weights"]["ents_f"] == 1.0
    run("debug", "config", folder / "init.cfg", *paths(folder))


def test_init_config_for_accuracy_and_among_others(folder, default, tmp_path):
    run("init", "config", tmp_path / "a.cfg", "-p", "tagger,lstm_ner", "--lang", "de", "--optimize", "accuracy")
    config = load_config(tmp_path / "a.cfg")
    assert config["nlp"]["pipeline"] == ["tok2vec", "tagger", "lstm_ner"]
    assert config["components"]["lstm_ner"] == default


def test_fill_config_is_complete_and_stays_as_it_is(folder, default, tmp_path):
    config = Config().from_disk(folder / "filled.cfg")
    component = config["components"]["x"]
    assert component == default
    run("init", "fill-config", folder / "filled.cfg", tmp_path / "again.cfg")
    assert Config().from_disk(tmp_path / "again.cfg") == config
    nlp = spacy.util.load_model_from_config(load_config(folder / "filled.cfg"), auto_fill=False, validate=True)
    assert nlp.config["components"]["x"] == component


def test_fill_config_keeps_a_model_that_is_given(folder, tmp_path):
    text = (folder / "partial.cfg").read_text()
    model = '[components.x.model]\n@architectures = "spacy-lstm-ner.LSTMTagger.v1"\n'
    listener = '[components.x.model.tok2vec]\n@architectures = "spacy.Tok2VecListener.v1"\nwidth = 96\n'
    (tmp_path / "in.cfg").write_text(text + model + listener)
    run("init", "fill-config", tmp_path / "in.cfg", tmp_path / "out.cfg")
    filled = Config().from_disk(tmp_path / "out.cfg")["components"]["x"]["model"]
    assert filled["tok2vec"]["@architectures"] == "spacy.Tok2VecListener.v1"
    assert {"head", "scheme"} <= set(filled)


def test_init_labels_are_read_back(folder, tmp_path):
    run("init", "labels", folder / "init.cfg", tmp_path, *paths(folder))
    labels = json.loads((tmp_path / "lstm_ner.json").read_text())
    assert labels == ["GPE", "LOC", "ORG", "PERSON", "PRODUCT"]
    read = {"@readers": "spacy.read_labels.v1", "path": str(tmp_path / "lstm_ner.json"), "require": True}
    config = load_config(folder / "init.cfg", overrides=overrides(folder))
    config["initialize"]["components"]["lstm_ner"] = {"labels": read}
    assert list(init_nlp(config).get_pipe("lstm_ner").labels) == labels
    # A file that may be missing: the labels come from the data.
    read.update(path=str(tmp_path / "none.json"), require=False)
    config["initialize"]["components"]["lstm_ner"] = {"labels": read}
    assert list(init_nlp(config).get_pipe("lstm_ner").labels) == labels


def overrides(folder):
    return {"paths.train": str(folder / "corpus.spacy"), "paths.dev": str(folder / "corpus.spacy")}


@pytest.mark.slow
def test_train_evaluate_and_go_on(folder, tmp_path):
    steps = ["--training.max_steps", 4, "--training.eval_frequency", 2]
    output = run("train", folder / "init.cfg", "-o", tmp_path / "out", *paths(folder), *steps)
    assert "LOSS LSTM_NER" in output
    meta = json.loads((tmp_path / "out" / "model-last" / "meta.json").read_text())
    assert {"ents_f", "lstm_ner_loss"} <= set(meta["performance"])
    evaluated = run("evaluate", folder / "model", folder / "corpus.spacy", "-o", tmp_path / "scores.json")
    assert "NER F" in evaluated and "NER (per type)" in evaluated
    assert json.loads((tmp_path / "scores.json").read_text())["ents_f"] == 1.0
    # From a trained pipeline, whose component is not initialized again.
    config = Config().from_disk(folder / "init.cfg", interpolate=False)
    config["components"]["lstm_ner"] = {"source": str(folder / "model")}
    config.to_disk(tmp_path / "sourced.cfg")
    run("train", tmp_path / "sourced.cfg", "-o", tmp_path / "more", *paths(folder), *steps)
    assert found(spacy.load(tmp_path / "more" / "model-best")) == GOLD


def found(nlp):
    return [entities(doc) for doc in nlp.pipe(TEXTS)]


@pytest.mark.slow
def test_train_with_the_component_frozen(folder, tmp_path):
    config = Config().from_disk(folder / "init.cfg", interpolate=False)
    config["nlp"]["pipeline"] = ["lstm_ner", "spancat"]
    config["components"] = {"lstm_ner": {"source": str(folder / "model")}, "spancat": {"factory": "spancat"}}
    config["training"].update(frozen_components=["lstm_ner"], annotating_components=["lstm_ner"])
    config["training"].update(max_steps=2, eval_frequency=1, score_weights={"ents_f": 1.0})
    config.to_disk(tmp_path / "frozen.cfg")
    run("init", "fill-config", tmp_path / "frozen.cfg", tmp_path / "filled.cfg")
    run("train", tmp_path / "filled.cfg", "-o", tmp_path / "out", *paths(folder))
    before, after = spacy.load(folder / "model"), spacy.load(tmp_path / "out" / "model-last")
    assert before.get_pipe("lstm_ner").to_bytes(exclude=["vocab"]) == after.get_pipe("lstm_ner").to_bytes(
        exclude=["vocab"]
    )
    assert found(after) == GOLD


@pytest.mark.parametrize("printed", [["-P0"], ["-P1", "-DIM"], ["-P2", "-ATTR", "-GRAD"], ["-P3", "-PAR"]])
def test_debug_model(folder, printed):
    output = run("debug", "model", folder / "init.cfg", "lstm_ner", *printed, *paths(folder))
    assert "Initialized the model with the training corpus" in output
    assert "Successfully ended analysis - model looks good" in output


# The command makes up docs without entities.
@pytest.mark.filterwarnings("ignore:.*have no entity annotation", "ignore:.*it has no labels")
def test_debug_model_of_a_listener_without_a_corpus(tmp_path, root):
    (tmp_path / "config.cfg").write_text(
        """
        [nlp]
        lang = "en"
        pipeline = ["tok2vec", "lstm_ner"]
        [components]
        [components.tok2vec]
        factory = "tok2vec"
        [components.lstm_ner]
        factory = "lstm_ner"
        [components.lstm_ner.model]
        @architectures = "spacy-lstm-ner.LSTMTagger.v1"
        [components.lstm_ner.model.tok2vec]
        @architectures = "spacy.Tok2VecListener.v1"
        width = 96
        """.replace("\n        ", "\n")
    )
    run("init", "fill-config", tmp_path / "config.cfg", tmp_path / "filled.cfg")
    output = run("debug", "model", tmp_path / "filled.cfg", "lstm_ner", "-P3")
    assert "Successfully ended analysis - model looks good" in output


def test_debug_data_reads_the_corpus(folder):
    """It calls five documents an error, which is right, and says nothing of entities unless the factory is ner."""
    result = CliRunner().invoke(app, ["debug", "data", *map(str, [folder / "init.cfg", *paths(folder)])])
    assert "Pipeline can be initialized with data" in result.output and "Corpus is loadable" in result.output


def test_evaluate_renders_no_entities_for_another_factory_than_ner(folder, tmp_path):
    """The page names displaCy in its place."""
    run("evaluate", folder / "model", folder / "corpus.spacy", "--displacy-path", tmp_path)
    assert not list(tmp_path.iterdir())
    nlp = spacy.load(folder / "model")
    html = displacy.render(list(nlp.pipe(["I like London."])), style="ent", page=True, jupyter=False)
    assert "I like" in html


def test_assemble(folder, tmp_path):
    config = Config().from_disk(folder / "init.cfg")
    config["components"]["lstm_ner"] = {"source": str(folder / "model")}
    config.to_disk(tmp_path / "assemble.cfg")
    run("assemble", tmp_path / "assemble.cfg", tmp_path / "out")
    assert found(spacy.load(tmp_path / "out")) == GOLD


def test_package_names_this_project_among_its_requirements(folder, tmp_path):
    (tmp_path / "out").mkdir()
    run(
        "package",
        folder / "model",
        tmp_path / "out",
        "--name",
        "test_entities",
        "--version",
        "0.0.1",
        "--build",
        "none",
    )
    package = tmp_path / "out" / "en_test_entities-0.0.1"
    meta = json.loads((package / "meta.json").read_text())
    assert any(re.match(r"spacy-lstm-ner>=\d+\.\d+", requirement) for requirement in meta["requirements"])
    assert found(spacy.load(package / "en_test_entities" / "en_test_entities-0.0.1")) == GOLD
    assert "lstm_ner" in meta["pipeline"] and "PERSON" in meta["labels"]["lstm_ner"]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_apply(folder, tmp_path, processes):
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    run("apply", folder / "model", tmp_path / "texts.jsonl", tmp_path / "out.spacy", "-b", 2, "-n", processes)
    docs = list(DocBin().from_disk(tmp_path / "out.spacy").get_docs(spacy.blank("en").vocab))
    assert [entities(doc) for doc in docs] == GOLD
    assert all(0.0 < ent._.lstm_ner_score <= 1.0 for doc in docs for ent in doc.ents)


def test_find_threshold(folder):
    where = (folder / "model", folder / "corpus.spacy", "lstm_ner", "threshold")
    output = run("find-threshold", *where, "ents_f", "-n", 3)
    assert "Best threshold" in output
    # Nothing is certain, so that the highest threshold leaves no entity.
    best, score, scores = find_threshold(*where, "ents_r", n_trials=3)
    assert (best, score) == (0.0, 1.0) and list(scores.values())[1:] == [1.0, 0.0]


def test_benchmark_speed(folder):
    output = run("benchmark", "speed", folder / "model", folder / "corpus.spacy", "--batches", 30, "--batch-size", 2)
    assert "Mean" in output and "words/s" in output


def test_the_factory_is_found_without_importing_it():
    code = "import spacy; nlp = spacy.blank('xx'); nlp.add_pipe('lstm_ner'); print(*nlp.pipe_factories.values())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "lstm_ner"
