"""Tokens of annotated data beside those of a tokenizer."""

import pytest
from spacy.tokens import Doc
from spacy.training import Example
from support.plain_english import make_whole_english

from spacy_lstm_ner.annotation.gold_report import Finding
from spacy_lstm_ner.data.tokenization import count_retokenized

NLP = make_whole_english()


def found_in(words, tags, predicted=None, spaces=None):
    reference = Doc(NLP.vocab, words, spaces, ents=tags)
    found = Finding()
    count_retokenized(Example(predicted or Doc(NLP.vocab, words, spaces), reference), NLP.tokenizer, found)
    return found


@pytest.mark.parametrize(
    "words, tags, examples",
    [
        (["In", "#Rome", "."], ["O", "B-LOC", "O"], ["'#Rome' (LOC) becomes # | Rome"]),
        (["the", "(CEO)", "Ann"], ["O", "O", "B-PER"], []),
        (["Ann", "Lee", "'s"], ["B-PER", "I-PER", "O"], []),
        (["a", "b"], ["O", "O"], []),
    ],
)
def test_entities_that_the_tokenizer_cuts(words, tags, examples):
    found = found_in(words, tags)
    assert found.examples == examples and found.count == len(examples)


def test_tokens_that_the_tokenizer_joins():
    """Where the spaces are known, a limit of an entity can be inside a token."""
    found = found_in(["New", "-", "York", "-based"], ["B-LOC", "I-LOC", "I-LOC", "O"], spaces=[False] * 4)
    assert found.count == 0
    found = found_in(["U.", "S."], ["O", "B-LOC"], spaces=[False] * 2)
    assert found.examples == ["'S.' (LOC) becomes U.S."]


def test_what_the_model_sees_counts():
    """A reader that tokenizes the text itself shows the model the tokens of the tokenizer."""
    assert found_in(["#Rome"], ["B-LOC"], predicted=NLP.make_doc("#Rome ")).count == 0
    assert found_in(["#Rome"], ["B-LOC"], predicted=NLP.make_doc("another text")).count == 0


def test_few_examples_are_kept():
    found = found_in(["#a"] * 5, ["B-x"] * 5)
    assert found.count == 5 and len(found.examples) == 3


def test_a_tokenizer_that_is_not_installed_counts_nothing():
    def missing(text):
        raise ImportError("needs a package")

    doc, found = Doc(NLP.vocab, ["#Rome"], ents=["B-LOC"]), Finding()
    with pytest.warns(UserWarning, match="would cut are not counted, because it is missing: needs a package"):
        count_retokenized(Example(doc, doc), missing, found)
    assert found.count == 0
