"""What examples teach the tagger: from gold annotation and emissions to the loss and its gradients."""

from collections.abc import Sequence
from typing import Any, Dict, Optional

import numpy as np
from spacy.training import Example
from thinc.api import Model
from thinc.types import Floats2d

from ..annotation.chain import chain_tokens, given_for
from ..annotation.gold import chain_gold, gold_tags, incorrect_spans
from ..annotation.gold_report import GoldReport
from ..layers.crf.head import head_scheme, head_transitions, label_numbers
from ..layers.crf.likelihood import Gold, Loss, chain_loss, cross_entropy
from ..layers.crf.transitions import Transitions
from ..tags import MISSING, Scheme, tags_to_spans
from ..types import Floats, Ints


def tagger_loss(
    model: Model[Any, Any],
    examples: Sequence[Example],
    scores: Sequence[Floats2d],
    labels: Sequence[str],
    cfg: Dict[str, Any],
    report: GoldReport,
) -> Loss:
    """The loss of a batch and its gradients; for the tokens of the predicted docs, laid end to end.

    scores: the model's emissions, one array (tokens, tags) a doc.
    report: counts what had to be mended or left out of the annotation.
    """
    head = model.get_ref("head")
    scheme = head_scheme(head)
    flat = model.ops.to_numpy(model.ops.flatten(list(scores)))
    numbers = label_numbers(labels, head)
    own = labels if cfg["other_labels"] == "outside" else None
    docs = [example.predicted for example in examples]
    tags = np.concatenate([gold_tags(example, numbers, report, own) for example in examples])
    tokens = chain_tokens(docs, cfg["sentence_boundaries"], given_for(cfg))
    gold = Gold(chain_gold(tags, tokens, scheme, docs, report), tokens.allowed(scheme, flat.shape[1]))
    if cfg["incorrect_spans_key"] is not None:
        entities = tags_to_spans(gold.tags, np.cumsum(tokens.lengths) - tokens.lengths, scheme)
        wrong, not_outside = incorrect_spans(examples, cfg["incorrect_spans_key"], numbers, tokens, entities)
        gold = gold._replace(forbidden=wrong if len(wrong.starts) else None)
        gold = gold._replace(not_outside=not_outside if len(not_outside) else None)
    options: Dict[str, Any] = {
        "weights": _tag_weights(labels, scheme, cfg["label_weights"]),
        "smoothing": cfg["label_smoothing"],
    }
    transitions = head_transitions(head, flat.shape[1])
    if head.name == "crf":
        loss = chain_loss(flat[tokens.rows], tokens.lengths, gold, transitions, **options)
    else:
        loss = _softmax_loss(flat[tokens.rows], tokens.lengths, gold, transitions, options)
    gradient = np.zeros_like(flat)
    gradient[tokens.rows] = loss.d_emissions
    return loss._replace(d_emissions=gradient)


def _softmax_loss(
    emissions: Floats, lengths: Ints, gold: Gold, transitions: Transitions, options: Dict[str, Any]
) -> Loss:
    """Cross entropy by token. A wrong span speaks of several tags at once, which only the chain can learn from."""
    negative = gold.negative_sequences(lengths)
    if not negative.any():
        return cross_entropy(emissions, gold.tags, **options)
    by_chain = np.repeat(negative, lengths)
    single = cross_entropy(emissions, np.where(by_chain, MISSING, gold.tags), **options)
    chain = chain_loss(emissions, lengths, gold._replace(tags=np.where(by_chain, gold.tags, MISSING)), transitions)
    return Loss(single.value + chain.value, single.d_emissions + chain.d_emissions, None)


def _tag_weights(labels: Sequence[str], scheme: Scheme, weights: Dict[str, float]) -> Optional[Floats]:
    """(T,) The weight of each tag; None if all are 1."""
    if not weights:
        return None
    return np.array([weights.get(label, 1.0) for label in ["O", *(name for name in labels for _ in scheme.roles)]])
