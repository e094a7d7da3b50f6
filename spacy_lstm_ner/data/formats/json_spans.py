"""The format json: any JSON objects with a text and a list of spans.

The usual names are known. For other names, give the options `text`, `spans`, `start`, `end` and `label`.

    {"text": "Anna sings in Oslo.", "spans": [{"start": 0, "end": 4, "label": "PER"}]}
    {"content": "Anna sings.", "annotations": [{"begin": 0, "stop": 4, "type": "PER"}]}
    {"text": "Anna sings.", "entities": [[0, 4, "PER"]]}
"""

from collections.abc import Iterable
from typing import Any

from ..annotated_file import AnnotatedFile, Record
from .json_values import field, json_format, read_span

_TEXTS = ("text", "content", "sentence", "document", "data", "body")
_SPANS = ("spans", "entities", "ents", "annotations", "annotation", "labels", "label", "ner")


def _score(item: Any) -> float:
    if not isinstance(item, dict) or not any(isinstance(item.get(name), str) for name in _TEXTS):
        return 0.0
    lists = [item[name] for name in _SPANS if isinstance(item.get(name), list)]
    return 0.55 if any(_is_spans(spans) for spans in lists) else 0.3


def _is_spans(spans: list[Any]) -> bool:
    try:
        return bool([read_span(span) for span in spans])
    except ValueError:
        return False


def read_item(file: AnnotatedFile, item: Any, place: str) -> Iterable[Record]:
    if not isinstance(item, dict):
        raise ValueError(f"expected an object with a text and spans, found {item!r:.40}")
    text = file.column("text") or next((name for name in _TEXTS if isinstance(item.get(name), str)), "text")
    spans = file.column("spans") or next((name for name in _SPANS if isinstance(item.get(name), list)), "spans")
    if text not in item or spans not in item:
        raise ValueError(
            f"expected a text in the field {text!r} and its spans in {spans!r}, found the fields {', '.join(item)}. "
            "Name them with --columns text=NAME,spans=NAME"
        )
    found = [read_span(span, file.options.columns) for span in field(item, spans, list)]
    yield Record(field(item, text, str), found, place, name=str(item.get("id", "")))


FORMAT = json_format("json", "JSON objects with a text and a list of spans", _score, read_item)
