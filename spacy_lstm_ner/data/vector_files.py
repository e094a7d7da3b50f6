"""Word vectors: read from the usual file formats, written as a pipeline folder for `[initialize] vectors`.

Nothing is dropped silently: a line that breaks the format is an error with file and line, and repeated words are
counted.
"""

import gzip
import lzma
import math
import struct
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Optional, cast

import numpy as np
import spacy
from numpy.typing import NDArray
from spacy.util import is_package, load_model
from spacy.vectors import Mode, Vectors
from spacy.vocab import Vocab

from ..files import save_pipeline

LONGEST_LINE = 2**24
"""The most bytes of a line. A few bytes of a compressed file can stand for a line of any length."""
Advance = Callable[[int], object]
"""Called with how much more is done."""
_LARGEST_HEADER = 9
"""The most digits of a number in the header."""
_DAMAGED = (EOFError, OSError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile, lzma.LZMAError, struct.error)


class VectorFileError(ValueError):
    """A file of vectors that cannot be read. The message names the file, the line and the remedy."""


@dataclass(frozen=True)
class VectorTable:
    """Words and their vectors.

    Attributes:
        words (list[str]): The words, each once.
        rows (NDArray[np.int64]): The row of `data` for each word, shape (n_words,).
        data (NDArray[np.float32]): The vectors, shape (n_rows, width).
        duplicates (int): The number of repeated words, which were skipped.
    """

    words: list[str]
    rows: NDArray[np.int64]
    data: NDArray[np.float32]
    duplicates: int = 0

    def pruned(self, size: int) -> "VectorTable":
        """Keep only the first vectors.

        Args:
            size (int): The number of vectors to keep.

        Returns:
            VectorTable: These vectors and the words that use them.
        """
        kept = [k for k, row in enumerate(self.rows.tolist()) if row < size]
        return replace(self, words=[self.words[k] for k in kept], rows=self.rows[kept], data=self.data[:size])


def read_vectors(
    source: str, index: Optional[Path] = None, size: Optional[int] = None, advance: Advance = lambda n: None
) -> VectorTable:
    """Read word vectors from a text file, a matrix or a pipeline.

    A text file has a word and its numbers on each line, and may have a header of two numbers (the text format of GloVe,
    word2vec and fastText). It may be compressed: `.gz`, or `.zip` with one file in it.

    Args:
        source (str): A text file; a matrix in NumPy's format (`.npy`); or a pipeline, as a folder or the name of a
            package.
        index (Optional[Path]): The words of a `.npy` matrix, in the order of its rows: a text file with one word a
            line, or a `.parquet` file with one column of texts (needs pyarrow or pandas).
        size (Optional[int]): The number of vectors to keep, from the start: files usually list frequent words first.
            None keeps all.
        advance (Advance): Called with the number of bytes that were read, of a text file as it is on the disk.

    Returns:
        VectorTable: The words and their vectors.

    Raises:
        VectorFileError: If the file breaks its format. It is a ValueError.
        FileNotFoundError: If a file is missing.
        ValueError: If the arguments do not fit together.
        ImportError: If nothing is installed that reads the `.parquet` file.
    """
    path = Path(source)
    if size is not None and size < 1:
        raise ValueError(f"expected a number of vectors of at least 1, found {size}")
    if index is not None and path.suffix != ".npy":
        raise ValueError(f"expected an index only for a .npy file, found {index} for {source}")
    if path.is_dir():
        table = _pipeline_table(source, _read_vocab(path))
    elif path.suffix == ".npy":
        table = _read_matrix(path, index, size)
    elif path.exists() or not is_package(source):
        table = _read_text(path, size, advance)
    else:
        table = _pipeline_table(source, load_model(source).vocab)
    return table if size is None else table.pruned(size)


def write_vectors(table: VectorTable, folder: Path, lang: str = "en", advance: Advance = lambda n: None) -> None:
    """Write a pipeline that has the vectors and no components.

    Args:
        table (VectorTable): The vectors.
        folder (Path): The folder. An existing pipeline there is replaced when the new one is complete.
        lang (str): The language of the pipeline.
        advance (Advance): Called with the number of words that were added.

    Raises:
        FileExistsError: If the folder exists and contains something other than a pipeline.
    """
    nlp = spacy.blank(lang)
    # Row by row, as rows are looked up; a .npy file may store them column by column.
    data = np.ascontiguousarray(table.data)
    vectors = Vectors(strings=nlp.vocab.strings, data=data, name=f"{lang}_{folder.name}.vectors")
    for word, row in zip(table.words, table.rows.tolist(), strict=True):
        vectors.add(nlp.vocab.strings.add(word), row=row)
        advance(1)
    nlp.vocab.vectors = vectors
    save_pipeline(nlp, folder)


# Text


def _read_text(path: Path, size: Optional[int], advance: Advance) -> VectorTable:
    words: dict[str, None] = {}
    numbers = array("f")
    width, promised, duplicates, line_number, separator = 0, None, 0, 0, " "
    for line_number, raw in enumerate(_lines(path, advance), start=1):
        if size is not None and len(words) == size:
            break
        line = _decode(raw, path, line_number)
        if not line:
            continue
        if not width:
            separator = "\t" if "\t" in line else " "
            fields = line.split(separator)
            if promised is None and len(fields) == 2 and all(field.isdecimal() for field in fields):
                promised, width = _header(fields, path, line_number)
                continue
            width = len(fields) - 1
        # Split from the right, since words may contain spaces.
        word, *fields = line.rsplit(separator, width)
        row = _numbers(fields, width, word, f"{path}:{line_number}")
        if word in words:
            duplicates += 1
            continue
        words[word] = None
        numbers.extend(row)
    if not words:
        raise VectorFileError(f"{path}: expected lines of a word and its numbers, found none")
    complete = size is None or len(words) < size
    if promised is not None and complete and len(words) + duplicates != promised:
        raise VectorFileError(
            f"{path}:1: the header promises {promised} vectors, but the file has {len(words) + duplicates}, the last "
            f"in line {line_number}. It may be incomplete: download it again, or delete the header"
        )
    data = np.frombuffer(numbers, dtype=np.float32).reshape(len(words), width)
    _require_finite(data, list(words), path)
    return VectorTable(list(words), np.arange(len(words)), data, duplicates)


def _header(fields: list[str], path: Path, line_number: int) -> tuple[int, int]:
    if max(map(len, fields)) > _LARGEST_HEADER:
        raise VectorFileError(
            f"{path}:{line_number}: expected the numbers of vectors and of dimensions, found "
            f"{' '.join(fields)[:40]}, which is too large. Correct or delete the line"
        )
    n_vectors, width = map(int, fields)
    return n_vectors, width


def _require_finite(data: NDArray[np.float32], words: list[str], path: Path) -> None:
    if not np.isfinite(data).all():
        row = int(np.flatnonzero(~np.isfinite(data).all(axis=1))[0])
        raise VectorFileError(
            f"{path}: row {row} ({words[row][:40]!r}) has a number that is not finite, or too large for 32 bits. "
            "Correct or delete it"
        )


def _numbers(fields: list[str], width: int, word: str, place: str) -> list[float]:
    if len(fields) != width or not width or not word:
        raise VectorFileError(
            f"{place}: expected a word and {width or 'its'} numbers, found {len(fields)} after {word[:40]!r}. Correct "
            "or delete the line"
        )
    try:
        row = [float(field) for field in fields]
    except ValueError as error:
        raise VectorFileError(
            f"{place}: expected {width} numbers after {word[:40]!r}, found a text ({error})"
        ) from None
    if not math.isfinite(sum(row)):
        raise VectorFileError(f"{place}: a number of {word[:40]!r} is not finite. Correct or delete the line")
    return row


def _decode(raw: bytes, path: Path, line_number: int) -> str:
    try:
        return raw.decode("utf-8-sig" if line_number == 1 else "utf-8").rstrip("\r\n").rstrip(" \t")
    except UnicodeDecodeError as error:
        raise VectorFileError(
            f"{path}:{line_number}: expected UTF-8, found the byte {raw[error.start]:#04x}. Convert the file to UTF-8; "
            "a binary word2vec file must be saved as text first"
        ) from None


def _lines(path: Path, advance: Advance = lambda n: None) -> Iterator[bytes]:
    """The lines of a file, compressed or not. Raises VectorFileError if it is damaged or a line is too long."""
    lines = _unpacked(path, advance) if path.suffix in (".gz", ".zip") else _bounded(path, advance)
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise VectorFileError(
                f"{path}:{number}: expected lines of at most {LONGEST_LINE} bytes, found a longer one. "
                "Check that it is a text file"
            )
        yield line


def _unpacked(path: Path, advance: Advance) -> Iterator[bytes]:
    try:
        yield from _bounded(path, advance)
    except (VectorFileError, FileNotFoundError):
        raise
    except _DAMAGED as error:
        raise VectorFileError(
            f"{path}: cannot be unpacked ({error or type(error).__name__}). It may be incomplete, damaged or "
            "encrypted: download it again, or unpack it yourself"
        ) from None


def _bounded(path: Path, advance: Advance) -> Iterator[bytes]:
    with path.open("rb") as packed, _open(path, packed) as file:
        position = 0
        while line := file.readline(LONGEST_LINE + 1):
            before, position = position, packed.tell()
            advance(position - before)
            yield line


@contextmanager
def _open(path: Path, packed: IO[bytes]) -> Iterator[IO[bytes]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(packed) as archive:
            names = archive.namelist()
            if len(names) != 1:
                found = ", ".join(names[:5])
                raise VectorFileError(
                    f"{path}: expected one file in the archive, found {len(names)} ({found}). Unpack it"
                )
            with archive.open(names[0]) as file:
                yield file
        return
    yield cast(IO[bytes], gzip.GzipFile(fileobj=packed)) if path.suffix == ".gz" else packed


# A matrix and its index


def _read_matrix(path: Path, index: Optional[Path], size: Optional[int]) -> VectorTable:
    if index is None:
        raise ValueError(f"{path}: a .npy file has no words; name the file that lists them as the index (--index)")
    try:
        # A memory map needs no memory for the size that the header claims, and compares it with that of the file.
        with np.errstate(over="ignore"):
            matrix = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:
        # A damaged header can raise more kinds of errors than NumPy documents.
        raise VectorFileError(f"{path}: expected a matrix in NumPy's format, found something else ({error})") from None
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.size:
        raise VectorFileError(
            f"{path}: expected a matrix of floating point numbers, found {matrix.dtype} of shape {matrix.shape}"
        )
    words = _parquet_words(index) if index.suffix == ".parquet" else _text_words(index)
    if len(words) != len(matrix):
        raise VectorFileError(
            f"{index}: expected one word for each of the {len(matrix)} rows of {path}, found {len(words)}"
        )
    with np.errstate(over="ignore"):
        data = np.array(matrix[:size], dtype=np.float32)
    _require_finite(data, words, path)
    first: dict[str, int] = {}
    for row, word in enumerate(words[: len(data)]):
        first.setdefault(word, row)
    return VectorTable(list(first), np.array(list(first.values())), data, len(data) - len(first))


def _text_words(index: Path) -> list[str]:
    words = []
    for line_number, raw in enumerate(_lines(index), start=1):
        word = _decode(raw, index, line_number)
        if not word:
            raise VectorFileError(f"{index}:{line_number}: expected a word, found an empty line")
        words.append(word)
    return words


def _parquet_words(index: Path) -> list[str]:
    columns = _parquet_columns(index)
    texts = {name: values for name, values in columns.items() if all(isinstance(value, str) for value in values)}
    if len(texts) != 1:
        raise VectorFileError(
            f"{index}: expected one column of texts, found {len(texts)} among {', '.join(map(str, columns)) or 'none'}"
        )
    return next(iter(texts.values()))


def _parquet_columns(index: Path) -> dict[str, list[Any]]:
    if not index.exists():
        raise FileNotFoundError(f"{index}: no such file")
    try:
        return dict(import_module("pyarrow.parquet").read_table(index).to_pydict())
    except ModuleNotFoundError:
        pass
    try:
        return dict(import_module("pandas").read_parquet(index).to_dict("list"))
    except ImportError:
        raise ImportError(
            f"{index}: a .parquet file needs pyarrow (pip install pyarrow). Or write the words into a text file, one a "
            "line, and use that as the index (--index)"
        ) from None


# A pipeline


def _read_vocab(folder: Path) -> Vocab:
    try:
        return Vocab().from_disk(folder / "vocab", exclude=["lookups"])
    except OSError:
        raise
    except Exception as error:
        # spaCy's readers pass on the errors of several libraries.
        raise VectorFileError(
            f"{folder}: its vocabulary cannot be read ({type(error).__name__}: {str(error)[:80]}); it may be damaged"
        ) from None


def _pipeline_table(source: str, vocab: Vocab) -> VectorTable:
    vectors = vocab.vectors
    if vectors.mode == Mode.floret:
        raise VectorFileError(
            f"{source}: its vectors are in floret mode, which has no words to convert. Use the pipeline itself as "
            "[initialize] vectors"
        )
    if not vectors.shape[1] or not vectors.n_keys:
        raise VectorFileError(f"{source}: this pipeline has no vectors")
    entries = sorted((row, vocab.strings[key]) for key, row in vectors.key2row.items())
    # Drop the rows that no word uses.
    used, rows = np.unique(np.array([row for row, _ in entries]), return_inverse=True)
    if used[-1] >= len(vectors.data):
        raise VectorFileError(
            f"{source}: words have vectors up to row {used[-1]}, but there are {len(vectors.data)} rows"
        )
    data = np.ascontiguousarray(np.asarray(vectors.data)[used], dtype=np.float32)
    return VectorTable([word for _, word in entries], rows.reshape(-1), data)
