"""The format parquet: Parquet files, and data sets that `datasets` saved on disk (needs the extra `parquet`).

There is a row for each text with words and tags, as in `huggingface`; or with a list of spans, as in `json`; or a row
for each entity, as in `csv-offsets`:

    text: "Anna sings."    start: 0    end: 4    label: "PER"
    tokens: ["Anna", "sings"]    ner_tags: [1, 0]
    text: "Anna sings."    spans: [{"start": 0, "end": 4, "label": "PER"}]
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..annotated_file import AnnotatedFile, Record
from . import json_spans
from .base import Format, Head, Writing
from .csv_offsets import COLUMNS, NEEDED, group_rows, rows_of
from .huggingface import columns_of, tagged_rows
from .tables import place_of

_SUFFIXES = (".parquet", ".arrow")
_ROWS = 10_000


def _sniff(head: Head) -> float:
    return 1.0 if head.path.suffix in _SUFFIXES else 0.0


def _batches(file: AnnotatedFile, pa: Any) -> tuple[Any, Iterator[Any]]:
    """The schema of a file and its batches of rows."""
    if file.path.suffix == ".arrow":
        reader = pa.ipc.open_stream(pa.memory_map(str(file.path)))
        return reader.schema, iter(reader)
    table = pa.parquet.ParquetFile(file.path)
    return table.schema_arrow, table.iter_batches(_ROWS)


def _read(file: AnnotatedFile) -> Iterator[Record]:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(f"{file.path}: install pyarrow: pip install 'spacy-lstm-ner[parquet]'") from error
    try:
        schema, batches = _batches(file, pa)
        rows = ((row, k) for k, row in enumerate((row for batch in batches for row in batch.to_pylist()), 1))
        file.position = file.path.stat().st_size
        yield from _records(file, schema, rows)
    except (pa.ArrowException, OSError) as error:
        raise file.error(1, f"expected a Parquet or Arrow file, found: {error}") from error


def _records(file: AnnotatedFile, schema: Any, rows: Iterator[tuple[dict[str, Any], int]]) -> Iterator[Record]:
    names = list(schema.names)
    word, tag = columns_of(names, file)
    places = {meaning: place_of(names, meaning, file.column(meaning)) for meaning in COLUMNS}
    if word and tag:
        tag_names = file.options.names or _tag_names(schema.metadata or {}, tag)
        listed = [(row[word], row[tag], k) for row, k in rows]
        for words, tags, k in listed:
            if not isinstance(words, list) or not isinstance(tags, list):
                raise file.error(k, f"expected lists in the columns {word} and {tag}, found other values")
        yield from tagged_rows(file, listed, tag_names)
    elif all(places[meaning] >= 0 for meaning in NEEDED):
        named = {meaning: names[at] for meaning, at in places.items() if at >= 0}
        yield from group_rows(file, (({meaning: row[name] for meaning, name in named.items()}, k) for row, k in rows))
    else:
        file.marks_documents = True
        for row, k in rows:
            try:
                yield from json_spans.read_item(file, row, f"{file.path}:{k}")
            except ValueError as error:
                raise file.error(k, str(error), str(row)) from error


def _tag_names(metadata: dict[bytes, bytes], tag: str) -> Sequence[str]:
    """The names of the tags in the features of a data set."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"][tag]
        inner = features.get("feature", features)
        return [str(name) for name in inner["names"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    kinds = (pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string(), pa.float64())
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    rows = rows_of(records, writing)
    with pa.parquet.ParquetWriter(path, schema) as out:
        while some := list(islice(rows, _ROWS)):
            columns = zip(*some, strict=True)
            out.write_table(pa.table(dict(zip(COLUMNS, map(list, columns), strict=True)), schema=schema))


FORMAT = Format("parquet", "a Parquet or Arrow file", _sniff, _read, _write, binary=True)
