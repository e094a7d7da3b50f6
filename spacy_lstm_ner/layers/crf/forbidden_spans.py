"""The chain of all sequences of tags that contain none of some forbidden spans. Notation as in `forward_backward`."""

from typing import NamedTuple, Optional

import numpy as np

from ...tags import BILUO, BIO, Scheme, Spans
from ...types import Bools, Floats, Ints
from .forward_backward import Lattice, forward_backward
from .transitions import TransitionParams, Transitions, zero_transitions


class Unfolded(NamedTuple):
    """A chain with more labels than the model, some of which are copies with rules of their own.

    origin (T',): the model's tag of each of its tags. labels (L',): the model's label of each of its labels.
    """

    lattice: Lattice
    transitions: Transitions
    origin: Ints
    labels: Ints

    def fold(self, table: Floats) -> Floats:
        """(N, T') -> (N, T): copies added to their originals."""
        folded = np.zeros((len(table), self.transitions.n_tags))
        np.add.at(folded.T, self.origin, table.T)
        return folded

    def fold_counts(self) -> TransitionParams:
        """The expected counts in terms of the model's transitions."""
        counts = self.lattice.expected_counts()
        total = zero_transitions(self.transitions.scheme, self.transitions.scheme.n_labels(self.transitions.n_tags))
        for name in ("start", "end", "leave"):
            np.add.at(getattr(total, name), self.origin, getattr(counts, name))
        np.add.at(total.enter.T, self.origin, counts.enter.T)
        for c, role in enumerate(BILUO.continuing):
            ours = _model_role(role, self.transitions.scheme)
            inside = total.inside[self.transitions.scheme.continuing.index(ours)]
            np.add.at(inside.T, self.labels, counts.inside[c].T)
        return total


def _model_role(role: str, scheme: Scheme) -> str:
    """BIO is BILUO with U scored as B, and L as I."""
    return {"U": "B", "L": "I"}.get(role, role) if scheme is BIO else role


def without_spans(
    emissions: Floats, lengths: Ints, transitions: Transitions, allowed: Optional[Bools], forbidden: Spans
) -> Unfolded:
    """The chain of all sequences of tags that contain none of the forbidden spans.

    In BILUO an entity shows at its last token that it ends there, which is what a rule about whole spans needs. For
    every first token of a forbidden span its label gets a copy that alone may begin there, and that may not end where
    the span does. Labels are copied as often as one sequence needs.
    """
    scheme = transitions.scheme
    n_labels = scheme.n_labels(transitions.n_tags)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    copies, copy_of = list(range(n_labels)), {}
    used: dict[tuple[int, int], int] = {}
    for start, label in sorted({*zip(forbidden.starts.tolist(), forbidden.labels.tolist(), strict=True)}):
        nth = used.get((int(sequence[start]), label), 0)
        used[int(sequence[start]), label] = nth + 1
        own = [k for k in range(n_labels, len(copies)) if copies[k] == label]
        if nth == len(own):
            own.append(len(copies))
            copies.append(label)
        copy_of[start, label] = own[nth]
    labels = np.array(copies, dtype=np.int64)
    roles = np.array([scheme.roles.index(_model_role(role, scheme)) for role in BILUO.roles])
    origin = np.concatenate([[0], (1 + len(scheme.roles) * labels[:, None] + roles).ravel()]).astype(np.int64)
    t = transitions.params
    inside = np.stack(
        [t.inside[scheme.continuing.index(_model_role(role, scheme))][:, labels] for role in BILUO.continuing]
    )
    unfolded = Transitions(
        BILUO, TransitionParams(t.start[origin], t.end[origin], t.enter[:, origin], t.leave[origin], inside)
    )
    mask = np.ones((len(emissions), len(origin)), dtype=bool) if allowed is None else allowed[:, origin]
    P = len(BILUO.roles)
    first_roles = [BILUO.roles.index(role) for role in BILUO.opening]
    for k in range(n_labels, len(copies)):
        for r in first_roles:
            mask[:, 1 + P * k + r] = False
    for (start, label), k in copy_of.items():
        for r in first_roles:
            mask[start, 1 + P * k + r] = allowed is None or allowed[start, origin[1 + P * k + r]]
            mask[start, 1 + P * label + r] = False
    for start, end, label in zip(*(column.tolist() for column in forbidden), strict=True):
        last = "U" if end - start == 1 else "L"
        mask[end - 1, 1 + P * copy_of[start, label] + BILUO.roles.index(last)] = False
    lattice = forward_backward(emissions[:, origin], lengths, unfolded, mask)
    return Unfolded(lattice, transitions, origin, labels)
