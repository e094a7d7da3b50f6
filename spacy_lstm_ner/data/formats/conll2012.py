"""The format conll2012: the columns of OntoNotes, with entities in brackets.

The entities are in the fourth column from the start after the parse, number 11; the option `tag` gives another number.

    #begin document (bc/cctv/00/cctv_0000); part 000
    bc/cctv/00/cctv_0000   0   0   Anna   NNP   (TOP(NP*   -   -   -   -   (PERSON)   -
    bc/cctv/00/cctv_0000   0   1   sings  VBZ   (VP*))     -   -   -   -   *          -
"""

import re
from collections.abc import Iterator
from itertools import chain

from ..annotated_file import AnnotatedFile, Entity, Record, text_of
from .base import Format, Head

_WORD, _ENTITY = 3, 10
_CELL = re.compile(r"((?:\([^()*\s]+)*)\*?(\)*)")


def _sniff(head: Head) -> float:
    return 1.0 if head.text.startswith("#begin document") else 0.0


def _read(file: AnnotatedFile) -> Iterator[Record]:
    file.marks_documents, file.scheme = True, "brackets"
    wanted = file.column("tag")
    if wanted and not wanted.isdigit():
        raise file.error(1, f"expected the number of a column for the tag, found {wanted}")
    at = int(wanted) - 1 if wanted else _ENTITY
    starts_doc = True
    words: list[str] = []
    spans: list[tuple[int, int, str]] = []
    begun: list[tuple[int, str]] = []
    for number, line in enumerate(chain(file.stream(), [""]), 1):
        if line.startswith("#") or not line.strip():
            if begun:
                problem = f"expected the end of the entity {begun[-1][1]}, found the end of the sentence"
                raise file.error(number, problem)
            if words:
                text, offsets = text_of(words, None)
                found = [Entity(offsets[i], offsets[k] + len(words[k]), label) for i, k, label in sorted(spans)]
                place = f"{file.path}:{number - len(words)}"
                yield Record(text, found, place, words, sents=[0], starts_doc=starts_doc)
                words, spans, starts_doc = [], [], False
            starts_doc = starts_doc or line.startswith("#begin")
            continue
        columns = line.split()
        if len(columns) <= max(at, _WORD):
            raise file.error(number, f"expected at least {max(at, _WORD) + 1} columns, found {len(columns)}")
        cell = _CELL.fullmatch(columns[at])
        if cell is None:
            raise file.error(number, f"expected an entity such as (PERSON*, * or *), found {columns[at]}")
        begun += [(len(words), label) for label in cell[1].split("(")[1:]]
        for _ in cell[2]:
            if not begun:
                raise file.error(number, "expected the start of an entity before its end")
            start, label = begun.pop()
            spans.append((start, len(words), label))
        words.append(columns[_WORD])


FORMAT = Format("conll2012", "columns after a line #begin document", _sniff, _read)
