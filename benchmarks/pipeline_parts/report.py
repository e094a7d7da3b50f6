"""The figures as JSON, tables between markers of README.md and docs/benchmarks/speed.md, and charts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline_parts.common import Record
from pipeline_parts.contestants import OURS

RESULTS = Path("benchmarks") / "results" / "pipeline.json"
DOCUMENT, README = Path("docs") / "benchmarks" / "speed.md", Path("README.md")
IN_README = (*OURS, "spacy_ner", "en_core_web_sm", "spacy_ner_bilstm", "flair_64", "stanza_64")
# Values of a colour-blind safe palette (Okabe & Ito).
COLORS = {"ours": "#0072B2", "others": "#999999", "many": "#0072B2", "one": "#D55E00"}


def table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are text, the others numbers."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * left + "---:|" * (len(head) - left)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def machine_line(result: Record) -> str:
    about = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    line = (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, Python "
        f"{about['python']}, {versions}; {about['date']}, load {about['load_before']} before the run; one thread each"
    )
    if about["untrained"]:
        line += "; pipelines initialised, not trained"
    return line + ("; a trial run on next to nothing, its figures mean nothing" if about["tiny"] else "")


def speed(result: Record, names: tuple[str, ...] | None = None) -> str:
    """Ratios first: how many times as fast ours are."""
    keys = {"texts": "texts", "new_texts": "unseen texts", "docs": "tokens given"}
    head = ["", "default is × as fast, texts", *list(keys.values())[1:], "`spacy benchmark speed`"]
    head += ["one layer, texts", "accuracy, texts", "words/s, texts", "F1 on testa"]
    rows, absent = [], []
    for name, record in result["contestants"].items():
        if names is not None and name not in names:
            continue
        if "unavailable" in record:
            absent.append(f"\n{record['about']}: not measured, {record['unavailable']}")
            continue
        of_default, *of_others = (record.get(f"ratio_of_{ours}", {}) for ours in OURS)
        cells = [cell(of_default.get(key)) for key in (*keys, "spacy_benchmark_speed")]
        cells += [*(cell(ratios.get("texts")) for ratios in of_others), f"{record['words_per_second']['texts']:,}"]
        f = record["f"] if record["f"] is not None else "other labels" if record["kind"] == "ready" else "untrained"
        rows.append([record["about"], *cells, str(f)])
    return table(head, rows) + "\n" + "".join(f"{line}\n" for line in absent)


def cell(value: Any) -> str:
    return "" if value is None else str(value)


def stages(result: Record) -> str:
    found = result["pipelines"]
    names = list(dict.fromkeys(name for record in found.values() for name in record["stages"]))
    rows = []
    for name in names:
        shares = []
        for record in found.values():
            seconds = record["stages"].get(name, 0.0)
            share, per_word = seconds / sum(record["stages"].values()), 1e6 * seconds / record["words"]
            shares += [f"{share:.1%}", f"{per_word:.2f}"] if seconds else ["", ""]
        rows.append([name, *shares])
    head = ["stage", *(f"`{name}`, {what}" for name in found for what in ("share", "µs a word"))]
    lines = [table(head, rows), ""]
    for name, record in found.items():
        recurrence = record["stages"].get("gather and recurrence", 0.0)
        lines.append(
            f"`{name}`: the recurrence takes {recurrence / record['products_by_step']:.2f} × the time of its bare "
            f"matrix products step by step, {recurrence / record['products_at_once']:.2f} × that of the same products "
            f"at once; {record['gflops']} GFLOP/s, where a large product runs at {record['gflops_of_machine']}. Timing "
            f"the stages takes {record['seconds_instrumented'] / record['seconds'] - 1:.1%} of the time.\n"
        )
    return "\n".join(lines)


def growth(result: Record) -> str:
    rows = [
        [
            {"many": "sentences", "one": "one document"}[row["form"]],
            f"{row['tokens']:,}",
            f"{1e6 * row['seconds'] / row['tokens']:.2f}",
            f"{row['seconds']:.2f}",
            f"{row['mib']}",
            f"{row['mib_of_docs']}",
        ]
        for row in sorted(result["rows"], key=lambda row: row["form"])
    ]
    head = ["as", "tokens", "µs a token", "seconds", "MiB beside the Docs", "MiB of Docs alone"]
    return table(head, rows) + f"\n\nThe loaded pipeline itself takes {result['mib_of_loaded_pipeline']:.0f} MiB.\n"


def processes(result: Record) -> str:
    rows = [
        [
            f"`{name}`",
            str(record["ratio"]),
            *(f"{1e6 * seconds / record['words']:.2f}" for seconds in record["seconds"].values()),
            f"{record['words']:,}",
        ]
        for name, record in result["contestants"].items()
    ]
    return table(["", "two processes are × as fast", "µs a word, one process", "two", "words"], rows) + "\n"


def startup(result: Record) -> str:
    rows = [
        [f"`{name}`", *(str(value) for value in record["seconds"].values()), str(record["mib"])]
        for name, record in result["contestants"].items()
    ]
    head = ["", "`import spacy`, s", "`spacy.load`, s", "first text, s", "whole process, s", "MiB on disk"]
    return table(head, rows) + "\n"


def training(result: Record) -> str:
    rows = []
    for name, record in result["contestants"].items():
        is_ours = name == "default"
        share = cell(result["share_of_its_time"]) if is_ours else "1"
        until = result["seconds_until_best_of_spacy_ner"] if is_ours else record["seconds_until_best"]
        rows.append([f"`{name}`", share or "not reached", cell(until), str(record["best_dev_f"])])
    head = ["", "share of the time to the best F1 of `ner`", "seconds to it", "own best F1 of a training, %"]
    return table(head, rows) + "\n"


TABLES: dict[str, Callable[[Record], str]] = {
    "speed": speed,
    "stages": stages,
    "growth": growth,
    "processes": processes,
    "startup": startup,
    "training": training,
}


def write(root: Path, part: str, result: Record) -> None:
    """Put a part's result into the JSON file, the documents and the charts below `root`."""
    target = root / RESULTS
    target.parent.mkdir(parents=True, exist_ok=True)
    everything = json.loads(target.read_text()) if target.exists() else {}
    everything[part] = result
    target.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")
    replace(root / DOCUMENT, part, f"{TABLES[part](result)}\n{machine_line(result)}.\n")
    if part == "speed":
        replace(root / README, part, f"{speed(result, IN_README)}\n{machine_line(result)}.\n")
        speed_chart(result, root / "docs" / "images" / "speed.svg")
    if part == "growth":
        growth_chart(result, root / "docs" / "images" / "growth.svg")


def replace(document: Path, part: str, text: str) -> None:
    """Put text between the markers of a part. Raises ValueError if they are not there."""
    markers = f"<!-- {part}: start -->", f"<!-- {part}: end -->"
    before, found, rest = document.read_text("utf8").partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not found or not end:
        raise ValueError(f"{document}: expected {markers[0]} and, below it, {markers[1]}")
    document.write_text(f"{before}{markers[0]}\n{text}{markers[1]}{after}", "utf8")


def plots() -> Any:
    """matplotlib, set so that the same figures give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pipeline"
    from matplotlib import pyplot

    return pyplot


def speed_chart(result: Record, target: Path) -> None:
    shown = {name: record for name, record in result["contestants"].items() if "words_per_second" in record}
    figure, axes = plots().subplots(figsize=(9, 0.9 + 0.4 * len(shown)))
    names = list(shown)[::-1]
    rates = [shown[name]["words_per_second"]["texts"] for name in names]
    colors = [COLORS["ours" if name in OURS else "others"] for name in names]
    bars = axes.barh(names, rates, color=colors)
    axes.bar_label(bars, [f"{rate:,}" for rate in rates], padding=3)
    axes.set_xlabel("words a second from texts, one thread")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, target)


def growth_chart(result: Record, target: Path) -> None:
    figure, axes = plots().subplots(1, 2, figsize=(10, 3.6))
    panels = (("seconds", "seconds"), ("mib", "MiB of memory beside the Docs"))
    for panel, (key, label) in zip(axes, panels, strict=True):
        for form, name in (("many", "many sentences"), ("one", "one document")):
            rows = [row for row in result["rows"] if row["form"] == form]
            points = [row["tokens"] for row in rows], [row[key] for row in rows]
            panel.plot(*points, marker="o", color=COLORS[form], label=name)
        panel.set(xscale="log", xlabel="tokens", ylabel=label)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    axes[0].set_yscale("log")
    save(figure, target)


def save(figure: Any, target: Path) -> None:
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
    plots().close(figure)
