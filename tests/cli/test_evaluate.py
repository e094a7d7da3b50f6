"""The command `evaluate`."""

import json
from pathlib import Path

import pytest
import spacy
from support.commands import run_command
from support.data_files import write_data

from spacy_lstm_ner.cli.evaluate import overall_rows

DATA = [("Sharon flew to Miami.", [(0, 6, "per"), (15, 20, "geo")]), ("Nothing happened.", [])]


def test_scores_are_printed_and_written(tmp_path: Path) -> None:
    data, model, metrics = tmp_path / "out.spacy", tmp_path / "model", tmp_path / "new" / "metrics.json"
    write_data(data, DATA)
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "per", "pattern": "Sharon"}, {"label": "per", "pattern": "Miami"}])  # type: ignore[attr-defined]
    nlp.to_disk(model)
    said, code = run_command("evaluate", model, data, "--output", metrics)
    assert code == 0
    assert "Entity precision 50.00" in said
    assert "Token accuracy -" in said
    assert "geo 0.00 0.00 0.00" in said
    assert json.loads(metrics.read_text("utf-8"))["ents_f"] == 0.5


def test_failures(tmp_path: Path) -> None:
    said, code = run_command("evaluate", "model", tmp_path / "none.spacy")
    assert code == 1 and "Cannot find the data" in said
    text = tmp_path / "in.txt"
    text.write_text("[Sharon](per) flew.\n", "utf-8")
    said, code = run_command("evaluate", "no_such_model", text)
    assert code == 1 and "Can't find model 'no_such_model'" in said
    spacy.blank("en").to_disk(tmp_path / "model")
    with pytest.warns(UserWarning, match="W090"):
        said, code = run_command("evaluate", tmp_path / "model", text)
    assert code == 1 and "expected docs in .spacy files, found none" in said


def test_scores_that_are_absent_or_none_are_dashes() -> None:
    rows = dict(overall_rows({"ents_f": None, "ents_token_acc": 0.9876, "speed": 12345.6}))
    assert (rows["Entity F"], rows["Token accuracy"]) == ("-", "98.76")
    assert rows["Token accuracy in entities"] == "-"
    assert rows["Words per second"] == "12,346"
