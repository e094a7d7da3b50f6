"""The parts of the benchmark on forgetting that make its data and its table."""

import importlib.util

import spacy
from spacy.tokens import Doc


def load(root):
    spec = importlib.util.spec_from_file_location("forgetting", root / "benchmarks" / "forgetting.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_entities_of_other_labels_are_missing_or_outside(root):
    benchmark = load(root)
    doc = Doc(spacy.blank("en").vocab, words=["a", "b", "c", "d"], ents=["B-PER", "O", "B-ORG", "I-ORG"])
    for missing, iob in ((True, ["", "O", "B", "I"]), (False, ["O", "O", "B", "I"])):
        (made,) = benchmark.with_labels([doc], {"ORG"}, missing)
        assert [token.ent_iob_ for token in made] == iob
    assert [ent.label_ for ent in doc.ents] == ["PER", "ORG"]


def test_the_table_has_a_row_for_each_way(root):
    rows = [{"others": "unannotated", "way": "nlp.rehearse", "old_f": 0.5, "new_f": 0.25, "kept": 1.0}]
    lines = load(root).table({"before": {"old_f": 1.0, "new_f": 0.0}, "after": rows}).splitlines()
    assert lines[2:] == [
        "|  | before | 1.000 | 0.000 |  |",
        "| unannotated | `nlp.rehearse` | 0.500 | 0.250 | 1.000 |",
    ]
