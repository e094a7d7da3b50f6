"""Entities of gold and of predictions, kept as lists: what is scored anew when the report is made.

An entity is (number of the doc, first token, token after the last, label, text).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

# What corresponds in CoNLL-2003 and WNUT-17; other types of either have no counterpart and count for nothing.
WNUT_TO_CONLL = {"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"}


class Entity(NamedTuple):
    doc: int
    start: int
    end: int
    label: str
    text: str


class Scores(NamedTuple):
    """Precision, recall and F of exact matches (None where there is nothing to divide by), and the gold entities."""

    p: float | None
    r: float | None
    f: float | None
    gold: int


def entities_of(docs: Iterable[Doc]) -> list[Entity]:
    """The entities of docs."""
    return [Entity(k, ent.start, ent.end, ent.label_, ent.text) for k, doc in enumerate(docs) for ent in doc.ents]


def gold_entities(path: Path) -> list[Entity]:
    """The entities of a .spacy file."""
    return entities_of(DocBin().from_disk(path).get_docs(Vocab()))


def score(gold: Collection[Entity], predicted: Collection[Entity]) -> Scores:
    """Micro-averaged over all entities."""
    right = len(set(gold) & set(predicted))
    p = right / len(predicted) if predicted else None
    r = right / len(gold) if gold else None
    # As spaCy's scorer: nothing predicted is an F of zero, and without gold there is none.
    f = 2 * right / (len(gold) + len(predicted)) if gold else None
    return Scores(p, r, f, len(gold))


def split_scores(
    gold: Iterable[Entity], predicted: Iterable[Entity], part: Callable[[Entity], str]
) -> dict[str, Scores]:
    """Scores of each part. part: names the part of an entity; one that is right is in the same part on both sides."""
    gold, predicted = list(gold), list(predicted)
    names = sorted({part(entity) for entity in (*gold, *predicted)})
    return {
        name: score([e for e in gold if part(e) == name], [e for e in predicted if part(e) == name]) for name in names
    }


def by_type(gold: Iterable[Entity], predicted: Iterable[Entity]) -> dict[str, Scores]:
    """Scores of each label."""
    return split_scores(gold, predicted, lambda entity: entity.label)


def by_familiarity(gold: Iterable[Entity], predicted: Iterable[Entity], train: Iterable[Entity]) -> dict[str, Scores]:
    """Scores of entities whose text has this label somewhere in the training data ("seen"), and of the others."""
    known = {(entity.text, entity.label) for entity in train}
    return split_scores(gold, predicted, lambda entity: "seen" if (entity.text, entity.label) in known else "unseen")


def mapped(entities: Iterable[Entity], labels: Mapping[str, str]) -> list[Entity]:
    """The entities with their labels replaced; those whose label is not in `labels` are left out."""
    return [entity._replace(label=labels[entity.label]) for entity in entities if entity.label in labels]


def out_of_domain(gold: Iterable[Entity], predicted: Iterable[Entity]) -> Scores:
    """Score predictions with CoNLL-2003's labels on gold with those of WNUT-17."""
    common = set(WNUT_TO_CONLL.values())
    return score(mapped(gold, WNUT_TO_CONLL), [entity for entity in predicted if entity.label in common])
