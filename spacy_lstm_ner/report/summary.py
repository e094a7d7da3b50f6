"""The summary of a report: a few sentences made from the figures."""

from collections.abc import Iterator, Mapping
from typing import Any, Optional

from .counts import SEEN

LEAST_ENTITIES = 50
"""Groups with fewer gold entities say little, so the summary leaves them out."""


def percent(value: Optional[float]) -> str:
    """A share in percent, a dash for None."""
    return "–" if value is None else f"{100 * value:.1f}"


def summarize(figures: Mapping[str, Any]) -> Iterator[str]:
    """Say where the pipeline is weakest. What the figures do not tell is left out.

    Args:
        figures (Mapping[str, Any]): What `figures.compute` returned.

    Yields:
        str: At most five sentences.
    """
    if label := _weakest(figures["by_type"], 1):
        own = figures["by_type"][label]
        gold = own["tp"] + own["fn"]
        yield f"The type with the lowest F is {label}: {percent(own['f'])}, with {gold:,} gold entities."
    if figures["error_groups"]:
        top, errors = figures["error_groups"][0], count_errors(figures)
        yield f"The largest group of errors is “{error_name(top)}”: {top['count']:,} of {errors:,} errors."
    seen = figures["groups"].get("seen", {})
    if SEEN[0] in seen and SEEN[2] in seen:
        yield (
            f"F is {percent(seen[SEEN[0]]['f'])} for entities whose text the training data has with their type, and "
            f"{percent(seen[SEEN[2]]['f'])} for those whose text it does not have."
        )
    lengths = figures["groups"]["entity_length"]
    if group := _weakest(lengths, LEAST_ENTITIES):
        yield (
            f"Of the lengths with at least {LEAST_ENTITIES} gold entities, “{group}” has the lowest F: "
            f"{percent(lengths[group]['f'])}."
        )
    if figures["confidence"] is not None:
        yield largest_gap(figures["confidence"])


def _weakest(groups: Mapping[str, Any], least: int) -> Optional[str]:
    """The group with the lowest F, if there are several with enough gold entities."""
    rows = {name: row["f"] for name, row in groups.items() if row["tp"] + row["fn"] >= least}
    return min(rows, key=lambda name: rows[name]) if len(rows) > 1 else None


def error_name(group: Mapping[str, Any]) -> str:
    """The name of a group of errors."""
    return f"{group['kind']}: {group['gold']} → {group['found']}"


def count_errors(figures: Mapping[str, Any]) -> int:
    """The number of pairs that are not right."""
    return sum(n for kind, n in figures["errors"].items() if kind != "right")


def largest_gap(confidence: Mapping[str, Any]) -> str:
    """A sentence on the bin of entities whose probabilities are farthest from the share that is right."""
    worst = max(confidence["bins"], key=lambda own: abs(own["confidence"] - own["precision"]))
    return (
        f"The largest gap of the calibration: {worst['entities']:,} found entities have a mean probability of "
        f"{worst['confidence']:.3f}, and the share of them that is right is {worst['precision']:.3f}."
    )
