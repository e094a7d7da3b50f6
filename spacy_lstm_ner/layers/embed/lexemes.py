"""The distinct words of a batch, and the model that embeds each of them once.

A layer that depends on the word alone takes `Lexemes` and gives a vector for each distinct word. `per_lexeme` makes a
model of docs from it: every token gets the vector of its word.

Notation
--------
n_tokens  tokens of all docs of the batch, concatenated
n         distinct words of these tokens. A word is identified by its orth, the 64-bit hash of its text
O         width of a layer's output
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, List, NamedTuple, Optional
from unicodedata import is_normalized, normalize

import numpy as np
from spacy.attrs import LOWER, ORTH
from spacy.strings import hash_string  # type: ignore[attr-defined]
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, chain
from thinc.types import Floats2d

from ...arrays import split_rows, sum_by_row
from ...types import Array, Backprop, Hashes, Ints

_NO_ROWS: Ints = np.zeros(0, dtype=np.int64)


class TokenHashes(NamedTuple):
    """The tokens of a batch of docs.

    Attributes:
        vocab (Optional[Vocab]): The vocab of the docs; None if there are no docs.
        hashes (NDArray[np.uint64]): (n_tokens, 2) The orth of each token, and the hash of its lower-cased text.
        lengths (Ints): The number of tokens in each sequence. A sequence is a doc, or a section of a long doc.
    """

    vocab: Optional[Vocab]
    hashes: Hashes
    lengths: Ints


@dataclass(frozen=True)
class Lexemes:
    """The distinct words of a batch.

    Attributes:
        vocab (Optional[Vocab]): The vocab of the docs; None if there are no docs.
        orths (NDArray[np.uint64]): (n,) Each distinct word once.
        lowers (NDArray[np.uint64]): (n,) The hash of the lower-cased text of each word.
        rows (Ints): (n_tokens,) The number of each token's word in `orths`.
        lengths (Ints): The number of tokens in each sequence, see `TokenHashes`.
        spellings (Optional[list[str]]): The words as strings, if the vocab does not have them.
    """

    vocab: Optional[Vocab]
    orths: Hashes
    lowers: Hashes
    rows: Ints
    lengths: Ints
    spellings: Optional[list[str]] = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, 1), for layers of Thinc that need the shape of their input."""
        return len(self.orths), 1

    def subset(self, chosen: Ints) -> "Lexemes":
        """Choose distinct words by their numbers. The result has no tokens."""
        spellings = None if self.spellings is None else [self.spellings[k] for k in chosen.tolist()]
        return Lexemes(self.vocab, self.orths[chosen], self.lowers[chosen], _NO_ROWS, _NO_ROWS, spellings)

    @cached_property
    def texts(self) -> list[str]:
        """The distinct words as strings. They are looked up at the first use."""
        if self.spellings is not None:
            return self.spellings
        strings: Any = self.vocab.strings if self.vocab is not None else {}
        return [strings[orth] for orth in self.orths.tolist()]


def read_tokens(docs: Sequence[Doc]) -> TokenHashes:
    """Read the tokens of a batch of docs.

    Args:
        docs (Sequence[Doc]): The docs, or spans of docs.

    Returns:
        TokenHashes: The tokens.

    Raises:
        ValueError: If the docs do not share one vocab.
    """
    if any(doc.vocab is not docs[0].vocab for doc in docs):
        raise ValueError(
            "LexemeEmbed: the docs of a batch come from different pipelines (their vocabs differ). Make them all with "
            "the pipeline that annotates them"
        )
    arrays = [doc.to_array([ORTH, LOWER]) for doc in docs if len(doc)]
    hashes = np.concatenate(arrays) if arrays else np.zeros((0, 2), dtype=np.uint64)
    return TokenHashes(docs[0].vocab if docs else None, hashes, np.array([len(doc) for doc in docs], dtype=np.int64))


def lexemes_of(tokens: TokenHashes) -> Lexemes:
    """Find the distinct words of tokens.

    Args:
        tokens (TokenHashes): The tokens.

    Returns:
        Lexemes: The words.
    """
    orths, first, rows = np.unique(tokens.hashes[:, 0], return_index=True, return_inverse=True)
    return Lexemes(tokens.vocab, orths, tokens.hashes[first, 1], rows.reshape(-1), tokens.lengths)


def distinct_lexemes(docs: Sequence[Doc]) -> Lexemes:
    """Find the distinct words of a batch of docs.

    Args:
        docs (Sequence[Doc]): The docs.

    Returns:
        Lexemes: The words.

    Raises:
        ValueError: If the docs do not share one vocab.
    """
    return lexemes_of(read_tokens(docs))


def composed(layer: Model[Lexemes, Floats2d]) -> Model[Lexemes, Floats2d]:
    """Wrap a layer, so that it reads each word in Unicode's composed form (NFC).

    Then it does not matter whether a text has an accented letter as one character, or as a letter and a mark. Layers
    with a vocabulary get the attribute "composed", so that theirs is made of such words too.

    Args:
        layer (Model[Lexemes, Floats2d]): Computes the vectors (n, O) of distinct words. Two of them may be equal now.

    Returns:
        Model[Lexemes, Floats2d]: The vectors (n, O) of the distinct words.
    """
    for node in layer.walk():
        if "vocabulary" in node.attrs:
            node.attrs["composed"] = True
    return chain(Model("composed", _composed_forward), layer)


def _composed_forward(model: Model[Lexemes, Lexemes], lexemes: Lexemes, is_train: bool) -> tuple[Lexemes, Backprop]:
    changed = [k for k, text in enumerate(lexemes.texts) if not is_normalized("NFC", text)]
    if not changed:
        return lexemes, no_gradient
    orths, texts = lexemes.orths.copy(), lexemes.texts.copy()
    for k in changed:
        texts[k] = normalize("NFC", texts[k])
        orths[k] = hash_string(texts[k])
    return replace(lexemes, orths=orths, spellings=texts), no_gradient


def per_lexeme(layer: Model[Lexemes, Floats2d]) -> Model[List[Doc], List[Floats2d]]:
    """Wrap a layer, so that it runs once for each distinct word of the docs. Every token gets the vector of its word.

    Args:
        layer (Model[Lexemes, Floats2d]): Computes the vectors (n, O) of distinct words.

    Returns:
        Model[List[Doc], List[Floats2d]]: The vectors of the tokens, one array (tokens, O) for each doc. Its attribute
            "lexeme_layer" is a function that returns the layer.
    """
    return Model(
        "per_lexeme",
        _forward,
        init=_init,
        layers=[layer],
        dims={"nO": None},
        attrs={"lexeme_layer": lexeme_layer_of},
    )


def lexeme_layer_of(model: Model[Any, Any]) -> Model[Lexemes, Floats2d]:
    """Get the layer inside a `per_lexeme` model. Callers use this function as `attrs["lexeme_layer"]`."""
    return model.layers[0]


def _init(model: Model[List[Doc], List[Floats2d]], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    layer = lexeme_layer_of(model)
    layer.initialize(X=None if X is None else distinct_lexemes(X))
    model.set_dim("nO", layer.get_dim("nO"))


def _forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    lexemes = distinct_lexemes(docs)
    Y, backprop_layer = lexeme_layer_of(model)(lexemes, is_train)
    vectors: Array = Y

    def backprop(dYs: List[Floats2d]) -> List[Doc]:
        if len(lexemes.rows):
            backprop_layer(sum_by_row(model.ops, model.ops.flatten(dYs), lexemes.rows, len(lexemes.orths)))
        return []

    return split_rows(vectors[lexemes.rows], lexemes.lengths), backprop


def no_gradient(dY: Any) -> List[Any]:
    """The callback of a layer without a gradient. Words and docs have none, so it ends here."""
    return []
