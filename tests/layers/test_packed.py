"""The index arrays of a batch, checked one window after the other."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.layers.packed import SHORT, pack, pack_on_cpu

LENGTHS = st.lists(st.integers(0, 9), max_size=7)
WINDOWS = st.integers(0, 4)
CONTEXTS = st.integers(0, 3)
DIRECTIONS = st.sampled_from([1, 2])
GROUPS = st.integers(0, 4)


def expected_windows(lengths, window, context):
    """(sequence, first position, first position after the context, end) of each window, by a plain loop."""
    found = []
    for sequence, length in enumerate(lengths):
        size = window or length
        for keep in range(0, length, size or 1):
            found.append((sequence, max(keep - context, 0), keep, min(keep + size, length)))
    return found


def columns(packed):
    """The rows of every window, group by group: row j of every step that still runs it."""
    sizes, found = packed.batch_sizes.tolist(), []
    starts = packed.group_starts.tolist()
    for start, end in zip(starts, [*starts, len(sizes)][1:], strict=True):
        steps = range(start, end)
        found += [[packed.offsets[t] + j for t in steps if j < sizes[t]] for j in range(sizes[start])]
    return found


@given(LENGTHS, DIRECTIONS, WINDOWS, CONTEXTS, GROUPS)
def test_every_token_has_one_row_that_reads_it(lengths, n_directions, window, context, group):
    packed = pack(lengths, n_directions=n_directions, window=window, context=context, group=group)
    assert packed.n_directions == n_directions
    assert packed.n_tokens == sum(lengths)
    for source, target in zip(packed.source, packed.target, strict=True):
        assert source[target].tolist() == list(range(sum(lengths)))
        assert len(set(target.tolist())) == sum(lengths)
    expected = [k for k, length in enumerate(lengths) for _ in range(length)]
    assert packed.sequence_of_token.tolist() == expected


@given(LENGTHS, DIRECTIONS, WINDOWS, CONTEXTS, GROUPS)
def test_batch_sizes_never_grow_and_add_up(lengths, n_directions, window, context, group):
    packed = pack(lengths, n_directions=n_directions, window=window, context=context, group=group)
    assert (packed.batch_sizes > 0).all()
    for sizes in np.split(packed.batch_sizes, packed.group_starts[1:]):
        assert (np.diff(sizes) <= 0).all()
        assert not group or (sizes <= group).all()
    if not group:
        assert len(packed.group_starts) == min(packed.n_tokens, 1)
    assert packed.batch_sizes.sum() == packed.n_rows == packed.source.shape[1]
    assert packed.offsets == [0, *np.cumsum(packed.batch_sizes).tolist()]


@given(LENGTHS, DIRECTIONS, WINDOWS, CONTEXTS, GROUPS)
def test_previous_is_the_row_before_in_the_same_window(lengths, n_directions, window, context, group):
    packed = pack(lengths, n_directions=n_directions, window=window, context=context, group=group)
    before = {row: rows[k - 1] for rows in columns(packed) for k, row in enumerate(rows) if k}
    first = [rows[0] for rows in columns(packed)]
    assert packed.first_rows.tolist() == first
    assert packed.previous.tolist() == [before.get(row, row) for row in range(packed.n_rows)]
    later = np.setdiff1d(np.arange(packed.n_rows), first)
    for source, step in zip(packed.source, (1, -1), strict=False):
        assert (source[later] - source[packed.previous[later]] == step).all()
    for start, b, step_before in packed.steps:
        rows = np.arange(start, start + b)
        assert (packed.previous[rows] == (rows if step_before < 0 else np.arange(step_before, step_before + b))).all()


@given(LENGTHS, WINDOWS, CONTEXTS, GROUPS)
def test_windows_and_context_in_both_directions(lengths, window, context, group):
    """A window has its context in front; the second direction reads the mirrored sequence."""
    packed = pack(lengths, n_directions=2, window=window, context=context, group=group)
    first_token = np.cumsum([0, *lengths])
    found = [Counter(), Counter()]
    for rows in columns(packed):
        if window:
            assert len(rows) <= window + context
        for direction in range(2):
            tokens = packed.source[direction, rows]
            sequence = packed.sequence_of_token[tokens[0]]
            positions = tokens - first_token[sequence]
            if direction == 1:
                positions = lengths[sequence] - 1 - positions
            assert positions.tolist() == list(range(positions[0], positions[0] + len(rows)))
            warm = [False] * len(rows)
            if packed.context_rows is not None:
                warm = packed.context_rows[direction, rows].tolist()
            n_warm = sum(warm)
            assert warm == [True] * n_warm + [False] * (len(rows) - n_warm)
            found[direction][int(sequence), int(positions[0]), int(positions[0]) + n_warm, int(positions[-1]) + 1] += 1
    expected = Counter(expected_windows(lengths, window, context))
    assert found == [expected, expected]


@given(LENGTHS, CONTEXTS)
def test_without_a_size_a_window_is_a_sequence(lengths, context):
    packed = pack(lengths, n_directions=2, context=context)
    assert packed.context_rows is None
    assert [len(rows) for rows in columns(packed)] == sorted(filter(None, lengths), reverse=True)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
@pytest.mark.parametrize("window", [0, 2])
def test_nothing_to_pack(lengths, window):
    packed = pack(lengths, n_directions=2, window=window, context=1)
    assert packed.source.shape == packed.target.shape == (2, 0)
    assert packed.batch_sizes.tolist() == [] and packed.offsets == [0]
    assert packed.context_rows is None


@given(st.lists(st.one_of(st.integers(0, 9), st.integers(SHORT - 1, SHORT + 1)), max_size=10), WINDOWS, GROUPS)
def test_kept_orders_are_those_of_a_new_batch(lengths, window, group):
    settings = {"n_directions": 2, "window": window, "context": 1, "group": group}
    expected = pack(np.array(lengths, dtype=int), **settings)
    for _ in range(2):
        found = pack_on_cpu(np.array(lengths, dtype=int), **settings)
        for name in ("lengths", "batch_sizes", "source", "target", "group_starts", "previous"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))


def test_an_example_by_hand():
    """Lengths 2, 0, 3: steps hold both, both, and the longer one alone, which comes first."""
    packed = pack([2, 0, 3], n_directions=2)
    assert packed.batch_sizes.tolist() == [2, 2, 1]
    assert packed.source.tolist() == [[2, 0, 3, 1, 4], [4, 1, 3, 0, 2]]
    assert packed.target.tolist() == [[1, 3, 0, 2, 4], [3, 1, 4, 2, 0]]
    assert packed.previous.tolist() == [0, 1, 0, 1, 2]
    assert packed.steps == [(0, 2, -1), (2, 2, 0), (4, 1, 2)]


def test_groups_by_hand():
    """Lengths 2, 1, 3 in groups of two: the longest alone, then the other two."""
    packed = pack([2, 1, 3], n_directions=1, group=2)
    assert packed.group_starts.tolist() == [0, 3]
    assert packed.batch_sizes.tolist() == [1, 1, 1, 2, 1]
    assert packed.source.tolist() == [[3, 4, 5, 0, 2, 1]]
    assert packed.previous.tolist() == [0, 0, 1, 3, 4, 3]
    assert packed.first_rows.tolist() == [0, 3, 4]


@given(st.integers(0, 3))
def test_no_sequences_previous_is_empty(n):
    assert pack([0] * n, n_directions=1).previous.tolist() == []
