"""The charts of a report, as SVG that takes its colours from the page. Needs matplotlib, the extra `report`."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GRID, COLOURS = "#010101", "#020202", ("#030303", "#040404", "#050505")
"""Colours that stand for those of the page: `_svg` replaces them."""
_VARIABLES = {INK: "currentColor", GRID: "var(--line)"} | {c: f"var(--series{k})" for k, c in enumerate(COLOURS)}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
STYLES = ("--", ":", "-")
SCORES = {"p": "Precision", "r": "Recall", "f": "F"}
MOST_TYPES = 30


class Chart(NamedTuple):
    """A chart.

    Attributes:
        svg (str): An SVG element.
        text (str): What it shows, for those who do not see it.
    """

    svg: str
    text: str


def make_charts(figures: Mapping[str, Any]) -> dict[str, Chart]:
    """Draw the charts for which there are figures.

    Args:
        figures (Mapping[str, Any]): What `figures.compute` returned.

    Returns:
        dict[str, Chart]: The charts by name.
    """
    charts = {}
    with rc_context(_STYLE):
        if figures["by_type"]:
            charts["by_type"] = _by_type(figures["by_type"])
        if figures["confidence"] is not None:
            charts["reliability"] = _reliability(figures["confidence"])
            charts["thresholds"] = _thresholds(figures["confidence"])
        if figures.get("training"):
            charts["training_scores"] = _training_scores(figures["training"])
            charts["training_losses"] = _training_losses(figures["training"])
    return charts


def _by_type(by_type: Mapping[str, Any]) -> Chart:
    rows = [(label, row) for label, row in by_type.items() if row["f"] is not None]
    rows = sorted(rows, key=lambda one: -(one[1]["tp"] + one[1]["fn"]))[:MOST_TYPES][::-1]
    figure, axes = _axes(1.0 + 0.34 * len(rows))
    places, f = range(len(rows)), [100 * row["f"] for _, row in rows]
    axes.barh(places, f, color=COLOURS[0], height=0.6)
    for place, (_, row) in zip(places, rows, strict=True):
        if row["f_interval"]:
            axes.plot([100 * limit for limit in row["f_interval"]], [place, place], color=INK, linewidth=1.5)
    axes.set_yticks(places, [label if len(label) < 16 else f"{label[:14]}…" for label, _ in rows])
    axes.set(xlabel="F in percent, with 95 % interval", xlim=(0, 100))
    axes.grid(axis="y", visible=False)
    told = ", ".join(f"{label} {100 * row['f']:.1f}" for label, row in rows[::-1])
    return Chart(_svg(figure, "by_type"), f"F by type in percent: {told}")


def _reliability(confidence: Mapping[str, Any]) -> Chart:
    figure, axes = _axes(3.4)
    axes.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1)
    pairs = [(own["confidence"], own["precision"]) for own in confidence["bins"]]
    axes.plot(*zip(*pairs, strict=True), color=COLOURS[0], marker="o")
    axes.set(xlabel="mean probability (dashed: no gap)", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    told = ", ".join(f"{one:.2f} and {other:.2f}" for one, other in pairs)
    return Chart(_svg(figure, "reliability"), f"Reliability diagram, mean probability and share right by bin: {told}")


def _thresholds(confidence: Mapping[str, Any]) -> Chart:
    figure, axes = _axes(3.4)
    rows, best = confidence["thresholds"], confidence["best"]
    _draw_scores(axes, rows, "threshold")
    axes.axvline(best["threshold"], color=INK, linewidth=1)
    axes.set(xlabel="threshold (line: best F)", ylabel="percent", xlim=(0, 1))
    axes.legend(loc="lower left", framealpha=0)
    told = f"the best F is {100 * (best['f'] or 0.0):.1f} at {best['threshold']:.2f}"
    return Chart(_svg(figure, "thresholds"), f"Precision, recall and F by threshold: {told}. The table has the values.")


def _training_scores(rows: Sequence[Mapping[str, Any]]) -> Chart:
    figure, axes = _axes(3.4)
    _draw_scores(axes, rows, "step")
    best = max(rows, key=lambda row: row["score"] or 0.0)
    axes.axvline(best["step"], color=INK, linewidth=1)
    axes.set(xlabel="step (line: best score)", ylabel="percent, on dev")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", framealpha=0)
    told = f"{len(rows)} evaluations, the best at step {best['step']}"
    return Chart(
        _svg(figure, "training_scores"),
        f"Precision, recall and F on the dev data by step of training: {told}. The table has the values.",
    )


def _training_losses(rows: Sequence[Mapping[str, Any]]) -> Chart:
    figure, axes = _axes(3.4)
    names, told = sorted({name for row in rows for name in row["losses"]}), []
    for colour, style, name in zip(COLOURS, STYLES, names[: len(COLOURS)], strict=False):
        own = [(row["step"], row["losses"][name]) for row in rows if row["losses"].get(name) is not None]
        if own:
            axes.plot(*zip(*own, strict=True), color=colour, linestyle=style, linewidth=2, label=name)
            told.append(f"{name} from {own[0][1]:.3g} to {own[-1][1]:.3g}")
    axes.set(xlabel="step", ylabel="loss per word")
    axes.set_ylim(bottom=0)
    if told:
        axes.legend(loc="upper right", framealpha=0)
    return Chart(_svg(figure, "training_losses"), f"Loss per word by step of training: {', '.join(told)}.")


def _draw_scores(axes: Axes, rows: Sequence[Mapping[str, Any]], by: str) -> None:
    """Draw precision, recall and F of rows over another of their values."""
    for colour, style, (key, name) in zip(COLOURS, STYLES, SCORES.items(), strict=True):
        own = [(row[by], 100 * row[key]) for row in rows if row[key] is not None]
        if own:
            axes.plot(*zip(*own, strict=True), color=colour, linestyle=style, linewidth=2, label=name)


def _axes(height: float) -> tuple[Figure, Axes]:
    # Of this width, the letters are legible on a telephone too.
    figure = Figure(figsize=(4.4, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str) -> str:
    """The SVG element of a figure, with names of its own and the colours of the page."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = file.getvalue()[file.getvalue().index("<svg") :]
    # A style in it would hold for all of the page, which has the same one.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: ([^;\"]*?)[\d.]+px [^;\"]*", lambda found: found[0].partition("px")[0] + "px sans-serif", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.strip()
