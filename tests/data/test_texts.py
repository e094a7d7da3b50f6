"""Reading texts without annotation."""

import json

import pytest

from spacy_lstm_ner.data.annotated_file import ReadOptions
from spacy_lstm_ner.data.reader import read_texts


def test_lines_and_jsonl(tmp_path):
    texts = ["Köln is old.", '{"a": 1}', "x\u2028y"]
    (tmp_path / "a.txt").write_text("\ufeff" + "\n \n".join(texts) + "\n", "utf-8")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text, "id": 1}) + "\n\n" for text in texts), "utf-8")
    assert list(read_texts(tmp_path / "a.txt")) == list(read_texts(tmp_path / "a.jsonl")) == texts


def test_the_column_text_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text('\ufeffid,text\n1,"Köln, is\nold."\n2,\n3,"He said ""no""."\n', "utf-8")
    assert list(read_texts(tmp_path / "a.csv")) == ["Köln, is\nold.", 'He said "no".']
    (tmp_path / "a.tsv").write_text("text\tid\nBerlin, again\t1\n", "utf-8")
    assert list(read_texts(tmp_path / "a.tsv")) == ["Berlin, again"]
    (tmp_path / "b.csv").write_text("id,body\n1,x\n", "utf-8")
    with pytest.raises(
        ValueError, match=r"b\.csv:1: expected a column 'text'\. Name another one with --columns text=NAME: 'id,body"
    ):
        list(read_texts(tmp_path / "b.csv"))


@pytest.mark.parametrize("name", ["a.CSV", "a.TSV", "a.JSONL"])
def test_suffixes_in_capitals(name, tmp_path):
    content = '{"text": "Berlin"}\n' if name == "a.JSONL" else "text\nBerlin\n"
    (tmp_path / name).write_text(content, "utf-8")
    assert list(read_texts(tmp_path / name)) == ["Berlin"]


@pytest.mark.parametrize(
    "rows, message",
    [
        ('"not closed\nfine\n', "2: expected a row of CSV, found: unexpected end of data: '\"not closed'"),
        ('fine\n"Go", he said\n', "3: expected a row of CSV, found: '\t' expected after '\"': '\"Go\", he said'"),
        ("x\ty\n", "2: expected 1 columns as in the header, found 2: 'x\\ty'"),
    ],
)
def test_a_broken_table_is_named(rows, message, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\n" + rows, "utf-8")
    with pytest.raises(ValueError) as error:
        list(read_texts(path))
    assert f"{path}:{message}" in str(error.value)


def test_long_texts_of_a_table(tmp_path):
    (tmp_path / "a.tsv").write_text("text\n" + "x" * 200_000 + "\n", "utf-8")
    assert list(read_texts(tmp_path / "a.tsv")) == ["x" * 200_000]


@pytest.mark.parametrize("name", ["a.json", "a.spacy", "a.JSON", "a.parquet"])
def test_files_of_other_formats_are_no_lines_of_text(name, tmp_path):
    (tmp_path / name).write_text("[]", "utf-8")
    with pytest.raises((ValueError, ImportError), match=rf"{name}: expected annotated text|{name}:1: expected|install"):
        list(read_texts(tmp_path / name))


def test_texts_of_annotated_files(tmp_path):
    (tmp_path / "a.conll").write_text("Ann\tB-PER\nleft\tO\n", "utf-8")
    assert list(read_texts(tmp_path / "a.conll")) == ["Ann left"]
    (tmp_path / "a.txt").write_text("[Ann](PER) left\n", "utf-8")
    assert list(read_texts(tmp_path / "a.txt", "inline")) == ["Ann left"]
    (tmp_path / "a.json").write_text(json.dumps([{"body": "Ann left"}, {"body": "He left"}], indent=1), "utf-8")
    options = ReadOptions(columns={"text": "body"})
    assert list(read_texts(tmp_path / "a.json", "texts", options=options)) == ["Ann left", "He left"]


@pytest.mark.parametrize(
    "line, message",
    [
        ("text", "2: expected JSON, found: Expecting value: line 1 column 1 (char 0): 'text'"),
        ('{"no": 1}', "2: expected a field 'text' of type str, found None: '{\"no\": 1}'"),
        ('{"text": 1}', "2: expected a field 'text' of type str, found 1: '{\"text\": 1}'"),
        ("[]", "2: expected an object with the field 'text', found []: '[]'"),
    ],
)
def test_bad_lines_are_named(line, message, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n", "utf-8")
    with pytest.raises(ValueError) as error:
        list(read_texts(path))
    assert f"{path}:{message}" in str(error.value)
