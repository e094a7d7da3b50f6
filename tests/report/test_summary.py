"""The summary of a report, and sentences that depend on the figures."""

import pytest
from support.judged_docs import judged

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

WORDS = ["Anna", "met", "Bob", "Lee", "in", "Oslo"]
GOLD = [(0, 1, "PER"), (2, 4, "PER"), (5, 6, "LOC")]


def figures_of(*docs, seen=None, limit=20):
    from spacy_lstm_ner.report.figures import compute
    from spacy_lstm_ner.report.judge import Judgement

    figures = compute(Judgement(list(docs)), seen, limit, samples=100)
    return {"model": "m", "data": "d", "notes": [], "reviewed": False, "guarantees": {}, "other": None, **figures}


def summary_of(*docs, seen=None):
    from spacy_lstm_ner.report.summary import summarize

    return list(summarize(figures_of(*docs, seen=seen)))


def test_a_sentence_for_each_weakness():
    from spacy_lstm_ner.report.judge import Seen

    right = judged(WORDS, GOLD, [(0, 1, "PER", 0.75), (2, 4, "PER", 0.75), (5, 6, "LOC", 0.75)])
    wrong = judged(WORDS, GOLD, [(0, 1, "PER", 0.25), (5, 6, "LOC", 0.25)])
    assert summary_of(*[right] * 40, *[wrong] * 10, seen=Seen({"Anna"}, {("Anna", "PER")})) == [
        "The type with the lowest F is PER: 94.7, with 100 gold entities.",
        "The largest group of errors is “missed: PER → O”: 10 of 10 errors.",
        "F is 100.0 for entities whose text the training data has with their type, and 94.7 for those whose text it "
        "does not have.",
        "Of the lengths with at least 50 gold entities, “2 tokens” has the lowest F: 88.9.",
        "The largest gap of the calibration: 14 found entities have a mean probability of 0.250, and the share of them "
        "that is right is 1.000.",
    ]


def test_what_the_figures_do_not_tell_is_left_out():
    assert summary_of(judged(WORDS)) == []
    assert summary_of(judged(WORDS, [(0, 1, "PER")], [(0, 1, "PER")])) == []
    # There are too few entities to compare lengths.
    assert len(summary_of(judged(WORDS, GOLD, GOLD[:2]))) == 2


def test_the_lists_say_how_many_there_are():
    from spacy_lstm_ner.report.sections import make_sections

    docs = [judged(WORDS, GOLD, [(0, 1, "LOC")])] * 3
    sections = {section.name: section for section in make_sections(figures_of(*docs, limit=2))}
    assert [title for title, _ in sections["mistakes"].examples] == [
        "Mistakes: 2 of 3, picked evenly in the order of the data",
        "Missed entities: 2 of 6, picked evenly in the order of the data",
    ]
    kinds, groups = sections["errors"].tables
    assert groups.header[2] == "Share of the 9 errors" and kinds.rows[4][:2] == ("missed", "6")
    assert [row[-1] for row in groups.rows] == ["Anna (3)", "Bob Lee (3)", "Oslo (3)"]


def test_both_pipelines_side_by_side():
    from spacy_lstm_ner.report.beside import make_comparisons
    from spacy_lstm_ner.report.figures import compare
    from spacy_lstm_ner.report.judge import Judgement

    first, second = judged(WORDS, GOLD, GOLD[:2]), judged(WORDS, GOLD, [(0, 1, "PER"), (2, 4, "ORG")])
    other = {"first": "a", "second": "b", **compare(Judgement([first]), Judgement([second]), 20, 100, 0)}
    (section,) = make_comparisons({**figures_of(first), "other": other})
    assert section.text[0] == "This pipeline: a, F 80.0. The other pipeline: b, F 40.0."
    assert section.tables[0].rows == [
        ["All", "80.0", "40.0", "100.0", "50.0", "66.7", "33.3"],
        ["LOC", "0.0", "0.0", "–", "–", "0.0", "0.0"],
        ["ORG", "–", "0.0", "–", "0.0", "–", "–"],
        ["PER", "100.0", "66.7", "100.0", "100.0", "100.0", "50.0"],
    ]
    assert [title for title, _ in section.examples] == ["Found by this pipeline, not by the other: 1 of 1"]


def test_both_data_side_by_side():
    from spacy_lstm_ner.report.beside import make_comparisons
    from spacy_lstm_ner.report.figures import compare_data
    from spacy_lstm_ner.report.judge import Judgement, Seen

    first, second = [judged(WORDS, GOLD, GOLD[:2])] * 3, [judged(WORDS, GOLD, [(0, 1, "PER"), (2, 4, "ORG")])] * 2
    seen = Seen({"Anna"}, {("Anna", "PER")})
    own = compare_data(Judgement(first), Judgement(second), seen, 100, 0)
    shown = {**figures_of(*first, seen=seen), "other_data": {"data": "e", "notes": ["A note."], **own}}
    (section,) = make_comparisons(shown)
    assert section.text[0] == (
        "These data: d, 3 documents, F 80.0 (80.0–80.0). The other data: e, 2 documents, F 40.0 (40.0–40.0)."
    )
    assert section.text[1].startswith("The difference is +40.00 points, with the 95 % interval +40.00 to +40.00; p = ")
    assert section.text[2] == "The other data: A note."
    tables = {table.title: table for table in section.tables}
    header = ["Type", *("F", "other", "Precision", "other", "Recall", "other", "Gold", "other")]
    assert tables["Both data by type"].header == header
    assert tables["Both data by type"].rows[0] == ["All", "80.0", "40.0", "100.0", "50.0", "66.7", "33.3", "9", "6"]
    assert tables["Both data by type"].rows[2] == ["ORG", "–", "0.0", "–", "0.0", "–", "–", "0", "0"]
    assert [[row[0], *row[-2:]] for row in tables["Both data: seen in the training data or not"].rows] == [
        ["seen with this type", "3", "2"],
        ["unseen", "6", "4"],
    ]
    kinds = {row[0]: row[1:] for row in tables["Both data: how the entities divide"].rows}
    assert kinds["right"] == ["6", "2", "66.7", "33.3"] and kinds["type"] == ["0", "2", "0.0", "33.3"]
    assert tables["The largest groups of errors in the other data"].rows[0][1] == "2"
