"""Distributions over sequences of tags: their steps, and the loss against them."""

from itertools import pairwise, product

import numpy as np
import pytest

from spacy_lstm_ner.layers.crf.forward_backward import Steps, forward_backward
from spacy_lstm_ner.layers.crf.likelihood import Gold, chain_loss, softmax_loss
from spacy_lstm_ner.layers.crf.transitions import TransitionParams, Transitions, transition_shapes
from spacy_lstm_ner.tags import BILUO, BIO, MISSING

LENGTHS = np.array([3, 0, 1, 2])


def chain(scheme, seed, n_labels=2):
    """Emissions and transitions of a random chain."""
    rng = np.random.default_rng(seed)
    n_tags = scheme.n_tags(n_labels)
    shapes = transition_shapes(scheme, n_tags, n_labels)
    params = TransitionParams(**{name: rng.normal(size=shape) for name, shape in shapes.items()})
    return rng.normal(size=(int(LENGTHS.sum()), n_tags)), Transitions(scheme, params)


def score(tags, e, transitions):
    """exp of the score of one sequence."""
    start, end = transitions.start[tags[0]], transitions.end[tags[-1]]
    steps = [transitions.matrix[a, b] for a, b in pairwise(tags)]
    return start * end * np.prod(steps) * np.exp(sum(e[k, tag] for k, tag in enumerate(tags)))


def distributions(e, transitions):
    """For each sequence of the batch, its first row and the probability of each sequence of tags, by brute force."""
    row = 0
    for length in LENGTHS.tolist():
        if length:
            every = list(product(range(transitions.n_tags), repeat=length))
            values = np.array([score(tags, e[row : row + length], transitions) for tags in every])
            yield row, dict(zip(every, values / values.sum(), strict=True))
        row += length


@pytest.mark.parametrize("scheme", [BIO, BILUO])
def test_steps_are_sums_over_sequences(scheme):
    e, transitions = chain(scheme, 0)
    expected = {}
    for row, found in distributions(e, transitions):
        for tags, p in found.items():
            for k, tag in enumerate(tags):
                key = (row + k, tags[k - 1] if k else 0, tag)
                expected[key] = expected.get(key, 0.0) + p
    steps = forward_backward(e, LENGTHS, transitions).steps(0.0)
    found = dict(zip(zip(*(c.tolist() for c in steps[:3]), strict=True), steps.p, strict=True))
    assert found == pytest.approx({key: p for key, p in expected.items() if key in found}, abs=1e-9)
    assert all(p < 1e-9 for key, p in expected.items() if key not in found)
    assert (np.diff(steps.rows) >= 0).all()
    few = forward_backward(e, LENGTHS, transitions).steps(0.1)
    assert len(few.rows) < len(steps.rows)
    assert np.bincount(few.rows, weights=few.p) == pytest.approx(np.ones(len(e)))


@pytest.mark.parametrize("scheme", [BIO, BILUO])
def test_the_loss_is_the_cross_entropy_and_its_gradients_are_numeric_ones(scheme):
    (teacher, its), (e, transitions) = chain(scheme, 1), chain(scheme, 2)
    gold = Gold(np.full(len(e), MISSING), expected=forward_backward(teacher, LENGTHS, its).steps(0.0))
    loss = chain_loss(e, LENGTHS, gold, transitions)
    pairs = zip(distributions(teacher, its), distributions(e, transitions), strict=True)
    entropy = sum(q * np.log(p[tags]) for (_, own), (_, p) in pairs for tags, q in own.items() if q > 0)
    assert loss.value == pytest.approx(-entropy)
    for k, tag in np.ndindex(*e.shape):
        d = np.zeros_like(e)
        d[k, tag] = 1e-5
        up, down = (chain_loss(e + sign * d, LENGTHS, gold, transitions).value for sign in (1, -1))
        assert loss.d_emissions[k, tag] == pytest.approx((up - down) / 2e-5, abs=1e-6)
    for name, gradient in loss.d_transitions._asdict().items():
        for place in np.ndindex(*gradient.shape):
            values = []
            for sign in (1, -1):
                changed = getattr(transitions.params, name).copy()
                changed[place] += sign * 1e-5
                other = Transitions(scheme, transitions.params._replace(**{name: changed}))
                values.append(chain_loss(e, LENGTHS, gold, other).value)
            legal = np.isfinite(values).all()
            if legal and abs(gradient[place]) + abs(values[0] - values[1]) > 1e-9:
                assert gradient[place] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6), (name, place)


def test_a_teacher_without_doubt_is_like_gold_annotation():
    e, transitions = chain(BILUO, 3)
    tags = np.array([1, 3, 0, 2, 0, 6])
    before = np.array([0, 1, 3, 0, 0, 0])
    steps = Steps(np.arange(6), before, tags, np.ones(6))
    weights = np.linspace(0.5, 2.0, e.shape[1])
    soft = chain_loss(e, LENGTHS, Gold(np.full(6, MISSING), expected=steps), transitions, weights=weights)
    hard = chain_loss(e, LENGTHS, Gold(tags), transitions)
    assert soft.value == pytest.approx(hard.value)
    np.testing.assert_allclose(soft.d_emissions, hard.d_emissions, atol=1e-12)
    for one, other in zip(soft.d_transitions, hard.d_transitions, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_sequences_with_and_without_distribution_in_one_batch():
    e, transitions = chain(BIO, 4)
    tags = np.array([1, 2, 0, 0, 3, MISSING])
    steps = forward_backward(*chain(BIO, 5)[:1], LENGTHS, transitions).steps(0.0)
    own = steps.select(steps.rows == 3)
    gold = Gold(np.where(np.arange(6) == 3, MISSING, tags), expected=own)
    both = chain_loss(e, LENGTHS, gold, transitions)
    parts = [
        chain_loss(e, LENGTHS, Gold(np.where(np.arange(6) == 3, MISSING, tags)), transitions),
        chain_loss(e, LENGTHS, Gold(np.full(6, MISSING), expected=own), transitions),
    ]
    assert both.value == pytest.approx(sum(part.value for part in parts))
    np.testing.assert_allclose(both.d_emissions, sum(part.d_emissions for part in parts), atol=1e-12)


def test_the_softmax_head_learns_a_distribution_too():
    e, transitions = chain(BIO, 7)
    e -= np.log(np.exp(e).sum(axis=1, keepdims=True))
    zero = Transitions(BIO, TransitionParams(*(np.zeros_like(array) for array in transitions.params)))
    gold = Gold(np.full(6, MISSING), expected=forward_backward(chain(BIO, 8)[0], LENGTHS, zero).steps(0.0))
    loss = softmax_loss(e, LENGTHS, gold, zero)
    assert loss.value == pytest.approx(chain_loss(e, LENGTHS, gold, zero).value) and loss.d_transitions is None
