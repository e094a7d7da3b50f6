r"""Inline annotation: `[Sharon](per) flew to [Miami](geo).` as plain text with spans.

The entity is in square brackets, its label in round ones. `\[` and `\]` are literal brackets. Entities do not nest.
"""

import re

from .tag_schemes import LabelSpan

_MARK = re.compile(r"\\[\[\]]|\[|\]\(")
_ENTITY = re.compile(r"\[(?P<text>(?:\\[\[\]]|[^\[\]])*)\]\((?P<label>[^()\[\]]*)\)")
_ESCAPED = re.compile(r"\\([\[\]])")


def parse_inline(line: str) -> tuple[str, list[LabelSpan]]:
    """Separate the text of a line from its annotation.

    Args:
        line (str): One sentence with its annotation.

    Returns:
        tuple[str, list[LabelSpan]]: The plain text, and the entities as character offsets into it.

    Raises:
        ValueError: If an entity is not closed, nested or empty, has no label, or has white space at its ends.
    """
    parts: list[str] = []
    spans: list[LabelSpan] = []
    length = position = 0
    while mark := _MARK.search(line, position):
        plain, position = line[position : mark.start()], mark.end()
        if mark[0] == "](":
            raise ValueError("expected [ before the ]( of an entity, found none")
        if mark[0] == "[":
            entity = _ENTITY.match(line, mark.start())
            if entity is None:
                raise ValueError(_problem(line[mark.end() :]))
            inner, label = _ESCAPED.sub(r"\1", entity["text"]), entity["label"].strip()
            if not label:
                raise ValueError(f"expected a label for [{inner}], found none")
            if not inner or inner != inner.strip():
                raise ValueError(f"expected an entity without white space at its ends, found [{inner}]")
            start = length + len(plain)
            spans.append(LabelSpan(start, start + len(inner), label))
            plain, position = plain + inner, entity.end()
        else:
            plain += mark[0][1]
        parts.append(plain)
        length += len(plain)
    return "".join(parts) + line[position:], spans


def _problem(rest: str) -> str:
    """Say why no entity starts at an opening bracket, from the rest of the line after it."""
    brackets = re.findall(r"[\[\]]", _ESCAPED.sub("", rest))
    if not brackets:
        return "expected ] at the end of an entity, found the end of the line"
    if brackets[0] == "[":
        return "expected ] before the next [, found an entity within an entity"
    return "expected ](label) at the end of an entity, found ] without a label in round brackets"
