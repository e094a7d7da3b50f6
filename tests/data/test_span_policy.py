"""Spans that cannot be entities: what becomes of them, and that each is counted and listed."""

import pytest
import spacy

from spacy_lstm_ner.data.annotated_file import Entity, Record
from spacy_lstm_ner.data.span_policy import Problems, SpanPolicy, make_doc, warn_of

NLP = spacy.blank("en")
TEXT = "Bank of Finland in Oslo"


def made(*spans, text=TEXT, **policy):
    listed = []
    problems = Problems(listing=listed.append)
    doc = make_doc(NLP, Record(text, [Entity(*span) for span in spans], "f:1"), SpanPolicy(**policy), problems)
    counts = {kind: found.count for kind, found in problems.found.items()}
    assert len(listed) == sum(counts.values())
    return [(ent.text, ent.label_) for ent in doc.ents], "".join(token.ent_iob_ or "-" for token in doc), counts


@pytest.mark.parametrize(
    ("spans", "policy", "ents", "tags", "counts"),
    [
        ([(8, 15, "LOC"), (0, 15, "ORG")], {}, [(TEXT[:15], "ORG")], "BIIOO", {"overlapping": 1}),
        ([(8, 15, "LOC"), (0, 15, "ORG")], {"overlap": "first"}, [("Finland", "LOC")], "--BOO", {"overlapping": 1}),
        ([(0, 15, "ORG"), (0, 15, "ORG")], {}, [(TEXT[:15], "ORG")], "BIIOO", {"repeated": 1}),
        ([(19, 22, "LOC")], {}, [], "OOOO-", {"misaligned": 1}),
        ([(19, 22, "LOC")], {"misaligned": "expand"}, [("Oslo", "LOC")], "OOOOB", {"moved": 1}),
        ([(0, 6, "ORG")], {"misaligned": "contract"}, [("Bank", "ORG")], "BOOOO", {"moved": 1}),
        ([(19, 22, "LOC")], {"misaligned": "contract"}, [], "OOOO-", {"misaligned": 1}),
        ([(18, 23, "LOC")], {}, [("Oslo", "LOC")], "OOOOB", {"trimmed": 1}),
        ([(18, 19, "LOC")], {}, [], "OOOOO", {"blank": 1}),
        ([(4, 4, "LOC")], {}, [], "OOOOO", {"empty": 1}),
        ([(19, 99, "LOC")], {}, [], "OOOO-", {"outside": 1}),
        ([(19, 23, "LOC", None, "Rome")], {}, [], "OOOO-", {"different": 1}),
        ([(19, 22, "LOC"), (16, 23, "X")], {}, [("in Oslo", "X")], "OOOBI", {"misaligned": 1}),
    ],
)
def test_policies(spans, policy, ents, tags, counts):
    assert made(*spans, **policy) == (ents, tags, counts)


@pytest.mark.parametrize(
    ("spans", "policy", "message"),
    [
        ([(8, 15, "LOC"), (0, 15, "ORG")], {"overlap": "error"}, r"f:1: the entities 'Finland' \(LOC\) and .* overlap"),
        ([(19, 22, "LOC")], {"misaligned": "error"}, "f:1: entities do not end where tokens end: LOC 'Osl'"),
    ],
)
def test_errors(spans, policy, message):
    with pytest.raises(ValueError, match=message):
        made(*spans, **policy)


def test_unknown_policies():
    with pytest.raises(ValueError, match="expected overlap among longest, first, error, found 'all'"):
        SpanPolicy(overlap="all").check()


def test_warnings():
    problems = Problems()
    make_doc(NLP, Record(TEXT, [Entity(4, 4, "X")], "f:1"), SpanPolicy(), problems)
    with pytest.warns(UserWarning, match="a: 1 entities have no text and are missing, the first at f:1: X ''"):
        warn_of("a", problems)
