"""The sections of a report: what the page and the Markdown file show of the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .summary import count_errors, error_name, largest_gap, percent

NO_SCORES = (
    "Not all found entities have a probability, so there is nothing here. An lstm_ner gives them if its "
    "setting score_attr is set; for other components, name their attribute of ent._ with --score-attr."
)
TITLES = {
    "seen": "Seen in the training data or not",
    "entity_length": "By length of the entity",
    "document_length": "By length of the document",
    "casing": "By casing of the entity",
}
MEANT = "Outlined (in the Markdown: bold) are the entities at the place in question."
SCORED = "A number beside a type is the probability that the pipeline gives the entity."
MOST_TYPES = 30
MOST_EVALUATIONS = 25


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
        figures (Mapping[str, Any]): What `figures.compute` returned, and what the command adds.

    Returns:
        list[Section]: The sections, in order. `beside` makes those on a second pipeline or data set.
    """
    made = [_scores(figures), _errors(figures), _confusion(figures), _mistakes(figures), _groups(figures)]
    made += [_confidence(figures), _doubts(figures), _ways(figures)]
    if figures.get("training"):
        made.append(_training(figures["training"]))
    return made


def with_interval(row: Mapping[str, Any], name: str) -> str:
    interval = row.get(f"{name}_interval")
    return percent(row[name]) + (f" ({percent(interval[0])}–{percent(interval[1])})" if interval else "")


def _score_row(name: str, row: Mapping[str, Any]) -> list[str]:
    cells = [str(row["tp"] + row["fn"]), str(row["tp"] + row["fp"]), str(row["tp"])]
    return [name, *(with_interval(row, key) for key in "prf"), *cells]


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
        f"Of the {tokens['tokens']:,} tokens, {percent(tokens['accuracy'])} % have the right type or none, and "
        "begin an entity where they should; of the tokens inside gold entities, "
        f"{percent(tokens['accuracy_in_entities'])} %."
    )
    rows = [_score_row("All", overall), *(_score_row(label, row) for label, row in figures["by_type"].items())]
    charts = ["by_type"] if figures["by_type"] else []
    section = Section("scores", "Scores", text, charts, [Table("By type", ("Type", *SCORE_HEADER), rows)])
    if figures["guarantees"]:
        section.text.append(
            "The thresholds of the pipeline come with promises. They are about texts like those on which they were "
            "found, and not about texts of other sources."
        )
        section.tables.append(_promises(figures))
    return section


def _promises(figures: Mapping[str, Any]) -> Table:
    """What `calibrate --guarantee` has promised, and what it is on this data."""
    rows = []
    for promise, own in figures["guarantees"].items():
        measure, *label = promise.rpartition(" >= ")[0].split(" ", 1)
        row = figures["by_type"].get(label[0]) if label else figures["overall"]
        here = "-" if row is None else with_interval(row, measure[0])
        rows.append([promise, f"{own['threshold']:g}", percent(own["measured"]), f"{own['documents']:.0f}", here])
    return Table("Promises", ("Promise", "Threshold", "When found", "Documents", "Here"), rows)


def _errors(figures: Mapping[str, Any]) -> Section:
    meanings = {
        "right": "The same tokens and the same type.",
        "type": "The same tokens, another type.",
        "boundary": "The same type, other tokens that overlap.",
        "boundary and type": "Another type, and other tokens that overlap.",
        "missed": "A gold entity without a partner: nothing overlaps, or only what is in another pair.",
        "spurious": "A found entity without a partner: no gold entity overlaps, or only one in another pair.",
    }
    kinds = [(kind, str(n), meanings[kind]) for kind, n in figures["errors"].items()]
    tables = [Table("How the entities divide", ("Kind", "Count", "Meaning"), kinds, words=True), *error_groups(figures)]
    text = [
        "Gold entities are paired with found ones that overlap them: first those with the same tokens and type, then "
        "those with the same tokens, then those with the same type, then the others; of several, those that share the "
        "most tokens. Each entity is in one pair at most.",
        f"Errors in all: {count_errors(figures):,}. O: no entity. A text of a pair goes from its first to its last "
        "token.",
    ]
    return Section("errors", "Errors", text, tables=tables)


def error_groups(figures: Mapping[str, Any], title: str = "The largest groups of errors") -> list[Table]:
    """The table of the largest groups of errors, if there are errors."""
    groups = [
        (
            error_name(row),
            str(row["count"]),
            f"{percent(row['share'])} %",
            ", ".join(f"{text} ({n})" for text, n in row["texts"].items()),
        )
        for row in figures["error_groups"]
    ]
    share = f"Share of the {count_errors(figures):,} errors"
    header = ("Error: gold → found", "Count", share, "Most frequent texts")
    return [Table(title, header, groups, words=True)] if groups else []


def _confusion(figures: Mapping[str, Any]) -> Section:
    labels, counts = figures["confusion"]["labels"], figures["confusion"]["counts"]
    section = Section("confusion", "Confusion of types")
    section.text.append(
        "Rows are the gold types, columns the found ones, in the pairs of “Errors”. O: no entity; its column counts "
        "missed entities, its row spurious ones. Pairs with other boundaries count too, so the diagonal may be higher "
        "than the column “Right” of “Scores”."
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
    section.text.append(f"{MEANT} {SCORED} Documents are counted from 1, in the order of the data.")
    overall = figures["overall"]
    scored = figures["confidence"] is not None
    if figures["mistakes"]:
        name = "The most confident mistakes" if scored else "Mistakes"
        section.examples.append(examples_of(name, figures["mistakes"], overall["fp"], evenly=not scored))
    else:
        section.text.append("No found entity is wrong.")
    if figures["missed"]:
        section.examples.append(
            examples_of("Missed entities", figures["missed"], figures["errors"]["missed"], evenly=True)
        )
    else:
        section.text.append("No gold entity was missed.")
    if scored and figures["least_confident_hits"]:
        hits = figures["least_confident_hits"]
        section.examples.append(examples_of("Right, but least confident", hits, overall["tp"]))
    return section


def examples_of(name: str, shown: Sequence[Any], total: int, evenly: bool = False) -> tuple[str, Sequence[Any]]:
    """Places with a title that says how many there are, and whether they were picked evenly."""
    how = ", picked evenly in the order of the data" if evenly and len(shown) < total else ""
    return f"{name}: {len(shown)} of {total:,}{how}", shown


def _groups(figures: Mapping[str, Any]) -> Section:
    section = Section("groups", "By group")
    section.text.append(
        "Recall groups the gold entities by their own text, length and type, precision the found ones by theirs. "
        "A dash (–): nothing to divide by, such as a group in which nothing was found."
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
        f"The expected calibration error is {own['ece']:.3f}, the Brier score {own['brier']:.3f} (0 is perfect). Of "
        "entities with a probability of 0.8, eight in ten should be right: in each row of “Reliability”, which has "
        "about a tenth of the found entities, the first two numbers should be close. " + largest_gap(own),
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
        "Places where the model gives the annotation a low probability and its own answer a high one. Either may be "
        "wrong. The score is the probability of its answer, times the probability that the annotation is wrong, both "
        "as the model sees them: not a measured chance of an error. On its own training data, the model agrees with "
        f"most errors, so few show up. {MEANT}"
    )
    total = figures["differences"]
    section.text.append(
        f"{figures['suspected']:,} places have a score of 0.5 or more, of {total:,} where model and annotation differ."
    )
    if figures["doubts"]:
        section.examples.append(examples_of("The places with the highest scores", figures["doubts"], total))
    return section


def _ways(figures: Mapping[str, Any]) -> Section:
    section = Section("ways", "Four ways of matching")
    section.text.append(
        "SemEval-2013 compares in four ways: strict (tokens and type), exact (tokens only), partial (tokens, an "
        "overlap counts half) and type (the type of entities that overlap)."
    )
    section.text.append(
        "Here the found entities take a partner one after the other, in the order of the text, and not the best pairs "
        "first. Where several entities overlap, other pairs result, so the correct ones of “type” may differ from the "
        "sum of the diagonal in “Confusion of types”."
    )
    names = ("correct", "incorrect", "partial", "missed", "spurious")
    rows = [
        [way, *(str(own[name]) for name in names), *(percent(own[key]) for key in "prf")]
        for way, own in figures["four_ways"].items()
    ]
    header = ("Way", *(name.capitalize() for name in names), "Precision", "Recall", "F")
    section.tables.append(Table("Strict, exact, partial and type", header, rows))
    return section


def _training(rows: Sequence[Mapping[str, Any]]) -> Section:
    section = Section("training", "Training", charts=["training_scores", "training_losses"])
    last, best = rows[-1], max(rows, key=lambda row: row["score"] or 0.0)
    section.text.append(
        f"{len(rows)} evaluations on the dev data, up to step {last['step']:,}, from the log beside the pipeline. The "
        f"best score, which chose model-best, was {percent(best['score'])} at step {best['step']:,}. The loss is that "
        "of the training data, for each word since the last evaluation."
    )
    names = sorted({name for row in rows for name in row["losses"]})
    step = -(-len(rows) // MOST_EVALUATIONS)
    cells = [
        [
            f"{row['step']:,}",
            *(percent(row[key]) for key in "prf"),
            *(_number(row["losses"].get(name)) for name in names),
            f"{row['words']:,}",
        ]
        for row in [*rows[:-1:step], last]
    ]
    header = ("Step", "Precision", "Recall", "F", *(f"Loss of {name}" for name in names), "Words")
    title = "By evaluation" if step == 1 else f"Every {step}th evaluation, and the last one"
    section.tables.append(Table(title, header, cells))
    return section


def _number(value: Optional[float]) -> str:
    return "–" if value is None else f"{value:.3g}"
