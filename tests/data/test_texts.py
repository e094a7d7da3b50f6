"""Reading texts without annotation."""

import json

import pytest

from spacy_lstm_ner.data.texts import read_texts


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
    with pytest.raises(ValueError, match=r"b\.csv:1: expected a column \"text\", found the columns 'id', 'body'"):
        list(read_texts(tmp_path / "b.csv"))


@pytest.mark.parametrize("name", ["a.CSV", "a.TSV", "a.JSONL"])
def test_suffixes_in_capitals(name, tmp_path):
    content = '{"text": "Berlin"}\n' if name == "a.JSONL" else "text\nBerlin\n"
    (tmp_path / name).write_text(content, "utf-8")
    assert list(read_texts(tmp_path / name)) == ["Berlin"]


@pytest.mark.parametrize(
    "rows, message",
    [
        ('"not closed\nfine\n', "3: cannot read the table: unexpected end of data"),
        ('fine\n"Go", he said\n', "3: cannot read the table: '\t' expected after '\"'"),
        ("x" * 200_000 + "\n", "2: cannot read the table: field larger than field limit"),
    ],
)
def test_a_broken_table_is_named(rows, message, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\n" + rows, "utf-8")
    with pytest.raises(ValueError) as error:
        list(read_texts(path))
    assert f"{path}:{message}" in str(error.value)
    assert "Write the texts to a .jsonl file" in str(error.value)


@pytest.mark.parametrize("name", ["a.json", "a.spacy", "a.JSON"])
def test_lines_of_other_formats_are_no_texts(name, tmp_path):
    (tmp_path / name).write_text("[]", "utf-8")
    with pytest.raises(ValueError, match=r"cannot read texts from \.\w+ files\. Write them to a \.jsonl file"):
        list(read_texts(tmp_path / name))


@pytest.mark.parametrize(
    "line, message",
    [
        ("text", "2: expected JSON, found 'text'"),
        ('{"no": 1}', '2: expected an object with a string "text", found \'{"no": 1}\''),
        ('{"text": 1}', '2: expected an object with a string "text"'),
        ("[]", '2: expected an object with a string "text"'),
    ],
)
def test_bad_lines_are_named(line, message, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n", "utf-8")
    with pytest.raises(ValueError) as error:
        list(read_texts(path))
    assert f"{path}:{message}" in str(error.value)
