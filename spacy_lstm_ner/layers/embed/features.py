"""Hashed features of words and of tokens; what they mean is learned by the tables that they are keys of.

Notation as in `embed`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, List, Optional, cast

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import IDS as ATTRIBUTES
from spacy.strings import hash_string  # type: ignore[attr-defined]
from spacy.tokens import Doc, Token
from thinc.api import Model
from thinc.types import Floats2d, Ints2d

from ...arrays import split_rows
from ...types import Backprop
from .lexemes import Lexemes

WHOLE_WORD_FEATURES = ("orth", "lower", "norm")
AFFIXES = ("prefix", "suffix")
UNKNOWN_KEY = 0
"""The key of the unknown word; hash_string gives it to no text but the empty one."""


LONGEST_KEPT = 100
"""Characters of the longest words of which features are kept. There is no bound on the length of a token."""


def text_features(text: str, names: Sequence[str]) -> list[str]:
    """The named features of a word.

    `orth` as written; `lower`; `norm` lower-cased with every digit as 0; `shape` with runs cut at four (Xxxxx, dd);
    `prefixN` and `suffixN`, the first and last N characters with the digits as 0; `length`, cut at 15.
    Raises ValueError for a name that is none of these.
    """
    zeroed = _zeroed(text)
    return [feature(text, zeroed) for feature in _features(tuple(names))]


def check_feature_names(names: Sequence[str]) -> None:
    """Raise ValueError if a name is no feature of `text_features`, or if there is none at all."""
    if not names:
        raise ValueError("LexemeEmbed: attrs is empty; name at least one feature, for example 'norm'")
    _features(tuple(names))


@lru_cache(maxsize=64)
def _features(names: tuple[str, ...]) -> list[Callable[[str, str], str]]:
    """A function for each name; its arguments are the word and the word with its digits as 0."""
    return [_feature(name) for name in names]


def _feature(name: str) -> Callable[[str, str], str]:
    if name in _BY_NAME:
        return _BY_NAME[name]
    kind, size = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")
    if kind in ("prefix", "suffix") and size and int(size) > 0:
        part = slice(int(size)) if kind == "prefix" else slice(-int(size), None)
        return lambda text, zeroed: zeroed[part]
    raise ValueError(
        f"LexemeEmbed: no feature {name!r} of a word; use orth, lower, norm, shape, length, prefixN or suffixN "
        "with N at least 1"
    )


def normalized(text: str) -> str:
    """A word lower-cased, with every digit as 0."""
    return _zeroed(text).lower()


def _zeroed(text: str) -> str:
    # Most words have letters only.
    return text if text.isalpha() else "".join("0" if char.isdigit() else char for char in text)


def _shape(text: str) -> str:
    if text.isascii() and text.isalpha():
        # The usual words, without a look at each character.
        first, rest = text[0], text[1:]
        if not rest or rest.islower():
            return "X" + "x" * min(len(rest), 4) if first.isupper() else "x" * min(len(text), 4)
    out: list[str] = []
    for char in text[:100]:
        kind = "d" if char.isdigit() else "X" if char.isupper() else "x" if char.isalpha() else char
        if out[-4:] != [kind] * 4:
            out.append(kind)
    return "".join(out)


_BY_NAME: dict[str, Callable[[str, str], str]] = {
    "orth": lambda text, zeroed: text,
    "lower": lambda text, zeroed: text.lower(),
    "norm": lambda text, zeroed: zeroed.lower(),
    "shape": lambda text, zeroed: _shape(text),
    "length": lambda text, zeroed: str(min(len(text), 15)),
}


def _feature_keys(text: str, names: tuple[str, ...]) -> bytes:
    """Of a usual word, kept from one call to the next; what a long one would take is its text above all."""
    return _kept_feature_keys(text, names) if len(text) <= LONGEST_KEPT else _new_feature_keys(text, names)


def _new_feature_keys(text: str, names: tuple[str, ...]) -> bytes:
    return np.array([hash_string(feature) for feature in text_features(text, names)], dtype="uint64").tobytes()


# A pure function of the text, so that the cache can be shared by all models and never grows stale. As bytes, for which
# a word of the cache takes half the memory that it takes as numbers.
_kept_feature_keys = lru_cache(maxsize=2**15)(_new_feature_keys)


def lexeme_features(names: Sequence[str], word_dropout: float, affix_dropout: float = 0.0) -> Model[Lexemes, Ints2d]:
    """The hashes (n, number of names) of each word's features, uint64.

    word_dropout: share of the distinct words of a batch that training treats as never seen before: the features that
        identify the whole word (orth, lower, norm) become those of the unknown word, its affixes and shape stay. So
        the model learns what to make of new words.
    affix_dropout: share of these words whose affixes become those of the unknown word as well, so that shape and length
        are left: affixes of three letters and more all but name the word.
    """
    check_feature_names(names)
    if not 0.0 <= word_dropout < 1.0:
        raise ValueError(f"LexemeEmbed: word_dropout is {word_dropout}, but must be at least 0 and less than 1")
    if not 0.0 <= affix_dropout <= 1.0:
        raise ValueError(f"LexemeEmbed: affix_dropout is {affix_dropout}, but must be from 0 to 1")
    attrs = {"names": list(names), "word_dropout": word_dropout, "affix_dropout": affix_dropout}
    return Model("lexeme_features", _features_forward, attrs=attrs)


def _features_forward(model: Model[Lexemes, Ints2d], lexemes: Lexemes, is_train: bool) -> tuple[Ints2d, Backprop]:
    names = tuple(model.attrs["names"])
    keys = b"".join(_feature_keys(text, names) for text in lexemes.texts)
    array = np.frombuffer(bytearray(keys), dtype="uint64").reshape(-1, len(names))
    if is_train and model.attrs["word_dropout"]:
        hidden = np.flatnonzero(np.random.uniform(size=len(array)) < model.attrs["word_dropout"])
        array[hidden[:, None], _places(names, WHOLE_WORD_FEATURES)] = UNKNOWN_KEY
        if model.attrs["affix_dropout"]:
            bare = hidden[np.random.uniform(size=len(hidden)) < model.attrs["affix_dropout"]]
            array[bare[:, None], _places(names, AFFIXES)] = UNKNOWN_KEY
    return cast(Ints2d, model.ops.asarray(array)), _no_gradient


def _places(names: Sequence[str], beginnings: tuple[str, ...]) -> list[int]:
    """Where the features stand whose names begin so."""
    return [k for k, name in enumerate(names) if name.startswith(beginnings)]


def _no_gradient(dY: Any) -> list[Any]:
    return []


# Features of tokens


def beside_token_features(
    embed: Model[List[Doc], List[Floats2d]], names: Sequence[str], tables: Model[Ints2d, Floats2d]
) -> Model[List[Doc], List[Floats2d]]:
    """An embedding's output with what tables make of the tokens' attributes behind it.

    names: spaCy's attributes of a token ("POS", "TAG", "ENT_TYPE", "IS_TITLE", ...) or, as "_.name", extension
        attributes of Token: texts are hashed, numbers and truth values taken as they are, anything else as the text
        it prints as.
    tables: from the attributes' values (tokens, number of names), uint64, to their vectors.
    Raises ValueError for a name that is no attribute, and when it is used, for an extension that is not registered.
    """
    for name in names:
        if not name.startswith("_.") and not ATTRIBUTES.get(name):
            raise ValueError(
                f"TokenFeatures: no token attribute {name!r}; name one of spaCy's, for example 'POS', or an extension "
                "attribute as '_.name'"
            )
    return Model(
        "beside_token_features",
        _token_features_forward,
        init=_token_features_init,
        layers=[embed, tables],
        dims={"nO": None},
        attrs={"names": list(names)},
    )


def _token_features_init(model: Model[List[Doc], List[Floats2d]], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    embed, tables = model.layers
    embed.initialize(X=X)
    tables.initialize(X=model.ops.asarray(np.zeros((1, len(model.attrs["names"])), dtype="uint64")))
    if embed.has_dim("nO"):
        model.set_dim("nO", embed.get_dim("nO") + tables.get_dim("nO"), force=True)


def _token_features_forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    ops, (embed, tables) = model.ops, model.layers
    Xs, backprop_embed = embed(docs, is_train)
    lengths = np.array([len(doc) for doc in docs], dtype=np.int64)
    if not lengths.any():
        width = tables.get_dim("nO")
        Ys = [ops.xp.concatenate([X, ops.alloc2f(0, width)], axis=1) for X in Xs]
        return Ys, lambda dYs: backprop_embed([dY[:, :-width] for dY in dYs])
    keys = ops.asarray(np.concatenate([token_values(doc, model.attrs["names"]) for doc in docs]))
    features, backprop_tables = tables(keys, is_train)
    width = features.shape[1]

    def backprop(dYs: List[Floats2d]) -> Any:
        backprop_tables(ops.as_contig(ops.flatten(dYs)[:, -width:]))
        return backprop_embed([ops.as_contig(dY[:, :-width]) for dY in dYs])

    pairs = zip(Xs, split_rows(features, lengths), strict=True)
    return [ops.xp.concatenate(pair, axis=1) for pair in pairs], backprop


def token_values(doc: Doc, names: Sequence[str]) -> NDArray[np.uint64]:
    """(tokens, number of names) the values of a doc's token attributes."""
    return np.stack([_token_values(doc, name) for name in names], axis=1)


def _token_values(doc: Doc, name: str) -> NDArray[np.uint64]:
    if not name.startswith("_."):
        return doc.to_array(name).astype("uint64")
    extension = name[2:]
    if not Token.has_extension(extension):
        raise ValueError(
            f"TokenFeatures: the extension attribute {name!r} is not registered. Call "
            f"Token.set_extension({extension!r}, ...), or have a component before this one do it"
        )
    return np.array([_key(token._.get(extension)) for token in doc], dtype="uint64")


def _key(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, (bool, int)):
        return int(value) % 2**64
    return hash_string(str(value))
