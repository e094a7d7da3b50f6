"""From docs to vectors of tokens in context, for an embedding that depends on the word alone.

A long doc is read in sections, and each section is a sequence of its own. The setting `occurrences` is the number of
tokens in a section: occurrences of a word see each other within a section only. Without this setting, a section has
SECTION tokens if the encoder cuts sequences into windows; else a section is a whole doc.

A prediction goes through the sections in batches of about BATCH tokens. So the memory for the recurrence depends on the
size of a section, not on the length of a doc.

Notation as in `embed.lexemes` and `document_max`; O is the width of the output here.
"""

from collections.abc import Iterator
from typing import Any, List, Optional, Union

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d, Ragged

from ..arrays import split_rows, sum_by_row, take_rows
from ..types import Array, Backprop, Ints
from .document_max import StatesAndMaxima, backprop_maxima, group_occurrences, with_maxima
from .embed.cache import LexemeCache
from .embed.lexemes import Lexemes, TokenHashes, lexemes_of, no_gradient, read_tokens
from .rnn.stack import encode, encode_distinct, project_distinct

SECTION = 5000
BATCH = 10_000
"""Large enough for fast products. Small enough for the caches of a CPU, and for memory that the allocator reuses."""


def lexeme_tok2vec(
    embed: Model[List[Doc], List[Floats2d]],
    encoder: Model[List[Floats2d], List[Floats2d]],
    occurrences: int,
    cache: int,
) -> Model[List[Doc], List[Floats2d]]:
    """Embed each distinct word once, run recurrent layers over the tokens, and add the maxima of other occurrences.

    The model has references to its two parts, "embed" and "encode", and `predict_in_batches` among its attributes.

    Args:
        embed (Model[List[Doc], List[Floats2d]]): The embedding, from `per_lexeme`.
        encoder (Model[List[Floats2d], List[Floats2d]]): The recurrent layers, from `LSTM`, `GRU` or `RNN`.
        occurrences (int): The number of tokens in a section, within which occurrences of a word see each other, see
            `document_max`. The output is then twice as wide as the output of the encoder. 0: off.
        cache (int): The number of words for which predictions keep the input projection of the first recurrent layer,
            see `project_distinct`. 0: it is computed once for each distinct word of a batch, and not kept.

    Returns:
        Model[List[Doc], List[Floats2d]]: The vectors of the tokens, one array (tokens, O) for each doc.
    """
    return Model(
        "lexeme_tok2vec",
        _forward,
        init=_init,
        layers=[embed, encoder],
        dims={"nO": None},
        attrs={"occurrences": occurrences, "cache": LexemeCache(cache), "predict_in_batches": predict_in_batches},
        refs={"embed": embed, "encode": encoder},
    )


def _parts(model: Model[Any, Any]) -> tuple[Model[Lexemes, Floats2d], Model[Ragged, Ragged]]:
    """The layer that embeds distinct words, and the recurrent layers."""
    embed, encoder = model.layers
    return embed.attrs["lexeme_layer"](embed), encoder.attrs["stack"](encoder)


def _init(model: Model[List[Doc], List[Floats2d]], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    (embed, encoder), (_, stack) = model.layers, _parts(model)
    embed.initialize(X=X)
    stack.set_dim("nI", embed.get_dim("nO"))
    encoder.initialize()
    model.set_dim("nO", stack.get_dim("nO") * (2 if model.attrs["occurrences"] else 1))


def _forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    if not is_train:
        batches = predict_in_batches(model, docs)
        parts = [part.to_array() if isinstance(part, StatesAndMaxima) else part for part in batches]
        flat = model.ops.xp.concatenate(parts) if parts else model.ops.alloc2f(0, model.get_dim("nO"))
        return split_rows(flat, np.array([len(doc) for doc in docs])), no_gradient
    model.attrs["cache"].trained = True
    tokens = read_tokens(docs)
    lexemes = lexemes_of(tokens._replace(lengths=_section_lengths(model, tokens.lengths)))
    embed, stack = _parts(model)
    vectors: Array
    vectors, backprop_embed = embed(lexemes, True)
    Y, backprop_stack = encode(stack, vectors[lexemes.rows], lexemes.lengths, True)
    groups, output = None, None
    if model.attrs["occurrences"]:
        groups = group_occurrences(lexemes)
        output = with_maxima(Y, groups)

    def backprop(dYs: List[Floats2d]) -> List[Doc]:
        if len(lexemes.rows):
            dY = model.ops.flatten(dYs)
            if output is not None and groups is not None:
                dY = backprop_maxima(output, dY, groups)
            dX = backprop_stack(dY)
            backprop_embed(sum_by_row(model.ops, dX, lexemes.rows, len(lexemes.orths)))
        return []

    return split_rows(Y if output is None else output.to_array(), tokens.lengths), backprop


def _section_lengths(model: Model[Any, Any], lengths: Ints) -> Ints:
    """The number of tokens in each section of docs of these lengths."""
    _, stack = _parts(model)
    size = model.attrs["occurrences"] or (SECTION if stack.attrs["window"] else 0)
    if not size or not len(lengths) or lengths.max() <= size:
        return lengths
    counts = np.maximum(-(-lengths // size), 1)
    of_doc = np.repeat(lengths, counts)
    nth = np.arange(len(of_doc)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.minimum(of_doc - nth * size, size)


def predict_in_batches(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc]
) -> Iterator[Union[Floats2d, StatesAndMaxima]]:
    """Predict the vectors of the tokens batch by batch, so that not all of them need to be in memory at once.

    Args:
        model (Model[List[Doc], List[Floats2d]]): The model, from `lexeme_tok2vec`.
        docs (List[Doc]): The docs.

    Yields:
        Union[Floats2d, StatesAndMaxima]: The vectors (n, O) of the next n tokens. A batch may hold a part of a doc, or
            several docs.
    """
    tokens, cache = read_tokens(docs), model.attrs["cache"]
    embed, stack = _parts(model)
    state = 0
    if cache.capacity:
        vectors = None if tokens.vocab is None else tokens.vocab.vectors
        # The cached arrays depend on the embedding and the first recurrent layer.
        state = cache.validate(_nodes_of(embed, stack.layers[0]), vectors)

    def compute(lexemes: Lexemes) -> tuple[Array, ...]:
        return project_distinct(stack, embed.predict(lexemes))

    for batch in _batches(tokens._replace(lengths=_section_lengths(model, tokens.lengths))):
        lexemes = lexemes_of(batch)
        with cache.look_up(lexemes, compute, state) as (projected, numbers):
            Y = encode_distinct(stack, projected, take_rows(np, numbers, lexemes.rows), lexemes.lengths)
        yield with_maxima(Y, group_occurrences(lexemes)) if model.attrs["occurrences"] else Y


def _nodes_of(*models: Model[Any, Any]) -> list[Model[Any, Any]]:
    """All nodes of models. `Model.walk` takes several times as long, which counts for short texts."""
    nodes = list(models)
    for node in nodes:
        nodes.extend(node.layers)
    return nodes


def _batches(tokens: TokenHashes) -> Iterator[TokenHashes]:
    """The same tokens in batches of whole sections. The `lengths` are the lengths of the sections."""
    ends = np.cumsum(tokens.lengths)
    first = 0
    while first < len(ends):
        start = int(ends[first] - tokens.lengths[first])
        last = max(first + 1, int(np.searchsorted(ends, start + BATCH, side="right")))
        if ends[last - 1] > start:
            yield TokenHashes(tokens.vocab, tokens.hashes[start : ends[last - 1]], tokens.lengths[first:last])
        first = last
