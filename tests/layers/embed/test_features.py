"""Hashed features of words."""

import numpy as np
import pytest
from spacy.strings import hash_string
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.layers import HashEmbed

from spacy_lstm_ner.architectures import build_lexeme_embed
from spacy_lstm_ner.layers.embed import features as features_module
from spacy_lstm_ner.layers.embed.features import hash_table, lexeme_features, text_features
from spacy_lstm_ner.layers.embed.lexemes import distinct_lexemes


def make_docs(text):
    return [Doc(Vocab(), words=text.split())]


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
        ("PARIS", "lprefix2", "pa"),
        ("McD9", "lsuffix3", "cd0"),
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


@pytest.mark.parametrize(
    "text, name, expected",
    [
        ("O\u0323\u0301la\u0301", "prefix1", "O\u0323\u0301"),
        ("O\u0323\u0301la\u0301", "suffix2", "la\u0301"),
        ("O\u0323\u0301la\u0301", "lprefix2", "o\u0323\u0301l"),
        ("O\u0323\u0301la\u0301", "shape", "Xxx"),
        ("O\u0323\u0301la\u0301", "length", "3"),
        ("O\u0323\u0301la\u0301", "norm", "o\u0323\u0301la\u0301"),
        ("\u0926\u093f\u0932\u094d\u0932\u0940", "suffix1", "\u0932\u0940"),
        ("\u0926\u093f\u0932\u094d\u0932\u0940", "shape", "xxx"),
        ("\u0301a", "prefix1", "\u0301"),
        ("7\u20e3x", "prefix1", "0\u20e3"),
        ("Saint-\xc9tienne", "suffix3", "nne"),
        ("Paris9", "suffix3", "is0"),
        ("\u4e2d\u56fd", "shape", "xx"),
        ("\u05e9\u05dc\u05d5\u05dd", "prefix1", "\u05e9"),
    ],
)
def test_feature_by_grapheme(text, name, expected):
    """A letter and its combining marks are one character. The first characters are those that are read first."""
    assert text_features(text, [name], graphemes=True) == [expected]


def test_features_come_in_order():
    assert text_features("Ab1", ["shape", "orth", "norm"]) == ["Xxd", "Ab1", "ab0"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Norm",
        "prefix",
        "prefix0",
        "suffix0",
        "prefix-1",
        "suffix1.5",
        "2prefix",
        "prefix2x",
        "lprefix0",
        "pos",
        "3",
    ],
)
def test_unknown_feature(name):
    with pytest.raises(ValueError, match="LexemeEmbed"):
        text_features("word", [name])
    with pytest.raises(ValueError, match="LexemeEmbed"):
        build_lexeme_embed(8, [name], [10])


def test_features_of_long_words_are_not_cached():
    """A bounded number of words would be no bound on what they take."""
    model, size = lexeme_features(["orth", "prefix2"], 0.0), features_module.LONGEST_CACHED
    for length, kept in ((size, 1), (size + 1, 0), (10_000, 0)):
        word = "features of long words".replace(" ", "-").ljust(length, "x")
        before = features_module._cached_keys.cache_info().currsize
        keys = model.predict(distinct_lexemes(make_docs(word)))
        assert keys.tolist() == [[hash_string(word), hash_string("fe")]]
        assert features_module._cached_keys.cache_info().currsize == before + kept


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


def test_affix_dropout_leaves_shape_and_length():
    """Of the words that are hidden, a share loses its affixes too; no other word loses anything."""
    lexemes = distinct_lexemes(make_docs(" ".join(f"word{k}x{k}" for k in range(1000))))
    names = ["prefix1", "norm", "suffix3", "shape", "length", "lprefix2", "lsuffix4"]
    full = lexeme_features(names, 0.0, 0.5).begin_update(lexemes)[0]
    dropped = lexeme_features(names, 0.4, 0.5)
    np.testing.assert_array_equal(dropped.predict(lexemes), full)
    np.random.seed(0)
    keys, _ = dropped.begin_update(lexemes)
    hidden, bare = keys[:, 1] == 0, (keys[:, [0, 2, 5, 6]] == 0).all(axis=1)
    assert 0.35 < hidden.mean() < 0.45 and 0.4 < bare[hidden].mean() < 0.6
    assert not (bare & ~hidden).any()
    np.testing.assert_array_equal(keys[~bare][:, [0, 2, 5, 6]], full[~bare][:, [0, 2, 5, 6]])
    np.testing.assert_array_equal(keys[:, 3:5], full[:, 3:5])


def test_a_hash_table_may_be_read_only():
    layer = hash_table(HashEmbed(4, 10, column=0, seed=0))
    layer.initialize()
    keys = np.arange(12, dtype="uint64").reshape(6, 2)
    expected = layer.predict(keys)
    (table,) = (node for node in layer.walk() if node.has_param("E"))
    table.get_param("E").flags.writeable = False
    np.testing.assert_array_equal(layer.predict(keys), expected)
