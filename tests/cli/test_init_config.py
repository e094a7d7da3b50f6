"""The command `init-config`."""

import numpy as np
import pytest
import spacy
from spacy.util import load_config
from support.commands import run_command
from support.data_files import write_good_data
from support.shared_tok2vec import LISTENER
from support.shared_tok2vec import SMALL as SHARED
from support.small import SMALL, examples_for


def init_config(*arguments):
    return run_command("init-config", *arguments)


def test_the_config_trains(tmp_path):
    train, dev = write_good_data(tmp_path)
    output = tmp_path / "new" / "my.cfg"
    said, code = init_config(output, "--train", train, "--dev", dev, "--lang", "de")
    assert code == 0 and "Config written to" in said and "Docs 25" in said
    config = load_config(output)
    assert config["paths"] == {"train": str(train), "dev": str(dev), "vectors": None} and config["nlp"]["lang"] == "de"
    steps = ("--training.max_steps", "2", "--training.eval_frequency", "1")
    said, code = run_command("train", output, "--output", tmp_path / "out", *steps)
    assert code == 0, said
    assert (tmp_path / "out" / "model-best").exists()
    said, code = run_command("train", train, "--output", tmp_path / "new")
    assert code == 1 and "is not a config" in said and "--paths.train" in said


def test_annotated_text_has_its_reader(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("[Ann](per) left.\n", "utf8")
    said, code = init_config(tmp_path / "my.cfg", "--train", path, "--dev", path)
    assert code == 0
    corpus = load_config(tmp_path / "my.cfg")["corpora"]["train"]
    assert corpus["@readers"] == "spacy-lstm-ner.AnnotatedText.v1"
    steps = ("--training.max_steps", "2", "--training.eval_frequency", "1")
    said, code = run_command("train", tmp_path / "my.cfg", "--output", tmp_path / "out", *steps)
    assert code == 0, said


def test_an_existing_file_stays(tmp_path):
    train, _ = write_good_data(tmp_path)
    (tmp_path / "my.cfg").write_text("mine")
    said, code = init_config(tmp_path / "my.cfg", "--train", train)
    assert code == 1 and "--force" in said and (tmp_path / "my.cfg").read_text() == "mine"
    assert init_config(tmp_path / "my.cfg", "--train", train, "--force")[1] == 0


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("none.spacy", None, "Cannot find the data"),
        ("x.spacy", "", "E1014"),
        ("x.txt", "Ann O\n", "no entities in 1 docs"),
    ],
)
def test_bad_data(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    said, code = init_config(tmp_path / "my.cfg", "--train", tmp_path / name)
    assert code == 1 and message in said and not (tmp_path / "my.cfg").exists()


def test_a_start_from_another_pipeline(tmp_path):
    train, dev = write_good_data(tmp_path)
    steps = ("--training.max_steps", "3", "--training.eval_frequency", "1")
    assert init_config(tmp_path / "first.cfg", "--train", train, "--dev", dev)[1] == 0
    assert run_command("train", tmp_path / "first.cfg", "--output", tmp_path / "first", *steps)[1] == 0
    start = tmp_path / "first" / "model-best"
    said, code = init_config(tmp_path / "second.cfg", "--train", train, "--dev", dev, "--start", start)
    assert code == 0, said
    config = load_config(tmp_path / "second.cfg")
    assert config["initialize"]["components"]["lstm_ner"] == {"start": str(start), "start_component": "lstm_ner"}
    said, code = run_command("train", tmp_path / "second.cfg", "--output", tmp_path / "second", *steps)
    assert code == 0, said


def test_a_start_without_the_component(tmp_path):
    train, _ = write_good_data(tmp_path)
    spacy.blank("en").to_disk(tmp_path / "blank")
    said, code = init_config(tmp_path / "my.cfg", "--train", train, "--start", tmp_path / "blank")
    assert code == 1 and "lstm_ner" in said and not (tmp_path / "my.cfg").exists()
    said, code = init_config(tmp_path / "my.cfg", "--train", train, "--start", tmp_path / "nothing")
    assert code == 1 and "nothing" in said


def trained_start(models, lang="en", vectors=False):
    """A pipeline with these components, for a start."""
    nlp = spacy.blank(lang)
    if vectors:
        nlp.vocab.reset_vectors(width=4)
        nlp.vocab.set_vector("london", np.ones(4, "f"))
    for name, config in models.items():
        nlp.add_pipe(name, config=config)
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    return nlp


@pytest.mark.parametrize("model, lang", [("classic", "en"), ("crf", "de")])
def test_a_start_without_static_vectors(tmp_path, model, lang):
    """Its component is disabled, and that of textbooks does not hide words."""
    train, dev = write_good_data(tmp_path)
    nlp = trained_start({"lstm_ner": SMALL[model]}, lang)
    nlp.disable_pipe("lstm_ner")
    nlp.to_disk(tmp_path / "start")
    said, code = init_config(tmp_path / "my.cfg", "--train", train, "--dev", dev, "--start", tmp_path / "start")
    assert code == 0, said
    config = load_config(tmp_path / "my.cfg")
    assert (config["nlp"]["lang"], config["paths"]["vectors"]) == (lang, None)
    steps = ("--training.max_steps", "2", "--training.eval_frequency", "1")
    said, code = run_command("train", tmp_path / "my.cfg", "--output", tmp_path / "out", *steps)
    assert code == 0, said


def test_a_start_that_listens(tmp_path):
    train, _ = write_good_data(tmp_path)
    trained_start({"tok2vec": SHARED, "lstm_ner": LISTENER}).to_disk(tmp_path / "start")
    said, code = init_config(tmp_path / "my.cfg", "--train", train, "--start", tmp_path / "start")
    assert code == 1 and "its lstm_ner listens to another component" in said and not (tmp_path / "my.cfg").exists()


def test_a_start_with_vectors_gives_them(tmp_path):
    train, _ = write_good_data(tmp_path)
    config = SMALL["crf"].copy()
    config["model"]["tok2vec"]["embed"]["include_static_vectors"] = True
    trained_start({"lstm_ner": config}, vectors=True).to_disk(tmp_path / "start")
    start = ("--train", train, "--start", tmp_path / "start")
    assert init_config(tmp_path / "my.cfg", *start)[1] == 0
    assert load_config(tmp_path / "my.cfg")["paths"]["vectors"] == str(tmp_path / "start")
    assert init_config(tmp_path / "my.cfg", *start, "--vectors", "mine", "--lang", "de", "--force")[1] == 0
    config = load_config(tmp_path / "my.cfg")
    assert (config["nlp"]["lang"], config["paths"]["vectors"]) == ("de", "mine")


def test_dev_data_that_is_named_later(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("[Ann](per) left.\n", "utf8")
    assert init_config(tmp_path / "my.cfg", "--train", path)[1] == 0
    dev = ("--paths.dev", path, "--training.max_steps", "2", "--training.eval_frequency", "1")
    said, code = run_command("train", tmp_path / "my.cfg", "--output", tmp_path / "out", *dev)
    assert code == 0, said
    # There are tokens to score.
    assert load_config(tmp_path / "my.cfg")["corpora"]["dev"]["@readers"] == "spacy-lstm-ner.AnnotatedText.v1"
    assert spacy.load(tmp_path / "out" / "model-best").meta["performance"]["ents_token_acc"] > 0
