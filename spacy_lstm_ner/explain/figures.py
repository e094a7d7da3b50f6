"""The figures of an explanation, as SVG and PNG. matplotlib is imported when they are drawn."""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any, Dict, List, NamedTuple, Sequence
from unicodedata import east_asian_width
from warnings import catch_warnings, filterwarnings

import numpy as np

PAPER, INK, FAINT = "#fdfdfe", "#161718", "#8a8b8c"
"""Background, text and grid of a figure. They occur nowhere else in it, so that `in_dark` can replace them."""
DARK = {PAPER: "#16181d", INK: "#e8e8ea", FAINT: "#6a6b6c"}
COLOURS = ("#2f7fc1", "#d0610e", "#0f9170", "#b4569a")
"""Lines that have a contrast of at least 3 : 1 on both backgrounds."""
MARKERS = ("o", "s", "^", "D")
PATHS = ("winning path", "runner-up")
"""There may be one path alone."""
MOST_TAGS = 24
LONGEST_WORD = 18
INCHES_A_TOKEN, LEFT, RIGHT, TOP, GAP = 0.44, 1.3, 0.6, 0.6, 0.45
"""In inches: the width of a token, the margins, and the space between panels, which holds a title."""


class Figure(NamedTuple):
    """A figure.

    Attributes:
        name (str): Its name, which is that of its files.
        title (str): Its heading.
        alt (str): What it shows, in words.
        svg (str): The figure as SVG.
        png (bytes): The figure as PNG.
    """

    name: str
    title: str
    alt: str
    svg: str
    png: bytes


def draw_figures(explanation: Dict[str, Any]) -> List[Figure]:
    """Draw the figures of an explanation.

    Args:
        explanation (Dict[str, Any]): The JSON values, from `explain_text`.

    Returns:
        List[Figure]: Gates, emissions and influence, without those that there is nothing to show for.
    """
    tokens = [_shown(token) for token in explanation["tokens"]]
    figures = [_gates_figure(tokens, number, layer) for number, layer in enumerate(explanation["layers"], 1)]
    figures.append(_emissions_figure(tokens, explanation))
    shown = [entity for entity in explanation["entities"] if entity["influence"] is not None]
    if shown:
        words, heights = _influence_in_words(explanation["tokens"], shown), [1.1] * len(shown)
        title = "Influence of each token on each entity"
        figures.append(_figure("influence", title, words, tokens, heights, partial(_draw_influence, entities=shown)))
    return figures


def _gates_figure(tokens: Sequence[str], number: int, layer: Dict[str, Any]) -> Figure:
    gated = [own for own in layer["directions"] if own["gates"]]
    what = f"Gates and {layer['state']}" if gated else layer["state"].capitalize()
    title, heights = f"{what} of layer {number} ({layer['cell']})", [1.9] * len(gated) + [1.2]
    draw = partial(_draw_gates, layer=layer, gated=gated)
    return _figure(f"gates-{number}", title, _gates_in_words(layer), tokens, heights, draw)


def _emissions_figure(tokens: Sequence[str], explanation: Dict[str, Any]) -> Figure:
    tags = _best_tags(explanation["marginals"])
    names = [explanation["tags"][tag] for tag in tags]
    emissions = _table(explanation["emissions"], len(explanation["tags"]))[:, tags]
    draw = partial(_draw_emissions, emissions=emissions, names=names, paths=explanation["paths"])
    title = "Emissions, the winning path and the runner-up"
    return _figure("emissions", title, _paths_in_words(explanation), tokens, [0.25 * len(names)], draw)


def in_dark(svg: str) -> str:
    """Give a figure the colours for a dark background.

    Args:
        svg (str): The SVG of a `Figure`.

    Returns:
        str: The same figure in other colours.
    """
    for light, dark in DARK.items():
        svg = svg.replace(light, dark)
    return svg


def _figure(
    name: str,
    title: str,
    alt: str,
    tokens: Sequence[str],
    heights: Sequence[float],
    draw: Callable[[Sequence[Any]], None],
) -> Figure:
    """Draw panels below each other over the same tokens. heights: of the panels, in inches."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    style: Dict[str, Any] = {
        "font.size": 10,
        "axes.titlesize": 10,
        # At the side that a narrow screen shows.
        "axes.titlelocation": "left",
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        # Tokens with $ are not formulas.
        "text.parse_math": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor"), PAPER),
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        "grid.color": FAINT,
        "legend.edgecolor": PAPER,
    }
    with rc_context(style):
        words = 0.09 * max(map(_columns, tokens)) + 0.2
        width = max(INCHES_A_TOKEN * len(tokens), 4.5) + LEFT + RIGHT
        height = sum(heights) + GAP * (len(heights) - 1) + words + TOP
        canvas: Any = Canvas(figsize=(width, height))
        FigureCanvasAgg(canvas)
        axes = canvas.subplots(len(heights), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        canvas.subplots_adjust(
            left=LEFT / width,
            right=1 - RIGHT / width,
            top=1 - TOP / height,
            bottom=words / height,
            hspace=GAP * len(heights) / sum(heights),
        )
        draw(axes)
        axes[-1].set_xlim(-0.6, len(tokens) - 0.4)
        axes[-1].set_xticks(range(len(tokens)), tokens, rotation=90)
        svg, png = BytesIO(), BytesIO()
        with catch_warnings():
            # The SVG file shows all characters, with the fonts of the reader.
            filterwarnings("ignore", "Glyph .* missing from font")
            canvas.savefig(svg, format="svg", metadata={"Date": None, "Title": title})
            canvas.savefig(png, format="png", dpi=120)
    return Figure(name, title, alt, svg.getvalue().decode("utf8"), png.getvalue())


def _shown(token: str) -> str:
    """A token as a label: short, and without line breaks and other characters that are not printed."""
    token = "".join(char if char.isprintable() else "·" for char in token)
    return token if len(token) <= LONGEST_WORD else token[: LONGEST_WORD - 1] + "…"


def _columns(token: str) -> int:
    """The width of a token in letters. Those of East Asian scripts are as wide as two others."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in token)


def _draw_gates(axes: Sequence[Any], layer: Dict[str, Any], gated: Sequence[Dict[str, Any]]) -> None:
    for ax, panel in zip(axes[:-1], gated, strict=True):
        for (gate, means), colour, marker in zip(panel["gates"].items(), COLOURS, MARKERS, strict=False):
            ax.plot(means, color=colour, marker=marker, markersize=4, linewidth=1.3, label=f"{gate} gate")
        ax.set(ylim=(0, 1), ylabel="mean of units", title=f"reads {panel['reads']}")
        _mark_windows(ax, panel, INK)
        ax.grid(alpha=0.4, linewidth=0.6)
    if gated:
        axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1.13), ncols=3, frameon=False, borderaxespad=0)
    for own, colour, marker in zip(layer["directions"], COLOURS[2:], MARKERS[2:], strict=False):
        _mark_windows(axes[-1], own, colour)
        axes[-1].plot(own["state_norm"], color=colour, marker=marker, markersize=4, linewidth=1.3, label=own["reads"])
    axes[-1].set(ylim=(0, None), ylabel=f"norm of the\n{layer['state']}")
    axes[-1].grid(alpha=0.4, linewidth=0.6)
    axes[-1].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0)


def _mark_windows(ax: Any, direction: Dict[str, Any], colour: str) -> None:
    """Draw a line before the first token of each window but the first, in reading direction."""
    side = -0.5 if direction["reads"] == "left to right" else 0.5
    for token in direction["window_starts"][1:]:
        ax.axvline(token + side, color=colour, linestyle=":", linewidth=1.3)


def _draw_emissions(axes: Sequence[Any], emissions: Any, names: Sequence[str], paths: Sequence[Dict[str, Any]]) -> None:
    (ax,) = axes
    from matplotlib.patheffects import withStroke

    image = ax.imshow(emissions.T, aspect="auto", cmap="cividis", interpolation="nearest")
    ax.set_yticks(range(len(names)), names)
    outline = [withStroke(linewidth=4, foreground="#101010")]
    looks = (("o", "white", 5), ("s", "none", 11))
    for path, name, (marker, face, size) in zip(paths, PATHS, looks, strict=False):
        places = [(t, names.index(tag)) for t, tag in enumerate(path["tags"]) if tag in names]
        label = f"{name}, probability {path['probability']:.3f}"
        line = {"linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 1.5, "path_effects": outline}
        ax.plot(*np.array(places).T, marker=marker, color=face, markersize=size, label=label, **line)
    ax.figure.colorbar(image, ax=ax, label="nats", fraction=0.02, pad=0.01)
    legend = ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, framealpha=1, facecolor="#3b4c6b"
    )
    for text in legend.get_texts():
        text.set_color("#ffffff")


def _draw_influence(axes: Sequence[Any], entities: Sequence[Dict[str, Any]]) -> None:
    for ax, entity in zip(axes, entities, strict=True):
        share = np.array(entity["influence"]) / max(entity["influence"])
        own = np.arange(entity["start"], entity["end"])
        ax.plot(share, color=COLOURS[0], marker="o", markersize=4, linewidth=1.3)
        ax.plot(own, share[own], color=COLOURS[1], marker="s", markersize=7, linestyle="none")
        chance = f"probability {entity['probability']:.3f}, reach {entity['reach']} tokens"
        ax.set(
            yscale="log", ylim=(1e-4, 2), ylabel="share", title=f"{_shown(entity['text'])} {entity['label']}: {chance}"
        )
        ax.set_yticks([1, 0.1, 0.01, 0.001, 0.0001], ["1", "0.1", "0.01", "0.001", "0.0001"])
        ax.grid(alpha=0.4, linewidth=0.6)


def _table(rows: Sequence[Any], n_tags: int) -> Any:
    """(tokens, T) Values by token and tag; NaN where there is none."""
    missing = [None] * n_tags
    return np.array([missing if row is None else row for row in rows], dtype="float64")


def _best_tags(marginals: Sequence[Any]) -> List[int]:
    """The tags that are most probable anywhere, in their order."""
    best = np.max([row for row in marginals if row is not None], axis=0)
    return sorted(np.argsort(-best, kind="stable")[:MOST_TAGS].tolist())


def _gates_in_words(layer: Dict[str, Any]) -> str:
    parts = []
    for own in layer["directions"]:
        ranges = [f"{gate} gate {min(means):.2f} to {max(means):.2f}" for gate, means in own["gates"].items()]
        ranges.append(f"norm of the {layer['state']} {min(own['state_norm']):.1f} to {max(own['state_norm']):.1f}")
        parts.append(f"reading {own['reads']}: {', '.join(ranges)}")
    return "Means over the units by token; " + "; ".join(parts)


def _paths_in_words(explanation: Dict[str, Any]) -> str:
    parts = []
    for path, name in zip(explanation["paths"], PATHS, strict=False):
        found = ", ".join(f"{entity['text']} {entity['label']}" for entity in path["entities"]) or "no entity"
        parts.append(f"{name}, probability {path['probability']:.3f}: {found}")
    return "Score of each tag at each token, with " + "; ".join(parts)


def _influence_in_words(tokens: Sequence[str], entities: Sequence[Dict[str, Any]]) -> str:
    parts = []
    for entity in entities:
        order = np.argsort(-np.array(entity["influence"]))[:3].tolist()
        words = ", ".join(tokens[token] for token in order)
        parts.append(f"{entity['text']} {entity['label']} depends most on {words}, reach {entity['reach']} tokens")
    return "Norm of the gradient of the log-probability, as a share of the largest; " + "; ".join(parts)
