"""The format prodigy: tasks of Prodigy, with `spans` and an `answer`.

The spans of a rejected task are known to be wrong. A task of a binary recipe (`_view_id` is `ner`) says nothing about
the rest of its text.

    {"text": "Anna sings.", "spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "accept"}
    {"text": "Oslo sings.", "spans": [{"start": 0, "end": 4, "label": "PER"}], "answer": "reject", "_view_id": "ner"}
    {"text": "No idea.", "spans": [], "answer": "ignore", "_view_id": "ner_manual"}
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

from ..annotated_file import AnnotatedFile, Entity, Record, text_of
from .base import Writing
from .json_values import field, json_format, read_span, write_lines

_BINARY = ("ner", "spancat")


def _score(item: Any) -> float:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return 0.0
    if any(name in item for name in ("answer", "_view_id", "_input_hash", "_task_hash")):
        return 0.97
    spans = item.get("spans")
    return 0.7 if isinstance(spans, list) and all(isinstance(s, dict) and "start" in s for s in spans) else 0.0


def _read_item(file: AnnotatedFile, item: Any, place: str) -> Iterable[Record]:
    text, answer = field(item, "text", str), field(item, "answer", str) if "answer" in item else "accept"
    if answer not in ("accept", "reject", "ignore"):
        raise ValueError(f"expected the answer accept, reject or ignore, found {answer!r}")
    if answer == "ignore":
        file.skipped["ignored tasks"] += 1
        return
    spans = [read_span(span) for span in (field(item, "spans", list) if item.get("spans") else [])]
    accepted = answer == "accept"
    words, spaces = _tokens(item.get("tokens"), text)
    yield Record(
        text,
        spans if accepted else [],
        place,
        words,
        spaces,
        complete=accepted and item.get("_view_id") not in _BINARY,
        rejected=[] if accepted else spans,
        accepted=accepted,
        name=str((item.get("meta") or {}).get("id", "")) if isinstance(item.get("meta") or {}, dict) else "",
    )


def _tokens(tokens: Any, text: str) -> tuple[Optional[list[str]], Optional[list[bool]]]:
    """The tokens of a task, if they give its text."""
    if not isinstance(tokens, list) or not tokens:
        return None, None
    words = [field(token, "text", str) for token in tokens]
    starts = [field(token, "start", int) for token in tokens] + [len(text)]
    spaces = [after > start + len(word) for word, start, after in zip(words, starts, starts[1:], strict=False)]
    built, offsets = text_of(words, spaces)
    return (words, spaces) if all(words) and built == text and offsets == starts[:-1] else (None, None)


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    write_lines(path, (task for record in records for task in _tasks(record, writing)))


def _tasks(record: Record, writing: Writing) -> Iterator[dict[str, Any]]:
    """One task with all entities; or one for each span of which alone something is known."""
    meta = {**({"id": record.name} if record.name else {}), **record.meta}
    meta.update({"model": writing.model} if writing.model else {})
    base: dict[str, Any] = {"text": record.text, **({"meta": meta} if meta else {})}
    tokens: list[dict[str, Any]] = []
    if record.words is not None and record.spaces is not None:
        _, starts = text_of(record.words, record.spaces)
        rows = zip(record.words, record.spaces, starts, strict=True)
        tokens = [
            {"text": word, "start": start, "end": start + len(word), "id": k, "ws": space}
            for k, (word, space, start) in enumerate(rows)
        ]
        base["tokens"] = tokens
    first, last = ({token[limit]: token["id"] for token in tokens} for limit in ("start", "end"))

    def written(span: Entity) -> dict[str, Any]:
        task = {"start": span.start, "end": span.end, "label": span.label}
        if span.start in first and span.end in last:
            task.update(token_start=first[span.start], token_end=last[span.end])
        return task if span.score is None else {**task, "score": span.score}

    for span in record.spans:
        if span.parts:
            writing.lost("gaps in entities", f"{record.place}: {span.label}")
    spans = [written(span) for span in record.spans]
    complete = record.complete and not record.missing
    if complete or not (spans or record.rejected):
        if not complete:
            writing.lost("texts without any annotation", record.place)
        answer = {} if writing.model else {"answer": "accept" if complete else "ignore"}
        yield {**base, "spans": spans, "_view_id": "ner_manual", **answer}
    elif spans:
        if record.complete:
            writing.lost("where text is known to have no entity, in a text with missing annotation", record.place)
        yield {**base, "spans": spans, "_view_id": "ner", "answer": "accept"}
    for span in record.rejected:
        yield {**base, "spans": [written(span)], "_view_id": "ner", "answer": "reject"}


FORMAT = json_format("prodigy", "JSON lines with text, spans and answer", _score, _read_item, _write)
