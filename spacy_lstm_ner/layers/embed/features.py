"""Features of a word's text, such as its shape or its suffix, as keys of hash tables.

Notation as in `lexemes`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Dict, List
from unicodedata import category

import numpy as np
from spacy.strings import hash_string  # type: ignore[attr-defined]
from thinc.api import Model
from thinc.layers import hashembed
from thinc.types import Floats2d, Ints1d, Ints2d

from ...types import Array, Backprop
from .lexemes import Lexemes, no_gradient

WHOLE_WORD_FEATURES = ("orth", "lower", "norm")
AFFIXES = ("prefix", "suffix", "lprefix", "lsuffix")
UNKNOWN_KEY = 0
"""The key of hidden features. `hash_string` gives it to the empty text only."""

LONGEST_CACHED = 100
"""Features of words up to this number of characters are cached. Tokens may have any length, so a bound on the number of
words alone would not bound the memory."""


def text_features(text: str, names: Sequence[str], graphemes: bool = False) -> list[str]:
    """Compute features of a word.

    Args:
        text (str): The word.
        names (Sequence[str]): The names of the features: "orth" (as written), "lower" (lower-cased), "norm"
            (lower-cased, each digit as 0), "shape" (`Xxxxx`, `dd`; runs are cut at four), "prefixN" and "suffixN" (the
            first and the last N characters, each digit as 0), "lprefixN" and "lsuffixN" (the same of the lower-cased
            word), "length" (the number of characters, at most 15).
        graphemes (bool): Whether affixes, shape and length count a letter and its combining marks as one character.

    Returns:
        list[str]: The feature for each name.

    Raises:
        ValueError: If a name is unknown.
    """
    zeroed = _digits_as_zero(text)
    # Marks are not letters, so most words have none.
    has_marks = graphemes and not text.isascii() and not text.isalpha()
    lowered = zeroed.lower()
    return [feature(text, zeroed, lowered) for feature in _features(tuple(names), has_marks)]


def check_feature_names(names: Sequence[str]) -> None:
    """Check names of features.

    Args:
        names (Sequence[str]): The names.

    Raises:
        ValueError: If there is no name, or `text_features` does not know a name.
    """
    if not names:
        raise ValueError("LexemeEmbed: attrs is empty; name at least one feature, for example 'norm'")
    _features(tuple(names), graphemes=False)


Feature = Callable[[str, str, str], str]
"""Computes a feature of a word from the word, the word with each digit as 0, and this in lower case."""


@lru_cache(maxsize=64)
def _features(names: tuple[str, ...], graphemes: bool) -> list[Feature]:
    return [_feature(name, graphemes) for name in names]


def _feature(name: str, graphemes: bool) -> Feature:
    if graphemes and name in ("shape", "length"):
        feature = _BY_NAME[name]
        return lambda text, zeroed, lowered: feature("".join(part[0] for part in _graphemes(text)), zeroed, lowered)
    if name in _BY_NAME:
        return _BY_NAME[name]
    kind, size = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")
    if kind in AFFIXES and size and int(size) > 0:
        part = slice(int(size)) if kind.endswith("prefix") else slice(-int(size), None)
        if graphemes:
            is_lower = kind.startswith("l")
            return lambda text, zeroed, lowered: "".join(_graphemes(lowered if is_lower else zeroed)[part])
        if kind.startswith("l"):
            return lambda text, zeroed, lowered: lowered[part]
        return lambda text, zeroed, lowered: zeroed[part]
    raise ValueError(
        f"LexemeEmbed: no feature {name!r} of a word; use orth, lower, norm, shape, length, prefixN, suffixN, "
        "lprefixN or lsuffixN with N at least 1"
    )


def _graphemes(text: str) -> list[str]:
    """The characters of a text, each with the combining marks after it."""
    parts: list[str] = []
    for char in text:
        if parts and category(char).startswith("M"):
            parts[-1] += char
        else:
            parts.append(char)
    return parts


def normalized(text: str) -> str:
    """Compute the feature "norm" of a word: lower-cased, with each digit as 0."""
    return _digits_as_zero(text).lower()


def _digits_as_zero(text: str) -> str:
    # Most words have no digits.
    return text if text.isalpha() else "".join("0" if char.isdigit() else char for char in text)


def _shape(text: str) -> str:
    if text.isascii() and text.isalpha():
        # Most words: no need to look at each character.
        first, rest = text[0], text[1:]
        if not rest or rest.islower():
            return "X" + "x" * min(len(rest), 4) if first.isupper() else "x" * min(len(text), 4)
    out: list[str] = []
    for char in text[:100]:
        kind = "d" if char.isdigit() else "X" if char.isupper() else "x" if char.isalpha() else char
        if out[-4:] != [kind] * 4:
            out.append(kind)
    return "".join(out)


_BY_NAME: dict[str, Feature] = {
    "orth": lambda text, zeroed, lowered: text,
    "lower": lambda text, zeroed, lowered: text.lower(),
    "norm": lambda text, zeroed, lowered: lowered,
    "shape": lambda text, zeroed, lowered: _shape(text),
    "length": lambda text, zeroed, lowered: str(min(len(text), 15)),
}


def _feature_keys(text: str, names: tuple[str, ...], graphemes: bool) -> bytes:
    """The hashes of a word's features, as the bytes of an array of uint64."""
    return (_cached_keys if len(text) <= LONGEST_CACHED else _compute_keys)(text, names, graphemes)


def _compute_keys(text: str, names: tuple[str, ...], graphemes: bool) -> bytes:
    features = text_features(text, names, graphemes)
    return np.array([hash_string(feature) for feature in features], dtype="uint64").tobytes()


# The keys depend on the text only, so all models can share one cache. It holds bytes, which take half the memory of
# numbers.
_cached_keys = lru_cache(maxsize=2**15)(_compute_keys)


def lexeme_features(
    names: Sequence[str], word_dropout: float, affix_dropout: float = 0.0, graphemes: bool = False
) -> Model[Lexemes, Ints2d]:
    """Hash the features of each distinct word of a batch.

    Args:
        names (Sequence[str]): Names of features, see `text_features`.
        word_dropout (float): The share of the distinct words that training hides, so that the model learns to deal
            with new words. The features that identify a hidden word ("orth", "lower", "norm") get the key of the
            unknown word. Affixes, shape and length stay.
        affix_dropout (float): The share of the hidden words whose affixes are hidden too. Affixes of three and more
            characters often identify the word.
        graphemes (bool): Whether to count a letter and its combining marks as one character, see `text_features`.

    Returns:
        Model[Lexemes, Ints2d]: The keys (n, number of names), uint64.

    Raises:
        ValueError: If there is no name, an unknown name, or a share out of range.
    """
    check_feature_names(names)
    if not 0.0 <= word_dropout < 1.0:
        raise ValueError(f"LexemeEmbed: word_dropout is {word_dropout}, but must be at least 0 and less than 1")
    if not 0.0 <= affix_dropout <= 1.0:
        raise ValueError(f"LexemeEmbed: affix_dropout is {affix_dropout}, but must be from 0 to 1")
    attrs: Dict[str, Any] = {"names": list(names), "word_dropout": word_dropout, "affix_dropout": affix_dropout}
    if graphemes:
        # Only then, so that older models are saved again with the same bytes.
        attrs["graphemes"] = True
    return Model("lexeme_features", _forward, attrs=attrs)


def _forward(model: Model[Lexemes, Ints2d], lexemes: Lexemes, is_train: bool) -> tuple[Ints2d, Backprop]:
    names = tuple(model.attrs["names"])
    graphemes = model.attrs.get("graphemes", False)
    data = b"".join(_feature_keys(text, names, graphemes) for text in lexemes.texts)
    keys: Array = np.frombuffer(bytearray(data), dtype="uint64").reshape(-1, len(names))
    if is_train and model.attrs["word_dropout"]:
        hidden = np.flatnonzero(np.random.uniform(size=len(keys)) < model.attrs["word_dropout"])
        keys[hidden[:, None], _columns(names, WHOLE_WORD_FEATURES)] = UNKNOWN_KEY
        if model.attrs["affix_dropout"]:
            without_affixes = hidden[np.random.uniform(size=len(hidden)) < model.attrs["affix_dropout"]]
            keys[without_affixes[:, None], _columns(names, AFFIXES)] = UNKNOWN_KEY
    on_device: Array = model.ops.asarray(keys)
    return on_device, no_gradient


def _columns(names: Sequence[str], kinds: tuple[str, ...]) -> List[int]:
    """The columns of the features of these kinds."""
    return [k for k, name in enumerate(names) if name.startswith(kinds)]


def hash_table(layer: Model[Ints2d, Floats2d]) -> Model[Ints2d, Floats2d]:
    """Let a hash table of Thinc look up vectors in a read-only array too, which weights in shared memory are.

    Args:
        layer (Model[Ints2d, Floats2d]): The layer. It is changed.

    Returns:
        Model[Ints2d, Floats2d]: The layer.
    """
    for node in layer.walk():
        if node.name == "hashembed":
            node._func = _look_up
    return layer


def _look_up(model: Model[Ints1d, Floats2d], keys: Ints1d, is_train: bool) -> tuple[Floats2d, Backprop]:
    vectors = model.get_param("E")
    # Thinc's kernel refuses a read-only array, although it only reads.
    if not getattr(vectors.flags, "writeable", True):
        model.set_param("E", vectors.copy())
    return hashembed.forward(model, keys, is_train)
