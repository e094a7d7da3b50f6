"""Static vectors of words."""

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_lstm_ner.architectures import build_lexeme_embed
from spacy_lstm_ner.layers.embed import distinct_lexemes
from spacy_lstm_ner.layers.vectors import lexeme_vectors

ATTRS, ROWS = ["norm", "prefix2", "shape"], [50, 40, 30]


def make_docs(*texts, vocab=None):
    vocab = vocab or Vocab()
    return [Doc(vocab, words=text.split()) for text in texts]


# Static vectors


def vector_docs(*texts):
    vocab = Vocab()
    vocab.reset_vectors(width=4)
    for k, word in enumerate(["the", "cat", "The", "rain"]):
        vocab.set_vector(word, np.random.default_rng(k).normal(size=4).astype("f"))
    data = vocab.vectors.data
    data[~data.any(axis=1)] = 3.0  # rows of no word must have no influence
    return make_docs(*texts, vocab=vocab)


def test_vectors_as_written_then_lower_cased_then_unknown():
    docs = vector_docs("the The CAT zebra Rain THE", "cat")
    lexemes = distinct_lexemes(docs)
    model = lexeme_vectors(3)
    model.initialize(X=lexemes)
    model.set_param("unknown", np.array([7, 8, 9], dtype="f"))
    W, vector = model.get_param("W"), docs[0].vocab.get_vector
    Y = dict(zip(lexemes.texts, model.predict(lexemes), strict=True))
    pairs = {"the": "the", "The": "The", "CAT": "cat", "Rain": "rain", "THE": "the", "cat": "cat"}
    for word, entry in pairs.items():
        np.testing.assert_allclose(Y[word], W @ vector(entry), atol=1e-6)
    assert Y["zebra"].tolist() == [7, 8, 9]
    assert not np.allclose(Y["the"], Y["The"])


@pytest.mark.parametrize("name", ["W", "unknown"])
def test_vectors_gradient(name):
    """The output is linear in the parameters, so that a difference over a wide step is exact."""
    lexemes = distinct_lexemes(vector_docs("the CAT zebra giraffe", "rain"))
    model = lexeme_vectors(3)
    model.initialize(X=lexemes)
    Y, backprop = model.begin_update(lexemes)
    weight = np.random.default_rng(0).normal(size=Y.shape).astype("f")
    given = weight.copy()
    backprop(weight)
    np.testing.assert_array_equal(weight, given)
    param, gradient = model.get_param(name), model.get_grad(name)
    for at in np.ndindex(param.shape):
        old = param[at]
        param[at] = old + 1
        upper = (model.predict(lexemes) * weight).sum()
        param[at] = old - 1
        lower = (model.predict(lexemes) * weight).sum()
        param[at] = old
        assert gradient[at] == pytest.approx((upper - lower) / 2, abs=1e-4)


def test_vectors_all_known_and_all_unknown():
    for text in ("the cat", "zebra giraffe"):
        lexemes = distinct_lexemes(vector_docs(text))
        model = lexeme_vectors(3)
        model.initialize(X=lexemes)
        _, backprop = model.begin_update(lexemes)
        backprop(np.ones((2, 3), dtype="f"))
        assert model.get_grad("unknown").any() == (text == "zebra giraffe")
        assert model.get_grad("W").any() == (text == "the cat")


def test_no_vectors():
    embed = build_lexeme_embed(8, ATTRS, ROWS, include_static_vectors=True)
    with pytest.raises(ValueError, match="no vectors"):
        embed.initialize(X=make_docs("the cat"))


def test_vectors_of_another_width():
    embed = build_lexeme_embed(8, ATTRS, ROWS, include_static_vectors=True)
    embed.initialize(X=vector_docs("the cat"))
    assert embed.predict(vector_docs("the cat"))[0].shape == (2, 8)
    vocab = Vocab()
    vocab.reset_vectors(width=5)
    vocab.set_vector("the", np.ones(5, dtype="f"))
    with pytest.raises(ValueError, match=r"4 dimensions.*have\s+5"):
        embed.predict(make_docs("the cat", vocab=vocab))
