"""The files of an explanation: figures, a page and the numbers. jinja2 is imported when the page is written."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any, Dict, List

from ..files import write_atomically
from .figures import Figure, draw_figures, in_dark

TEXTS = {
    "gates": "A gate near 1 lets everything pass: the forget gate the old memory, the input gate the new content, the "
    "output gate what the cell shows of its memory; in a GRU, the update gate the old state, and the reset gate the "
    "part of it that the new content depends on. Each point is the mean over all units.",
    "emissions": "The scores that the network gives to the tags of each token, in nats. The path with the highest sum "
    "of emissions and transitions wins.",
    "influence": "The norm of the gradient of the entity's log-probability at the vector of each token, before the "
    "recurrent layers, as a share of the largest, on a logarithmic scale. Squares mark the tokens of the entity.",
}


def write_explanation(explanation: Dict[str, Any], folder: Path) -> List[Path]:
    """Write an explanation: explain.html, explain.json, and an SVG and a PNG file for each figure.

    Args:
        explanation (Dict[str, Any]): The JSON values, from `explain_text`.
        folder (Path): The folder. It is created if necessary; files of these names are replaced.

    Returns:
        List[Path]: The files, the page first.
    """
    figures = draw_figures(explanation)
    contents = {"explain.html": render_page(explanation, figures).encode("utf8")}
    contents["explain.json"] = json.dumps(explanation, indent=1, allow_nan=False).encode("utf8")
    for figure in figures:
        contents[f"{figure.name}.svg"] = figure.svg.encode("utf8")
        contents[f"{figure.name}.png"] = figure.png
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def render_page(explanation: Dict[str, Any], figures: List[Figure]) -> str:
    """Make the page, which needs no other file.

    Args:
        explanation (Dict[str, Any]): The JSON values.
        figures (List[Figure]): Its figures.

    Returns:
        str: The HTML.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text("utf8"))
    shown = [
        {**figure._asdict(), "light": _as_url(figure.svg), "dark": _as_url(in_dark(figure.svg))} for figure in figures
    ]
    return template.render(explanation=explanation, figures=shown, texts=TEXTS)


def _as_url(svg: str) -> str:
    return "data:image/svg+xml;base64," + b64encode(svg.encode("utf8")).decode("ascii")
