"""The command `convert`: its output and its messages. A failure leaves no trace."""

import json
import os
import sys
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app as spacy_app
from spacy.tokens import Doc, DocBin
from spacy.util import registry
from support.commands import run_command
from support.small import learned
from typer.testing import CliRunner

from spacy_lstm_ner import cli
from spacy_lstm_ner.data.formats import FORMATS

TEXT = "# a trip\n[Sharon](per) flew to [Miami](geo).\nShe waved.\n\nNothing [hap](x)pened.\n"


def convert(*arguments: object) -> tuple[str, int]:
    return run_command("convert", *arguments)


def load(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text(TEXT, "utf-8")
    return path


@pytest.fixture
def no_sudachi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not the packages of the Japanese tokenizer are installed, they cannot be imported."""
    monkeypatch.setitem(sys.modules, "sudachipy", None)


def test_convert_writes_docs_and_reports(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "new" / "folder" / "out.spacy"
    said, code = convert(source, target)
    assert code == 1 and "1 entities were lost" in said
    for accepted in (["--allow-empty"], ["--misaligned", "missing"]):
        again, code = convert(source, target, *accepted)
        assert code == 0 and "Misaligned entities 1" in again
    assert convert(source, target, "--overlap", "longest")[1] == 1
    first, second = load(target)
    assert [(entity.text, entity.label_) for entity in first.ents] == [("Sharon", "per"), ("Miami", "geo")]
    assert [sentence.text for sentence in first.sents] == ["Sharon flew to Miami.", "She waved."]
    assert [token.ent_iob_ for token in second] == ["O", "", "O"]
    assert not first.has_unknown_spaces
    for row in ("Format inline", "Encoding utf-8", "Scheme none", "Documents 2", "Sentences 3", "Entities 2"):
        assert row in said
    assert "Misaligned entities 1" in said
    assert "in.txt:5: x 'hap'" in said
    listing = target.parent / "out.spacy.problems.jsonl"
    assert sorted(target.parent.iterdir()) == [target, listing]
    (problem,) = map(json.loads, listing.read_text("utf-8").splitlines())
    assert problem == {
        "kind": "misaligned",
        "place": f"{source}:5",
        "label": "x",
        "start": 8,
        "end": 11,
        "text": "hap",
    }


def test_convert_is_mounted_in_spacy(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "out.spacy"
    result = CliRunner().invoke(spacy_app, ["lstm-ner", "convert", str(source), str(target), "--allow-empty"])
    assert result.exit_code == 0
    assert len(load(target)) == 2


def test_entry_point_mounts_the_commands() -> None:
    assert registry.cli.get("lstm-ner") is cli.app


def test_convert_takes_a_part_of_a_file(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    rows = "".join(f"{i},w{i},X,O\n" for i in range(20))
    source.write_text("Sentence #,Word,POS,Tag\n" + rows, "utf-8")
    assert convert(source, tmp_path / "train.spacy", "--to", 0.9, "--allow-empty")[1] == 0
    assert convert(source, tmp_path / "dev.spacy", "--from", 0.9, "--n-sents", 2, "--allow-empty")[1] == 0
    assert len(load(tmp_path / "train.spacy")) == 18
    assert [doc.text for doc in load(tmp_path / "dev.spacy")] == ["w18 w19 "]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a X Y O\nb X O\n", [], "in.txt:2: expected 4 columns as in line 1, found 3: 'b X O'"),
        ("a O\n", ["--format", "xml"], f"expected a format among auto, {', '.join(FORMATS)}, found 'xml'"),
        ("a O\n", ["--from", "0.9", "--to", "0.1"], "expected fractions with 0 <= from < to <= 1"),
        ("a O\n", ["--to", "0.1"], "expected sentences from 0.0 to 0.1, found none"),
        ("a O\n", ["--n-sents", "-2"], "expected n_sents of 0 or more, found -2"),
        ("a O\n", ["--lang", "zz"], "zz"),
        ("", [], "expected at least one sentence, found none"),
        (TEXT, ["--lang", "ja"], "Japanese support requires SudachiPy"),
    ],
)
def test_failure_is_one_message_and_keeps_the_old_file(
    tmp_path: Path, text: str, options: list[str], message: str, no_sudachi: None
) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.spacy"
    source.write_text(text, "utf-8")
    target.write_bytes(b"old")
    said, code = convert(source, target, *options)
    assert code == 1
    assert message in said
    assert "Traceback" not in said
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.spacy"]


def test_failed_write_keeps_the_old_file(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.spacy"
    target.write_bytes(b"old")

    def fail(*paths: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    said, code = convert(source, target)
    assert (code, target.read_bytes()) == (1, b"old")
    assert "disk full" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.spacy"]


def test_tokens_of_the_file_need_no_tokenizer(tmp_path: Path, no_sudachi: None) -> None:
    source = tmp_path / "in.conll"
    source.write_text("東京 B-geo\nへ O\n", "utf-8")
    with pytest.warns(UserWarning, match="not counted, because it is missing: Japanese support requires SudachiPy"):
        said, code = convert(source, tmp_path / "out.spacy", "--lang", "ja")
    assert code == 0, said
    (doc,) = load(tmp_path / "out.spacy")
    assert [(entity.text, entity.label_) for entity in doc.ents] == [("東京", "geo")]
    for command in (["debug-data"], ["init-config", tmp_path / "out.cfg", "--train"]):
        paths = [source, source] if command == ["debug-data"] else [source]
        said, code = run_command(*command, *paths, "--lang", "ja")
        assert code == 0, said
        assert ("are not counted" in said) == (command == ["debug-data"])


def test_no_entity_is_an_error(tmp_path: Path) -> None:
    source, target = tmp_path / "in.conll", tmp_path / "out.spacy"
    source.write_text("Ann O\nleft O\n", "utf-8")
    said, code = convert(source, target)
    assert code == 1 and "expected entities, found none in 1 texts" in said and not target.exists()
    assert convert(source, target, "--allow-empty")[1] == 0


def test_missing_input(tmp_path: Path) -> None:
    said, code = convert(tmp_path / "none.txt", tmp_path / "new" / "out.spacy")
    assert code == 1
    assert "Cannot find the input" in said
    assert not (tmp_path / "new").exists()


def test_output_must_be_a_spacy_file(tmp_path: Path, source: Path) -> None:
    said, code = convert(source, tmp_path / "out.json")
    assert code == 1
    assert "Expected an output file that ends in .spacy" in said


@pytest.mark.usefixtures("whole_english")
def test_entities_that_the_tokenizer_would_cut_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "in.conll"
    source.write_text("In O\n#Rome B-LOC\n\nMs. B-PER\nLee I-PER\n", "utf-8")
    said, code = convert(source, tmp_path / "out.spacy")
    assert code == 0 and "Retokenized entities 1" in said and "'#Rome' (LOC) becomes # | Rome" in said
    (doc, _) = load(tmp_path / "out.spacy")
    assert [token.text for token in doc] == ["In", "#Rome"]


def test_predictions_are_written_with_scores(tmp_path: Path) -> None:
    nlp = learned("default")
    nlp.to_disk(tmp_path / "model")
    source, target = tmp_path / "in.txt", tmp_path / "out.json"
    source.write_text("I like London and Berlin.\n🎵 I like London.\n", "utf-8")
    said, code = convert(source, target, "-o", "label-studio", "--model", tmp_path / "model")
    assert code == 0, said
    tasks = json.loads(target.read_text("utf-8"))
    assert [task["data"]["text"] for task in tasks] == source.read_text("utf-8").splitlines()
    for task, doc in zip(tasks, nlp.pipe(task["data"]["text"] for task in tasks), strict=True):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "en_pipeline 0.0.0"
        regions = prediction["result"]
        assert [region["value"]["text"] for region in regions] == [ent.text for ent in doc.ents]
        scores = [getattr(ent._, nlp.get_pipe("lstm_ner").cfg["score_attr"]) for ent in doc.ents]  # type: ignore[attr-defined]
        assert [region["score"] for region in regions] == pytest.approx(scores)
