"""Sum over all sequences of tags that contain no forbidden span.

Notation as in `forward_backward`, with T tags and L labels of the model.

In BILUO, the tag of the last token shows that an entity ends there. So a rule about a whole span becomes a rule about a
tag. For each first token of a forbidden span, the label of the span gets a copy. At this token, an entity with the
label must begin as the copy. The copy may begin nowhere else, and may not end where the span ends. A copy has the
scores of its label, so the sums are sums over the sequences of the model. A sequence uses each copy of a label once.
Sequences share the copies, so a label has as many copies as the sequence that needs most.

T', L'  tags and labels of the expanded chain. Its scheme is BILUO. Its labels are the labels of the model, then the
        copies
"""

from typing import NamedTuple, Optional

import numpy as np

from ...tags import BILUO, BIO, Scheme, Spans
from ...types import Bools, Floats, Ints
from .forward_backward import Lattice, forward_backward
from .transitions import TransitionParams, Transitions, zero_transitions

FIRST_ROLES = [BILUO.roles.index(role) for role in BILUO.opening]
"""The numbers of the roles of an entity's first token."""


class ExpandedChain(NamedTuple):
    """A chain with copies of labels, and the way back to the labels of the model.

    Attributes:
        lattice (Lattice): The masses of the expanded chain.
        transitions (Transitions): The transitions of the model.
        model_tags (Ints): The tag of the model for each tag of the expanded chain (T',).
        model_labels (Ints): The label of the model for each label of the expanded chain (L',).
    """

    lattice: Lattice
    transitions: Transitions
    model_tags: Ints
    model_labels: Ints

    def marginals(self) -> Floats:
        """Compute the marginals of the tags of the model.

        Returns:
            Floats: The marginals (N, T).
        """
        gamma = self.lattice.marginals
        total = np.zeros((len(gamma), self.transitions.n_tags))
        np.add.at(total.T, self.model_tags, gamma.T)
        return total

    def expected_counts(self) -> TransitionParams:
        """Compute how often each transition of the model is expected to be taken.

        Returns:
            TransitionParams: The expected counts, summed over all sequences.
        """
        counts, scheme = self.lattice.expected_counts(), self.transitions.scheme
        total = zero_transitions(scheme, scheme.n_labels(self.transitions.n_tags))
        for name in ("start", "end", "leave"):
            np.add.at(getattr(total, name), self.model_tags, getattr(counts, name))
        np.add.at(total.enter.T, self.model_tags, counts.enter.T)
        for c, role in enumerate(BILUO.continuing):
            inside = total.inside[scheme.continuing.index(_model_role(role, scheme))]
            np.add.at(inside.T, self.model_labels, counts.inside[c].T)
        return total


def without_spans(
    emissions: Floats, lengths: Ints, transitions: Transitions, allowed: Optional[Bools], forbidden: Spans
) -> ExpandedChain:
    """Sum over all legal sequences of tags that contain none of the forbidden spans.

    Args:
        emissions (Floats): The emissions (N, T), in nats.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        transitions (Transitions): The transitions of the model.
        allowed (Optional[Bools]): The tags that each token may take (N, T). None: any.
        forbidden (Spans): The spans, by rows and label numbers. They may overlap.

    Returns:
        ExpandedChain: The sums.
    """
    n_labels = transitions.scheme.n_labels(transitions.n_tags)
    labels, copies = _copy_labels(lengths, n_labels, forbidden)
    expanded, tags = _expand(transitions, labels)
    mask = np.ones((len(emissions), len(tags)), dtype=bool) if allowed is None else allowed[:, tags]
    # A copy begins only at the first token of its spans. There, the label itself may not begin.
    for copy in range(n_labels, len(labels)):
        for role in FIRST_ROLES:
            mask[:, _tag(copy, role)] = False
    for (start, label), copy in copies.items():
        for role in FIRST_ROLES:
            mask[start, _tag(copy, role)] = allowed is None or allowed[start, tags[_tag(copy, role)]]
            mask[start, _tag(label, role)] = False
    for start, end, label in zip(*(column.tolist() for column in forbidden), strict=True):
        last = BILUO.roles.index("U" if end - start == 1 else "L")
        mask[end - 1, _tag(copies[start, label], last)] = False
    lattice = forward_backward(emissions[:, tags], lengths, expanded, mask)
    return ExpandedChain(lattice, transitions, tags, labels)


def _copy_labels(lengths: Ints, n_labels: int, forbidden: Spans) -> tuple[Ints, dict[tuple[int, int], int]]:
    """The label of the model for each label of the expanded chain (L',), and the copy for each first row and label."""
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    labels, copies = list(range(n_labels)), dict[tuple[int, int], int]()
    # How many copies of a label a sequence already uses.
    used: dict[tuple[int, int], int] = {}
    for start, label in sorted({*zip(forbidden.starts.tolist(), forbidden.labels.tolist(), strict=True)}):
        nth = used.get((int(sequence[start]), label), 0)
        used[int(sequence[start]), label] = nth + 1
        own = [copy for copy in range(n_labels, len(labels)) if labels[copy] == label]
        if nth == len(own):
            own.append(len(labels))
            labels.append(label)
        copies[start, label] = own[nth]
    return np.array(labels, dtype=np.int64), copies


def _expand(transitions: Transitions, labels: Ints) -> tuple[Transitions, Ints]:
    """The transitions between labels of the expanded chain, and the tag of the model for each of its tags (T',)."""
    scheme, t = transitions.scheme, transitions.params
    roles = np.array([scheme.roles.index(_model_role(role, scheme)) for role in BILUO.roles])
    tags = np.concatenate([[0], (1 + len(scheme.roles) * labels[:, None] + roles).ravel()]).astype(np.int64)
    inside = np.stack(
        [t.inside[scheme.continuing.index(_model_role(role, scheme))][:, labels] for role in BILUO.continuing]
    )
    params = TransitionParams(t.start[tags], t.end[tags], t.enter[:, tags], t.leave[tags], inside)
    return Transitions(BILUO, params), tags


def _model_role(role: str, scheme: Scheme) -> str:
    """The role of the model for a role of BILUO. In BIO, U has the scores of B, and L those of I."""
    return {"U": "B", "L": "I"}.get(role, role) if scheme is BIO else role


def _tag(label: int, role: int) -> int:
    """The number of a tag of the expanded chain."""
    return 1 + len(BILUO.roles) * label + role
