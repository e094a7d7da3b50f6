"""What the JSON formats share: the values of a file, one after the other, their fields, and lists of spans."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Optional, TypeVar

from ..annotated_file import AnnotatedFile, CorpusError, Entity, Record
from .base import Format, Head, Writing, is_pair

T = TypeVar("T")
_SURROGATE = re.compile("[\ud800-\udfff]")
STARTS = ("start", "start_offset", "begin", "start_char", "startOffset", "from")
ENDS = ("end", "end_offset", "stop", "end_char", "endOffset", "to")
LABELS = ("label", "labels", "type", "tag", "entity_group", "entity_type", "entity", "category")


def field(item: Any, name: str, kind: type[T]) -> T:
    """A field of a JSON object. Raises ValueError if it is absent or of another type."""
    if not isinstance(item, dict):
        raise ValueError(f"expected an object with the field {name!r}, found {item!r:.40}")
    value = item.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"expected a field {name!r} of type {kind.__name__}, found {value!r:.40}")
    # Half of a surrogate pair is no text; the replacement has the same length.
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value  # type: ignore[return-value]


def whole(value: Any) -> int:
    """A whole number, which may be written as 4.0 or "4"."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            if float(value).is_integer():
                return int(float(value))
    raise ValueError(f"expected a whole number as the limit of a span, found {value!r:.40}")


def read_span(value: Any, columns: Mapping[str, str] = {}) -> Entity:
    """A span: [start, end, label], or an object with fields of the usual names, or of those that `columns` gives."""
    if isinstance(value, (list, tuple)) and len(value) >= 3:
        start, end, label = value[:3]
        score = text = None
    elif isinstance(value, dict):
        start, end, label = (
            _first(value, (columns[name],) if name in columns else names, name)
            for name, names in (("start", STARTS), ("end", ENDS), ("label", LABELS))
        )
        score, text = value.get("score"), value.get("text")
    else:
        raise ValueError(f"expected a span as [start, end, label] or as an object, found {value!r:.40}")
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    if not isinstance(label, (str, int)) or isinstance(label, bool) or not str(label).strip():
        raise ValueError(f"expected the label of a span, found {label!r:.40}")
    return Entity(
        whole(start),
        whole(end),
        _SURROGATE.sub("\ufffd", str(label).strip()),
        float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) else None,
        _SURROGATE.sub("\ufffd", text) if isinstance(text, str) else None,
    )


def _first(value: Mapping[str, Any], names: Iterable[str], meaning: str) -> Any:
    name = next((name for name in names if name in value), None)
    if name is None:
        fields = ", ".join(map(str, value)) or "none"
        raise ValueError(f"expected a field for the {meaning} of a span, found the fields: {fields}")
    return value[name]


def read_values(file: AnnotatedFile) -> Iterator[tuple[Any, int, str]]:
    """Read the values of a file: JSON lines in bounded memory, or else the items of one list, or one object.

    Args:
        file (AnnotatedFile): The file.

    Yields:
        tuple[Any, int, str]: The value, the number of its line, and what to name it in an error.

    Raises:
        CorpusError: If the file is no JSON.
    """
    lines = ((number, line) for number, line in enumerate(file.stream(), 1) if line.strip())
    number, line = next(lines, (1, ""))
    following = next(lines, None)
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        # Then the file is one value in several lines.
        first, number, following = _load(file, file.text(), 0), 1, None
    if following is None and isinstance(first, list) and not is_pair(first):
        yield from ((value, 1, f"record {k}: ") for k, value in enumerate(first, 1))
        return
    yield first, number, ""
    for number, line in chain([following], lines) if following else ():
        yield _load(file, line, number), number, ""


def _load(file: AnnotatedFile, text: str, number: int) -> Any:
    """The value of a line, or of the whole file if the number is 0."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise file.error(number or getattr(error, "lineno", 1), f"expected JSON, found: {error}") from error


def json_format(
    name: str,
    looks: str,
    score: Callable[[Any], float],
    read_item: Callable[[AnnotatedFile, Any, str], Iterable[Record]],
    write: Optional[Callable[[Iterable[Record], Path, Writing], None]] = None,
) -> Format:
    """Make a format of a function that reads one JSON value.

    Args:
        name (str): The name.
        looks (str): What its files look like.
        score (Callable[[Any], float]): How sure it is that a value has this format.
        read_item (Callable[[AnnotatedFile, Any, str], Iterable[Record]]): Gives the records of a value at a place.
            Raises ValueError if it is none of this format.
        write (Optional[Callable[[Iterable[Record], Path, Writing], None]]): Writes records.

    Returns:
        Format: The format.
    """

    def sniff(head: Head) -> float:
        return max(map(score, head.items), default=0.0)

    def read(file: AnnotatedFile) -> Iterator[Record]:
        file.marks_documents = True
        for item, number, named in read_values(file):
            try:
                yield from read_item(file, item, f"{file.path}:{number}" + (f" ({named[:-2]})" if named else ""))
            except CorpusError:
                raise
            except ValueError as error:
                raise file.error(number, named + str(error), json.dumps(item)) from error

    return Format(name, looks, sniff, read, write)


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for value in values:
            out.write(json.dumps(value, ensure_ascii=False) + "\n")
