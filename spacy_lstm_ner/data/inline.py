"""Inline annotation: ``[Sharon](per) flew to [Miami](geo).`` ↔ plain text with spans.

A label in round brackets follows the entity in square ones; ``\\[`` and ``\\]`` are literal brackets.
Entities do not nest.
"""

import re

from .tag_schemes import Span

_MARK = re.compile(r"\\[\[\]]|\[|\]\(")
_ENTITY = re.compile(r"\[(?P<text>(?:\\[\[\]]|[^\[\]])*)\]\((?P<label>[^()\[\]]*)\)")
_ESCAPED = re.compile(r"\\([\[\]])")


def parse_inline(line: str) -> tuple[str, list[Span]]:
    """Plain text of an annotated line, and its entities as character offsets into that text.

    line: one sentence with its annotation.
    Raises ValueError for an entity that is left open, nested, empty, without label or with space at its ends.
    """
    parts: list[str] = []
    spans: list[Span] = []
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
                raise ValueError(f"expected an entity without space at its ends, found [{inner}]")
            start = length + len(plain)
            spans.append(Span(start, start + len(inner), label))
            plain, position = plain + inner, entity.end()
        else:
            plain += mark[0][1]
        parts.append(plain)
        length += len(plain)
    return "".join(parts) + line[position:], spans


def _problem(rest: str) -> str:
    """What is wrong with an entity, by the rest of the line behind its opening bracket."""
    brackets = re.findall(r"[\[\]]", _ESCAPED.sub("", rest))
    if not brackets:
        return "expected ] at the end of an entity, found the end of the line"
    if brackets[0] == "[":
        return "expected ] before the next [, found an entity within an entity"
    return "expected ](label) at the end of an entity, found ] without a label in round brackets"
