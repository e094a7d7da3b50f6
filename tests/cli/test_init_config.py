"""The command `init-config`."""

import pytest
import spacy
from spacy.util import load_config
from support.commands import run_command
from support.data_files import write_good_data


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
        ("x.txt", "Ann\n", "no entities in 1 docs"),
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
