"""Random chains of tags, and the sums over their sequences by enumeration."""

import itertools

import numpy as np
import pytest

from spacy_lstm_ner.layers.crf.transitions import TransitionParams, zero_transitions
from spacy_lstm_ner.tags import BIO, SCHEMES, tags_to_spans

CASES = [(scheme, seed) for scheme in SCHEMES for seed in range(25)]


def role_and_label(scheme, tag):
    if tag == 0:
        return "O", -1
    label, role = divmod(tag - 1, len(scheme.roles))
    return scheme.roles[role], label


def transition_score(scheme, params, before, after):
    """The score of a transition from its definition, or None if the scheme forbids it."""
    (role, label), (next_role, next_label) = role_and_label(scheme, before), role_and_label(scheme, after)
    if next_role in scheme.continuing:
        if role not in "BI" or label != next_label:
            return None
        return params.inside[scheme.continuing.index(next_role), "BI".index(role), label]
    if role == "O":
        return params.enter[0, after]
    if role not in scheme.ending:
        return None
    return params.leave[before] + params.enter[1, after]


def path_score(scheme, params, e, tags):
    """The score of a sequence of tags, or None if it is illegal."""
    if not tags:
        return 0.0
    if role_and_label(scheme, tags[0])[0] in scheme.continuing:
        return None
    if tags[-1] and role_and_label(scheme, tags[-1])[0] not in scheme.ending:
        return None
    score = params.start[tags[0]] + params.end[tags[-1]] + sum(e[t, tag] for t, tag in enumerate(tags))
    for before, after in itertools.pairwise(tags):
        step = transition_score(scheme, params, before, after)
        if step is None:
            return None
        score += step
    return score if np.isfinite(score) else None


def paths(scheme, params, e, allowed=None, forbidden=()):
    """All legal sequences of tags with their scores."""
    found = {}
    for tags in itertools.product(range(e.shape[1]), repeat=len(e)):
        if allowed is not None and not all(allowed[t, tag] for t, tag in enumerate(tags)):
            continue
        score = path_score(scheme, params, e, list(tags))
        if score is not None and not spans_of(scheme, tags) & set(forbidden):
            found[tags] = score
    return found


def spans_of(scheme, tags):
    spans = tags_to_spans(np.array(tags, dtype=np.int64), np.array([0]), scheme)
    return set(zip(*(column.tolist() for column in spans), strict=True))


def log_sum(scores):
    return np.logaddexp.reduce(np.array(list(scores)))


def random_transitions(rng, scheme, n_labels):
    return TransitionParams(*(rng.normal(size=array.shape) for array in zero_transitions(scheme, n_labels)))


def random_case(scheme_name, seed):
    """Lengths, emissions, parameters and allowed tags. O is always allowed, so that there is a legal sequence."""
    rng, scheme = np.random.default_rng(seed), SCHEMES[scheme_name]
    n_labels = int(rng.integers(1, 3)) if scheme is BIO else 1
    lengths = rng.integers(0, 5, size=3)
    T = scheme.n_tags(n_labels)
    e = rng.normal(size=(int(lengths.sum()), T)) * 2
    allowed = rng.uniform(size=e.shape) < rng.choice([0.6, 0.9, 1.0])
    allowed[:, 0] = True
    return rng, scheme, lengths, e, random_transitions(rng, scheme, n_labels), allowed


def split(lengths, *tables):
    ends = np.cumsum(lengths)
    return [tuple(table[end - n : end] for table in tables) for end, n in zip(ends, lengths, strict=True)]


def assert_numeric(value, arrays, gradients, every_entry):
    """Compare gradients with central differences, along each entry or random directions of the arrays `value` reads."""
    rng = np.random.default_rng(3)
    for array, gradient in zip(arrays, gradients, strict=True):
        start = array.copy()
        entries = np.eye(array.size).reshape(-1, *array.shape)
        directions = entries if every_entry else rng.normal(size=(3, *array.shape))
        for direction in directions:
            array[...] = start + 1e-6 * direction
            upper = value()
            array[...] = start - 1e-6 * direction
            lower = value()
            array[...] = start
            assert (upper - lower) / 2e-6 == pytest.approx((gradient * direction).sum(), abs=1e-7)
