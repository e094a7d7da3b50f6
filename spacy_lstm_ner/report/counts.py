"""Counts of right and wrong entities: overall, by type and by group, in the four ways of SemEval-2013, and by error."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np

from ..tags import OUTSIDE, Spans, spans_to_tags
from ..types import Ints
from .judge import Entity, Judged, Seen

WAYS = ("strict", "exact", "partial", "type")
NONE = "O"
"""Stands for no entity in the confusion matrix."""


class Counts(NamedTuple):
    """Counts of entities.

    Attributes:
        tp (int): Predicted entities that are right.
        fp (int): Predicted entities that are wrong.
        fn (int): Gold entities that were not found.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Any) -> "Counts":
        return Counts(*(one + two for one, two in zip(self, other, strict=True)))

    def scores(self) -> dict[str, Optional[float]]:
        """Precision, recall and F from 0 to 1 as `p`, `r`, `f`; None where there is nothing to count."""
        tp, fp, fn = self
        parts = {"p": (tp, tp + fp), "r": (tp, tp + fn), "f": (2 * tp, 2 * tp + fp + fn)}
        return {name: part / whole if whole else None for name, (part, whole) in parts.items()}

    def figures(self) -> dict[str, Any]:
        """The counts and the scores."""
        return {**self._asdict(), **self.scores()}


def count_labels(docs: Sequence[Judged]) -> tuple[list[str], Ints]:
    """Count right and wrong entities for each doc and type.

    Args:
        docs (Sequence[Judged]): The docs.

    Returns:
        tuple[list[str], Ints]: The types that occur, and (docs, types, 3) the counts tp, fp and fn.
    """
    labels = sorted({entity.label for doc in docs for entity in (*doc.gold, *doc.found)})
    number = {label: k for k, label in enumerate(labels)}
    counts = np.zeros((len(docs), len(labels), 3), dtype=np.int64)
    for own, doc in zip(counts, docs, strict=True):
        for entity, right in zip(doc.found, doc.right, strict=True):
            own[number[entity.label], 0 if right else 1] += 1
        for entity, met in zip(doc.gold, doc.met, strict=True):
            own[number[entity.label], 2] += not met
    return labels, counts


def count_groups(
    docs: Sequence[Judged], group_of: Callable[[Judged, Entity], str], order: Sequence[str]
) -> dict[str, Counts]:
    """Count right and wrong entities by group.

    Args:
        docs (Sequence[Judged]): The docs.
        group_of (Callable[[Judged, Entity], str]): The group of an entity.
        order (Sequence[str]): All groups.

    Returns:
        dict[str, Counts]: The counts of each group that occurs.
    """
    counts = dict.fromkeys(order, Counts())
    for doc in docs:
        for entity, right in zip(doc.found, doc.right, strict=True):
            counts[group_of(doc, entity)] += Counts(int(right), int(not right))
        for entity, met in zip(doc.gold, doc.met, strict=True):
            counts[group_of(doc, entity)] += Counts(fn=int(not met))
    return {name: own for name, own in counts.items() if any(own)}


ENTITY_LENGTHS = ("1 token", "2 tokens", "3 tokens", "4 tokens and more")
DOC_LENGTHS = {
    20: "up to 20 tokens",
    50: "21 to 50 tokens",
    200: "51 to 200 tokens",
    1000: "201 to 1000 tokens",
    10**9: "over 1000 tokens",
}
CASINGS = ("Capitalized", "UPPER CASE", "lower case", "miXed", "no case (digits, signs, some scripts)")
SEEN = ("seen with this type", "seen with other types only", "unseen")
GROUPS: dict[str, Sequence[str]] = {
    "seen": SEEN,
    "entity_length": ENTITY_LENGTHS,
    "document_length": [*DOC_LENGTHS.values()],
    "casing": CASINGS,
}
"""The groups of each way to divide entities, in order."""


def entity_length(doc: Judged, entity: Entity) -> str:
    """The group of ENTITY_LENGTHS of an entity."""
    return ENTITY_LENGTHS[min(entity.end - entity.start, len(ENTITY_LENGTHS)) - 1]


def doc_length(doc: Judged, entity: Entity) -> str:
    """The group of DOC_LENGTHS of an entity's doc."""
    return next(name for most, name in DOC_LENGTHS.items() if len(doc.limits) <= most)


def casing(doc: Judged, entity: Entity) -> str:
    """The group of CASINGS of an entity."""
    text = doc.text_of(entity.start, entity.end)
    if not any(char.isupper() or char.islower() for char in text):
        return CASINGS[4]
    if text.isupper() or text.islower():
        return CASINGS[1 if text.isupper() else 2]
    return CASINGS[0 if (text[0].isupper() and text[1:].islower()) or text.istitle() else 3]


def seen_before(seen: Seen) -> Callable[[Judged, Entity], str]:
    """A function that finds the group of SEEN of an entity, for the entities of the training data."""

    def group_of(doc: Judged, entity: Entity) -> str:
        text = doc.text_of(entity.start, entity.end)
        return SEEN[0 if (text, entity.label) in seen.typed else 1 if text in seen.texts else 2]

    return group_of


def count_four_ways(docs: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Compare in the four ways of SemEval-2013 task 9.1, with the matching that nervaluate has.

    Each predicted entity takes the gold entity that it matches, or else the first one that it overlaps and that none
    before it has taken. "strict" compares tokens and type, "exact" tokens only, "type" the types of overlapping
    entities. "partial" compares tokens, and an overlap counts half.

    Args:
        docs (Sequence[Judged]): The docs.

    Returns:
        dict[str, dict[str, Any]]: For each of WAYS the counts `correct`, `incorrect`, `partial`, `missed`, `spurious`,
            and the scores `p`, `r`, `f`.
    """
    results = {}
    for way in WAYS:
        counts = Counter({"correct": 0, "incorrect": 0, "partial": 0, "missed": 0, "spurious": 0})
        for doc in docs:
            counts.update(_outcomes(doc, way))
        met = counts["correct"] + counts["partial"] / 2
        both = counts["correct"] + counts["incorrect"] + counts["partial"]
        found, gold = both + counts["spurious"], both + counts["missed"]
        parts = {"p": (met, found), "r": (met, gold), "f": (2 * met, found + gold)}
        results[way] = {**counts, **{name: part / whole if whole else None for name, (part, whole) in parts.items()}}
    return results


def _outcomes(doc: Judged, way: str) -> Iterator[str]:
    left = set(range(len(doc.gold)))
    for entity, numbers in zip(doc.found, doc.touching(), strict=True):
        near = [number for number in numbers if number in left]
        matching = [number for number in near if _matches(way, doc.gold[number], entity)]
        if not near:
            yield "spurious"
            continue
        left.remove(min(matching or near[:1], key=lambda number: _distance(doc.gold[number], entity)))
        yield "correct" if matching else "partial" if way == "partial" else "incorrect"
    yield from ["missed"] * len(left)


def _distance(gold: Entity, found: Entity) -> int:
    return abs(gold.start - found.start) + abs(gold.end - found.end)


def _matches(way: str, gold: Entity, entity: Entity) -> bool:
    tokens, label = gold[:2] == entity[:2], gold.label == entity.label
    return (tokens and label) if way == "strict" else label if way == "type" else tokens


def count_tokens(docs: Sequence[Judged]) -> dict[str, Any]:
    """Count the tokens with the right BIO tag, of those that have annotation.

    Args:
        docs (Sequence[Judged]): The docs.

    Returns:
        dict[str, Any]: The number of tokens, and the shares `accuracy` and `accuracy_in_entities`.
    """
    total = right = inside = right_inside = 0
    for doc in docs:
        numbers = {label: k for k, label in enumerate({entity.label for entity in (*doc.gold, *doc.found)})}
        gold, found = (_bio(entities, len(doc.limits), numbers) for entities in (doc.gold, doc.found))
        same, in_entity = (gold == found) & doc.annotated, gold != OUTSIDE
        total, right = total + int(doc.annotated.sum()), right + int(same.sum())
        inside, right_inside = inside + int(in_entity.sum()), right_inside + int((same & in_entity).sum())
    return {
        "tokens": total,
        "accuracy": right / total if total else None,
        "accuracy_in_entities": right_inside / inside if inside else None,
    }


def _bio(entities: Sequence[Entity], length: int, numbers: dict[str, int]) -> Ints:
    rows, end = [], 0
    for entity in sorted(entities):
        # Entities can overlap where the tokens of the pipeline are not those of the data.
        if entity.start >= end:
            rows.append((entity.start, entity.end, numbers[entity.label]))
            end = entity.end
    return spans_to_tags(Spans(*np.array(rows, dtype=np.int64).reshape(-1, 3).T), length)


@dataclass
class Pair:
    """A gold entity and what was predicted in its place.

    Attributes:
        doc (int): The number of the doc.
        gold (Optional[Entity]): The gold entity; None if there is none.
        found (Optional[Entity]): The predicted entity; None if there is none.
    """

    doc: int
    gold: Optional[Entity]
    found: Optional[Entity]

    @property
    def kind(self) -> str:
        """One of KINDS."""
        if self.gold is None or self.found is None:
            return "spurious" if self.gold is None else "missed"
        boundary, label = self.gold[:2] != self.found[:2], self.gold.label != self.found.label
        return "boundary and type" if boundary and label else "boundary" if boundary else "type" if label else "right"

    @property
    def start(self) -> int:
        """The first token of either."""
        return min(entity.start for entity in (self.gold, self.found) if entity is not None)

    @property
    def end(self) -> int:
        """The token after the last one of either."""
        return max(entity.end for entity in (self.gold, self.found) if entity is not None)

    @property
    def labels(self) -> tuple[str, str]:
        """The gold and the predicted type, NONE for no entity."""
        return self.gold.label if self.gold else NONE, self.found.label if self.found else NONE


KINDS = ("right", "type", "boundary", "boundary and type", "missed", "spurious")


def pair_up(docs: Sequence[Judged]) -> list[Pair]:
    """Pair gold entities with predicted ones that overlap: first equal ones, then the same tokens, the same type, and
    the most shared tokens. Each entity is in one pair.

    Args:
        docs (Sequence[Judged]): The docs.

    Returns:
        list[Pair]: The pairs, in the order of the docs.
    """
    pairs = []
    for number, doc in enumerate(docs):
        near = [(gold, found) for found, golds in enumerate(doc.touching()) for gold in golds]
        near.sort(key=lambda pair: _rank(doc.gold[pair[0]], doc.found[pair[1]]))
        gold_left, found_left = dict.fromkeys(range(len(doc.gold))), dict.fromkeys(range(len(doc.found)))
        own = []
        for gold, found in near:
            if gold in gold_left and found in found_left:
                own.append(Pair(number, doc.gold[gold], doc.found[found]))
                del gold_left[gold], found_left[found]
        own.extend(Pair(number, doc.gold[gold], None) for gold in gold_left)
        own.extend(Pair(number, None, doc.found[found]) for found in found_left)
        pairs.extend(sorted(own, key=lambda pair: pair.start))
    return pairs


def _rank(gold: Entity, found: Entity) -> tuple[bool, bool, bool, int]:
    tokens, label = gold[:2] != found[:2], gold.label != found.label
    return tokens or label, tokens, label, -gold.overlap(found)


def confusion(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Count pairs by gold type (rows) and predicted type (columns). The last of both is NONE.

    Args:
        pairs (Sequence[Pair]): The pairs.

    Returns:
        dict[str, Any]: The `labels`, and the `counts` as a list of rows.
    """
    table = Counter(pair.labels for pair in pairs)
    labels = [*sorted({label for both in table for label in both} - {NONE}), NONE]
    return {"labels": labels, "counts": [[table[row, column] for column in labels] for row in labels]}
