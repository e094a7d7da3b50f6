"""Trust limits."""

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_lstm_ner.data.annotated_file import Entity, Record
from spacy_lstm_ner.data.span_policy import DEFAULT_POLICY, Problems, make_doc
from spacy_lstm_ner.teach.limits import LEAST_SPANS, Judged, Limits, calibrate, right_share, trusted

SCORES = st.floats(0.0, 1.0).map(lambda score: round(score, 2))


TRUTHS = st.sampled_from([(True, False), (False, False), (False, True)])
SPANS = st.lists(st.builds(lambda score, truth: Judged(score, *truth), SCORES, TRUTHS), max_size=150)


@given(SPANS, st.floats(0.5, 1.0))
def test_beyond_the_limits_the_teacher_is_right_often_enough(spans, level):
    def right_from(limit):
        return [span.is_right for span in spans if span.score >= limit]

    try:
        low, high = calibrate(spans, level)
    except ValueError as error:
        assert "--limits" in str(error)
        for score, *_ in spans:
            above = right_from(score)
            assert len(above) < LEAST_SPANS or sum(above) < level * len(above)
        return
    above, below = right_from(high), [span.is_none for span in spans if span.score < low]
    assert len(above) >= LEAST_SPANS and sum(above) >= level * len(above)
    assert low <= high and sum(below) >= level * len(below) - 1e-9
    for score, *_ in spans:
        if score < high:
            assert sum(right_from(score)) < level * len(right_from(score)), "a lower limit would do"


@given(st.floats(0.0, 1.2), st.floats(0.01, 1.0))
def test_who_agrees_less_with_silver_than_with_people_has_seen_its_errors(q, f1):
    assert right_share(q * f1, f1) == pytest.approx(min(max(q, 0.6), 0.99))
    # A judge who finds nothing knows no better than the annotation.
    assert right_share(q, 0.0) == 0.99 and right_share(None, f1) == 0.6


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
    sure, mixed = [Judged(0.9, True, False)] * 30, [Judged(0.5, k % 2 == 0, k % 2 == 1) for k in range(30)]
    invented, cut = [Judged(0.1, False, True)] * 30, [Judged(0.1, False, False)] * 30
    assert calibrate([*mixed, *sure, *invented], 0.95) == Limits(0.5, 0.9)
    # A span with a wrong limit or label does not mean that no entity is there.
    assert calibrate([*mixed, *sure, *cut], 0.95) == Limits(0.0, 0.9)
    with pytest.raises(ValueError, match="at most 50% are right from any score on"):
        calibrate(mixed, 0.95)
