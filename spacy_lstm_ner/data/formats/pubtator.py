"""The format pubtator: title, abstract and annotation of articles. Relations are skipped and counted.

1234|t|Anna Roe sings.
1234|a|She lives in Oslo.
1234	0	8	Anna Roe	Person	P1
"""

import re
from collections.abc import Iterator

from ..annotated_file import AnnotatedFile, Entity, Record
from .base import Format, Head

_PART = re.compile(r"(?P<id>[^|\t]+)\|(?P<part>[a-z])\|(?P<text>.*)")
_LIMIT = re.compile(r"\d{1,9}")


def _sniff(head: Head) -> float:
    return 1.0 if head.lines and re.match(r"[^|\t]+\|t\|", head.lines[0]) else 0.0


def _read(file: AnnotatedFile) -> Iterator[Record]:
    file.marks_documents = True
    record = None
    for number, line in enumerate(file.stream(), 1):
        if match := _PART.fullmatch(line):
            if record is not None and match["id"] == record.name and match["part"] != "t":
                record.text += "\n" + match["text"]
                continue
            if record is not None:
                yield record
            record = Record(match["text"], [], f"{file.path}:{number}", name=match["id"])
        elif line.strip():
            fields = line.split("\t")
            if record is None or len(fields) < 2 or fields[0] != record.name:
                raise file.error(number, "expected the annotation of the article before it")
            if not _LIMIT.fullmatch(fields[1]):
                file.skipped["relations"] += 1
            elif len(fields) < 5 or not _LIMIT.fullmatch(fields[2]):
                raise file.error(number, "expected the columns id, start, end, text and type")
            else:
                record.spans.append(Entity(int(fields[1]), int(fields[2]), fields[4].strip(), None, fields[3]))
                if not fields[4].strip():
                    raise file.error(number, "expected a type")
    if record is not None:
        yield record


FORMAT = Format("pubtator", "lines ID|t|title and ID|a|abstract", _sniff, _read)
