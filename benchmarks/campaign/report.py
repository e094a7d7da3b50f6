"""The report: tables between the markers of docs/benchmarks/accuracy.md, and the learning curves."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import documents
import figures
from documents import fill

from . import store
from .rows import GLOVE, SPACY, Configs, Row, plan
from .summary import Done, difference, parts_of, summarize

DOCUMENT = Path("docs") / "benchmarks" / "accuracy.md"
CURVES = Path("docs") / "images" / "learning_curve.svg"
TITLES = {
    "conll03": "CoNLL-2003, train → testa",
    "wnut17": "WNUT-17, train → dev",
    "gmb": "GMB, first nine tenths → last tenth",
    "embedded": "embedded corpus, train → test",
}
NOTHING = "No results yet."
Entry = Mapping[str, Any]


def collect(
    rows: Iterable[Row], configs: Configs, results: Mapping[str, Any], steps: int | None
) -> list[tuple[Row, dict[str, list[Done]]]]:
    """The results of each row by system. A training that two rows share counts in both.

    Args:
        rows (Iterable[Row]): The rows. Those without results are left out.
        configs (Configs): The config of each system.
        results (Mapping[str, Any]): All results by key, see `store`.
        steps (int | None): Number of steps of a trial, see `rows.configured`.

    Returns:
        list[tuple[Row, dict[str, list[Done]]]]: Each row with its finished runs by system.
    """
    found = []
    seeds = sorted({int(result["id"].rpartition("/")[2]) for result in results.values()})
    for row in rows:
        done: dict[str, list[Done]] = {}
        for run in plan([row], configs, seeds, steps=steps):
            if run.fingerprint in results:
                done.setdefault(run.system, []).append(Done(run, results[run.fingerprint]))
        if done:
            found.append((row, done))
    return found


def write_report(rows: Iterable[Row], configs: Configs, results: Path, root: Path, steps: int | None = None) -> None:
    """Write tables and figure from the stored results.

    Args:
        rows (Iterable[Row]): The rows to report.
        configs (Configs): The config of each system. Results of other configs are left out.
        results (Path): The file of results.
        root (Path): The folder with docs.
        steps (int | None): Number of steps of a trial, see `rows.configured`.

    Raises:
        ValueError: If there are no results. Nothing is written then.
    """
    found = collect(rows, configs, store.read(results), steps)
    if not found:
        raise ValueError(f"{results}: no results of these rows with the present configs; nothing is written")
    entries: dict[str, list[Entry]] = {"main": [], "curve": [], "ablation": []}
    parts: list[Entry] = []
    for row, done in found:
        entries[row.group] += summarize(row, done)
        if row.group == "main":
            parts += [{"row": row.name, "system": system, **parts_of(runs)} for system, runs in done.items()]
    if len({e["row"].removesuffix(GLOVE) for e in entries["curve"]}) < 2:
        # All of the data alone is no curve.
        entries["curve"] = []
    all_results = (run.result for _, done in found for runs in done.values() for run in runs)
    tables = {
        "main": f"{main_table(entries['main'])}\n\n{software(all_results)}",
        "times": time_table(entries["main"]),
        "types": parts_table(parts, "types", "type"),
        "familiarity": parts_table(parts, "familiarity", "entities"),
        "out-of-domain": parts_table(parts, "out_of_domain", "tested on"),
        "curve": curve_table(entries["curve"]),
        "ablation": ablation_table(entries["ablation"]),
    }
    if entries["curve"]:
        draw_curve(entries["curve"], root / CURVES)
        picture = "Entity F1 by share of CoNLL-2003's training documents, one curve for each pipeline"
        tables["curve"] += f"\n\n![{picture}](../images/{CURVES.name})"
    for name, text in tables.items():
        fill(root / DOCUMENT, name, text)
    print(f"{sum(map(len, entries.values()))} rows written to {DOCUMENT}")


def software(results: Iterable[Mapping[str, Any]]) -> str:
    """What the results were made with. More than one where they come from several machines or versions."""
    found = {(tuple(result["versions"].items()), result["machine"]) for result in results}
    lines = (", ".join(f"{name} {version}" for name, version in versions) + f", {m}" for versions, m in found)
    return f"Trained with {'; '.join(sorted(lines))}."


def table(header: Sequence[str], rows: Sequence[Sequence[str]], n_texts: int) -> str:
    """A table in Markdown, or a sentence if it has no rows. n_texts: number of columns that are text."""
    return documents.table(header, rows, n_texts) if rows else NOTHING


def number(value: Mapping[str, Any] | None, digits: int = 3, scale: int = 1, sign: Literal["", "+"] = "") -> str:
    """Mean ± standard deviation.

    Args:
        value (Mapping[str, Any] | None): `mean` and `sd`, see `summary.mean_and_sd`. None gives a dash.
        digits (int): Digits behind the point.
        scale (int): Factor for both numbers.
        sign (str): "+" to show the sign of positive numbers too.

    Returns:
        str: The text of a cell.
    """
    if value is None:
        return "-"
    spread = "" if value["sd"] is None else f" ± {scale * value['sd']:.{digits}f}"
    return f"{scale * value['mean']:{sign}.{digits}f}{spread}"


def _mean(value: Mapping[str, Any] | None, digits: int) -> str:
    return "-" if value is None else f"{value['mean']:.{digits}f}"


def _data(name: str, titles: Mapping[str, str] = TITLES) -> tuple[str, str]:
    """Title of a row's data, and its vectors."""
    return titles[name.removesuffix(GLOVE)], "GloVe 50d" if name.endswith(GLOVE) else "none"


def _system(name: str) -> str:
    """A config by the name of its file."""
    return "spaCy's `ner`" if name == SPACY else f"`{name}.cfg`"


def main_table(entries: Iterable[Entry]) -> str:
    """Scores of the main rows."""
    header = ("data", "vectors", "pipeline", "entity F1", "precision", "recall", "token accuracy", "seeds")
    rows = [
        [
            *(*_data(e["row"]), _system(e["system"])),
            *(number(e[name]) for name in ("ents_f", "ents_p", "ents_r", "ents_token_acc")),
            str(len(e["seeds"])),
        ]
        for e in entries
    ]
    return table(header, rows, 3)


def time_table(entries: Iterable[Entry]) -> str:
    """Times of the main rows, and ratios."""
    header = ("data", "vectors", "pipeline", "until best, s", "in all, s", "share until best", "share in all")
    rows = [
        [
            *(*_data(e["row"]), _system(e["system"])),
            *(number(e[f"cpu_seconds_{name}"], 0) for name in ("until_best", "in_all")),
            *(_mean(e[f"share_of_spacy_{name}"], 2) for name in ("until_best", "in_all")),
            _reached(e),
        ]
        for e in entries
    ]
    return table((*header, "share until its best"), rows, 3)


def _reached(entry: Entry) -> str:
    share, pairs = entry["share_of_spacy_until_its_best"], entry["share_of_spacy_in_all"]
    if share is None:
        return "-"
    return _mean(share, 2) + ("" if share["n"] == pairs["n"] else f" ({share['n']} of {pairs['n']} seeds)")


def ablation_table(entries: Sequence[Entry]) -> str:
    """F1 of each variant, and its difference from the base with the same seeds. Each base has its columns."""
    systems = [name for name in ("default", "vectors", "accuracy") if any(e["system"] == name for e in entries)]
    cells = {(e["row"], e["system"]): e for e in entries}
    rows = []
    for name in dict.fromkeys(e["row"] for e in entries):
        row = [*name.partition(": ")[::2]]
        for system in systems:
            row += _ablation_cells(cells.get((name, system)), cells.get(("base", system)))
        rows.append(row)
    header = ["factor", "value"]
    for system in systems:
        header += [f"{_system(system)}: F1", "difference, points", "seeds"]
    return table(header, rows, 2)


def _ablation_cells(entry: Entry | None, base: Entry | None) -> tuple[str, str, str]:
    """F1, difference and number of seeds."""
    if entry is None:
        return "-", "", ""
    f, seeds = number(entry["ents_f"]), str(len(entry["seeds"]))
    if base is None or entry is base:
        return f, "", seeds
    # A value that the config has already is trained once, as the base.
    if entry["ents_f_of_seeds"] == base["ents_f_of_seeds"]:
        return f, "as the base", seeds
    apart = difference(entry, base)
    return f, number(apart, 1, scale=100, sign="+") if apart else "", seeds


def curve_table(entries: Sequence[Entry]) -> str:
    """F1 by share of the training documents."""
    columns = _curve_columns(entries)
    cells = {(e["row"], e["system"]): e for e in entries}
    shares = dict.fromkeys(e["row"].removesuffix(GLOVE) for e in entries)
    rows = [
        (f"{share} %", *(_curve_cell(cells.get((share + ending, system))) for ending, system in columns))
        for share in shares
    ]
    titles = [_system(system) + (", GloVe" if ending else "") for ending, system in columns]
    return table(["documents", *titles], rows, 1)


def _curve_cell(entry: Entry | None) -> str:
    return "-" if entry is None else f"{number(entry['ents_f'])} ({len(entry['seeds'])})"


def _curve_columns(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """(end of the row's name, system) of each curve."""
    return list(dict.fromkeys((GLOVE if e["row"].endswith(GLOVE) else "", e["system"]) for e in entries))


def parts_table(parts: Iterable[Entry], kind: str, title: str) -> str:
    """Scores of the parts of one kind."""
    rows = [
        [
            *(*_data(entry["row"]), _system(entry["system"]), name, str(scores["gold"])),
            *(number(scores[key]) for key in "prf"),
        ]
        for entry in parts
        for name, scores in entry[kind].items()
    ]
    return table(("trained on", "vectors", "pipeline", title, "gold", "P", "R", "F1"), rows, 4)


def draw_curve(entries: Sequence[Entry], target: Path) -> None:
    """Draw the learning curves."""
    colors = {"default": figures.BLUE, "vectors": figures.GREEN, "accuracy": figures.RED, SPACY: figures.GRAY}
    lines = []
    for ending, system in _curve_columns(entries):
        points = [e for e in entries if e["system"] == system and e["row"].endswith(GLOVE) == bool(ending)]
        name = _system(system).replace("`", "") + (", GloVe" if ending else "")
        shares = {int(e["row"].removesuffix(GLOVE)): e["ents_f"] for e in points}
        lines.append(Line(name, colors[system], "-" if ending else "--", shares))
    draw_lines(lines, "share of CoNLL-2003's training documents", "entity F1 on testa", target, " %")


class Line(NamedTuple):
    """A learning curve: name, color, style of the line, and mean and spread of F1 by size of the training data."""

    name: str
    color: str
    style: str
    points: dict[int, Mapping[str, Any]]


def draw_lines(lines: Sequence[Line], sizes: str, scores: str, target: Path, unit: str = "") -> None:
    """Draw learning curves.

    Args:
        lines (Sequence[Line]): The curves.
        sizes (str): Label of the axis of sizes, which is logarithmic.
        scores (str): Label of the axis of scores.
        target (Path): The SVG file.
        unit (str): What follows a size on its axis.
    """
    figure, axes = figures.pyplot().subplots(figsize=(6.0, 4.0))
    for line in lines:
        means, spreads = ([f[key] or 0.0 for f in line.points.values()] for key in ("mean", "sd"))
        style = {"color": line.color, "linestyle": line.style, "marker": "o", "markersize": 3}
        axes.errorbar(list(line.points), means, yerr=spreads, label=line.name, capsize=2, **style)
    ticks = sorted({size for line in lines for size in line.points})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{size}{unit}" for size in ticks])
    axes.minorticks_off()
    axes.set_xlabel(sizes)
    axes.set_ylabel(scores)
    axes.legend(frameon=False)
    figures.save(figure, target)
