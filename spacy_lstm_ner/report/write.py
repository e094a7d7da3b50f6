"""Write a report: `report.html`, `report.md` and `report.json`. Needs jinja2, the extra `report`."""

import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ..files import write_atomically
from .beside import make_comparisons
from .charts import make_charts
from .sections import make_sections
from .summary import percent, summarize


def write_report(folder: Path, figures: Mapping[str, Any], title: str = "Report on named entities") -> None:
    """Write the files of a report. Existing ones are replaced.

    Args:
        folder (Path): The folder. It is created if necessary.
        figures (Mapping[str, Any]): What `figures.compute` returned, and what the command adds.
        title (str): The title of the report.
    """
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",)),
        undefined=StrictUndefined,
    )
    environment.filters.update(percent=percent, hue=_hue, md=_markdown)
    shown = {
        "title": title,
        "figures": figures,
        "summary": list(summarize(figures)),
        "sections": [*make_sections(figures), *make_comparisons(figures)],
        "charts": make_charts(figures),
    }
    for name in ("html", "md"):
        text = environment.get_template(f"page.{name}.jinja").render(shown)
        write_atomically(folder / f"report.{name}", text.encode("utf-8", "replace"))
    write_atomically(folder / "report.json", json.dumps(figures, indent=1, allow_nan=False).encode("utf-8"))


def _hue(label: str) -> int:
    """The colour of a type, from 0 to 359."""
    return zlib.crc32(label.encode("utf-8", "replace")) % 360


def _markdown(text: str) -> str:
    """A text with no markup of Markdown or HTML in it, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#&~])", r"\\\1", " ".join(text.splitlines()) if "\n" in text else text)
