"""The command `vectors`."""

import numpy as np
import pytest
from support.commands import run_command
from support.forked import run_spacy

from spacy_lstm_ner.data.vector_files import read_vectors

GLOVE = "the 0.5 -1 2e-1\n. . 1 2 3\ncafé 4 5 6\n7 7 7 7\n"


def test_vectors_are_converted(tmp_path, run_env):
    source, out = tmp_path / "glove.txt", tmp_path / "out"
    source.write_text(GLOVE, "utf-8")
    said, code = run_spacy("lstm-ner", "vectors", source, out, "--prune", 3, folder=tmp_path, env=run_env)
    assert code == 0, said
    assert "3 words with 3 vectors of 3 dimensions" in said
    assert f"--paths.vectors {out}" in " ".join(said.split())
    written = read_vectors(str(out))
    assert written.words == ["the", ". .", "café"]
    np.testing.assert_array_equal(
        written.data[written.rows], np.array([[0.5, -1, 0.2], [1, 2, 3], [4, 5, 6]], dtype="f")
    )


@pytest.mark.parametrize(
    "text, arguments, message",
    [
        ("a 1 2\nb 1\n", [], "bad.txt:2: expected a word and 2 numbers"),
        ("a 1 2\n", ["--prune", "0"], "at least 1"),
        (None, [], "Cannot find the input"),
    ],
)
def test_bad_input(text, arguments, message, tmp_path):
    path = tmp_path / "bad.txt"
    if text is not None:
        path.write_text(text, "utf-8")
    said, code = run_command("vectors", path, tmp_path / "out", *arguments)
    assert code == 1 and message in said
    assert not (tmp_path / "out").exists()


def test_duplicates_are_counted(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\na 5 5\nb 3 4\n", "utf-8")
    said, code = run_command("vectors", tmp_path / "v.txt", tmp_path / "out")
    assert code == 0 and "1 repeated words were skipped" in said
