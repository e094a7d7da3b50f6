"""From words to vectors. All of it depends on the word alone, so it is computed once for each distinct word.

Notation
--------
n_tokens  tokens of all docs of the batch, laid end to end
n         distinct words among them; a word is its orth, the 64-bit hash of its text
O         width of a layer's output
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, List, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import LOWER, ORTH
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d

from ...arrays import split_rows, sum_by_row
from ...types import Backprop, Ints

Orths = NDArray[np.uint64]


_NO_ROWS: Ints = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Lexemes:
    """The distinct words of a batch.

    orths (n,): each distinct word once; lowers (n,): its lower-cased text, as a hash too. rows (n_tokens,): the word of
    every token. lengths: tokens of each doc.
    """

    vocab: Optional[Vocab]
    orths: Orths
    lowers: Orths
    rows: Ints
    lengths: Ints

    @property
    def shape(self) -> tuple[int, int]:
        """What Thinc's combinators ask of an input: so many rows, of one feature, the word."""
        return len(self.orths), 1

    def some(self, chosen: Ints) -> "Lexemes":
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
    lengths: Ints


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
    return Model(
        "per_lexeme",
        _per_lexeme_forward,
        init=_per_lexeme_init,
        layers=[layer],
        dims={"nO": None},
        attrs={"lexeme_layer": lexeme_layer_of},
    )


def lexeme_layer_of(model: Model[Any, Any]) -> Model[Lexemes, Floats2d]:
    """The layer inside a `per_lexeme` model."""
    return model.layers[0]


def _per_lexeme_init(model: Model[List[Doc], List[Floats2d]], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    layer = lexeme_layer_of(model)
    layer.initialize(X=None if X is None else distinct_lexemes(X))
    model.set_dim("nO", layer.get_dim("nO"))


def _per_lexeme_forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    lexemes = distinct_lexemes(docs)
    vectors, backprop_vectors = lexeme_layer_of(model)(lexemes, is_train)

    def backprop(dYs: List[Floats2d]) -> List[Doc]:
        if len(lexemes.rows):
            backprop_vectors(sum_by_row(model.ops, model.ops.flatten(dYs), lexemes.rows, len(lexemes.orths)))
        return []

    return split_rows(vectors[lexemes.rows], lexemes.lengths), backprop
