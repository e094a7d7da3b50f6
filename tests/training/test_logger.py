"""The logger: the lines, spaCy's table beside them, the figure, and a run that is resumed."""

import io
import json
import re
import shutil
import sys
from importlib.util import find_spec
from xml.etree import ElementTree

import numpy as np
import pytest
import spacy
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as spacy_train
from spacy.util import registry
from support.commands import run_command
from support.training_runs import make_config, run

from spacy_lstm_ner.training.logger import create_logger, draw_curves, logger_of_run, losses_per_word

NAME = "spacy-lstm-ner.Logger.v1"


def lines(path):
    return [json.loads(line) for line in path.read_text("utf8").splitlines()]


def table(text):
    return [line for line in text.splitlines() if re.match(r" *\d+ +\d+ ", line)]


def logging(folder, **more):
    return {"training.logger": {"@loggers": NAME, "output_file": str(folder / "new" / "log.jsonl"), **more}}


def test_spacy_train_logs_to_a_file_and_prints_its_table(corpus, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    figure, tables = tmp_path / "curves.svg", []
    for changes in ({}, logging(tmp_path, figure=str(figure))):
        stdout = io.StringIO()
        spacy_train(init_nlp(make_config(corpus, {"training.max_steps": 15, **changes})), stdout=stdout)
        tables.append(table(stdout.getvalue()))
    rows = lines(tmp_path / "new" / "log.jsonl")
    assert tables[0] == tables[1] and len(rows) == len(tables[0]) == 2
    assert [row["step"] for row in rows] == [0, 10] and rows[1]["words"] > 0 and rows[0]["seconds"] >= 0
    for row, line in zip(rows, tables[0], strict=True):
        *printed, score = [float(word) for word in line.split()]
        assert printed[:3] == pytest.approx([row["epoch"], row["step"], row["losses"]["lstm_ner"]], abs=0.006)
        assert score == pytest.approx(row["score"], abs=0.006) and row["score"] == row["scores"]["ents_f"]
    assert {"p", "r", "f"} == set(next(iter(rows[1]["scores"]["ents_per_type"].values())))
    text = figure.read_text("utf8")
    assert ElementTree.fromstring(text).tag.endswith("svg") and "lstm_ner" in text and "ents_f" in text


@pytest.mark.parametrize("chained", [False, True])
def test_a_resumed_run_writes_all_lines_again(chained, corpus, tmp_path):
    changes, log = logging(tmp_path), tmp_path / "new" / "log.jsonl"
    if chained:
        changes["training.logger"]["console_output"] = False
        both = {"logger1": {"@loggers": "spacy.ConsoleLogger.v1"}, "logger2": changes["training.logger"]}
        changes["training.logger"] = {"@loggers": "spacy.ChainLogger.v1", **both}
    run(make_config(corpus, {"training.max_steps": 15, **changes}), tmp_path / "out")
    first = lines(log)
    # As if the run had been killed at a step after the checkpoint.
    (tmp_path / "out" / "checkpoints" / "step-16").rename(tmp_path / "gone")
    printed = run(make_config(corpus, {"training.max_steps": 15, **changes}), tmp_path / "out", resume=True)
    for row in (*first, *(again := lines(log))):
        # Two evaluations of the same pipeline differ in this.
        del row["seconds"], row["scores"]["speed"]
    assert again == first
    assert len(table(printed)) == 2
    assert [row["step"] for row in lines(log.with_name("log.jsonl.until-10"))] == [0, 10]


def test_the_command_logs_beside_the_pipelines(corpus, tmp_path):
    config, out = make_config(corpus, {"training.max_steps": 15}), tmp_path / "out"
    printed = run(config, out)
    rows = lines(out / "log.jsonl")
    assert [row["step"] for row in rows] == [0, 10] and len(table(printed)) == 2
    assert (out / "curves.svg").exists() == (find_spec("matplotlib") is not None)
    saved = spacy.load(out / "model-best").config["training"]["logger"]
    assert saved["@loggers"] == "spacy.ConsoleLogger.v3" and saved.get("output_file") is None
    # A new run in the same folder replaces the log, as it replaces the pipelines.
    shutil.rmtree(out / "checkpoints")
    run(make_config(corpus, {"training.max_steps": 5}), out)
    assert [row["step"] for row in lines(out / "log.jsonl")] == [0]


@pytest.mark.parametrize("installed", [True, False])
def test_the_command_says_where_the_log_is(installed, corpus, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    if not installed:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    make_config(corpus, {"training.max_steps": 2}).to_disk(tmp_path / "my.cfg")
    said, code = run_command("train", tmp_path / "my.cfg", "-o", tmp_path / "out")
    assert code == 0 and "log.jsonl" in said and ("curves.svg" in said) == installed
    assert (
        ("no curves, which need the extra" in said) == (not installed) == (not (tmp_path / "out/curves.svg").exists())
    )
    more = ("--training.logger.output_file", tmp_path / "own.jsonl")
    said, code = run_command("train", tmp_path / "my.cfg", "-o", tmp_path / "chosen", *more)
    assert code == 0 and "log.jsonl" not in said and not (tmp_path / "chosen" / "log.jsonl").exists()
    assert len(lines(tmp_path / "own.jsonl")) == 1


@pytest.mark.parametrize(
    "chosen",
    [
        {"@loggers": "spacy.WandbLogger.v5", "project_name": "mine"},
        {"@loggers": "spacy.ChainLogger.v1", "logger1": {"@loggers": "spacy.ConsoleLogger.v1"}},
        {"@loggers": NAME, "output_file": "mine.jsonl"},
        {"@loggers": "spacy.ConsoleLogger.v3", "output_file": "mine.jsonl"},
    ],
)
def test_a_chosen_logger_stays(chosen, tmp_path):
    assert logger_of_run(chosen, tmp_path) == chosen


@pytest.mark.parametrize(
    "version, chosen, kind",
    [("v1", False, "train"), ("v1", True, "eval"), ("v3", None, "train"), ("v3", "eval", "eval")],
)
def test_the_bar_is_the_chosen_one(version, chosen, kind, tmp_path):
    logger = {"@loggers": f"spacy.ConsoleLogger.{version}", "progress_bar": chosen}
    assert logger_of_run(logger, tmp_path)["progress_bar"] == kind


def test_losses_are_divided_by_the_words_since_the_last_evaluation():
    rows = [
        {"words": words, "losses": {"a": loss}} for words, loss in ((10, 20.0), (110, 50.0), (210, None), (210, 1.0))
    ]
    assert losses_per_word(rows) == [{"a": 2.0}, {"a": 0.5}, {"a": None}, {"a": 1.0}]


def test_the_log_of_an_earlier_run_stays(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("kept")
    with pytest.raises(ValueError, match=r"output_file is .*log\.jsonl, which is the log of an earlier run"):
        create_logger(path)(spacy.blank("en"), io.StringIO(), io.StringIO())
    assert path.read_text() == "kept"


def test_values_that_json_does_not_know(tmp_path):
    nlp = spacy.blank("en")
    log_step, finish = create_logger(tmp_path / "log.jsonl", console_output=False)(nlp, io.StringIO(), io.StringIO())
    scores = {"a": np.float32(0.5), "b": None, "c": {"d": float("inf")}, "e": [1, "f"], "g": range(2)}
    info = {"step": 1, "epoch": 0, "words": 2, "seconds": 3, "score": 0.5, "other_scores": scores}
    log_step(None)
    log_step({**info, "losses": {"ner": np.float64("nan")}})
    finish()
    (row,) = lines(tmp_path / "log.jsonl")
    expected = {"a": 0.5, "b": None, "c": {"d": None}, "e": [1, "f"], "g": "range(0, 2)"}
    assert row["scores"] == expected and row["losses"] == {"ner": None}


def test_curves_that_cannot_be_written_cost_no_training(corpus, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run(make_config(corpus, {"training.max_steps": 15}), tmp_path / "good")
    (tmp_path / "figure").mkdir()
    with pytest.raises(IsADirectoryError):
        changes = logging(tmp_path, figure=str(tmp_path / "figure"))
        run(make_config(corpus, {"training.max_steps": 15, **changes}), tmp_path / "bad")
    weights = [(tmp_path / name / "model-last/lstm_ner/model").read_bytes() for name in ("good", "bad")]
    assert weights[0] == weights[1]


def test_curves_leave_out_what_is_no_number():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    row = {"step": 0, "words": 9, "losses": {"ner": None, "tagger": 1.5}, "scores": {"ents_f": None, "tag_acc": 0.5}}
    text = draw_curves([row], ["ents_f", "tag_acc", "dep_uas"]).decode()
    assert "tagger" in text and "tag_acc" in text and "<!-- ner -->" not in text and "ents_f" not in text


def test_a_figure_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    make = registry.get("loggers", NAME)
    with pytest.raises(ImportError, match=r"figure needs matplotlib.*spacy-lstm-ner\[report\]"):
        make(tmp_path / "log.jsonl", tmp_path / "curves.svg")
    assert make(tmp_path / "log.jsonl")
