"""The sections of a report: what the page and the Markdown file show of the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

NO_SCORES = (
    "Not all found entities have a probability, so there is nothing here. An lstm_ner gives them if its "
    "setting score_attr is set; for other components, name their attribute of ent._ with --score-attr."
)
TITLES = {
    "seen": "By whether the training data has the text",
    "entity_length": "By length of the entity",
    "document_length": "By length of the document",
    "casing": "By casing of the entity",
}
MOST_TYPES = 30


@dataclass
class Table:
    """A table.

    Attributes:
        title (str): What it shows.
        header (Sequence[str]): The titles of the columns.
        rows (Sequence[Sequence[str]]): The cells. The first one names the row.
        shades (Optional[Sequence[Sequence[float]]]): How dark each cell after the first is, from 0 to 1.
        words (bool): Whether the cells are words and not numbers.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    shades: Optional[Sequence[Sequence[float]]] = None
    words: bool = False


@dataclass
class Section:
    """A section of the report.

    Attributes:
        name (str): A short name for links.
        title (str): The title.
        text (list[str]): Sentences about it.
        charts (list[str]): The names of its charts.
        tables (list[Table]): Its tables.
        examples (list[tuple[str, Sequence[Any]]]): Lists of places in context, each with a title.
    """

    name: str
    title: str
    text: list[str] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    examples: list[tuple[str, Sequence[Any]]] = field(default_factory=list)


def make_sections(figures: Mapping[str, Any]) -> list[Section]:
    """Make the sections of a report.

    Args:
        figures (Mapping[str, Any]): What `figures.compute` returned, with `other` and `notes`.

    Returns:
        list[Section]: The sections, in order.
    """
    made = [_scores(figures), _errors(figures), _confusion(figures), _mistakes(figures), _groups(figures)]
    made += [_confidence(figures), _doubts(figures), _ways(figures)]
    return [*made, _other(figures["other"])] if figures["other"] else made


def percent(value: Optional[float]) -> str:
    """A share in percent, a dash for None."""
    return "–" if value is None else f"{100 * value:.1f}"


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    interval = row.get(f"{name}_interval")
    return percent(row[name]) + (f" ({percent(interval[0])}–{percent(interval[1])})" if interval else "")


def _score_row(name: str, row: Mapping[str, Any]) -> list[str]:
    cells = [str(row["tp"] + row["fn"]), str(row["tp"] + row["fp"]), str(row["tp"])]
    return [name, *(_with_interval(row, key) for key in "prf"), *cells]


SCORE_HEADER = ("Precision", "Recall", "F", "Gold", "Found", "Right")


def _scores(figures: Mapping[str, Any]) -> Section:
    overall, tokens = figures["overall"], figures["tokens"]
    text = [
        f"In {figures['documents']:,} documents with {overall['tp'] + overall['fn']:,} entities, the pipeline finds "
        f"{overall['tp'] + overall['fp']:,}, and {overall['tp']:,} of them are right: they have the "
        "same tokens and the same type."
    ]
    if figures["samples"]:
        text.append(
            f"Scores are in percent. In brackets are 95 % intervals, from {figures['samples']:,} bootstrap samples of "
            "the documents. They show how much the scores would vary with other documents of the same kind."
        )
    text.append(
        f"Of {tokens['tokens']:,} tokens, {percent(tokens['accuracy'])} % have the right tag, and of those in gold "
        f"entities {percent(tokens['accuracy_in_entities'])} %."
    )
    rows = [_score_row("All", overall), *(_score_row(label, row) for label, row in figures["by_type"].items())]
    charts = ["by_type"] if figures["by_type"] else []
    return Section("scores", "Scores", text, charts, [Table("By type", ("Type", *SCORE_HEADER), rows)])


def _errors(figures: Mapping[str, Any]) -> Section:
    meanings = {
        "right": "The same tokens and the same type.",
        "type": "The same tokens, another type.",
        "boundary": "The same type, other tokens that overlap.",
        "boundary and type": "Another type, and other tokens that overlap.",
        "missed": "Nothing was found in place of the gold entity.",
        "spurious": "There is no gold entity in place of what was found.",
    }
    kinds = [(kind, str(n), meanings[kind]) for kind, n in figures["errors"].items()]
    groups = [
        (
            f"{row['kind']}: {row['gold']} → {row['found']}",
            str(row["count"]),
            f"{percent(row['share'])} %",
            ", ".join(row["texts"]),
        )
        for row in figures["error_groups"]
    ]
    tables = [Table("Kinds of errors", ("Kind", "Count", "Meaning"), kinds, words=True)]
    if groups:
        header = ("Error: gold → found", "Count", "Of all errors", "Most frequent")
        tables.insert(0, Table("The largest groups of errors", header, groups, words=True))
    text = ["Each gold entity is paired with at most one found entity that overlaps it. O stands for no entity."]
    return Section("errors", "Errors", text, tables=tables)


def _confusion(figures: Mapping[str, Any]) -> Section:
    labels, counts = figures["confusion"]["labels"], figures["confusion"]["counts"]
    section = Section("confusion", "Confusion of types")
    section.text.append(
        "Rows are the gold types, columns the found ones, with the same or overlapping tokens. The last column counts "
        "missed entities, the last row spurious ones."
    )
    if len(labels) > MOST_TYPES:
        section.text.append(f"There are {len(labels) - 1} types, too many for a table; report.json has all counts.")
        return section
    # The root, so that a few errors can be seen beside many hits.
    shades = [[(n / max(sum(row), 1)) ** 0.5 for n in row] for row in counts]
    rows = [[label, *(str(n) if n else "·" for n in row)] for label, row in zip(labels, counts, strict=True)]
    section.tables.append(Table("Gold in rows, found in columns", ("Gold", *labels), rows, shades))
    return section


def _mistakes(figures: Mapping[str, Any]) -> Section:
    section = Section("mistakes", "Mistakes in context")
    scored = figures["confidence"] is not None
    if figures["mistakes"]:
        title = "The most confident mistakes" if scored else "Mistakes, from all parts of the data"
        section.examples.append((title, figures["mistakes"]))
    else:
        section.text.append("No found entity is wrong.")
    if figures["missed"]:
        section.examples.append(("Missed entities, from all parts of the data", figures["missed"]))
    else:
        section.text.append("No gold entity was missed.")
    if scored and figures["least_confident_hits"]:
        section.examples.append(("Right, with the smallest probability", figures["least_confident_hits"]))
    return section


def _groups(figures: Mapping[str, Any]) -> Section:
    section = Section("groups", "By group")
    section.text.append(
        "The group of a right entity is the same in gold and found; a wrong one has the group of its own text."
    )
    if "seen" not in figures["groups"]:
        section.text.append("To tell seen from unseen entities, name the training data with --train.")
    for name, groups in figures["groups"].items():
        rows = [_score_row(group, row) for group, row in groups.items()]
        section.tables.append(Table(TITLES[name], ("Group", *SCORE_HEADER), rows))
    return section


def _confidence(figures: Mapping[str, Any]) -> Section:
    section, own = Section("confidence", "Confidence"), figures["confidence"]
    if own is None:
        section.text.append(NO_SCORES)
        return section
    best = own["best"]
    section.text += [
        f"The expected calibration error is {own['ece']:.3f}, the Brier score {own['brier']:.3f}. Of entities with a "
        "probability of 0.8, eight in ten should be right: then the points are on the diagonal.",
        f"The threshold with the best F on these data is {best['threshold']:.2f}: precision {percent(best['p'])}, "
        f"recall {percent(best['r'])}, F {percent(best['f'])}. Choose a threshold on other "
        "data than you report scores on.",
    ]
    section.charts = ["reliability", "thresholds"]
    bins = [(f"{b['confidence']:.3f}", f"{b['precision']:.3f}", str(b["entities"])) for b in own["bins"]]
    rows = [(f"{row['threshold']:.2f}", *(percent(row[key]) for key in "prf")) for row in own["thresholds"][::10]]
    section.tables = [
        Table("Reliability", ("Mean probability", "Share right", "Entities"), bins),
        Table("By threshold", ("Threshold", "Precision", "Recall", "F"), rows),
    ]
    return section


def _doubts(figures: Mapping[str, Any]) -> Section:
    section = Section("annotation", "Suspected errors of the annotation")
    if not figures["reviewed"]:
        section.text.append("Only an lstm_ner can judge annotation, and the pipeline has none.")
        return section
    section.text.append(
        "Here the model gives what is annotated a small probability, and its own finding a large one. Many of the "
        "first places are errors of the annotation; the others are mistakes of the model. The score is the probability "
        "of the suggestion, times the probability that the annotation is wrong. Data that the model was trained on "
        "shows few."
    )
    section.text.append(f"{figures['suspected']:,} places have a score of 0.5 or more.")
    if figures["doubts"]:
        section.examples.append(("The most suspect places", figures["doubts"]))
    return section


def _ways(figures: Mapping[str, Any]) -> Section:
    section = Section("ways", "Four ways of matching")
    section.text.append(
        "SemEval-2013 compares in four ways: strict (tokens and type), exact (tokens only), partial (tokens, an "
        "overlap counts half) and type (the type of entities that overlap)."
    )
    names = ("correct", "incorrect", "partial", "missed", "spurious")
    rows = [
        [way, *(str(own[name]) for name in names), *(percent(own[key]) for key in "prf")]
        for way, own in figures["four_ways"].items()
    ]
    header = ("Way", *(name.capitalize() for name in names), "Precision", "Recall", "F")
    section.tables.append(Table("Strict, exact, partial and type", header, rows))
    return section


def _other(own: Mapping[str, Any]) -> Section:
    section, (f, other_f) = Section("other", "The other pipeline"), own["f"]
    section.text.append(f"{own['first']} has an F of {percent(f)}, {own['second']} has {percent(other_f)}.")
    if own["interval"]:
        low, high = own["interval"]
        section.text.append(
            f"The difference is {100 * own['difference']:+.2f} points, with the 95 % interval {100 * low:+.2f} to "
            f"{100 * high:+.2f}; p = {own['p_value']:.3f} (paired bootstrap over documents)."
        )
    for key, name in (("only_first", own["first"]), ("only_second", own["second"])):
        by_type = ", ".join(f"{label} {n}" for label, n in own[key]["by_type"].items())
        section.text.append(
            f"Gold entities that only {name} finds: {own[key]['count']}" + (f" ({by_type})." if by_type else ".")
        )
        if own[key]["examples"]:
            # The examples show what the pipeline that does not find them finds in their place.
            section.examples.append((f"Only {name} finds; below is what the other one finds", own[key]["examples"]))
    return section
