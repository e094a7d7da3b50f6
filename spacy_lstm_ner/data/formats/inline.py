r"""The format inline: a sentence a line, with entities in square brackets and their labels in round ones.

`\[` and `\]` are literal brackets. Entities do not nest. An empty line ends a document.

    # a comment
    [Sharon](per) flew to [Miami](geo).
    She came back \[sic\].
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from ..annotated_file import AnnotatedFile, Entity, Record
from ..encodings import first_bad_line
from ..tag_schemes import LabelSpan
from .base import Format, Head

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
    text = rest.partition("]")[0]
    return (
        "expected ](label) at the end of an entity, found ] without a label in round brackets. "
        rf"If the brackets are text, write \[{text}\]"
    )


def _sniff(head: Head) -> float:
    return 0.7 if any(_ENTITY.search(line) for line in head.all_lines if not line.startswith("# ")) else 0.0


def _read(file: AnnotatedFile) -> Iterator[Record]:
    records, starts_doc = [], True
    for number, line in enumerate(file.stream(), 1):
        if file.encoding == "latin-1" and not file.options.encoding:
            bad, byte = first_bad_line(file.path)
            raise file.error(bad, f"expected UTF-8, found the byte 0x{byte:02x}")
        if not line.strip():
            starts_doc = True
        elif line.startswith("# "):
            file.comments += 1
        else:
            try:
                plain, spans = parse_inline(line.strip())
            except ValueError as error:
                raise file.error(number, str(error)) from error
            found = [Entity(*span) for span in spans]
            records.append(Record(plain, found, f"{file.path}:{number}", sents=[0], starts_doc=starts_doc))
            starts_doc = False
    # If no empty line separates two sentences, the file may as well be a list of single sentences.
    file.marks_documents = any(after.starts_doc for _, after in pairwise(records))
    yield from records


FORMAT = Format("inline", "text with entities such as [Oslo](LOC)", _sniff, _read)
