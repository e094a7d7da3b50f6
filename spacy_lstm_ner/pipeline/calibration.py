"""Does an entity of probability 0.8 turn out right eight times in ten? Measuring that, and mending it.

A temperature is fitted to held-out annotation by maximum likelihood (Guo et al. 2017): first one for all scores of the
chain of tags, by the likelihood of the annotated tags; then one for the log odds of each label's entities, by the
likelihood that they are right, where a label has entities enough. No temperature changes which analysis is the best.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np
from spacy.training import Example
from thinc.api import Model

from ..annotation.gold import chain_gold, gold_tags
from ..annotation.gold_report import GoldReport
from ..layers.crf.head import label_numbers
from ..layers.crf.likelihood import Gold, chain_loss
from ..layers.crf.span_probability import soften
from ..tags import MISSING, tags_to_spans
from ..types import Bools, Floats, Ints
from .predict import Chains, find_spans, read_chains, span_scores

LEAST_ENTITIES = 100
"""A label with fewer predicted entities gets no temperature of its own."""
DOCS_AT_ONCE = 64
RANGE = (-3.0, 3.0)
"""The log of the smallest and the largest temperature that is tried."""


class Bin(NamedTuple):
    """Entities of neighbouring scores: mean score, share that is right, and how many."""

    confidence: float
    precision: float
    entities: int


class Reliability(NamedTuple):
    """How far scores can be trusted.

    ece: expected calibration error, the mean distance of confidence and precision over the bins, weighted by size.
    brier: mean squared distance of the score from 1 (right) or 0 (wrong).
    """

    ece: float
    brier: float
    bins: List[Bin]


class Scored(NamedTuple):
    """Predicted entities of annotated docs: scores, label numbers, whether right, and the number of each one's doc."""

    scores: Floats
    labels: Ints
    right: Bools
    docs: Ints


def reliability(scores: Floats, right: Bools, n_bins: int = 10) -> Reliability:
    """Compare scores with outcomes, in bins of equally many entities.

    scores (n,): probabilities. right (n,): whether each entity is right.
    """
    order = np.argsort(scores, kind="stable")
    bins = []
    for part in np.array_split(order, n_bins):
        if len(part):
            bins.append(Bin(float(scores[part].mean()), float(right[part].mean()), len(part)))
    n = max(len(scores), 1)
    ece = sum(abs(b.confidence - b.precision) * b.entities for b in bins) / n
    brier = float(((scores - right) ** 2).sum() / n)
    return Reliability(ece, brier, bins)


def fit(model: Model[Any, Any], examples: Sequence[Example], labels: Sequence[str], cfg: Dict[str, Any]) -> None:
    """Fit the temperatures to annotated examples and keep them in the head of the model.

    examples: their predicted docs hold what the components before this one make of them.
    Raises ValueError if there is no entity to fit them to: of tokens outside alone, the likeliest temperature is just
    the lowest.
    """
    head = model.get_ref("head")
    head.attrs.update(temperature=1.0, label_temperatures=[])
    batches = _annotated(model, examples, labels, cfg)
    if not any((gold.tags >= 0).any() for _, gold, _ in batches):
        raise ValueError("calibrate: no token of the data carries an entity annotation")
    if not any((gold.tags > 0).any() for _, gold, _ in batches):
        raise ValueError(
            "calibrate: the data has no entity of a label that the model knows, and temperatures cannot be fitted to "
            "tokens outside entities alone"
        )

    def of_tags(temperature: float) -> float:
        total = 0.0
        for chains, gold, _ in batches:
            at = chains.at_temperature(temperature)
            total += chain_loss(at.emissions, at.tokens.lengths, gold, at.transitions).value
        return total

    head.attrs["temperature"] = _best_temperature(of_tags)
    if abs(math.log(head.attrs["temperature"])) > RANGE[1] - 0.02:
        warnings.warn(
            f"calibrate: the best temperature is {head.attrs['temperature']:.3g}, the limit of those that are tried, "
            f"{math.exp(RANGE[0]):.3g} to {math.exp(RANGE[1]):.3g}: the data says too little, or that the scores are "
            "far from probabilities. Calibrate on more data that the model was not trained on",
            stacklevel=2,
        )
    found = _score(batches, head)
    head.attrs["label_temperatures"] = [_label_temperature(found, number) for number in range(len(labels))]


def _label_temperature(found: Scored, number: int) -> float:
    own = found.labels == number
    if own.sum() < LEAST_ENTITIES or found.right[own].all() or not found.right[own].any():
        return 1.0
    scores, right = found.scores[own], found.right[own]

    def of_entities(temperature: float) -> float:
        p = soften(scores, np.full(len(scores), temperature))
        return float(-np.log(np.clip(np.where(right, p, 1.0 - p), 1e-12, 1.0)).sum())

    return _best_temperature(of_entities)


def _best_temperature(loss: Callable[[float], float]) -> float:
    """The temperature of the smallest loss, by golden-section search over its logarithm."""
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    low, high = RANGE
    if loss(math.exp(low)) == loss(1.0) == loss(math.exp(high)):
        # Nothing depends on it, for example where there are no labels.
        return 1.0
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = loss(math.exp(left)), loss(math.exp(right))
    while high - low > 0.01:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = loss(math.exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = loss(math.exp(right))
    return math.exp((low + high) / 2.0)


def score(model: Model[Any, Any], examples: Sequence[Example], labels: Sequence[str], cfg: Dict[str, Any]) -> Scored:
    """The entities that the model finds in annotated examples.

    Those that touch unannotated tokens are left out; those on entities of a label that the model lacks are wrong.
    """
    return _score(_annotated(model, examples, labels, cfg), model.get_ref("head"))


def _score(batches: Sequence[Tuple[Chains, Gold, Bools]], head: Model[Any, Any]) -> Scored:
    columns: List[Tuple[Any, ...]] = []
    first_doc = 0
    for chains, gold, annotated in batches:
        spans = find_spans(chains)
        starts = np.cumsum(chains.tokens.lengths) - chains.tokens.lengths
        true = tags_to_spans(np.maximum(gold.tags, 0), starts, chains.transitions.scheme)
        real = set(zip(*(column.tolist() for column in true), strict=True))
        right = np.array([span in real for span in zip(*(c.tolist() for c in spans), strict=True)], dtype=bool)
        unknown = np.cumsum(np.concatenate([[0], ~annotated]))
        judged = unknown[spans.ends] == unknown[spans.starts]
        doc = first_doc + np.searchsorted(np.cumsum(chains.tokens.lengths), spans.starts, side="right")
        columns.append(tuple(c[judged] for c in (span_scores(chains, spans, head), spans.labels, right, doc)))
        first_doc += len(chains.tokens.lengths)
    if not columns:
        return Scored(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64))
    return Scored(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def _annotated(
    model: Model[Any, Any], examples: Sequence[Example], labels: Sequence[str], cfg: Dict[str, Any]
) -> List[Tuple[Chains, Gold, Bools]]:
    """The chains of the examples, their gold tags, and where there is annotation of any label; some docs at a time."""
    numbers, found = label_numbers(labels, model.get_ref("head")), []
    own_labels = labels if cfg["other_labels"] == "outside" else None
    for k in range(0, len(examples), DOCS_AT_ONCE):
        part = examples[k : k + DOCS_AT_ONCE]
        chains = read_chains(model, [example.predicted for example in part], labels, cfg)
        tags = np.concatenate([gold_tags(example, numbers, GoldReport(), own_labels) for example in part])
        own = chain_gold(tags, chains.tokens, chains.transitions.scheme)
        in_entity = np.concatenate([example.get_aligned("ENT_IOB") for example in part] or [[]])
        other = np.isin(np.array(in_entity, dtype=object), (1, 3))[chains.tokens.rows]
        found.append((chains, Gold(own, chains.allowed), (own != MISSING) | other))
    return found
