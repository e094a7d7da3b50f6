"""From words to vectors. All of it depends on the word alone, so it is computed once for each distinct word.

Notation
--------
n_tokens  tokens of all docs of the batch, laid end to end
n         distinct words among them; a word is its orth, the 64-bit hash of its text
O         width of a layer's output
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, List, Optional, cast

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.strings import hash_string  # type: ignore[attr-defined]
from spacy.tokens import Doc
from spacy.vectors import Mode
from spacy.vocab import Vocab
from thinc.api import Model, Ops, glorot_uniform_init
from thinc.initializers import uniform_init
from thinc.types import Floats2d, Ints1d, Ints2d

from .packed import Rows, split_rows

Backprop = Callable[[Any], Any]
Orths = NDArray[np.uint64]

PAD, UNKNOWN = 0, 1
"""Rows of the word table that stand for no word: padding, and a word that is not in the vocabulary."""


@dataclass(frozen=True)
class Lexemes:
    """The distinct words of a batch.

    orths (n,): each distinct word once. rows (n_tokens,): the word of every token. lengths: tokens of each doc.
    """

    vocab: Optional[Vocab]
    orths: Orths
    rows: Rows
    lengths: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """What Thinc's combinators ask of an input: so many rows, of one feature, the word."""
        return len(self.orths), 1

    @cached_property
    def texts(self) -> list[str]:
        """The words as strings; the only Python-level look at the text."""
        strings: Any = self.vocab.strings if self.vocab is not None else {}
        return [strings[orth] for orth in self.orths.tolist()]


def distinct_lexemes(docs: Sequence[Doc]) -> Lexemes:
    """The distinct words of a batch of docs (or spans of docs).

    Raises ValueError if the docs do not share one vocab.
    """
    if any(doc.vocab is not docs[0].vocab for doc in docs):
        raise ValueError(
            "LexemeEmbed: the docs of a batch come from different pipelines (their vocabs differ). Make them all with "
            "the pipeline that annotates them"
        )
    arrays = [doc.to_array(ORTH) for doc in docs]
    tokens = np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.uint64)
    orths, rows = np.unique(tokens, return_inverse=True)
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    return Lexemes(docs[0].vocab if docs else None, orths, rows.reshape(-1), lengths)


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


# Hashed features of the text

WHOLE_WORD_FEATURES = ("orth", "lower", "norm")
UNKNOWN_KEY = 0
"""The key of the unknown word; hash_string gives it to no text but the empty one."""


def text_features(text: str, names: Sequence[str]) -> list[str]:
    """The named features of a word.

    `orth` as written; `lower`; `norm` lower-cased with every digit as 0; `shape` with runs cut at four (Xxxxx, dd);
    `prefixN` and `suffixN`, the first and last N characters with the digits as 0; `length`, cut at 15.
    Raises ValueError for a name that is none of these.
    """
    return [_text_feature(text, name) for name in names]


def check_feature_names(names: Sequence[str]) -> None:
    """Raise ValueError if a name is no feature of `text_features`, or if there is none at all."""
    if not names:
        raise ValueError("LexemeEmbed: attrs is empty; name at least one feature, for example 'norm'")
    text_features("word", names)


def _text_feature(text: str, name: str) -> str:
    if name == "orth":
        return text
    if name == "lower":
        return text.lower()
    zeroed = "".join("0" if char.isdigit() else char for char in text)
    if name == "norm":
        return zeroed.lower()
    if name == "shape":
        return _shape(text)
    if name == "length":
        return str(min(len(text), 15))
    kind, size = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")
    if kind in ("prefix", "suffix") and size and int(size) > 0:
        return zeroed[: int(size)] if kind == "prefix" else zeroed[-int(size) :]
    raise ValueError(
        f"LexemeEmbed: no feature {name!r} of a word; use orth, lower, norm, shape, length, prefixN or suffixN "
        "with N at least 1"
    )


def _shape(text: str) -> str:
    out: list[str] = []
    for char in text[:100]:
        kind = "d" if char.isdigit() else "X" if char.isupper() else "x" if char.isalpha() else char
        if out[-4:] != [kind] * 4:
            out.append(kind)
    return "".join(out)


@lru_cache(maxsize=2**17)
def _feature_keys(text: str, names: tuple[str, ...]) -> tuple[int, ...]:
    # A pure function of the text, so that the cache can be shared by all models and never grows stale.
    return tuple(hash_string(feature) for feature in text_features(text, names))


def lexeme_features(names: Sequence[str], word_dropout: float) -> Model[Lexemes, Ints2d]:
    """The hashes (n, number of names) of each word's features, uint64.

    word_dropout: share of the distinct words of a batch that training treats as never seen before: the features that
        identify the whole word (orth, lower, norm) become those of the unknown word, its affixes and shape stay. So
        the model learns what to make of new words.
    """
    check_feature_names(names)
    if not 0.0 <= word_dropout < 1.0:
        raise ValueError(f"LexemeEmbed: word_dropout is {word_dropout}, but must be at least 0 and less than 1")
    return Model("lexeme_features", _features_forward, attrs={"names": list(names), "word_dropout": word_dropout})


def _features_forward(model: Model[Lexemes, Ints2d], lexemes: Lexemes, is_train: bool) -> tuple[Ints2d, Backprop]:
    names = tuple(model.attrs["names"])
    keys = [_feature_keys(text, names) for text in lexemes.texts]
    array = np.array(keys, dtype="uint64").reshape(len(keys), len(names))
    if is_train and model.attrs["word_dropout"]:
        hidden = np.flatnonzero(np.random.uniform(size=len(keys)) < model.attrs["word_dropout"])
        whole_word = [k for k, name in enumerate(names) if name in WHOLE_WORD_FEATURES]
        array[hidden[:, None], whole_word] = UNKNOWN_KEY
    return cast(Ints2d, model.ops.asarray(array)), _no_gradient


def _no_gradient(dY: Any) -> list[Any]:
    return []


# Static vectors


def lexeme_vectors(nO: int) -> Model[Lexemes, Floats2d]:
    """The words' rows of the pipeline's vector table, mapped to width nO.

    A word is looked up as written, then lower-cased. A word that has no vector gets a learned one.
    """
    return Model(
        "lexeme_vectors",
        _vectors_forward,
        init=_vectors_init,
        params={"W": None, "unknown": None},
        dims={"nO": nO, "nM": None},
    )


def _vectors_init(model: Model[Lexemes, Floats2d], X: Optional[Lexemes] = None, Y: Any = None) -> None:
    if X is not None and X.vocab is not None:
        width = X.vocab.vectors.shape[1]
        if not width or not X.vocab.vectors.shape[0]:
            raise ValueError(
                "LexemeEmbed: include_static_vectors is true, but the pipeline has no vectors. Name a pipeline or a "
                "folder that has some in [initialize] vectors, or set include_static_vectors = false"
            )
        model.set_dim("nM", width)
    shape = (model.get_dim("nO"), model.get_dim("nM"))
    model.set_param("W", glorot_uniform_init(model.ops, shape))
    model.set_param("unknown", model.ops.alloc1f(shape[0]))


def _vectors_forward(model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool) -> tuple[Floats2d, Backprop]:
    W, unknown = model.get_param("W"), model.get_param("unknown")
    V, missing = _look_up(model.ops, lexemes, W.shape[1])
    Y = model.ops.gemm(V, W, trans2=True)
    Y[missing] = unknown

    def backprop(dY: Floats2d) -> list[Any]:
        model.inc_grad("unknown", dY[missing].sum(axis=0))
        known = dY.copy()
        known[missing] = 0.0
        model.inc_grad("W", model.ops.gemm(known, V, trans1=True))
        return []

    return cast(Floats2d, Y), backprop


def _look_up(ops: Ops, lexemes: Lexemes, width: int) -> tuple[Floats2d, Ints1d]:
    """(n, width) the vectors, and the rows of the words that have none."""
    vocab = lexemes.vocab
    if vocab is None or not len(lexemes.orths):
        return ops.alloc2f(0, width), ops.alloc1i(0)
    if vocab.vectors.shape[1] != width:
        raise ValueError(
            f"LexemeEmbed: the model was trained with vectors of {width} dimensions, but the pipeline's vectors have "
            f"{vocab.vectors.shape[1]}. Load the pipeline with the vectors that it was trained with"
        )
    if vocab.vectors.mode == Mode.floret:
        return cast(Floats2d, ops.asarray(vocab.vectors.get_batch(lexemes.texts))), ops.alloc1i(0)
    found = np.asarray(vocab.vectors.find(keys=lexemes.orths.tolist())).copy()
    for k in np.flatnonzero(found < 0).tolist():
        found[k] = vocab.vectors.find(key=hash_string(lexemes.texts[k].lower()))
    missing = np.flatnonzero(found < 0)
    vectors = ops.as_contig(ops.asarray(vocab.vectors.data[found]))
    return cast(Floats2d, vectors), cast(Ints1d, ops.xp.asarray(missing))


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
        attrs={"min_count": min_count, "max_size": max_size, "vocabulary": np.zeros(0, dtype="uint64")},
    )


def build_vocabulary(model: Model[Any, Any], counts: dict[int, int]) -> None:
    """Number the words of a `word_table`: the most frequent `max_size` of those seen `min_count` times or more.

    counts: the tokens of each orth. The order of equally frequent words is that of their hashes, so that the same
    counts give the same vocabulary.
    """
    frequent = [(-count, orth) for orth, count in counts.items() if count >= model.attrs["min_count"]]
    kept = [orth for _, orth in sorted(frequent)[: model.attrs["max_size"]]]
    # Kept sorted, so that a number is found by bisection.
    model.attrs["vocabulary"] = np.array(sorted(kept), dtype="uint64")


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
