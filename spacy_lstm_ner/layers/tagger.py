"""The whole tagger: vectors of tokens in context, and the scores of their tags."""

from typing import Any, List, Optional

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, with_array
from thinc.types import Floats2d

from .packed import split_rows
from .tok2vec import predict_in_batches


def tagger(
    tok2vec: Model[List[Doc], List[Floats2d]], scores: Model[Floats2d, Floats2d]
) -> Model[List[Doc], List[Floats2d]]:
    """tok2vec → scores, token by token.

    With a `lexeme_tok2vec`, a prediction computes the scores of some tokens before it goes on to the next, so that the
    vectors of a long document need not be kept.
    """
    return Model("tagger", _forward, init=_init, layers=[tok2vec, with_array(scores)], dims={"nO": None})


def _init(model: Model[Any, Any], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    tok2vec, scores = model.layers
    tok2vec.initialize(X=X)
    scores.initialize(X=None if X is None else tok2vec.predict(X))
    model.set_dim("nO", scores.layers[0].get_dim("nO"))


def _forward(model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool) -> Any:
    tok2vec, scores = model.layers
    if is_train or tok2vec.name != "lexeme_tok2vec":
        X, backprop_tok2vec = tok2vec(docs, is_train)
        Y, backprop_scores = scores(X, is_train)
        return Y, lambda dY: backprop_tok2vec(backprop_scores(dY))
    parts = [scores.layers[0].predict(X) for X in predict_in_batches(tok2vec, docs)]
    flat = model.ops.xp.concatenate(parts) if parts else scores.layers[0].predict(_no_tokens(model, tok2vec))
    return split_rows(flat, np.array([len(doc) for doc in docs], dtype=np.int64)), _no_docs


def _no_tokens(model: Model[Any, Any], tok2vec: Model[Any, Any]) -> Floats2d:
    return model.ops.alloc2f(0, tok2vec.get_dim("nO"))


def _no_docs(dY: Any) -> List[Doc]:
    return []
