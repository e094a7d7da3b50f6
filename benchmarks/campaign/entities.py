"""Entities as tuples, and their scores: in all, by label, by what training has seen, and out of domain."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

# The types that correspond in WNUT-17 and CoNLL-2003. Other types of either are left out of scores.
WNUT_TO_CONLL = {"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"}


class Entity(NamedTuple):
    """Number of the doc, first token, token after the last, label and text."""

    doc: int
    start: int
    end: int
    label: str
    text: str


class Scores(NamedTuple):
    """Precision, recall and F1 of exact matches (None for 0/0), and the number of gold entities."""

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
    """Scores over all entities (micro average)."""
    right = len(set(gold) & set(predicted))
    p = right / len(predicted) if predicted else None
    r = right / len(gold) if gold else None
    # As in spaCy's scorer, F1 is 0 if nothing is predicted, and undefined without gold entities.
    f = 2 * right / (len(gold) + len(predicted)) if gold else None
    return Scores(p, r, f, len(gold))


def split_scores(
    gold: Iterable[Entity], predicted: Iterable[Entity], part: Callable[[Entity], str]
) -> dict[str, Scores]:
    """Scores of each part of the entities.

    Args:
        gold (Iterable[Entity]): The annotated entities.
        predicted (Iterable[Entity]): The predicted entities.
        part (Callable[[Entity], str]): Names the part of an entity. Equal entities are in the same part.

    Returns:
        dict[str, Scores]: Scores by name of the part.
    """
    gold, predicted = list(gold), list(predicted)
    names = sorted({part(entity) for entity in (*gold, *predicted)})
    return {
        name: score([e for e in gold if part(e) == name], [e for e in predicted if part(e) == name]) for name in names
    }


def by_type(gold: Iterable[Entity], predicted: Iterable[Entity]) -> dict[str, Scores]:
    """Scores of each label."""
    return split_scores(gold, predicted, lambda entity: entity.label)


def by_familiarity(gold: Iterable[Entity], predicted: Iterable[Entity], train: Iterable[Entity]) -> dict[str, Scores]:
    """Scores of entities that the training data has with this text and label ("seen"), and of the others ("unseen")."""
    known = {(entity.text, entity.label) for entity in train}
    return split_scores(gold, predicted, lambda entity: "seen" if (entity.text, entity.label) in known else "unseen")


def mapped(entities: Iterable[Entity], labels: Mapping[str, str]) -> list[Entity]:
    """The entities with other labels. Those whose label is not in `labels` are left out."""
    return [entity._replace(label=labels[entity.label]) for entity in entities if entity.label in labels]


def out_of_domain(gold: Iterable[Entity], predicted: Iterable[Entity]) -> Scores:
    """Scores of predictions with CoNLL-2003's labels on gold entities with WNUT-17's labels."""
    common = set(WNUT_TO_CONLL.values())
    return score(mapped(gold, WNUT_TO_CONLL), [entity for entity in predicted if entity.label in common])
