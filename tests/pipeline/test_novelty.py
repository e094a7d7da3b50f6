"""Novelty: the table of the training texts, the doubt about texts, and probabilities that new words lower."""

import json

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from support.commands import run_command
from support.small import TRAIN, examples_for, learned, trained

from spacy_lstm_ner.annotation.chain import chain_tokens
from spacy_lstm_ner.layers.crf.head import NOVELTY
from spacy_lstm_ner.pipeline import calibration
from spacy_lstm_ner.pipeline import novelty as novelty_module
from spacy_lstm_ner.pipeline.calibration import calibrate, fit, score
from spacy_lstm_ner.pipeline.novelty import (
    BACKOFF,
    UNKNOWN_WORDS,
    Novelty,
    doubts,
    novelty_of,
    read_training,
    recalibrated,
    token_surprise,
)
from spacy_lstm_ner.pipeline.novelty_fit import fit_doubt, fit_weights, novel_copies
from spacy_lstm_ner.pipeline.predict import read_chains, score_spans
from spacy_lstm_ner.tags import Spans

WRONG = [("Uber of Berlin", [(0, 4, "PERSON")])]


def calibrated():
    """A pipeline that was calibrated with its training texts, and that shows some mistakes."""
    nlp = learned("crf")
    component = nlp.get_pipe("lstm_ner")
    examples = examples_for(nlp, 20 * TRAIN + 20 * WRONG)
    calibrate(component.tagger, examples, [example.reference for example in examples_for(nlp)])
    return nlp, component


def test_surprise_by_hand():
    nlp = spacy.blank("en")
    docs = [Doc(nlp.vocab, words) for words in (["the", "cat", "sat"], ["the", "cat", "ran"], ["the", "dog"])]
    docs[0].set_ents([Span(docs[0], 1, 2, "PET")])
    novelty = read_training(docs)
    read = [Doc(nlp.vocab, ["the", "cat", "flew"]), Doc(nlp.vocab, []), Doc(nlp.vocab, ["dog"])]
    surprise = token_surprise(novelty, chain_tokens(read, with_words=True))
    p = (np.array([3, 2, 0, 1]) + 0.5) / (8 + UNKNOWN_WORDS)
    np.testing.assert_allclose(surprise[:, 0], -np.log(p), rtol=0.01)
    after = [p[0], (2 + BACKOFF * p[1]) / (3 + BACKOFF), BACKOFF * p[2] / (2 + BACKOFF), p[3]]
    np.testing.assert_allclose(surprise[:, 1], -np.log(after), rtol=0.05)


def test_white_space_in_training_texts_does_not_count():
    """As in the chain of tags. An entity of white space is none."""
    nlp = spacy.blank("en")
    plain, spaced = (Doc(nlp.vocab, words) for words in (["in", "New", "York"], ["in", "\n", "New", "\n", "York", " "]))
    plain.set_ents([Span(plain, 1, 3, "LOC")])
    spaced.set_ents([Span(spaced, 2, 5, "LOC"), Span(spaced, 5, 6, "LOC")])
    np.testing.assert_equal(read_training([spaced]), read_training([plain]))


@pytest.mark.parametrize("count", [22, 23, 24])
def test_words_are_as_frequent_as_at_training(count):
    nlp = spacy.blank("en")
    text = Doc(nlp.vocab, ["the", "Aa"] * count + ["x"] * (45_800 - 2 * count))
    text.set_ents([Span(text, 1, 2, "PET")])
    novelty = read_training([text])
    doc = Doc(nlp.vocab, ["the", "Aa", "the"])
    surprise = token_surprise(novelty, chain_tokens([doc], with_words=True))
    # The phrase is known by its words or by their shapes.
    assert (surprise[1:, 2] < 1.0).all()


def test_a_table_that_is_too_small_keeps_what_is_frequent(monkeypatch):
    """A full table would take every entity for known."""
    monkeypatch.setattr(novelty_module, "LARGEST", 12)
    nlp, rng = spacy.blank("en"), np.random.default_rng(0)
    others = [chr(99 + k % 20) + chr(97 + k // 20) for k in rng.integers(0, 100, 4000)]
    text = Doc(nlp.vocab, [*"ab" * 1000, *others])
    text.set_ents([Span(text, 0, 2, "X")])
    novelty = read_training([text])
    assert len(novelty.table) == 4096 and (novelty.table > 0).mean() < 1 / 4
    doc = Doc(nlp.vocab, ["a", "b"])
    surprise = token_surprise(novelty, chain_tokens([doc], with_words=True))
    assert surprise[1, 1] < 0.1


@pytest.mark.parametrize("words", [[], ["London"]])
def test_training_texts_without_entities_are_an_error(words):
    with pytest.raises(ValueError, match=r"the training data \(\d docs with tokens\) has no annotated entity"):
        read_training([Doc(spacy.blank("en").vocab, words)])


def test_known_and_new_entities():
    nlp, component = calibrated()
    docs = [nlp.make_doc("in LONDON and Lagos\n and Shaka Khan")]
    chains = read_chains(component.tagger, docs)
    spans = Spans(np.array([1, 3, 5, 5]), np.array([2, 4, 7, 6]), np.zeros(4, dtype=np.int64))
    new, odd = chains.newness.features(chains.tokens, spans).T
    assert new.tolist() == [0, 1, 0, 1]
    assert odd[0] == odd[2] == 0 and (odd >= 0).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0, 5), st.booleans(), st.booleans()), min_size=1))
def test_novelty_only_lowers_probabilities(rows):
    scores, new, odd, right, is_copy = (np.array(column) for column in zip(*rows, strict=True))
    features = np.stack([new, new * odd], axis=1).astype(float)
    weights = fit_weights(scores, features, right, is_copy)
    assert np.isfinite(weights).all() and weights[0] > 0 and (weights[2:] >= 0).all()
    old = recalibrated(weights, scores, np.zeros_like(features))
    assert (recalibrated(weights, scores, features) <= old).all()
    assert (np.diff(old[np.argsort(scores)]) >= 0).all()


def test_weights_are_found_again():
    rng = np.random.default_rng(0)
    n, true = 40_000, np.array([0.7, 0.4, 0.8, 0.5])
    scores, new = rng.uniform(0.05, 0.995, n), rng.random(n) < 0.4
    is_copy = np.arange(n) % 2 == 0
    features = np.stack([new, new * is_copy * rng.uniform(0, 3, n)], axis=1)
    right = rng.random(n) < recalibrated(true, scores, features)
    np.testing.assert_allclose(fit_weights(scores, features, right, is_copy), true, atol=0.12)


def test_without_data_nothing_changes():
    empty = np.zeros(0)
    weights = fit_weights(empty, np.zeros((0, 2)), empty.astype(bool), empty.astype(bool))
    np.testing.assert_allclose(weights, [1, 0, 0, 0], atol=1e-6)


def test_where_entities_compete_by_probability_all_likely_ones_are_fitted_to(monkeypatch):
    nlp, sizes = trained("crf", steps=8)[0], []
    component, examples = nlp.get_pipe("lstm_ner"), examples_for(nlp, 20 * TRAIN + 20 * WRONG)
    novelty = read_training([example.reference for example in examples_for(nlp)])
    monkeypatch.setattr(calibration, "fit_weights", lambda *of: sizes.append(len(of[0])) or fit_weights(*of))
    for decoding in ("best_sequence", "expected_f"):
        component.cfg["decoding"] = decoding
        fit(component.tagger, examples, novelty)
    assert sizes[0] < sizes[1]


def test_copies_have_new_words_and_the_same_annotation():
    nlp = spacy.blank("en")
    reference = nlp.make_doc("Mary-Ann flew to São Paulo in 1999.")
    reference.set_ents([Span(reference, 5, 7, "LOC")], missing=[reference[0:1]], default="outside")
    seen = []
    (copy,) = novel_copies([Example(nlp.make_doc(reference.text), reference)], lambda doc: seen.append(doc) or doc)
    gold = copy.reference
    assert seen == [copy.predicted] and copy.predicted.text == gold.text != reference.text
    assert [t.shape_ for t in gold] == [t.shape_ for t in reference] and gold[8].text == "1999"
    assert [t.ent_iob for t in gold] == [t.ent_iob for t in reference]
    assert [(e.start, e.end, e.label_) for e in gold.ents] == [(5, 7, "LOC")]


def test_the_doubt_keeps_its_rate():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5000, 1))
    novelty = Novelty(np.zeros(1024, dtype=np.uint8), 1, spread=np.array([0.5, 10.0]))
    novelty = novelty._replace(quantiles=np.quantile(scores, np.arange(1, 100) / 100))
    for length in (5, 50, 500):
        figures = np.repeat(rng.normal(size=(5000, 1)) * np.sqrt(0.5 + 10.0 / length), 4, axis=1)
        found = doubts(novelty, figures, np.full(5000, length))
        assert ((found >= 0) & (found <= 1)).all()
        for level in (0.5, 0.9, 0.99):
            assert (found > level).mean() == pytest.approx(1 - level, abs=0.02)
    assert np.all(np.diff(doubts(novelty, np.repeat(np.arange(50.0)[:, None], 4, axis=1), np.full(50, 20))) >= 0)
    assert doubts(novelty, np.zeros((1, 4)), np.array([0])).tolist() == [0.0]


def test_the_doubt_is_not_learned_from_white_space():
    nlp, component = calibrated()
    novelty, words = novelty_of(component.model.get_ref("head")), ["I", "like", "London", "and", "Berlin", "a", "lot"]
    plain, spaced = ([Doc(nlp.vocab, [*words, f"{k}", *end]) for k in range(9)] for end in ([], ["\n"]))
    expected, found = (fit_doubt(component.tagger, novelty, docs, lambda doc: doc) for docs in (plain, spaced))
    np.testing.assert_equal(found, expected)


def test_doubt_and_scores_of_docs():
    nlp, component = calibrated()
    known, new, empty = nlp.pipe(["I like London and Berlin.", "zqx LONDON vvv wkq pfff xkcd grmbl", ""])
    assert 0 <= known._.lstm_ner_doubt < 0.99 < new._.lstm_ner_doubt <= 1
    assert empty._.lstm_ner_doubt == 0
    assert nlp("I like London and Berlin.")._.lstm_ner_doubt == known._.lstm_ner_doubt
    component.cfg["doubt_attr"] = None
    assert nlp("I like London.")._.lstm_ner_doubt is None


def test_the_best_sequence_and_the_probability_of_the_chain_stay():
    nlp, component = calibrated()
    plain = learned("crf").get_pipe("lstm_ner")
    plain.model.get_ref("head").attrs["temperature"] = component.model.get_ref("head").attrs["temperature"]
    docs = [nlp.make_doc("Uber likes Lagos and Berlin.")]
    spans = [[(0, 1, "ORG"), (2, 3, "LOC"), (4, 5, "LOC")]]
    exact, corrected = (score_spans(component.tagger, docs, spans, exact=exact)[0] for exact in (True, False))
    assert exact == pytest.approx(score_spans(plain.tagger, docs, spans)[0])
    assert exact != corrected
    for found, before in zip(component.predict(docs), plain.predict(docs), strict=True):
        assert (found.starts, found.ends, found.labels) == (before.starts, before.ends, before.labels)
    (analyses,) = component.n_best(docs, 2)
    assert analyses == plain.n_best(docs, 2)[0]


def test_saved_and_loaded(tmp_path):
    nlp, component = calibrated()
    nlp.to_disk(tmp_path)
    text = "Uber likes Lagos and Berlin."
    doc, again = nlp(text), spacy.load(tmp_path)(text)
    assert again._.lstm_ner_doubt == doc._.lstm_ner_doubt
    assert [e._.lstm_ner_score for e in again.ents] == [e._.lstm_ner_score for e in doc.ents]
    component.from_bytes(learned("crf").get_pipe("lstm_ner").to_bytes())
    assert novelty_of(component.model.get_ref("head")) is None
    assert nlp(text)._.lstm_ner_doubt is None


@pytest.mark.parametrize(
    "field, value",
    [
        ("table", np.zeros(1000, dtype=np.uint8)),
        ("table", np.zeros(1024, dtype=np.float32)),
        ("tokens", 0),
        ("reference", np.zeros((2, 4))),
        ("spread", np.array([0.0, -1.0])),
        ("quantiles", np.zeros(3)),
        ("quantiles", -np.arange(99.0)),
        ("weights", np.array([1.0, 0.0, -1.0, 0.0])),
        ("weights", np.array([1.0, np.nan, 0.0, 0.0])),
    ],
)
def test_damaged_files_are_refused(field, value):
    _, component = calibrated()
    head = component.model.get_ref("head")
    good, fine = component.to_bytes(), head.attrs[NOVELTY]
    head.attrs[NOVELTY] = {**fine, field: value}
    bad = component.to_bytes()
    component.from_bytes(good)
    with pytest.raises(ValueError, match="attribute 'novelty': expected what `calibrate` knows about novelty"):
        component.from_bytes(bad)
    np.testing.assert_equal(head.attrs[NOVELTY], fine)


@pytest.mark.filterwarnings("ignore:.*initialize drops the trained weights")
def test_new_training_forgets_novelty_and_guarantees():
    nlp, component = calibrated()
    outcome = {"threshold": 0.7, "measured": 0.9, "entities": 500.0, "documents": 50.0}
    component.cfg.update(threshold=0.7, guarantees={"recall >= 0.8 at 0.9": outcome})
    with pytest.warns(UserWarning, match=r"drops the guarantees of .*, with .*: recall >= 0\.8 at 0\.9\. "):
        nlp.initialize(lambda: examples_for(nlp))
    assert novelty_of(component.model.get_ref("head")) is None
    assert component.cfg["guarantees"] == {} and component.cfg["threshold"] == 0.0


def test_the_command_takes_the_training_data(tmp_path):
    nlp = learned("crf")
    nlp.to_disk(tmp_path / "model")
    for name, data in {"train": TRAIN, "dev": 20 * TRAIN + 20 * WRONG}.items():
        DocBin(docs=[example.reference for example in examples_for(nlp, data)]).to_disk(tmp_path / f"{name}.spacy")
    said, code = run_command(
        *("calibrate", tmp_path / "model", tmp_path / "dev.spacy", "--train", tmp_path / "train.spacy"),
        *("-r", tmp_path / "report.json", "-o", tmp_path / "calibrated"),
    )
    assert code == 0 and "Novelty: slope" in said, said
    weights = json.loads((tmp_path / "report.json").read_text())["novelty"]
    assert set(weights) == {"slope", "offset", "new entity", "odd surroundings"}
    # Words that were made up or read are not saved.
    kept, made = (tmp_path / name / "vocab" / "strings.json" for name in ("model", "calibrated"))
    assert made.read_text("utf8") == kept.read_text("utf8")
    component = spacy.load(tmp_path / "calibrated").get_pipe("lstm_ner")
    assert novelty_of(component.model.get_ref("head")) is not None
    found = score(component.tagger, examples_for(nlp))
    assert found.features.shape == (len(found.scores), 2)
    with pytest.warns(UserWarning, match="forgets what it learned about novelty"):
        calibrate(component.tagger, examples_for(nlp, 20 * TRAIN + 20 * WRONG))
    assert novelty_of(component.model.get_ref("head")) is None
