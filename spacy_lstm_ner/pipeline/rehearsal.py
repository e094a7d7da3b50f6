"""Rehearsal: a model keeps what it has learned while its training continues.

The teacher, a copy of the model from before, analyses the same documents, and the model learns to keep the teacher's
distribution over tags. The teacher does not know labels that were added later:

- At tokens where the teacher finds no entity, tags of later labels are left out of the comparison.
- Where the teacher finds an entity, a tag of a later label counts as wrong.
- Tokens of gold entities are left out, because the annotation says more about them.
"""

from copy import deepcopy
from typing import Any, List, Optional, Sequence, cast

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model
from thinc.types import Floats2d

from ..annotation.chain import chain_tokens
from ..annotation.gold import gold_tags
from ..annotation.gold_report import GoldReport
from ..layers.crf.divergence import chain_divergence
from ..layers.crf.forward_backward import forward_backward
from ..layers.crf.head import head_transitions
from ..layers.crf.likelihood import Loss
from ..tags import OUTSIDE
from ..types import Bools
from .bound_tagger import BoundTagger
from .listeners import listeners


def is_trained(model: Model[Any, Any]) -> bool:
    """Whether a tagger has learned anything. The weights of its output layer start at zero (the bias does not)."""
    output = model.get_ref("output_layer")
    return bool(output.has_param("W")) and bool(output.get_param("W").any())


def make_teacher(model: Model[Any, Any]) -> Model[Any, Any]:
    """Copy a model as it is now, without dropout."""
    return disable_dropout(deepcopy(model))


def disable_dropout(model: Model[Any, Any]) -> Model[Any, Any]:
    """Set all dropout rates of a model to 0. Returns the model."""
    for node in model.walk():
        node.attrs.update({name: 0.0 for name in node.attrs if "dropout" in name})
    return model


def rehearsal_loss(
    tagger: BoundTagger,
    teacher: Model[Any, Any],
    docs: Sequence[Doc],
    emissions: Sequence[Floats2d],
    in_entity: Optional[Bools] = None,
) -> Loss:
    """Compute the divergence of a model from its teacher on some docs, and its gradients.

    Args:
        tagger (BoundTagger): The model.
        teacher (Model[List[Doc], List[Floats2d]]): The teacher.
        docs (Sequence[Doc]): The docs.
        emissions (Sequence[Floats2d]): The model's output, one array (tokens, T) for each doc.
        in_entity (Optional[Bools]): (N,) Whether each token is in a gold entity and so left out. None: no token is left
            out.

    Returns:
        Loss: The divergence in nats, with gradients as in `loss.tagger_loss`.
    """
    head, scheme, settings = tagger.head, tagger.scheme, tagger.settings
    flat = tagger.model.ops.to_numpy(tagger.model.ops.flatten(list(emissions)))
    tokens = chain_tokens(docs, settings.sentence_boundaries, settings.given)
    if in_entity is not None:
        tokens = tokens._replace(outside=tokens.outside | in_entity[tokens.rows])
    before = teacher.ops.to_numpy(teacher.ops.flatten(_teacher_emissions(teacher, tagger.model, list(docs))))
    n_tags, n_old = flat.shape[1], before.shape[1]
    old_head = teacher.get_ref("head")
    earlier = forward_backward(
        before[tokens.rows], tokens.lengths, head_transitions(old_head, n_old), tokens.allowed(scheme, n_old)
    )
    allowed = tokens.allowed(scheme, n_tags)
    later = np.arange(n_tags) >= n_old
    later[old_head.attrs["unseen"]] = True
    if later.any():
        allowed = np.ones((len(tokens.rows), n_tags), dtype=bool) if allowed is None else allowed
        allowed[np.ix_(earlier.marginals[:, OUTSIDE] > 0.5, later)] = False
    loss = chain_divergence(earlier, flat[tokens.rows], head_transitions(head, n_tags), allowed)
    gradient = np.zeros_like(flat)
    gradient[tokens.rows] = loss.d_emissions
    # A head without transitions of its own has nothing to learn there.
    return Loss(loss.value, gradient, loss.d_transitions if head.param_names else None)


def in_gold_entities(tagger: BoundTagger, examples: Sequence[Example]) -> Bools:
    """(N,) Whether each token of the predicted docs is in a gold entity with a label that the tagger has learned."""
    numbers = tagger.label_numbers
    return np.concatenate([gold_tags(example, numbers, GoldReport()) for example in examples]) > OUTSIDE


def _teacher_emissions(teacher: Model[Any, Any], model: Model[Any, Any], docs: List[Doc]) -> List[Floats2d]:
    own = listeners(teacher)
    if not own:
        return cast(List[Floats2d], teacher.predict(docs))
    # In training a listener gets its vectors from the other component, which does not know the teacher's listeners.
    for node, theirs in zip(own, listeners(model), strict=True):
        node._batch_id, node._outputs, node._backprop = theirs._batch_id, theirs._outputs, _no_backprop
    return cast(List[Floats2d], teacher.begin_update(docs)[0])


def _no_backprop(dX: Any) -> List[Any]:
    return []
