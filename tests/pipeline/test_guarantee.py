"""Promises about precision and recall: the tests behind them, that they are kept, and honest refusals."""

import json
import math

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin
from support.commands import run_command
from support.small import unfinished_with_dev

from spacy_lstm_ner.pipeline.guarantee import (
    THRESHOLDS,
    Promise,
    chance,
    effective_size,
    guarantee,
    keeping,
    parse_promise,
    stored_promises,
    try_thresholds,
    without_promises,
)
from spacy_lstm_ner.pipeline.span_choice import Judged
from spacy_lstm_ner.tags import Spans

NO_THRESHOLDS = {"threshold": 0.0, "label_thresholds": {}}


@pytest.mark.parametrize("k, n, p", [(95, 100, 0.9), (19, 20, 0.8), (100, 100, 0.97), (1, 5, 0.3), (940, 1000, 0.95)])
def test_the_exact_binomial_test(k, n, p):
    expected = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert chance(k, n, p) == pytest.approx(expected, rel=1e-9)
    assert chance(0, n, p) == 1.0


def test_the_binomial_test_with_millions():
    assert chance(2_000_001, 4_000_001, 0.5) == pytest.approx(0.5, abs=1e-5)


def test_documents_that_are_right_or_wrong_as_a_whole_count_once():
    whole = np.full(200, 10)
    right = np.where(np.arange(200) % 4, 10, 0)
    assert effective_size(right, whole) == pytest.approx(200, rel=0.02)
    alternating = np.where(np.arange(200) % 2, 7, 8)
    assert effective_size(alternating, whole) == 2000


def simulated(seed, n_docs=400, n_labels=1, spread=0.05):
    """Docs with calibrated scores, whose entities are right or wrong together, more than by chance."""
    rng = np.random.default_rng(seed)
    sizes = rng.poisson(6, n_docs)
    docs, n = np.repeat(np.arange(n_docs), sizes), sizes.sum()
    scores, starts = rng.beta(3, 0.7, n), np.arange(n) * 2
    shift = rng.normal(0, spread, n_docs)[docs]
    right = rng.random(n) < np.clip(scores + shift, 0, 1)
    labels = rng.integers(0, n_labels, n)
    gold = np.zeros((n_docs, n_labels), dtype=np.int64)
    np.add.at(gold, (docs, labels), right)
    return Judged(True, Spans(starts, starts + 1, labels), scores, right, docs, gold)


def rates(judged, threshold):
    found, right = (counts.sum() for counts in judged.counts(np.full(judged.gold.shape[1], threshold)))
    return {"precision": right / found, "recall": right / judged.gold.sum()}


@pytest.mark.parametrize("measure, level", [("precision", 0.9), ("recall", 0.8)])
def test_promises_are_kept_in_other_texts(measure, level):
    promise, kept, given, others = Promise(measure, None, level, 0.8), 0, 0, simulated(1000, n_docs=5000)
    for seed in range(30):
        try:
            settings = guarantee(simulated(seed), ["A"], NO_THRESHOLDS, [promise])
        except ValueError:
            continue
        given += 1
        kept += rates(others, settings["threshold"])[measure] >= level
    assert given >= 25 and kept >= 0.8 * given


def test_the_best_of_the_thresholds_that_keep_a_promise():
    judged = simulated(0)
    trial = try_thresholds(judged, np.zeros(1), np.array([0]), np.array([0]))
    promise = Promise("precision", None, 0.9, 0.9)
    kept = keeping(trial, promise)
    assert 0 < kept.sum() < len(kept)
    f = 2 * trial.right.sum(axis=1) / (trial.found.sum(axis=1) + trial.gold.sum())
    settings = guarantee(judged, ["A"], NO_THRESHOLDS, [promise])
    assert settings["threshold"] == THRESHOLDS[kept][f[kept].argmax()]
    strict = guarantee(judged, ["A"], NO_THRESHOLDS, [promise._replace(level=0.93)])
    assert strict["threshold"] > settings["threshold"]
    assert set(settings["guarantees"]["precision >= 0.9 at 0.9"]) == {"threshold", "measured", "entities", "documents"}


def test_promises_by_label_and_for_the_rest():
    judged = simulated(0, n_labels=3)
    promises = [Promise("precision", "B", 0.93, 0.8), Promise("precision", None, 0.85, 0.8)]
    settings = guarantee(judged, ["A", "B", "C"], NO_THRESHOLDS, promises)
    assert set(settings["label_thresholds"]) == {"B"} and settings["threshold"] < settings["label_thresholds"]["B"]
    assert len(settings["guarantees"]) == 2
    with pytest.raises(ValueError, match="but all have one: leave it out, or remove a label"):
        guarantee(judged, ["A"], {"threshold": 0.0, "label_thresholds": {"A": 0.5}}, promises[1:])


def test_a_label_threshold_of_0_counts_as_not_set_where_the_best_set_is_chosen():
    judged, promise = simulated(0, n_labels=2), [Promise("precision", None, 0.85, 0.8)]
    zero = guarantee(judged, ["A", "B"], {"threshold": 0.0, "label_thresholds": {"B": 0.0}}, promise)
    assert zero == {**guarantee(judged, ["A", "B"], NO_THRESHOLDS, promise), "label_thresholds": {"B": 0.0}}


def test_old_promises_go_with_their_thresholds():
    judged = simulated(0, n_labels=2)
    promises = [Promise("precision", "B", 0.93, 0.8), Promise("precision", None, 0.85, 0.8)]
    own = guarantee(judged, ["A", "B"], {"threshold": 0.0, "label_thresholds": {"C": 0.5}}, promises)
    assert [(label, is_set) for _, label, is_set in stored_promises(own)] == [("B", True), (None, True)]
    assert without_promises(own) == {"threshold": 0.0, "label_thresholds": {"C": 0.5}, "guarantees": {}}
    changed = {**own, "threshold": 0.123, "label_thresholds": {"B": 0.99}}
    assert [is_set for *_, is_set in stored_promises(changed)] == [False, False]
    assert without_promises(changed) == {**changed, "guarantees": {}}


@pytest.mark.parametrize("made_up", [{"precision >= 0.9": {}}, {"F1": {"threshold": 0.5}}])
def test_a_promise_in_a_config_is_an_error(made_up):
    with pytest.raises(ValueError, match="only `spacy lstm-ner calibrate --guarantee` can make promises: remove it"):
        spacy.blank("en").add_pipe("lstm_ner", config={"guarantees": made_up})


def test_refusals_say_what_is_missing():
    judged = simulated(0, n_docs=60)
    with pytest.raises(ValueError, match=r"no threshold keeps .* on 60 documents\. It needs about \d+ more documents"):
        guarantee(judged, ["A"], NO_THRESHOLDS, [Promise("precision", None, 0.95, 0.95)])
    with pytest.raises(ValueError, match=r"need at least 20 annotated documents, found 19"):
        guarantee(simulated(0, n_docs=19), ["A"], NO_THRESHOLDS, [Promise("precision", None, 0.5, 0.9)])
    assert guarantee(simulated(0, n_docs=3), ["A"], NO_THRESHOLDS, [])["guarantees"] == {}
    half = judged._replace(by_set=False, gold=2 * judged.gold)
    with pytest.raises(
        ValueError, match=r"the highest recall is 0\.\d+. Lower the rate, or set decoding to 'expected_f"
    ):
        guarantee(half, ["A"], NO_THRESHOLDS, [Promise("recall", None, 0.9, 0.9)])
    with pytest.raises(ValueError, match="they have no such entities"):
        guarantee(
            half._replace(gold=half.gold * [[1, 0]]), ["A", "B"], NO_THRESHOLDS, [Promise("recall", "B", 0.9, 0.9)]
        )
    perfect = half._replace(scores=np.where(half.right, 0.9999, half.scores))
    with pytest.raises(ValueError, match=r"on 60 documents. Even without a mistake, it needs 460,515 entities"):
        guarantee(perfect, ["A"], NO_THRESHOLDS, [Promise("precision", None, 0.99999, 0.9)])
    both = [Promise("precision", None, 0.93, 0.8), Promise("recall", None, 0.93, 0.8)]
    with pytest.raises(ValueError, match=r"no threshold keeps precision .* and recall .* together"):
        guarantee(simulated(0), ["A"], NO_THRESHOLDS, both)


def test_reading_promises():
    assert parse_promise("precision PER >= 0.95 at 0.9", ["PER"]) == Promise("precision", "PER", 0.95, 0.9)
    assert parse_promise("recall>=0.8", []) == Promise("recall", None, 0.8, 0.9)
    assert parse_promise("recall two words >= .5 at .75", ["two words"]).label == "two words"
    promise = Promise("recall", "PER", 0.8, 0.95)
    assert parse_promise(str(promise), ["PER"]) == promise
    for text, said in {
        "accuracy >= 0.9": "expected a text such as",
        "precision ORG >= 0.9": "there is no label ORG; the model has PER",
        "precision >= 1": "greater than 0 and less than 1",
        "precision >= 0.9.9": "0.9.9 is not a number",
    }.items():
        with pytest.raises(ValueError, match=said):
            parse_promise(text, ["PER"])


@pytest.mark.filterwarnings("ignore:.*calibrate:UserWarning")
def test_the_command_saves_what_it_promises_and_report_shows_it(tmp_path):
    docs = unfinished_with_dev(tmp_path)
    DocBin(docs=docs[:30]).to_disk(tmp_path / "few.spacy")
    model, before = tmp_path / "model", (tmp_path / "model" / "lstm_ner" / "cfg").read_text("utf8")
    said, code = run_command("calibrate", model, tmp_path / "few.spacy", "-g", "precision LOC >= 0.99 at 0.99")
    assert code == 1 and "more documents" in said, said
    assert (model / "lstm_ner" / "cfg").read_text("utf8") == before
    promises = ("-g", "precision >= 0.9", "-g", "recall LOC >= 0.8 at 0.8")
    said, code = run_command("calibrate", model, tmp_path / "dev.spacy", *promises, "-r", tmp_path / "r.json")
    assert code == 0 and "recall LOC >= 0.8 at 0.8 by the threshold" in said, said
    cfg = spacy.load(model).get_pipe("lstm_ner").cfg
    assert list(cfg["guarantees"]) == ["precision >= 0.9 at 0.9", "recall LOC >= 0.8 at 0.8"]
    assert cfg["guarantees"] == json.loads((tmp_path / "r.json").read_text())["guarantees"]
    assert cfg["label_thresholds"]["LOC"] == cfg["guarantees"]["recall LOC >= 0.8 at 0.8"]["threshold"]
    said, code = run_command("report", model, tmp_path / "dev.spacy", tmp_path / "report", "--samples", "100")
    assert code == 0, said
    page = (tmp_path / "report" / "report.md").read_text("utf8")
    assert "recall LOC" in page and "Promises" in page and "not promised any more" not in page
    nlp = spacy.load(model)
    nlp.get_pipe("lstm_ner").cfg["threshold"] = 0.123
    nlp.to_disk(model)
    said, code = run_command("report", model, tmp_path / "dev.spacy", tmp_path / "report", "--samples", "100")
    assert code == 0 and "The threshold for precision >= 0.9 at 0.9 was changed" in said, said
    said, code = run_command("calibrate", model, tmp_path / "dev.spacy", "--beta", "2")
    assert code == 1 and "Add --decoding expected_f" in said, said
    said, code = run_command("calibrate", model, tmp_path / "dev.spacy")
    cfg = spacy.load(model).get_pipe("lstm_ner").cfg
    assert code == 0 and (cfg["guarantees"], cfg["threshold"], cfg["label_thresholds"]) == ({}, 0.123, {})
