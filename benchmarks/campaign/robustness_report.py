"""The report of robustness.py: tables in README.md and docs/benchmarks/robustness.md, and the curves of little data."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import figures
from documents import fill

from . import store
from .entities import Scores
from .report import Entry, Line, collect, draw_lines, number, software, table
from .rows import GLOVE, SPACY, Configs, Row
from .summary import Done, difference, mean_and_sd, summarize

DOCUMENT, README = Path("docs") / "benchmarks" / "robustness.md", Path("README.md")
CURVES = Path("docs") / "images" / "small_data.svg"
SYSTEMS = {
    "default": "`default.cfg`",
    "accuracy": "`accuracy.cfg`",
    "fitted": "`init-config`",
    "fitted-vectors": "`init-config`",
    "started": "`init-config --start`",
    SPACY: "spaCy's `ner`",
}
TITLES = {
    "conll03": "CoNLL-2003",
    "wnut17": "WNUT-17",
    "gmb": "GMB",
    "embedded": "embedded corpus",
    "crossner-politics": "CrossNER, politics",
    "crossner-music": "CrossNER, music",
    "bc5cdr": "BC5CDR, biomedical",
    "btc": "Broad Twitter Corpus",
    "lener": "LeNER-Br, Portuguese law",
    "germeval": "GermEval 2014, German",
    "masakha-yor": "MasakhaNER, Yoruba",
    "resume-zh": "ResumeNER, Chinese",
}
PARTS = {"gmb": "last tenth", "embedded": "test"}
"""The part that is scored, where it is not dev."""
CONDITIONS = {
    "documents": "documents",
    "sentences": "single sentences",
    "lower": "lower case",
    "upper": "capitals",
    "wnut17": "WNUT-17 (dev)",
}


def write_report(rows: Iterable[Row], configs: Configs, results: Path, root: Path, steps: int | None = None) -> None:
    """Write tables and figure from the stored results.

    Args:
        rows (Iterable[Row]): The rows to report.
        configs (Configs): The config of each system. Results of other configs are left out.
        results (Path): The file of results.
        root (Path): The folder with README.md and docs.
        steps (int | None): Number of steps of a trial, see `rows.configured`.

    Raises:
        ValueError: If there are no results. Nothing is written then.
    """
    found = collect(rows, configs, store.read(results), steps)
    if not found:
        raise ValueError(f"{results}: no results of these rows with the present configs; nothing is written")
    groups: dict[str, list[Entry]] = {name: [] for name in ("conll03", "domains", "start", "main", "small", "ablation")}
    for row, done in found:
        groups[row.group] += [entry | {"f": f_of_seeds(done[entry["system"]])} for entry in summarize(row, done)]
    domains = groups["domains"]
    tables = {
        "conditions": condition_table(groups["conll03"]),
        "domains": pair_table(domains, averages(domains)),
        "start": pair_table(groups["start"]),
        "others": pair_table(groups["main"]),
        "small": pair_table(groups["small"]),
        "ablation": ablation_table(groups["ablation"]),
        "software": software(run.result for _, done in found for runs in done.values() for run in runs),
    }
    if groups["small"]:
        draw_curves(groups["small"], root / CURVES)
        picture = "Entity F1 by number of training sentences, one curve for each corpus and pipeline"
        tables["small"] += f"\n\n![{picture}](../images/{CURVES.name})"
    for name, text in tables.items():
        fill(root / DOCUMENT, name, text)
    fill(root / README, "robustness", short_table(groups))
    print(f"{sum(map(len, groups.values()))} rows written to {README} and {DOCUMENT}")


def f_of_seeds(found: Sequence[Done]) -> dict[str, list[float]]:
    """F1 of each seed by condition. Conditions that a result lacks are left out."""
    by_name: dict[str, list[float]] = {}
    for result in (done.result for done in found):
        other = {name: Scores(*fields).f for name, fields in result["parts"]["out_of_domain"].items()}
        changed = {name: scores["ents_f"] for name, scores in result.get("conditions", {}).items()}
        for name, f in {"documents": result["scores"]["ents_f"], **changed, **other}.items():
            by_name.setdefault(name, []).append(f)
    return by_name


def condition_table(entries: Iterable[Entry]) -> str:
    """F1 under each condition."""
    rows = [
        [
            *("none" if e["row"] == "none" else "GloVe 50d", SYSTEMS[e["system"]]),
            *(number(mean_and_sd(e["f"].get(name, []))) for name in CONDITIONS),
            str(len(e["seeds"])),
        ]
        for e in entries
    ]
    return table(("vectors", "pipeline", *CONDITIONS.values(), "seeds"), rows, 2)


def pairs(entries: Sequence[Entry]) -> list[tuple[Entry, Entry | None]]:
    """Our entries, each with that of spaCy's `ner` in the same row."""
    theirs = {(e["group"], e["row"]): e for e in entries if e["system"] == SPACY}
    return [(e, theirs.get((e["group"], e["row"]))) for e in entries if e["system"] != SPACY]


def averages(entries: Sequence[Entry]) -> list[list[str]]:
    """Rows for `pair_table`: means over the corpora that both systems have, without and with vectors."""
    rows = []
    for ending in ("", GLOVE):
        both = [
            (e, other)
            for e, other in pairs(entries)
            if other and e["share_of_spacy_in_all"] and e["row"].endswith(GLOVE) == bool(ending)
        ]
        if both:
            f, other_f = (statistics.mean(e["ents_f"]["mean"] for e in side) for side in zip(*both, strict=True))
            time = statistics.mean(e["share_of_spacy_in_all"]["mean"] for e, _ in both)
            cells = [f"{f:.3f}", f"{other_f:.3f}", f"{100 * (f - other_f):+.1f}", f"{time:.2f}", ""]
            rows.append([f"average of {len(both)}", _vectors(ending), SYSTEMS[both[0][0]["system"]], *cells])
    return rows


def _vectors(name: str) -> str:
    return "GloVe 50d" if name.endswith(GLOVE) else "none"


def _title(name: str) -> str:
    data, _, size = name.removesuffix(GLOVE).partition(", ")
    return TITLES[data] + (f": {size} sentences" if size else "")


def pair_table(entries: Sequence[Entry], last: Iterable[Sequence[str]] = ()) -> str:
    """F1 of ours and of spaCy's `ner`, their difference over common seeds, and our share of its training time."""
    header = ("data", "vectors", "config", "F1", "spaCy's `ner`: F1", "difference, points", "share of time", "seeds")
    rows = []
    for ours, theirs in pairs(entries):
        apart, time = difference(ours, theirs) if theirs else None, ours["share_of_spacy_in_all"]
        cells = [number(ours["ents_f"]), number(theirs and theirs["ents_f"]), number(apart, 1, scale=100, sign="+")]
        cells += [f"{time['mean']:.2f}" if time else "-", str(len(ours["seeds"]))]
        rows.append([_title(ours["row"]), _vectors(ours["row"]), SYSTEMS[ours["system"]], *cells])
    return table(header, [*rows, *last], 3)


def ablation_table(entries: Sequence[Entry]) -> str:
    """F1 of each base, and the differences from it under each condition, over common seeds."""
    bases = {name: e for e in entries for name, _, part in [e["row"].partition(": ")] if part == "base"}
    rows = []
    for entry in entries:
        name, _, part = entry["row"].partition(": ")
        cells = [_ablation_cell(entry, bases.get(name), condition) for condition in CONDITIONS]
        rows.append([TITLES[name], part, *cells, str(len(entry["seeds"]))])
    return table(("data", "recipe", *CONDITIONS.values(), "seeds"), rows, 2)


def _ablation_cell(entry: Entry, base: Entry | None, condition: str) -> str:
    """F1 of the base, or the difference from it in points."""
    if condition not in entry["f"] or base is None:
        return "-"
    if entry is base:
        return number(mean_and_sd(entry["f"][condition]))
    here, there = ({"seeds": e["seeds"], "ents_f_of_seeds": e["f"][condition]} for e in (entry, base))
    return number(difference(here, there), 1, scale=100, sign="+")


def short_table(groups: Mapping[str, Sequence[Entry]]) -> str:
    """F1 of ours beside that of spaCy's `ner`, without and with vectors, for README.md."""
    rows: dict[tuple[str, str], dict[str, Iterable[str]]] = {}
    for ours, theirs in pairs(groups["conll03"]):
        for name, title in CONDITIONS.items():
            f = [number(mean_and_sd(e["f"].get(name, []))) if e else "-" for e in (ours, theirs)]
            rows.setdefault((TITLES["conll03"], title), {})["none" if ours["row"] == "none" else "GloVe 50d"] = f
    for ours, theirs in pairs(groups["main"]):
        part = PARTS.get(ours["row"].removesuffix(GLOVE), "dev")
        f = [number(e and e["ents_f"]) for e in (ours, theirs)]
        rows.setdefault((_title(ours["row"]), part), {})[_vectors(ours["row"])] = f
    for title, vectors, _, *f in averages(groups["domains"]):
        rows.setdefault(("other corpora", f"dev, {title}"), {})[vectors] = f[:2]
    cells = [[*key, *f.get("none", ["", ""]), *f.get("GloVe 50d", ["", ""])] for key, f in rows.items()]
    return table(("trained on", "tested on", "`lstm_ner`", "`ner`", "`lstm_ner`, GloVe", "`ner`, GloVe"), cells, 2)


def draw_curves(entries: Sequence[Entry], target: Path) -> None:
    """Draw F1 by number of training sentences."""
    lines: dict[tuple[str, str], Line] = {}
    for e in entries:
        data, _, size = e["row"].partition(", ")
        color = figures.GRAY if e["system"] == SPACY else figures.BLUE
        style = "--" if data == "bc5cdr" else "-"
        name = f"{TITLES[data]}: {'spaCy ner' if e['system'] == SPACY else 'lstm_ner'}"
        line = lines.setdefault((data, e["system"]), Line(name, color, style, {}))
        line.points[int(size)] = e["ents_f"]
    draw_lines(list(lines.values()), "training sentences", "entity F1 on dev", target)
