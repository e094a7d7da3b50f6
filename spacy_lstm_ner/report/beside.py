"""The sections of a report on two pipelines, or on two data sets: the same figures beside each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from .counts import GROUPS, Counts
from .sections import MEANT, SCORED, TITLES, Section, Table, error_groups, examples_of, with_interval
from .summary import percent

SCORES = {"f": "F", "p": "Precision", "r": "Recall"}
"""F first: on a telephone, the last columns are out of sight."""
NOTHING = Counts().figures()


def make_comparisons(figures: Mapping[str, Any]) -> list[Section]:
    """Make the sections on what else was given.

    Args:
        figures (Mapping[str, Any]): What `figures.compute` returned, and what the command adds: `other`, what
            `figures.compare` returned, and `other_data`, what `figures.compare_data` returned.

    Returns:
        list[Section]: The sections, in order.
    """
    makers = {"other": _other, "other_data": _other_data}
    return [make(figures) for name, make in makers.items() if figures.get(name)]


def _other(figures: Mapping[str, Any]) -> Section:
    own = figures["other"]
    section, (f, other_f) = Section("other", "The other pipeline"), own["f"]
    section.text.append(
        f"This pipeline: {own['first']}, F {percent(f)}. The other pipeline: {own['second']}, F {percent(other_f)}."
    )
    section.text += _difference(own, "paired bootstrap over documents")
    section.tables.append(_by_type("Both by type", figures, own))
    section.text.append(
        f"The lists show what the pipeline that does not find the gold entity has there. {MEANT} {SCORED}"
    )
    for key, names in (("only_first", ("this", "the other")), ("only_second", ("the other", "this one"))):
        title = "Found by {} pipeline, not by {}".format(*names)
        by_type = ", ".join(f"{label} {n}" for label, n in own[key]["by_type"].items())
        section.text.append(f"{title}: {own[key]['count']:,} gold entities" + (f" ({by_type})." if by_type else "."))
        if own[key]["examples"]:
            section.examples.append(examples_of(title, own[key]["examples"], own[key]["count"], evenly=True))
    return section


def _difference(own: Mapping[str, Any], how: str) -> Iterator[str]:
    if own["interval"]:
        low, high = own["interval"]
        yield (
            f"The difference is {100 * own['difference']:+.2f} points, with the 95 % interval {100 * low:+.2f} to "
            f"{100 * high:+.2f}; p = {own['p_value']:.3f} ({how})."
        )


def _by_type(title: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], gold: bool = False) -> Table:
    sides = [{None: own["overall"], **own["by_type"]} for own in (ours, theirs)]
    return _beside(title, "Type", [None, *sorted({*ours["by_type"], *theirs["by_type"]})], sides, gold)


def _beside(
    title: str, first: str, names: Iterable[Optional[str]], sides: Sequence[Mapping[Any, Any]], gold: bool = False
) -> Table:
    """The scores of rows, and with `gold` their gold entities, each beside those of the other side."""
    header = [first, *(title for score in SCORES.values() for title in (score, "other"))]
    header += ["Gold", "other"] if gold else []
    rows = []
    for name in names:
        own = [side.get(name, NOTHING) for side in sides]
        scores = [percent(row[key]) for key in SCORES for row in own]
        counts = [str(row["tp"] + row["fn"]) for row in own] if gold else []
        rows.append(["All" if name is None else name, *scores, *counts])
    return Table(title, header, rows)


def _other_data(figures: Mapping[str, Any]) -> Section:
    own = figures["other_data"]
    section = Section("other-data", "The other data")
    f, other_f = (with_interval(side["overall"], "f") for side in (figures, own))
    section.text.append(
        f"These data: {figures['data']}, {figures['documents']:,} documents, F {f}. The other data: {own['data']}, "
        f"{own['documents']:,} documents, F {other_f}."
    )
    section.text += _difference(own, "bootstrap over the documents of each, drawn apart")
    section.text += [f"The other data: {note}" for note in own["notes"]]
    section.text.append(
        "The tables show whether the entities differ or the pipeline: data with more unseen, long or rare entities are "
        "harder."
    )
    section.tables += [_by_type("Both data by type", figures, own, gold=True), _kinds(figures, own)]
    for name, title in TITLES.items():
        sides = [side["groups"].get(name, {}) for side in (figures, own)]
        names = [group for group in GROUPS[name] if any(group in side for side in sides)]
        if names:
            title = f"Both data: {title[0].lower()}{title[1:]}"
            section.tables.append(_beside(title, "Group", names, sides, gold=True))
    if figures["confidence"] and own["confidence"]:
        section.tables.append(_confidence(figures["confidence"], own["confidence"]))
    ways = figures["four_ways"], own["four_ways"]
    section.tables.append(_beside("Both data in four ways of matching", "Way", ways[0], ways))
    section.tables += error_groups(own, "The largest groups of errors in the other data")
    return section


def _kinds(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Table:
    """The kinds of errors, as shares of all pairs."""
    sides = ours["errors"], theirs["errors"]
    rows = [
        [kind, *(str(own[kind]) for own in sides), *(percent(own[kind] / max(sum(own.values()), 1)) for own in sides)]
        for kind in sides[0]
    ]
    return Table("Both data: how the entities divide", ("Kind", "Count", "other", "Percent", "other"), rows)


def _confidence(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Table:
    names = {"ece": "Expected calibration error", "brier": "Brier score"}
    rows = [[name, *(f"{own[key]:.3f}" for own in (ours, theirs))] for key, name in names.items()]
    bests = [own["best"] for own in (ours, theirs)]
    rows.append(["Threshold with the best F", *(f"{best['threshold']:.2f}" for best in bests)])
    rows.append(["F with this threshold", *(percent(best["f"]) for best in bests)])
    return Table("Both data: confidence", ("Figure", "These data", "other"), rows)
