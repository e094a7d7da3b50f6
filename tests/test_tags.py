"""The BIO codec against plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.tags import (
    MISSING,
    OUTSIDE,
    Spans,
    illegal_rows,
    is_begin,
    is_inside,
    label_of,
    n_tags,
    spans_to_tags,
    tag_names,
    tags_to_spans,
)

N_LABELS = 3
CHUNK = st.tuples(st.none() | st.integers(0, N_LABELS - 1), st.integers(1, 4))
BATCHES = st.lists(st.lists(CHUNK, max_size=6), max_size=5)
TAG_BATCHES = st.lists(st.lists(st.integers(MISSING, 2 * N_LABELS), max_size=7), max_size=5)


def ints(values):
    return np.array(values, dtype=np.int64)


def make_spans(rows):
    return Spans(*ints(rows).reshape(-1, 3).T)


def lay_out(batch):
    """Spans, first tokens of sequences and number of tokens of a batch of chunks (label or None, length)."""
    spans, starts, token = [], [], 0
    for sequence in batch:
        starts.append(token)
        for label, length in sequence:
            if label is not None:
                spans.append((token, token + length, label))
            token += length
    return spans, starts, token


def spans_of(result):
    return list(zip(*(array.tolist() for array in result), strict=True))


@given(BATCHES, st.sampled_from([OUTSIDE, MISSING]))
def test_spans_survive_the_round_trip(batch, default):
    """Adjacent entities of one label and entities at the bounds of sequences included."""
    spans, starts, length = lay_out(batch)
    tags = spans_to_tags(make_spans(spans), length, default)
    assert len(illegal_rows(tags, ints(starts))) == 0
    assert spans_of(tags_to_spans(tags, ints(starts))) == spans


@given(BATCHES, st.sampled_from([OUTSIDE, MISSING]))
def test_tags_follow_from_the_definition(batch, default):
    spans, _, length = lay_out(batch)
    expected = [default] * length
    for start, end, label in spans:
        expected[start:end] = [2 * label + 2] * (end - start)
        expected[start] = 2 * label + 1
    assert spans_to_tags(make_spans(spans), length, default).tolist() == expected


@given(TAG_BATCHES)
def test_illegal_rows_against_a_loop(batch):
    starts, expected, row = [], [], 0
    for sequence in batch:
        starts.append(row)
        before = OUTSIDE
        for tag in sequence:
            if tag > 0 and tag % 2 == 0 and before not in (tag, tag - 1):
                expected.append(row)
            before = tag
            row += 1
    tags = ints([tag for sequence in batch for tag in sequence])
    assert illegal_rows(tags, ints(starts)).tolist() == expected


@given(TAG_BATCHES)
def test_legal_tags_survive_the_round_trip(batch):
    """Tags -> spans -> tags, once every illegal I is made the B of its label."""
    tags = ints([tag for sequence in batch for tag in sequence])
    starts = ints(np.cumsum([0, *(len(sequence) for sequence in batch)])[:-1])
    while len(rows := illegal_rows(tags, starts)):
        tags[rows] -= 1
    again = spans_to_tags(tags_to_spans(tags, starts), len(tags))
    assert again.tolist() == np.where(tags == MISSING, OUTSIDE, tags).tolist()


@pytest.mark.parametrize(
    "name, begin, inside, label",
    [("O", False, False, -1), ("B-X", True, False, 0), ("I-X", False, True, 0), ("B-Y", True, False, 1)],
)
def test_kind_and_label_of_a_tag(name, begin, inside, label):
    tag = ints([tag_names(["X", "Y"]).index(name)])
    assert (is_begin(tag)[0], is_inside(tag)[0], label_of(tag)[0]) == (begin, inside, label)


def test_missing_is_no_entity():
    missing = ints([MISSING])
    assert not is_begin(missing)[0] and not is_inside(missing)[0]
    assert label_of(missing)[0] == -1
    assert spans_of(tags_to_spans(ints([1, MISSING, 1, 2]), ints([0]))) == [(0, 1, 0), (2, 4, 0)]
    assert illegal_rows(ints([MISSING, 2, 2]), ints([0])).tolist() == [1]


def test_a_new_label_leaves_the_tags_before_it():
    names = [tag_names(["PER", "LOC", "ORG"][:k]) for k in range(4)]
    assert names[0] == ("O",)
    assert names[3] == ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
    for k in range(4):
        assert len(names[k]) == n_tags(k)
        assert names[3][: n_tags(k)] == names[k]
