"""What the head learns from: cross entropy token by token, and the exact likelihood of a chain of tags.

Notation as in `crf`. Losses are sums over the batch, in nats; gradients are those of the emissions and transitions.
"""

from typing import NamedTuple, Optional, cast

import numpy as np

from ...tags import MISSING, Spans
from ...types import Bools, Floats, Ints
from .forbidden_spans import without_spans
from .forward_backward import forward_backward, known_mask
from .transitions import TransitionParams, Transitions, dot, minus, zero_transitions
from .transitions import path_counts as count_path


class Gold(NamedTuple):
    """What is known of the N tokens of a batch.

    tags (N,): the gold tag of each token; MISSING where there is no annotation.
    allowed (N, T): tags that the constraints allow at all. None: any.
    forbidden: spans of which the annotation says only that they are no entities of that label. None: none.
    not_outside: rows of which it says only that they are in some entity. None: none.
    """

    tags: Ints
    allowed: Optional[Bools] = None
    forbidden: Optional[Spans] = None
    not_outside: Optional[Ints] = None

    def negative_sequences(self, lengths: Ints) -> Bools:
        """(n_sequences,) Where the annotation says what is not the case."""
        sequence, negative = np.repeat(np.arange(len(lengths)), lengths), np.zeros(len(lengths), dtype=bool)
        if self.forbidden is not None:
            negative[sequence[self.forbidden.starts]] = True
        if self.not_outside is not None:
            negative[sequence[self.not_outside]] = True
        return negative


class Loss(NamedTuple):
    """A loss in nats, its gradient (N, T) for the emissions, and its gradient for the transitions."""

    value: float
    d_emissions: Floats
    d_transitions: Optional[TransitionParams]


def cross_entropy(log_probs: Floats, tags: Ints, weights: Optional[Floats] = None, smoothing: float = 0.0) -> Loss:
    """The negative log-likelihood of each annotated token; tokens without annotation add neither loss nor gradient.

    log_probs (N, T); tags (N,). weights, smoothing: see `chain_loss`.
    """
    known = np.flatnonzero(tags >= 0)
    gold, d = tags[known], np.zeros_like(log_probs)
    scores = log_probs[known].astype("float64")
    if weights is not None:
        scores += margin(gold, weights)
    peak = scores.max(axis=1, keepdims=True) if len(known) else scores
    probs = np.exp(scores - peak)
    total = probs.sum(axis=1, keepdims=True)
    value = float((np.log(total) + peak).sum() - log_probs[known, gold].astype("float64").sum())
    d_known = probs / total
    d_known[np.arange(len(known)), gold] -= 1.0
    if smoothing:
        usable = ~np.isneginf(log_probs[known])
        value += _smooth(log_probs[known], gold, usable, smoothing, d_known)
    d[known] = d_known
    return Loss(value, d, None)


def margin(gold: Ints, weights: Floats) -> Floats:
    """(n, T) What a wrong tag is credited with in training: the log of the weight of the tag that it would displace.

    Softmax-margin (Gimpel & Smith 2010) with the cost log w of the gold tag: errors there weigh w times as much, in
    the odds. gold (n,); weights (T,).
    """
    cost = np.repeat(np.log(weights[gold])[:, None], len(weights), axis=1)
    cost[np.arange(len(gold)), gold] = 0.0
    return cost


def _smooth(scores: Floats, gold: Ints, usable: Bools, smoothing: float, d: Floats) -> float:
    """Label smoothing: a part of the gold tag's place goes to all tags alike. Adds to the gradient d (n, T)."""
    rows, share = np.arange(len(gold)), usable / usable.sum(axis=1, keepdims=True)
    d += -smoothing * share
    d[rows, gold] += smoothing
    mean = (np.where(usable, scores, 0.0) * share).sum()
    return smoothing * float(scores[rows, gold].sum() - mean)


def chain_loss(
    emissions: Floats,
    lengths: Ints,
    gold: Gold,
    transitions: Transitions,
    *,
    weights: Optional[Floats] = None,
    smoothing: float = 0.0,
) -> Loss:
    """log Z of all legal sequences minus log Z of those that agree with what is known.

    emissions (N, T); lengths (n_sequences,). Where every token is annotated this is the usual negative log-likelihood;
    where some are not, all their tags are summed over.
    weights (T,): errors where this tag is gold weigh so many times as much; see `margin`.
    smoothing: share of the gold sequence's place that goes to all legal sequences alike, where all is annotated.
    """
    e = np.asarray(emissions, dtype="float64")
    tags, sequence = gold.tags, np.repeat(np.arange(len(lengths)), lengths)
    n_missing = np.bincount(sequence, weights=tags == MISSING, minlength=len(lengths))
    negative = gold.negative_sequences(lengths)
    says_something = (n_missing < lengths) | negative
    whole = (n_missing == 0) & says_something
    d = np.zeros_like(e)
    value, d_transitions = 0.0, zero_transitions(transitions.scheme, transitions.scheme.n_labels(transitions.n_tags))
    for chosen, against in ((says_something, True), (whole, False), (says_something & ~whole, False)):
        rows = np.flatnonzero(chosen[sequence])
        if not len(rows):
            continue
        if against:
            scores = e[rows]
            if weights is not None:
                annotated = tags[rows] >= 0
                scores[annotated] += margin(tags[rows][annotated], weights)
            lattice = forward_backward(scores, lengths[chosen], transitions, _rows(gold.allowed, rows))
            value += float(lattice.log_partition.sum())
            d[rows] += lattice.marginals
            d_transitions = lattice.expected_counts()
        elif chosen is whole:
            counts = count_path(tags[rows], lengths[chosen], transitions)
            value -= float(e[rows, tags[rows]].sum()) + dot(counts, transitions.params)
            d[rows, tags[rows]] -= 1.0
            d_transitions = minus(d_transitions, counts)
        else:
            agreeing, marginals, counts = _agreeing(e, lengths, gold, transitions, rows, chosen)
            value -= agreeing
            d[rows] -= marginals
            d_transitions = minus(d_transitions, counts)
    if smoothing and whole.any():
        rows = np.flatnonzero(whole[sequence])
        smoothed = _smooth_chains(e[rows], lengths[whole], tags[rows], transitions, _rows(gold.allowed, rows))
        value += smoothing * smoothed.value
        d[rows] += smoothing * smoothed.d_emissions
        added = cast(TransitionParams, smoothed.d_transitions)
        d_transitions = TransitionParams(*(x + smoothing * y for x, y in zip(d_transitions, added, strict=True)))
    return Loss(value, d.astype(emissions.dtype), d_transitions)


def softmax_loss(
    emissions: Floats,
    lengths: Ints,
    gold: Gold,
    transitions: Transitions,
    *,
    weights: Optional[Floats] = None,
    smoothing: float = 0.0,
) -> Loss:
    """Cross entropy by token. A wrong span speaks of several tags at once, which only the chain can learn from.

    See `chain_loss`.
    """
    negative = gold.negative_sequences(lengths)
    if not negative.any():
        return cross_entropy(emissions, gold.tags, weights, smoothing)
    by_chain = np.repeat(negative, lengths)
    single = cross_entropy(emissions, np.where(by_chain, MISSING, gold.tags), weights, smoothing)
    chain = chain_loss(emissions, lengths, gold._replace(tags=np.where(by_chain, gold.tags, MISSING)), transitions)
    return Loss(single.value + chain.value, single.d_emissions + chain.d_emissions, None)


def _smooth_chains(e: Floats, lengths: Ints, tags: Ints, transitions: Transitions, allowed: Optional[Bools]) -> Loss:
    """The score of the gold sequences minus the mean score of all legal ones, each of them counted alike.

    Not of all tags of each token, as without a chain: some are illegal where others are right, and what counts scores
    that no legal sequence can have all at once has no lower bound.
    """
    free = Transitions(
        transitions.scheme, zero_transitions(transitions.scheme, transitions.scheme.n_labels(transitions.n_tags))
    )
    uniform = forward_backward(np.where(np.isneginf(e), -np.inf, 0.0), lengths, free, allowed)
    finite, gamma = np.where(np.isneginf(e), 0.0, e), uniform.marginals
    counts = minus(count_path(tags, lengths, transitions), uniform.expected_counts())
    gold = np.zeros_like(finite)
    gold[np.arange(len(tags)), tags] = 1.0
    return Loss(float(((gold - gamma) * finite).sum()) + dot(counts, transitions.params), gold - gamma, counts)


def _rows(mask: Optional[Bools], rows: Ints) -> Optional[Bools]:
    return None if mask is None else mask[rows]


def _agreeing(
    e: Floats, lengths: Ints, gold: Gold, transitions: Transitions, rows: Ints, chosen: Bools
) -> tuple[float, Floats, TransitionParams]:
    """log Z, marginals and expected counts of the sequences of tags that agree with partial annotation."""
    allowed = known_mask(gold.tags[rows], lengths[chosen], transitions.scheme, transitions.n_tags)
    if gold.allowed is not None:
        allowed &= gold.allowed[rows]
    if gold.not_outside is not None:
        # Where the token is annotated, that says more.
        own = np.isin(gold.not_outside, rows) & (gold.tags[gold.not_outside] == MISSING)
        at = np.searchsorted(rows, gold.not_outside[own])
        possible = (allowed[at, 1:] & ~np.isneginf(e[rows][at, 1:])).any(axis=1)
        allowed[at[possible], 0] = False
    if gold.forbidden is not None:
        own = np.isin(gold.forbidden.starts, rows)
        gold = gold._replace(forbidden=Spans(*(column[own] for column in gold.forbidden)))
    if gold.forbidden is None or not len(gold.forbidden.starts):
        lattice = forward_backward(e[rows], lengths[chosen], transitions, allowed)
        return float(lattice.log_partition.sum()), lattice.marginals, lattice.expected_counts()
    at = np.searchsorted(rows, gold.forbidden.starts)
    sizes = gold.forbidden.ends - gold.forbidden.starts
    chain = without_spans(e[rows], lengths[chosen], transitions, allowed, Spans(at, at + sizes, gold.forbidden.labels))
    lattice = chain.lattice
    return float(lattice.log_partition.sum()), chain.fold(lattice.marginals), chain.fold_counts()
