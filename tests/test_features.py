"""Hashed features of words and tokens."""

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_lstm_ner.architectures import build_lexeme_embed
from spacy_lstm_ner.layers.embed import distinct_lexemes
from spacy_lstm_ner.layers.features import lexeme_features, text_features


def make_docs(*texts, vocab=None):
    vocab = vocab or Vocab()
    return [Doc(vocab, words=text.split()) for text in texts]


# Features of the text


@pytest.mark.parametrize(
    "text, name, expected",
    [
        ("Paris9", "orth", "Paris9"),
        ("Paris9", "lower", "paris9"),
        ("Paris95", "norm", "paris00"),
        ("Paris", "prefix2", "Pa"),
        ("19th", "prefix3", "00t"),
        ("Paris", "suffix3", "ris"),
        ("B52", "suffix2", "00"),
        ("a", "prefix4", "a"),
        ("a", "suffix4", "a"),
        ("abcdefghijklmnop", "prefix12", "abcdefghijkl"),
        ("cat", "length", "3"),
        ("x" * 40, "length", "15"),
        ("Xyz", "shape", "Xxx"),
        ("Washington", "shape", "Xxxxx"),
        ("1984-05", "shape", "dddd-dd"),
        ("USA", "shape", "XXX"),
        ("a.b!", "shape", "x.x!"),
        ("......", "shape", "...."),
    ],
)
def test_feature(text, name, expected):
    assert text_features(text, [name]) == [expected]


def test_features_come_in_order():
    assert text_features("Ab1", ["shape", "orth", "norm"]) == ["Xxd", "Ab1", "ab0"]


@pytest.mark.parametrize(
    "name",
    ["", "Norm", "prefix", "prefix0", "suffix0", "prefix-1", "suffix1.5", "2prefix", "prefix2x", "pos", "3"],
)
def test_unknown_feature(name):
    with pytest.raises(ValueError, match="LexemeEmbed"):
        text_features("word", [name])
    with pytest.raises(ValueError, match="LexemeEmbed"):
        build_lexeme_embed(8, [name], [10])


def test_word_dropout_in_training_only():
    """The features of the whole word go, the affixes stay; every word gets the same unknown key."""
    lexemes = distinct_lexemes(make_docs(" ".join(f"word{k}x{k}" for k in range(400))))
    names = ["norm", "prefix2", "orth", "shape", "lower"]
    plain, dropped = lexeme_features(names, 0.0), lexeme_features(names, 0.3)
    full = plain.predict(lexemes)
    np.testing.assert_array_equal(plain.begin_update(lexemes)[0], full)
    np.testing.assert_array_equal(dropped.predict(lexemes), full)
    np.random.seed(0)
    keys, _ = dropped.begin_update(lexemes)
    hidden = (keys != full).any(axis=1)
    assert 0.2 < hidden.mean() < 0.4
    assert (keys[hidden][:, [0, 2, 4]] == 0).all()
    np.testing.assert_array_equal(keys[:, [1, 3]], full[:, [1, 3]])
    np.testing.assert_array_equal(dropped.predict(lexemes), full)
