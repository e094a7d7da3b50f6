"""Encodings of files: found, given, or refused; never a silent guess."""

import pytest

from spacy_lstm_ner.data.encodings import read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_found(tmp_path, encoding):
    path = tmp_path / "a"
    path.write_bytes("Zoë\r\nhere".encode(encoding))
    assert read_text(path) == ("Zoë\r\nhere", "utf-8" if encoding == "utf-8-sig" else encoding)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            "Anna” left".encode("cp1252"),
            "1: expected UTF-8, found the byte 0x94. In Latin-1, 0x94 is a control character",
        ),
        ("a\nМосква".encode("cp1251"), "2: .* does not look like Latin-1 either. Give the encoding, such as cp1251"),
        ("Anna left".encode("utf-16-le"), "found NUL characters. If it is text, give its encoding, such as utf-16-le"),
        ("Zoë\n".encode() + "Zoë".encode("latin-1"), "1: expected one encoding, found UTF-8 here"),
        ("Zoë ".encode() + "Zoë".encode("latin-1"), "in a line that also has UTF-8"),
    ],
)
def test_refused(tmp_path, raw, message):
    path = tmp_path / "a"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read_text(path)


def test_given(tmp_path):
    path = tmp_path / "a"
    path.write_bytes("Anna” left".encode("cp1252"))
    assert read_text(path, "cp1252") == ("Anna” left", "cp1252")
    with pytest.raises(ValueError, match="expected the name of an encoding, found 'nope'"):
        read_text(path, "nope")
    with pytest.raises(ValueError, match="expected text in ascii, found bytes that it does not have"):
        read_text(path, "ascii")
