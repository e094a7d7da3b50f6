"""Calibration: the measures, the search, and the commands."""

import json
import math

import numpy as np
import pytest
import spacy
from spacy.cli._util import app as spacy_app
from spacy.tokens import DocBin, Span
from spacy.training import Example
from support.commands import run_command
from support.small import TRAIN, entities, examples_for, learned, often_wrong, trained
from typer.testing import CliRunner

from spacy_lstm_ner.cli import app
from spacy_lstm_ner.pipeline.calibration import PRIOR_SD, calibrate, fit, reliability, score
from spacy_lstm_ner.pipeline.uncertainty import choose_diverse, rank_by_uncertainty


def test_reliability_by_hand():
    scores, right = np.array([0.9, 0.9, 0.4, 0.4]), np.array([True, True, False, True])
    found = reliability(scores, right, n_bins=2)
    assert [(b.confidence, b.precision, b.entities) for b in found.bins] == [
        (pytest.approx(0.4), 0.5, 2),
        (pytest.approx(0.9), 1.0, 2),
    ]
    assert found.ece == pytest.approx((0.1 * 2 + 0.1 * 2) / 4)
    assert found.brier == pytest.approx((0.01 + 0.01 + 0.16 + 0.36) / 4)
    assert reliability(np.zeros(0), np.zeros(0, dtype=bool)).ece == 0.0


@pytest.fixture
def model(tmp_path):
    """A pipeline that is sure of itself, and data that says that it is often wrong."""
    nlp = learned()
    nlp.to_disk(tmp_path / "model")
    DocBin(docs=often_wrong(nlp)).to_disk(tmp_path / "dev.spacy")
    return tmp_path


def test_a_model_that_is_too_sure_gets_less_sure(model):
    result = CliRunner().invoke(
        app, ["calibrate", str(model / "model"), str(model / "dev.spacy"), "-r", str(model / "r")]
    )
    assert result.exit_code == 0, result.output
    report = json.loads((model / "r").read_text())
    assert report["temperature"] > 1.5
    assert report["after"]["ece"] < report["before"]["ece"]
    assert report["after"]["brier"] < report["before"]["brier"]
    nlp, sure = spacy.load(model / "model"), learned()
    assert nlp.get_pipe("lstm_ner").model.get_ref("head").attrs["temperature"] == report["temperature"]
    for text, _ in TRAIN:
        assert entities(nlp(text)) == entities(sure(text))
        for ours, theirs in zip(nlp(text).ents, sure(text).ents, strict=True):
            assert ours._.lstm_ner_score < theirs._.lstm_ner_score


def test_the_temperature_is_the_best_of_many():
    nlp, _ = trained(steps=20)
    component = nlp.get_pipe("lstm_ner")
    examples = examples_for(nlp)
    args = component.tagger, examples
    fit(*args)
    attrs = component.model.get_ref("head").attrs
    best = attrs["temperature"]

    def objective(temperature):
        from spacy_lstm_ner.layers.crf.likelihood import chain_loss
        from spacy_lstm_ner.pipeline.calibration import annotated_chains

        total = 0.0
        for chains, gold, _ in annotated_chains(*args):
            at = chains.at_temperature(temperature)
            total += chain_loss(at.emissions, at.tokens.lengths, gold, at.transitions).value
        return total + math.log(temperature) ** 2 / (2 * PRIOR_SD**2)

    assert objective(best) <= min(objective(best * factor) for factor in (0.5, 0.9, 1.1, 2.0)) + 1e-6
    found = score(*args)
    assert len(found.scores) == len(found.right) == len(found.docs)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def test_a_temperature_at_the_limit_is_said(monkeypatch):
    nlp = learned("classic")
    component = nlp.get_pipe("lstm_ner")
    monkeypatch.setattr("spacy_lstm_ner.pipeline.calibration.RANGE", (-0.1, 0.1))
    with pytest.warns(UserWarning, match=r"the best temperature is 0\.9\d*, at the end of the range that is tried"):
        fit(component.tagger, 20 * examples_for(nlp))


def test_a_label_that_waits_to_be_trained_says_nothing():
    nlp = learned()
    component = nlp.get_pipe("lstm_ner")
    component.add_label("NEW")
    examples = [*examples_for(nlp), *examples_for(nlp, [("Foo is bar", [(0, 3, "NEW")])])]
    fit(component.tagger, examples)
    with_new = component.model.get_ref("head").attrs["temperature"]
    unannotated = Example.from_dict(nlp.make_doc("Foo is bar"), {"entities": ["-", "O", "O"]})
    fit(component.tagger, [*examples[:-1], unannotated])
    assert with_new == pytest.approx(component.model.get_ref("head").attrs["temperature"], rel=1e-6)
    loss, _ = component.get_loss(examples, component.model.predict([example.predicted for example in examples]))
    assert np.isfinite(loss)


def test_what_is_found_on_an_entity_of_a_foreign_label_is_wrong():
    nlp = learned()
    component = nlp.get_pipe("lstm_ner")
    data = [("I like London and Berlin.", [(7, 13, "LOC"), (18, 24, "FOREIGN")])]
    found = score(component.tagger, examples_for(nlp, data))
    assert sorted(found.right.tolist()) == [False, True]


def test_data_without_annotation_is_an_error():
    nlp, _ = trained(steps=1)
    component = nlp.get_pipe("lstm_ner")
    examples = [Example(nlp.make_doc("a b"), nlp.make_doc("a b"))]
    with pytest.raises(ValueError, match="no token of the data has an entity annotation"):
        fit(component.tagger, examples)


def test_data_without_entities_is_an_error():
    """The likeliest temperature of tokens outside alone is the lowest: every score would become 1."""
    nlp = learned()
    component = nlp.get_pipe("lstm_ner")
    examples = examples_for(nlp, [("nothing to see here", []), ("Canada", [(0, 6, "FOREIGN")])])
    component.cfg["other_labels"] = "missing"
    with pytest.raises(ValueError, match="no entity with a label that the model knows"):
        fit(component.tagger, examples)
    doc = nlp("I like London and Berlin.")
    assert doc.ents[0]._.lstm_ner_score < 1


def test_a_half_without_entities_is_an_error(model):
    nlp = spacy.blank("en")
    docs = [nlp.make_doc("nothing to see here") for _ in range(4)]
    for k, doc in enumerate(docs):
        doc.set_ents([Span(doc, 0, 1, label="LOC")] if k == 0 else [])
    DocBin(docs=docs).to_disk(model / "half.spacy")
    before = (model / "model" / "lstm_ner" / "model").read_bytes()
    result = CliRunner().invoke(app, ["calibrate", str(model / "model"), str(model / "half.spacy")])
    assert result.exit_code == 1 and "found 1 entities in 4 docs" in " ".join(result.output.split())
    assert (model / "model" / "lstm_ner" / "model").read_bytes() == before


def test_errors_of_the_commands(model):
    def output(*args):
        result = CliRunner().invoke(app, list(args))
        assert result.exit_code == 1
        return " ".join(result.output.split())

    assert "Those made by lstm_ner: lstm_ner" in output(
        "calibrate", str(model / "model"), str(model / "dev.spacy"), "--pipe", "other"
    )
    spacy.load(model / "model", disable=["lstm_ner"]).to_disk(model / "disabled")
    for command, given in ("calibrate", "dev.spacy"), ("uncertainty", "in.txt"):
        shown = output(command, str(model / "disabled"), str(model / given), *["out"] * (command == "uncertainty"))
        assert "no lstm_ner component in the pipeline" in shown
    (model / "bad.jsonl").write_text('{"text": "fine"}\n{"no": 1}\n')
    texts, target = str(model / "bad.jsonl"), str(model / "out.jsonl")
    assert "bad.jsonl:2: expected a field 'text' of type str" in output(
        "uncertainty", str(model / "model"), texts, target
    )
    assert not (model / "out.jsonl").exists()
    assert "must be one of least_confidence" in output("uncertainty", "x", texts, target, "--by", "size")


@pytest.mark.filterwarnings("ignore:.*calibrate:UserWarning")
def test_commands_find_a_component_of_another_name(model, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", name="ner", source=spacy.load(model / "model"))
    nlp.to_disk(tmp_path / "model")
    before = (tmp_path / "model" / "ner" / "model").read_bytes()
    (tmp_path / "in.txt").write_text("I like London.\n")
    for command, *others in ("calibrate", model / "dev.spacy"), ("uncertainty", tmp_path / "in.txt", tmp_path / "out"):
        result = CliRunner().invoke(app, [command, str(tmp_path / "model"), *map(str, others)])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "model" / "ner" / "model").read_bytes() != before


def test_the_most_uncertain_texts_come_first(model):
    (model / "in.txt").write_text("I like London and Berlin.\n\nCanada Khan Uber of the Pay\nnothing to see here\n")
    args = ["uncertainty", str(model / "model"), str(model / "in.txt"), str(model / "out.jsonl"), "--by", "entropy"]
    assert CliRunner().invoke(app, args).exit_code == 0
    tasks = [json.loads(line) for line in (model / "out.jsonl").read_text().splitlines()]
    assert len(tasks) == 3 and tasks[0]["text"].startswith("Canada Khan")
    doubts = [task["meta"]["entropy"] for task in tasks]
    assert doubts == sorted(doubts, reverse=True)
    assert set(tasks[0]["meta"]) == {"least_confidence", "margin", "entropy", "model"}
    spans = [(task, span) for task in tasks for span in task["spans"]]
    assert spans and all(0 <= span["score"] <= 1 for _, span in spans)
    for task, span in spans:
        first, last = task["tokens"][span["token_start"]], task["tokens"][span["token_end"]]
        assert (first["start"], last["end"]) == (span["start"], span["end"])
    args[3:4] = [str(model / "out.json"), "-o", "label-studio", "--limit", "1"]
    assert CliRunner().invoke(app, args).exit_code == 0
    (task,) = json.loads((model / "out.json").read_text("utf-8"))
    assert task["data"]["text"].startswith("Canada Khan") and task["data"]["entropy"] == doubts[0]
    assert task["predictions"][0]["model_version"]


def test_spacy_finds_a_threshold(model):
    """spaCy's own search sets the component's cfg and scores the pipeline for each value."""
    args = [str(model / "model"), str(model / "dev.spacy"), "lstm_ner", "threshold", "ents_f", "--n_trials", "3"]
    result = CliRunner().invoke(spacy_app, ["find-threshold", *args])
    assert result.exit_code == 0, result.output
    assert "Best threshold" in result.output


@pytest.mark.parametrize("copies, entities", [(1, 6), (20, 120)])
def test_data_that_shows_no_mistakes_is_too_little(copies, entities):
    nlp = learned("crf")
    expected = f"'lstm_ner': calibrate has {entities} predicted entities, 0 of them wrong"
    with pytest.warns(UserWarning, match=expected):
        calibrate(nlp.get_pipe("lstm_ner").tagger, copies * examples_for(nlp))


@pytest.mark.parametrize("wrong, warns", [(9, True), (10, False)])
def test_how_many_mistakes_are_enough(wrong, warns, recwarn):
    nlp = learned("crf")
    mistakes = [(TRAIN[0][0], [(0, 4, "LOC")])] * wrong
    calibrate(nlp.get_pipe("lstm_ner").tagger, examples_for(nlp, 20 * TRAIN + mistakes))
    assert [f"{wrong} of them wrong" in str(warning.message) for warning in recwarn] == [True] * warns


@pytest.mark.filterwarnings("ignore:'lstm_ner'. calibrate has")
@pytest.mark.parametrize("model", ["crf", "classic", "default"])
def test_ten_docs_without_a_mistake_change_little(model):
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    before = score(component.tagger, examples_for(nlp)).scores.min()
    calibrate(component.tagger, 2 * examples_for(nlp))
    assert 0.9 < component.model.get_ref("head").attrs["temperature"] <= 1.0
    after = score(component.tagger, examples_for(nlp)).scores.min()
    assert 1 - after > 0.5 * (1 - before)


def test_diverse_texts_are_no_copies_and_not_annotated_ones(model):
    nlp = spacy.load(model / "model")
    texts = ["Canada Khan Uber of the Pay"] * 5 + ["I like London and Berlin.", "nothing to see here", "Uber of Berlin"]
    (model / "in.txt").write_text("\n".join(texts) + "\n")
    # One document of two sentences.
    (model / "done.conll").write_text("Uber B-ORG\nof O\nBerlin B-LOC\n\nNo O\none O\n", "utf8")
    convert = ("convert", model / "done.conll", model / "done.spacy", "--n-sents", "2")
    assert run_command(*convert)[1] == 0
    args = ["uncertainty", model / "model", model / "in.txt", model / "out.jsonl", "--by", "entropy", "--diverse"]
    said, code = run_command(*args)
    assert code == 1 and "add --limit" in said
    said, code = run_command(*args, "--limit", "5", "--annotated", model / "done.spacy")
    assert code == 0 and "1 texts of" in said, said
    chosen = [json.loads(line)["text"] for line in (model / "out.jsonl").read_text().splitlines()]
    assert sorted(chosen) == sorted({*texts} - {"Uber of Berlin"})
    ranked = rank_by_uncertainty(nlp, nlp.get_pipe("lstm_ner"), texts, "entropy")
    assert [doc.text for doc, _ in ranked[:5]] == texts[:5]
    assert choose_diverse(nlp.get_pipe("lstm_ner"), [], "entropy", 2) == []
    assert len(choose_diverse(nlp.get_pipe("lstm_ner"), ranked[:2], "entropy", 2)) == 1
    first, second = choose_diverse(nlp.get_pipe("lstm_ner"), ranked, "entropy", 2)
    assert first[0].text == texts[0] != second[0].text
