"""The format label-studio: exports of Label Studio as JSON and JSON_MIN, and predictions for it.

Label Studio counts UTF-16 code units. Older versions counted `\\r\\n` as one, so the text of each region decides. Of
several annotations of a task, the ground truth or else the first one is read; cancelled ones are not.

    [{"id": 7, "data": {"text": "Anna sings."}, "annotations": [{"was_cancelled": false, "result": [
      {"from_name": "label", "to_name": "text", "type": "labels",
       "value": {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}}]}]}]
"""

import json
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..annotated_file import AnnotatedFile, Entity, Record
from .base import Writing, utf16_offsets
from .json_values import field, json_format, read_span

_KEYS = ("annotations", "completions")


def _score(item: Any) -> float:
    if not isinstance(item, dict):
        return 0.0
    if isinstance(item.get("data"), dict) and any(isinstance(item.get(key), list) for key in (*_KEYS, "predictions")):
        return 1.0
    return 0.97 if "text" in item and ("annotation_id" in item or "annotator" in item) else 0.8 * bool(_labelled(item))


def _labelled(item: Any) -> list[Any]:
    """The regions of a task in JSON_MIN."""
    return next(
        (
            value
            for value in item.values()
            if isinstance(value, list) and value and isinstance(value[0], dict) and "labels" in value[0]
        ),
        [],
    )


def read_task(file: AnnotatedFile, item: Any, place: str) -> Iterator[Record]:
    """Read a task.

    Args:
        file (AnnotatedFile): The file, which counts what is skipped. Its options may name the field of the text.
        item (Any): The task as JSON.
        place (str): The place of the task, for its record.

    Yields:
        Record: The text with the entities of one annotation; nothing if there is none.

    Raises:
        ValueError: If the task has another form.
    """
    name = str(item.get("id", "")) if isinstance(item, dict) else ""
    if isinstance(item, dict) and not isinstance(item.get("data"), dict):
        if name and name == file.previous:
            file.skipped["further annotations of a text"] += 1
            return
        file.previous = name
        yield _record(task_text(file, item), _labelled(item), place, name)
        return
    data = field(item, "data", dict)
    name = str(data.get("id", name))
    done: list[Any] = next((item[key] for key in _KEYS if isinstance(item.get(key), list)), [])
    kept = [one for one in done if isinstance(one, dict) and not one.get("was_cancelled") and not one.get("skipped")]
    kept.sort(key=lambda one: not one.get("ground_truth"))
    file.skipped["cancelled annotations"] += len(done) - len(kept)
    if not kept:
        file.skipped["tasks without annotation" + " (predictions are not read)" * bool(item.get("predictions"))] += 1
        return
    file.skipped["further annotations of a text"] += len(kept) - 1
    regions = []
    for region in field(kept[0], "result", list):
        value = region.get("value") if isinstance(region, dict) else None
        if isinstance(value, dict) and isinstance(value.get("labels", value.get("hypertextlabels")), list):
            regions.append(value)
        else:
            file.skipped["results that are no labels of text"] += 1
    yield _record(task_text(file, data), regions, place, name)


def task_text(file: AnnotatedFile, data: Any) -> str:
    """The text of a task's data: the field that the options name, or `text`, or the only field that is a text."""
    wanted = file.column("text")
    texts = [key for key, value in data.items() if isinstance(value, str)]
    if not wanted and "text" not in texts and len(texts) == 1:
        wanted = texts[0]
    return field(data, wanted or "text", str)


def _record(text: str, regions: list[Any], place: str, name: str) -> Record:
    spans = [
        read_span({**region, "label": label, "labels": None})
        for region in regions
        for label in field({"labels": region.get("labels", region.get("hypertextlabels"))}, "labels", list)
    ]
    ways = [_characters(text, highest, lines) for lines in (False, True) for highest in (0xFFFF, 0x10FFFF)]
    best = max(ways, key=lambda way: sum(_fits(text, span, way) for span in spans))
    return Record(text, [_placed(span, best) for span in spans], place, name=name)


def _characters(text: str, highest: int, one_line_end: bool) -> dict[int, int]:
    """The character at each offset, if characters above the highest one count as two."""
    sizes = [1 + (ord(char) > highest) for char in text]
    if one_line_end:
        sizes = [size - (text[k : k + 2] == "\r\n") for k, size in enumerate(sizes)]
    return {offset: k for k, offset in enumerate(accumulate(sizes, initial=0))}


def _placed(span: Entity, way: dict[int, int]) -> Entity:
    # An offset within a character, or beyond the text, stays outside of the text, where it is counted.
    beyond = len(way) + max(way) + 1
    return span._replace(start=way.get(span.start, beyond), end=way.get(span.end, beyond))


def _fits(text: str, span: Entity, way: dict[int, int]) -> bool:
    placed = _placed(span, way)
    return span.text is not None and text[placed.start : placed.end] == span.text


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write("[")
        for number, record in enumerate(records, 1):
            out.write((",\n" if number > 1 else "\n") + json.dumps(_task(record, number, writing), ensure_ascii=False))
        out.write("\n]\n")


def write_regions(record: Record, from_name: str = "label", to_name: str = "text") -> list[dict[str, Any]]:
    """Write entities as regions.

    Args:
        record (Record): A text with entities.
        from_name (str): The name of the control with the labels.
        to_name (str): The name of the text that it labels.

    Returns:
        list[dict[str, Any]]: The regions.
    """
    offsets = utf16_offsets(record.text)
    result: list[dict[str, Any]] = []
    for k, span in enumerate(record.spans, 1):
        value = {
            "start": offsets[span.start],
            "end": offsets[span.end],
            "text": record.text[span.start : span.end],
            "labels": [span.label],
        }
        region = {"id": f"r{k}", "from_name": from_name, "to_name": to_name, "type": "labels", "value": value}
        result.append(region if span.score is None else {**region, "score": span.score})
    return result


def _task(record: Record, number: int, writing: Writing) -> dict[str, Any]:
    writing.note(record)
    result = write_regions(record)
    named = {"id": record.name} if record.name else {}
    task: dict[str, Any] = {"id": number, "data": {"text": record.text, **named, **record.meta}}
    if not writing.model:
        return {**task, "annotations": [{"id": number, "was_cancelled": False, "result": result}]}
    scores = [span.score for span in record.spans if span.score is not None]
    prediction = {"model_version": writing.model, "result": result}
    return {**task, "predictions": [{**prediction, "score": min(scores)} if scores else prediction]}


FORMAT = json_format(
    "label-studio", "a JSON export of Label Studio, with data and annotations", _score, read_task, _write
)
