"""The report: tables between the markers of README.md and docs/benchmarks/accuracy.md, and a figure."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from documents import fill

from . import store
from .rows import GLOVE, MOST_SEEDS, SPACY, Row, Settings, plan
from .summary import Done, difference, parts_of, summarize

TITLES = {
    "conll03": "CoNLL-2003, train → testa",
    "wnut17": "WNUT-17, train → dev",
    "gmb": "GMB, first nine tenths → last tenth",
    "embedded": "embedded corpus, train → test",
}
NOTHING = "No results yet."


def collect(
    rows: Iterable[Row], configs: Mapping[str, Settings], results: Mapping[str, Any], steps: int | None
) -> list[tuple[Row, dict[str, list[Done]]]]:
    """The results of each row by system. A training that two rows share counts in both.

    Args:
        rows (Iterable[Row]): The rows. Those without results are left out.
        configs (Mapping[str, Settings]): The config of each system.
        results (Mapping[str, Any]): All results by key, see `store`.
        steps (int | None): Number of steps of a trial, see `rows.configured`.

    Returns:
        list[tuple[Row, dict[str, list[Done]]]]: Each row with its finished runs by system.
    """
    found = []
    for row in rows:
        done: dict[str, list[Done]] = {}
        for run in plan([row], dict(configs), range(MOST_SEEDS), steps=steps):
            if run.fingerprint in results:
                done.setdefault(run.system, []).append(Done(run, results[run.fingerprint]))
        if done:
            found.append((row, done))
    return found


def write_report(
    rows: Iterable[Row], configs: Mapping[str, Settings], results: Path, root: Path, steps: int | None = None
) -> None:
    """Write tables and figure from the stored results.

    Args:
        rows (Iterable[Row]): The rows to report.
        configs (Mapping[str, Settings]): The config of each system. Results of other configs are left out.
        results (Path): The file of results.
        root (Path): The folder with README.md and docs.
        steps (int | None): Number of steps of a trial, see `rows.configured`.

    Raises:
        ValueError: If there are no results. Nothing is written then.
    """
    found = collect(rows, configs, store.read(results), steps)
    if not found:
        raise ValueError(f"{results}: no results of these rows with the present configs; nothing is written")
    entries = [entry for row, done in found for entry in summarize(row, done)]
    parts = [
        {"row": row.name, "system": system, **parts_of(runs)}
        for row, done in found
        if row.group == "main"
        for system, runs in done.items()
    ]
    write_tables(entries, parts, root)
    print(f"{len(entries)} rows written to README.md and docs/benchmarks/accuracy.md")


def write_tables(rows: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]], root: Path) -> None:
    """Fill the tables of the documents, and draw the figure if there are results for it."""
    entries = {group: [e for e in rows if e["group"] == group] for group in ("main", "ablation", "curve")}
    if len({e["row"].removesuffix(GLOVE) for e in entries["curve"]}) < 2:
        # All of the data alone is no curve.
        entries["curve"] = []
    if entries["main"]:
        fill(root / "README.md", "accuracy", main_table(entries["main"]))
    document = root / "docs" / "benchmarks" / "accuracy.md"
    fill(document, "main", main_table(entries["main"]))
    fill(document, "times", time_table(entries["main"]))
    fill(document, "ablation", ablation_table(entries["ablation"]))
    figure = "\n\n![Learning curves](../images/learning_curve.svg)" if entries["curve"] else ""
    fill(document, "curve", curve_table(entries["curve"]) + figure)
    fill(document, "types", parts_table(parts, "types", "type"))
    fill(document, "familiarity", parts_table(parts, "familiarity", "entities"))
    fill(document, "out-of-domain", parts_table(parts, "out_of_domain", "tested on"))
    if entries["curve"]:
        draw_curve(entries["curve"], root / "docs" / "images" / "learning_curve.svg")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], n_texts: int) -> str:
    """A table in Markdown. n_texts: columns that are texts; the rest are numbers."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return NOTHING
    rule = ["---"] * n_texts + ["---:"] * (len(header) - n_texts)
    return "\n".join([f"| {' | '.join(header)} |", f"|{'|'.join(rule)}|", *lines])


def number(value: Mapping[str, Any] | None, digits: int = 3, scale: int = 1, sign: Literal["", "+"] = "") -> str:
    """Mean ± standard deviation, both times `scale`; a dash if there is nothing. sign: "+" to show one always."""
    if value is None:
        return "-"
    spread = "" if value["sd"] is None else f" ± {scale * value['sd']:.{digits}f}"
    return f"{scale * value['mean']:{sign}.{digits}f}{spread}"


def _mean(value: Mapping[str, Any] | None, digits: int) -> str:
    return "-" if value is None else f"{value['mean']:.{digits}f}"


def _data(name: str) -> tuple[str, str]:
    """Title of a row's data, and its vectors."""
    return TITLES[name.removesuffix(GLOVE)], "GloVe 50d" if name.endswith(GLOVE) else "none"


def _system(name: str) -> str:
    return "spaCy's `ner`" if name == SPACY else f"`{name}`"


def main_table(entries: Iterable[Mapping[str, Any]]) -> str:
    """Scores of the main rows."""
    header = ("data", "vectors", "config", "entity F1", "precision", "recall", "token accuracy", "seeds")
    rows = [
        [
            *(*_data(e["row"]), _system(e["system"])),
            *(number(e[name]) for name in ("ents_f", "ents_p", "ents_r", "ents_token_acc")),
            str(len(e["seeds"])),
        ]
        for e in entries
    ]
    return table(header, rows, 3)


def time_table(entries: Iterable[Mapping[str, Any]]) -> str:
    """Times of the main rows, and ratios."""
    header = ("data", "vectors", "config", "until best, s", "in all, s", "share until best", "share in all")
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


def _reached(entry: Mapping[str, Any]) -> str:
    share, pairs = entry["share_of_spacy_until_its_best"], entry["share_of_spacy_in_all"]
    if share is None:
        return "-"
    return _mean(share, 2) + ("" if share["n"] == pairs["n"] else f" ({share['n']} of {pairs['n']} seeds)")


def ablation_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """F of each variant, and its difference from the base with the same seeds; columns for each base."""
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
        header += [f"`{system}`: F1", "difference, points", "seeds"]
    return table(header, rows, 2)


def _ablation_cells(entry: Mapping[str, Any] | None, base: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """F, difference and number of seeds."""
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


def curve_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """F by share of the training documents."""
    columns = _curve_columns(entries)
    cells = {(e["row"], e["system"]): e for e in entries}
    shares = dict.fromkeys(e["row"].removesuffix(GLOVE) for e in entries)
    rows = [
        (f"{share} %", *(_curve_cell(cells.get((share + ending, system))) for ending, system in columns))
        for share in shares
    ]
    titles = [_system(system) + (", GloVe" if ending else "") for ending, system in columns]
    return table(["documents", *titles], rows, 1)


def _curve_cell(entry: Mapping[str, Any] | None) -> str:
    return "-" if entry is None else f"{number(entry['ents_f'])} ({len(entry['seeds'])})"


def _curve_columns(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(end of the row's name, system) of each curve."""
    return list(dict.fromkeys((GLOVE if e["row"].endswith(GLOVE) else "", e["system"]) for e in entries))


def parts_table(parts: Iterable[Mapping[str, Any]], kind: str, title: str) -> str:
    """Scores of the parts of one kind."""
    rows = [
        [
            *(*_data(entry["row"]), _system(entry["system"]), name, str(scores["gold"])),
            *(number(scores[key]) for key in "prf"),
        ]
        for entry in parts
        for name, scores in entry[kind].items()
    ]
    return table(("trained on", "vectors", "config", title, "gold", "P", "R", "F1"), rows, 4)


def draw_curve(entries: Sequence[Mapping[str, Any]], target: Path) -> None:
    """The learning curves."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "learning curve"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.0, 4.0))
    for ending, system in _curve_columns(entries):
        points = [e for e in entries if e["system"] == system and e["row"].endswith(GLOVE) == bool(ending)]
        shares = [int(e["row"].removesuffix(GLOVE)) for e in points]
        means, spreads = ([e["ents_f"][key] or 0.0 for e in points] for key in ("mean", "sd"))
        name = ("spaCy's ner" if system == SPACY else system) + (", GloVe" if ending else "")
        line = "--" if system == SPACY else "-"
        axes.errorbar(shares, means, yerr=spreads, label=name, linestyle=line, marker="o", markersize=3, capsize=2)
    ticks = sorted({int(e["row"].removesuffix(GLOVE)) for e in entries})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{share} %" for share in ticks])
    axes.minorticks_off()
    axes.set_xlabel("documents of CoNLL-2003's train")
    axes.set_ylabel("entity F1 on testa")
    axes.legend()
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
