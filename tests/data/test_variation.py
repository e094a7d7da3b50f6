"""Augmentation: pieces of documents, and other casings."""

import random

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_lstm_ner.data.variation import create_text_variation_augmenter

NLP = spacy.blank("en")


def make_example(words, starts=None, spans=(), spaces=None):
    doc = Doc(NLP.vocab, words, spaces, sent_starts=starts)
    doc.ents = [Span(doc, start, end, label) for start, end, label in spans]
    predicted = Doc(NLP.vocab, words) if spaces is None else NLP.make_doc(doc.text)
    return Example(predicted, doc)


def vary(example, **shares):
    return list(create_text_variation_augmenter(**shares)(NLP, example))


def entities(examples):
    return [(ent.text, ent.label_) for example in examples for ent in example.reference.ents]


@pytest.fixture(autouse=True)
def seeded():
    state = random.getstate()
    random.seed(0)
    yield
    random.setstate(state)


SENTENCES = ["Ann Lee left .", "She saw Rome .", "No one did .", "Then Bo came ."] * 5
WORDS = " ".join(SENTENCES).split()
STARTS = [k % 4 == 0 for k in range(80)]
SPANS = [(0, 2, "PER"), (6, 7, "LOC"), (13, 14, "PER")]


def test_pieces_have_all_tokens_and_entities_in_their_order():
    example = make_example(WORDS, STARTS, SPANS)
    for _ in range(20):
        found = vary(example, pieces=1.0)
        assert len(found) > 2
        assert [t.text for e in found for t in e.reference] == WORDS
        assert entities(found) == [("Ann Lee", "PER"), ("Rome", "LOC"), ("Bo", "PER")]
        assert all(e.reference[0].is_sent_start and len(e.reference) % 4 == 0 for e in found)
        assert all([t.text for t in e.predicted] == [t.text for t in e.reference] for e in found)
        assert all(len(e.reference) <= 8 * 4 for e in found)


def test_a_sentence_that_begins_in_an_entity_is_no_place_to_cut():
    example = make_example(WORDS, STARTS, [(3, 5, "X"), (7, 9, "X")])
    for _ in range(30):
        assert entities(vary(example, pieces=1.0)) == [(". She", "X"), (". No", "X")]


def test_without_sentences_docs_are_cut_after_punctuation():
    example = make_example(["So", "?", "!", "Yes", ".", "\n", "Ann", "left"], None, [(6, 7, "PER")])
    cut = {e.reference.text for _ in range(30) for e in vary(example, pieces=1.0)}
    assert {"So ? ! ", "Yes . \n ", "Ann left "} <= cut


def test_casing():
    example = make_example(["Ann", "of", "McDo", "left"], None, [(0, 1, "PER")])
    (lower,), (upper,), (title,) = (vary(example, **{name: 1.0}) for name in ("lower", "upper", "title"))
    assert [lower.reference.text, upper.reference.text, title.reference.text] == [
        "ann of mcdo left ",
        "ANN OF MCDO LEFT ",
        "Ann Of McDo Left ",
    ]
    assert entities([lower, upper, title]) == [("ann", "PER"), ("ANN", "PER"), ("Ann", "PER")]


def test_shares():
    example = make_example(["Ann"], None, [(0, 1, "PER")])
    texts = [vary(example, lower=0.2, upper=0.3)[0].reference.text for _ in range(2000)]
    assert 0.15 < texts.count("ann ") / 2000 < 0.25 and 0.25 < texts.count("ANN ") / 2000 < 0.35
    example = make_example(WORDS, STARTS)
    cut = [len(vary(example, pieces=0.3)) > 1 for _ in range(1000)]
    assert 0.25 < sum(cut) / 1000 < 0.35


def test_nothing_changes_without_shares():
    example = make_example(WORDS, STARTS, SPANS)
    assert all(vary(example) == [example] for _ in range(20))
    empty = make_example([])
    assert len(vary(empty, pieces=1.0, lower=1.0)) == 1


def test_the_tokenizer_reads_text_whose_spaces_are_known():
    example = make_example(["Ann", "Lee", "'s", "here", "."], None, [(0, 2, "PER")], [True, False, True, False, False])
    (found,) = vary(example, upper=1.0)
    assert found.reference.text == found.predicted.text == "ANN LEE'S HERE."
    assert [t.text for t in found.predicted] == ["ANN", "LEE", "'S", "HERE", "."]
    assert found.get_aligned_ner() == ["B-PER", "L-PER", "O", "O", "O"]


def test_annotation_is_kept():
    doc = Doc(NLP.vocab, list("abcdef"), tags=list("uvwxyz"), sent_starts=[1, 0, 0, 1, 0, 0])
    doc.set_ents([Span(doc, 4, 6, "X")], missing=[doc[0:1]], blocked=[doc[2:3]], default="outside")
    doc.spans["wrong"] = [Span(doc, 0, 2, "Y"), Span(doc, 3, 4, "Z")]
    examples = []
    while len(examples) < 2:
        examples = vary(Example(Doc(NLP.vocab, list("abcdef")), doc), pieces=1.0, upper=1.0)
    first, second = (e.reference for e in examples)
    assert [t.ent_iob for t in first] == [0, 2, 3] and [t.ent_iob_ for t in second] == ["O", "B", "I"]
    assert [t.tag_ for t in second] == ["x", "y", "z"]
    assert [(s.text, s.label_) for s in first.spans["wrong"]] == [("A B", "Y")]
    assert [(s.text, s.label_) for s in second.spans["wrong"]] == [("D", "Z")]


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=30), st.data())
def test_any_text(words, data):
    ends = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
    spans = [(start, end, "X") for start, end in zip(ends[::2], ends[1::2], strict=False)]
    example = make_example(words, [data.draw(st.booleans()) for _ in words], spans)
    found = vary(example, pieces=1.0, upper=0.5, title=0.5)
    lengths = [end - start for start, end, _ in spans]
    assert [len(ent) for e in found for ent in e.reference.ents] == lengths
    assert sum(len(e.reference) for e in found) == len(words)


@pytest.mark.parametrize("name", ["pieces", "lower", "upper", "title"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_shares_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"TextVariation.v1: {name} is"):
        create_text_variation_augmenter(**{name: value})


def test_casings_of_more_than_all_texts():
    with pytest.raises(ValueError, match="more than 1 together"):
        create_text_variation_augmenter(lower=0.5, upper=0.4, title=0.2)
