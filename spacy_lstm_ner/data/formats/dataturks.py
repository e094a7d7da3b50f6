"""The format dataturks: exports of Dataturks. The end of an entity is its last character.

{"content": "Anna sings", "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 3, "text": "Anna"}]}]}
{"content": "Nothing here.", "annotation": [], "extras": null}
{"content": "Nobody.", "annotation": null}
"""

from collections.abc import Iterable
from typing import Any

from ..annotated_file import AnnotatedFile, Record
from .json_values import field, json_format, read_span


def _score(item: Any) -> float:
    return 1.0 if isinstance(item, dict) and "content" in item and "annotation" in item else 0.0


def _read_item(file: AnnotatedFile, item: Any, place: str) -> Iterable[Record]:
    text, spans = field(item, "content", str), []
    for one in field(item, "annotation", list) if item.get("annotation") else []:
        for label in field(one, "label", list):
            for point in field(one, "points", list):
                span = read_span({**point, "label": label} if isinstance(point, dict) else point)
                spans.append(span._replace(end=span.end + 1))
    yield Record(text, spans, place)


FORMAT = json_format("dataturks", "JSON lines with content and annotation", _score, _read_item)
