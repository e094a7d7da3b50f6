"""Trust limits: which of a teacher's spans are entities, which are none, and which are in doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Optional

import numpy as np

from ..data.annotated_file import Entity, Record

LEAST_SPANS = 20
"""The fewest spans on one side of a limit that say something about it."""


class Limits(NamedTuple):
    """The limits of scores.

    Attributes:
        low (float): Spans with a lower score are no entities.
        high (float): Spans with at least this score are entities. Those between are in doubt: their tokens are missing.
    """

    low: float = 0.2
    high: float = 0.7


class Judged(NamedTuple):
    """A teacher's span on gold.

    Attributes:
        score (float): Its score.
        is_right (bool): Whether it is a gold entity.
        is_none (bool): Whether no gold entity is there, so that not only its limits or its label are wrong.
    """

    score: float
    is_right: bool
    is_none: bool


def calibrate(spans: Sequence[Judged], level: float) -> Limits:
    """Find the limits at which a teacher is right often enough.

    Args:
        spans (Sequence[Judged]): The teacher's spans on annotated texts.
        level (float): The share of spans from the upper limit on that must be right, and of those below the lower one
            that must be where no entity is.

    Returns:
        Limits: The limits between which the fewest spans are.

    Raises:
        ValueError: If the spans from no limit on are right often enough.
    """
    table = np.array(spans, dtype=float).reshape(-1, 3)
    values, right, none = table[np.argsort(-table[:, 0], kind="stable")].T
    n, hits = np.arange(1, len(values) + 1), np.cumsum(right)
    # A limit is between two scores that differ.
    cut = np.append(values[1:] < values[:-1], True) & (n >= LEAST_SPANS)
    enough = np.flatnonzero(cut & (hits >= level * n))
    if not len(enough):
        best = float((hits / n)[cut].max(initial=0.0))
        raise ValueError(
            f"of the teacher's {len(values)} spans on gold, at most {best:.0%} are right from any score on, and not "
            f"{level:.0%}. Ask for a lower --level, or give the limits with --limits"
        )
    high = float(values[enough[-1]])
    below, invented = len(values) - n, none.sum() - np.cumsum(none)
    low = np.flatnonzero(cut & (below >= LEAST_SPANS) & (invented >= level * below) & (values <= high))
    return Limits(float(values[low[0]]) if len(low) else 0.0, high)


def right_share(agreement: Optional[float], f1: float) -> float:
    """Estimate which share of an annotation is right, by a judge that has not seen it.

    Errors of the annotation are no errors of the judge. So if q of the spans are right, it agrees with them q times as
    often as with people.

    Args:
        agreement (Optional[float]): The F1 of the judge on the annotation; None if there is nothing to compare.
        f1 (float): Its F1 on what people annotated.

    Returns:
        float: The share, from 0.6 to 0.99.
    """
    share = (agreement or 0.0) / f1 if f1 else 1.0
    return min(max(share, 0.6), 0.99)


def trusted(record: Record, limits: Limits, labels: Mapping[str, str], is_complete: bool = True) -> Record:
    """Read what a teacher says as annotation.

    Args:
        record (Record): A text with the teacher's spans. A span without a score is an entity.
        limits (Limits): The trust limits.
        labels (Mapping[str, str]): The label of the student for a label of the teacher; empty for none. Others stay.
        is_complete (bool): Whether text outside of the spans is in no entity.

    Returns:
        Record: The text with its entities, and with the spans in doubt as missing parts.
    """
    spans, missing = [], list(record.missing)
    for span in relabeled(record.spans, labels):
        if span.score is None or span.score >= limits.high:
            spans.append(span)
        elif span.score >= limits.low:
            missing.append((span.start, span.end))
    return replace(record, spans=spans, missing=missing, complete=record.complete and is_complete)


def relabeled(spans: Sequence[Entity], labels: Mapping[str, str]) -> list[Entity]:
    """Give spans the labels of the student. Those whose label has none are left out."""
    named = (span._replace(label=labels.get(span.label, span.label)) for span in spans)
    return [span for span in named if span.label]
