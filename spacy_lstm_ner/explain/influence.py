"""How much the probability of an entity depends on each token.

Notation as in `layers.crf.forward_backward`: M tokens of one chain, T tags, e (M, T) emissions, γ marginals.
"""

from typing import List, Optional

import numpy as np
from spacy.tokens import Doc

from ..pipeline.predict import Chains
from ..tags import Spans, spans_to_tags
from ..types import Bools, Floats
from .observed import Observed

SMALLEST = 1e-10
"""Gradients of log P below this are the rounding errors of the marginals: the model has no doubt."""
CARRIED = 0.95
"""The part of the influence on an entity that the tokens within its reach have."""


def allowed_with(chains: Chains, start: int, end: int, label: int) -> Bools:
    """Find the tags that are left if an entity is certain.

    Args:
        chains (Chains): One chain.
        start (int): The first row of the entity.
        end (int): The row after its last row.
        label (int): The number of its label.

    Returns:
        Bools: (M, T) The tags that each token may take in the sequences of tags that contain the entity.
    """
    scheme, (M, T) = chains.transitions.scheme, chains.emissions.shape
    allowed = np.ones((M, T), dtype=bool) if chains.allowed is None else chains.allowed.copy()
    one = Spans(*(np.array([number]) for number in (start, end, label)))
    tags = spans_to_tags(one, M, scheme=scheme)
    inside = np.zeros((M, T), dtype=bool)
    inside[np.arange(start, end), tags[start:end]] = True
    allowed[start:end] &= inside[start:end]
    # In BIO, the entity would be longer if an I followed.
    allowed[end : end + 1, scheme.is_role(np.arange(T), scheme.continuing)] = False
    return allowed


def span_gradient(chains: Chains, start: int, end: int, label: int) -> Floats:
    """Compute ∂log P(entity) / ∂e: the marginals given the entity, minus the marginals.

    log P is the log of the sum over the sequences that contain the entity, minus the log of the sum over all. The
    gradient of each is a table of marginals.

    Args:
        chains (Chains): One chain, at the temperature of the head.
        start (int): The first row of the entity.
        end (int): The row after its last row.
        label (int): The number of its label.

    Returns:
        Floats: (M, T) The gradient.
    """
    certain = chains._replace(allowed=allowed_with(chains, start, end, label))
    return certain.lattice().marginals - chains.lattice().marginals


def influences(
    observed: Observed, doc: Doc, chains: Chains, spans: Spans, temperature: float
) -> List[Optional[Floats]]:
    """Compute the norm of the gradient of each entity's log-probability at the embedding of each token.

    Args:
        observed (Observed): The model, which sees its inputs.
        doc (Doc): The doc.
        chains (Chains): The chain of the doc, at the temperature.
        spans (Spans): n entities, in rows of the chain.
        temperature (float): The divisor of the scores of the chain.

    Returns:
        List[Optional[Floats]]: For each entity the norms (tokens,); None if the probability is so close to 1 that the
            gradient is lost in rounding.
    """
    (emissions,), backprop = observed.model.begin_update([doc])
    norms: List[Optional[Floats]] = []
    for span in zip(*(column.tolist() for column in spans), strict=True):
        gradient = span_gradient(chains, *span) / temperature
        size = np.abs(gradient).max()
        if size < SMALLEST:
            norms.append(None)
            continue
        d_emissions = np.zeros_like(emissions)
        # Gradients of float32 keep their digits if they are not tiny.
        d_emissions[chains.tokens.rows] = gradient / size
        backprop([d_emissions])
        norms.append(np.linalg.norm(observed.d_inputs[-1], axis=1) * size)
    return norms


def reach(norms: Floats, start: int, end: int) -> int:
    """Find how far the influence on an entity reaches.

    Args:
        norms (Floats): (tokens,) The influence of each token.
        start (int): The first token of the entity.
        end (int): The token after its last token.

    Returns:
        int: The smallest number of tokens on both sides of the entity within which the tokens have CARRIED of the sum.
    """
    tokens = np.arange(len(norms))
    distance = np.maximum(np.maximum(start - tokens, tokens - end + 1), 0)
    by_distance = np.cumsum(np.bincount(distance, weights=norms))
    return int(np.searchsorted(by_distance, CARRIED * by_distance[-1]))
