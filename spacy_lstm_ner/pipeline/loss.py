"""The loss of a batch of examples: from gold annotation and emissions to gradients."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
from spacy.errors import Errors
from spacy.training import Example
from thinc.types import Floats2d

from ..annotation.chain import chain_tokens
from ..annotation.gold import chain_gold, gold_tags, incorrect_spans
from ..annotation.gold_report import GoldReport
from ..annotation.soft import read_soft
from ..layers.crf.head import head_transitions
from ..layers.crf.likelihood import Gold, Loss
from ..tags import MISSING, tags_to_spans
from ..types import Floats
from .bound_tagger import BoundTagger


def tagger_loss(
    tagger: BoundTagger, examples: Sequence[Example], emissions: Sequence[Floats2d], report: GoldReport
) -> Loss:
    """Compute the loss of a batch, and its gradients.

    Args:
        tagger (BoundTagger): The model.
        examples (Sequence[Example]): The examples.
        emissions (Sequence[Floats2d]): The model's output, one array (tokens, T) for each doc.
        report (GoldReport): Counts the problems of the annotation.

    Returns:
        Loss: The loss in nats; the gradient of the emissions is (N, T), for the tokens of all docs concatenated.
    """
    head, scheme, settings = tagger.head, tagger.scheme, tagger.settings
    flat = tagger.model.ops.to_numpy(tagger.model.ops.flatten(list(emissions)))
    numbers = tagger.label_numbers
    own = tagger.labels if settings.other_labels == "outside" else None
    docs = [example.predicted for example in examples]
    tags = np.concatenate([gold_tags(example, numbers, report, own) for example in examples])
    tokens = chain_tokens(docs, settings.sentence_boundaries, settings.given)
    gold = Gold(chain_gold(tags, tokens, scheme, docs, report), tokens.allowed(scheme, flat.shape[1]))
    # A distribution says nothing about constraints.
    if gold.allowed is None and (expected := read_soft(examples, tokens, scheme, numbers)) is not None:
        gold = gold._replace(expected=expected)
        soft = np.repeat(gold.expected_sequences(tokens.lengths), tokens.lengths)
        gold = gold._replace(tags=np.where(soft, MISSING, gold.tags))
    if settings.incorrect_spans_key is not None:
        entities = tags_to_spans(gold.tags, tokens.starts, scheme)
        wrong, not_outside = incorrect_spans(examples, settings.incorrect_spans_key, numbers, tokens, entities)
        gold = gold._replace(forbidden=wrong if len(wrong.starts) else None)
        gold = gold._replace(not_outside=not_outside if len(not_outside) else None)
    loss: Loss = head.attrs["loss"](
        flat[tokens.rows],
        tokens.lengths,
        gold,
        head_transitions(head, flat.shape[1]),
        weights=_tag_weights(tagger),
        smoothing=settings.label_smoothing,
    )
    gradient = np.zeros_like(flat)
    gradient[tokens.rows] = loss.d_emissions
    return loss._replace(d_emissions=gradient)


def check_loss(tagger: BoundTagger, loss: Loss, updates: int) -> None:
    """Check that a loss is a number.

    Args:
        tagger (BoundTagger): The model.
        loss (Loss): The loss of a batch.
        updates (int): The number of updates so far, for the error.

    Raises:
        ValueError: If the loss is infinite, because the annotation of a doc contradicts itself, or not a number.
    """
    if np.isfinite(loss.value):
        return
    nodes = (tagger.model.get_ref("output_layer"), tagger.head)
    parameters = [tagger.model.ops.to_numpy(node.get_param(name)) for node in nodes for name in node.param_names]
    if np.isposinf(loss.value) and all(np.isfinite(array).all() for array in parameters):
        raise ValueError(
            f"'{tagger.name}': the annotation of a doc leaves no analysis: its entities, the spans in "
            f"doc.spans[{tagger.settings.incorrect_spans_key!r}] and the entities set by earlier components contradict "
            "each other"
        )
    raise ValueError(
        f"'{tagger.name}': the loss is {loss.value}, in update {updates} since the component was made or initialized. "
        "Training diverged: lower the learning rate, or set grad_clip in the "
        f"optimizer. ({Errors.E910.format(name=tagger.name)})"
    )


def _tag_weights(tagger: BoundTagger) -> Optional[Floats]:
    """(T,) The weight of each tag; None if all are 1."""
    weights = tagger.settings.label_weights
    if not weights:
        return None
    names = ["O", *(label for label in tagger.labels for _ in tagger.scheme.roles)]
    return np.array([weights.get(name, 1.0) for name in names])


def plus(a: Loss, b: Loss, weight: float) -> Loss:
    """Add losses of the same emissions: a + weight·b."""
    transitions = a.d_transitions
    if transitions is not None and b.d_transitions is not None:
        pairs = zip(transitions, b.d_transitions, strict=True)
        transitions = type(transitions)(*(x + weight * y for x, y in pairs))
    return Loss(a.value + weight * b.value, a.d_emissions + weight * b.d_emissions, transitions)
