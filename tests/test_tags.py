"""The BIO codec against plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.tags import BILUO, BIO, MISSING, OUTSIDE, SCHEMES, Spans, illegal_rows, spans_to_tags, tags_to_spans

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


@given(BATCHES, st.sampled_from([OUTSIDE, MISSING]), st.sampled_from([BIO, BILUO]))
def test_spans_survive_the_round_trip(batch, default, scheme):
    """Adjacent entities of one label and entities at the bounds of sequences included."""
    spans, starts, length = lay_out(batch)
    tags = spans_to_tags(make_spans(spans), length, default, scheme)
    assert len(illegal_rows(tags, ints(starts), scheme)) == 0
    assert spans_of(tags_to_spans(tags, ints(starts), scheme)) == spans


@given(BATCHES, st.sampled_from([OUTSIDE, MISSING]))
def test_tags_follow_from_the_definition(batch, default):
    spans, _, length = lay_out(batch)
    expected = [default] * length
    for start, end, label in spans:
        expected[start:end] = [2 * label + 2] * (end - start)
        expected[start] = 2 * label + 1
    assert spans_to_tags(make_spans(spans), length, default).tolist() == expected


@given(BATCHES)
def test_biluo_tags_follow_from_the_definition(batch):
    spans, _, length = lay_out(batch)
    expected = ["O"] * length
    for start, end, label in spans:
        roles = "U" if end - start == 1 else "B" + "I" * (end - start - 2) + "L"
        expected[start:end] = [f"{role}-{label}" for role in roles]
    tags = spans_to_tags(make_spans(spans), length, OUTSIDE, BILUO)
    names = BILUO.tag_names([str(k) for k in range(N_LABELS)])
    assert [names[tag] for tag in tags] == expected


@given(st.lists(st.lists(st.integers(MISSING, 4 * N_LABELS), max_size=7), max_size=5))
def test_illegal_biluo_rows_against_a_loop(batch):
    names = BILUO.tag_names([str(k) for k in range(N_LABELS)])
    starts, expected, row = [], [], 0
    for sequence in batch:
        starts.append(row)
        before = "O"
        for t, tag in enumerate(sequence):
            name = names[max(tag, 0)]
            bad = (name[0] in "IL") != (before[0] in "BI") or (name[0] in "IL" and name[2:] != before[2:])
            if bad or (t == len(sequence) - 1 and name[0] in "BI"):
                expected.append(row)
            before = name
            row += 1
    tags = ints([tag for sequence in batch for tag in sequence])
    assert illegal_rows(tags, ints(starts), BILUO).tolist() == expected


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


@pytest.mark.parametrize("scheme", [BIO, BILUO])
def test_role_and_label_of_a_tag(scheme):
    names = scheme.tag_names(["X", "Y"])
    for tag, name in enumerate(names):
        for role in scheme.roles:
            assert scheme.is_role(ints([tag]), role)[0] == (name[0] == role)
        assert scheme.label_of(ints([tag]))[0] == {"X": 0, "Y": 1}.get(name[2:], -1)
    for role in scheme.roles:
        assert [name[0] for name in names[scheme.columns(role)]] == [role] * 2


@pytest.mark.parametrize("scheme", [BIO, BILUO])
def test_missing_is_no_entity(scheme):
    assert not scheme.is_role(ints([MISSING]), scheme.roles)[0]
    assert scheme.label_of(ints([MISSING]))[0] == -1


def test_missing_ends_an_entity():
    assert spans_of(tags_to_spans(ints([1, MISSING, 1, 2]), ints([0]))) == [(0, 1, 0), (2, 4, 0)]
    assert illegal_rows(ints([MISSING, 2, 2]), ints([0])).tolist() == [1]


@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_a_new_label_leaves_the_tags_before_it(scheme):
    names = [scheme.tag_names(["PER", "LOC", "ORG"][:k]) for k in range(4)]
    assert names[0] == ("O",)
    for k in range(4):
        assert len(names[k]) == scheme.n_tags(k) and scheme.n_labels(len(names[k])) == k
        assert names[3][: scheme.n_tags(k)] == names[k]
    assert BIO.tag_names(["PER", "LOC"]) == ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
