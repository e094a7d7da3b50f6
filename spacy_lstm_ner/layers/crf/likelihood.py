"""The losses of the heads: cross entropy token by token, and the exact likelihood of a chain of tags.

Notation as in `forward_backward`: N tokens of all sequences of the batch, T tags. Losses are sums over the batch, in
nats. They come with their gradients for the emissions and for the transitions.
"""

from typing import NamedTuple, Optional

import numpy as np

from ...tags import MISSING, Scheme, Spans
from ...types import Bools, Floats, Ints
from .forbidden_spans import without_spans
from .forward_backward import Steps, forward_backward
from .transitions import TransitionParams, Transitions, add_steps, dot, minus, path_counts, zero_transitions


class Gold(NamedTuple):
    """The annotation of the N tokens of a batch.

    Attributes:
        tags (Ints): The gold tag of each token (N,); MISSING where there is no annotation.
        allowed (Optional[Bools]): The tags that constraints allow (N, T). None: any.
        forbidden (Optional[Spans]): Spans that are known not to be entities of their label. None: no span.
        not_outside (Optional[Ints]): Rows of tokens that are known to be in some entity. None: no token.
        expected (Optional[Steps]): A distribution over the legal tags of some sequences in place of their annotation,
            whose tags are MISSING. The steps to each token have the sum 1. None: no sequence has one.
    """

    tags: Ints
    allowed: Optional[Bools] = None
    forbidden: Optional[Spans] = None
    not_outside: Optional[Ints] = None
    expected: Optional[Steps] = None

    def negative_sequences(self, lengths: Ints) -> Bools:
        """Find the sequences with annotation that is not about single tokens: forbidden spans, tokens that are in some
        entity, or a distribution.

        Args:
            lengths (Ints): The number of tokens in each sequence (n_sequences,).

        Returns:
            Bools: Whether each sequence has such annotation (n_sequences,).
        """
        sequence, negative = np.repeat(np.arange(len(lengths)), lengths), np.zeros(len(lengths), dtype=bool)
        if self.forbidden is not None:
            negative[sequence[self.forbidden.starts]] = True
        if self.not_outside is not None:
            negative[sequence[self.not_outside]] = True
        return negative | self.expected_sequences(lengths)

    def expected_sequences(self, lengths: Ints) -> Bools:
        """(n_sequences,) Whether each sequence has a distribution over its tags."""
        found = np.zeros(len(lengths), dtype=bool)
        if self.expected is not None:
            found[np.repeat(np.arange(len(lengths)), lengths)[self.expected.rows]] = True
        return found

    def select(self, rows: Ints) -> "Gold":
        """Take the annotation of some sequences.

        Args:
            rows (Ints): The rows of whole sequences, in order (n,).

        Returns:
            Gold: The annotation. Its rows are numbered from 0.
        """
        allowed = None if self.allowed is None else self.allowed[rows]
        forbidden, not_outside = self.forbidden, self.not_outside
        if forbidden is not None:
            starts, ends, labels = (column[np.isin(forbidden.starts, rows)] for column in forbidden)
            first = np.searchsorted(rows, starts)
            forbidden = Spans(first, first + ends - starts, labels)
        if not_outside is not None:
            not_outside = np.searchsorted(rows, not_outside[np.isin(not_outside, rows)])
        return Gold(self.tags[rows], allowed, forbidden, not_outside)


class Loss(NamedTuple):
    """A loss with its gradients.

    Attributes:
        value (float): The loss in nats.
        d_emissions (Floats): The gradient of the emissions (N, T).
        d_transitions (Optional[TransitionParams]): The gradient of the parameters of the transitions; None if the head
            has none.
    """

    value: float
    d_emissions: Floats
    d_transitions: Optional[TransitionParams]


def cross_entropy(log_probs: Floats, tags: Ints, weights: Optional[Floats] = None, smoothing: float = 0.0) -> Loss:
    """Compute the negative log-likelihood of each annotated token. Tokens without annotation have no loss.

    Args:
        log_probs (Floats): The log-probabilities of the tags (N, T), in nats.
        tags (Ints): The gold tags (N,); MISSING where there is no annotation.
        weights (Optional[Floats]): How much an error counts if the gold tag is each of the tags (T,), see
            `softmax_margin`. None: 1.
        smoothing (float): The share of the target that is spread evenly over all tags (label smoothing).

    Returns:
        Loss: The loss, with no gradient for transitions.
    """
    known = np.flatnonzero(tags >= 0)
    gold, d = tags[known], np.zeros_like(log_probs)
    scores = log_probs[known].astype("float64")
    if weights is not None:
        scores += softmax_margin(gold, weights)
    peak = scores.max(axis=1, keepdims=True) if len(known) else scores
    probs = np.exp(scores - peak)
    total = probs.sum(axis=1, keepdims=True)
    value = float((np.log(total) + peak).sum() - log_probs[known, gold].astype("float64").sum())
    d_known = probs / total
    d_known[np.arange(len(known)), gold] -= 1.0
    if smoothing:
        usable = ~np.isneginf(log_probs[known])
        value += _smooth_tags(log_probs[known], gold, usable, smoothing, d_known)
    d[known] = d_known
    return Loss(value, d, None)


def softmax_margin(gold: Ints, weights: Floats) -> Floats:
    """Compute what training adds to the score of a wrong tag: the log of the weight of the gold tag.

    This is the softmax-margin of Gimpel & Smith 2010 with the cost log w of the gold tag. In the odds, an error then
    counts w times as much.

    Args:
        gold (Ints): The gold tags (n,).
        weights (Floats): The weight of each tag (T,).

    Returns:
        Floats: The number to add to the score of each tag in nats (n, T), 0 for the gold tag.
    """
    cost = np.repeat(np.log(weights[gold])[:, None], len(weights), axis=1)
    cost[np.arange(len(gold)), gold] = 0.0
    return cost


def _smooth_tags(scores: Floats, gold: Ints, usable: Bools, smoothing: float, d: Floats) -> float:
    """The loss that label smoothing adds: a share of the target is spread evenly over all tags. Adds to d (n, T)."""
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
    """Compute log Z of all legal sequences minus log Z of the sequences that agree with the annotation.

    If every token is annotated, this is the usual negative log-likelihood of a CRF (Lafferty, McCallum & Pereira 2001).
    If some are not, it sums over all tags that they may have (the partial CRF of Tsuboi et al. 2008). Sequences without
    any annotation have no loss. For a sequence with a distribution over its tags, it is the cross entropy between this
    distribution and that of the chain.

    Args:
        emissions (Floats): The emissions (N, T), in nats.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        gold (Gold): The annotation.
        transitions (Transitions): The transitions of the chain.
        weights (Optional[Floats]): How much an error counts if the gold tag is each of the tags (T,), see
            `softmax_margin`. None: 1.
        smoothing (float): The share of the target that is spread evenly over all legal sequences, if all tokens of a
            sequence are annotated.

    Returns:
        Loss: The loss and its gradients.
    """
    e = np.asarray(emissions, dtype="float64")
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    n_missing = np.bincount(sequence, weights=gold.tags == MISSING, minlength=len(lengths))
    annotated = (n_missing < lengths) | gold.negative_sequences(lengths)
    complete = (n_missing == 0) & annotated
    partial = annotated & ~complete & ~gold.expected_sequences(lengths)
    value, d = 0.0, np.zeros_like(e)
    d_transitions = zero_transitions(transitions.scheme, transitions.scheme.n_labels(transitions.n_tags))
    all_rows, complete_rows, partial_rows = (
        np.flatnonzero(chosen[sequence]) for chosen in (annotated, complete, partial)
    )
    if len(all_rows):
        scores, tags = e[all_rows], gold.tags[all_rows]
        if weights is not None:
            scores[tags >= 0] += softmax_margin(tags[tags >= 0], weights)
        allowed = None if gold.allowed is None else gold.allowed[all_rows]
        lattice = forward_backward(scores, lengths[annotated], transitions, allowed)
        value += float(lattice.log_partition.sum())
        d[all_rows] += lattice.marginals
        d_transitions = lattice.expected_counts()
    if len(complete_rows):
        tags = gold.tags[complete_rows]
        counts = path_counts(tags, lengths[complete], transitions)
        value -= float(e[complete_rows, tags].sum()) + dot(counts, transitions.params)
        d[complete_rows, tags] -= 1.0
        d_transitions = minus(d_transitions, counts)
    if len(partial_rows):
        own = gold.select(partial_rows)
        log_z, marginals, counts = _agreeing_sequences(e[partial_rows], lengths[partial], own, transitions)
        value -= log_z
        d[partial_rows] -= marginals
        d_transitions = minus(d_transitions, counts)
    if gold.expected is not None:
        steps, counts = gold.expected, _expected_counts(lengths, gold.expected, transitions)
        value -= float((steps.p * e[steps.rows, steps.tags]).sum()) + dot(counts, transitions.params)
        np.subtract.at(d, (steps.rows, steps.tags), steps.p)
        d_transitions = minus(d_transitions, counts)
    if smoothing and len(complete_rows):
        own = gold.select(complete_rows)
        smoothed, d_smoothed, counts = _smooth_chains(e[complete_rows], lengths[complete], own, transitions)
        value += smoothing * smoothed
        d[complete_rows] += smoothing * d_smoothed
        d_transitions = TransitionParams(*(x + smoothing * y for x, y in zip(d_transitions, counts, strict=True)))
    return Loss(value, d.astype(emissions.dtype), d_transitions)


def _expected_counts(lengths: Ints, steps: Steps, transitions: Transitions) -> TransitionParams:
    """The expected counts of transitions of a distribution."""
    ends = np.cumsum(lengths)
    first, last = np.isin(steps.rows, ends - lengths), np.isin(steps.rows, ends - 1)
    counts = zero_transitions(transitions.scheme, transitions.scheme.n_labels(transitions.n_tags))
    np.add.at(counts.start, steps.tags[first], steps.p[first])
    np.add.at(counts.end, steps.tags[last], steps.p[last])
    add_steps(counts, steps.before[~first], steps.tags[~first], steps.p[~first], transitions)
    return counts


def _agreeing_sequences(
    e: Floats, lengths: Ints, gold: Gold, transitions: Transitions
) -> tuple[float, Floats, TransitionParams]:
    """log Z, marginals and expected counts of the sequences of tags that agree with partial annotation."""
    allowed = _agreeing_tags(gold.tags, transitions.scheme, transitions.n_tags)
    if gold.allowed is not None:
        allowed &= gold.allowed
    if gold.not_outside is not None:
        # Annotated tokens have a tag, which says more.
        at = gold.not_outside[gold.tags[gold.not_outside] == MISSING]
        possible = (allowed[at, 1:] & ~np.isneginf(e[at, 1:])).any(axis=1)
        allowed[at[possible], 0] = False
    if gold.forbidden is None or not len(gold.forbidden.starts):
        lattice = forward_backward(e, lengths, transitions, allowed)
        return float(lattice.log_partition.sum()), lattice.marginals, lattice.expected_counts()
    chain = without_spans(e, lengths, transitions, allowed, gold.forbidden)
    return float(chain.lattice.log_partition.sum()), chain.marginals(), chain.expected_counts()


def _agreeing_tags(gold: Ints, scheme: Scheme, n_tags: int) -> Bools:
    """(N, T) The tags that agree with annotation (N,): one for an annotated token, any for a token without annotation.

    A token without annotation after an annotated entity cannot continue the entity.
    """
    missing = gold == MISSING
    allowed = np.zeros((len(gold), n_tags), dtype=bool)
    allowed[missing] = True
    allowed[np.flatnonzero(~missing), gold[~missing]] = True
    continuing = scheme.is_role(np.arange(n_tags), scheme.continuing)
    behind = np.flatnonzero(missing[1:] & (gold[:-1] > 0)) + 1
    allowed[behind[:, None], np.flatnonzero(continuing)] = False
    return allowed


def _smooth_chains(
    e: Floats, lengths: Ints, gold: Gold, transitions: Transitions
) -> tuple[float, Floats, TransitionParams]:
    """The score of the gold sequences minus the mean score of all legal ones, with its gradients.

    The mean is over legal sequences, not over the tags of each token as in `_smooth_tags`. A loss with scores that no
    legal sequence can have at once would have no lower bound.
    """
    scheme, tags = transitions.scheme, gold.tags
    no_transitions = Transitions(scheme, zero_transitions(scheme, scheme.n_labels(transitions.n_tags)))
    uniform = forward_backward(np.where(np.isneginf(e), -np.inf, 0.0), lengths, no_transitions, gold.allowed)
    finite, gamma = np.where(np.isneginf(e), 0.0, e), uniform.marginals
    counts = minus(path_counts(tags, lengths, transitions), uniform.expected_counts())
    one_hot = np.zeros_like(finite)
    one_hot[np.arange(len(tags)), tags] = 1.0
    d = one_hot - gamma
    return float((d * finite).sum()) + dot(counts, transitions.params), d, counts


def softmax_loss(
    emissions: Floats,
    lengths: Ints,
    gold: Gold,
    transitions: Transitions,
    *,
    weights: Optional[Floats] = None,
    smoothing: float = 0.0,
) -> Loss:
    """Compute the cross entropy of each token, or the loss of the chain in sequences with negative annotation.

    A forbidden span concerns the tags of several tokens at once, so only the chain can learn from it.

    Args:
        emissions (Floats): The log-probabilities of the tags (N, T), in nats.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        gold (Gold): The annotation.
        transitions (Transitions): The transitions, which are all zero.
        weights (Optional[Floats]): See `cross_entropy`. They do not apply to sequences with negative annotation.
        smoothing (float): See `cross_entropy`. It does not apply to sequences with negative annotation.

    Returns:
        Loss: The loss, with no gradient for transitions.
    """
    negative = gold.negative_sequences(lengths)
    if not negative.any():
        return cross_entropy(emissions, gold.tags, weights, smoothing)
    by_chain = np.repeat(negative, lengths)
    single = cross_entropy(emissions, np.where(by_chain, MISSING, gold.tags), weights, smoothing)
    chain = chain_loss(emissions, lengths, gold._replace(tags=np.where(by_chain, gold.tags, MISSING)), transitions)
    return Loss(single.value + chain.value, single.d_emissions + chain.d_emissions, None)
