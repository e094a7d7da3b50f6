"""Not forgetting: what the model was when training began on it, and what holds it to that.

The copy is the tutor. It judges the same documents, and the model learns to keep the tutor's distribution over its
labels, in which nothing is said of labels that came later:

- At tokens where the tutor finds no entity, tags of later labels are left out of the comparison: the tutor cannot know
  whether they are right.
- Where it finds one, they count as something other than what the tutor found.
- Tokens of gold entities are left out altogether. There the annotation says more.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union, cast

import numpy as np
from spacy.errors import Errors
from spacy.pipeline.trainable_pipe import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example, validate_examples
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..annotation.chain import chain_tokens, given_for
from ..annotation.gold import gold_tags
from ..annotation.gold_report import GoldReport
from ..layers.crf.divergence import chain_divergence
from ..layers.crf.forward_backward import forward_backward
from ..layers.crf.head import head_scheme, head_transitions, label_numbers
from ..layers.crf.likelihood import Loss
from ..tags import OUTSIDE
from ..types import Bools


def is_trained(model: Model[Any, Any]) -> bool:
    """Whether a model has learnt anything: its last layer starts at zero."""
    output = model.get_ref("output_layer")
    return bool(output.has_param("W")) and bool(output.get_param("W").any())


def make_tutor(model: Model[Any, Any]) -> Model[Any, Any]:
    """A copy that stays as the model is now, and that drops nothing out."""
    return quiet(deepcopy(model))


def quiet(tutor: Model[Any, Any]) -> Model[Any, Any]:
    """The same model with every rate of dropout at zero."""
    for node in tutor.walk():
        node.attrs.update({name: 0.0 for name in node.attrs if "dropout" in name})
    return tutor


def listeners(model: Model[Any, Any]) -> List[Any]:
    """The nodes that get their output from another component of the pipeline."""
    return [node for node in model.walk() if hasattr(node, "verify_inputs")]


def rehearsal_loss(
    model: Model[Any, Any],
    tutor: Model[Any, Any],
    docs: Sequence[Doc],
    scores: Sequence[Floats2d],
    cfg: Dict[str, Any],
    annotated: Optional[Bools] = None,
) -> Loss:
    """How far the model has gone from its tutor on some docs, in nats, with gradients as of `learning.tagger_loss`.

    scores: the model's emissions, one array (tokens, tags) a doc. cfg: the component's settings.
    annotated (N,): the tokens that are in a gold entity. None: the annotation has no say.
    """
    head, old_head, scheme = model.get_ref("head"), tutor.get_ref("head"), head_scheme(model.get_ref("head"))
    flat = model.ops.to_numpy(model.ops.flatten(list(scores)))
    tokens = chain_tokens(docs, cfg["sentence_boundaries"], given_for(cfg))
    if annotated is not None:
        tokens = tokens._replace(outside=tokens.outside | annotated[tokens.rows])
    before = tutor.ops.to_numpy(tutor.ops.flatten(_tutor_scores(tutor, model, list(docs))))[tokens.rows]
    n_tags, n_old = flat.shape[1], before.shape[1]
    old_transitions = head_transitions(old_head, n_old)
    earlier = forward_backward(before, tokens.lengths, old_transitions, tokens.allowed(scheme, n_old))
    allowed = tokens.allowed(scheme, n_tags)
    later = np.arange(n_tags) >= n_old
    later[old_head.attrs["unseen"]] = True
    if later.any():
        allowed = np.ones((len(tokens.rows), n_tags), dtype=bool) if allowed is None else allowed
        allowed[np.ix_(earlier.marginals[:, OUTSIDE] > 0.5, later)] = False
    transitions = head_transitions(head, n_tags)
    loss = chain_divergence(earlier, flat[tokens.rows], transitions, allowed)
    gradient = np.zeros_like(flat)
    gradient[tokens.rows] = loss.d_emissions
    return Loss(loss.value, gradient, loss.d_transitions if head.name == "crf" else None)


def in_gold_entities(examples: Sequence[Example], label_numbers: Dict[str, int]) -> Bools:
    """(N,) The tokens of the predicted docs that are in a gold entity of one of the labels."""
    return np.concatenate([gold_tags(example, label_numbers, GoldReport()) for example in examples]) > OUTSIDE


def plus(a: Loss, b: Loss, weight: float) -> Loss:
    """a + weight·b, for losses of the same emissions."""
    transitions = a.d_transitions
    if transitions is not None and b.d_transitions is not None:
        pairs = zip(transitions, b.d_transitions, strict=True)
        transitions = type(transitions)(*(x + weight * y for x, y in pairs))
    return Loss(a.value + weight * b.value, a.d_emissions + weight * b.d_emissions, transitions)


def _tutor_scores(tutor: Model[Any, Any], model: Model[Any, Any], docs: List[Doc]) -> List[Floats2d]:
    own = listeners(tutor)
    if not own:
        return cast(List[Floats2d], tutor.predict(docs))
    # In training a listener has its vectors from the other component, which knows nothing of the tutor's.
    for node, theirs in zip(own, listeners(model), strict=True):
        node._batch_id, node._outputs, node._backprop = theirs._batch_id, theirs._outputs, _no_backprop
    return cast(List[Floats2d], tutor.begin_update(docs)[0])


def _no_backprop(dX: Any) -> List[Any]:
    return []


class RehearsingPipe(TrainablePipe):
    """A trainable pipe that can be held to what it was. Its model is a tagger, see `architectures.build_tagger`."""

    name: str
    cfg: Dict[str, Any]
    model: Model[Any, Any]
    _rehearsal_model: Optional[Model[Any, Any]]
    """The tutor, under spaCy's name for it: `nlp.resume_training` puts a copy of the model here."""
    _is_fresh: bool
    """Whether all that the model knows it learnt in a training that began with `initialize`."""

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn to find in a batch what the model found when training began on it; the annotation has no say.

        drop, sgd, losses: as of `update`.
        RETURNS: the losses. They stay as they are without `nlp.resume_training()`, which keeps a copy of the model.
        Raises TypeError for anything but Examples, and ValueError for a rate out of range, and if the model listens to
        another component, which has nothing to send then.
        """
        examples, losses = self._begin("rehearse", examples, losses)
        self._check_rate(drop)
        docs = [example.predicted for example in examples]
        tutor = self._tutor()
        if tutor is None or not any(len(doc) for doc in docs):
            return losses
        if listeners(self.model):
            raise ValueError(
                f"'{self.name}': rehearse needs a model that listens to no other component. Give it a copy of what it "
                f"listens to, by nlp.replace_listeners(..., {self.name!r}, ['model.tok2vec']) before resume_training, "
                "or use rehearse_weight"
            )
        set_dropout_rate(self.model, drop)
        scores, backprop = self.model.begin_update(docs)
        loss = rehearsal_loss(self.model, tutor, docs, scores, self.cfg)
        return self._learn(loss, backprop, docs, sgd, losses)

    def _forget_tutor(self, is_fresh: bool) -> None:
        """To be called when the model has become another: initialized (it is fresh then) or loaded."""
        self._rehearsal_model, self._is_fresh = None, is_fresh

    def _keep_tutor(self) -> None:
        """Copy the model if training goes on and it is to be held to what it is now."""
        if self.cfg["rehearse_weight"] and self._rehearsal_model is None and not self._is_fresh:
            self._rehearsal_model = make_tutor(self.model)

    def _tutor(self) -> Optional[Model[Any, Any]]:
        """What the model is to be held to; None if there is nothing yet that it could forget."""
        tutor = self._rehearsal_model
        return quiet(tutor) if tutor is not None and is_trained(tutor) else None

    def _rehearsal_loss(self, examples: Sequence[Example], scores: Sequence[Floats2d]) -> Optional[Loss]:
        """What the weight of rehearsal in `update` applies to; None if there is none."""
        tutor = self._tutor() if self.cfg["rehearse_weight"] else None
        if tutor is None:
            return None
        annotated = in_gold_entities(examples, label_numbers(self.labels, self.model.get_ref("head")))
        docs = [example.predicted for example in examples]
        return rehearsal_loss(self.model, tutor, docs, scores, self.cfg, annotated)

    def _begin(
        self, method: str, examples: Iterable[Example], losses: Optional[Dict[str, float]]
    ) -> Tuple[List[Example], Dict[str, float]]:
        """What `method` ("update" or "rehearse") was given, checked: the examples, and the record for the loss."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        name = f"LSTMEntityRecognizer.{method}"
        if isinstance(examples, Example) or not isinstance(examples, Iterable):
            raise TypeError(Errors.E978.format(name=name, types={type(examples)}))
        examples = list(examples)
        validate_examples(examples, name)
        return examples, losses

    def _check_rate(self, drop: float) -> None:
        if not 0.0 <= drop < 1.0:
            raise ValueError(f"'{self.name}': drop is {drop}, but must be at least 0 and less than 1")

    def _learn(
        self,
        loss: Loss,
        backprop: Callable[[Any], Any],
        docs: List[Doc],
        sgd: Optional[Optimizer],
        losses: Dict[str, float],
    ) -> Dict[str, float]:
        """Send the gradients back, let the optimizer use them, if there is one, and record the loss."""
        lengths = [len(doc) for doc in docs]
        backprop(self.model.ops.unflatten(self.model.ops.asarray(loss.d_emissions), lengths))
        if loss.d_transitions is not None:
            head = self.model.get_ref("head")
            for name, gradient in loss.d_transitions._asdict().items():
                head.inc_grad(name, head.ops.asarray(gradient.astype("float32")))
        if sgd not in (None, False):
            self.finish_update(sgd)
        losses[self.name] += loss.value
        return losses

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "RehearsingPipe":
        """Load the component, see spaCy's `TrainablePipe.from_bytes`."""
        super().from_bytes(bytes_data, exclude=exclude)
        self._forget_tutor(is_fresh=False)
        return self

    def from_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> "RehearsingPipe":
        """Load the component, see spaCy's `TrainablePipe.from_disk`."""
        super().from_disk(path, exclude=exclude)
        self._forget_tutor(is_fresh=False)
        return self
