"""Write the table of the component's settings in docs/component.md from the dataclass `Settings`.

Usage: python scripts/write_settings_table.py [--check]
--check: change nothing; the exit code is 1 if the table is not up to date.
"""

import sys
from dataclasses import fields
from pathlib import Path

from spacy_lstm_ner.pipeline.settings import Settings, default_settings, setting_meanings, type_name

PAGE = Path(__file__).parent.parent / "docs" / "component.md"
START, END = "<!-- settings: start -->", "<!-- settings: end -->"


def table() -> str:
    """The table in Markdown."""
    meanings, defaults = setting_meanings(), default_settings()
    rows = ["| setting | description |", "|---|---|"]
    for setting in fields(Settings):
        default = repr(defaults[setting.name]).replace("'", '"')
        rows.append(
            f"| `{setting.name}` | {meanings[setting.name]} Defaults to `{default}`. `{type_name(setting.type)}` |"
        )
    return "\n".join(rows)


def main() -> None:
    """Compare the page with the settings, or write it."""
    page = PAGE.read_text("utf8")
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    written = f"{before}{START}\n{table()}\n{END}{after}"
    if "--check" in sys.argv[1:]:
        sys.exit(written != page)
    PAGE.write_text(written, "utf8")


if __name__ == "__main__":
    main()
