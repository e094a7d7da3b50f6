"""Counts, compared with spaCy, nervaluate and seqscore on the same entities, and by hand."""

import random
from functools import cache

import numpy as np
import pytest
import spacy
from hypothesis import given
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example
from support.data_files import real_corpus
from support.judged_docs import corpora, examples_of, judged, nervaluate_counts, seqscore_counts, spoil

from spacy_lstm_ner.data.corpora import open_corpus
from spacy_lstm_ner.pipeline.scorer import score_entities
from spacy_lstm_ner.report.counts import (
    Counts,
    casing,
    confusion,
    count_four_ways,
    count_groups,
    count_labels,
    count_tokens,
    pair_up,
    seen_before,
)
from spacy_lstm_ner.report.judge import Judged, Seen, judge

WORDS = ["Anna", "met", "Bob", "Lee", "of", "ACME", "Inc", "in", "Oslo"]


def of_spacy(number):
    """spaCy has 0.0 where there is nothing to count, and we have None."""
    return pytest.approx(number or 0.0)


def agree_with_spacy(docs):
    labels, counts = count_labels(docs)
    theirs = get_ner_prf(list(examples_of(docs)))
    ours = Counts(*counts.sum(axis=(0, 1)).tolist()).scores()
    assert [theirs[f"ents_{key}"] or 0.0 for key in "prf"] == [of_spacy(ours[key]) for key in "prf"]
    assert set(theirs["ents_per_type"] or {}) == set(labels)
    for label, own in zip(labels, counts.sum(axis=0).tolist(), strict=True):
        assert theirs["ents_per_type"][label] == {key: of_spacy(n) for key, n in Counts(*own).scores().items()}
    tokens, scores = count_tokens(docs), score_entities(examples_of(docs))
    assert tokens["accuracy"] == scores["ents_token_acc"]
    assert tokens["accuracy_in_entities"] == scores["ents_token_acc_in_entities"]


def agree_with_nervaluate(docs):
    theirs = nervaluate_counts(docs)
    for way, own in count_four_ways(docs).items():
        names = {"precision": "p", "recall": "r", "f1": "f"}
        assert theirs[way] == {name: of_spacy(own[names.get(name, name)]) for name in theirs[way]}, way


def agree_with_seqscore(docs):
    theirs, accuracy = seqscore_counts(docs)
    labels, counts = count_labels(docs)
    ours = dict(zip(labels, map(tuple, counts.sum(axis=0).tolist()), strict=True))
    assert theirs == {"All": tuple(counts.sum(axis=(0, 1)).tolist()), **ours}
    assert accuracy == pytest.approx(count_tokens(docs)["accuracy"])


@cache
def spoiled(name):
    """A real corpus with entities that are wrong in part. Tests leave it as it is."""
    nlp, source = nlp_that_finds("x"), random.Random(0)
    return [spoil(doc, source) for doc in judge(nlp, open_corpus(real_corpus(name))(nlp)).docs]


@pytest.mark.parametrize("agree", [agree_with_spacy, agree_with_nervaluate, agree_with_seqscore])
@pytest.mark.parametrize("name", ["conll03/eng.testa", "wnut17/emerging.dev.conll"])
def test_others_count_the_same_in_a_real_corpus(name, agree):
    agree(spoiled(name))


def nlp_that_finds(word):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PER", "pattern": word}])
    return nlp


@given(corpora())
def test_spacy_counts_the_same(docs):
    agree_with_spacy(docs)


@given(corpora())
def test_nervaluate_counts_the_same(docs):
    if any(doc.gold or doc.found for doc in docs):
        agree_with_nervaluate(docs)


@given(corpora())
def test_seqscore_counts_the_same(docs):
    agree_with_seqscore(docs)


@given(corpora())
def test_each_entity_is_in_one_pair(docs):
    pairs = pair_up(docs)
    for number, doc in enumerate(docs):
        own = [pair for pair in pairs if pair.doc == number]
        assert sorted(pair.gold for pair in own if pair.gold) == sorted(doc.gold)
        assert sorted(pair.found for pair in own if pair.found) == sorted(doc.found)
        assert all(pair.gold.overlap(pair.found) for pair in own if pair.gold and pair.found)
        assert sum(pair.kind == "right" for pair in own) == sum(doc.right) == sum(doc.met)
    table = confusion(pairs)
    assert np.sum(table["counts"]) == len(pairs) and table["counts"][-1][-1] == 0


def test_kinds_of_errors():
    gold = [(0, 1, "PER"), (2, 4, "PER"), (5, 7, "ORG"), (8, 9, "LOC")]
    found = [(0, 1, "LOC"), (1, 2, "PER"), (2, 3, "PER"), (6, 8, "PER")]
    pairs = pair_up([judged(WORDS, gold, found)])
    assert [(pair.kind, pair.labels) for pair in pairs] == [
        ("type", ("PER", "LOC")),
        ("spurious", ("O", "PER")),
        ("boundary", ("PER", "PER")),
        ("boundary and type", ("ORG", "PER")),
        ("missed", ("LOC", "O")),
    ]
    assert confusion(pairs)["labels"] == ["LOC", "ORG", "PER", "O"]


def test_the_best_pair_wins():
    # The first gold entity also overlaps what was found, but the second has its type.
    best, other = pair_up([judged(WORDS, [(2, 4, "ORG"), (4, 5, "PER")], [(2, 5, "PER")])])
    assert (best.kind, best.labels, other.kind, other.labels) == ("boundary", ("PER", "PER"), "missed", ("ORG", "O"))


def test_groups():
    doc = judged(WORDS, [(0, 1, "PER"), (2, 4, "PER"), (5, 7, "ORG")], [(0, 1, "PER"), (5, 7, "PER"), (7, 8, "LOC")])
    seen = Seen({"Anna", "ACME Inc"}, {("Anna", "PER"), ("ACME Inc", "ORG")})
    assert count_groups([doc], seen_before(seen), ["seen with this type", "seen with other types only", "unseen"]) == {
        "seen with this type": Counts(1, 0, 1),
        "seen with other types only": Counts(0, 1, 0),
        "unseen": Counts(0, 1, 1),
    }


@pytest.mark.parametrize(
    "text, group",
    [
        ("New York", "Capitalized"),
        ("London", "Capitalized"),
        ("U.S.", "UPPER CASE"),
        ("iPhone", "miXed"),
        ("le monde", "lower case"),
        ("Bank of China", "miXed"),
        ("1996", "no case (digits, signs, some scripts)"),
        ("東京", "no case (digits, signs, some scripts)"),
    ],
)
def test_casing(text, group):
    doc = judged(text.split(), [(0, len(text.split()), "LOC")])
    assert casing(doc, doc.gold[0]) == group


def test_other_tokens_and_missing_annotation_count_as_in_spacy():
    nlp = nlp_that_finds("Bob")
    gold = Doc(nlp.vocab, words=["Bob-Ann", "and", "Bob", "and", "Bob"])
    gold.set_ents([Span(gold, 0, 1, "PER"), Span(gold, 2, 3, "PER")], missing=[gold[4:5]], default="outside")
    example = Example(nlp.make_doc(gold.text), gold)
    (doc,) = judge(nlp, [example]).docs
    # The ruler finds Bob alone in Bob-Ann, which has the place of the gold token.
    assert doc.found == [(0, 1, "PER", None), (2, 3, "PER", None)] and doc.right == [True, True]
    theirs = get_ner_prf([example])
    assert theirs["ents_p"] == theirs["ents_r"] == pytest.approx(1.0) and isinstance(doc, Judged)


def test_a_gold_entity_is_found_once():
    doc = judged(WORDS, [(0, 1, "PER")], [(0, 1, "PER"), (0, 1, "PER")])
    assert doc.right == [True, False] and doc.met == [True]
    assert count_labels([doc])[1].tolist() == [[[1, 1, 0]]]
    # Tokens count as with the first of them.
    assert count_tokens([doc])["accuracy"] == 1.0
