"""Vocabularies of words: each word that is frequent in the training data has a number, and a row of a table.

Notation as in `lexemes`. V is the number of words in the vocabulary. The first two rows of the table E (V + 2, O) are
for padding and for unknown words.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Tuple, cast
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.strings import StringStore, hash_string  # type: ignore[attr-defined]
from spacy.tokens import Doc
from thinc.api import Model
from thinc.initializers import uniform_init
from thinc.types import Floats2d

from ...arrays import split_rows, sum_by_row
from ...types import Array, Backprop, Ints
from ..params import declared_shapes, init_param
from .lexemes import Lexemes

PAD, UNKNOWN, FIRST_WORD = 0, 1, 2
"""Rows of the table: padding, a word that is not in the vocabulary, and the first word of the vocabulary."""

TABLES = ("E", "D")
"""The names of parameters with such rows."""


def word_table(nO: int, min_count: int, max_size: int) -> Model[List[Doc], List[Floats2d]]:
    """Build the embedding of textbooks: each word of the vocabulary has its own row, and all other words share one.

    `build_vocabulary` sets the vocabulary. The component calls it with the word counts of the training data. The row of
    the padding is zero and is never trained, since sequences are not padded here.

    Args:
        nO (int): The width of the vectors.
        min_count (int): How often a word must occur in the training data.
        max_size (int): The largest number of words in the vocabulary. The most frequent words are kept.

    Returns:
        Model[List[Doc], List[Floats2d]]: The vectors of the tokens, one array (tokens, nO) for each doc.
    """
    return Model(
        "word_table",
        _word_table_forward,
        init=_table_init,
        params={"E": None},
        dims={"nO": nO},
        attrs={**vocabulary_attrs(min_count, max_size), "param_shapes": _table_shapes},
    )


def lexeme_table(nO: int, min_count: int, max_size: int, singleton_dropout: float) -> Model[Lexemes, Floats2d]:
    """Build the same table for the distinct words of a batch.

    Args:
        nO (int): The width of the vectors.
        min_count (int): How often a word must occur in the training data.
        max_size (int): The largest number of words in the vocabulary.
        singleton_dropout (float): The probability that an update treats a word as unknown if the training data has it
            only once. This trains the vector of unknown words (Lample et al. 2016).

    Returns:
        Model[Lexemes, Floats2d]: The vectors (n, nO) of the distinct words.

    Raises:
        ValueError: If `singleton_dropout` is not at least 0 and less than 1.
    """
    if not 0.0 <= singleton_dropout < 1.0:
        raise ValueError(
            f"LexemeEmbed: singleton_dropout is {singleton_dropout}, but must be at least 0 and less than 1"
        )
    return Model(
        "lexeme_table",
        _lexeme_table_forward,
        init=_table_init,
        params={"E": None},
        dims={"nO": nO},
        attrs={
            **vocabulary_attrs(min_count, max_size),
            "singletons": np.zeros(0, dtype="uint64"),
            "singleton_dropout": singleton_dropout,
            "param_shapes": _table_shapes,
        },
    )


def vocabulary_attrs(min_count: int, max_size: int) -> Dict[str, Any]:
    """Create the attributes of a layer with a vocabulary. It is empty until `build_vocabulary` sets it."""
    return {"min_count": min_count, "max_size": max_size, "vocabulary": np.zeros(0, dtype="uint64")}


def build_vocabulary(model: Model[Any, Any], counts: Dict[int, int], strings: Optional[StringStore] = None) -> None:
    """Set the vocabulary of a layer: the most frequent words of the training data.

    The layer's attributes `min_count` and `max_size` decide which words are kept. Words with the same count are sorted
    by their orths, so that the same counts always give the same vocabulary.

    Args:
        model (Model): A layer with `vocabulary_attrs`.
        counts (Dict[int, int]): The number of tokens in the training data, by orth.
        strings (Optional[StringStore]): The texts of the orths. A layer that reads words in composed form needs them,
            see `lexemes.composed`.
    """
    if strings is not None and model.attrs.get("composed"):
        merged: Counter[int] = Counter()
        for orth, count in counts.items():
            merged[hash_string(normalize("NFC", strings[orth]))] += count
        counts = merged
    frequent = [(-count, orth) for orth, count in counts.items() if count >= model.attrs["min_count"]]
    kept = [orth for _, orth in sorted(frequent)[: model.attrs["max_size"]]]
    # Sorted, so that `word_numbers` can find a word by bisection.
    model.attrs["vocabulary"] = np.array(sorted(kept), dtype="uint64")
    if "singletons" in model.attrs:
        model.attrs["singletons"] = np.array(sorted(orth for orth in kept if counts[orth] == 1), dtype="uint64")


def merge_vocabulary(model: Model[Any, Any], other: Model[Any, Any]) -> None:
    """Add the vocabulary of another layer, with its rows. Words that both have get the rows of the other layer.

    Args:
        model (Model): A layer with `vocabulary_attrs`, initialized.
        other (Model): A layer of the same kind, initialized.
    """
    words = [layer.attrs["vocabulary"] for layer in (model, other)]
    model.attrs["vocabulary"] = np.union1d(*words)
    if "singletons" in model.attrs:
        model.attrs["singletons"] = np.setdiff1d(model.attrs["singletons"], words[1])
    for name in set(TABLES).intersection(model.param_names):
        old: Array = model.get_param(name)
        table: Array = model.ops.alloc((n_rows(model.attrs), old.shape[1]))
        for layer, known in zip((model, other), words, strict=True):
            rows = np.concatenate([[PAD, UNKNOWN], word_numbers(model, known)])
            table[rows] = model.ops.asarray(layer.ops.to_numpy(layer.get_param(name)))
        init_param(model, name, table)


def n_rows(attrs: Mapping[str, Any]) -> int:
    """Compute the number of rows of a table, V + 2, from the attributes of its layer."""
    return FIRST_WORD + len(attrs["vocabulary"])


def word_numbers(model: Model[Any, Any], orths: NDArray[np.uint64]) -> Ints:
    """Find the row of each word in the table of a layer with a vocabulary.

    Args:
        model (Model): A layer with `vocabulary_attrs`.
        orths (NDArray[np.uint64]): (n,) The words.

    Returns:
        Ints: (n,) The rows; UNKNOWN for a word that is not in the vocabulary.
    """
    vocabulary = model.attrs["vocabulary"]
    if not len(vocabulary):
        return np.full(len(orths), UNKNOWN, dtype=np.int64)
    at = np.minimum(np.searchsorted(vocabulary, orths), len(vocabulary) - 1)
    return cast(Ints, np.where(vocabulary[at] == orths, at + FIRST_WORD, UNKNOWN).astype(np.int64))


def _table_shapes(sizes: Mapping[str, Any]) -> Dict[str, Tuple[Optional[int], ...]]:
    return {"E": (n_rows(sizes), sizes["nO"])}


def _table_init(model: Model[Any, Any], X: Any = None, Y: Any = None) -> None:
    E: Array = uniform_init(model.ops, declared_shapes(model)["E"], lo=-0.1, hi=0.1)
    E[PAD] = 0.0
    init_param(model, "E", E)


def _look_up(model: Model[Any, Any], numbers: Ints) -> tuple[Array, Backprop]:
    """The rows of the table with these numbers."""
    E: Array = model.get_param("E")

    def backprop(dY: Floats2d) -> None:
        model.inc_grad("E", sum_by_row(model.ops, dY, numbers, len(E)))

    return E[numbers], backprop


def _word_table_forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    orths = [doc.to_array(ORTH) for doc in docs]
    numbers = word_numbers(model, np.concatenate([np.zeros(0, dtype="uint64"), *orths]))
    Y, backprop_rows = _look_up(model, numbers)

    def backprop(dYs: List[Floats2d]) -> List[Doc]:
        if len(numbers):
            backprop_rows(model.ops.flatten(dYs))
        return []

    return split_rows(Y, np.array([len(doc) for doc in docs], dtype=np.int64)), backprop


def _lexeme_table_forward(
    model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool
) -> tuple[Floats2d, Backprop]:
    numbers = word_numbers(model, lexemes.orths)
    rate = model.attrs["singleton_dropout"] if is_train else 0.0
    if rate:
        is_singleton = np.isin(lexemes.orths, model.attrs["singletons"])
        numbers[is_singleton & (np.random.uniform(size=len(numbers)) < rate)] = UNKNOWN
    Y, backprop_rows = _look_up(model, numbers)

    def backprop(dY: Floats2d) -> List[Any]:
        backprop_rows(dY)
        return []

    return Y, backprop
