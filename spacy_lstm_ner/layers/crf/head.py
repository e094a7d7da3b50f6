"""The head of the tagger: a dense layer that can grow, and on it a log-softmax or a CRF over tags.

Both heads give the emissions (N, T) of a chain of tags, see `crf`; the transitions of the log-softmax are zero.

Attributes of a head
--------------------
scheme              name of the tag scheme
unseen              tags that no training example has shown yet. They have probability zero, so that a label added to a
                    trained model changes nothing until it is trained
temperature         what emissions and transitions are divided by before probabilities are computed
label_temperatures  by label (1 behind the end), what the log odds of an entity's probability are divided by after that
"""

from collections.abc import Callable, Sequence
from typing import Any, Optional, cast

import numpy as np
from thinc.api import Linear, Model, zero_init
from thinc.types import Floats2d

from ...tags import SCHEMES, Scheme
from ...types import Backprop
from .transitions import TransitionParams, Transitions, zero_transitions


def dense(nO: Optional[int] = None, nI: Optional[int] = None) -> Model[Floats2d, Floats2d]:
    """The scores (N, nO) of the tags. It starts at zero, so that an untrained model prefers no tag to another."""
    return Linear(nO, nI, init_W=zero_init)


def grown_dense(layer: Model[Floats2d, Floats2d], nO: int) -> Model[Floats2d, Floats2d]:
    """A new layer with the rows of `layer` and zeros for the tags behind them.

    It is a new node, since an optimizer remembers the shape of a node's parameters by its id.
    """
    larger = dense(nO, layer.get_dim("nI"))
    larger.initialize()
    for name in ("W", "b"):
        _copy_grown(layer, larger, name)
    return larger


def _copy_grown(layer: Model[Any, Any], larger: Model[Any, Any], name: str) -> None:
    """Copy a parameter, and its gradient in an update that is not finished yet, into a larger one."""
    grown = larger.get_param(name)
    part = tuple(slice(size) for size in layer.get_param(name).shape)
    grown[part] = layer.get_param(name)
    larger.set_param(name, grown)
    if layer.has_grad(name):
        gradient = larger.ops.xp.zeros_like(grown)
        gradient[part] = layer.get_grad(name)
        larger.set_grad(name, gradient)


def _attrs(scheme: str) -> dict[str, Any]:
    return {"scheme": scheme, "unseen": [], "temperature": 1.0, "label_temperatures": []}


def log_softmax(scheme: str = "bio") -> Model[Floats2d, Floats2d]:
    """log p(tag) for each token, from the scores of the tags."""
    return Model("log_softmax", _log_softmax_forward, attrs=_attrs(scheme))


def _log_softmax_forward(model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool) -> tuple[Floats2d, Backprop]:
    xp, unseen = model.ops.xp, model.attrs["unseen"]
    Y = X - X.max(axis=1, keepdims=True) if X.size else X.copy()
    if unseen:
        Y[:, unseen] = -xp.inf
        # The largest score may have been an unseen tag's.
        Y -= Y.max(axis=1, keepdims=True) if X.size else 0.0
    Y -= xp.log(xp.exp(Y).sum(axis=1, keepdims=True))

    def backprop(dY: Floats2d) -> Floats2d:
        return cast(Floats2d, dY - xp.exp(Y) * dY.sum(axis=1, keepdims=True))

    return cast(Floats2d, Y), backprop


def crf(scheme: str = "bio") -> Model[Floats2d, Floats2d]:
    """The emissions as they come, and the transitions of the chain as parameters, all zero at first."""
    return Model(
        "crf",
        _crf_forward,
        init=_crf_init,
        params=dict.fromkeys(TransitionParams._fields),
        dims={"nO": None},
        attrs=_attrs(scheme),
    )


def _crf_init(model: Model[Floats2d, Floats2d], X: Optional[Floats2d] = None, Y: Any = None) -> None:
    if model.has_dim("nO") is None and X is not None:
        model.set_dim("nO", X.shape[1])
    scheme = head_scheme(model)
    start = zero_transitions(scheme, scheme.n_labels(model.get_dim("nO")), "float32")
    for name, values in start._asdict().items():
        model.set_param(name, model.ops.asarray(values))
        if model.has_grad(name):
            # Of an earlier training, with other labels.
            model.set_grad(name, model.ops.xp.zeros_like(model.get_param(name)))


def _crf_forward(model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool) -> tuple[Floats2d, Backprop]:
    unseen = model.attrs["unseen"]
    if not unseen:
        return X, _same
    Y = X.copy()
    Y[:, unseen] = -model.ops.xp.inf

    def backprop(dY: Floats2d) -> Floats2d:
        dX = dY.copy()
        dX[:, unseen] = 0.0
        return dX

    return Y, backprop


def _same(dY: Floats2d) -> Floats2d:
    return dY


HEADS: dict[str, Callable[[str], Model[Floats2d, Floats2d]]] = {"crf": crf, "softmax": log_softmax}


def head_scheme(head: Model[Any, Any]) -> Scheme:
    """The tag scheme of a head."""
    return SCHEMES[head.attrs["scheme"]]


def head_transitions(head: Model[Any, Any], n_tags: int) -> Transitions:
    """The transitions of a head over n_tags tags, on the CPU."""
    scheme = head_scheme(head)
    if head.name != "crf":
        return Transitions(scheme, zero_transitions(scheme, scheme.n_labels(n_tags)))
    arrays = (np.asarray(head.ops.to_numpy(head.get_param(name))) for name in TransitionParams._fields)
    return Transitions(scheme, TransitionParams(*arrays))


def label_numbers(labels: Sequence[str], head: Model[Any, Any]) -> dict[str, int]:
    """The number of each label that has been trained; annotation of the others says nothing yet."""
    unseen = set(head_scheme(head).label_of(np.array(head.attrs["unseen"], dtype=np.int64)).tolist())
    return {label: number for number, label in enumerate(labels) if number not in unseen}


def set_head_size(head: Model[Any, Any], n_tags: int) -> None:
    """Tell a head that is not initialized yet for how many tags it is."""
    if head.name == "crf":
        head.set_dim("nO", n_tags, force=True)


def grown_head(head: Model[Any, Any], n_tags: int) -> Model[Any, Any]:
    """The head for n_tags tags. A new node for a CRF, for the reason given at `grown_dense`."""
    if head.name != "crf":
        return head
    larger = crf(head.attrs["scheme"])
    larger.attrs.update(head.attrs)
    larger.set_dim("nO", n_tags)
    larger.initialize()
    for name in TransitionParams._fields:
        _copy_grown(head, larger, name)
    return larger


def fresh_output(model: Model[Any, Any], n_tags: int) -> tuple[Model[Any, Any], Model[Any, Any]]:
    """Output layer and head like those of a tagger, for n_tags tags, without parameters."""
    old, old_head = model.get_ref("output_layer"), model.get_ref("head")
    head = HEADS["crf" if old_head.name == "crf" else "softmax"](old_head.attrs["scheme"])
    set_head_size(head, n_tags)
    return dense(n_tags, old.get_dim("nI")), head


def swap_output(model: Model[Any, Any], output: Model[Any, Any], head: Model[Any, Any]) -> None:
    """Put another output layer and head into a tagger."""
    inner = model.layers[-1].layers[0]
    inner.layers[:] = [output, head]
    # The containers carry the width of what they contain.
    for node in (model, model.layers[-1], inner):
        if node.has_dim("nO"):
            node.set_dim("nO", output.get_dim("nO"), force=True)
    model.set_ref("output_layer", output)
    model.set_ref("head", head)


def tag_layers(model: Model[Any, Any]) -> list[Model[Any, Any]]:
    """The layers of a tagger that are as wide as there are tags: output layer, head, and what contains them."""
    inner = model.layers[-1].layers[0]
    return [model, model.layers[-1], inner, model.get_ref("output_layer"), model.get_ref("head")]
