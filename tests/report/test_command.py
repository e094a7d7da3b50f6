"""The command `report`: its files, any pipeline, and what is wrong with input."""

import json
import random
import re
import sys

import pytest
import spacy
from spacy.tokens import Doc, Span
from support.commands import run_command
from support.data_files import write_data, write_docs
from support.judged_docs import judged, spoil
from support.small import TRAIN, learned

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

HOSTILE = "<img src=x onerror=alert(1)> | `*London*` & {{ 7 * 7 }}"


def ruler(folder, *patterns):
    nlp = spacy.blank("en")
    rules = [{"label": label, "pattern": text} for text, label in patterns]
    nlp.add_pipe("entity_ruler").add_patterns(rules)
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    learned().to_disk(folder)
    return folder


def figures_of(folder):
    return json.loads((folder / "report.json").read_text("utf8"))


def test_an_lstm_ner_gets_all_sections(model, tmp_path):
    start = HOSTILE.index("London")
    wrong = [
        ("I like London and Berlin.", [(7, 13, "ORG"), (18, 24, "LOC")]),
        (HOSTILE, [(start, start + 6, "LOC")]),
    ]
    data, train = write_data(tmp_path / "data.spacy", TRAIN + wrong), write_data(tmp_path / "train.spacy", TRAIN[:2])
    other = ruler(tmp_path / "other", ("London", "LOC"), ("Uber", "ORG"))
    said, code = run_command("report", model, data, tmp_path / "new" / "out", "--train", train, "--other", other)
    assert code == 0 and "the report is" in said, said
    figures = figures_of(tmp_path / "new" / "out")
    nlp = spacy.load(model)
    scores = nlp.evaluate(list(spacy.training.Corpus(data)(nlp)))
    assert [figures["overall"][key] for key in "prf"] == pytest.approx([scores[f"ents_{key}"] for key in "prf"])
    assert figures["tokens"]["accuracy"] == pytest.approx(scores["ents_token_acc"])
    assert figures["documents"] == 7 and figures["notes"] == [] and figures["reviewed"]
    (doubt, *_) = figures["doubts"]
    assert [part for part in doubt["gold"] if part.get("meant")] == [{"text": "London", "label": "ORG", "meant": True}]
    assert [part for part in doubt["found"] if part.get("meant")] == [{"text": "London", "label": "LOC", "meant": True}]
    assert "".join(part["text"] for part in doubt["gold"]) == "I like London and Berlin." and doubt["score"] > 0.9
    assert figures["groups"]["seen"]["seen with this type"]["tp"] == 3
    assert figures["confidence"]["ece"] < 0.5 and figures["confidence"]["thresholds"][0]["f"] == figures["overall"]["f"]
    assert figures["other"]["only_first"]["count"] > 0 and figures["other"]["difference"] > 0


def test_the_three_files_say_the_same(model, tmp_path):
    data = write_data(tmp_path / "data.spacy", [*TRAIN, (HOSTILE, [(0, 4, "<i>&")])])
    assert run_command("report", model, data, tmp_path / "out")[1] == 0
    page, text = ((tmp_path / "out" / f"report.{suffix}").read_text("utf8") for suffix in ("html", "md"))
    figures = figures_of(tmp_path / "out")
    for shown in (page, text):
        assert f"{100 * figures['overall']['f']:.1f}" in shown
        assert "<img" not in shown.replace("\\<img", "") and "<i>" not in shown.replace("\\<i\\>", "")
        assert "{{ 7 * 7 }}" in shown.replace("\\", "")
    assert len(re.findall(r"<svg", page)) == 3 == len(re.findall(r'<figure role="img" aria-label="[^"]+"', page))
    assert [title.strip() for title in re.findall(r"^## (.*)$", text, re.M)] == re.findall(r"<h2[^>]*>(.*)</h2>", page)
    # Nothing is fetched: the only addresses are names of XML vocabularies.
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert len(set(re.findall(r' id="([^"]+)"', page))) == len(re.findall(r' id="', page))


def test_the_page_stays_small(tmp_path):
    from spacy_lstm_ner.report.figures import compute
    from spacy_lstm_ner.report.judge import Judgement
    from spacy_lstm_ner.report.write import write_report

    source = random.Random(0)
    docs = [spoil(judged([f"word{k}"] * 30, [(k % 20, k % 20 + 3, "PER")]), source) for k in range(10_000)]
    figures = compute(Judgement(docs), samples=100)
    more = {"model": "m", "data": "d", "notes": [], "reviewed": False, "guarantees": {}, "other": None}
    write_report(tmp_path, {**more, **figures})
    assert len(figures["mistakes"]) == 20 and figures["errors"]["missed"] > 100
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_any_pipeline_with_entities(tmp_path):
    data = write_data(tmp_path / "data.spacy", TRAIN)
    said, code = run_command("report", ruler(tmp_path / "model", ("London", "LOC")), data, tmp_path / "out")
    assert code == 0 and "does not know these types of the data" in said and "GPE (1)" in said
    page, figures = (tmp_path / "out" / "report.html").read_text("utf8"), figures_of(tmp_path / "out")
    assert "Not all found entities have a probability" in page and "Only an lstm_ner can judge annotation" in page
    assert figures["confidence"] is None and figures["overall"]["p"] == 1.0 and figures["doubts"] == []


def test_probabilities_of_other_components(tmp_path):
    data, model = write_data(tmp_path / "data.spacy", TRAIN), ruler(tmp_path / "model", ("London", "LOC"))
    said, code = run_command("report", model, data, tmp_path / "out", "--score-attr", "sureness")
    assert code == 1 and "no attribute ent._.sureness" in said
    Span.set_extension("sureness", getter=lambda span: 0.25)
    try:
        assert run_command("report", model, data, tmp_path / "out", "--score-attr", "sureness")[1] == 0
    finally:
        Span.remove_extension("sureness")
    assert figures_of(tmp_path / "out")["confidence"]["ece"] == 0.75


def test_data_with_little_in_it(model, tmp_path):
    nlp = spacy.blank("en")
    doc = nlp("I like London and Berlin.")
    doc.set_ents([])
    data = write_docs(tmp_path / "data.spacy", [nlp("no annotation"), doc])
    said, code = run_command("report", model, data, tmp_path / "out")
    assert code == 0 and figures_of(tmp_path / "out")["overall"] == {
        **{"tp": 0, "fp": 2, "fn": 0, "p": 0.0, "r": None, "f": 0.0},
        **dict.fromkeys(("p_interval", "r_interval", "f_interval")),
    }
    (mistake, _) = figures_of(tmp_path / "out")["mistakes"]
    assert mistake["document"] == 2
    for note in ("1 document has no entity", "has no entity, so there is no recall", "is one document"):
        assert note in said
    doc = nlp.make_doc("Nothing happened.")
    doc.set_ents([])
    data = write_docs(tmp_path / "data.spacy", [doc, doc])
    assert run_command("report", ruler(tmp_path / "model", ("London", "LOC")), data, tmp_path / "out")[1] == 0
    assert figures_of(tmp_path / "out")["overall"]["f"] is None


@pytest.mark.parametrize(
    "changed, error",
    [
        ({"data": "nothing.spacy"}, "no such file"),
        ({"data": "empty.spacy"}, "expected docs in .spacy files, found none"),
        ({"data": "bare.spacy"}, "none of the 1 docs has entity annotation"),
        ({"model": "no_such_model"}, "Can't find model"),
        ({"model": "blank"}, "sets no doc.ents: its components are sentencizer"),
        ({"--pipe": "lstm_ner"}, "no lstm_ner component 'lstm_ner'"),
        ({"--train": "bare.spacy"}, "expected training data with entities for --train"),
        ({"--other": "blank"}, "sets no doc.ents"),
        ({"out": "data.spacy"}, "expected a folder to write to"),
    ],
)
def test_broken_input(changed, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data.spacy", TRAIN)
    write_docs(tmp_path / "bare.spacy", [spacy.blank("en")("no annotation")])
    write_docs(tmp_path / "empty.spacy", [])
    ruler(tmp_path / "model", ("London", "LOC"))
    blank = spacy.blank("en")
    blank.add_pipe("sentencizer")
    blank.to_disk("blank")
    names = {"model": "model", "data": "data.spacy", "out": "out", **changed}
    options = [word for name, value in names.items() if name.startswith("--") for word in (name, value)]
    said, code = run_command("report", names["model"], names["data"], names["out"], *options)
    assert code == 1 and error in said and "Cannot report on" in said
    assert not (tmp_path / "out").exists()


def test_without_the_extra(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("spacy_lstm_ner.report.")]:
        if name.endswith((".charts", ".write")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said, code = run_command("report", "model", tmp_path, tmp_path / "out")
    assert code == 1 and "matplotlib is missing" in said and "spacy-lstm-ner[report]" in said


def test_two_data_sets(model, tmp_path):
    data, other = write_data(tmp_path / "a.spacy", TRAIN), write_data(tmp_path / "b.spacy", TRAIN[:1])
    said, code = run_command("report", model, data, tmp_path / "out", "--other-data", other)
    assert code == 0 and "The other data: The data is one document" in said, said
    own = figures_of(tmp_path / "out")["other_data"]
    nlp = spacy.load(model)
    assert own["overall"]["f"] == nlp.evaluate(list(spacy.training.Corpus(other)(nlp)))["ents_f"]
    assert own["data"] == "b.spacy" and own["documents"] == 1 and own["interval"] is None
    assert "is one document" in own["notes"][0] and own["mistakes"] == []
    assert "The other data: The data is one document" in (tmp_path / "out" / "report.html").read_text("utf8")
    said, code = run_command("report", model, data, tmp_path / "new", "--other-data", tmp_path / "none.spacy")
    assert code == 1 and "none.spacy" in said and not (tmp_path / "new").exists()


def log_row(step, f):
    scores = {"ents_p": f, "ents_r": f, "ents_f": f}
    return {
        "step": step,
        "epoch": 0,
        "words": 50 * step + 50,
        "seconds": 1,
        "losses": {"ner": 9.0},
        "score": f,
        "scores": scores,
    }


def test_the_curves_of_training(tmp_path):
    data, model = write_data(tmp_path / "data.spacy", TRAIN), ruler(tmp_path / "model", ("London", "LOC"))
    rows = [log_row(step, f) for step, f in ((0, None), (1, 0.25), (2, 0.75), (3, 0.5))]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert run_command("report", model, data, tmp_path / "out")[1] == 0
    page, text = ((tmp_path / "out" / f"report.{suffix}").read_text("utf8") for suffix in ("html", "md"))
    curves = figures_of(tmp_path / "out")["training"]
    assert [row["f"] for row in curves] == [None, 0.25, 0.75, 0.5] and curves[1]["losses"] == {"ner": 0.18}
    assert "the best at step 2. The table has the values." in page and "was 75.0 at step 2." in page
    assert "Loss per word by step of training: ner from 0.18 to 0.18." in page
    assert "| 1 | 25.0 | 25.0 | 25.0 | 0.18 | 100 |" in text


@pytest.mark.parametrize(
    "line, performance, note",
    [
        ('{"step": 1, "losses": {}}', {}, r"log.jsonl:1: expected a line of spacy-lstm-ner.Logger.v1, found"),
        (json.dumps(log_row(1, 0.25)), {"ents_f": 0.5}, "has the scores of the pipeline"),
    ],
)
def test_a_log_that_cannot_be_used(line, performance, note, tmp_path):
    data, model = write_data(tmp_path / "data.spacy", TRAIN), ruler(tmp_path / "model", ("London", "LOC"))
    meta = json.loads((model / "meta.json").read_text("utf8"))
    (model / "meta.json").write_text(json.dumps({**meta, "performance": performance}), "utf-8")
    (tmp_path / "log.jsonl").write_text(line, "utf-8")
    said, code = run_command("report", model, data, tmp_path / "out")
    assert code == 0 and "There are no curves of training" in said
    assert figures_of(tmp_path / "out")["training"] == [] and any(
        note in own for own in figures_of(tmp_path / "out")["notes"]
    )


def test_from_text(tmp_path):
    doc = Doc(spacy.blank("en").vocab, words=["London-based", "Uber"], spaces=[True, False])
    doc.set_ents([Span(doc, 1, 2, "ORG")])
    data = write_docs(tmp_path / "data.spacy", [doc, doc])
    model = ruler(tmp_path / "model", ("London", "LOC"), ("Uber", "ORG"))
    assert run_command("report", model, data, tmp_path / "out", "--from-text")[1] == 0
    figures = figures_of(tmp_path / "out")
    assert figures["overall"]["tp"] == 2 and figures["by_type"]["LOC"]["fp"] == 2 and figures["tokens"]["tokens"] == 8
