"""The whole tagger: vectors of tokens in context, and the scores of their tags."""

from typing import Any, List, Optional, Union, cast

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, chain, with_array
from thinc.types import Floats2d

from ..arrays import split_rows
from .document_max import StatesAndMaxima
from .tok2vec import predict_in_batches


def tagger(
    tok2vec: Model[List[Doc], List[Floats2d]], output: Model[Floats2d, Floats2d], head: Model[Floats2d, Floats2d]
) -> Model[List[Doc], List[Floats2d]]:
    """tok2vec → output, a dense layer → head, token by token.

    With a `lexeme_tok2vec`, a prediction computes the scores of some tokens before it goes on to the next, so that the
    vectors of a long document need not be kept.
    """
    scores = with_array(chain(output, head))
    return Model("tagger", _forward, init=_init, layers=[tok2vec, scores], dims={"nO": None})


def _init(model: Model[Any, Any], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    tok2vec, scores = model.layers
    tok2vec.initialize(X=X)
    scores.initialize(X=None if X is None else tok2vec.predict(X))
    model.set_dim("nO", scores.layers[0].get_dim("nO"), force=True)


def _forward(model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool) -> Any:
    tok2vec, scores = model.layers
    if not docs:
        # Other tok2vecs forget the width of nothing.
        return [], _no_docs
    if is_train or tok2vec.name != "lexeme_tok2vec":
        X, backprop_tok2vec = tok2vec(docs, is_train)
        Y, backprop_scores = scores(X, is_train)
        return Y, lambda dY: backprop_tok2vec(backprop_scores(dY))
    output, head = scores.layers[0].layers
    W, b = model.ops.xp.ascontiguousarray(output.get_param("W").T), output.get_param("b")
    parts = [product(X, W) for X in predict_in_batches(tok2vec, docs)]
    flat = head.predict(model.ops.xp.concatenate(parts) + b if parts else model.ops.alloc2f(0, len(b)))
    return split_rows(flat, np.array([len(doc) for doc in docs], dtype=np.int64)), _no_docs


def product(X: Union[Floats2d, StatesAndMaxima], W: Floats2d) -> Floats2d:
    """(n, I) times (I, nO)."""
    return X.times(W) if isinstance(X, StatesAndMaxima) else cast(Floats2d, X @ W)


def _no_docs(dY: Any) -> List[Doc]:
    return []
