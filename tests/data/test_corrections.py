"""Corrections of a corpus."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.data.annotated_file import Entity, Record
from spacy_lstm_ner.data.corrections import correct, name_of, read_corrections

TEXT = "Anna and Bob met Carl."
ANNA, BOB, CARL = Entity(0, 4, "PER"), Entity(9, 12, "ORG"), Entity(17, 21, "PER")
SPANS = [ANNA, BOB, CARL]


def reviewed(spans, place=(9, 12), number=1, **more):
    return Record(TEXT, spans, "reviewed.jsonl:1", name=name_of(number, *place), **more)


def corrected(*records, corpus=None):
    corpus = [Record(TEXT, list(SPANS), "corpus.txt:1")] if corpus is None else corpus
    changes = Counter()
    return list(correct(corpus, read_corrections(records), changes)), changes


def spans_after(*records):
    return corrected(*records)[0][0].spans


def test_all_changes_count_wherever_they_are():
    texts, changes = corrected(reviewed([Entity(9, 12, "PER", 0.9), Entity(17, 21, "LOC")]))
    assert texts[0].spans == [Entity(9, 12, "PER"), Entity(17, 21, "LOC")] and changes == {"removed": 3, "added": 2}


def test_changes_of_several_doubts_add_up():
    first, second = reviewed([ANNA, CARL]), reviewed([Entity(0, 4, "LOC"), BOB, CARL], (0, 4))
    assert spans_after(first, second) == spans_after(second, first) == [Entity(0, 4, "LOC"), CARL]
    assert spans_after(first, first) == [ANNA, CARL]


@pytest.mark.parametrize("other", [Entity(9, 12, "PER"), Entity(9, 21, "PER"), Entity(0, 12, "LOC")])
def test_corrections_that_contradict_each_other(other):
    first = reviewed([ANNA, Entity(9, 12, "LOC"), CARL])
    second = reviewed([span for span in SPANS if span.end <= other.start or span.start >= other.end] + [other])
    for both in ([first, second], [second, first]):
        with pytest.raises(
            ValueError, match=r"reviewed\.jsonl:1: corrections of text 1 contradict each other: .* overlap"
        ):
            corrected(*both)


def test_rejected_suggestions_change_nothing():
    texts, changes = corrected(reviewed([], complete=False, rejected=[BOB], accepted=False))
    assert texts[0].spans == SPANS and not changes


def test_an_accepted_binary_task_counts():
    """Prodigy's binary recipes say nothing about the rest of a text, but this one shows all entities."""
    assert spans_after(reviewed([ANNA, CARL], complete=False)) == [ANNA, CARL]


def test_a_new_entity_is_annotated():
    corpus = [Record(TEXT, [], "corpus.txt:1", missing=[(0, 12), (13, 16)])]
    assert corrected(reviewed([Entity(5, 8, "X")]), corpus=corpus)[0][0].missing == [(0, 5), (8, 12), (13, 16)]
    assert corrected(reviewed([Entity(0, 4, "X"), Entity(9, 21, "X")]), corpus=corpus)[0][0].missing == [(4, 9)]


def test_errors():
    with pytest.raises(ValueError, match=r"corpus\.txt:1: text 1 of the corpus is 'Other'.* for 'Anna and Bob"):
        corrected(reviewed([]), corpus=[Record("Other", [], "corpus.txt:1")])
    with pytest.raises(ValueError, match="a correction for text 3, but the corpus has 1 texts"):
        corrected(reviewed([], number=3))
    with pytest.raises(ValueError, match=r"reviewed\.jsonl:1: expected an identifier such as 12:45-60.* found 'x'"):
        read_corrections([replace(reviewed([]), name="x")])


def test_a_limit():
    both = [reviewed([]), reviewed([], (0, 4))]
    assert sum(map(len, read_corrections(both, 1).values())) == 1


@given(st.lists(st.integers(0, 2), unique=True), st.lists(st.integers(0, 2), unique=True))
def test_one_correction_gives_its_own_entities(before, after):
    corpus = [Record(TEXT, [SPANS[k] for k in sorted(before)], "corpus.txt:1")]
    texts, changes = corrected(reviewed([SPANS[k] for k in after]), corpus=corpus)
    assert texts[0].spans == [SPANS[k] for k in sorted(after)]
    assert changes.total() == len(set(before).symmetric_difference(after))
