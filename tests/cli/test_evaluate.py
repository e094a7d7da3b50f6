"""The command `evaluate`."""

import json
import warnings
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span
from support.commands import run_command
from support.data_files import write_data, write_docs

from spacy_lstm_ner.cli.evaluate import overall_rows
from spacy_lstm_ner.data.corpora import read_examples
from spacy_lstm_ner.pipeline.scorer import score_entities

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
    said, code = run_command("evaluate", tmp_path / "model", text)
    assert code == 0 and "Entity F" in said
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / ".a.spacy").write_bytes(b"")
    with pytest.warns(UserWarning, match="W090"):
        said, code = run_command("evaluate", tmp_path / "model", hidden)
    assert code == 1 and "expected docs in .spacy files, found none" in said
    text.write_text("Sharon flew.\n", "utf-8")
    said, code = run_command("evaluate", tmp_path / "model", text)
    assert code == 1 and "expected annotated text in a known format" in said


def test_data_without_annotation_has_no_scores_with_a_warning(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    nlp.initialize()
    nlp.to_disk(tmp_path / "model")
    docs = [nlp.make_doc("Sharon flew."), nlp.make_doc("Nothing happened.")]
    write_docs(tmp_path / "out.spacy", docs)
    with pytest.warns(UserWarning, match=r"none of the 2 docs to score has entity annotation.*doc\.set_ents"):
        said, code = run_command("evaluate", tmp_path / "model", tmp_path / "out.spacy")
    assert code == 0 and "Entity F -" in said
    docs[0].cats = {"travel": 1.0}
    write_docs(tmp_path / "out.spacy", docs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_command("evaluate", tmp_path / "model", tmp_path / "out.spacy")


def test_scores_that_are_absent_or_none_are_dashes() -> None:
    rows = dict(overall_rows({"ents_f": None, "ents_token_acc": 0.9876, "speed": 12345.6}))
    assert (rows["Entity F"], rows["Token accuracy"]) == ("-", "98.76")
    assert rows["Token accuracy in entities"] == "-"
    assert rows["Words per second"] == "12,346"


@pytest.fixture
def columns(tmp_path: Path) -> tuple[Path, Path]:
    """A pipeline that finds Rome and Ann, and data whose tokens are not those of its tokenizer."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "LOC", "pattern": name} for name in ("Rome", "Ann")])  # type: ignore[attr-defined]
    nlp.to_disk(tmp_path / "model")
    docs = [
        Doc(nlp.vocab, ["In", "#Rome", "."], ents=["O", "B-LOC", "O"]),
        Doc(nlp.vocab, ["Ann", "ran"], ents=["B-LOC", "O"]),
    ]
    return tmp_path / "model", write_docs(tmp_path / "data.spacy", docs)


def test_tokens_of_the_data_and_tokens_of_the_pipeline(columns: tuple[Path, Path]) -> None:
    said, code = run_command("evaluate", *columns)
    assert code == 0 and "Entity recall 50.00" in said and "Entity precision 100.00" in said
    assert (
        "1 of 2 entities have other tokens than the tokenizer makes of the text: '#Rome' (LOC) becomes # | Rome" in said
    )
    # The pipeline finds "Rome" in its own tokens, but the entity is "#Rome".
    said, code = run_command("evaluate", *columns, "--from-text")
    assert code == 0 and "Entity recall 50.00" in said and "Entity precision 50.00" in said
    assert "other tokens" not in said


def test_missing_annotation_and_limits_inside_tokens_from_text(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    docs = [
        Doc(nlp.vocab, ["In", "#Rome", "Ann"], ents=["O", "", "B-PER"]),
        Doc(nlp.vocab, ["U.", "S."], spaces=[False, False], ents=["O", "B-LOC"]),
        Doc(nlp.vocab, ["no", "annotation"]),
    ]
    data = write_docs(tmp_path / "data.spacy", docs)
    first, second, third = read_examples(nlp, data, from_text=True)
    assert [(token.text, token.ent_iob_) for token in first.reference] == [
        ("In", "O"),
        ("#", ""),
        ("Rome", ""),
        ("Ann", "B"),
    ]
    assert first.predicted.text == first.reference.text == "In #Rome Ann "
    assert [ent.text for ent in second.reference.ents] == ["S."] and [token.text for token in second.predicted] == [
        "U.S."
    ]
    assert not third.reference.has_annotation("ENT_IOB")
    second.predicted.ents = [Span(second.predicted, 0, 1, "LOC")]
    assert score_entities([second])["ents_f"] == 0.0
