"""What documents say of entities, read into arrays and written back.

Notation
--------
N  tokens of all docs of the batch, laid end to end
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_IOB, ENT_TYPE, IS_SPACE, ORTH, SPACY
from spacy.tokens import Doc, Span
from spacy.training import Example, biluo_tags_to_spans

from .layers.decode import Constraints
from .tags import MISSING, OUTSIDE, Bools, Ints, Spans, spans_to_tags

IOB_MISSING, IOB_INSIDE, IOB_OUTSIDE, IOB_BEGIN = 0, 1, 2, 3
"""spaCy's values of ENT_IOB. IOB_BEGIN without a type marks a token that may not be in an entity."""

EXAMPLES_SHOWN = 3


@dataclass
class GoldReport:
    """What reading the gold entities had to mend or leave out. Counts, with the first few examples."""

    docs: int = 0
    docs_without_annotation: int = 0
    entities: int = 0
    trimmed: int = 0
    trimmed_examples: list[str] = field(default_factory=list)
    misaligned: int = 0
    misaligned_examples: list[str] = field(default_factory=list)

    def add_trimmed(self, text: str) -> None:
        self.trimmed += 1
        if len(self.trimmed_examples) < EXAMPLES_SHOWN:
            self.trimmed_examples.append(text)

    def add_misaligned(self, text: str) -> None:
        self.misaligned += 1
        if len(self.misaligned_examples) < EXAMPLES_SHOWN:
            self.misaligned_examples.append(text)


def token_constraints(docs: Sequence[Doc]) -> Constraints:
    """Where entities may begin, go on and end.

    Not on white space, except in the middle; not on a token that already is in an entity or was blocked.
    """
    arrays = [doc.to_array([ENT_IOB, ENT_TYPE, IS_SPACE]) for doc in docs if len(doc)]
    table = np.concatenate(arrays) if arrays else np.zeros((0, 3), dtype=np.uint64)
    taken = _is_preset(table[:, 0])
    space = table[:, 2] == 1
    return Constraints(begin=~(taken | space), inside=~taken, end=~(taken | space))


def _is_preset(iob: NDArray[Any]) -> Bools:
    return (iob == IOB_INSIDE) | (iob == IOB_BEGIN)


def write_entities(doc: Doc, starts: Sequence[int], ends: Sequence[int], labels: Sequence[str]) -> None:
    """Add entities to a doc in one go. Entities and blocked tokens that were there stay; every other token is O."""
    entities = [Span(doc, start, end, label=label) for start, end, label in zip(starts, ends, labels, strict=True)]
    iob = doc.to_array(ENT_IOB)
    if not _is_preset(iob).any():
        doc.set_ents(entities)
        return
    free = ~_is_preset(iob)
    for start, end in zip(starts, ends, strict=True):
        free[start:end] = False
    doc.set_ents(entities, outside=[Span(doc, *run) for run in _runs(free)], default="unmodified")


def _runs(mask: Bools) -> list[tuple[int, int]]:
    """Start and end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def gold_labels(doc: Doc) -> Counter[str]:
    """The labels of a gold doc, with the number of its entities of each."""
    return Counter(ent.label_ for ent in doc.ents if ent.label_)


def doc_tags(doc: Doc, label_numbers: Mapping[str, int]) -> Ints:
    """The tags of the entities that a doc has; every other token is O."""
    spans = [(ent.start, ent.end, label_numbers[ent.label_]) for ent in doc.ents]
    starts, ends, labels = np.array(spans, dtype=np.int64).reshape(-1, 3).T
    return spans_to_tags(Spans(starts, ends, labels), len(doc))


def gold_tags(example: Example, label_numbers: Mapping[str, int], report: GoldReport) -> Ints:
    """The gold tags of the predicted doc's tokens; MISSING where there is no annotation.

    label_numbers: the number of each label; an entity of another label is MISSING.
    Entities lose white space at their ends; one that does not align with the tokens is MISSING. Both are counted in
    `report`.
    """
    report.docs += 1
    predicted, reference = example.predicted, example.reference
    if not reference.has_annotation("ENT_IOB"):
        report.docs_without_annotation += len(predicted) > 0
        return np.full(len(predicted), MISSING, dtype=np.int64)
    if _same_tokens(predicted, reference):
        iob = reference.to_array(ENT_IOB)
        tags = np.where(iob == IOB_OUTSIDE, OUTSIDE, MISSING).astype(np.int64)
        entities = [(ent.start, ent.end, ent.label_) for ent in reference.ents]
    else:
        tags, entities = _aligned(example, report)
    report.entities += len(entities)
    kept = []
    for start, end, label in entities:
        first, last = _trim(predicted, start, end)
        if (first, last) != (start, end):
            report.add_trimmed(f"{predicted[start:end].text!r} ({label})")
            tags[start:end] = OUTSIDE if first < last else MISSING
        if label in label_numbers and first < last:
            kept.append((first, last, label_numbers[label]))
        elif first < last:
            tags[first:last] = MISSING
    if kept:
        starts, ends, labels = (np.array(column, dtype=np.int64) for column in zip(*kept, strict=True))
        entity_tags = spans_to_tags(Spans(starts, ends, labels), len(predicted), MISSING)
        tags = np.where(entity_tags == MISSING, tags, entity_tags)
    return tags


def _same_tokens(predicted: Doc, reference: Doc) -> bool:
    if len(predicted) != len(reference):
        return False
    return np.array_equal(predicted.to_array([ORTH, SPACY]), reference.to_array([ORTH, SPACY]))


def _aligned(example: Example, report: GoldReport) -> tuple[Ints, list[tuple[int, int, str]]]:
    _, biluo = example.get_aligned_ents_and_ner()
    tags = np.array([OUTSIDE if tag == "O" else MISSING for tag in biluo], dtype=np.int64)
    spans = biluo_tags_to_spans(example.predicted, [tag or "-" for tag in biluo])
    entities = [(span.start, span.end, span.label_) for span in spans if span.label_]
    lost = len(example.reference.ents) - len(entities)
    if lost > 0:
        found = {(example.predicted[start:end].text, label) for start, end, label in entities}
        for ent in example.reference.ents:
            if (ent.text, ent.label_) not in found:
                report.add_misaligned(f"{ent.text!r} ({ent.label_})")
    return tags, entities


def _trim(doc: Doc, start: int, end: int) -> tuple[int, int]:
    while start < end and doc[start].is_space:
        start += 1
    while end > start and doc[end - 1].is_space:
        end -= 1
    return start, end


def word_counts(docs: Iterable[Doc]) -> Counter[int]:
    """How often each word (orth) occurs."""
    return Counter(chain.from_iterable(doc.to_array(ORTH).tolist() for doc in docs))
