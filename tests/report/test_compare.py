"""The command `compare`: the table and its files, and what is wrong with input."""

import json

import pytest
import spacy
from support.commands import run_command
from support.data_files import write_data, write_docs, write_good_data
from support.small import TRAIN
from support.training_runs import CONFIG
from thinc.api import Config

from spacy_lstm_ner.report.comparison import Contestant, cells, figures


def ruler(folder, *patterns):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": text} for text, label in patterns])
    nlp.to_disk(folder)
    return folder


def small_config(folder):
    Config().from_str(CONFIG, interpolate=False).to_disk(folder / "small.cfg")
    return folder / "small.cfg"


def test_pipelines(tmp_path):
    good = ruler(tmp_path / "good", ("London", "LOC"), ("Berlin", "LOC"), ("Uber", "ORG"))
    bad, data = ruler(tmp_path / "b|d", ("Uber", "LOC")), write_data(tmp_path / "data.spacy", TRAIN)
    files = [tmp_path / "new" / f"table.{suffix}" for suffix in ("md", "json")]
    options = ["--dev", data, "--rounds", 1, "-o", files[0], "-o", files[1]]
    said, code = run_command("compare", bad, good, *options)
    assert code == 0, said
    found = json.loads(files[1].read_text("utf8"))
    for row, folder in zip(found["rows"], (bad, good), strict=True):
        nlp = spacy.load(folder)
        expected = nlp.evaluate(list(spacy.training.Corpus(data)(nlp)))
        assert [row[key] for key in "prf"] == [expected[f"ents_{key}"] for key in "prf"]
        assert row["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert row["training_seconds"] is None and row["peak_bytes"] > 10**7 and row["words_per_second"] > 0
    worse, best = found["rows"]
    low, high = best["f_interval"]
    assert low < best["f"] <= high and best["against_best"] is None
    assert worse["against_best"]["difference"] == -best["f"] and found["train"] is None
    assert found["words"] == sum(len(spacy.blank("en")(text)) for text, _ in TRAIN)
    header, _, *lines = files[0].read_text("utf8").splitlines()
    assert header.startswith("| Pipeline | F1 |") and len(lines) == 2 and "b\\|d | 0.00 |" in lines[0]
    assert f"| {100 * best['f']:.2f} |" in lines[1]
    # In the terminal, there is a column for each pipeline, without the folders that are the same for all.
    assert " b|d good ---" in said and f"F1 0.00 {100 * best['f']:.2f} " in said and "Training" not in said


def test_configs_and_spacys_ner_are_trained(tmp_path):
    write_good_data(tmp_path)
    config = small_config(tmp_path)
    data = ["--train", tmp_path / "train.spacy", "--dev", tmp_path / "dev.spacy"]
    few = ["--training.max_steps", 2, "--training.eval_frequency=1"]
    more = ["--ner", "--rounds", 1, "-o", tmp_path / "t.json", "--keep", tmp_path / "kept"]
    said, code = run_command("compare", *few, config, *data, *more)
    assert code == 0, said
    found = json.loads((tmp_path / "t.json").read_text("utf8"))
    assert [row["name"] for row in found["rows"]] == [str(config), "spaCy's ner"]
    assert all(row["training_seconds"] > 0 for row in found["rows"])
    ours, theirs = (spacy.load(tmp_path / "kept" / name / "model-best") for name in ("1-small", "spacy-ner"))
    assert ours.pipe_names == ["lstm_ner"] and theirs.pipe_names == ["tok2vec", "ner"]
    assert theirs.config["training"]["max_steps"] == ours.config["training"]["max_steps"] == 2
    said, code = run_command("compare", config, *data, *more)
    assert code == 1 and "exists already. Name another folder with --keep" in said


def test_rows_without_figures():
    turns = [{"words": 60, "first": 2.0, "again": own, "peak": None, "size": None} for own in (1.0, 6.0, 2.0)]
    turns[0]["counts"] = [[0, 0, 0]]
    (row,) = figures([Contestant("no entity", "x", turns=turns, seconds=90.0)], 100, 0)
    assert cells(row) == ("no entity", "-", "-", "-", "30", "30", "90 s", "-", "-")
    assert cells({**row, "training_seconds": 600.0})[6] == "10.0 min"


@pytest.mark.parametrize(
    "words, error",
    [
        (["model", "--dev", "no.spacy"], "no.spacy: there is no such file"),
        (["model", "no_such", "--dev", "dev.spacy"], "no_such: there is no such config, folder or package"),
        (["model", "--dev", "dev.spacy", "-o", "t.csv"], "ends in .md or .json, found t.csv"),
        (["small.cfg", "--dev", "dev.spacy"], "small.cfg is a config: give the data to train with by --train"),
        (["small.cfg", "--dev", "dev.spacy", "--train", "train.iob"], "train.iob: expected a .spacy file"),
        (["dev.spacy", "--dev", "dev.spacy", "--train", "train.spacy"], "dev.spacy is no config"),
        (
            ["small.cfg", "--dev", "dev.spacy", "--train", "train.spacy", "--training.x.y", "1"],
            "small.cfg is no config",
        ),
        (["bare", "--dev", "dev.spacy", "--rounds", "1"], "bare, turn 1 failed: "),
        (["small.cfg", "--dev", "dev.spacy", "--train", "bare.spacy"], "training small.cfg failed: "),
    ],
)
def test_broken_input(words, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_good_data(tmp_path)
    (tmp_path / "train.iob").write_text("Ann\tB-PER\n")
    small_config(tmp_path)
    write_docs(tmp_path / "bare.spacy", [])
    ruler(tmp_path / "model", ("Ann", "per"))
    spacy.blank("en").to_disk("bare")
    said, code = run_command("compare", *words)
    assert code == 1 and "Cannot compare" in said and error in said, said
