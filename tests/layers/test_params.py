"""The shapes that layers declare for their parameters."""

import pickle

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_lstm_ner.architectures import build_char_cnn, build_char_lstm
from spacy_lstm_ner.layers.embed.lexemes import distinct_lexemes
from spacy_lstm_ner.layers.embed.static_vectors import lexeme_vectors
from spacy_lstm_ner.layers.embed.vocabulary import build_vocabulary, lexeme_table, word_table
from spacy_lstm_ner.layers.params import declared_shapes, init_param

LAYERS = {
    "char_cnn": lambda: build_char_cnn(6, char_width=4, rows=40, window=2),
    "char_lstm": lambda: build_char_lstm(6, char_width=4, rows=40),
    "word_table": lambda: word_table(3, 1, 100),
    "lexeme_table": lambda: lexeme_table(3, 1, 100, 0.5),
    "vectors as they are": lambda: lexeme_vectors(),
    "mapped vectors": lambda: lexeme_vectors(3),
    "tuned vectors": lambda: lexeme_vectors(tuned=True),
    "mapped and tuned vectors": lambda: lexeme_vectors(3, tuned=True),
}


def doc_with_vectors(words="the cat saw the dog"):
    doc = Doc(Vocab(), words=words.split())
    doc.vocab.reset_vectors(width=4)
    doc.vocab.set_vector("cat", np.ones(4, dtype="f"))
    return doc


def initialized(kind):
    model, doc = LAYERS[kind](), doc_with_vectors()
    if "vocabulary" in model.attrs:
        build_vocabulary(model, {token.orth: 1 for token in doc})
    model.initialize(X=[doc] if kind == "word_table" else distinct_lexemes([doc]))
    return model


@pytest.mark.parametrize("kind", LAYERS)
def test_parameters_have_the_declared_shapes(kind):
    model = initialized(kind)
    shapes = {name: model.get_param(name).shape for name in model.param_names}
    assert declared_shapes(model) == shapes
    sizes = {**model.attrs, **{name: model.get_dim(name) for name in model.dim_names}}
    for copy in (pickle.loads(pickle.dumps(model)), model.copy()):
        assert copy.attrs["param_shapes"](sizes) == shapes


@pytest.mark.parametrize("kind", LAYERS)
def test_a_size_that_is_not_known_is_none(kind):
    model = LAYERS[kind]()
    shapes = model.attrs["param_shapes"]({**model.attrs, **dict.fromkeys(model.dim_names)})
    assert set(shapes) == set(model.param_names)
    assert any(None in shape for shape in shapes.values()) == (kind != "char_lstm")


def test_shapes_of_a_layer_without_its_sizes():
    with pytest.raises(ValueError, match="nM"):
        declared_shapes(lexeme_vectors(3))


def test_a_gradient_of_an_earlier_training_is_reset():
    model = initialized("lexeme_table")
    model.set_grad("E", np.ones_like(model.get_param("E")))
    init_param(model, "E", np.ones((9, 3), dtype="f"))
    assert model.get_param("E").shape == model.get_grad("E").shape == (9, 3) and not model.get_grad("E").any()


@pytest.mark.parametrize("kind", LAYERS)
def test_only_parameters_of_the_vocabulary_lose_their_gradient(kind):
    """Every other parameter keeps its shape, and what an update without an optimizer has gathered."""
    model = initialized(kind)
    for name in model.param_names:
        model.set_grad(name, np.ones_like(model.get_param(name)))
    model.initialize()
    kept = {name for name in model.param_names if model.get_grad(name).any()}
    of_vocabulary = {"word_table": {"E"}, "lexeme_table": {"E"}}.get(kind, {"D"})
    assert kept == set(model.param_names) - of_vocabulary
