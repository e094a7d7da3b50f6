"""The moves from tag to tag: their scores, which are learned, and what the sums over sequences need of them.

Notation
--------
T           tags, numbered as in `spacy_lstm_ner.tags`; L labels
A (T, T)    score of the move from tag i to tag j; -inf where the scheme forbids it

A is factored: any entity may be followed by O or by the begin of any other, at a cost for leaving and one for entering,
so that sums over moves stay linear in L for many labels.
"""

from functools import cached_property
from typing import Dict, NamedTuple, Optional, Tuple, TypeVar, cast

import numpy as np

from ...tags import Scheme
from ...types import Bools, Floats, Ints

DENSE_TAGS = 100
"""Up to so many tags a product with the full matrix is faster than the factored sums."""


class TransitionParams(NamedTuple):
    """The parameters of the moves; also the shape of their counts and gradients.

    start (T,), end (T,): score of a tag at the first and at the last token.
    enter (2, T): score of O or of the first tag of an entity; row 0 after O, row 1 after an entity.
    leave (T,): added to row 1 of `enter` by the entity's last tag.
    inside (C, 2, L): score of continuing role c after B (0) and after I (1) of the same label.
    """

    start: Floats
    end: Floats
    enter: Floats
    leave: Floats
    inside: Floats


_Size = TypeVar("_Size", int, Optional[int])


def transition_shapes(scheme: Scheme, n_tags: _Size, n_labels: _Size) -> Dict[str, Tuple[_Size, ...]]:
    """The shapes of the parameters by name. Sizes may be None where the number of tags is not known."""
    T, L = n_tags, n_labels
    return {"start": (T,), "end": (T,), "enter": (2, T), "leave": (T,), "inside": (len(scheme.continuing), 2, L)}


def zero_transitions(scheme: Scheme, n_labels: int) -> TransitionParams:
    """Parameters that are all zero. What the scheme forbids stays forbidden."""
    shapes = transition_shapes(scheme, scheme.n_tags(n_labels), n_labels)
    return TransitionParams(**{name: np.zeros(shape) for name, shape in shapes.items()})


class Transitions:
    """Transitions made ready for the sums: their exponentials, in the form that is fastest for the number of tags."""

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

    @property
    def are_finite(self) -> bool:
        """Whether sums over sequences of tags can be computed: no transition is NaN, or its exponential infinite."""
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
    def _both(self) -> Floats:
        return np.stack([self.matrix, self.matrix.T])

    def step(self, state: Floats, out: Floats) -> None:
        """out (2, b, T) <- state[0]·exp A and state[1]·(exp A)ᵀ: one step of both directions."""
        if self.n_tags <= DENSE_TAGS:
            np.matmul(state, self._both, out=out)
            return
        forward = state[0]
        np.multiply(forward[:, :1], self.enter[0], out=out[0])
        out[0] += (forward @ self.leave)[:, None] * self.enter[1]
        for c, role in enumerate(self.scheme.continuing):
            to = self.scheme.columns(role)
            for source, before in enumerate("BI"):
                out[0][:, to] += forward[:, self.scheme.columns(before)] * self.inside[c, source]
        self._back(state[1], out[1])

    def back(self, state: Floats) -> Floats:
        """(n, T) state·(exp A)ᵀ."""
        if self.n_tags <= DENSE_TAGS:
            return cast(Floats, state @ self.matrix.T)
        out = np.empty_like(state)
        self._back(state, out)
        return out

    def _back(self, state: Floats, out: Floats) -> None:
        np.multiply((state @ self.enter[1])[:, None], self.leave, out=out)
        out[:, 0] = state @ self.enter[0]
        for c, role in enumerate(self.scheme.continuing):
            to = self.scheme.columns(role)
            for source, before in enumerate("BI"):
                out[:, self.scheme.columns(before)] += state[:, to] * self.inside[c, source]


def path_counts(tags: Ints, lengths: Ints, transitions: Transitions) -> TransitionParams:
    """How often each transition is taken by legal sequences of tags (N,)."""
    scheme = transitions.scheme
    counts = zero_transitions(scheme, scheme.n_labels(transitions.n_tags))
    full = lengths > 0
    first, last = (np.cumsum(lengths) - lengths)[full], (np.cumsum(lengths) - 1)[full]
    np.add.at(counts.start, tags[first], 1.0)
    np.add.at(counts.end, tags[last], 1.0)
    later = np.ones(len(tags), dtype=bool)
    later[first] = False
    rows = np.flatnonzero(later)
    before, after = tags[rows - 1], tags[rows]
    opens = transitions.opening[after]
    np.add.at(counts.enter, ((before > 0)[opens].astype(int), after[opens]), 1.0)
    np.add.at(counts.leave, before[opens & (before > 0)], 1.0)
    for c, role in enumerate(scheme.continuing):
        own = scheme.is_role(after, role)
        source = scheme.is_role(before[own], "I").astype(int)
        np.add.at(counts.inside[c], (source, scheme.label_of(after[own])), 1.0)
    return counts


def dot(a: TransitionParams, b: TransitionParams) -> float:
    """The score of counts `a` under parameters `b`."""
    return float(sum((x * y).sum() for x, y in zip(a, b, strict=True)))


def minus(a: TransitionParams, b: TransitionParams) -> TransitionParams:
    """a - b."""
    return TransitionParams(*(x - y for x, y in zip(a, b, strict=True)))
