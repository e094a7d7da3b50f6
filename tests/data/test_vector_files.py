"""Files of word vectors."""

import gzip
import os
import tracemalloc
import zipfile
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.data import vector_files
from spacy_lstm_ner.data.vector_files import VectorFileError, VectorTable, read_vectors, write_vectors

GLOVE = "the 0.5 -1 2e-1\n. . 1 2 3\ncafé 4 5 6\n7 7 7 7\n\x85 1 1 1\n"
WORDS = ["the", ". .", "café", "7", "\x85"]
DATA = np.array([[0.5, -1, 0.2], [1, 2, 3], [4, 5, 6], [7, 7, 7], [1, 1, 1]], dtype="f")


def write(path, text):
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return str(path)


def check(table, words=WORDS, data=DATA):
    assert table.words == words
    np.testing.assert_array_equal(table.data[table.rows], data)
    assert table.data.dtype == "float32"


# Text


@pytest.mark.parametrize(
    "text",
    [
        GLOVE,
        "5 3\n" + GLOVE,
        "5 3 \r\n" + GLOVE.replace("\n", " \r\n"),
        "\ufeff" + GLOVE,
        GLOVE + "\n\n",
        GLOVE.rstrip("\n"),
    ],
)
def test_text(text, tmp_path):
    check(read_vectors(write(tmp_path / "glove.txt", text)))


def test_tabs(tmp_path):
    check(read_vectors(write(tmp_path / "v.vec", "a b\t1\t2\nc\t3\t4\n")), ["a b", "c"], [[1, 2], [3, 4]])


def test_packed(tmp_path):
    with gzip.open(tmp_path / "v.gz", "wb") as file:
        file.write(GLOVE.encode())
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("v.txt", GLOVE)
    for name in ("v.gz", "v.zip"):
        check(read_vectors(str(tmp_path / name)))
    with zipfile.ZipFile(tmp_path / "v.zip", "a") as archive:
        archive.writestr("w.txt", GLOVE)
    with pytest.raises(VectorFileError, match=r"v\.zip: expected one file.*v\.txt, w\.txt"):
        read_vectors(str(tmp_path / "v.zip"))


def test_first_of_duplicates_counts(tmp_path):
    table = read_vectors(write(tmp_path / "v.txt", "3 2\na 1 2\na 5 5\nb 3 4\n"))
    check(table, ["a", "b"], [[1, 2], [3, 4]])
    assert table.duplicates == 1


@pytest.mark.parametrize("header", ["", "5 3\n"])
def test_pruned_text_is_not_read_to_its_end(header, tmp_path):
    path = write(tmp_path / "v.txt", header + "\n".join(GLOVE.split("\n")[:2]) + "\nbroken")
    check(read_vectors(path, size=2), WORDS[:2], DATA[:2])


@pytest.mark.parametrize(
    "text, message",
    [
        ("a 1 2\nb 1\n", r":2: expected a word and 2 numbers, found 1 after 'b'"),
        ("a 1 2\nb 1 2 3\nc 1 x\n", r":3: expected 2 numbers after 'c', found a text .*'x'"),
        ("a 1 2\n 1 2\n", r":2: expected a word and 2 numbers, found 2 after ''"),
        ("a 1 2\nb nan 2\n", r":2: a number of 'b' is not finite"),
        ("a 1 2\nb inf -inf\n", r":2: a number of 'b' is not finite"),
        ("word\n", r":1: expected a word and its numbers, found 0 after 'word'"),
        ("3 2\na 1 2\nb 1 2\n", r":1: the header promises 3 vectors, but the file has 2, the last in line 3"),
        ("", r"expected lines of a word and its numbers, found none"),
        ("3 2\n", r"found none"),
        (b"a 1 2\nb\xff 1 2\n", r":2: expected UTF-8, found the byte 0xff.*saved as text"),
    ],
)
def test_bad_text(text, message, tmp_path):
    with pytest.raises(VectorFileError, match=message):
        read_vectors(write(tmp_path / "bad.txt", text))


WORD = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(WORD.filter(str.strip), min_size=1, unique=True), st.integers(2, 5), st.booleans())
def test_any_words_come_back(words, width, header):
    """Unicode white space and line ends are parts of a word."""
    words = ["first", *(word for word in words if word != "first")]
    data = np.arange(len(words) * width, dtype="f").reshape(-1, width)
    lines = [f"{len(words)} {width}"] if header else []
    lines += [" ".join([word, *map(str, row)]) for word, row in zip(words, data.tolist(), strict=True)]
    with TemporaryDirectory() as folder:
        check(read_vectors(write(Path(folder) / "v.txt", "\n".join(lines))), words, data)


# A matrix and its index


def matrix(tmp_path, data=DATA, words=WORDS, suffix=".txt"):
    np.save(tmp_path / "v.npy", data)
    write(tmp_path / f"words{suffix}", "".join(f"{word}\n" for word in words))
    return str(tmp_path / "v.npy"), tmp_path / f"words{suffix}"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_matrix_and_words(dtype, tmp_path):
    table = read_vectors(*matrix(tmp_path, DATA.astype(dtype)))
    check(table, data=DATA.astype(dtype).astype("f"))


def test_matrix_pruned_and_with_duplicates(tmp_path):
    check(read_vectors(*matrix(tmp_path), size=2), WORDS[:2], DATA[:2])
    table = read_vectors(*matrix(tmp_path, words=["a", "b", "a", "c", "b"]))
    check(table, ["a", "b", "c"], DATA[[0, 1, 3]])
    assert table.duplicates == 2


def test_bad_matrix(tmp_path):
    path, index = matrix(tmp_path, words=WORDS[:3])
    with pytest.raises(VectorFileError, match=r"words\.txt: expected one word for each of the 5 rows.*found 3"):
        read_vectors(path, index)
    path, index = matrix(tmp_path, words=["a", "", "c", "d", "e"])
    with pytest.raises(VectorFileError, match=r"words\.txt:2: .*empty line"):
        read_vectors(path, index)
    with pytest.raises(ValueError, match="--index"):
        read_vectors(path)
    with pytest.raises(ValueError, match=r"only for a \.npy"):
        read_vectors(write(tmp_path / "v.txt", GLOVE), index)
    for data, message in ((DATA[0], "shape"), (DATA.astype(int), "int64"), (np.full((5, 2), np.nan), "row 0.*finite")):
        with pytest.raises(VectorFileError, match=message):
            read_vectors(*matrix(tmp_path, data))
    with pytest.raises(VectorFileError, match=r"NumPy's format"):
        read_vectors(write(tmp_path / "v.npy", "nothing of the kind"), index)


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow", reason="reads .parquet with pyarrow, which is not installed")
    pyarrow = import_module("pyarrow")
    path, _ = matrix(tmp_path)
    index = tmp_path / "index.parquet"
    import_module("pyarrow.parquet").write_table(pyarrow.table({"index": WORDS}), index)
    check(read_vectors(path, index))
    import_module("pyarrow.parquet").write_table(pyarrow.table({"a": WORDS, "b": WORDS}), index)
    with pytest.raises(VectorFileError, match=r"one column of texts, found 2 among a, b"):
        read_vectors(path, index)


def test_parquet_without_its_readers(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    path, _ = matrix(tmp_path)
    index = tmp_path / "index.parquet"
    with pytest.raises(FileNotFoundError):
        read_vectors(path, index)
    write(index, "")
    monkeypatch.setattr(vector_files, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install pyarrow\)\. Or write the words into a text file"):
        read_vectors(path, index)


# Files that are not what they claim to be


@pytest.mark.parametrize("header", ["1000000000000 1000000000000", "1 " + "9" * 5000, "9999999999 3"])
def test_header_of_impossible_size(header, tmp_path):
    with pytest.raises(VectorFileError, match=r"v\.txt:1: expected the numbers of vectors and of dimensions"):
        read_vectors(write(tmp_path / "v.txt", f"{header}\na 1 2 3\n"))


def test_header_of_a_size_that_the_file_does_not_have(tmp_path):
    tracemalloc.start()
    with pytest.raises(VectorFileError, match="expected a word and 999999999 numbers"):
        read_vectors(write(tmp_path / "v.txt", "999999999 999999999\na 1 2 3\n"))
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


@pytest.mark.parametrize("shape", [(10**12, 300), (2**62, 2**62), (-1, 3), (3,), (0, 3)])
def test_matrix_that_claims_another_size(shape, tmp_path):
    with open(tmp_path / "m.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.write(b"\0" * 24)
    index = write(tmp_path / "words", "a\nb\n")
    tracemalloc.start()
    with pytest.raises(VectorFileError, match=r"m\.npy: expected a matrix"):
        read_vectors(str(tmp_path / "m.npy"), Path(index))
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


def test_objects_and_archives_in_place_of_a_matrix(tmp_path):
    index = Path(write(tmp_path / "words", "a\n"))
    np.save(tmp_path / "objects.npy", np.array([["x"]], dtype=object))
    np.savez(tmp_path / "archive.npz", x=np.ones((1, 2)))
    os.rename(tmp_path / "archive.npz", tmp_path / "archive.npy")
    (tmp_path / "empty.npy").touch()
    for name in ("objects", "archive", "empty"):
        with pytest.raises(VectorFileError, match=rf"{name}\.npy: expected a matrix"):
            read_vectors(str(tmp_path / f"{name}.npy"), index)


@pytest.mark.parametrize("suffix, damage", [(".gz", "half"), (".gz", "flipped"), (".zip", "half"), (".zip", "flipped")])
def test_damaged_archive(suffix, damage, tmp_path):
    text, path = ("the 1 2 3\n" * 50).encode(), tmp_path / f"v.txt{suffix}"
    if suffix == ".gz":
        path.write_bytes(gzip.compress(text))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("v.txt", text)
    data = bytearray(path.read_bytes())
    if damage == "half":
        del data[len(data) // 2 :]
    else:
        data[-6 if suffix == ".gz" else 45] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(VectorFileError, match="cannot be unpacked"):
        read_vectors(str(path))


def test_a_line_without_end(tmp_path, monkeypatch):
    """A few bytes of an archive can stand for a line of any length."""
    monkeypatch.setattr(vector_files, "LONGEST_LINE", 2**16)
    (tmp_path / "v.txt.gz").write_bytes(gzip.compress(b"a" * 10**8))
    tracemalloc.start()
    with pytest.raises(VectorFileError, match=r"v\.txt\.gz:1: expected lines of at most 65536 bytes"):
        read_vectors(str(tmp_path / "v.txt.gz"))
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


def test_number_too_large_for_32_bits(tmp_path):
    with pytest.raises(VectorFileError, match=r"row 1 \('b'\) has a number"):
        read_vectors(write(tmp_path / "v.txt", "a 1 2\nb 1e300 2\n"))


def test_damaged_pipeline(tmp_path):
    write_vectors(table(), tmp_path / "out")
    for name in ("vectors", "key2row", "strings.json"):
        path = tmp_path / "out" / "vocab" / name
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(VectorFileError, match="its vocabulary cannot be read"):
            read_vectors(str(tmp_path / "out"))
        path.write_bytes(data)


# Pipelines


def table():
    return VectorTable(list(WORDS), np.arange(5), DATA)


def test_written_vectors_are_read_again(tmp_path):
    write_vectors(table(), tmp_path / "deep" / "out", "de")
    again = read_vectors(str(tmp_path / "deep" / "out"))
    check(again)
    check(read_vectors(str(tmp_path / "deep" / "out"), size=2), WORDS[:2], DATA[:2])
    nlp = spacy.load(tmp_path / "deep" / "out")
    assert nlp.lang == "de" and nlp.vocab["café"].has_vector and not nlp.vocab["of"].has_vector
    np.testing.assert_array_equal(nlp.vocab.get_vector("café"), DATA[2])
    assert os.listdir(tmp_path / "deep") == ["out"]


def test_a_matrix_that_lies_column_by_column_is_written_row_by_row(tmp_path):
    write_vectors(read_vectors(*matrix(tmp_path, np.asfortranarray(DATA))), tmp_path / "out")
    data = spacy.load(tmp_path / "out").vocab.vectors.data
    assert data.flags.c_contiguous
    np.testing.assert_array_equal(data, DATA)


def test_words_that_share_a_vector_and_rows_of_no_word(tmp_path):
    nlp = spacy.blank("en")
    nlp.vocab.reset_vectors(shape=(6, 2))
    for row, words in {1: ["a", "b"], 4: ["c"]}.items():
        for word in words:
            nlp.vocab.strings.add(word)
            nlp.vocab.vectors.add(word, vector=np.full(2, row, dtype="f"), row=row)
    nlp.to_disk(tmp_path / "nlp")
    read = read_vectors(str(tmp_path / "nlp"))
    assert sorted(zip(read.words, read.rows.tolist(), strict=True)) == [("a", 0), ("b", 0), ("c", 1)]
    assert read.data.tolist() == [[1, 1], [4, 4]]
    assert sorted(read_vectors(str(tmp_path / "nlp"), size=1).words) == ["a", "b"]


def test_pipeline_without_vectors(tmp_path):
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(VectorFileError, match="no vectors"):
        read_vectors(str(tmp_path))


def test_only_pipelines_are_replaced(tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        write_vectors(table(), out)
    check(read_vectors(str(out)))
    (out / "meta.json").unlink()
    with pytest.raises(FileExistsError, match="no pipeline"):
        write_vectors(table(), out)
    assert os.listdir(tmp_path) == ["out"]


def test_failure_leaves_the_old_one(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_vectors(table(), out)

    def fail(self, path, **kwargs):
        (path / "meta.json").touch()
        raise OSError("disk full")

    monkeypatch.setattr(spacy.language.Language, "to_disk", fail)
    with pytest.raises(OSError, match="disk full"):
        write_vectors(table(), out)
    monkeypatch.undo()
    check(read_vectors(str(out)))
    assert os.listdir(tmp_path) == ["out"]
