"""Folders of annotated files: one format, all folders, and nothing left out without a word."""

import pytest
import spacy

from spacy_lstm_ner.data.annotated_file import NO_OPTIONS
from spacy_lstm_ner.data.corpora import read_examples
from spacy_lstm_ner.data.sources import find_files


def found(path, format="auto"):
    skipped = []
    files = find_files(path, format, NO_OPTIONS, lambda name, reason: skipped.append((name.name, reason)))
    return [(name.name, kind) for name, kind in files], skipped


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "a.conll").write_text("Ann\tB-PER\n")
    (tmp_path / "more" / "b.conll").write_text("Olga\tB-PER\n")
    (tmp_path / "README.md").write_text("By [Bob](mailto:b@example.org).\n")
    (tmp_path / "notes.txt").write_text("Nothing but prose.\n")
    (tmp_path / ".hidden").write_text("x")
    return tmp_path


def test_all_folders_are_read_and_other_files_are_named(folder):
    files, skipped = found(folder)
    assert files == [("a.conll", "conll"), ("b.conll", "conll")]
    assert [name for name, _ in skipped] == ["README.md", "notes.txt"]
    assert "expected annotated text in a known format, found 'Nothing but prose.'" in skipped[1][1]
    with pytest.warns(UserWarning, match=r"2 files were not read: .*README\.md"):
        examples = read_examples(spacy.blank("en"), folder)
    assert [[ent.text for ent in example.reference.ents] for example in examples] == [["Ann"], ["Olga"]]


def test_several_formats_are_refused(folder):
    (folder / "c.txt").write_text("[Ann](PER) left.\n")
    with pytest.raises(ValueError, match=r"files of one format, found conll \(a\.conll\), inline \(c\.txt\)"):
        found(folder)


def test_parts_of_a_data_set_are_refused(tmp_path):
    for name in ("train", "validation"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset_info.json").write_text("{}")
    with pytest.raises(ValueError, match="expected one part of a data set, found train, validation"):
        found(tmp_path)


def test_a_folder_of_prose_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("Nothing but prose.\n")
    with pytest.raises(ValueError, match="expected annotated text in a known format"):
        found(tmp_path)
