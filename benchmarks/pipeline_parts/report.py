"""Results as JSON, the tables between the markers of docs/benchmarks/speed.md, and charts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import figures
from documents import fill, table
from pipeline_parts.common import Record
from pipeline_parts.contestants import CONTESTANTS, OURS

RESULTS = Path("benchmarks") / "results" / "pipeline.json"
DOCUMENT, IMAGES = Path("docs") / "benchmarks" / "speed.md", Path("docs") / "images"
# Short names, for tables and charts. A config has the name of its file.
NAMES = {
    "default": "`default.cfg`",
    "one_layer": "`accuracy.cfg` with one layer",
    "accuracy": "`accuracy.cfg`",
    "spacy_ner": "spaCy's `ner`",
    "tokenizer": "spaCy's tokenizer alone",
}
CHART = {
    "default": "lstm_ner, default.cfg",
    "accuracy": "lstm_ner, accuracy.cfg (vectors, two layers)",
    "flair_64": "Flair SequenceTagger (random weights)",
    "spacy_ner": "spaCy ner (efficiency config)",
    "en_core_web_sm": "spaCy en_core_web_sm, its ner alone",
    "stanza_64": "Stanza NER tagger (random weights)",
}


def machine_line(result: Record) -> str:
    """What a part was measured on and with."""
    about = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    line = (
        f"Measured on {about['date']} with one thread for each process: {about['processor']}, {about['cores']} cores, "
        f"{about['memory_gib']} GiB, {about['system']}, load {about['load_before']} before the run, Python "
        f"{about['python']}, {versions}"
    )
    if about["untrained"]:
        line += "; pipelines are initialized, not trained"
    return line + ("; a trial on very little data, which says nothing about speed" if about["tiny"] else "") + "."


def speed(result: Record) -> str:
    """How many times as fast ours are, words a second, and F1."""
    keys = {"texts": "texts", "new_texts": "unseen texts", "docs": "tokens given"}
    head = ["pipeline", f"{NAMES['default']} is × as fast, texts", *list(keys.values())[1:], "`spacy benchmark speed`"]
    head += [f"{NAMES['one_layer']}, texts", f"{NAMES['accuracy']}, texts", "words/s, texts", "F1 on testa"]
    rows, absent = [], []
    for name, record in result["contestants"].items():
        about = CONTESTANTS[name].about
        if "unavailable" in record:
            absent.append(f"\n\n{about}: not measured, {record['unavailable']}.")
            continue
        of_default, *of_others = (record.get(f"ratio_of_{ours}", {}) for ours in OURS)
        cells = [cell(of_default.get(key)) for key in (*keys, "spacy_benchmark_speed")]
        cells += [*(cell(ratios.get("texts")) for ratios in of_others), f"{record['words_per_second']['texts']:,}"]
        f = record["f"] if record["f"] is not None else "other labels" if record["kind"] == "ready" else "untrained"
        rows.append([about, *cells, str(f)])
    return table(head, rows) + "".join(absent)


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
    head = ["stage", *(f"{NAMES[name]}, {what}" for name in found for what in ("share", "µs per word"))]
    lines = [table(head, rows)]
    for name, record in found.items():
        recurrence = record["stages"].get("gather and recurrence", 0.0)
        times = [recurrence / record[kind] for kind in ("products_by_step", "products_at_once")]
        overhead = record["seconds_instrumented"] / record["seconds"] - 1
        lines.append(
            f"{NAMES[name]}: the recurrence takes {times[0]:.2f} times as long as its matrix products alone, step by "
            f"step, and {times[1]:.2f} times as long as the same products at once. It runs at {record['gflops']} "
            f"GFLOP/s, a large product at {record['gflops_of_machine']}. Timing the stages adds {overhead:.1%} to the "
            "time."
        )
    return "\n\n".join(lines)


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
    head = ["tokens in", "tokens", "µs per token", "seconds", "MiB without the Docs", "MiB of the Docs"]
    return table(head, rows) + f"\n\nThe loaded pipeline alone takes {result['mib_of_loaded_pipeline']:.0f} MiB."


def processes(result: Record) -> str:
    rows = [
        [
            NAMES[name],
            str(record["ratio"]),
            *(f"{1e6 * seconds / record['words']:.2f}" for seconds in record["seconds"].values()),
            f"{record['words']:,}",
        ]
        for name, record in result["contestants"].items()
    ]
    head = ["pipeline", "speed of two processes ÷ one", "µs per word, one process", "µs per word, two", "words"]
    return table(head, rows)


def short(result: Record) -> str:
    rows = [
        [
            str(row["tokens"]),
            str(row["ratio"]),
            *(f"{1000 * row['tokens'] / time:,.0f}" if time else "" for time in row["milliseconds"].values()),
        ]
        for row in result["calls"]
    ]
    head = ["tokens in a call", "time ÷ time of `ner`", f"{NAMES['default']}, words/s", "`ner`, words/s"]
    seconds, ratios = result["seconds"], result["ratios"]
    return (
        f"{table(head, rows)}\n\n`nlp.pipe` over {result['texts']:,} texts of {result['tokens_of_text']} tokens: with "
        f"n_process=2, {NAMES['default']} takes {ratios['2']} × the time of `ner` ({seconds['default 2']:.1f} s, "
        f"{seconds['spacy_ner 2']:.1f} s), and in one process {ratios['1']} × ({seconds['default 1']:.1f} s, "
        f"{seconds['spacy_ner 1']:.1f} s)."
    )


def threads(result: Record) -> str:
    rows = [
        [f"{kind}, {place} cores", *(str(value) for value in clocks.values())]
        for place, kinds in result["ratios"].items()
        for kind, clocks in kinds.items()
    ]
    return table(["variables not set ÷ set to 1", "wall time", "processor time"], rows)


def startup(result: Record) -> str:
    rows = [
        [NAMES[name], *(str(value) for value in record["seconds"].values()), str(record["mib"])]
        for name, record in result["contestants"].items()
    ]
    head = ["pipeline", "`import spacy`, s", "`spacy.load`, s", "first text, s", "whole process, s", "MiB on disk"]
    return table(head, rows)


def training(result: Record) -> str:
    rows = []
    for name, record in result["contestants"].items():
        is_ours = name == "default"
        until = result["seconds_until_best_of_spacy_ner"] if is_ours else record["seconds_until_best"]
        share = result["share_of_its_time"] if is_ours else 1
        rows.append([NAMES[name], cell(until) or "not reached", cell(share), str(record["best_dev_f"])])
    return table(["pipeline", "seconds to the best F1 of spaCy's `ner`", "share of its time", "own best F1, %"], rows)


TABLES: dict[str, Callable[[Record], str]] = {
    "speed": speed,
    "stages": stages,
    "growth": growth,
    "processes": processes,
    "short": short,
    "threads": threads,
    "startup": startup,
    "training": training,
}


def stored(root: Path) -> Record:
    """The stored results by part."""
    path = root / RESULTS
    return json.loads(path.read_text("utf8")) if path.exists() else {}


def store(root: Path, part: str, result: Record) -> None:
    """Put a part's result into the file of results."""
    path = root / RESULTS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**stored(root), part: result}, indent=1, ensure_ascii=False) + "\n", "utf8")


def write_documents(root: Path, part: str) -> None:
    """Write a part's table, and its chart if it has one, from the stored results.

    Args:
        root (Path): The folder with benchmarks/results and docs.
        part (str): Name of the part.

    Raises:
        ValueError: If the document has no place for the table.
    """
    result = stored(root)[part]
    fill(root / DOCUMENT, part, f"{TABLES[part](result)}\n\n{machine_line(result)}")
    if part == "speed" and "words_per_second" in result["contestants"].get("spacy_ner", {}):
        speed_chart(result, root / IMAGES / "speed.svg")
    if part == "growth":
        growth_chart(result, root / IMAGES / "growth.svg")


def speed_chart(result: Record, target: Path) -> None:
    """Words a second as a multiple of those of spaCy's `ner`. Few rows and large letters: it stands in README.md."""
    found = {name: result["contestants"].get(name, {}).get("words_per_second") for name in CHART}
    rates = {name: words["texts"] / found["spacy_ner"]["texts"] for name, words in found.items() if words}
    names = sorted(rates, key=rates.__getitem__)
    figure, axes = figures.pyplot().subplots(figsize=(5.4, 0.9 + 0.62 * len(names)))
    colors = [figures.BLUE if name in OURS else figures.GRAY for name in names]
    bars = axes.barh(range(len(names)), [rates[name] for name in names], height=0.4, color=colors)
    axes.bar_label(bars, [f"{rates[name]:.1f}×" for name in names], padding=4, fontsize=12)
    for y, name in enumerate(names):
        axes.annotate(CHART[name], (0, y + 0.3), xytext=(4, 0), textcoords="offset points", fontsize=12)
    axes.set_title("Words per second on one CPU thread", loc="left", fontsize=14)
    axes.set_xlabel("relative to spaCy's ner = 1 (raw texts of CoNLL-2003)", fontsize=12)
    axes.margins(x=0.12, y=0.02)
    axes.set_ylim(top=len(names) - 0.3)
    axes.set_yticks([])
    figures.save(figure, target)


def growth_chart(result: Record, target: Path) -> None:
    """Time and memory by number of tokens."""
    figure, axes = figures.pyplot().subplots(2, 1, figsize=(6, 7))
    panels = (("seconds", "seconds"), ("mib", "MiB of memory without the Docs"))
    for panel, (key, label) in zip(axes, panels, strict=True):
        for form, name, color in (("many", "sentences", figures.BLUE), ("one", "one document", figures.RED)):
            rows = [row for row in result["rows"] if row["form"] == form]
            points = [row["tokens"] for row in rows], [row[key] for row in rows]
            panel.plot(*points, marker="o", color=color, label=name)
        panel.set(xscale="log", xlabel="tokens", ylabel=label)
        panel.legend(frameon=False)
    axes[0].set_yscale("log")
    figures.save(figure, target)
