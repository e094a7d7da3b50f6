"""The divergence of a model from an earlier one, as distributions over sequences of tags. Rehearsal minimizes it.

Notation as in `forward_backward`. q is the distribution of the earlier model, p that of the current model. p may have
more labels. New labels are appended, so the first T' of the T tags of p are the tags of q.
"""

from typing import Optional

import numpy as np

from ...threads import on_one_thread
from ...types import Bools, Floats
from .forward_backward import Lattice, forward_backward
from .likelihood import Loss
from .transitions import TransitionParams, Transitions, dot, minus, zero_transitions


@on_one_thread
def chain_divergence(
    earlier: Lattice, emissions: Floats, transitions: Transitions, allowed: Optional[Bools] = None
) -> Loss:
    """Compute KL(q || p), summed over the sequences, and its gradients for the emissions and transitions of p.

    Both distributions are linear chains, so this is exact. With the marginals γ and the expected transition counts of
    q, it is Σ γ·(e_q - e_p) + counts·(A_q - A_p) - log Z_q + log Z_p. The gradients are the expected counts of p minus
    those of q.

    Args:
        earlier (Lattice): The masses of q, over the same N tokens and T' tags.
        emissions (Floats): The emissions of p (N, T), in nats.
        transitions (Transitions): The transitions of p.
        allowed (Optional[Bools]): The tags that p may take (N, T). They include the tags that q may take. None: any.

    Returns:
        Loss: The divergence in nats, and its gradients.
    """
    n_old = earlier.emissions.shape[1]
    lattice = forward_backward(emissions, earlier.lengths, transitions, allowed)
    expected = np.zeros(emissions.shape)
    expected[:, :n_old] = earlier.marginals
    counts, old_transitions = earlier.expected_counts(), earlier.transitions.params
    padded = _padded(counts, transitions)
    used = earlier.marginals > 0.0
    differences = earlier.emissions[used] - lattice.emissions[:, :n_old][used]
    value = (
        float(earlier.marginals[used] @ differences) + dot(counts, old_transitions) - dot(padded, transitions.params)
    )
    value += float(lattice.log_partition.sum() - earlier.log_partition.sum())
    gradient = (lattice.marginals - expected).astype(emissions.dtype)
    return Loss(value, gradient, minus(lattice.expected_counts(), padded))


def _padded(counts: TransitionParams, transitions: Transitions) -> TransitionParams:
    """Counts of the transitions of q in the shapes of p, with 0 for new tags."""
    total = zero_transitions(transitions.scheme, transitions.scheme.n_labels(transitions.n_tags))
    for old, new in zip(counts, total, strict=True):
        new[tuple(slice(size) for size in old.shape)] = old
    return total
