"""The format train-data: spaCy's TRAIN_DATA, as JSON or as a Python literal, which is read and never run.

An object with "classes" may hold it under "annotations", as annotators on the web write it.

TRAIN_DATA = [
    ("Anna sings in Oslo.", {"entities": [(0, 4, "PER"), (14, 18, "LOC")]}),
]
"""

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from ..annotated_file import AnnotatedFile, Record
from .base import Format, Head, is_pair
from .json_values import field, json_format, read_span


def _score(item: Any) -> float:
    pairs = item["annotations"] if _has_classes(item) else [item]
    return 1.0 if any(is_pair(pair) and "entities" in pair[1] for pair in pairs) else 0.0


def _has_classes(item: Any) -> bool:
    return isinstance(item, dict) and "classes" in item and isinstance(item.get("annotations"), list)


def _read_item(file: AnnotatedFile, item: Any, place: str) -> Iterable[Record]:
    if _has_classes(item):
        for pair in item["annotations"]:
            # A text that was skipped is null.
            yield from _read_item(file, pair, place) if pair else ()
        return
    if not isinstance(item, (list, tuple)) or len(item) != 2:
        raise ValueError('expected a text and {"entities": [...]}, found something else')
    text = field({"text": item[0]}, "text", str)
    entities = field(item[1], "entities", object)
    if not isinstance(entities, (list, tuple)):
        raise ValueError(f"expected a list of entities, found {entities!r:.40}")
    yield Record(text, [read_span(span) for span in entities], place)


_JSON = json_format("train-data", "", _score, _read_item)


def _sniff(head: Head) -> float:
    return 0.97 if head.path.suffix == ".py" and "entities" in head.text else _JSON.sniff(head)


def _read(file: AnnotatedFile) -> Iterator[Record]:
    if file.path.suffix != ".py":
        yield from _JSON.read(file)
        return
    file.marks_documents = True
    try:
        statements = ast.parse(file.text()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise file.error(getattr(error, "lineno", 1) or 1, f"expected a Python literal, found: {error}") from error
    for statement in statements:
        value = getattr(statement, "value", None)
        for item in value.elts if isinstance(value, (ast.List, ast.Tuple)) else ():
            try:
                literal = ast.literal_eval(item)
                yield from _read_item(file, literal, f"{file.path}:{item.lineno}")
            except (ValueError, TypeError, RecursionError, MemoryError) as error:
                raise file.error(item.lineno, str(error) or "expected a Python literal") from error


FORMAT = Format("train-data", "spaCy's TRAIN_DATA: texts with entities", _sniff, _read)
