"""Corrections of a corpus."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.data.annotated_file import Entity, Record
from spacy_lstm_ner.data.corrections import correct, name_of, read_corrections

TEXT = "Anna and Bob met Carl."
SPANS = [Entity(0, 4, "PER"), Entity(9, 12, "ORG"), Entity(17, 21, "PER")]


def reviewed(start, end, spans, number=1, **more):
    return Record(TEXT, spans, "reviewed.jsonl:1", name=name_of(number, start, end), **more)


def corrected(*records, corpus=None):
    corpus = [Record(TEXT, list(SPANS), "corpus.txt:1")] if corpus is None else corpus
    return list(correct(corpus, read_corrections(records)))


def test_only_the_place_changes():
    record = reviewed(9, 12, [Entity(9, 12, "PER", 0.9), Entity(17, 21, "LOC")])
    assert corrected(record)[0].spans == [SPANS[0], Entity(9, 12, "PER"), SPANS[2]]
    assert corrected(reviewed(9, 12, []))[0].spans == [SPANS[0], SPANS[2]]


def test_several_places_of_a_text():
    found = corrected(reviewed(9, 12, []), reviewed(0, 4, [Entity(0, 4, "LOC")]))
    assert found[0].spans == [Entity(0, 4, "LOC"), SPANS[2]]


def test_an_entity_may_reach_beyond_the_place():
    assert corrected(reviewed(9, 12, [Entity(9, 21, "PER")]))[0].spans == [SPANS[0], Entity(9, 21, "PER")]


def test_rejected_suggestions_change_nothing():
    rejected = reviewed(9, 12, [], complete=False, rejected=[Entity(9, 12, "PER")])
    assert corrected(rejected)[0].spans == SPANS


def test_a_corrected_place_is_annotated():
    corpus = [Record(TEXT, [], "corpus.txt:1", missing=[(0, 12)])]
    assert corrected(reviewed(5, 9, []), corpus=corpus)[0].missing == [(0, 5), (9, 12)]


def test_errors():
    with pytest.raises(ValueError, match=r"corpus\.txt:1: text 1 of the corpus is 'Other'.* for 'Anna and Bob"):
        corrected(reviewed(0, 4, []), corpus=[Record("Other", [], "corpus.txt:1")])
    with pytest.raises(ValueError, match="a correction for text 3, but the corpus has 1 texts"):
        corrected(reviewed(0, 4, [], number=3))
    with pytest.raises(ValueError, match=r"reviewed\.jsonl:1: expected an identifier such as 12:45-60.* found 'x'"):
        read_corrections([replace(reviewed(0, 4, []), name="x")])


def test_a_limit():
    both = [reviewed(9, 12, []), reviewed(0, 4, [])]
    assert sum(map(len, read_corrections(both, 1).values())) == 1


@given(st.sets(st.integers(0, len(TEXT)), min_size=2, max_size=2), st.lists(st.integers(0, 2), unique=True))
def test_the_own_annotation_corrects_nothing(limits, kept):
    corpus = [Record(TEXT, [SPANS[k] for k in sorted(kept)], "corpus.txt:1")]
    start, end = sorted(limits)
    assert corrected(reviewed(start, end, corpus[0].spans), corpus=corpus)[0].spans == corpus[0].spans
