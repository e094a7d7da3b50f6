"""Reading texts without annotation."""

import json

import pytest

from spacy_lstm_ner.data.texts import read_texts


def test_lines_and_jsonl(tmp_path):
    texts = ["Köln is old.", '{"a": 1}', "x\u2028y"]
    (tmp_path / "a.txt").write_text("\ufeff" + "\n \n".join(texts) + "\n", "utf-8")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text, "id": 1}) + "\n\n" for text in texts), "utf-8")
    assert list(read_texts(tmp_path / "a.txt")) == list(read_texts(tmp_path / "a.jsonl")) == texts


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
