"""The logger: the lines, spaCy's table beside them, the figure, and a run that is resumed."""

import io
import json
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import spacy
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as spacy_train
from spacy.util import registry
from support.training_runs import make_config, run

from spacy_lstm_ner.training.logger import create_logger, draw_curves

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


def test_the_log_of_an_earlier_run_stays(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("kept")
    with pytest.raises(ValueError, match=r"output_file is .*log\.jsonl, which is the log of an earlier run"):
        create_logger(path)(spacy.blank("en"), io.StringIO(), io.StringIO())
    assert path.read_text() == "kept"


def test_values_that_json_does_not_know(tmp_path):
    nlp = spacy.blank("en")
    log_step, finish = create_logger(tmp_path / "log.jsonl", console_output=False)(nlp, io.StringIO(), io.StringIO())
    scores = {"a": np.float32(0.5), "b": None, "c": {"d": float("inf")}, "e": [1, "f"]}
    info = {"step": 1, "epoch": 0, "words": 2, "seconds": 3, "score": 0.5, "other_scores": scores}
    log_step(None)
    log_step({**info, "losses": {"ner": np.float64("nan")}})
    finish()
    (row,) = lines(tmp_path / "log.jsonl")
    assert row["scores"] == {"a": 0.5, "b": None, "c": {"d": None}, "e": [1, "f"]} and row["losses"] == {"ner": None}


def test_curves_leave_out_what_is_no_number():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    row = {"step": 0, "losses": {"ner": None, "tagger": 1.5}, "scores": {"ents_f": None, "tag_acc": 0.5}}
    text = draw_curves([row], ["ents_f", "tag_acc", "dep_uas"]).decode()
    assert "tagger" in text and "tag_acc" in text and "<!-- ner -->" not in text and "ents_f" not in text


def test_a_figure_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    make = registry.get("loggers", NAME)
    with pytest.raises(ImportError, match=r"figure needs matplotlib.*spacy-lstm-ner\[report\]"):
        make(tmp_path / "log.jsonl", tmp_path / "curves.svg")
    assert make(tmp_path / "log.jsonl")
