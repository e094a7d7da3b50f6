"""From words to vectors. All of it depends on the word alone, so it is computed once for each distinct word.

Notation
--------
n_tokens  tokens of all docs of the batch, laid end to end
n         distinct words among them; a word is its orth, the 64-bit hash of its text
O         width of a layer's output
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, List, NamedTuple, Optional, cast

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import LOWER, ORTH
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, Ops
from thinc.initializers import uniform_init
from thinc.types import Floats2d

from .packed import Rows, split_rows

Backprop = Callable[[Any], Any]
Orths = NDArray[np.uint64]

_NO_ROWS: Rows = np.zeros(0, dtype=np.int64)

PAD, UNKNOWN = 0, 1
"""Rows of the word table that stand for no word: padding, and a word that is not in the vocabulary."""


@dataclass(frozen=True)
class Lexemes:
    """The distinct words of a batch.

    orths (n,): each distinct word once; lowers (n,): its lower-cased text, as a hash too. rows (n_tokens,): the word of
    every token. lengths: tokens of each doc.
    """

    vocab: Optional[Vocab]
    orths: Orths
    lowers: Orths
    rows: Rows
    lengths: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """What Thinc's combinators ask of an input: so many rows, of one feature, the word."""
        return len(self.orths), 1

    def some(self, chosen: Rows) -> "Lexemes":
        """Of the distinct words those that are `chosen` by their numbers, without the tokens."""
        return Lexemes(self.vocab, self.orths[chosen], self.lowers[chosen], _NO_ROWS, _NO_ROWS)

    @cached_property
    def texts(self) -> list[str]:
        """The words as strings; the only Python-level look at the text."""
        strings: Any = self.vocab.strings if self.vocab is not None else {}
        return [strings[orth] for orth in self.orths.tolist()]


class Words(NamedTuple):
    """The words of a batch of docs.

    tokens (n_tokens, 2): the orth of each token and its lower-cased text, as hashes. lengths: tokens of each doc.
    """

    vocab: Optional[Vocab]
    tokens: Orths
    lengths: Rows


def read_words(docs: Sequence[Doc]) -> Words:
    """The words of a batch of docs (or spans of docs).

    Raises ValueError if the docs do not share one vocab.
    """
    if any(doc.vocab is not docs[0].vocab for doc in docs):
        raise ValueError(
            "LexemeEmbed: the docs of a batch come from different pipelines (their vocabs differ). Make them all with "
            "the pipeline that annotates them"
        )
    arrays = [doc.to_array([ORTH, LOWER]) for doc in docs if len(doc)]
    tokens = np.concatenate(arrays) if arrays else np.zeros((0, 2), dtype=np.uint64)
    return Words(docs[0].vocab if docs else None, tokens, np.array([len(doc) for doc in docs], dtype=np.int64))


def distinct(words: Words) -> Lexemes:
    """The distinct words among them."""
    orths, first, rows = np.unique(words.tokens[:, 0], return_index=True, return_inverse=True)
    return Lexemes(words.vocab, orths, words.tokens[first, 1], rows.reshape(-1), words.lengths)


def distinct_lexemes(docs: Sequence[Doc]) -> Lexemes:
    """The distinct words of a batch of docs; see `read_words`."""
    return distinct(read_words(docs))


def per_lexeme(layer: Model[Lexemes, Floats2d]) -> Model[List[Doc], List[Floats2d]]:
    """Apply a layer to the distinct words of the docs and give every token its word's row."""
    return Model("per_lexeme", _per_lexeme_forward, init=_per_lexeme_init, layers=[layer], dims={"nO": None})


def _per_lexeme_init(model: Model[List[Doc], List[Floats2d]], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    layer = model.layers[0]
    layer.initialize(X=None if X is None else distinct_lexemes(X))
    model.set_dim("nO", layer.get_dim("nO"))


def _per_lexeme_forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    lexemes = distinct_lexemes(docs)
    vectors, backprop_vectors = model.layers[0](lexemes, is_train)

    def backprop(dYs: List[Floats2d]) -> List[Doc]:
        if len(lexemes.rows):
            backprop_vectors(sum_by_row(model.ops, model.ops.flatten(dYs), lexemes.rows, len(lexemes.orths)))
        return []

    return split_rows(vectors[lexemes.rows], lexemes.lengths), backprop


def sum_by_row(ops: Ops, d_tokens: Floats2d, rows: Rows, n: int) -> Floats2d:
    """(n_tokens, O) -> (n, O): the gradients of a word's tokens, summed."""
    total = ops.alloc2f(n, d_tokens.shape[1], dtype=d_tokens.dtype)
    if len(rows):
        ops.scatter_add(total, ops.asarray1i(rows.astype("int32")), d_tokens)
    return total


# A numbered vocabulary


def word_table(nO: int, min_count: int, max_size: int) -> Model[List[Doc], List[Floats2d]]:
    """The textbook's embedding: every word has a number, and every number a row of a table.

    Row 0 is padding, row 1 any word that is not in the vocabulary. The docs of a batch become one matrix of numbers,
    padded to the longest; the padding's row is zero and never learns. The vocabulary is made by `build_vocabulary`,
    which the component calls with the word counts of the training data.
    """
    return Model(
        "word_table",
        _table_forward,
        init=_table_init,
        params={"E": None},
        dims={"nO": nO},
        attrs=vocabulary_attrs(min_count, max_size),
    )


def lexeme_table(nO: int, min_count: int, max_size: int, singleton_dropout: float) -> Model[Lexemes, Floats2d]:
    """The same table for the distinct words of a batch.

    singleton_dropout: share of the words that the training data has only once which an update treats as unknown, so
        that the vector of unknown words is learned too (Lample et al. 2016). Raises ValueError if out of range.
    """
    if not 0.0 <= singleton_dropout < 1.0:
        raise ValueError(
            f"LexemeEmbed: singleton_dropout is {singleton_dropout}, but must be at least 0 and less than 1"
        )
    attrs = {**vocabulary_attrs(min_count, max_size), "singletons": np.zeros(0, dtype="uint64")}
    return Model(
        "lexeme_table",
        _lexeme_table_forward,
        init=_table_init,
        params={"E": None},
        dims={"nO": nO},
        attrs={**attrs, "singleton_dropout": singleton_dropout},
    )


def vocabulary_attrs(min_count: int, max_size: int) -> dict[str, Any]:
    """What a layer with a numbered vocabulary keeps; `build_vocabulary` fills it."""
    return {"min_count": min_count, "max_size": max_size, "vocabulary": np.zeros(0, dtype="uint64")}


def build_vocabulary(model: Model[Any, Any], counts: dict[int, int]) -> None:
    """Number the words of a layer that keeps a vocabulary.

    Those are the most frequent `max_size` of the words that were seen `min_count` times or more.

    counts: the tokens of each orth. The order of equally frequent words is that of their hashes, so that the same
    counts give the same vocabulary.
    """
    frequent = [(-count, orth) for orth, count in counts.items() if count >= model.attrs["min_count"]]
    kept = [orth for _, orth in sorted(frequent)[: model.attrs["max_size"]]]
    # Kept sorted, so that a number is found by bisection.
    model.attrs["vocabulary"] = np.array(sorted(kept), dtype="uint64")
    if "singletons" in model.attrs:
        model.attrs["singletons"] = np.array(sorted(orth for orth in kept if counts[orth] == 1), dtype="uint64")


def word_numbers(model: Model[Any, Any], orths: NDArray[Any]) -> Rows:
    """The row of each word: its number, or UNKNOWN."""
    vocabulary = model.attrs["vocabulary"]
    if not len(vocabulary):
        return np.full(len(orths), UNKNOWN, dtype=np.int64)
    at = np.minimum(np.searchsorted(vocabulary, orths), len(vocabulary) - 1)
    return cast(Rows, np.where(vocabulary[at] == orths, at + 2, UNKNOWN).astype(np.int64))


def _table_init(model: Model[Any, Any], X: Any = None, Y: Any = None) -> None:
    rows = len(model.attrs["vocabulary"]) + 2
    E = uniform_init(model.ops, (rows, model.get_dim("nO")), lo=-0.1, hi=0.1)
    E[PAD] = 0.0
    model.set_param("E", E)
    if model.has_grad("E"):
        # Of an earlier training, with another vocabulary.
        model.set_grad("E", model.ops.alloc2f(*E.shape))


def _table_forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    E = model.get_param("E")
    numbers = [word_numbers(model, doc.to_array(ORTH)) for doc in docs]
    lengths = np.array([len(row) for row in numbers], dtype=np.int64)
    padded = np.full((len(docs), int(lengths.max(initial=0))), PAD, dtype=np.int64)
    for row, words in zip(padded, numbers, strict=True):
        row[: len(words)] = words
    vectors = E[padded]

    def backprop(dYs: List[Floats2d]) -> List[Doc]:
        flat, words = model.ops.flatten(dYs), padded[padded != PAD]
        if len(words):
            model.inc_grad("E", sum_by_row(model.ops, flat, words, len(E)))
        return []

    return [vectors[k, :length] for k, length in enumerate(lengths.tolist())], backprop


def _lexeme_table_forward(
    model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool
) -> tuple[Floats2d, Backprop]:
    E, numbers = model.get_param("E"), word_numbers(model, lexemes.orths)
    rate = model.attrs["singleton_dropout"] if is_train else 0.0
    if rate:
        rare = np.isin(lexemes.orths, model.attrs["singletons"])
        numbers[rare & (np.random.uniform(size=len(numbers)) < rate)] = UNKNOWN

    def backprop(dY: Floats2d) -> list[Any]:
        model.inc_grad("E", sum_by_row(model.ops, dY, numbers, len(E)))
        return []

    return E[numbers], backprop
