"""The whole tagger: from docs to vectors of tokens in context, and then to the scores of the tags."""

from typing import Any, List, Optional, Union

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, chain, with_array
from thinc.types import Floats2d

from ..arrays import split_rows
from ..threads import on_one_thread
from ..types import Backprop
from .document_max import StatesAndMaxima


def tagger(
    tok2vec: Model[List[Doc], List[Floats2d]], output: Model[Floats2d, Floats2d], head: Model[Floats2d, Floats2d]
) -> Model[List[Doc], List[Floats2d]]:
    """Score the tags of each token: tok2vec → dense layer → head.

    The model has references to its three parts: "tok2vec", "output_layer" and "head".

    A tok2vec may have a function `predict_in_batches(tok2vec, docs)` among its attributes, as `lexeme_tok2vec` does. It
    yields the vectors of one batch of tokens after the other. Predictions then score each batch before they compute the
    next one, so that the vectors of a long doc are never in memory all at once.

    Args:
        tok2vec (Model[List[Doc], List[Floats2d]]): Vectors of the tokens, one array (tokens, nI) for each doc.
        output (Model[Floats2d, Floats2d]): The dense layer, (tokens, nI) → (tokens, T), for T tags.
        head (Model[Floats2d, Floats2d]): One of `crf.head.HEADS`, (tokens, T) → (tokens, T).

    Returns:
        Model[List[Doc], List[Floats2d]]: The emissions, one array (tokens, T) for each doc.
    """
    scores: Model[List[Floats2d], List[Floats2d]] = with_array(chain(output, head))
    return Model(
        "tagger",
        _forward,
        init=_init,
        layers=[tok2vec, scores],
        dims={"nO": None},
        refs={"tok2vec": tok2vec, "output_layer": output, "head": head},
    )


def _init(model: Model[Any, Any], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    tok2vec, scores = model.layers
    tok2vec.initialize(X=X)
    scores.initialize(X=None if X is None else tok2vec.predict(X))
    model.set_dim("nO", model.get_ref("output_layer").get_dim("nO"), force=True)


def _forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    tok2vec, scores = model.layers
    if not docs:
        # Without docs, the output of other tok2vecs has no width.
        return [], _no_docs
    predict_in_batches = tok2vec.attrs.get("predict_in_batches")
    if is_train or predict_in_batches is None:
        X, backprop_tok2vec = tok2vec(docs, is_train)
        Y, backprop_scores = scores(X, is_train)
        return Y, lambda dY: backprop_tok2vec(backprop_scores(dY))
    # Not by reference: copies of a model have none.
    output, head = scores.layers[0].layers
    W, b = model.ops.xp.ascontiguousarray(output.get_param("W").T), output.get_param("b")
    batches = [product(X, W) for X in predict_in_batches(tok2vec, docs)]
    flat = head.predict(model.ops.xp.concatenate(batches) + b if batches else model.ops.alloc2f(0, len(b)))
    return split_rows(flat, np.array([len(doc) for doc in docs], dtype=np.int64)), _no_docs


@on_one_thread
def product(X: Union[Floats2d, StatesAndMaxima], W: Floats2d) -> Floats2d:
    """Multiply the vectors of a batch of tokens by a matrix.

    Args:
        X (Union[Floats2d, StatesAndMaxima]): The vectors (n, nI).
        W (Floats2d): The matrix (nI, T).

    Returns:
        Floats2d: The product (n, T).
    """
    return X.times(W) if isinstance(X, StatesAndMaxima) else X @ W


def _no_docs(dY: Any) -> List[Doc]:
    return []
