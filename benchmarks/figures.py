"""Figures for the documents: the same results give the same small SVG file. Not a benchmark itself.

They need matplotlib, which is in the extra `benchmark`.
"""

from pathlib import Path
from typing import Any

# Colors that color-blind readers can tell apart (Okabe and Ito).
BLUE, ORANGE, GREEN, RED, GRAY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"


def pyplot() -> Any:
    """matplotlib.pyplot, set up to write text as text, and ids that do not change from run to run."""
    import matplotlib

    matplotlib.use("svg")
    settings = {"svg.fonttype": "none", "svg.hashsalt": "spacy-lstm-ner", "font.sans-serif": ["DejaVu Sans", "Arial"]}
    matplotlib.rcParams.update({**settings, "axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, target: Path) -> None:
    """Write a figure as SVG and close it."""
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None, "Creator": None})
    pyplot().close(figure)
