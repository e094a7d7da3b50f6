"""What training data looks like: its size, the length of its docs, its casing and its entities."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from spacy.attrs import ENT_IOB, LENGTH
from spacy.tokens import Doc

from .variation import sentence_starts

_OUTSIDE, _BEGIN = 2, 3
"""Codes in `token.ent_iob`."""
FEW_SENTENCES = 1.5
"""Sentences per doc, below which docs are taken for single sentences."""


@dataclass
class DataFacts:
    """Counts of annotated docs.

    Attributes:
        docs (int): Docs with tokens.
        tokens (int): Tokens.
        sentences (int): Sentences, see `variation.sentence_starts`.
        characters (int): Characters of all tokens.
        labels (Counter[str]): Entities by label.
        names (Counter[bool]): Entities by whether they begin with a capital. Others begin in lower case; entities that
            begin with a number, or in a script without case, do not count.
        words (Counter[bool]): The same of tokens that neither begin a sentence nor belong to an entity.
    """

    docs: int = 0
    tokens: int = 0
    sentences: int = 0
    characters: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    names: Counter[bool] = field(default_factory=Counter)
    words: Counter[bool] = field(default_factory=Counter)

    @property
    def entities(self) -> int:
        """The number of entities."""
        return self.labels.total()

    @property
    def tokens_per_doc(self) -> float:
        """The mean number of tokens in a doc."""
        return self.tokens / max(1, self.docs)

    @property
    def sentences_per_doc(self) -> float:
        """The mean number of sentences in a doc."""
        return self.sentences / max(1, self.docs)

    @property
    def characters_per_token(self) -> float:
        """The mean number of characters in a token."""
        return self.characters / max(1, self.tokens)

    @property
    def cased(self) -> float:
        """The share of the tokens that count in `names` or `words`, from 0 to 1."""
        return (self.names.total() + self.words.total()) / max(1, self.tokens)

    @property
    def capital_names(self) -> float:
        """The share of the entities that begin with a capital, from 0 to 1."""
        return self.names[True] / max(1, self.names.total())

    @property
    def capital_words(self) -> float:
        """The share of the other words that begin with a capital, from 0 to 1."""
        return self.words[True] / max(1, self.words.total())

    def add(self, doc: Doc) -> None:
        """Count an annotated doc."""
        if not len(doc):
            return
        length, iob = doc.to_array([LENGTH, ENT_IOB]).astype("int64").T
        starts = sentence_starts(doc)
        first = np.array([token.text[:1] for token in doc])
        capital = np.char.isupper(first)
        has_case = capital | np.char.islower(first)
        self.docs += 1
        self.tokens += len(doc)
        self.sentences += int(starts.sum())
        self.characters += int(length.sum())
        self.labels.update(ent.label_ for ent in doc.ents)
        self.names.update(capital[has_case & (iob == _BEGIN)].tolist())
        self.words.update(capital[has_case & (iob == _OUTSIDE) & ~starts].tolist())


def count_facts(docs: Iterable[Doc]) -> DataFacts:
    """Count what training data looks like.

    Args:
        docs (Iterable[Doc]): The annotated docs.

    Returns:
        DataFacts: The counts.
    """
    facts = DataFacts()
    for doc in docs:
        facts.add(doc)
    return facts
