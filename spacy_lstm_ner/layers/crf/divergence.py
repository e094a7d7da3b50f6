"""How far a chain of tags is from an earlier one, and how to get back: what keeps a model from forgetting.

Notation as in `crf`. q is the distribution over sequences of tags of the earlier model, p that of the present one,
which may have more labels. New labels are appended, so that the first T' tags of p are those of q.
"""

from typing import Optional

import numpy as np

from ...types import Bools, Floats
from .forward_backward import Lattice, forward_backward
from .likelihood import Loss
from .transitions import TransitionParams, Transitions, dot, minus, zero_transitions


def chain_divergence(
    earlier: Lattice, emissions: Floats, transitions: Transitions, allowed: Optional[Bools] = None
) -> Loss:
    """KL(q || p) in nats, summed over the sequences, and its gradients for emissions and transitions of p.

    Both are linear chains, so that it is exact: with the marginals γ and expected transition counts of q,
    Σ γ·(e_q - e_p) + counts·(A_q - A_p) - log Z_q + log Z_p. The gradient is what p expects minus what q expects.

    earlier: the lattice of q, over the N tokens with T' tags.
    emissions (N, T): those of p. allowed (N, T): the tags that p may take, at least those that q may.
    """
    n_old = earlier.emissions.shape[1]
    lattice = forward_backward(emissions, earlier.lengths, transitions, allowed)
    expected = np.zeros(emissions.shape)
    expected[:, :n_old] = earlier.marginals
    counts, old_transitions = earlier.expected_counts(), earlier.transitions.params
    grown = _grown(counts, transitions)
    used = earlier.marginals > 0.0
    differences = earlier.emissions[used] - lattice.emissions[:, :n_old][used]
    value = float(earlier.marginals[used] @ differences) + dot(counts, old_transitions) - dot(grown, transitions.params)
    value += float(lattice.log_partition.sum() - earlier.log_partition.sum())
    gradient = (lattice.marginals - expected).astype(emissions.dtype)
    return Loss(value, gradient, minus(lattice.expected_counts(), grown))


def _grown(counts: TransitionParams, transitions: Transitions) -> TransitionParams:
    """Counts of the tags of the earlier model as counts of all tags."""
    total = zero_transitions(transitions.scheme, transitions.scheme.n_labels(transitions.n_tags))
    for old, new in zip(counts, total, strict=True):
        new[tuple(slice(size) for size in old.shape)] = old
    return total
