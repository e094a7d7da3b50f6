"""Promises about precision or recall: the thresholds that keep them, with a stated confidence.

Learn then test (Angelopoulos, Bates, Candes, Jordan & Lei 2021): the thresholds of a fixed grid are tested one after
the other, from the safest on. The null hypothesis of each test is that the threshold breaks the promise. All thresholds
before the first one that is not rejected keep it. The order does not depend on the outcome. So the chance that one of
them breaks it is at most 1 - confidence, however many are tested.

Entities of one document are right or wrong together more often than by chance. So a test of entities as if they were
independent is too sure of itself. Here the sample counts as smaller: the number of entities is divided by the design
effect, the variance of the rate between documents over that of independent entities, and the exact binomial test
(Clopper & Pearson 1934) gets this number (Korn & Graubard 1998). `benchmarks/guarantees.py` compares the tests.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from ..types import Bools, Floats, Ints
from .span_choice import GRID, Judged, f_beta

THRESHOLDS: Floats = np.concatenate([GRID, [0.985, 0.99, 0.995, 0.998, 0.999]])
"""The thresholds to test."""
LEAST_DOCS = 20
"""With fewer documents, the design effect cannot be estimated, and nothing is promised."""
CONFIDENCE = 0.9
_FORM = re.compile(r"(precision|recall)(?:\s+(\S.*?))?\s*>=\s*([0-9.]+)(?:\s+at\s+([0-9.]+))?")


class Promise(NamedTuple):
    """What is promised of the texts that are like the data.

    Attributes:
        measure (str): "precision" or "recall".
        label (Optional[str]): The label, or None for all labels together.
        level (float): The least precision or recall.
        confidence (float): The probability that the promise is kept, over the choice of the annotated texts.
    """

    measure: str
    label: Optional[str]
    level: float
    confidence: float

    def __str__(self) -> str:
        label = "" if self.label is None else f" {self.label}"
        return f"{self.measure}{label} >= {self.level} at {self.confidence}"


def parse_promise(text: str, labels: Sequence[str]) -> Promise:
    """Read a promise such as "precision PER >= 0.95 at 0.9".

    Args:
        text (str): The promise. Without a label, it is about all labels together; without "at", the confidence is 0.9.
        labels (Sequence[str]): The labels of the model.

    Returns:
        Promise: The promise.

    Raises:
        ValueError: If the text has another form, an unknown label, or a rate that is not between 0 and 1.
    """
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(f'guarantee {text!r}: expected a text such as "precision PER >= 0.95 at 0.9"')
    measure, label, *numbers = found.groups()
    if label is not None and label not in labels:
        raise ValueError(f"guarantee {text!r}: there is no label {label}; the model has {', '.join(labels)}")
    try:
        level, confidence = (CONFIDENCE if number is None else float(number) for number in numbers)
    except ValueError:
        wrong = " or ".join(number for number in numbers if number is not None)
        raise ValueError(f"guarantee {text!r}: {wrong} is not a number") from None
    if not (0.0 < level < 1.0 and 0.0 < confidence < 1.0):
        raise ValueError(f"guarantee {text!r}: rate and confidence must be greater than 0 and less than 1")
    return Promise(measure, label, level, confidence)


class Trial(NamedTuple):
    """What the thresholds of the grid make of annotated docs.

    Attributes:
        found (Ints): The entities that are found, for each threshold and doc (n_thresholds, n_docs).
        right (Ints): How many of them are right (n_thresholds, n_docs).
        gold (Ints): The gold entities of each doc (n_docs,).
    """

    found: Ints
    right: Ints
    gold: Ints

    def whole(self, measure: str) -> Ints:
        """What the right ones are a share of: the found entities for precision, the gold entities for recall."""
        return self.found if measure == "precision" else np.broadcast_to(self.gold, self.found.shape)


def try_thresholds(judged: Judged, thresholds: Floats, free: Ints, counted: Ints) -> Trial:
    """Count the entities of docs for each threshold of the grid.

    Args:
        judged (Judged): The entities.
        thresholds (Floats): The thresholds of all labels (n_labels,).
        free (Ints): The numbers of the labels that get the threshold of the grid instead.
        counted (Ints): The numbers of the labels whose entities count.

    Returns:
        Trial: The counts.
    """
    found, right = [], []
    for threshold in THRESHOLDS:
        own = thresholds.copy()
        own[free] = threshold
        counts = judged.counts(own)
        found.append(counts[0][:, counted].sum(axis=1))
        right.append(counts[1][:, counted].sum(axis=1))
    return Trial(np.array(found), np.array(right), judged.gold[:, counted].sum(axis=1))


def effective_size(right: Ints, whole: Ints) -> float:
    """Compute how many independent entities say as much about a rate as these.

    Args:
        right (Ints): The right entities of each doc (n_docs,).
        whole (Ints): The entities that they are a share of (n_docs,).

    Returns:
        float: The number, at most that of the entities.
    """
    n, n_docs = float(whole.sum()), len(whole)
    # One more mistake, so that data without a mistake does not look as if it could have none.
    rate = float(right.sum()) / (n + 1.0)
    independent = rate * (1.0 - rate) * n
    between = float(((right - rate * whole) ** 2).sum()) * n_docs / max(n_docs - 1, 1)
    return n / max(between / max(independent, 1e-12), 1.0)


def chance(right: float, n: float, level: float) -> float:
    """Compute the chance of at least so many right ones if the rate is only the level (exact binomial test).

    Args:
        right (float): How many are right.
        n (float): Of how many independent ones. Both need not be whole numbers.
        level (float): The rate.

    Returns:
        float: The chance.
    """
    return 1.0 if right <= 0.0 else _incomplete_beta(right, n - right + 1.0, level)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    # The fraction from its end. It converges after about sqrt(max(a, b)) terms.
    value = 1.0
    for k in range(100 + 10 * math.isqrt(int(max(a, b))), 0, -1):
        m = k // 2
        if k % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        value = 1.0 + step / value
    return math.exp(front) / value


def p_value(right: Ints, whole: Ints, promise: Promise) -> float:
    """Compute the chance of this outcome, or a better one, if the promise was broken.

    A promise is about new texts, which are a sample too. So that it is kept in a sample as large as this one, and not
    only in the mean of all samples, the effective size is halved: the difference of two samples varies twice as much.

    Args:
        right (Ints): The right entities of each doc (n_docs,).
        whole (Ints): The entities that they are a share of (n_docs,).
        promise (Promise): The promise.

    Returns:
        float: The p-value.
    """
    n = effective_size(right, whole) / 2.0
    return chance(n * float(right.sum()) / max(float(whole.sum()), 1.0), n, promise.level)


def keeping(trial: Trial, promise: Promise, test: Callable[[Ints, Ints, Promise], float] = p_value) -> Bools:
    """Find the thresholds of the grid that keep a promise.

    The tests of recall begin at the lowest threshold, and those of precision at the highest one with twice as many
    found entities as a test without a mistake needs. This depends on the probabilities, and not on what is right.

    Args:
        trial (Trial): The outcomes.
        promise (Promise): The promise.
        test (Callable[[Ints, Ints, Promise], float]): The test, see `p_value`.

    Returns:
        Bools: Whether each threshold keeps it (n_thresholds,).
    """
    order, whole = np.arange(len(THRESHOLDS)), trial.whole(promise.measure)
    if promise.measure == "precision":
        least = 4.0 * math.log(1.0 - promise.confidence) / math.log(promise.level)
        order = order[trial.found.sum(axis=1) >= least][::-1]
    kept = np.zeros(len(THRESHOLDS), dtype=bool)
    for k in order.tolist():
        if test(trial.right[k], whole[k], promise) > 1.0 - promise.confidence:
            break
        kept[k] = True
    return kept


def guarantee(
    judged: Judged, labels: Sequence[str], settings: Mapping[str, Any], promises: Sequence[Promise]
) -> Dict[str, Any]:
    """Find thresholds that keep promises.

    Of the thresholds that keep all promises about a label, the one with the best F1 is chosen. Promises about all
    labels together set the threshold of the labels that have none of their own.

    Args:
        judged (Judged): The entities of annotated docs that neither the model nor its temperatures were fitted to.
        labels (Sequence[str]): The labels of the model.
        settings (Mapping[str, Any]): The settings of the component.
        promises (Sequence[Promise]): The promises.

    Returns:
        Dict[str, Any]: The changed settings: `threshold`, `label_thresholds` and `guarantees`.

    Raises:
        ValueError: If the data is too little, or no threshold keeps a promise.
    """
    if promises and len(judged.gold) < LEAST_DOCS:
        raise ValueError(f"guarantees need at least {LEAST_DOCS} annotated documents, found {len(judged.gold)}")
    numbers, overall = {label: number for number, label in enumerate(labels)}, settings["threshold"]
    # With "expected_f", a threshold of 0 counts as not set.
    by_label = {label: own for label, own in settings["label_thresholds"].items() if own or not judged.by_set}
    for label in [*labels, None]:
        own = [promise for promise in promises if promise.label == label]
        if not own:
            continue
        if label is None:
            free = [numbers[one] for one in labels if one not in by_label]
            if not free:
                raise ValueError(
                    f"the guarantee {own[0]} sets the threshold of labels that have none of their own, but all have "
                    "one: leave it out, or remove a label from label_thresholds or from the other guarantees"
                )
        else:
            free = [numbers[label]]
        counted = np.arange(len(labels)) if label is None else np.array(free)
        current = np.array([by_label.get(one, overall) for one in labels], dtype="float64")
        trial = try_thresholds(judged, current, np.array(free), counted)
        kept = np.logical_and.reduce([keeping(trial, promise) for promise in own])
        if not kept.any():
            raise ValueError(_refusal(trial, own, judged.by_set))
        f = [f_beta(float(n.sum()), float(k.sum()), float(trial.gold.sum())) for n, k in zip(*trial[:2], strict=True)]
        threshold = float(THRESHOLDS[int(np.argmax(np.where(kept, f, -1.0)))])
        if label is None:
            overall = threshold
        else:
            by_label[label] = threshold
    record = {str(promise): _outcome(judged, labels, overall, by_label, promise) for promise in promises}
    return {
        "threshold": overall,
        "label_thresholds": {**settings["label_thresholds"], **by_label},
        "guarantees": record,
    }


def stored_promises(settings: Mapping[str, Any]) -> Iterator[Tuple[str, Optional[str], bool]]:
    """Look up what became of the promises in settings.

    Args:
        settings (Mapping[str, Any]): The settings of the component.

    Returns:
        Iterator[Tuple[str, Optional[str], bool]]: Each promise, its label (None for all labels together), and whether
            the threshold that keeps it is still set.
    """
    for text, outcome in settings["guarantees"].items():
        form = _FORM.fullmatch(text)
        label = form and form[2]
        now = settings["label_thresholds"].get(label) if label else settings["threshold"]
        yield text, label, now == outcome.get("threshold")


def without_promises(settings: Mapping[str, Any]) -> Dict[str, Any]:
    """Remove the promises and the thresholds that keep them, so that they do not stay when the model changes.

    Args:
        settings (Mapping[str, Any]): The settings of the component.

    Returns:
        Dict[str, Any]: The changed settings: `threshold`, `label_thresholds` and `guarantees`.
    """
    overall, by_label = settings["threshold"], dict(settings["label_thresholds"])
    for _, label, is_set in stored_promises(settings):
        if is_set and label:
            by_label.pop(label, None)
        elif is_set:
            overall = 0.0
    return {"threshold": overall, "label_thresholds": by_label, "guarantees": {}}


def _outcome(
    judged: Judged, labels: Sequence[str], overall: float, by_label: Mapping[str, float], promise: Promise
) -> Dict[str, float]:
    """The record of a promise: its threshold and what it gave on the data. Promises are tested again together."""
    thresholds = np.array([by_label.get(one, overall) for one in labels], dtype="float64")
    counted = slice(None) if promise.label is None else [labels.index(promise.label)]
    found, right = (counts[:, counted].sum(axis=1)[None] for counts in judged.counts(thresholds))
    trial = Trial(found, right, judged.gold[:, counted].sum(axis=1))
    whole = trial.whole(promise.measure)[0]
    if p_value(right[0], whole, promise) > 1.0 - promise.confidence:
        raise ValueError(f"the guarantee {promise} is not kept together with the others. Leave one of them out")
    return {
        "threshold": overall if promise.label is None else by_label[promise.label],
        "measured": float(right.sum() / max(whole.sum(), 1)),
        "entities": float(whole.sum()),
        "documents": float(len(whole)),
    }


def _refusal(trial: Trial, promises: Sequence[Promise], by_set: bool) -> str:
    """Why no threshold keeps these promises."""
    for promise in promises:
        if keeping(trial, promise).any():
            continue
        whole = trial.whole(promise.measure).sum(axis=1)
        highest = (trial.right.sum(axis=1) / np.maximum(whole, 1))[whole > 0].max(initial=0.0)
        needed = _documents_needed(trial, promise)
        said = f"no threshold keeps the guarantee {promise} on {len(trial.gold)} documents"
        if math.isfinite(needed):
            return f"{said}. It needs about {needed - len(trial.gold):.0f} more documents, or a lower rate"
        if not whole.any():
            return f"{said}, because they have no such entities. Leave it out, or add documents with such entities"
        if highest > promise.level:
            # The half of them counts, see `p_value`.
            least = 2.0 * math.log(1.0 - promise.confidence) / math.log(promise.level)
            enough = f"Even without a mistake, it needs {least:,.0f} entities"
            return f"{said}. {enough}. Add documents, or lower the rate or the confidence"
        best = f"{said}: the highest {promise.measure} is {highest:.3f}. Lower the rate"
        return best if by_set or promise.measure == "precision" else f"{best}, or set decoding to 'expected_f'"
    return f"no threshold keeps {' and '.join(map(str, promises))} together. Lower one of the rates"


def _documents_needed(trial: Trial, promise: Promise) -> float:
    """How many documents like these would be enough for some threshold; infinite if no number is."""
    best = math.inf
    whole = trial.whole(promise.measure)
    for right, all_of_them in zip(trial.right, whole, strict=True):
        n, rate = effective_size(right, all_of_them) / 2.0, float(right.sum()) / max(float(all_of_them.sum()), 1.0)
        for factor in 1.25 ** np.arange(0, 26) if n and rate > promise.level else []:
            if chance(factor * n * rate, factor * n, promise.level) <= 1.0 - promise.confidence:
                best = min(best, max(math.ceil(factor * len(right)), len(right) + 1))
                break
    return best
