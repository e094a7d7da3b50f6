"""Calibration: make entities with a probability of 0.8 right eight times in ten, and measure how far they are from it.

Temperatures are fitted to held-out annotation (Guo et al. 2017). First, one temperature for all scores of the chain of
tags, by the likelihood of the annotated tags. Then, for each label with enough entities, one temperature for the log
odds of its entities, by the likelihood that they are right. Temperatures do not change which analysis is the best.

A temperature T has a prior, which is log-normal around 1, so that little data does not change it much. T minimizes

    -sum log p_T + (ln T)^2 / (2 PRIOR_SD^2)

where the sum goes over the annotation. Without the prior, the best temperature of data without mistakes is 0.
`benchmarks/calibration_prior.py` compares values of PRIOR_SD.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model

from ..annotation.chain import IOB_BEGIN, IOB_INSIDE
from ..annotation.gold import chain_gold, gold_tags
from ..annotation.gold_report import GoldReport
from ..layers.crf.head import NOVELTY
from ..layers.crf.likelihood import Gold, chain_loss
from ..layers.crf.span_probability import soften
from ..tags import MISSING, Spans, tags_to_spans
from ..types import Bools, Floats, Ints
from .bound_tagger import BoundTagger
from .novelty import Novelty, read_training
from .novelty_fit import fit_doubt, fit_weights, novel_copies
from .predict import Chains, candidates, divided, read_chains

LEAST_ENTITIES = 100
"""With fewer predicted entities, `calibrate` warns, and a label gets no temperature of its own."""
LEAST_WRONG = 10
"""With fewer wrong entities, `calibrate` warns."""
PRIOR_SD = 0.5
"""The standard deviation of the logarithm of a temperature before any data: 95 % of them are from 0.38 to 2.66."""
LEAST_LIKELY = 0.02
"""With the decoding "expected_f", label temperatures and novelty are fitted to all entities with this probability."""
DOCS_AT_ONCE = 64
STAGES = 6
"""How often `calibrate` fits or scores."""
RANGE = (-3.0, 3.0)
"""The logarithms of the smallest and the largest temperature to try."""


Annotated = Tuple[Chains, Gold, Bools]
"""A batch of examples: its chains, their gold tags, and which tokens have annotation of any label."""


class Bin(NamedTuple):
    """Entities of similar scores.

    Attributes:
        confidence (float): The mean score.
        precision (float): The share of entities that are right.
        entities (int): The number of entities.
    """

    confidence: float
    precision: float
    entities: int


class Reliability(NamedTuple):
    """How far scores can be trusted.

    Attributes:
        ece (float): The expected calibration error: the mean difference between confidence and precision over the bins,
            weighted by size.
        brier (float): The Brier score: the mean squared difference between the score and 1 (right) or 0 (wrong).
        bins (List[Bin]): The bins, by increasing confidence.
    """

    ece: float
    brier: float
    bins: List[Bin]


class Scored(NamedTuple):
    """Predicted entities of annotated docs.

    Attributes:
        scores (Floats): (n,) Their probabilities.
        labels (Ints): (n,) Their label numbers.
        right (Bools): (n,) Whether each entity is right.
        docs (Ints): (n,) The number of the doc of each entity.
        features (Floats): (n, 2) How new each entity is, see `novelty.entity_novelty`; zeros if that is not known.
    """

    scores: Floats
    labels: Ints
    right: Bools
    docs: Ints
    features: Floats


def reliability(scores: Floats, right: Bools, n_bins: int = 10) -> Reliability:
    """Compare scores with outcomes, in bins of equally many entities.

    Args:
        scores (Floats): (n,) The probability of each entity.
        right (Bools): (n,) Whether each entity is right.
        n_bins (int): The number of bins.

    Returns:
        Reliability: The figures.
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


def calibrate(
    tagger: BoundTagger,
    examples: Sequence[Example],
    training: Optional[Iterable[Doc]] = None,
    prepare: Callable[[Doc], Doc] = lambda doc: doc,
    on_stage: Callable[[], object] = lambda: None,
) -> Tuple[Reliability, Reliability]:
    """Fit the temperatures to annotated examples, and measure the effect.

    With the training texts, it also learns what novelty means, see `novelty`.

    Args:
        tagger (BoundTagger): The model; its head keeps the temperatures.
        examples (Sequence[Example]): Examples that the model was not trained on. Earlier components have annotated
            their predicted docs. Examples without entity annotation are left out.
        training (Optional[Iterable[Doc]]): The annotated texts that the model was trained on.
        prepare (Callable[[Doc], Doc]): Processes a new text with the components before this one.
        on_stage (Callable[[], object]): Called at the end of each of the STAGES.

    Returns:
        Tuple[Reliability, Reliability]: Before calibration, and after. "After" is cross-fitted: each half of the
            examples is scored with temperatures fitted to the other half. The model keeps temperatures that are fitted
            to all examples.

    Raises:
        ValueError: If there are not enough examples or entities.
    """
    examples = [example for example in examples if example.reference.has_annotation("ENT_IOB")]
    if len(examples) < 2:
        raise ValueError(f"expected at least two docs with entity annotation, found {len(examples)}")
    halves = examples[0::2], examples[1::2]
    if not all(any(example.reference.ents for example in half) for half in halves):
        raise ValueError(
            "expected entities in both halves, of every other doc each, found "
            f"{sum(len(example.reference.ents) for example in examples)} entities in {len(examples)} docs"
        )
    novelty = None if training is None else read_training(training)
    if novelty is None and NOVELTY in tagger.head.attrs:
        warnings.warn(
            f"'{tagger.name}': calibrate has no training data, so the model forgets what it learned about novelty "
            "before, and gives texts no doubt. Give the training data again (--train) to keep this",
            stacklevel=2,
        )
    before = score(tagger, examples)
    on_stage()
    wrong = len(before.right) - int(before.right.sum())
    if len(before.right) < LEAST_ENTITIES or wrong < LEAST_WRONG:
        warnings.warn(
            f"'{tagger.name}': calibrate has {len(before.right)} predicted entities, {wrong} of them wrong. That is "
            f"too little to learn how often the model is wrong: use held-out data with at least {LEAST_ENTITIES} "
            f"predicted entities, {LEAST_WRONG} of them wrong",
            stacklevel=2,
        )
    after = []
    for fitted_to, scored in (halves[::-1], halves):
        fit(tagger, fitted_to, novelty, prepare)
        on_stage()
        after.append(score(tagger, scored))
        on_stage()
    fit(tagger, examples, novelty, prepare)
    on_stage()
    scores, right = (np.concatenate([getattr(half, name) for half in after]) for name in ("scores", "right"))
    return reliability(before.scores, before.right), reliability(scores, right)


def fit(
    tagger: BoundTagger,
    examples: Sequence[Example],
    novelty: Optional[Novelty] = None,
    prepare: Callable[[Doc], Doc] = lambda doc: doc,
) -> None:
    """Fit the temperatures and what novelty means to annotated examples, and keep this in the head of the model.

    Args:
        tagger (BoundTagger): The model.
        examples (Sequence[Example]): The examples. Earlier components have annotated their predicted docs.
        novelty (Optional[Novelty]): What the training texts have; None to fit the temperatures only.
        prepare (Callable[[Doc], Doc]): Processes a new text with the components before this one.

    Raises:
        ValueError: If the examples have no entity. Fitted to tokens outside entities only, the temperature is always
            the lowest one.
    """
    head = tagger.head
    head.attrs.update(temperature=1.0, label_temperatures=[])
    head.attrs.pop(NOVELTY, None)
    batches = annotated_chains(tagger, examples)
    if not any((gold.tags >= 0).any() for _, gold, _ in batches):
        raise ValueError("calibrate: no token of the data has an entity annotation")
    if not has_entities(batches):
        raise ValueError(
            "calibrate: the data has no entity with a label that the model knows, and temperatures cannot be fitted to "
            "tokens outside entities only"
        )
    least = fit_temperatures(tagger, batches)
    if abs(math.log(head.attrs["temperature"])) > RANGE[1] - 0.02:
        warnings.warn(
            f"calibrate: the best temperature is {head.attrs['temperature']:.3g}, at the end of the range that is "
            f"tried, {math.exp(RANGE[0]):.3g} to {math.exp(RANGE[1]):.3g}. The scores are far from probabilities: "
            "calibrate on data that the model was not trained on",
            stacklevel=2,
        )
    if novelty is not None:
        _fit_novelty(tagger, examples, novelty, prepare, least)


def has_entities(batches: Iterable[Annotated]) -> bool:
    """Whether annotated examples have an entity with a label that the model knows."""
    return any((gold.tags > 0).any() for _, gold, _ in batches)


def fit_temperatures(tagger: BoundTagger, batches: Sequence[Annotated]) -> Optional[Floats]:
    """Fit the temperatures to annotated examples, and keep them in the head of the model.

    Args:
        tagger (BoundTagger): The model.
        batches (Sequence[Annotated]): The examples, from `annotated_chains`.

    Returns:
        Optional[Floats]: (n_labels,) The smallest probability of the entities that count; None if those of the best
            sequences do.
    """
    head = tagger.head
    head.attrs.update(temperature=1.0, label_temperatures=[])

    def loss_of_tags(temperature: float) -> float:
        total = 0.0
        for chains, gold, _ in batches:
            at = chains.at_temperature(temperature)
            total += chain_loss(at.emissions, at.tokens.lengths, gold, at.transitions).value
        return total

    head.attrs["temperature"] = _best_temperature(loss_of_tags)
    # With "expected_f", entities compete that are not in the best sequence, so their probabilities count too.
    by_set = tagger.settings.decoding == "expected_f"
    least = np.full(len(tagger.labels), LEAST_LIKELY) if by_set else None
    found = score_chains(batches, head, least)
    head.attrs["label_temperatures"] = [_label_temperature(found, number) for number in range(len(tagger.labels))]
    return least


def _fit_novelty(
    tagger: BoundTagger,
    examples: Sequence[Example],
    novelty: Novelty,
    prepare: Callable[[Doc], Doc],
    least: Optional[Floats],
) -> None:
    """Learn what novelty means, after the temperatures, and keep it in the head. least: as in `score_chains`."""
    head = tagger.head
    head.attrs[NOVELTY] = novelty._asdict()
    novelty = fit_doubt(tagger, novelty, [example.reference for example in examples], prepare)
    head.attrs[NOVELTY] = novelty._asdict()
    parts = (examples, novel_copies(examples, prepare))
    found = [score_chains(annotated_chains(tagger, part), head, least) for part in parts]
    scores, features, right = (
        np.concatenate([getattr(part, name) for part in found]) for name in ("scores", "features", "right")
    )
    is_copy = np.repeat([False, True], [len(part.scores) for part in found])
    weights = fit_weights(scores, features, right, is_copy)
    head.attrs[NOVELTY] = novelty._replace(weights=weights)._asdict()


def _label_temperature(found: Scored, number: int) -> float:
    own = found.labels == number
    if own.sum() < LEAST_ENTITIES or found.right[own].all() or not found.right[own].any():
        return 1.0
    scores, right = found.scores[own], found.right[own]

    def loss_of_entities(temperature: float) -> float:
        p = soften(scores, np.full(len(scores), temperature))
        return float(-np.log(np.clip(np.where(right, p, 1.0 - p), 1e-12, 1.0)).sum())

    return _best_temperature(loss_of_entities)


def _best_temperature(loss: Callable[[float], float]) -> float:
    """The temperature of the smallest loss with the prior, by golden-section search over its logarithm."""
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    low, high = RANGE
    if loss(math.exp(low)) == loss(1.0) == loss(math.exp(high)):
        # The loss does not depend on it, for example without labels.
        return 1.0

    def objective(log_temperature: float) -> float:
        return loss(math.exp(log_temperature)) + log_temperature**2 / (2.0 * PRIOR_SD**2)

    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = objective(left), objective(right)
    while high - low > 0.01:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = objective(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = objective(right)
    return math.exp((low + high) / 2.0)


def score(tagger: BoundTagger, examples: Sequence[Example]) -> Scored:
    """Score the entities that the model finds in annotated examples.

    Entities that touch tokens without annotation are left out. Where the gold entity has a label that the model does
    not have, a predicted entity is wrong.

    Args:
        tagger (BoundTagger): The model.
        examples (Sequence[Example]): The examples.

    Returns:
        Scored: The predicted entities.
    """
    return score_chains(annotated_chains(tagger, examples), tagger.head)


def score_chains(batches: Sequence[Annotated], head: Model[Any, Any], least: Optional[Floats] = None) -> Scored:
    """Score the entities of annotated examples that were read before.

    Args:
        batches (Sequence[Annotated]): The examples, from `annotated_chains`.
        head (Model[Any, Any]): The head of the tagger.
        least (Optional[Floats]): The smallest probability for each label (n_labels,): all likely entities are scored.
            None: those of the best sequences.

    Returns:
        Scored: The entities.
    """
    columns: List[Tuple[Any, ...]] = []
    first_doc = 0
    for chains, gold, annotated in batches:
        spans, scores = candidates(chains, head, least)
        _, right, judged = outcomes(chains, gold, annotated, spans)
        doc = first_doc + np.searchsorted(np.cumsum(chains.tokens.lengths), spans.starts, side="right")
        newness = chains.newness
        features = np.zeros((len(right), 2)) if newness is None else newness.features(chains.tokens, spans)
        columns.append(tuple(column[judged] for column in (scores, spans.labels, right, doc, features)))
        first_doc += len(chains.tokens.lengths)
    if not columns:
        numbers = np.zeros(0, dtype=np.int64)
        return Scored(np.zeros(0), numbers, np.zeros(0, dtype=bool), numbers, np.zeros((0, 2)))
    return Scored(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def outcomes(chains: Chains, gold: Gold, annotated: Bools, spans: Spans) -> Tuple[Spans, Bools, Bools]:
    """Compare entities with the annotation.

    Args:
        chains (Chains): The chains.
        gold (Gold): The gold tags, see `annotated_chains`.
        annotated (Bools): (M,) Which tokens have annotation.
        spans (Spans): n entities, in rows of the chains.

    Returns:
        Tuple[Spans, Bools, Bools]: The gold entities; (n,) whether each entity is one of them; (n,) whether all of its
            tokens have annotation.
    """
    true = tags_to_spans(np.maximum(gold.tags, 0), chains.tokens.starts, chains.transitions.scheme)
    real = set(zip(*(column.tolist() for column in true), strict=True))
    right = np.array([span in real for span in zip(*(c.tolist() for c in spans), strict=True)], dtype=bool)
    unknown = np.cumsum(np.concatenate([[0], ~annotated]))
    return true, right, unknown[spans.ends] == unknown[spans.starts]


def annotated_chains(tagger: BoundTagger, examples: Sequence[Example]) -> List[Annotated]:
    """Read examples in batches. Earlier components have annotated their predicted docs."""
    numbers, found = tagger.label_numbers, []
    own_labels = tagger.labels if tagger.settings.other_labels == "outside" else None
    for part in divided(examples, lambda example: len(example.predicted), DOCS_AT_ONCE) if examples else ():
        chains = read_chains(tagger, [example.predicted for example in part])
        tags = np.concatenate([gold_tags(example, numbers, GoldReport(), own_labels) for example in part])
        own = chain_gold(tags, chains.tokens, chains.transitions.scheme)
        iob = np.concatenate([example.get_aligned("ENT_IOB") for example in part] or [[]])
        of_any_label = np.isin(np.array(iob, dtype=object), (IOB_INSIDE, IOB_BEGIN))[chains.tokens.rows]
        found.append((chains, Gold(own, chains.allowed), (own != MISSING) | of_any_label))
    return found
