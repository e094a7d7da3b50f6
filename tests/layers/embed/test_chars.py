"""Words from their characters."""

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Adam, set_dropout_rate

from spacy_lstm_ner.architectures import (
    build_char_cnn,
    build_char_lstm,
    build_lexeme_embed,
    build_lexeme_tok2vec,
    build_lstm_encoder,
)
from spacy_lstm_ner.layers.embed.chars import END, START, spell
from spacy_lstm_ner.layers.embed.lexemes import Lexemes

WORDS = ["the", "Übermut", "I", "東京", "🙂🙂", "x" * 10_000, "don't", "\ud83d", "0.5%", "a\u0301"]
BUILDERS = {"cnn": build_char_cnn, "lstm": build_char_lstm}


def lexemes(words):
    """Words as they are, the empty one included, which spaCy has no token for."""
    numbers = np.arange(len(words), dtype="uint64")
    made = Lexemes(None, numbers, numbers, np.arange(len(words)), np.array([len(words)]))
    made.__dict__["texts"] = list(words)
    return made


def make(kind, double=False, **settings):
    model = BUILDERS[kind](**{"width": 6, "char_width": 4, "rows": 300, "max_chars": 8, **settings})
    model.initialize()
    if double:
        for node in model.walk():
            for name in node.param_names:
                node.set_param(name, node.get_param(name).astype("float64"))
    return model


# Spelling


def test_spelling_is_marked_and_cut():
    rows, lengths = spell(["ab", "", "abcdefg"], 1024, 4)
    marked = [START + "ab" + END, START + END, START + "abfg" + END]
    assert rows.tolist() == [ord(char) for char in "".join(marked)]
    assert lengths.tolist() == [4, 2, 6]


def test_odd_cut_keeps_more_of_the_beginning():
    rows, _ = spell(["abcdefg"], 1024, 3)
    assert rows.tolist() == [2, *map(ord, "abg"), 3]


@pytest.mark.parametrize("n_rows", [8, 9, 300, 1024])
def test_every_character_has_a_row(n_rows):
    rows, lengths = spell(WORDS, n_rows, 30)
    assert rows.min() >= 0 and rows.max() < n_rows
    assert lengths.sum() == len(rows) and lengths.max() == 32


def test_rows_of_latin_1_are_its_own():
    rows, _ = spell(["".join(map(chr, range(2000, 9000)))], 1024, 10_000)
    assert rows[1:-1].min() >= 256
    rows, _ = spell(["".join(map(chr, range(300)))], 300, 1000)
    assert rows[1:-1].tolist() == list(range(300))


def test_no_words():
    rows, lengths = spell([], 300, 8)
    assert not len(rows) and not len(lengths)


# Both layers


@pytest.mark.parametrize("kind", BUILDERS)
def test_alone_as_in_a_batch(kind):
    model = make(kind)
    words = ["", *WORDS]
    together = model.predict(lexemes(words))
    assert together.shape == (len(words), 6) and together.dtype == "float32" and np.isfinite(together).all()
    for word, vector in zip(words, together, strict=True):
        np.testing.assert_allclose(model.predict(lexemes([word]))[0], vector, atol=1e-6)
    np.testing.assert_allclose(model.begin_update(lexemes(words))[0], together, atol=1e-6)
    assert len(np.unique(together.round(4), axis=0)) == len(words)


@pytest.mark.parametrize("kind", BUILDERS)
def test_long_words_are_their_ends(kind):
    model = make(kind)
    one, other = model.predict(lexemes(["abcd" + "x" * 9_992 + "efgh", "abcdefgh"]))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("kind", BUILDERS)
def test_no_words_no_vectors(kind):
    model = make(kind)
    for Y, backprop in (model.begin_update(lexemes([])), (model.predict(lexemes([])), None)):
        assert Y.shape == (0, 6)
        if backprop is not None:
            backprop(Y)


@pytest.mark.parametrize("kind, settings", [("cnn", {}), ("cnn", {"window": 2}), ("lstm", {})])
def test_gradients_are_numeric_ones(kind, settings):
    model = make(kind, double=True, rows=120, **settings)
    batch = lexemes(["the", "", "theft", "I", "Übermut", "東", "tee"])
    Y, backprop = model.begin_update(batch)
    weight = np.random.default_rng(0).normal(size=Y.shape)
    given = weight.copy()
    backprop(weight)
    np.testing.assert_array_equal(weight, given)
    rng, step, n_checked = np.random.default_rng(1), 1e-5, 0
    for node in model.walk():
        for name in node.param_names:
            param, gradient = node.get_param(name), node.get_grad(name)
            places = np.argwhere(np.abs(gradient) > 0)
            for at in map(tuple, rng.permutation(places)[:60]):
                old = param[at]
                param[at] = old + step
                upper = (model.predict(batch) * weight).sum()
                param[at] = old - step
                lower = (model.predict(batch) * weight).sum()
                param[at] = old
                assert gradient[at] == pytest.approx((upper - lower) / (2 * step), abs=1e-6), (node.name, name)
                n_checked += 1
    assert n_checked > 100


@pytest.mark.parametrize("kind", BUILDERS)
def test_rows_of_absent_characters_get_no_gradient(kind):
    model = make(kind)
    Y, backprop = model.begin_update(lexemes(["abc"]))
    backprop(np.ones_like(Y))
    touched = np.flatnonzero(model.get_grad("E").any(axis=1))
    assert set(touched) <= {2, 3, *map(ord, "abc")} and len(touched)


@pytest.mark.parametrize("kind", BUILDERS)
def test_dropout_in_training_only(kind):
    model = make(kind)
    batch = lexemes(["theft", "tee"])
    plain = model.predict(batch)
    set_dropout_rate(model, 0.5)
    np.testing.assert_array_equal(model.predict(batch), plain)
    Y, backprop = model.begin_update(batch)
    assert not np.allclose(Y, plain)
    backprop(np.ones_like(Y))


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize(
    "settings, words",
    [
        ({"width": 0}, "width"),
        ({"char_width": 0}, "char_width"),
        ({"rows": 7}, "rows"),
        ({"max_chars": 1}, "max_chars"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_settings(kind, settings, words):
    with pytest.raises(ValueError, match=words):
        BUILDERS[kind](**settings)


def test_settings_of_one_kind():
    with pytest.raises(ValueError, match="window"):
        build_char_cnn(window=0)
    with pytest.raises(ValueError, match="even"):
        build_char_lstm(width=5)


@pytest.mark.parametrize("kind", BUILDERS)
def test_learns_a_suffix(kind):
    """Words that end in -ing against others, told apart on words that training did not have."""
    np.random.seed(0)
    model = make(kind, width=8, char_width=8)
    stems = [a + b for a in ("wal", "tal", "ju", "sing", "inger") for b in ("k", "mp", "n", "rt")]
    words, targets = [*(stem + "ing" for stem in stems), *stems, *(stem + "ed" for stem in stems)], np.zeros(60)
    targets[:20] = 1.0
    held_out = np.arange(60) % 5 == 0
    optimizer, batch = Adam(0.02), lexemes([word for word, out in zip(words, held_out, strict=True) if not out])
    for _ in range(120):
        Y, backprop = model.begin_update(batch)
        error = 1 / (1 + np.exp(-Y.sum(axis=1))) - targets[~held_out]
        backprop(np.repeat(error[:, None], 8, axis=1).astype("f"))
        model.finish_update(optimizer)
    scores = model.predict(lexemes([word for word, out in zip(words, held_out, strict=True) if out])).sum(axis=1)
    assert ((scores > 0) == (targets[held_out] > 0.5)).mean() > 0.9


# Beside the hashed features


def docs(*texts):
    vocab = Vocab()
    return [Doc(vocab, words=text.split()) for text in texts]


@pytest.mark.parametrize("kind", BUILDERS)
def test_lexeme_embed_with_characters(kind):
    embed = build_lexeme_embed(8, ["norm", "shape"], [50, 40], chars=BUILDERS[kind](width=6))
    model = build_lexeme_tok2vec(embed, build_lstm_encoder(8))
    batch = docs("the cat saw the 🙂", "", "rain in Spain", "x" * 10_000)
    model.initialize(X=batch)
    Ys, backprop = model.begin_update(batch)
    for Y, predicted, doc in zip(Ys, model.predict(batch), batch, strict=True):
        np.testing.assert_allclose(Y, predicted, atol=1e-6)
        np.testing.assert_allclose(model.predict([doc])[0], predicted, atol=1e-6)
    backprop([np.cos(Y) for Y in Ys])
    chars = next(node for node in model.walk() if node.name == f"char_{kind}")
    assert chars.get_grad("E").any()
    other = build_lexeme_tok2vec(
        build_lexeme_embed(8, ["norm", "shape"], [50, 40], chars=BUILDERS[kind](width=6)), build_lstm_encoder(8)
    ).from_bytes(model.to_bytes())
    for ours, theirs in zip(model.predict(batch), other.predict(batch), strict=True):
        np.testing.assert_array_equal(ours, theirs)
