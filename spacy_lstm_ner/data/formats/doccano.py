"""The format doccano: a text a line, with `label` or `labels` as triples, or `entities` with relations.

{"id": 1, "text": "Anna sings in Oslo.", "label": [[0, 4, "PER"], [14, 18, "LOC"]]}
{"id": 2, "text": "Nothing here.", "label": []}
{"id": 3, "text": "Olga came.", "entities": [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 4}]}
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..annotated_file import AnnotatedFile, Record
from .base import Writing
from .json_values import field, json_format, read_span, write_lines


def _spans(item: Any) -> Any:
    return next((item[name] for name in ("label", "labels", "entities") if isinstance(item.get(name), list)), None)


def _score(item: Any) -> float:
    if not isinstance(item, dict) or not isinstance(item.get("text", item.get("data")), str):
        return 0.0
    spans = _spans(item)
    if spans and isinstance(spans[0], dict):
        return 0.95 if "start_offset" in spans[0] else 0.0
    if spans and "entities" not in item:
        return 0.95 if isinstance(spans[0], list) and len(spans[0]) == 3 else 0.3
    return 0.6 if spans == [] and ("label" in item or "labels" in item) else 0.0


def _read_item(file: AnnotatedFile, item: Any, place: str) -> Iterable[Record]:
    text = field(item, "text" if isinstance(item, dict) and "text" in item else "data", str)
    spans = _spans(item)
    if spans is None:
        raise ValueError("expected a list in the field label, labels or entities, found none")
    if item.get("relations"):
        file.skipped["relations"] += len(item["relations"])
    yield Record(text, [read_span(span) for span in spans], place, name=str(item.get("id", "")))


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    def values() -> Iterable[Any]:
        for number, record in enumerate(records, 1):
            writing.note(record)
            spans = [[span.start, span.end, span.label] for span in record.spans]
            yield {"id": record.name or number, "text": record.text, "label": spans, **record.meta}

    write_lines(path, values())


FORMAT = json_format("doccano", "JSON lines with text and label or entities", _score, _read_item, _write)
