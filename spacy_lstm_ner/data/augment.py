"""Augmentation of training data: entities are replaced with other entities of the same label."""

import random
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

Augmenter = Callable[[Language, Example], Iterator[Example]]


class Mention(NamedTuple):
    """The words of an entity in a text.

    Attributes:
        words (tuple[str, ...]): The words, at least one.
        spaces (tuple[bool, ...]): Whether a space follows each word.
    """

    words: tuple[str, ...]
    spaces: tuple[bool, ...]


def create_entity_swap_augmenter(level: float, share: float = 0.5) -> "EntitySwap":
    """Create the augmenter `spacy-lstm-ner.EntitySwap.v1`, which replaces entities with others of the same label.

    Args:
        level (float): The share of the examples that are changed, from 0 to 1.
        share (float): The share of the entities of such an example that are replaced, from 0 to 1.

    Returns:
        EntitySwap: The augmenter.

    Raises:
        ValueError: If a share is not from 0 to 1.
    """
    for name, value in (("level", level), ("share", share)):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"spacy-lstm-ner.EntitySwap.v1: {name} is {value}, but must be from 0 to 1")
    return EntitySwap(level, share)


class EntitySwap:
    """Replaces entities with entities of earlier examples that have the same label.

    After one pass, it can choose from all entities of the corpus. Random numbers come from Python's `random`, which
    spaCy seeds with `training.seed`.
    """

    def __init__(self, level: float, share: float) -> None:
        """Start without any entities; they are collected from the examples.

        Args:
            level (float): The share of the examples that are changed.
            share (float): The share of the entities of such an example that are replaced.
        """
        self.level, self.share = level, share
        self._seen: dict[str, dict[Mention, None]] = {}
        self._drawn: dict[str, list[Mention]] = {}

    def __call__(self, nlp: Language, example: Example) -> Iterator[Example]:
        """Give the example itself, or a copy of it with other entities.

        The copy has the annotation of entities, including missing and blocked tokens, and of sentence starts. It has no
        other annotation.

        Args:
            nlp (Language): The pipeline. It tokenizes the new text, unless the spaces of the example are unknown.
            example (Example): The example.

        Yields:
            Example: One example.
        """
        reference = example.reference
        self._learn(reference)
        if not reference.ents or random.random() >= self.level:
            yield example
            return
        swapped = {ent.start: self._draw(ent) for ent in reference.ents if random.random() < self.share}
        changed = {start: mention for start, mention in swapped.items() if mention is not None}
        if not changed:
            yield example
            return
        doc = swap_entities(reference, changed)
        predicted = Doc(nlp.vocab, [token.text for token in doc]) if doc.has_unknown_spaces else nlp.make_doc(doc.text)
        yield Example(predicted, doc)

    def _learn(self, reference: Doc) -> None:
        for ent in reference.ents:
            mention, seen = _mention(ent), self._seen.setdefault(ent.label_, {})
            if mention not in seen:
                seen[mention] = None
                self._drawn.setdefault(ent.label_, []).append(mention)

    def _draw(self, ent: Span) -> Optional[Mention]:
        """Draw an entity with the same label; None if it is the entity itself."""
        drawn = random.choice(self._drawn[ent.label_])
        return None if drawn == _mention(ent) else drawn


def swap_entities(reference: Doc, mentions: dict[int, Mention]) -> Doc:
    """Copy an annotated doc and replace the words of some entities.

    Tokens that are kept also keep their missing or blocked annotation and their sentence starts.

    Args:
        reference (Doc): The annotated doc.
        mentions (dict[int, Mention]): The new words by the first token of the entity that they replace. The space after
            the entity stays as it was.

    Returns:
        Doc: The copy.
    """
    ends = {ent.start: ent.end for ent in reference.ents}
    words: list[str] = []
    spaces: list[bool] = []
    sent_starts: list[bool | int | None] = []
    ents: list[tuple[int, int, str]] = []
    missing: list[int] = []
    blocked: list[int] = []
    at = 0
    while at < len(reference):
        first, token = len(words), reference[at]
        end = ends.get(at, at + 1)
        mention = mentions.get(at) or _mention(reference[at:end])
        words.extend(mention.words)
        spaces.extend([*mention.spaces[:-1], bool(reference[end - 1].whitespace_)])
        sent_starts.extend([token.is_sent_start, *[False] * (len(mention.words) - 1)])
        if at in ends:
            ents.append((first, len(words), token.ent_type_))
        elif token.ent_iob == 0:
            missing.append(first)
        elif token.ent_iob == 3:  # a beginning without a label: blocked
            blocked.append(first)
        at = end
    doc = Doc(reference.vocab, words, None if reference.has_unknown_spaces else spaces, sent_starts=sent_starts)
    doc.set_ents(
        [Span(doc, start, end, label) for start, end, label in ents],
        missing=[doc[i : i + 1] for i in missing],
        blocked=[doc[i : i + 1] for i in blocked],
        default="outside",
    )
    return doc


def _mention(span: Span) -> Mention:
    return Mention(tuple(token.text for token in span), tuple(bool(token.whitespace_) for token in span))
