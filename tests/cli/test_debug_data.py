"""The command `debug-data`."""

import json

import pytest
from spacy.cli._util import app as spacy_app
from support.commands import run_command
from support.data_files import write_config, write_docs, write_good_data
from typer.testing import CliRunner


@pytest.fixture
def good(tmp_path):
    return write_good_data(tmp_path)


def debug_data(*arguments):
    return run_command("debug-data", *arguments)


def test_a_reader_that_stops_is_an_error(tmp_path, good):
    path = tmp_path / "train.conll"
    path.write_text("Ann S-per\n\nBo U-per\n", "utf-8")
    said, code = debug_data(path, good[1])
    assert code == 1 and "train: reading stopped after 0 docs" in said and "IOBES (S-) and of BILUO (U-)" in said


def test_good_data(tmp_path, good):
    said, code = debug_data(*good, "--json", tmp_path / "report.json")
    assert code == 0 and "No problems found" in said
    for row in ("Tokens per doc 5.0 3.0", "Sentences per doc 1.0 1.0", "Entities with a capital 100% 100%"):
        assert row in said
    assert "with other tokens in raw text 0 0" in said
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["errors"] == found["warnings"] == [] and found["dev_docs_in_train"] == 0
    assert found["train"]["labels"] == {"per": 50} and found["dev"]["docs"] == 1


def test_case_40_the_command_on_the_same_data_twice(good):
    said, code = debug_data(good[0], good[0])
    assert code == 0 and "25 of 25 docs of dev have a text that is also in train" in said
    assert "0 errors, 1 warnings" in said


def test_case_40_the_command_on_an_empty_dev_set(tmp_path, good):
    said, code = debug_data(good[0], write_docs(tmp_path / "empty.spacy", []))
    assert code == 1 and "dev: no docs" in said and "1 errors" in said


def test_case_41_the_command_on_data_that_is_not_there(tmp_path, good):
    said, code = debug_data(good[0], tmp_path / "none.spacy")
    assert code == 1 and "Cannot find the data" in said and "none.spacy" in said
    said, code = debug_data(write_config(tmp_path))
    assert code == 1 and "E913" in said
    old = tmp_path / "old.spacy"
    old.write_text("[]", "utf-8")
    said, code = debug_data(old, good[1])
    assert code == 1 and "E1014" in said


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["TRAIN"], "expected a config (a file ending in .cfg) with settings, or training data and dev data"),
        (["TRAIN", "DEV", "--paths.train", "x"], "expected a config"),
        (["CONFIG", "DEV"], "a config names its own dev data"),
        (["CONFIG", "--nonsense"], "No such option '--nonsense'"),
        (
            ["CONFIG", "--component", "none", "--paths.train", "TRAIN", "--paths.dev", "DEV"],
            "no lstm_ner component 'none'",
        ),
    ],
)
def test_arguments_that_do_not_fit(tmp_path, good, arguments, message):
    places = {"TRAIN": good[0], "DEV": good[1], "CONFIG": write_config(tmp_path)}
    said, code = debug_data(*(places.get(argument, argument) for argument in arguments))
    assert code == 1 and message in said


def test_the_command_is_mounted_in_spacy(good):
    result = CliRunner().invoke(spacy_app, ["lstm-ner", "debug-data", *map(str, good)])
    assert result.exit_code == 0 and "No problems found" in " ".join(result.output.split())
