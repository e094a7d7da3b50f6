"""The decoding "expected_f": the best set of entities, thresholds, and how they are found."""

import itertools
from functools import cache

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.cli._util import app as spacy_app
from support.commands import run_command
from support.random_docs import LABELS, MODELS, given_docs
from support.small import TRAIN, entities, examples_for, learned, trained, unfinished_with_dev
from thinc.api import fix_random_seed
from typer.testing import CliRunner

from spacy_lstm_ner.pipeline import predict
from spacy_lstm_ner.pipeline.predict import score_spans
from spacy_lstm_ner.pipeline.span_choice import GRID, expected_threshold, f_beta, fit_threshold, judge

NLP = spacy.blank("en")


@cache
def unsure(model):
    """A component that has learned nothing, so that everything is about equally likely."""
    fix_random_seed(0)
    ner = NLP.create_pipe("lstm_ner", config={"model": MODELS[model], "decoding": "expected_f"})
    examples = examples_for(NLP, [("a", [])])
    ner.initialize(lambda: examples, labels=LABELS[:2])
    rng = np.random.default_rng(0)
    for node in ner.model.get_ref("head"), ner.model.get_ref("output_layer"):
        for name in node.param_names:
            node.set_param(name, rng.normal(size=node.get_param(name).shape).astype("f"))
    return ner


def best_weight(scores, thresholds, first=0):
    """The greatest sum of probability minus threshold of entities that do not overlap and begin at `first` or later."""
    later = [span for span in scores if span[0] >= first]
    sums = (scores[s] - thresholds[s[2]] + best_weight(scores, thresholds, s[1]) for s in later)
    return max(sums, default=0.0)


@settings(deadline=None)
@given(st.lists(given_docs(NLP.vocab, max_words=7), max_size=3), st.sampled_from(list(MODELS)), st.data())
def test_the_best_of_all_sets(docs, model, data):
    """With entities and blocked tokens that are given, sentence boundaries, white space, and thresholds by label."""
    ner = unsure(model)
    low, high = (data.draw(st.floats(0.05, 0.9)) for _ in range(2))
    boundaries, overwrite = data.draw(st.booleans()), data.draw(st.booleans())
    thresholds = {LABELS[0]: low, LABELS[1]: high}
    ner.cfg.update(threshold=high, label_thresholds={LABELS[0]: low})
    ner.cfg.update(sentence_boundaries=boundaries, overwrite=overwrite)
    pairs = [itertools.combinations(range(len(doc) + 1), 2) for doc in docs]
    spans_of_docs = [[(*pair, label) for pair in own for label in ner.labels] for own in pairs]
    scores_of_docs = score_spans(ner.tagger, docs, spans_of_docs)
    for doc, spans, scores, found in zip(docs, spans_of_docs, scores_of_docs, ner.predict(docs), strict=True):
        likely = {span: p for span, p in zip(spans, scores, strict=True) if p >= thresholds[span[2]]}
        chosen = list(zip(found.starts, found.ends, found.labels, strict=True))
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(chosen))
        assert [likely[span] for span in chosen] == pytest.approx(found.scores, abs=1e-9)
        weight = sum(likely[span] - thresholds[span[2]] for span in chosen)
        assert weight == pytest.approx(best_weight(likely, thresholds), abs=1e-9)
        # Of sets that are equally good, rounding chooses.
        alone = ner.predict([doc])[0]
        own = sum(score - thresholds[label] for score, label in zip(alone.scores, alone.labels, strict=True))
        assert own == pytest.approx(weight, abs=1e-5)


def test_a_lower_threshold_adds_entities():
    nlp, _ = trained(steps=5)
    ner = nlp.get_pipe("lstm_ner")
    text = "Uber and Shaka Khan like London and Berlin in Canada."
    most = len(nlp(text).ents)
    ner.cfg["decoding"] = "expected_f"
    counts = []
    for threshold in (0.02, 0.2, 0.4, 0.8, 1.0):
        ner.cfg["threshold"] = threshold
        doc = nlp(text)
        counts.append(len(doc.ents))
        assert all(ent._.lstm_ner_score >= threshold for ent in doc.ents)
    assert counts == sorted(counts, reverse=True) and counts[0] > most and counts[-1] == 0
    by_default = nlp(text)
    ner.cfg.update(threshold=0.0, label_thresholds={"LOC": 0.0})
    assert entities(nlp(text)) != entities(by_default)
    ner.cfg.update(threshold=0.4, label_thresholds={})
    at_default = entities(nlp(text))
    ner.cfg["threshold"] = 0.0
    assert entities(nlp(text)) == at_default


def test_scores_are_kept_only_where_they_are_wanted():
    nlp = learned("crf")
    expected = entities(nlp(TRAIN[2][0]))
    nlp.get_pipe("lstm_ner").cfg.update(decoding="expected_f", annotate="both", score_attr=None)
    doc = nlp(TRAIN[2][0])
    assert entities(doc) == expected and len(doc.spans["lstm_ner"].attrs["scores"]) == 2 and not doc.user_data


def test_an_unknown_decoding_is_an_error():
    with pytest.raises(ValueError, match="decoding is 'viterbi', but must be one of 'best_sequence', 'expected_f'"):
        NLP.create_pipe("lstm_ner", config={"decoding": "viterbi"})


def test_with_label_temperatures_nothing_is_lost():
    ner = unsure("crf")
    ner.cfg.update(threshold=0.3, label_thresholds={}, sentence_boundaries=False, overwrite=False)
    head = ner.model.get_ref("head")
    try:
        head.attrs.update(temperature=0.7, label_temperatures=[3.0, 0.5])
        doc = NLP.make_doc("Sharon flew to Miami . x")
        spans = [(*pair, label) for pair in itertools.combinations(range(7), 2) for label in ner.labels]
        (scores,) = score_spans(ner.tagger, [doc], [spans])
        likely = {span: p for span, p in zip(spans, scores, strict=True) if p >= 0.3}
        found = ner.predict([doc])[0]
        assert sum(found.scores) - 0.3 * len(found.scores) == pytest.approx(
            best_weight(likely, dict.fromkeys(ner.labels, 0.3)), abs=1e-9
        )
    finally:
        head.attrs.update(temperature=1.0, label_temperatures=[])


def test_f_beta_by_hand():
    assert f_beta(4, 2, 8) == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert f_beta(4, 2, 8, 2.0) == pytest.approx(5 * 0.5 * 0.25 / (4 * 0.5 + 0.25))
    assert f_beta(0, 0, 0) == 0.0


@pytest.mark.parametrize("decoding", ["best_sequence", "expected_f"])
def test_judged_entities_are_those_of_the_component(decoding):
    nlp, _ = trained(steps=12)
    ner = nlp.get_pipe("lstm_ner")
    examples = examples_for(nlp, 2 * TRAIN)
    ner.cfg["decoding"] = decoding
    judged = judge(ner.tagger, examples)
    assert judged.gold.sum() == 12
    for threshold in (0.1, 0.3, 0.6):
        ner.cfg["threshold"] = threshold
        predicted = ner.predict([example.predicted for example in examples])
        found, right = judged.counts(np.full(len(ner.labels), threshold))
        assert found.sum(axis=1).tolist() == [len(one.starts) for one in predicted]
        gold = [{(e.start, e.end, e.label_) for e in example.reference.ents} for example in examples]
        pairs = zip(predicted, gold, strict=True)
        assert right.sum() == sum(len({*zip(p.starts, p.ends, p.labels, strict=True)} & g) for p, g in pairs)


def test_fitted_thresholds(monkeypatch):
    """Recall that counts more never has a higher threshold, and the expected one is a fixed point."""
    nlp, _ = trained(steps=12)
    ner = nlp.get_pipe("lstm_ner")
    ner.cfg["decoding"] = "expected_f"
    examples = examples_for(nlp)
    judged = judge(ner.tagger, examples)
    assert fit_threshold(judged, 4.0) <= fit_threshold(judged) <= fit_threshold(judged, 0.25)
    assert fit_threshold(judged) in GRID
    docs = [example.predicted for example in examples]
    assert ner.expected_threshold(docs, 4.0) <= ner.expected_threshold(docs) <= ner.expected_threshold(docs, 0.25)
    threshold = ner.cfg["threshold"] = ner.expected_threshold(docs)
    assert threshold == expected_threshold(ner.tagger, docs)
    scores = [score for found in ner.predict(docs) for score in found.scores]
    everything = judged.scores.sum()
    assert threshold == pytest.approx(f_beta(len(scores), sum(scores), everything) / 2, abs=0.01)
    with pytest.raises(ValueError, match="beta is 0, but must be greater than 0"):
        ner.expected_threshold(docs, 0)
    for nothing in ([], [nlp.make_doc("")]):
        with pytest.raises(ValueError, match="the docs have no likely entity, so no threshold is the best"):
            ner.expected_threshold(nothing)
    monkeypatch.setattr(predict, "TOKENS_AT_ONCE", 5)
    assert threshold == pytest.approx(ner.expected_threshold(docs), abs=1e-5)


def test_labels_with_their_own_threshold_keep_it():
    nlp, _ = trained(steps=12)
    ner = nlp.get_pipe("lstm_ner")
    ner.cfg["decoding"] = "expected_f"
    judged = judge(ner.tagger, examples_for(nlp))
    others = judged._replace(scores=np.where(judged.spans.labels == 1, 0.0, judged.scores))
    never = np.where(np.arange(len(ner.labels)) == 1, 1.0, 0.0)
    assert fit_threshold(judged, by_label=never) == fit_threshold(others) != fit_threshold(judged)


@pytest.fixture
def folder(tmp_path):
    unfinished_with_dev(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*calibrate:UserWarning")
def test_calibrate_sets_the_decoding_and_its_threshold(folder):
    args = ("calibrate", folder / "model", folder / "dev.spacy", "--decoding", "expected_f")
    said, code = run_command(*args, "-r", folder / "r.json")
    assert code == 0 and "threshold" in said, said
    cfg = spacy.load(folder / "model").get_pipe("lstm_ner").cfg
    assert cfg["decoding"] == "expected_f" and cfg["threshold"] == 0.5
    said, code = run_command(*args[:3], "-o", folder / "other", "--decoding", "best_sequence")
    assert code == 0 and spacy.load(folder / "other").get_pipe("lstm_ner").cfg["threshold"] == 0.0
    said, code = run_command(*args, "--beta", "-1")
    assert code == 1 and "--beta is -1" in said
    said, code = run_command(*args[:3], "--decoding", "other")
    assert code == 1 and "decoding is 'other', but must be one of" in said


def test_spacy_finds_a_threshold(folder):
    nlp = spacy.load(folder / "model", config={"components": {"lstm_ner": {"decoding": "expected_f"}}})
    nlp.to_disk(folder / "other")
    args = [str(folder / "other"), str(folder / "dev.spacy"), "lstm_ner", "threshold", "ents_f", "--n_trials", "3"]
    result = CliRunner().invoke(spacy_app, ["find-threshold", *args])
    assert result.exit_code == 0 and "Best threshold" in result.output, result.output
