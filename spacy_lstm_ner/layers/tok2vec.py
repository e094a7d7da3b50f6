"""From documents to vectors of tokens in context, for embeddings that depend on the word alone.

Notation as in `embed` and `occurrences`; O is the width of the output.

A document is read in stretches, each of them a sequence of its own: of so many tokens as the model lets occurrences of
a word see each other or, where it has windows only, of STRETCH. So a document of any length is many sequences, and a
prediction works through them in batches of about BATCH tokens, in memory that does not grow with what it is given.
"""

from collections.abc import Iterator
from typing import Any, List, Optional, Union, cast

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d, Ragged

from ..arrays import split_rows, sum_by_row, take_rows
from ..types import Array, Backprop, Ints
from .document_max import Beside, beside_maximum, group_occurrences, maximum_backward
from .embed.cache import LexemeCache
from .embed.lexemes import Lexemes, Words, distinct, read_words
from .rnn.stack import encode as run_encoder
from .rnn.stack import encode_distinct, project_distinct

STRETCH = 5000
BATCH = 10_000
"""Large enough for fast products; small enough for the caches, and for an allocator to keep what it is given back."""


def lexeme_tok2vec(
    embed: Model[List[Doc], List[Floats2d]],
    encode: Model[List[Floats2d], List[Floats2d]],
    occurrences: int,
    cache: int,
) -> Model[List[Doc], List[Floats2d]]:
    """embed (`per_lexeme`) → encode (`LSTM`, `GRU` or `RNN`) → what other occurrences say.

    occurrences: tokens of a stretch within which occurrences of a word see each other, see `layers.occurrences`; the
        output is then twice as wide as that of `encode`. 0: none of this.
    cache: words for which predictions keep the first layer's input projection, from one to the next, and the embedding
        where a residual connection adds it. 0: they are computed once for each distinct word of a batch, and not kept.
    """
    return Model(
        "lexeme_tok2vec",
        _forward,
        init=_init,
        layers=[embed, encode],
        dims={"nO": None},
        attrs={"occurrences": occurrences, "cache": LexemeCache(cache), "predict_in_batches": predict_in_batches},
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
    if not is_train:
        parts = [part.rows() if isinstance(part, Beside) else part for part in predict_in_batches(model, docs)]
        flat = model.ops.xp.concatenate(parts) if parts else model.ops.alloc2f(0, model.get_dim("nO"))
        return split_rows(flat, np.array([len(doc) for doc in docs])), _no_docs
    model.attrs["cache"].trained = True
    words = read_words(docs)
    lexemes = distinct(words._replace(lengths=_stretches(model, words.lengths)))
    embed, encoder = (layer.layers[0] for layer in model.layers)
    vectors, backprop_vectors = embed(lexemes, True)
    Y, backprop_encoder = run_encoder(encoder, vectors[lexemes.rows], lexemes.lengths, True)
    groups, beside = None, None
    if model.attrs["occurrences"]:
        groups = group_occurrences(lexemes)
        beside = beside_maximum(Y, groups)

    def backprop(dYs: List[Floats2d]) -> List[Doc]:
        if len(lexemes.rows):
            dY = model.ops.flatten(dYs)
            if beside is not None and groups is not None:
                dY = maximum_backward(beside, dY, groups)
            dX = backprop_encoder(dY)
            backprop_vectors(sum_by_row(model.ops, dX, lexemes.rows, len(lexemes.orths)))
        return []

    return split_rows(Y if beside is None else beside.rows(), words.lengths), backprop


def _no_docs(dY: List[Floats2d]) -> List[Doc]:
    return []


def _stretches(model: Model[Any, Any], lengths: Ints) -> Ints:
    """Tokens of each stretch of all docs."""
    reach = model.attrs["occurrences"] or (STRETCH if model.layers[1].layers[0].attrs["window"] else 0)
    if not reach or not len(lengths) or lengths.max() <= reach:
        return lengths
    counts = np.maximum(-(-lengths // reach), 1)
    own = np.repeat(lengths, counts)
    nth = np.arange(len(own)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.minimum(own - nth * reach, reach)


def predict_in_batches(model: Model[List[Doc], List[Floats2d]], docs: List[Doc]) -> Iterator[Union[Floats2d, Beside]]:
    """The output of a `lexeme_tok2vec`, some tokens (n, O) at a time, in their order."""
    words, cache = read_words(docs), model.attrs["cache"]
    embed, encoder = (layer.layers[0] for layer in model.layers)
    state = 0
    if cache.capacity:
        vectors = None if words.vocab is None else words.vocab.vectors
        state = cache.validate([*embed.walk(), encoder.layers[0]], vectors)

    def compute(lexemes: Lexemes) -> tuple[Array, ...]:
        return project_distinct(cast(Model[Ragged, Ragged], encoder), embed.predict(lexemes))

    for batch in _batches(words._replace(lengths=_stretches(model, words.lengths))):
        lexemes = distinct(batch)
        with cache.look_up(lexemes, compute, state) as (projected, numbers):
            Y = encode_distinct(encoder, projected, take_rows(np, numbers, lexemes.rows), lexemes.lengths)
        yield beside_maximum(Y, group_occurrences(lexemes)) if model.attrs["occurrences"] else Y


def _batches(words: Words) -> Iterator[Words]:
    """The same words in batches of whole stretches."""
    ends = np.cumsum(words.lengths)
    first = 0
    while first < len(ends):
        start = int(ends[first] - words.lengths[first])
        last = max(first + 1, int(np.searchsorted(ends, start + BATCH, side="right")))
        if ends[last - 1] > start:
            yield Words(words.vocab, words.tokens[start : ends[last - 1]], words.lengths[first:last])
        first = last
