"""Augmentation of training data: the same text in other contexts and in another casing.

A model that only sees whole documents in their own casing learns to rely on both: on the other occurrences of a name,
and on capitals. Then it fails on single sentences, and on text in lower case or in capitals.
"""

import random
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_ID, ENT_IOB, ENT_KB_ID, ENT_TYPE, LEMMA, MORPH, POS, SENT_START, TAG
from spacy.language import Language
from spacy.pipeline import Sentencizer
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..annotation.soft import copy_soft

_PIECE_SIZES = (1, 1, 1, 1, 2, 2, 3, 5, 8)
"""The numbers of sentences that a piece can have, each as probable as the others."""

_ENDS = frozenset(Sentencizer.default_punct_chars)
_INSIDE = 1
"""The code of a token inside an entity in `token.ent_iob`."""

_ANNOTATION = (TAG, POS, MORPH, LEMMA, SENT_START, ENT_IOB, ENT_TYPE, ENT_KB_ID, ENT_ID)

Recase = Callable[[str], str]


class Casing(NamedTuple):
    """The shares of the texts that get another casing, each from 0 to 1.

    Attributes:
        lower (float): Texts in lower case.
        upper (float): Texts in capitals.
        title (float): Texts in which each word begins with a capital.
    """

    lower: float
    upper: float
    title: float

    def draw(self) -> Optional[Recase]:
        """Draw a casing.

        Returns:
            Optional[Recase]: The function that changes the casing of a word; None to keep it.
        """
        drawn = random.random()
        for share, recase in zip(self, (str.lower, str.upper, _capitalized), strict=True):
            if drawn < share:
                return recase
            drawn -= share
        return None


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:]


def create_text_variation_augmenter(
    pieces: float = 0.0, lower: float = 0.0, upper: float = 0.0, title: float = 0.0
) -> "TextVariation":
    """Create the augmenter `spacy-lstm-ner.TextVariation.v1`: pieces of documents, and other casings.

    Args:
        pieces (float): The share of the docs that are cut into pieces of one to eight sentences, from 0 to 1.
        lower (float): The share of the docs and pieces that are changed to lower case, from 0 to 1.
        upper (float): The share of the docs and pieces that are changed to capitals, from 0 to 1.
        title (float): The share of the docs and pieces in which each word gets a capital, from 0 to 1.

    Returns:
        TextVariation: The augmenter.

    Raises:
        ValueError: If a share is not from 0 to 1, or the shares of the casings are more than 1 together.
    """
    shares = {"pieces": pieces, "lower": lower, "upper": upper, "title": title}
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"spacy-lstm-ner.TextVariation.v1: {name} is {value}, but must be from 0 to 1")
    if lower + upper + title > 1.0:
        raise ValueError(
            f"spacy-lstm-ner.TextVariation.v1: lower, upper and title are {lower}, {upper} and {title}, more than 1 "
            "together"
        )
    return TextVariation(pieces, Casing(lower, upper, title))


class TextVariation:
    """Cuts docs into pieces, and changes the casing of docs and pieces.

    A doc is cut at the annotated starts of sentences, or after punctuation if none are annotated, and never inside an
    entity. Random numbers come from Python's `random`, which spaCy seeds with `training.seed`.
    """

    def __init__(self, pieces: float, casing: Casing) -> None:
        """Create the augmenter.

        Args:
            pieces (float): The share of the docs that are cut.
            casing (Casing): The shares of the texts that get another casing.
        """
        self.pieces, self.casing = pieces, casing

    def __call__(self, nlp: Language, example: Example) -> Iterator[Example]:
        """Give the example itself, or one or more copies of its parts.

        Copies have the annotation of tokens, entities (including missing and blocked tokens, and the distribution of a
        teacher), sentence starts and span groups. They have no dependencies and no categories.

        Args:
            nlp (Language): The pipeline. It tokenizes the new texts, unless the spaces of the example are unknown.
            example (Example): The example.

        Yields:
            Example: Examples that have all tokens of this one, in its order.
        """
        reference = example.reference
        parts = [(0, len(reference))]
        if len(reference) and random.random() < self.pieces:
            parts = list(_pieces(_places_to_cut(reference), len(reference)))
        for start, end in parts:
            recase = self.casing.draw()
            if recase is None and len(parts) == 1:
                yield example
            else:
                doc = _copy(reference, start, end, recase)
                words = None if not doc.has_unknown_spaces else [token.text for token in doc]
                yield Example(nlp.make_doc(doc.text) if words is None else Doc(nlp.vocab, words), doc)


def sentence_starts(doc: Doc) -> NDArray[np.bool_]:
    """Find the tokens that start a sentence: as annotated or, if no starts are, after punctuation and line breaks.

    Args:
        doc (Doc): The doc, with tokens.

    Returns:
        NDArray[np.bool_]: (number of tokens,) Whether a sentence starts there. One starts at the first token.
    """
    if doc.has_annotation("SENT_START"):
        starts = doc.to_array(SENT_START) == 1
    else:
        ends = np.array([token.text in _ENDS or "\n" in token.text for token in doc], dtype=bool)
        starts = np.append(False, ends[:-1] & ~ends[1:])
    starts[0] = True
    return starts


def _places_to_cut(doc: Doc) -> list[int]:
    """The tokens at which a doc may be cut: starts of sentences that are not inside an entity.

    Spans of other groups may be cut, and are then left out.
    """
    starts = sentence_starts(doc)
    starts[1:] &= doc.to_array(ENT_IOB)[1:] != _INSIDE
    return list(np.flatnonzero(starts).tolist())


def _pieces(starts: list[int], length: int) -> Iterator[tuple[int, int]]:
    """Draw pieces, as the first token and the one after the last."""
    bounds = [*starts, length]
    at = 0
    while at < len(starts):
        after = min(at + random.choice(_PIECE_SIZES), len(starts))
        yield bounds[at], bounds[after]
        at = after


def _copy(reference: Doc, start: int, end: int, recase: Optional[Recase]) -> Doc:
    """Copy a part of an annotated doc."""
    words = [token.text for token in reference[start:end]]
    if recase is not None:
        words = [recase(word) for word in words]
    spaces = None if reference.has_unknown_spaces else [bool(token.whitespace_) for token in reference[start:end]]
    doc = Doc(reference.vocab, words, spaces)
    annotation: Any = reference.to_array(list(_ANNOTATION))[start:end]
    doc.from_array(list(_ANNOTATION), annotation)
    for key, group in reference.spans.items():
        inside = [span for span in group if start <= span.start and span.end <= end]
        doc.spans[key] = [Span(doc, s.start - start, s.end - start, s.label, s.kb_id) for s in inside]
    copy_soft(reference, start, end, doc)
    return doc
