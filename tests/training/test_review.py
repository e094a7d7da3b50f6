"""Doubts about annotation: spans on which annotation and model differ, and their probabilities."""

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab
from support.small import SMALL, entities, learned

from spacy_lstm_ner.pipeline.predict import outside_probabilities, score_spans
from spacy_lstm_ner.training.review import _fold_of_each, _places, _probability, _score, config_for, cross_fit, review

VOCAB = Vocab()
WORDS = ["Anna", "and", "Bob", "met", "Carl", "in", "Oslo"]


def doc_with(spans, missing=()):
    doc = Doc(VOCAB, words=WORDS)
    doc.set_ents([Span(doc, *span) for span in spans], missing=[doc[i : i + 1] for i in missing], default="outside")
    return doc


@pytest.mark.parametrize("model", ["crf", "classic"])
def test_probabilities_are_sums_over_all_analyses(model):
    """Brute force: with few tokens, the n best analyses are all of them."""
    nlp = learned(model)
    ner = nlp.get_pipe("lstm_ner")
    docs = [nlp.make_doc("Uber Pay"), nlp.make_doc(" "), nlp.make_doc("Khan  left")]
    spans = [
        [(a, b, label) for a in range(len(doc)) for b in range(a + 1, len(doc) + 1) for label in (*ner.labels, "NEW")]
        for doc in docs
    ]
    scores = score_spans(ner.tagger, docs, spans)
    found = 0.0
    for doc, own, values, analyses in zip(docs, spans, scores, ner.n_best(docs, 10_000), strict=True):
        assert sum(p for _, p in analyses) == pytest.approx(1.0, abs=1e-4)
        for span, value in zip(own, values, strict=True):
            assert value == pytest.approx(sum(p for ents, p in analyses if span in ents), abs=1e-4), (doc, span)
            found += value
    assert found > 0.5


def test_spans_may_have_any_order():
    nlp = learned()
    ner = nlp.get_pipe("lstm_ner")
    docs = [nlp.make_doc("I like London and Berlin."), nlp.make_doc("Who is Shaka Khan?")]
    spans = [[(4, 5, "LOC"), (2, 3, "LOC")], [(2, 4, "PERSON"), (0, 1, "PERSON")]]
    first, second = score_spans(ner.tagger, docs, spans)
    assert min(*first, second[0]) > 0.5 > second[1]
    turned = score_spans(ner.tagger, docs[::-1], [spans[1], spans[0][::-1]])
    assert turned == [pytest.approx(second), pytest.approx(first[::-1])]
    assert score_spans(ner.tagger, docs, [[], []]) == [[], []]


@pytest.mark.parametrize("model", ["crf", "classic"])
def test_probabilities_of_no_entity_are_sums_over_all_analyses(model):
    nlp = learned(model)
    ner, docs = nlp.get_pipe("lstm_ner"), [nlp.make_doc("Uber Pay"), nlp.make_doc(" "), nlp.make_doc("Khan  left")]
    for doc, found, analyses in zip(
        docs, outside_probabilities(ner.tagger, docs), ner.n_best(docs, 10_000), strict=True
    ):
        for k, value in enumerate(found):
            total = sum(p for ents, p in analyses if not any(start <= k < end for start, end, _ in ents))
            assert value == pytest.approx(1.0 if doc[k].is_space else total, abs=1e-4)


@given(st.data())
def test_each_disagreement_is_at_one_place(data):
    def draw():
        limits = sorted(data.draw(st.sets(st.integers(0, len(WORDS)))))
        label = st.sampled_from(["PER", "LOC"])
        return [(a, b, data.draw(label)) for a, b in zip(limits[::2], limits[1::2], strict=False)]

    gold, found = draw(), draw()
    places = list(_places(doc_with(gold), gold, found, ["PER", "LOC"]))
    assert sorted(s for ours, _ in places for s in ours) == [s for s in gold if s not in found]
    assert sorted(s for _, theirs in places for s in theirs) == [s for s in found if s not in gold]
    ends = 0
    for ours, theirs in places:
        assert min(s[0] for s in ours + theirs) >= ends
        ends = max(s[1] for s in ours + theirs)


def test_what_cannot_be_judged_is_no_doubt():
    found = [(0, 1, "PER"), (4, 5, "PER")]
    gold = [(6, 7, "LOC")]
    assert list(_places(doc_with(gold, missing=[0]), gold, found, ["PER"])) == [([], [(4, 5, "PER")])]
    assert list(_places(doc_with([]), [], found, ["PER"], given=[(4, 6, "LOC")])) == [([], [(0, 1, "PER")])]


def test_score():
    assert _score(0.04, 0.6) == pytest.approx(0.75) and _score(0.0, 0.6) == 1.0 and _score(0.3, 0.0) == 0.0
    p, outside = {(0, 1, "PER"): 0.3, (2, 3, "PER"): 0.2}, np.array([0.5, 1.0, 0.1])
    assert _probability(list(p), [], p, outside) == 0.2 and _probability([], list(p), p, outside) == 0.1


def test_the_same_text_is_never_in_two_folds():
    docs = [doc_with([]), *(Doc(VOCAB, words=[word]) for word in WORDS), doc_with([(0, 1, "PER")])]
    folds = _fold_of_each(docs, 3, 0)
    assert set(folds) == {0, 1, 2} and folds[0] == folds[-1]
    with pytest.raises(ValueError, match="found 1 and 2"):
        _fold_of_each(docs[:1] * 5, 2, 0)


def test_a_model_finds_errors():
    nlp = learned()
    docs = {7: nlp("I like London and Berlin."), 9: nlp("Who is Shaka Khan?"), 11: nlp.make_doc("no annotation")}
    assert len(entities(docs[7])) == 2
    docs[7].set_ents([Span(docs[7], 2, 3, "ORG"), Span(docs[7], 4, 5, "LOC")])
    docs[9].set_ents([Span(docs[9], 3, 4, "PERSON")])
    result = review(nlp, nlp.get_pipe("lstm_ner"), docs)
    doubts = result.doubts
    assert (result.annotated, result.found, result.both) == (3, 3, 1) and result.f1 == pytest.approx(1 / 3)
    assert [(d.doc, d.annotated, d.suggested) for d in doubts] == [
        (7, [(2, 3, "ORG")], [(2, 3, "LOC")]),
        (9, [(3, 4, "PERSON")], [(2, 4, "PERSON")]),
    ]
    assert all(doubt.score > 0.9 for doubt in doubts) and (doubts[1].start, doubts[1].end) == (2, 4)


def test_errors_are_found_by_models_that_have_not_seen_them():
    nlp = spacy.blank("en")
    docs = []
    for k in range(30):
        doc = nlp.make_doc(f"{WORDS[k % 3 * 2]} met number {k} in Oslo")
        doc.set_ents([Span(doc, 0, 1, "PER"), Span(doc, len(doc) - 1, len(doc), "LOC")])
        docs.append(doc)
    docs[12].set_ents([Span(docs[12], 0, 1, "LOC"), docs[12].ents[1]])
    docs[20].set_ents([docs[20].ents[0]], default="outside")
    config = config_for(docs, "en")
    config["components"]["lstm_ner"]["model"] = SMALL["crf"]["model"]
    config["training"]["max_steps"] = 60
    parts = [(own, review(nlp, nlp.get_pipe("lstm_ner"), own).doubts) for nlp, own in cross_fit(docs, config, 3)]
    assert sorted(number for own, _ in parts for number in own) == list(range(30))
    doubts = sorted((doubt for _, found in parts for doubt in found), key=lambda doubt: -doubt.score)
    assert {doubt.doc for doubt in doubts[:2]} == {12, 20}
    assert {doubt.doc: doubt.suggested[0][2] for doubt in doubts[:2]} == {12: "PER", 20: "LOC"}


def test_entities_of_earlier_components_are_not_judged():
    nlp = learned()
    nlp.add_pipe("entity_ruler", before="lstm_ner").add_patterns([{"label": "LOC", "pattern": "Khan"}])
    docs = {0: nlp.make_doc("Who is Shaka Khan?"), 1: nlp.make_doc("Khan is Khan")}
    for doc, spans in zip(docs.values(), ([(2, 4, "PERSON")], [(0, 1, "LOC"), (2, 3, "LOC")]), strict=True):
        doc.set_ents([Span(doc, *span) for span in spans], default="outside")
    assert review(nlp, nlp.get_pipe("lstm_ner"), docs).doubts == []


def test_corpora_of_a_config_are_replaced_wherever_their_paths_are(tmp_path):
    """A fixed path would train the models on the texts that they are to judge."""
    docs = [learned()(text) for text in ("I like London.", "I like Berlin.", "Who is Shaka Khan?", "In London")]
    config = config_for(docs, "en")
    config["components"]["lstm_ner"]["model"] = SMALL["crf"]["model"]
    config["training"]["max_steps"] = 1
    config["corpora"]["train"].update({"path": str(tmp_path / "none.spacy"), "@readers": "spacy.Corpus.v1"})
    del config["paths"]
    assert [len(own) for _, own in cross_fit(docs, config, 2)] == [2, 2]
    config["training"]["train_corpus"] = "other.train"
    with pytest.raises(ValueError, match=r"train_corpus = 'other\.train' in \[training\]; expected a block of"):
        next(cross_fit(docs, config, 2))
