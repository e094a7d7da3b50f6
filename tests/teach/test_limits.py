"""Trust limits."""

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.data.annotated_file import Entity, Record
from spacy_lstm_ner.data.span_policy import DEFAULT_POLICY, Problems, make_doc
from spacy_lstm_ner.teach.limits import LEAST_SPANS, Limits, calibrate, trusted

SCORES = st.floats(0.0, 1.0).map(lambda score: round(score, 2))


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=LEAST_SPANS, max_size=150), st.floats(0.5, 1.0))
def test_beyond_the_limits_the_teacher_is_right_often_enough(spans, level):
    scores, right = zip(*spans, strict=True)
    try:
        low, high = calibrate(scores, right, level)
    except ValueError as error:
        assert "--limits" in str(error)
        for limit in set(scores):
            above = [is_right for score, is_right in spans if score >= limit]
            assert len(above) < LEAST_SPANS or sum(above) < level * len(above)
        return
    above = [is_right for score, is_right in spans if score >= high]
    below = [is_right for score, is_right in spans if score < low]
    assert len(above) >= LEAST_SPANS and sum(above) >= level * len(above)
    assert low <= high and (not below or sum(below) <= (1 - level) * len(below) + 1e-9)
    for limit in (score for score in set(scores) if score < high):
        more = [is_right for score, is_right in spans if score >= limit]
        assert sum(more) < level * len(more), "a lower limit would do"


def test_a_span_in_doubt_is_missing():
    text = "Ann met Bob in Oslo with Cy and Di"
    spans = [(0, 3, "P", 0.9), (8, 11, "P", 0.5), (15, 19, "L", 0.1), (25, 27, "P", None), (32, 34, "X", 0.9)]
    record = trusted(Record(text, [Entity(*span) for span in spans], "here"), Limits(0.2, 0.7), {"P": "PER", "X": ""})
    doc = make_doc(spacy.blank("en"), record, DEFAULT_POLICY, Problems())
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Ann", "PER"), ("Cy", "PER")]
    assert [token.text for token in doc if not token.ent_iob] == ["Bob"]


def test_a_teacher_that_does_not_know_all_labels_says_nothing_of_other_text():
    record = trusted(Record("Ann met Bob", [Entity(0, 3, "P")], "here"), Limits(), {}, is_complete=False)
    doc = make_doc(spacy.blank("en"), record, DEFAULT_POLICY, Problems())
    assert [token.ent_iob_ for token in doc] == ["B", "", ""]
    assert [ent.text for ent in doc.ents] == ["Ann"]


def test_limits_are_those_of_the_steps_in_the_scores():
    scores = [0.9] * 30 + [0.5] * 30 + [0.1] * 30
    right = [True] * 30 + [True, False] * 15 + [False] * 30
    assert calibrate(scores, right, 0.95) == Limits(0.5, 0.9)
    with pytest.raises(ValueError, match="at most 50% are right from any score on"):
        calibrate(scores, [k % 2 == 0 for k in range(90)], 0.95)
