"""The input of a job: files of rows, cut into chunks that do not depend on how the job runs.

A chunk is some consecutive rows of a file. A worker moves to it by the byte where it starts; in a compressed file, by
the byte of its content, so that workers who take later and later chunks decompress the file once.
"""

import bz2
import csv
import glob
import gzip
import json
import lzma
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, Optional, Union

from ..data.formats.tables import header_of, place_of
from ..files import checksum

KINDS = {
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".txt", ""), "text"),
    ".parquet": "parquet",
}
"""Formats by the suffix of a file, without that of its compression."""
_OPEN = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BROKEN = (EOFError, zlib.error, lzma.LZMAError)
_LONGEST_LINE = 1 << 27
_BLOCK = 1 << 20


class Chunk(NamedTuple):
    """Rows that become one part of the output.

    Attributes:
        number (int): Its number in the job, from 0.
        path (str): The file.
        start (int): The byte where it starts, in what is not compressed. Of a Parquet file, the row.
        line (int): The number of the line there, from 1.
        rows (int): The number of rows.
    """

    number: int
    path: str
    start: int
    line: int
    rows: int


class Row(NamedTuple):
    """A row of the input.

    Attributes:
        number (int): Its number in its chunk, from 0.
        id (Any): Its identifier, or else its place.
        place (str): `FILE:LINE`.
        text (str): The text.
        problem (str): Why it cannot be annotated; empty if it can.
    """

    number: int
    id: Any
    place: str
    text: str
    problem: str = ""


def make_row(number: int, place: str, field: str, name: Any, text: Any, problem: str = "") -> Row:
    """Make a row, and check its text.

    Args:
        number (int): Its number.
        place (str): Its place.
        field (str): The field or column of the text.
        name (Any): Its identifier; None or empty for its place.
        text (Any): The text, its bytes, or None.
        problem (str): What is known to be wrong with it.

    Returns:
        Row: The row.
    """
    if not problem and text is None:
        problem = f"null: expected text in {field!r}, found null"
    elif not problem:
        try:
            text = text.decode("utf-8") if isinstance(text, bytes) else text
            text.encode("utf-8")
        except UnicodeError as error:
            problem = f"not UTF-8: {error}"[:300]
    return Row(number, place if name is None or name == "" else name, place, "" if problem else text, problem)


def find_inputs(paths: Union[str, Path, Sequence[Union[str, Path]]], format: str = "auto") -> tuple[list[str], str]:
    """Find the files of a job and their format.

    Args:
        paths (Union[str, Path, Sequence[Union[str, Path]]]): Files, folders, and patterns such as `data/*.jsonl.gz`. Of
            folders, files are left out whose names begin with a dot or an underscore.
        format (str): One of jsonl, csv, text and parquet, or auto to go by the suffixes.

    Returns:
        tuple[list[str], str]: The files, at least one, and their format.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If the format is unknown, or the files have several.
    """
    if format != "auto" and format not in KINDS.values():
        raise ValueError(f"expected a format among auto, {', '.join(sorted(set(KINDS.values())))}, found {format!r}")
    found: list[str] = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        given = Path(path)
        if given.is_dir():
            inside = (name for name in sorted(given.rglob("*")) if name.is_file())
            here = [str(n) for n in inside if not any(p[0] in "._" for p in n.relative_to(given).parts)]
        else:
            here = [str(given)] if given.exists() else sorted(filter(_is_file, glob.glob(str(path), recursive=True)))
        if not here:
            raise FileNotFoundError(f"{path}: expected a file, a folder with files, or a pattern, found no file")
        found += here
    kinds = {format if format != "auto" else _kind(name): name for name in reversed(found)}
    if len(kinds) > 1:
        names = ", ".join(f"{kind} ({name})" for kind, name in sorted(kinds.items()))
        raise ValueError(f"expected files of one format, found {names}. Give a pattern, or the format with --format")
    return list(dict.fromkeys(found)), next(iter(kinds))


def _is_file(name: str) -> bool:
    return Path(name).is_file()


def _kind(name: str) -> str:
    suffix = _without_compression(name).suffix.lower()
    if suffix not in KINDS:
        known = ", ".join(filter(None, KINDS))
        raise ValueError(f"{name}: expected a file that ends in {known}, or one of these with .gz. Or give --format")
    return KINDS[suffix]


def _without_compression(name: str) -> Path:
    return Path(name).with_suffix("") if Path(name).suffix.lower() in _OPEN else Path(name)


def require(package: str, extra: str) -> None:
    """Check that a package is installed.

    Args:
        package (str): The package.
        extra (str): The extra that has it.

    Raises:
        ImportError: If it is not installed.
    """
    if find_spec(package) is None:
        raise ImportError(f"{package} is not installed; install the extra: pip install 'spacy-lstm-ner[{extra}]'")


def open_source(path: str, kind: str, columns: Mapping[str, str]) -> "Source":
    """Open a file of rows.

    Args:
        path (str): The file.
        kind (str): Its format.
        columns (Mapping[str, str]): The names of the columns or fields with the "text" and the "id".

    Returns:
        Source: The file.

    Raises:
        ValueError: If it is no such file, or has no such column.
        ImportError: If it needs pyarrow, which is not installed.
    """
    return {"jsonl": Lines, "text": Lines, "csv": Table, "parquet": ParquetRows}[kind](path, kind, columns)


class Source:
    """A file of rows.

    Args:
        path (str): The file.
        kind (str): Its format.
        columns (Mapping[str, str]): The names of the columns or fields with the "text" and the "id".
    """

    def __init__(self, path: str, kind: str, columns: Mapping[str, str]) -> None:
        self.path, self.kind = path, kind
        opened = _OPEN.get(Path(path).suffix.lower(), open)
        self.stream: IO[bytes] = opened(path, "rb")  # type: ignore[operator]
        self.text_field, self.id_field = columns.get("text", "text"), columns.get("id", "id")
        self._read = sha256()

    def chunks(self, rows: int) -> Iterator[tuple[int, int, int]]:
        """Cut the file into chunks of some rows: their starts, lines and rows as in `Chunk`."""
        raise NotImplementedError

    def rows(self, chunk: Chunk) -> Iterator[Row]:
        """Read the rows of a chunk."""
        raise NotImplementedError

    def checksum(self) -> str:
        """A SHA-256 of the content, once it has been cut into chunks."""
        return self._read.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def row(self, number: int, line: int, name: Any, text: Any, problem: str) -> Row:
        """Make a row, and check its text, which may be bytes."""
        return make_row(number, f"{self.path}:{line}", self.text_field, name, text, problem)


class Lines(Source):
    """A file of lines, each of which is a text or a JSON object. See `Source`."""

    def __init__(self, path: str, kind: str, columns: Mapping[str, str]) -> None:
        super().__init__(path, kind, columns)
        self.first = 0, 1

    def lines(self, start: int, line: int) -> Iterator[tuple[int, int, bytes]]:
        """The lines from a byte on: their numbers, the byte after each, and their content."""
        try:
            self.stream.seek(start)
            while raw := self.stream.readline(_LONGEST_LINE):
                if line == 1 and raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
                    # Most of its lines are UTF-8 too, but with nonsense.
                    raise ValueError(f"{self.path}: expected a file in UTF-8, found UTF-16. Convert it first")
                start += len(raw)
                self._read.update(raw)
                rest = raw if len(raw) == _LONGEST_LINE else b"\n"
                while rest and not rest.endswith(b"\n"):
                    rest = self.stream.readline(_BLOCK)
                    start += len(rest)
                    self._read.update(rest)
                yield line, start, raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
                line += 1
        except (*_BROKEN, gzip.BadGzipFile) as error:
            raise ValueError(f"{self.path}: expected a whole compressed file, found: {error}") from error

    def items(self, start: int, line: int) -> Iterator[tuple[int, int, Any]]:
        """The rows from a byte on: their lines, the byte after each, and their content."""
        return (item for item in self.lines(start, line) if self.kind == "text" or item[2].strip())

    def chunks(self, rows: int) -> Iterator[tuple[int, int, int]]:
        start, line = self.first
        items = self.items(start, line)
        while some := list(islice(((number, after) for number, after, _ in items), rows)):
            yield start, line, len(some)
            # Lines without content before the next row are in its chunk, where they are skipped.
            line, start = self._after(*some[-1])

    def _after(self, line: int, after: int) -> tuple[int, int]:
        return line + 1, after

    def rows(self, chunk: Chunk) -> Iterator[Row]:
        for number, (line, _, content) in enumerate(islice(self.items(chunk.start, chunk.line), chunk.rows)):
            yield self.row(number, line, *self.values(content))

    def values(self, content: Any) -> tuple[Any, Any, str]:
        """The identifier, the text, and the problem of the content of a row."""
        if len(content) >= _LONGEST_LINE:
            return None, None, f"too long: a line of more than {_LONGEST_LINE} bytes"
        if self.kind == "text":
            return None, content.rstrip(b"\r\n"), ""
        try:
            value = json.loads(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            return None, None, f"not UTF-8: {error}"[:300]
        except (ValueError, RecursionError) as error:
            return None, None, f"no JSON: {error}"[:300]
        if not isinstance(value, dict):
            return None, None, f"no text: expected an object, found {value!r:.40}"
        name, text = value.get(self.id_field), value.get(self.text_field)
        if self.text_field not in value:
            found = ", ".join(value)[:200] or "none"
            return name, None, f"no text: expected a field {self.text_field!r}, found {found}"
        if text is not None and not isinstance(text, str):
            return name, None, f"no text: expected text in {self.text_field!r}, found {text!r:.40}"
        return name, text, ""


class Table(Lines):
    """A table with a header. See `Source`."""

    def __init__(self, path: str, kind: str, columns: Mapping[str, str]) -> None:
        super().__init__(path, kind, columns)
        header = next(self.lines(0, 1), (1, 0, b""))[2].decode("utf-8", "replace").rstrip("\r\n")
        self.separator = header_of(header, _without_compression(path), list(columns.values()))[1]
        _, start, found = next(self.items(0, 1), (1, 0, []))
        self.first = start, self._line
        names: list[str] = found if isinstance(found, list) else []
        self.header = names
        self.text_at, self.id_at = (place_of(names, name, columns.get(name)) for name in ("text", "id"))
        check_column(path, self.text_at, names, columns)
        self.text_field = names[self.text_at]

    def items(self, start: int, line: int) -> Iterator[tuple[int, int, Any]]:
        after, self._line = start, line

        def texts() -> Iterator[str]:
            nonlocal after
            for number, end, raw in self.lines(start, line):
                after, self._line = end, number + 1
                yield raw.decode("utf-8", "surrogateescape")

        reader = csv.reader(texts(), delimiter=self.separator, strict=True)
        while True:
            first = self._line
            try:
                content: Any = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                content = error
            if content:
                yield first, after, content

    def _after(self, line: int, after: int) -> tuple[int, int]:
        return self._line, after

    def values(self, content: Any) -> tuple[Any, Any, str]:
        if isinstance(content, csv.Error):
            return None, None, f"no row: expected a row of CSV, found: {content}"
        if len(content) != len(self.header):
            return None, None, f"no row: expected {len(self.header)} columns as in the header, found {len(content)}"
        name = content[self.id_at] if self.id_at >= 0 else None
        return None if name is None else name.encode("utf-8", "replace").decode("utf-8"), content[self.text_at], ""


class ParquetRows(Source):
    """A Parquet file. See `Source`."""

    def __init__(self, path: str, kind: str, columns: Mapping[str, str]) -> None:
        super().__init__(path, kind, columns)
        require("pyarrow", "parquet")
        import pyarrow as pa
        import pyarrow.parquet

        try:
            self.file = pa.parquet.ParquetFile(self.stream)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: expected a Parquet file, found: {error}") from error
        names = self.file.schema_arrow.names
        text_at, id_at = (place_of(names, name, columns.get(name)) for name in ("text", "id"))
        check_column(path, text_at, names, columns)
        self.text_field = names[text_at]
        self.name_field: Optional[str] = names[id_at] if id_at >= 0 else None
        kind = str(self.file.schema_arrow.field(text_at).type)
        if not any(word in kind for word in ("string", "binary")):
            raise ValueError(f"{path}: expected text in the column {self.text_field!r}, found values of type {kind}")

    def chunks(self, rows: int) -> Iterator[tuple[int, int, int]]:
        first = 0
        for group in range(self.file.num_row_groups):
            size = self.file.metadata.row_group(group).num_rows
            for start in range(first, first + size, rows):
                yield start, start + 1, min(rows, first + size - start)
            first += size

    def checksum(self) -> str:
        return checksum(Path(self.path))

    def rows(self, chunk: Chunk) -> Iterator[Row]:
        first, group = 0, 0
        while first + self.file.metadata.row_group(group).num_rows <= chunk.start:
            first += self.file.metadata.row_group(group).num_rows
            group += 1
        wanted = [name for name in dict.fromkeys((self.text_field, self.name_field)) if name is not None]
        skip, number = chunk.start - first, 0
        for batch in self.file.iter_batches(256, row_groups=[group], columns=wanted):
            if skip >= len(batch):
                skip -= len(batch)
                continue
            some = batch.slice(skip, chunk.rows - number)
            skip = 0
            names = [None] * len(some) if self.name_field is None else self._names(some)
            for name, text in zip(names, texts_of(some, self.text_field), strict=True):
                yield self.row(number, chunk.line + number, name, text, "")
                number += 1
            if number == chunk.rows:
                return

    def _names(self, batch: Any) -> list[Any]:
        column = batch.column(batch.schema.get_field_index(self.name_field))
        try:
            values = column.to_pylist()
        except UnicodeDecodeError:
            import pyarrow as pa

            raw = column.cast(pa.large_binary()).to_pylist()
            values = [value and value.decode("utf-8", "replace") for value in raw]
        return [value if value is None or isinstance(value, (str, int, float)) else str(value) for value in values]


def texts_of(batch: Any, field: str) -> list[Optional[bytes]]:
    """Read texts from a batch or a table of Arrow: as bytes, since Arrow does not check that strings are UTF-8.

    Args:
        batch (Any): The batch or the table.
        field (str): The column.

    Returns:
        list[Optional[bytes]]: The texts.
    """
    import pyarrow as pa

    texts = batch.column(batch.schema.get_field_index(field))
    if pa.types.is_dictionary(texts.type):
        texts = texts.cast(texts.type.value_type)
    return texts.cast(pa.large_binary()).to_pylist()


def check_column(path: str, at: int, names: Sequence[str], columns: Mapping[str, str]) -> None:
    """Raise a ValueError if there is no column for the text.

    Args:
        path (str): Where the columns are.
        at (int): The place of the column; below 0 if there is none.
        names (Sequence[str]): The columns.
        columns (Mapping[str, str]): The names that the user gave.
    """
    if at < 0:
        raise ValueError(
            f"{path}: expected a column {columns.get('text', 'text')!r}, found {', '.join(names) or 'none'}. "
            "Name another one with --columns text=NAME"
        )
