"""The format spacy-json: spaCy's training JSON, and what `Doc.to_json` gives.

[{"id": 0, "paragraphs": [{"raw": "Anna sings.", "sentences": [{"tokens": [
  {"orth": "Anna", "ner": "U-PER"}, {"orth": "sings", "ner": "O"}, {"orth": ".", "ner": "O"}]}]}]}]
{"text": "Anna sings.", "ents": [{"start": 0, "end": 4, "label": "PER"}], "tokens": [...]}
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..annotated_file import AnnotatedFile, Record, join
from .json_values import field, json_format, read_span
from .tagged import MISSING_TAG, TaggedWords, read_tagged


def _score(item: Any) -> float:
    if not isinstance(item, dict):
        return 0.0
    return 1.0 if isinstance(item.get("paragraphs"), list) else 0.9 if {"text", "ents", "tokens"} <= set(item) else 0.0


def _read_item(file: AnnotatedFile, item: Any, place: str) -> Iterable[Record]:
    if isinstance(item, dict) and "ents" in item:
        yield Record(field(item, "text", str), [read_span(span) for span in field(item, "ents", list)], place)
        return
    for paragraph in field(item, "paragraphs", list):
        raw = paragraph.get("raw") if isinstance(paragraph, dict) else None
        sentences, at = [], 0
        for sentence in field(paragraph, "sentences", list):
            rows = TaggedWords(True, spaces=[] if isinstance(raw, str) else None, name=str(item.get("id", "")))
            for token in field(sentence, "tokens", list):
                rows.words.append(field(token, "orth", str))
                rows.tags.append(field(token, "ner", str) if token.get("ner") is not None else MISSING_TAG)
                rows.lines.append(1)
                if rows.spaces is not None and isinstance(raw, str):
                    at = raw.find(rows.words[-1], at) + len(rows.words[-1])
                    rows.spaces.append(raw[at : at + 1] == " ")
            if rows.words:
                sentences.append(rows)
        if sentences:
            records = list(read_tagged(file, lambda sentences=sentences: sentences))  # type: ignore[misc]
            yield replace(join(records), place=place)


FORMAT = json_format("spacy-json", "spaCy's training JSON, with paragraphs", _score, _read_item)
