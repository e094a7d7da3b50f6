"""From documents to vectors of tokens in context, for embeddings that depend on the word alone."""

from collections.abc import Callable
from typing import Any, List, Optional, cast

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d, Ragged

from .embed import distinct_lexemes
from .occurrences import beside_maximum, group_occurrences
from .packed import split_rows
from .recurrent import encode as run_encoder

Backprop = Callable[[List[Floats2d]], List[Doc]]


def lexeme_tok2vec(
    embed: Model[List[Doc], List[Floats2d]], encode: Model[List[Floats2d], List[Floats2d]], occurrences: int
) -> Model[List[Doc], List[Floats2d]]:
    """embed (`per_lexeme`) → encode (`LSTM`, `GRU` or `RNN`) → what other occurrences say.

    occurrences: tokens of a stretch within which occurrences of a word see each other, see `layers.occurrences`; the
        output is then twice as wide as that of `encode`. 0: none of this.

    At prediction the embedding and the first layer's input projection are computed once for each distinct word of a
    batch instead of for each token.
    """
    return Model(
        "lexeme_tok2vec",
        _forward,
        init=_init,
        layers=[embed, encode],
        dims={"nO": None},
        attrs={"occurrences": occurrences},
        refs={"embed": embed, "encode": encode},
    )


def _init(model: Model[List[Doc], List[Floats2d]], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    embed, encoder = model.layers
    embed.initialize(X=X)
    encoder.layers[0].set_dim("nI", embed.get_dim("nO"))
    encoder.initialize()
    model.set_dim("nO", encoder.layers[0].get_dim("nO") * (2 if model.attrs["occurrences"] else 1))


def _forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    embed, encoder = model.layers
    reach: int = model.attrs["occurrences"]
    lexemes = distinct_lexemes(docs)
    if not is_train:
        recurrent: Model[Ragged, Ragged] = encoder.layers[0]
        lengths = model.ops.asarray1i(lexemes.lengths.astype("int32"))
        flat, _ = run_encoder(recurrent, embed.layers[0].predict(lexemes), lengths, False, rows=lexemes.rows)
        if reach:
            flat, _ = beside_maximum(flat, group_occurrences(lexemes, reach))
        return split_rows(flat, lexemes.lengths), _no_docs
    vectors, backprop_embed = embed.begin_update(docs)
    Y, backprop_encode = encoder.begin_update(vectors)
    if not reach or not len(lexemes.rows):
        return Y, lambda dY: cast(List[Doc], backprop_embed(backprop_encode(dY)))
    joined, backprop_maximum = beside_maximum(model.ops.flatten(Y), group_occurrences(lexemes, reach))

    def backprop(dY: List[Floats2d]) -> List[Doc]:
        dH = backprop_maximum(model.ops.flatten(dY))
        return cast(List[Doc], backprop_embed(backprop_encode(split_rows(dH, lexemes.lengths))))

    return split_rows(joined, lexemes.lengths), backprop


def _no_docs(dY: List[Floats2d]) -> List[Doc]:
    return []
