"""Thresholds for the choice of entities by their probability, fitted to annotation or to the model's own expectation.

Notation
--------
t       the threshold
S       the chosen entities: of all sets without overlaps, the one with the largest sum of p - t
p       the probability of an entity
G       the gold entities; E|G| is the sum of the probabilities of all entities
F       F-beta, the harmonic mean of precision and recall with weight beta^2 on recall (beta = 1: F1)

The expected F is close to (1 + beta^2) sum_S p / (|S| + beta^2 E|G|), a ratio of expectations. The set with the largest
ratio F* is the S of the threshold t = F* / (1 + beta^2) (Dinkelbach 1967; Ye, Chai, Lee & Chieu 2012 for F).
"""

from collections.abc import Iterable, Sequence
from typing import List, NamedTuple, Optional

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from ..layers.crf.likely_spans import best_set
from ..tags import Spans
from ..types import Bools, Floats, Ints
from .bound_tagger import BoundTagger
from .calibration import Annotated, annotated_chains, outcomes
from .predict import candidates, in_parts, likely_entities, read_chains, select

LEAST_THRESHOLD = 0.02
"""Entities with a lower probability are not considered when a threshold is searched for."""
GRID: Floats = np.round(np.arange(LEAST_THRESHOLD, 0.985, 0.01), 2)
"""The thresholds to try."""
SMOOTHED = 7
"""How many thresholds to each side F is averaged over."""


class Judged(NamedTuple):
    """The entities that annotated docs may get, and which of them are right.

    Attributes:
        by_set (bool): Whether the best set of them is chosen, as "expected_f" does, or each that reaches its threshold.
        spans (Spans): n entities, in rows of all docs, ordered by start.
        scores (Floats): Their probabilities (n,).
        right (Bools): Whether each is a gold entity (n,).
        docs (Ints): The number of the doc of each (n,).
        gold (Ints): The number of gold entities in each doc, for each label of the model (n_docs, n_labels).
    """

    by_set: bool
    spans: Spans
    scores: Floats
    right: Bools
    docs: Ints
    gold: Ints

    def choose(self, thresholds: Floats) -> Ints:
        """The numbers of the entities that are chosen with a threshold for each label (n_labels,)."""
        needed = thresholds[self.spans.labels]
        reach = np.flatnonzero(self.scores >= needed)
        if not self.by_set:
            return reach
        spans, scores = select(self.spans, self.scores, reach)
        return reach[best_set(spans, scores - needed[reach])]

    def counts(self, thresholds: Floats) -> "tuple[Ints, Ints]":
        """How many entities are chosen, and how many of them are right, for each doc and label (n_docs, n_labels)."""
        chosen = self.choose(thresholds)
        found, right = np.zeros_like(self.gold), np.zeros_like(self.gold)
        place = self.docs[chosen], self.spans.labels[chosen]
        np.add.at(found, place, 1)
        np.add.at(right, place, self.right[chosen].astype(np.int64))
        return found, right


def judge(tagger: BoundTagger, examples: Sequence[Example]) -> Judged:
    """Find the entities that annotated docs may get with any threshold, by the component's decoding.

    Entities that touch tokens without annotation are left out. Gold entities with labels that the model does not know
    do not count, but make found entities wrong.

    Args:
        tagger (BoundTagger): The model.
        examples (Sequence[Example]): The examples. Earlier components have annotated their predicted docs.

    Returns:
        Judged: The entities.
    """
    return judge_chains(tagger, annotated_chains(tagger, examples))


def judge_chains(tagger: BoundTagger, batches: Iterable[Annotated]) -> Judged:
    """Like `judge`, of examples that `annotated_chains` has read."""
    by_set = tagger.settings.decoding == "expected_f"
    least = np.full(len(tagger.labels), LEAST_THRESHOLD)
    columns, counts, first_doc, first_row = [], [np.zeros((0, len(least)), dtype=np.int64)], 0, 0
    for chains, gold, annotated in batches:
        spans, scores = candidates(chains, tagger.head, least if by_set else None)
        true, right, known = outcomes(chains, gold, annotated, spans)
        (spans, scores), right = select(spans, scores, known), right[known]
        ends = np.cumsum(chains.tokens.lengths)
        doc, true_doc = (np.searchsorted(ends, starts, side="right") for starts in (spans.starts, true.starts))
        counts.append(np.zeros((len(ends), len(least)), dtype=np.int64))
        np.add.at(counts[-1], (true_doc, true.labels), 1)
        columns.append((spans.starts + first_row, spans.ends + first_row, spans.labels, scores, right, doc + first_doc))
        first_doc, first_row = first_doc + len(ends), first_row + len(annotated)
    starts, ends, labels, scores, right, docs = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return Judged(by_set, Spans(starts, ends, labels), scores, right, docs, np.concatenate(counts))


def f_beta(found: float, right: float, gold: float, beta: float = 1.0) -> float:
    """Compute F-beta.

    Args:
        found (float): The number of found entities.
        right (float): How many of them are right.
        gold (float): The number of gold entities.
        beta (float): The weight of recall.

    Returns:
        float: F-beta from 0 to 1; 0 if there are neither found nor gold entities.
    """
    return (1.0 + beta**2) * right / max(found + beta**2 * gold, 1e-12)


def fit_threshold(judged: Judged, beta: float = 1.0, by_label: Optional[Floats] = None) -> float:
    """Find the threshold for all labels with the largest F-beta on annotated docs.

    Args:
        judged (Judged): The entities of the docs.
        beta (float): The weight of recall.
        by_label (Optional[Floats]): The thresholds of labels that have their own, else 0 (n_labels,).

    Returns:
        float: The threshold.
    """
    gold, scores = float(judged.gold.sum()), []
    own = np.zeros(judged.gold.shape[1]) if by_label is None else by_label
    for threshold in GRID:
        found, right = judged.counts(np.where(own, own, threshold))
        scores.append(f_beta(float(found.sum()), float(right.sum()), gold, beta))
    # The mean over near thresholds: F on a small dev set has peaks by chance.
    padded = np.pad(scores, SMOOTHED, mode="edge")
    smooth = np.convolve(padded, np.full(2 * SMOOTHED + 1, 1.0), mode="valid")
    # Of equally good ones, the nearest to that of the theory.
    best = np.flatnonzero(smooth >= smooth.max() - 1e-9)
    theory = scores[best[0]] / (1.0 + beta**2)
    return float(GRID[best[np.argmin(np.abs(GRID[best] - theory))]])


def own_thresholds(tagger: BoundTagger) -> Floats:
    """(n_labels,) The thresholds of labels that have their own, else 0."""
    return np.array([tagger.settings.label_thresholds.get(label, 0.0) for label in tagger.labels])


def expected_threshold(tagger: BoundTagger, docs: List[Doc], beta: float = 1.0) -> float:
    """Find the threshold with the largest F-beta that the model expects of texts without annotation.

    Args:
        tagger (BoundTagger): The model. Its probabilities should be calibrated.
        docs (List[Doc]): The texts, as earlier components have processed them.
        beta (float): The weight of recall.

    Returns:
        float: The threshold.

    Raises:
        ValueError: If the texts have no likely entity.
    """
    columns, first_row, least = [], 0, np.full(len(tagger.labels), LEAST_THRESHOLD / 2)
    for part in in_parts(tagger, docs):
        chains = read_chains(tagger, part)
        found, p = likely_entities(chains, tagger.head, least)
        columns.append((found.starts + first_row, found.ends + first_row, found.labels, p))
        first_row += len(chains.tokens.rows)
    starts, ends, labels, scores = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    spans = Spans(starts, ends, labels)
    if not len(scores):
        raise ValueError(
            f"'{tagger.name}': the docs have no likely entity, so no threshold is the best: give more docs"
        )
    threshold, gold = 0.5, float(scores.sum())
    for _ in range(50):
        reach = np.flatnonzero(scores >= threshold)
        own, p = select(spans, scores, reach)
        chosen = best_set(own, p - threshold)
        best = f_beta(float(len(chosen)), float(p[chosen].sum()), gold, beta) / (1.0 + beta**2)
        if abs(best - threshold) < 1e-6:
            break
        threshold = best
    return min(max(threshold, LEAST_THRESHOLD), 1.0)
