"""Long chains in blocks have the results of uncut chains."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_lstm_ner.arrays import ranges
from spacy_lstm_ner.layers.crf import forward_backward as forward_backward_module
from spacy_lstm_ner.layers.crf import span_probability as span_probability_module
from spacy_lstm_ner.layers.crf import viterbi as viterbi_module
from spacy_lstm_ner.layers.crf.blocks import (
    BLOCK,
    MARGIN,
    blocks_to_try,
    cut,
    cut_outside_spans,
    same_masses,
    same_scores,
    whole_chains,
)
from spacy_lstm_ner.layers.crf.forward_backward import forward_backward
from spacy_lstm_ner.layers.crf.span_probability import probabilities, span_probabilities
from spacy_lstm_ner.layers.crf.transitions import TransitionParams, Transitions, dot, path_counts, zero_transitions
from spacy_lstm_ner.layers.crf.viterbi import decode
from spacy_lstm_ner.tags import BILUO, BIO, Spans, tags_to_spans

LONG = 4 * BLOCK + 7


def chain(seed, lengths, scheme=BIO, n_labels=3, spread=2.0):
    rng = np.random.default_rng(seed)
    T = scheme.n_tags(n_labels)
    shapes = (T,), (T,), (2, T), (T,), (len(scheme.continuing), 2, n_labels)
    transitions = Transitions(scheme, TransitionParams(*(rng.normal(size=shape) for shape in shapes)))
    return rng.normal(size=(sum(lengths), T)) * spread, np.array(lengths), transitions


def score(tags, e, lengths, transitions):
    return e[np.arange(len(e)), tags].sum() + dot(path_counts(tags, lengths, transitions), transitions.params)


def never_cut(monkeypatch):
    """From here on, every chain runs as one block."""
    for module in (forward_backward_module, viterbi_module):
        monkeypatch.setattr(module, "blocks_to_try", lambda lengths, *_: [whole_chains(lengths)])


@given(st.lists(st.integers(0, 700), max_size=6), st.integers(1, 200))
def test_blocks_cover_every_row_once(lengths, size):
    blocks = cut(np.array(lengths, dtype=np.int64), size)
    assert blocks.own_rows.tolist() == list(range(sum(lengths)))
    assert blocks.rows[blocks.own_places].tolist() == blocks.own_rows.tolist()
    assert (blocks.end - blocks.start).max(initial=0) <= 1.5 * size
    for k in range(len(blocks)):
        first = sum(lengths[: blocks.chain[k]])
        last = first + lengths[blocks.chain[k]]
        assert blocks.begin[k] == max(first, blocks.start[k] - MARGIN)
        assert blocks.stop[k] == min(last, blocks.end[k] + MARGIN)
        assert blocks.open_start[k] == (blocks.begin[k] > first) and blocks.open_end[k] == (blocks.stop[k] < last)
    assert len(blocks.continued) == len(blocks) - sum(length > 0 for length in lengths)


def test_ranges():
    assert ranges(np.array([3, 9, 9]), np.array([5, 9, 11])).tolist() == [3, 4, 9, 10]


@pytest.mark.parametrize("scheme", [BIO, BILUO])
@pytest.mark.parametrize("spread", [0.0, 0.3, 2.0, 10.0])
@pytest.mark.parametrize("constrained", [False, True])
def test_sums_and_best_sequences_are_those_of_the_whole_chain(scheme, spread, constrained, monkeypatch):
    e, lengths, transitions = chain(1, [LONG, 5, 0, 2 * BLOCK, BLOCK], scheme, spread=spread)
    allowed = None
    if constrained:
        allowed = np.random.default_rng(2).random(e.shape) < 0.7
        allowed[:, 0] = True
    cut_lattice, cut_tags = forward_backward(e, lengths, transitions, allowed), decode(e, lengths, transitions, allowed)
    never_cut(monkeypatch)
    lattice, tags = forward_backward(e, lengths, transitions, allowed), decode(e, lengths, transitions, allowed)
    if spread:
        assert cut_tags.tolist() == tags.tolist()
    else:
        # Many sequences are equally good, but for the rounding of the sums.
        np.testing.assert_allclose(score(cut_tags, e, lengths, transitions), score(tags, e, lengths, transitions))
    for name in ("alpha", "u", "beta", "log_partition", "marginals"):
        np.testing.assert_allclose(getattr(cut_lattice, name), getattr(lattice, name), rtol=1e-8, err_msg=name)
    for ours, theirs in zip(cut_lattice.expected_counts(), lattice.expected_counts(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def never_ending(n_labels=2):
    """A chain that never forgets its start: one entity, whose label depends on the first token alone."""
    e, lengths, transitions = chain(3, [LONG], BIO, n_labels)
    t = TransitionParams(*(np.zeros_like(array) for array in transitions.params))
    e[:] = 0.0
    e[:, [0, 1, 3]] = -60.0
    e[0, 1] = 60.0
    return e, lengths, Transitions(BIO, t)


def test_a_chain_that_remembers_its_start_is_run_whole(monkeypatch):
    e, lengths, transitions = never_ending()
    calls = []
    real = forward_backward_module._run_blocks
    monkeypatch.setattr(forward_backward_module, "_run_blocks", lambda *args: calls.append(args[1]) or real(*args))
    lattice, tags = forward_backward(e, lengths, transitions), decode(e, lengths, transitions)
    assert [len(blocks) for blocks in calls] == [len(cut(lengths)), len(cut(lengths)), 1]
    assert tags.tolist() == [1] + [2] * (LONG - 1)
    never_cut(monkeypatch)
    expected = forward_backward(e, lengths, transitions)
    np.testing.assert_allclose(lattice.marginals, expected.marginals, atol=1e-12)
    np.testing.assert_allclose(lattice.log_partition, expected.log_partition)


def test_only_the_chain_that_needs_it_is_run_whole(monkeypatch):
    e, lengths, transitions = never_ending()
    other = np.random.default_rng(0).normal(size=(3 * BLOCK, e.shape[1]))
    calls = []
    real = forward_backward_module._run_blocks
    monkeypatch.setattr(forward_backward_module, "_run_blocks", lambda *args: calls.append(args[1]) or real(*args))
    both = forward_backward(np.concatenate([other, e, other]), np.array([len(other), LONG, len(other)]), transitions)
    assert set(calls[1].chain.tolist()) == {1} and calls[2].chain.tolist() == [1]
    alone = forward_backward(e, lengths, transitions)
    np.testing.assert_allclose(both.marginals[len(other) : -len(other)], alone.marginals)


def test_many_blocks_are_decoded_some_at_a_time(monkeypatch):
    e, lengths, transitions = chain(5, [LONG, 3, LONG])
    expected = decode(e, lengths, transitions)
    for rows in (1, 200, 1000):
        monkeypatch.setattr(viterbi_module, "rows_at_once", lambda n_tags, rows=rows: rows)
        assert decode(e, lengths, transitions).tolist() == expected.tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 30), st.floats(0.0, 8.0))
def test_small_blocks_never_change_the_result(seed, length, size, spread):
    """If margins are far too short, the check finds the blocks that disagree."""
    e, lengths, transitions = chain(seed, [length, length // 2], BILUO, 2, spread)
    expected, tags = forward_backward(e, lengths, transitions), decode(e, lengths, transitions)
    with pytest.MonkeyPatch.context() as patch:
        for module in (forward_backward_module, viterbi_module):
            patch.setattr(module, "blocks_to_try", lambda lengths, *_: blocks_to_try(lengths, size, 2))
        found = forward_backward(e, lengths, transitions)
        np.testing.assert_allclose(found.alpha, expected.alpha, rtol=1e-7)
        np.testing.assert_allclose(found.beta, expected.beta, rtol=1e-7)
        assert decode(e, lengths, transitions).tolist() == tags.tolist()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 30), min_size=1, max_size=4), st.floats(0.0, 8.0), st.data())
def test_tokens_that_are_outside_for_sure_are(seed, lengths, spread, data):
    """Decoding only the other tokens has the result of decoding all of them."""
    scheme = data.draw(st.sampled_from([BIO, BILUO]))
    e, lengths, transitions = chain(seed, lengths, scheme, 2, spread)
    e[:, 0] += data.draw(st.floats(0.0, 12.0))
    allowed = np.random.default_rng(seed).random(e.shape) < data.draw(st.sampled_from([1.0, 0.8]))
    allowed[:, 0] = True
    tags = decode(e, lengths, transitions, allowed)
    masked = np.where(allowed, e, -np.inf)
    assert not tags[viterbi_module._surely_outside(masked, lengths, transitions)].any()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viterbi_module, "_surely_outside", lambda e, lengths, transitions: np.zeros(len(e), dtype=bool))
        assert decode(e, lengths, transitions, allowed).tolist() == tags.tolist()


def test_most_tokens_are_outside_for_sure():
    e, lengths, transitions = chain(11, [300, 200], BILUO, 4, 1.0)
    e[:, 0] += 12.0
    assert viterbi_module._surely_outside(e, lengths, transitions).mean() > 0.9


def test_extreme_scores_are_scaled_at_every_step(monkeypatch):
    """Masses leave the range of a float within a few steps: every transition costs hundreds of nats."""
    e, lengths, transitions = chain(13, [40, 3], BIO, 2)
    costly = transitions.params._replace(
        enter=transitions.params.enter - 150.0, inside=transitions.params.inside - 150.0
    )
    transitions = Transitions(BIO, costly)
    found = forward_backward(e, lengths, transitions)
    assert forward_backward_module.SCALED_EVERY > 1
    monkeypatch.setattr(forward_backward_module, "SCALED_EVERY", 1)
    expected = forward_backward(e, lengths, transitions)
    np.testing.assert_allclose(found.log_partition, expected.log_partition, rtol=1e-12)
    np.testing.assert_allclose(found.marginals, expected.marginals, rtol=1e-9)


# NumPy says so of the first run, which is thrown away: another follows that scales at every step.
@pytest.mark.filterwarnings("ignore:overflow encountered in matmul")
def test_extreme_scores_behind_the_last_scaled_step():
    t = zero_transitions(BIO, 1)
    t.inside[...] = 300.0
    found = forward_backward(np.zeros((4, 3)), np.array([4]), Transitions(BIO, t))
    np.testing.assert_allclose(found.log_partition, 900.0)
    np.testing.assert_allclose(found.marginals[-1], [0, 0, 1], atol=1e-12)
    t = zero_transitions(BIO, 1)
    t.leave[:] = t.enter[1] = -130.0
    forced = np.zeros((4, 3), dtype=bool)
    forced[:, 1] = True
    found = forward_backward(np.zeros((4, 3)), np.array([4]), Transitions(BIO, t), forced)
    np.testing.assert_allclose(found.log_partition, -780.0)
    np.testing.assert_allclose(found.marginals[-1], [0, 1, 0], atol=1e-12)


def test_outside_for_sure_is_not_a_matter_of_rounding():
    """In single precision, the entity wins by 2e-6."""
    e = np.array([[50.64088821411133, -54.812095642089844, -54.812095642089844]], dtype="float32")
    t = zero_transitions(BIO, 1)
    t.inside[...], t.enter[:, 1], t.start[1] = 100.0, 100.0 - 1e4, 105.45298585620117
    assert decode(e, np.array([1]), Transitions(BIO, t)).tolist() == [1]


@given(st.lists(st.integers(0, 60), max_size=4), st.integers(1, 30), st.data())
def test_no_cut_inside_a_span(lengths, size, data):
    total, starts, ends = sum(lengths), [], []
    first = 0
    for length in lengths:
        for _ in range(data.draw(st.integers(0, 3)) if length else 0):
            start = data.draw(st.integers(0, length - 1))
            starts.append(first + start)
            ends.append(first + data.draw(st.integers(start + 1, length)))
        first += length
    blocks = cut_outside_spans(
        np.array(lengths, dtype=np.int64), np.array(starts, dtype=int), np.array(ends, dtype=int), size
    )
    assert blocks.own_rows.tolist() == list(range(total))
    for start, end in zip(starts, ends, strict=True):
        assert not any(start < cut < end for cut in blocks.start.tolist())
    plain = cut(np.array(lengths, dtype=np.int64), size)
    if not starts:
        assert blocks.start.tolist() == plain.start.tolist() and blocks.begin.tolist() == plain.begin.tolist()


@pytest.mark.parametrize("rows", [30, 100, 400])
@pytest.mark.parametrize("margins", [(1,), (2,), (1, 16), (64, 1024)])
def test_probabilities_of_spans_in_blocks(rows, margins, monkeypatch):
    """The margins do not matter: if they are small, blocks disagree, and the sequence runs again and at last whole."""
    e, lengths, transitions = chain(9, [900, 3, 250], BILUO)
    tags = decode(e, lengths, transitions)
    spans = tags_to_spans(tags, np.cumsum(lengths) - lengths, BILUO)
    assert len(spans.starts) > 50
    expected = span_probabilities(forward_backward(e, lengths, transitions), spans)
    np.testing.assert_allclose(probabilities(e, lengths, transitions, None, spans), expected, rtol=1e-7)
    monkeypatch.setattr(span_probability_module, "rows_at_once", lambda n_tags: rows)
    monkeypatch.setattr(span_probability_module, "MARGINS", margins)
    np.testing.assert_allclose(probabilities(e, lengths, transitions, None, spans), expected, rtol=1e-7)


def test_a_long_memory_takes_wider_margins_and_not_the_whole_sequence(monkeypatch):
    """Entities and gaps continue with a probability of 0.9, so the start is forgotten only some 90 tokens later."""
    stay, change, never = np.log(0.9), np.log(0.1), -30.0
    enter = np.array([[stay, change, never], [change, never, never]])
    t = zero_transitions(BIO, 1)._replace(enter=enter, inside=np.full((1, 2, 1), stay))
    e, lengths, transitions = (
        np.random.default_rng(0).normal(size=(9000, 3)) * 0.01,
        np.array([9000]),
        Transitions(BIO, t),
    )
    starts = np.arange(10, 9000, 500)
    spans = Spans(starts, starts + 2, np.zeros_like(starts))
    expected = span_probabilities(forward_backward(e, lengths, transitions), spans)
    tried, real = [], span_probability_module._score_blocks
    monkeypatch.setattr(span_probability_module, "rows_at_once", lambda n_tags: 3000)
    monkeypatch.setattr(
        span_probability_module, "_score_blocks", lambda *args: tried.append(len(args[4])) or real(*args)
    )
    np.testing.assert_allclose(probabilities(e, lengths, transitions, None, spans), expected, rtol=1e-7)
    assert tried == [3, 3]


def test_piece_of_a_longer_sequence():
    """All tags are open where a sequence goes on; some tokens further in, this is forgotten."""
    e, lengths, transitions = chain(7, [300])
    expected = forward_backward(e, lengths, transitions)
    flags = (np.array([True]), np.array([True]))
    piece = forward_backward(e[50:250], np.array([200]), transitions, None, flags)
    np.testing.assert_allclose(piece.alpha[60:], expected.alpha[110:250], rtol=1e-8)
    np.testing.assert_allclose(piece.beta[:-60], expected.beta[50:190], rtol=1e-8)


def test_states_that_agree():
    one = np.array([[0.5, 0.5, 0.0], [1.0, 1e-30, 0.0], [1.0, 0.0, 0.0]])
    assert same_masses(one, one).all()
    assert same_masses(one, one * (1 + 1e-10)).all()
    changes = np.array([[0, 1e-8, 0], [0, 1e-31, 0], [0, 0, 1e-300]])
    assert not same_masses(one, one + changes).any()
    scores = np.array([[1.0, -3.0, -np.inf]])
    assert same_scores(scores, scores + 5.0).all()
    assert not same_scores(scores, scores + np.array([0.0, 1e-6, 0.0])).any()
    assert not same_scores(scores, np.array([[1.0, -3.0, -50.0]])).any()
