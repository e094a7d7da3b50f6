"""The format parquet: Parquet files, and data sets that `datasets` saved on disk (needs the extra `parquet`).

There is a row for each text with words and tags, as in `huggingface`; or with a list of spans, as in `json`; or a row
for each entity, as in `csv-offsets`:

    text: "Anna sings."    start: 0    end: 4    label: "PER"
    tokens: ["Anna", "sings"]    ner_tags: [1, 0]
    text: "Anna sings."    spans: [{"start": 0, "end": 4, "label": "PER"}]
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..annotated_file import AnnotatedFile, Record
from . import json_spans
from .base import Format, Writing, no_text
from .csv_offsets import COLUMNS, NEEDED, group_rows, rows_of
from .huggingface import columns_of, tagged_row
from .tables import place_of
from .tagged import read_tagged

_ROWS = 10_000


def _read(file: AnnotatedFile) -> Iterator[Record]:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(f"{file.path}: install pyarrow: pip install 'spacy-lstm-ner[parquet]'") from error
    try:
        yield from _records(file, _open(file)[0], lambda: _rows(file))
    except (pa.ArrowException, OSError) as error:
        raise file.error(1, f"expected a Parquet or Arrow file, found: {error}") from error


def _open(file: AnnotatedFile) -> tuple[Any, Iterator[Any]]:
    """The schema of a file and its batches of rows."""
    import pyarrow as pa
    import pyarrow.parquet

    file.position = file.path.stat().st_size
    if file.path.suffix == ".arrow":
        reader = pa.ipc.open_stream(pa.memory_map(str(file.path)))
        return reader.schema, iter(reader)
    table = pa.parquet.ParquetFile(file.path)
    return table.schema_arrow, table.iter_batches(_ROWS)


def _rows(file: AnnotatedFile) -> Iterator[tuple[dict[str, Any], int]]:
    rows = (row for batch in _open(file)[1] for row in batch.to_pylist())
    return ((row, number) for number, row in enumerate(rows, 1))


def _records(
    file: AnnotatedFile, schema: Any, rows: Callable[[], Iterator[tuple[dict[str, Any], int]]]
) -> Iterator[Record]:
    names = list(schema.names)
    word, tag = columns_of(names, file)
    places = {meaning: place_of(names, meaning, file.column(meaning)) for meaning in COLUMNS}
    if word and tag:
        known = file.options.names or _tag_names(schema.metadata or {}, tag)
        yield from read_tagged(file, lambda: (tagged_row(file, row[word], row[tag], k, known) for row, k in rows()))
    elif all(places[meaning] >= 0 for meaning in NEEDED):
        named = {meaning: names[at] for meaning, at in places.items() if at >= 0}
        yield from group_rows(file, (({meaning: row[name] for meaning, name in named.items()}, k) for row, k in rows()))
    else:
        file.marks_documents = True
        for row, k in rows():
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


FORMAT = Format("parquet", "a Parquet or Arrow file", no_text, _read, _write, (".parquet", ".arrow"), binary=True)
