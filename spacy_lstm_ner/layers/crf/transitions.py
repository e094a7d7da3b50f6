"""The transitions from tag to tag: their learned scores, and the exponentials of the scores for sums over sequences.

Notation
--------
T           tags, numbered as in `spacy_lstm_ner.tags`
L           labels
C           roles that continue an entity: 1 in BIO (I), 2 in BILUO (I and L)
A (T, T)    score of the transition from tag i to tag j, in nats; -inf where the scheme forbids it

A is factored: O and the first tag of an entity may follow O and any entity. So the score of a transition between
entities is a term for leaving the first plus a term for entering the second. The parameters and the sums stay linear in
L.
"""

from functools import cached_property, lru_cache
from typing import Dict, NamedTuple, Optional, Tuple, TypeVar

import numpy as np

from ...tags import Scheme
from ...threads import on_one_thread
from ...types import Bools, Floats, Ints

DENSE_TAGS = 100
"""The largest number of tags for which a product with the full matrix is faster than the factored sums."""


class TransitionParams(NamedTuple):
    """The parameters of the transitions. Counts and gradients of transitions have the same form.

    Attributes:
        start (Floats): The score of each tag at the first token (T,).
        end (Floats): The score of each tag at the last token (T,).
        enter (Floats): The score of O or of the first tag of an entity, after O (0) and after an entity (1) (2, T).
        leave (Floats): The score that the last tag of an entity adds to row 1 of `enter` (T,).
        inside (Floats): The score of each role that continues an entity, after B (0) and I (1) of its label (C, 2, L).
    """

    start: Floats
    end: Floats
    enter: Floats
    leave: Floats
    inside: Floats


_Size = TypeVar("_Size", int, Optional[int])


def transition_shapes(scheme: Scheme, n_tags: _Size, n_labels: _Size) -> Dict[str, Tuple[_Size, ...]]:
    """Compute the shapes of the parameters.

    Args:
        scheme (Scheme): The tag scheme.
        n_tags (Optional[int]): The number T of tags, or None if it is not known.
        n_labels (Optional[int]): The number L of labels, or None if it is not known.

    Returns:
        Dict[str, Tuple[Optional[int], ...]]: The shape of each parameter, by its name in `TransitionParams`.
    """
    T, L = n_tags, n_labels
    return {"start": (T,), "end": (T,), "enter": (2, T), "leave": (T,), "inside": (len(scheme.continuing), 2, L)}


def zero_transitions(scheme: Scheme, n_labels: int) -> TransitionParams:
    """Make parameters that are all zero. Transitions that the scheme forbids stay forbidden.

    Args:
        scheme (Scheme): The tag scheme.
        n_labels (int): The number of labels.

    Returns:
        TransitionParams: The parameters.
    """
    shapes = transition_shapes(scheme, scheme.n_tags(n_labels), n_labels)
    return TransitionParams(**{name: np.zeros(shape) for name, shape in shapes.items()})


class Transitions:
    """The exponentials of the scores of transitions, 0 if the scheme forbids a transition.

    Attributes:
        scheme (Scheme): The tag scheme.
        params (TransitionParams): The parameters in double precision, before the exponential.
        n_tags (int): The number T of tags.
        opening (Bools): Whether each tag may be the first of a sequence: O and the first tags of entities (T,).
        ending (Bools): Whether each tag may be the last of an entity (T,).
        start (Floats): The exponential of the parameter (T,). There are also `end`, `enter`, `leave` and `inside`.
    """

    def __init__(self, scheme: Scheme, params: TransitionParams) -> None:
        self.scheme = scheme
        self.params = TransitionParams(*(np.asarray(array, dtype="float64") for array in params))
        self.n_tags = len(params.start)
        tags = np.arange(self.n_tags)
        self.opening: Bools = (tags == 0) | scheme.is_role(tags, scheme.opening)
        self.ending: Bools = scheme.is_role(tags, scheme.ending)
        may_end = self.ending | (tags == 0)
        start, end, enter, leave, inside = (np.exp(array) for array in self.params)
        self.start: Floats = np.where(self.opening, start, 0.0)
        self.end: Floats = np.where(may_end, end, 0.0)
        self.enter: Floats = np.where(self.opening, enter, 0.0)
        self.leave: Floats = np.where(self.ending, leave, 0.0)
        self.inside: Floats = inside

    @cached_property
    def are_zero(self) -> bool:
        """Whether all scores are zero."""
        return not any(array.any() for array in self.params)

    @cached_property
    def are_finite(self) -> bool:
        """Whether all exponentials are finite numbers, so that sums over sequences can be computed."""
        return all(np.isfinite(a).all() for a in (self.start, self.end, self.enter, self.leave, self.inside))

    @cached_property
    def matrix(self) -> Floats:
        """(T, T) exp A."""
        A = np.outer(self.leave, self.enter[1])
        A[0] = self.enter[0]
        for c, role in enumerate(self.scheme.continuing):
            to = np.arange(self.n_tags)[self.scheme.columns(role)]
            for source, before in enumerate("BI"):
                A[np.arange(self.n_tags)[self.scheme.columns(before)], to] = self.inside[c, source]
        return A

    @cached_property
    def _both_matrices(self) -> Floats:
        """(2, T, T) exp A and its transpose, for the two directions."""
        return np.stack([self.matrix, self.matrix.T])

    def step(self, state: Floats, out: Floats) -> None:
        """Take one step in both directions: out[0] = state[0]·exp A and out[1] = state[1]·(exp A)ᵀ.

        Args:
            state (Floats): The forward and backward states of n sequences (2, n, T).
            out (Floats): The array for the new states (2, n, T).
        """
        if self.n_tags <= DENSE_TAGS:
            np.matmul(state, self._both_matrices, out=out)
            return
        forward = state[0]
        np.multiply(forward[:, :1], self.enter[0], out=out[0])
        out[0] += (forward @ self.leave)[:, None] * self.enter[1]
        for c, role in enumerate(self.scheme.continuing):
            to = self.scheme.columns(role)
            for source, before in enumerate("BI"):
                out[0][:, to] += forward[:, self.scheme.columns(before)] * self.inside[c, source]
        self._step_back(state[1], out[1])

    @on_one_thread
    def step_back(self, state: Floats) -> Floats:
        """Take one step backward: state·(exp A)ᵀ.

        Args:
            state (Floats): The backward states of n sequences (n, T).

        Returns:
            Floats: The states one token before (n, T).
        """
        if self.n_tags <= DENSE_TAGS:
            return state @ self.matrix.T
        out = np.empty_like(state)
        self._step_back(state, out)
        return out

    def _step_back(self, state: Floats, out: Floats) -> None:
        """Take the backward step by the factored sums. out: (n, T)."""
        np.multiply((state @ self.enter[1])[:, None], self.leave, out=out)
        out[:, 0] = state @ self.enter[0]
        for c, role in enumerate(self.scheme.continuing):
            to = self.scheme.columns(role)
            for source, before in enumerate("BI"):
                out[:, self.scheme.columns(before)] += state[:, to] * self.inside[c, source]


@lru_cache(maxsize=8)
def at_temperature(transitions: Transitions, temperature: float) -> Transitions:
    """Divide the scores of transitions by a temperature.

    Args:
        transitions (Transitions): The transitions.
        temperature (float): The temperature, greater than 0.

    Returns:
        Transitions: The transitions with other scores.
    """
    return Transitions(transitions.scheme, TransitionParams(*(array / temperature for array in transitions.params)))


def path_counts(tags: Ints, lengths: Ints, transitions: Transitions) -> TransitionParams:
    """Count how often legal sequences of tags take each transition.

    Args:
        tags (Ints): The tags of all sequences, one sequence after the other (N,).
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        transitions (Transitions): The transitions. Only their scheme and number of tags matter.

    Returns:
        TransitionParams: The counts, summed over all sequences.
    """
    scheme = transitions.scheme
    counts = zero_transitions(scheme, scheme.n_labels(transitions.n_tags))
    full = lengths > 0
    first, last = (np.cumsum(lengths) - lengths)[full], (np.cumsum(lengths) - 1)[full]
    np.add.at(counts.start, tags[first], 1.0)
    np.add.at(counts.end, tags[last], 1.0)
    later = np.ones(len(tags), dtype=bool)
    later[first] = False
    rows = np.flatnonzero(later)
    add_steps(counts, tags[rows - 1], tags[rows], np.ones(len(rows)), transitions)
    return counts


def add_steps(counts: TransitionParams, before: Ints, after: Ints, weights: Floats, transitions: Transitions) -> None:
    """Add steps from tag to tag to counts of transitions.

    Args:
        counts (TransitionParams): The counts. They are changed.
        before (Ints): The tag before each step (n,).
        after (Ints): The tag after it (n,).
        weights (Floats): How much each step counts (n,).
        transitions (Transitions): The transitions. Only their scheme and number of tags matter.
    """
    scheme = transitions.scheme
    opens = transitions.opening[after]
    np.add.at(counts.enter, ((before > 0)[opens].astype(int), after[opens]), weights[opens])
    leaves = opens & (before > 0)
    np.add.at(counts.leave, before[leaves], weights[leaves])
    for c, role in enumerate(scheme.continuing):
        own = scheme.is_role(after, role)
        source = scheme.is_role(before[own], "I").astype(int)
        np.add.at(counts.inside[c], (source, scheme.label_of(after[own])), weights[own])


def dot(counts: TransitionParams, params: TransitionParams) -> float:
    """Compute the total score of counted transitions.

    Args:
        counts (TransitionParams): How often each transition is taken.
        params (TransitionParams): The score of each transition.

    Returns:
        float: The total score in nats.
    """
    return float(sum((x * y).sum() for x, y in zip(counts, params, strict=True)))


def minus(a: TransitionParams, b: TransitionParams) -> TransitionParams:
    """Subtract counts of transitions: a - b.

    Args:
        a (TransitionParams): The counts to subtract from.
        b (TransitionParams): The counts to subtract.

    Returns:
        TransitionParams: The differences.
    """
    return TransitionParams(*(x - y for x, y in zip(a, b, strict=True)))
