"""The report on training data, and the command that prints it."""

import json
import os
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from support.bad_input import blank, example_of, examples_for
from typer.testing import CliRunner

from spacy_lstm_ner import cli
from spacy_lstm_ner.data.data_report import PartReport, compare, examine
from spacy_lstm_ner.training.data_sources import report_data, sources_from_config, sources_from_files

DATA = os.environ.get("LSTM_NER_DATA")
GOOD = [(f"Ann met Bob {k} times", [(0, 3, "per"), (8, 11, "per")]) for k in range(25)]


def debug_data(*arguments):
    """What the command says, in one line, and its exit code."""
    result = CliRunner().invoke(cli.app, ["debug-data", *map(str, arguments)])
    return " ".join(result.output.split()), result.exit_code


def write_docs(path, docs):
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def write_data(path, data):
    return write_docs(path, [example.reference for example in examples_for(spacy.blank("en"), data)])


def write_config(folder, **settings):
    nlp = blank(**settings)
    nlp.config.to_disk(folder / "config.cfg")
    return folder / "config.cfg"


@pytest.fixture
def good(tmp_path):
    dev = [("Cy met Di", [(0, 2, "per")])]
    return write_data(tmp_path / "train.spacy", GOOD), write_data(tmp_path / "dev.spacy", dev)


def test_counts_of_a_part():
    nlp = spacy.blank("en")
    examples = [
        *examples_for(nlp, [("Ann ran", [(0, 3, "per")]), ("Ann ran", [(0, 3, "per")]), ("Nobody", [])]),
        Example(nlp.make_doc("not annotated"), nlp.make_doc("not annotated")),
        example_of(nlp, ["Bo", "\n"], ["B-per", "I-per"]),
        example_of(nlp, ["\n", "x"], ["B-per", "O"]),
        example_of(nlp, ["Cy", "x", "so"], ["B-per", "O", "O"], predicted=["Cyx", "so"]),
    ]
    part = examine(iter(examples))
    assert (part.docs, part.repeated, part.without_entities) == (7, 1, 1)
    assert (part.gold.entities, part.labels) == (5, {"per": 5})
    assert [f.count for f in (part.gold.trimmed, part.gold.blank, part.gold.misaligned)] == [1, 1, 1]
    assert part.gold.docs_without_annotation == 1 and part.tokens_missing == 2
    json.dumps(part.to_dict())


def test_entities_across_sentences_presets_and_contradictions():
    nlp = spacy.blank("en")
    example = example_of(nlp, ["Ann", "Bell", "ran"], ["B-per", "I-per", "O"])
    reference = example.reference
    reference[1].is_sent_start = True
    reference.spans["wrong"] = [Span(reference, 0, 2, label="per"), Span(reference, 2, 3, label="per")]

    def ruler(doc):
        doc.ents = [Span(doc, 1, 3, label="RULER")]
        return doc

    part = examine([example], "wrong", ruler)
    assert part.across_sentences.examples == ["'AnnBell' (per) in 'AnnBellran'"]
    assert part.presets.count == part.contradictions.count == 1
    found = compare(part, part)
    assert any("1 entities are marked as incorrect in doc.spans" in error for error in found.errors)
    assert any("cross the start of a sentence" in warning for warning in found.warnings)
    assert any("overlap with entities of earlier components, which are kept" in warning for warning in found.warnings)


def test_what_follows_from_labels():
    nlp = spacy.blank("en")
    train = examine(examples_for(nlp, [*GOOD, ("Rome", [(0, 4, "geo")])]))
    dev = examine(examples_for(nlp, [("IBM", [(0, 3, "org")]), GOOD[0]]))
    found = compare(train, dev, ["per", "misc"])
    assert not found.errors and found.overlap == 1
    assert found.warnings == [
        "1 of 2 docs of dev have a text that is also in train: scores will be better than on new text",
        "labels only in dev, which cannot be learned: org",
        "labels only in train, which dev does not score: geo",
        "labels with fewer than 50 entities in train: geo (1)",
        "labels that are not among those given to initialize: geo, org",
        "labels given to initialize that have no entity in train: misc",
    ]


def test_what_nothing_can_be_learned_from():
    nlp = spacy.blank("en")
    unannotated = examine([Example(nlp.make_doc("a"), nlp.make_doc("a"))])
    no_entities = examine(examples_for(nlp, [("a", [])]))
    bad_label = examine(examples_for(nlp, [("a", [(0, 1, "!per")])]))
    assert compare(PartReport(), no_entities).errors == ["train: no docs"]
    assert compare(no_entities, PartReport(), ["per"]).errors == ["dev: no docs"]
    assert compare(unannotated, no_entities).errors == ["train: none of the 1 docs has entity annotation"]
    assert "no entities in 1 docs, and no labels given" in compare(no_entities, no_entities).errors[0]
    assert "labels that cannot be used: !per" in compare(bad_label, bad_label).errors[0]


def test_the_command_on_the_same_data_twice(good):
    said, code = debug_data(good[0], good[0])
    assert code == 0 and "25 of 25 docs of dev have a text that is also in train" in said
    assert "0 errors, 1 warnings" in said


def test_the_command_on_an_empty_dev_set(tmp_path, good):
    said, code = debug_data(good[0], write_docs(tmp_path / "empty.spacy", []))
    assert code == 1 and "dev: no docs" in said and "1 errors" in said


def test_good_data(tmp_path, good):
    said, code = debug_data(*good, "--json", tmp_path / "report.json")
    assert code == 0 and "No problems found" in said
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert found["errors"] == found["warnings"] == [] and found["dev_docs_in_train"] == 0
    assert found["train"]["labels"] == {"per": 50} and found["dev"]["docs"] == 1


def test_annotated_text_and_its_schemes(tmp_path, good):
    path = tmp_path / "train.conll"
    path.write_text("Ann B-per\nBell I-per\n\nYork I-geo\n\nCy B-per\nran O\n", "utf-8")
    found = report_data(sources_from_files(path, good[1], "en"))
    assert any("1 tags broke the scheme and were repaired, the first at" in warning for warning in found.warnings)
    path.write_text("Ann S-per\n\nBo U-per\n", "utf-8")
    said, code = debug_data(path, good[1])
    assert code == 1 and "train: reading stopped after 0 docs" in said and "IOBES (S-) and of BILUO (U-)" in said


def test_what_the_reader_warns_of_is_in_the_report(tmp_path, good):
    path = tmp_path / "train.txt"
    path.write_text("[Ann](per) is hap[py](x)ish.\n" * 2, "utf-8")
    found = report_data(sources_from_files(path, good[1], "en"))
    assert any("entities do not end where tokens end and are missing" in warning for warning in found.warnings)


def test_the_command_on_data_that_is_not_there(tmp_path, good):
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


def test_a_config_with_labels_and_a_ruler(tmp_path):
    nlp = blank(incorrect_spans_key="wrong")
    ruler = {"patterns": [{"label": "RULER", "pattern": "Ann met"}]}
    nlp.add_pipe("entity_ruler", before="lstm_ner")
    config = nlp.config
    config["training"]["annotating_components"] = ["entity_ruler"]
    config["initialize"]["components"] = {"entity_ruler": ruler, "lstm_ner": {"labels": ["per", "geo"]}}
    config.to_disk(tmp_path / "config.cfg")
    docs = [example.reference for example in examples_for(nlp, GOOD)]
    docs[0].spans["wrong"] = [Span(docs[0], 0, 1, label="per")]
    path = write_docs(tmp_path / "train.spacy", docs)
    overrides = {"paths.train": str(path), "paths.dev": str(path)}
    found = report_data(sources_from_config(tmp_path / "config.cfg", overrides))
    assert found.parts["train"].presets.count == 25
    assert found.errors[0].startswith("train: 1 entities are marked as incorrect in doc.spans: 'Ann' (per)")
    assert "labels given to initialize that have no entity in train: geo" in found.warnings
    without = spacy.blank("en")
    without.add_pipe("ner")
    without.config.to_disk(tmp_path / "other.cfg")
    with pytest.raises(ValueError, match="no lstm_ner component in the pipeline, which has ner"):
        sources_from_config(tmp_path / "other.cfg", overrides)


def test_the_command_is_mounted_in_spacy(good):
    from spacy.cli._util import app

    result = CliRunner().invoke(app, ["lstm-ner", "debug-data", *map(str, good)])
    assert result.exit_code == 0 and "No problems found" in " ".join(result.output.split())


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs the corpora in the folder that LSTM_NER_DATA names")
@pytest.mark.parametrize(
    "train, dev, entities",
    [
        ("conll03/eng.train", "conll03/eng.testa", 5942),
        ("wnut17/wnut17train.conll", "wnut17/emerging.dev.conll", 836),
    ],
)
def test_real_corpora(train, dev, entities):
    found = report_data(sources_from_files(Path(DATA) / train, Path(DATA) / dev, "en"))
    assert not found.errors
    part = found.parts["dev"]
    assert part.gold.entities == part.labels.total() == entities
    assert part.gold.misaligned.count == part.gold.docs_without_annotation == 0
    assert set(part.labels) == set(found.parts["train"].labels)


def test_a_doc_of_the_report_is_not_changed():
    nlp = spacy.blank("en")
    reference = Doc(nlp.vocab, words=["Ann", "\n"], ents=["B-per", "I-per"])
    before = reference.to_bytes()
    examine([Example(Doc(nlp.vocab, words=["Ann", "\n"]), reference)])
    assert reference.to_bytes() == before
