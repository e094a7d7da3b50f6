"""The last two layers of the tagger: a dense layer that can grow, and the head, which is a CRF or a log-softmax.

Notation as in `forward_backward`: N tokens, T tags. Both heads return the emissions (N, T) of a chain of tags. The
transitions of the CRF are learned, those of the log-softmax are all zero.

Attributes of a head
--------------------
These are saved with the model:

scheme              name of the tag scheme
unseen              tags that no training example has shown yet. They have probability zero, so that a label added to a
                    trained model changes nothing until it is trained
temperature         the divisor of emissions and transitions before probabilities are computed
label_temperatures  by label number, the divisor of the log odds of an entity's probability after that. A label beyond
                    the end of the list has 1
novelty             only after calibration with the training texts: see `pipeline.novelty`

These are functions and are not saved. Code for both heads calls them, so that it does not depend on names:

build         (scheme) -> head: a new head of the same kind
transitions   (head, n_tags) -> Transitions
loss          (emissions, lengths, gold, transitions, *, weights, smoothing) -> Loss, see `likelihood`
param_shapes  of the CRF, see `types.ParamShapes`
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Dict, Optional, Tuple

import numpy as np
from thinc.api import Linear, Model, Ops, zero_init
from thinc.types import Floats2d

from ...tags import SCHEMES, Scheme
from ...types import Array, Backprop
from .likelihood import chain_loss, softmax_loss
from .transitions import TransitionParams, Transitions, transition_shapes, zero_transitions

OUTSIDE_SCORE = 2.0
"""The first score of the tag O. The other tags start at 0."""
NOVELTY = "novelty"
"""The name of the attribute that a head has only after calibration with the training texts."""


def dense(nO: Optional[int] = None, nI: Optional[int] = None) -> Model[Floats2d, Floats2d]:
    """Build the layer that scores the tags.

    It starts with the score OUTSIDE_SCORE for O, the first tag, and 0 for the others, since most tokens are in no
    entity. With this prior, the first updates learn what an entity looks like (compare Lin et al. 2017, Focal Loss for
    Dense Object Detection).

    Args:
        nO (Optional[int]): The number of tags.
        nI (Optional[int]): The width of the input.

    Returns:
        Model[Floats2d, Floats2d]: The layer, (N, nI) → (N, nO).
    """
    return Linear(nO, nI, init_W=zero_init, init_b=_outside_first)


def _outside_first(ops: Ops, shape: Tuple[int, ...]) -> Array:
    """(T,) The first bias of the tags."""
    b: Array = ops.alloc(shape)
    b[:1] = OUTSIDE_SCORE
    return b


def grown_dense(layer: Model[Floats2d, Floats2d], nO: int) -> Model[Floats2d, Floats2d]:
    """Build a dense layer for more tags from a smaller layer.

    It is a new node, because an optimizer remembers the shapes of a node's parameters by the node's id.

    Args:
        layer (Model[Floats2d, Floats2d]): The smaller layer, initialized. It does not change.
        nO (int): The number of tags.

    Returns:
        Model[Floats2d, Floats2d]: The layer, with the weights of the smaller one and zeros for the new tags.
    """
    larger = dense(nO, layer.get_dim("nI"))
    larger.initialize()
    _copy_params(layer, larger)
    return larger


def _copy_params(layer: Model[Any, Any], larger: Model[Any, Any]) -> None:
    """Copy the parameters into a larger layer, and their gradients if an update is not finished yet."""
    for name in layer.param_names:
        grown: Array = larger.get_param(name)
        old = tuple(slice(size) for size in layer.get_param(name).shape)
        grown[old] = layer.get_param(name)
        larger.set_param(name, grown)
        if layer.has_grad(name):
            gradient = larger.ops.xp.zeros_like(grown)
            gradient[old] = layer.get_grad(name)
            larger.set_grad(name, gradient)


def _saved_attrs(scheme: str) -> Dict[str, Any]:
    return {"scheme": scheme, "unseen": [], "temperature": 1.0, "label_temperatures": []}


def log_softmax(scheme: str = "bio") -> Model[Floats2d, Floats2d]:
    """Build the head that scores each token by itself: log p(tag).

    Args:
        scheme (str): The name of the tag scheme, "bio" or "biluo".

    Returns:
        Model[Floats2d, Floats2d]: The head, (N, T) → (N, T), from scores to log-probabilities in nats.
    """
    functions = {"build": log_softmax, "transitions": _no_transitions, "loss": softmax_loss}
    return Model("log_softmax", _log_softmax_forward, attrs={**_saved_attrs(scheme), **functions})


def _log_softmax_forward(model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool) -> Tuple[Floats2d, Backprop]:
    xp, unseen = model.ops.xp, model.attrs["unseen"]
    Y = X - xp.max(X, axis=1, keepdims=True) if X.size else X.copy()
    if unseen:
        Y[:, unseen] = -xp.inf
        # The largest score may have belonged to an unseen tag.
        Y -= xp.max(Y, axis=1, keepdims=True) if X.size else 0.0
    Y -= xp.log(xp.exp(Y).sum(axis=1, keepdims=True))

    def backprop(dY: Floats2d) -> Floats2d:
        return dY - xp.exp(Y) * dY.sum(axis=1, keepdims=True)

    return Y, backprop


def _no_transitions(head: Model[Any, Any], n_tags: int) -> Transitions:
    scheme = head_scheme(head)
    return Transitions(scheme, zero_transitions(scheme, scheme.n_labels(n_tags)))


def crf(scheme: str = "bio") -> Model[Floats2d, Floats2d]:
    """Build the head of a linear-chain CRF (Lafferty et al. 2001).

    It returns the emissions as they are. Its parameters are the transitions of the chain, all zero at first.

    Args:
        scheme (str): The name of the tag scheme, "bio" or "biluo".

    Returns:
        Model[Floats2d, Floats2d]: The head, (N, T) → (N, T).
    """
    functions = {
        "build": crf,
        "transitions": _learned_transitions,
        "loss": chain_loss,
        "param_shapes": _crf_param_shapes,
    }
    return Model(
        "crf",
        _crf_forward,
        init=_crf_init,
        params=dict.fromkeys(TransitionParams._fields),
        dims={"nO": None},
        attrs={**_saved_attrs(scheme), **functions},
    )


def _crf_param_shapes(sizes: Mapping[str, Any]) -> Dict[str, Tuple[Optional[int], ...]]:
    scheme, n_tags = SCHEMES[sizes["scheme"]], sizes["nO"]
    return transition_shapes(scheme, n_tags, None if n_tags is None else scheme.n_labels(n_tags))


def _crf_init(model: Model[Floats2d, Floats2d], X: Optional[Floats2d] = None, Y: Any = None) -> None:
    if model.has_dim("nO") is None and X is not None:
        model.set_dim("nO", X.shape[1])
    scheme, n_tags = head_scheme(model), model.get_dim("nO")
    for name, shape in transition_shapes(scheme, n_tags, scheme.n_labels(n_tags)).items():
        model.set_param(name, model.ops.alloc(shape))
        if model.has_grad(name):
            # The gradient is from an earlier training with other labels.
            model.set_grad(name, model.ops.alloc(shape))


def _crf_forward(model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool) -> Tuple[Floats2d, Backprop]:
    unseen = model.attrs["unseen"]
    if not unseen:
        return X, _identity
    Y = X.copy()
    Y[:, unseen] = -model.ops.xp.inf

    def backprop(dY: Floats2d) -> Floats2d:
        dX = dY.copy()
        dX[:, unseen] = 0.0
        return dX

    return Y, backprop


def _identity(dY: Floats2d) -> Floats2d:
    return dY


def _learned_transitions(head: Model[Any, Any], n_tags: int) -> Transitions:
    arrays = [np.asarray(head.ops.to_numpy(head.get_param(name))) for name in TransitionParams._fields]
    return _transitions(head_scheme(head), tuple((array.tobytes(), array.shape, array.dtype.str) for array in arrays))


@lru_cache(maxsize=8)
def _transitions(scheme: Scheme, arrays: Tuple[Tuple[bytes, Tuple[int, ...], str], ...]) -> Transitions:
    """The transitions with these numbers, shapes and types. They are kept, with what is computed from them."""
    params = (np.frombuffer(numbers, dtype).reshape(shape) for numbers, shape, dtype in arrays)
    return Transitions(scheme, TransitionParams(*params))


HEADS: Dict[str, Callable[[str], Model[Floats2d, Floats2d]]] = {"crf": crf, "softmax": log_softmax}
"""The functions that build the heads, by their names in configs. The argument is the name of a tag scheme."""


def head_scheme(head: Model[Any, Any]) -> Scheme:
    """Look up the tag scheme of a head.

    Args:
        head (Model): The head.

    Returns:
        Scheme: Its tag scheme.
    """
    return SCHEMES[head.attrs["scheme"]]


def head_transitions(head: Model[Any, Any], n_tags: int) -> Transitions:
    """Read the transitions of a head.

    Args:
        head (Model): The head, initialized.
        n_tags (int): The number of tags.

    Returns:
        Transitions: The transitions, on the CPU. For a log-softmax, all are zero.
    """
    return head.attrs["transitions"](head, n_tags)


def label_numbers(labels: Sequence[str], head: Model[Any, Any]) -> Dict[str, int]:
    """Number the labels that the head has been trained on. Annotation with other labels does not count yet.

    Args:
        labels (Sequence[str]): The labels of the component, in the order of their numbers.
        head (Model): The head.

    Returns:
        Dict[str, int]: The number of each label whose tags are not `unseen`.
    """
    unseen = set(head_scheme(head).label_of(np.array(head.attrs["unseen"], dtype=np.int64)).tolist())
    return {label: number for number, label in enumerate(labels) if number not in unseen}


def set_head_size(head: Model[Any, Any], n_tags: int) -> None:
    """Set the number of tags of a head that is not initialized. A log-softmax does not need it.

    Args:
        head (Model): The head.
        n_tags (int): The number of tags.
    """
    if "nO" in head.dim_names:
        head.set_dim("nO", n_tags, force=True)


def grown_head(head: Model[Any, Any], n_tags: int) -> Model[Any, Any]:
    """Build a head for more tags from a smaller head.

    Args:
        head (Model): The smaller head, initialized. It does not change.
        n_tags (int): The number of tags.

    Returns:
        Model: The head, with the transitions of the smaller one and zeros for the new tags. It is a new node, for the
            reason given in `grown_dense`. A head without parameters is returned as it is.
    """
    if not head.param_names:
        return head
    larger: Model[Any, Any] = head.attrs["build"](head.attrs["scheme"])
    larger.attrs.update(head.attrs)
    set_head_size(larger, n_tags)
    larger.initialize()
    _copy_params(head, larger)
    return larger


def fresh_output(model: Model[Any, Any], n_tags: int) -> Tuple[Model[Any, Any], Model[Any, Any]]:
    """Build an output layer and a head like those of a tagger, without parameters.

    Args:
        model (Model): The tagger.
        n_tags (int): The number of tags.

    Returns:
        Tuple[Model, Model]: The output layer and the head, not initialized.
    """
    old_output, old_head = model.get_ref("output_layer"), model.get_ref("head")
    head = old_head.attrs["build"](old_head.attrs["scheme"])
    set_head_size(head, n_tags)
    return dense(n_tags, old_output.get_dim("nI")), head


def swap_output(model: Model[Any, Any], output: Model[Any, Any], head: Model[Any, Any]) -> None:
    """Replace the output layer and the head of a tagger.

    Args:
        model (Model): The tagger.
        output (Model): The new output layer, with a number of tags.
        head (Model): The new head.
    """
    replacements = {model.get_ref("output_layer").id: output, model.get_ref("head").id: head}
    for node in tag_layers(model):
        node.layers[:] = [replacements.get(layer.id, layer) for layer in node.layers]
    model.set_ref("output_layer", output)
    model.set_ref("head", head)
    for node in tag_layers(model):
        if node.has_dim("nO"):
            node.set_dim("nO", output.get_dim("nO"), force=True)


def tag_layers(model: Model[Any, Any]) -> list[Model[Any, Any]]:
    """List the layers of a tagger whose width is the number of tags.

    Args:
        model (Model): The tagger.

    Returns:
        list[Model]: The output layer, the head, and every layer that contains them. The tagger comes first.
    """
    own = {model.get_ref("output_layer").id, model.get_ref("head").id}
    return [node for node in model.walk() if any(inner.id in own for inner in node.walk())]
