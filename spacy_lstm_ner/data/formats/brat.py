"""The format brat: a `.txt` file with its `.ann` file, in a folder.

The text-bound annotations (T) are read; relations, events and notes are skipped and counted.

    T1	Person 0 4	Anna
    T2	Place 13 17	Oslo
    T3	Place 22 26;35 38	Nord Ulm
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..annotated_file import AnnotatedFile, Entity, Record
from ..encodings import read_text
from .base import Format, Head, Writing, named

_BOUND = re.compile(r"T[^\t]*\t(?P<label>[^\s]+) (?P<parts>\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)(?:\t(?P<text>.*))?")


def _sniff(head: Head) -> float:
    if (
        head.path.suffix in (".ann", ".txt")
        and head.path.with_suffix({".ann": ".txt"}.get(head.path.suffix, ".ann")).exists()
    ):
        return 1.0
    fits = any(_BOUND.fullmatch(line) for line in head.lines)
    return (1.0 if head.path.suffix == ".ann" else 0.4) * fits


def _read(file: AnnotatedFile) -> Iterator[Record]:
    annotation, source = file.path.with_suffix(".ann"), file.path.with_suffix(".txt")
    for path in (annotation, source):
        if not path.exists():
            raise FileNotFoundError(f"{file.path}: expected the file {path.name} beside it, found none")
    file.marks_documents = True
    text, file.encoding = read_text(source, file.options.encoding)
    lines, _ = read_text(annotation, file.options.encoding)
    # Some editors of annotation count a line end of two characters as one.
    one_line_end = text.replace("\r\n", "\n")
    spans = []
    for number, line in enumerate(lines.replace("\r\n", "\n").split("\n"), 1):
        if not line.startswith("T"):
            file.skipped["annotations that are no spans"] += bool(line.strip())
            continue
        match = _BOUND.fullmatch(line)
        if match is None:
            raise file.error(number, "expected the number, label and limits of a span", line)
        parts = [(int(part.split()[0]), int(part.split()[1])) for part in match["parts"].split(";")]
        spans.append(Entity(parts[0][0], parts[-1][1], match["label"], None, match["text"], tuple(parts)))
    text = max((text, one_line_end), key=lambda way: sum(_fits(way, span) for span in spans))
    file.position = file.path.stat().st_size
    yield Record(text, [_joined(text, span) for span in spans], f"{file.path}:1", name=file.path.stem)


def _fits(text: str, span: Entity) -> bool:
    return span.text is not None and " ".join(text[a:b] for a, b in span.parts).split() == span.text.split()


def _joined(text: str, span: Entity) -> Entity:
    """Without the parts, if there is only white space between them, as for an entity in two lines."""
    gaps = (text[end:start] for (_, end), (start, _) in zip(span.parts, span.parts[1:], strict=False))
    return span._replace(parts=()) if all(not gap.strip() for gap in gaps) else span


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    for name, record in named(records):
        writing.note(record, gaps=True)
        with (path / f"{name}.txt").open("w", encoding="utf-8", newline="") as out:
            out.write(record.text)
        with (path / f"{name}.ann").open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(_line(record, k, span, writing) for k, span in enumerate(record.spans, 1))


def _line(record: Record, number: int, span: Entity, writing: Writing) -> str:
    label = re.sub(r"\s", "_", span.label)
    if label != span.label:
        writing.lost("labels with white space", f"{record.place}: {span.label!r}")
    # A span in several lines has a part in each.
    lines = re.finditer(r"[^\r\n]+", record.text[span.start : span.end])
    parts = span.parts or [(span.start + match.start(), span.start + match.end()) for match in lines]
    if not parts:
        writing.lost("unwritten", f"{record.place}: {span.label}")
        return ""
    text = " ".join(record.text[start:end] for start, end in parts)
    return f"T{number}\t{label} {';'.join(f'{start} {end}' for start, end in parts)}\t{text}\n"


FORMAT = Format("brat", "a .txt file with its .ann file", _sniff, _read, _write, folder=(".txt", ".ann"))
