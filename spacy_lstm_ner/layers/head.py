"""The head of the tagger: a dense layer that can grow, and the log-softmax over tags."""

from collections.abc import Callable
from typing import Any, Optional, cast

from thinc.api import Linear, Model, Ops, zero_init
from thinc.types import Floats2d

Backprop = Callable[[Any], Any]


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
        grown = larger.get_param(name)
        grown[: layer.get_dim("nO")] = layer.get_param(name)
        larger.set_param(name, grown)
        if layer.has_grad(name):
            # An update that is not finished yet.
            gradient = larger.ops.xp.zeros_like(grown)
            gradient[: layer.get_dim("nO")] = layer.get_grad(name)
            larger.set_grad(name, gradient)
    return larger


def log_softmax() -> Model[Floats2d, Floats2d]:
    """log p(tag) for each token, from the scores of the tags.

    Attribute `unseen`: tags that no training example has shown yet. They have probability zero, so that a label added
    to a trained model changes nothing until it is trained.
    """
    return Model("log_softmax", _forward, attrs={"unseen": []})


def _forward(model: Model[Floats2d, Floats2d], X: Floats2d, is_train: bool) -> tuple[Floats2d, Backprop]:
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


def cross_entropy(ops: Ops, log_probs: Floats2d, tags: Any) -> tuple[float, Floats2d]:
    """The negative log-likelihood summed over the annotated tokens, and its gradient with respect to `log_probs`.

    log_probs (N, 2L+1); tags (N,): the gold tags; tokens with a negative tag add neither loss nor gradient.
    """
    gradient = ops.alloc2f(*log_probs.shape, dtype=log_probs.dtype)
    annotated = (tags >= 0).nonzero()[0]
    gold = tags[annotated]
    gradient[annotated, gold] = -1.0
    return float(-log_probs[annotated, gold].sum()), gradient
