"""What training data looks like."""

import spacy
from spacy.tokens import Doc, Span

from spacy_lstm_ner.data.facts import count_facts

VOCAB = spacy.blank("xx").vocab


def make_doc(text, starts=None, spans=()):
    words = text.split()
    doc = Doc(VOCAB, words, sent_starts=None if starts is None else [k in starts for k in range(len(words))])
    doc.ents = [Span(doc, start, end, label) for start, end, label in spans]
    return doc


def test_counts():
    spans = [(0, 2, "PER"), (4, 5, "LOC")]
    docs = [make_doc("Ann Lee saw the rome . She Left", [0, 6], spans), make_doc("no one"), make_doc("")]
    facts = count_facts(docs)
    assert (facts.docs, facts.tokens, facts.sentences) == (2, 10, 3)
    assert facts.labels == {"PER": 1, "LOC": 1} and facts.entities == 2
    assert facts.names == {True: 1, False: 1} and facts.capital_names == 0.5
    # Words that begin a sentence do not count.
    assert facts.words == {False: 3, True: 1} and facts.capital_words == 0.25
    assert facts.tokens_per_doc == 5.0 and facts.characters_per_token == 2.9
    assert facts.cased == 0.6


def test_only_the_first_letter_counts():
    spans = [(0, 1, "ORG"), (2, 3, "ORG"), (4, 5, "ORG"), (6, 7, "ORG")]
    facts = count_facts([make_doc("McDonald and iPhone or 3M or USA-based 's 1st", spans=spans)])
    assert facts.names == {True: 2, False: 1} and facts.words == {False: 3} and facts.cased == 6 / 9


def test_sentences_that_are_not_annotated_are_those_that_the_augmenter_finds():
    facts = count_facts([make_doc("Yes . Then Bo came ! ? No 。 So"), make_doc("Ann left .")])
    assert facts.sentences == 5 and facts.words == {True: 1, False: 2}


def test_a_script_without_case():
    facts = count_facts([make_doc("彼 は 東 京 に 12", spans=[(2, 4, "LOC")])])
    assert facts.cased == facts.capital_names == facts.capital_words == 0.0 and facts.entities == 1


def test_no_docs():
    facts = count_facts([])
    assert (facts.tokens_per_doc, facts.characters_per_token, facts.cased, facts.capital_names) == (0, 0, 0, 0)
