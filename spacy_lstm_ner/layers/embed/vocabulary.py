"""Numbered vocabularies: every word of the training data has a number, and every number a row of a table.

Notation as in `lexemes`.
"""

from typing import Any, List, cast

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.tokens import Doc
from thinc.api import Model
from thinc.initializers import uniform_init
from thinc.types import Floats2d

from ...arrays import sum_by_row
from ...types import Backprop, Ints
from .lexemes import Lexemes

PAD, UNKNOWN = 0, 1
"""Rows of the word table that stand for no word: padding, and a word that is not in the vocabulary."""


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


def word_numbers(model: Model[Any, Any], orths: NDArray[Any]) -> Ints:
    """The row of each word: its number, or UNKNOWN."""
    vocabulary = model.attrs["vocabulary"]
    if not len(vocabulary):
        return np.full(len(orths), UNKNOWN, dtype=np.int64)
    at = np.minimum(np.searchsorted(vocabulary, orths), len(vocabulary) - 1)
    return cast(Ints, np.where(vocabulary[at] == orths, at + 2, UNKNOWN).astype(np.int64))


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
