"""Static vectors of words."""

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Adam

from spacy_lstm_ner.architectures import build_lexeme_embed
from spacy_lstm_ner.layers.embed.lexemes import distinct_lexemes
from spacy_lstm_ner.layers.embed.static_vectors import lexeme_vectors
from spacy_lstm_ner.layers.embed.vocabulary import build_vocabulary

ATTRS, ROWS = ["norm", "prefix2", "shape"], [50, 40, 30]


def make_docs(*texts, vocab=None):
    vocab = Vocab() if vocab is None else vocab
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


def table_docs(entries, *texts):
    vocab = Vocab()
    vocab.reset_vectors(width=3)
    for k, word in enumerate(entries):
        vocab.set_vector(word, np.random.default_rng(k).normal(size=3).astype("f"))
    return make_docs(*texts, vocab=vocab)


def test_digits_as_zero_come_last():
    docs = table_docs(["0000", "may-00", "1984", "The", "b0"], "1984 1985 MAY-12 B7 the 12")
    lexemes = distinct_lexemes(docs)
    model = lexeme_vectors()
    model.initialize(X=lexemes)
    model.set_param("unknown", np.full(3, 7.0, dtype="f"))
    Y = dict(zip(lexemes.texts, model.predict(lexemes), strict=True))
    vector = docs[0].vocab.get_vector
    for word, entry in {"1984": "1984", "1985": "0000", "MAY-12": "may-00", "B7": "b0"}.items():
        np.testing.assert_array_equal(Y[word], vector(entry))
    for word in ("the", "12"):
        assert Y[word].tolist() == [7, 7, 7]


def test_unmapped_vectors_are_those_of_the_table():
    docs = vector_docs("the CAT zebra", "rain")
    lexemes = distinct_lexemes(docs)
    model = lexeme_vectors()
    model.initialize(X=lexemes)
    assert model.get_dim("nO") == 4 and "W" not in model.param_names
    model.set_param("unknown", np.ones(4, dtype="f"))
    before = docs[0].vocab.vectors.data.copy()
    Y, backprop = model.begin_update(lexemes)
    found = dict(zip(lexemes.texts, Y, strict=True))
    np.testing.assert_array_equal(found["CAT"], docs[0].vocab.get_vector("cat"))
    assert found["zebra"].tolist() == [1] * 4
    weight = np.random.default_rng(0).normal(size=Y.shape).astype("f")
    backprop(weight)
    np.testing.assert_allclose(model.get_grad("unknown"), weight[lexemes.texts.index("zebra")])
    np.testing.assert_array_equal(docs[0].vocab.vectors.data, before)


# Fine-tuned


@pytest.mark.parametrize("width", [None, 5])
def test_tuned_vectors_start_as_the_table_and_move_for_words_of_the_training_data(width):
    docs = vector_docs("the The CAT zebra rain")
    lexemes = distinct_lexemes(docs)
    model = lexeme_vectors(width, tuned=True)
    strings = docs[0].vocab.strings
    build_vocabulary(model, {strings.add(word): 1 for word in ("the", "CAT", "zebra")})
    model.initialize(X=lexemes)
    assert model.get_param("D").shape == (5, 4) and not model.get_param("D").any()
    plain = lexeme_vectors(width)
    plain.initialize(X=lexemes)
    for name in plain.param_names:
        plain.set_param(name, model.get_param(name))
    np.testing.assert_array_equal(model.predict(lexemes), plain.predict(lexemes))

    table, weight = docs[0].vocab.vectors.data.copy(), np.random.default_rng(0).normal(size=(5, width or 4)).astype("f")
    _, backprop = model.begin_update(lexemes)
    backprop(weight)
    D, gradient = model.get_param("D"), model.get_grad("D")
    for at in np.ndindex(D.shape):
        old = D[at]
        D[at] = old + 1
        upper = (model.predict(lexemes) * weight).sum()
        D[at] = old - 1
        lower = (model.predict(lexemes) * weight).sum()
        D[at] = old
        # Row 1 stands for all words that training did not have; it stays zero.
        expected = 0.0 if at[0] < 2 else (upper - lower) / 2
        assert gradient[at] == pytest.approx(expected, abs=1e-4)
    assert gradient[2:].any(axis=1).sum() == 2, "the and CAT; zebra has no vector to move from"
    model.finish_update(Adam(0.1))
    moved = np.abs(model.predict(lexemes) - plain.predict(lexemes)).max(axis=1) > 1e-3
    if width is None:
        assert {text for text, has in zip(lexemes.texts, moved, strict=True) if has} >= {"the", "CAT"}
        assert not moved[lexemes.texts.index("rain")] and not moved[lexemes.texts.index("The")]
    np.testing.assert_array_equal(docs[0].vocab.vectors.data, table)


def test_tuned_vectors_set_up_again_with_other_words():
    docs = vector_docs("the cat")
    lexemes = distinct_lexemes(docs)
    model = lexeme_vectors(tuned=True)
    for words in (["the"], ["the", "cat"]):
        build_vocabulary(model, {docs[0].vocab.strings.add(word): 1 for word in words})
        model.initialize(X=lexemes)
        Y, backprop = model.begin_update(lexemes)
        backprop(np.ones_like(Y))
        assert model.get_grad("D").shape == (len(words) + 2, 4)
        model.finish_update(Adam(0.1))


@pytest.mark.parametrize("map_vectors", [True, False])
@pytest.mark.parametrize("tune_vectors", [True, False])
@pytest.mark.parametrize("min_count", [0, 1])
def test_component_trains_and_reloads_with_every_setting(map_vectors, tune_vectors, min_count, tmp_path):
    nlp = spacy.blank("en")
    for k, word in enumerate(["london", "the", "in"]):
        nlp.vocab.set_vector(word, np.random.default_rng(k).normal(size=7).astype("f"))
    embed = {
        "@architectures": "spacy-lstm-ner.LexemeEmbed.v2",
        "width": 8,
        "attrs": ["shape", "suffix2"],
        "rows": [50, 50],
        "include_static_vectors": True,
        "map_vectors": map_vectors,
        "tune_vectors": tune_vectors,
        "min_count": min_count,
        "chars": {"@architectures": "spacy-lstm-ner.CharCNN.v1", "width": 6},
    }
    encode = {"@architectures": "spacy-lstm-ner.LSTMEncoder.v1", "width": 8}
    tok2vec = {"@architectures": "spacy-lstm-ner.LexemeTok2Vec.v1", "embed": embed, "encode": encode}
    ner = nlp.add_pipe(
        "lstm_ner", config={"model": {"@architectures": "spacy-lstm-ner.LSTMTagger.v1", "tok2vec": tok2vec}}
    )
    texts = [("She lives in London.", [(13, 19, "LOC")]), ("The end of it", [])]
    examples = [Example.from_dict(nlp.make_doc(text), {"entities": ents}) for text, ents in texts]
    optimizer = nlp.initialize(lambda: examples)
    losses = [nlp.update(examples, sgd=optimizer)["lstm_ner"] for _ in range(60)]
    assert losses[-1] < losses[0] * 0.8
    vectors = next(node for node in ner.model.walk() if node.name == "lexeme_vectors")
    assert not tune_vectors or vectors.get_param("D").any()
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    docs = [nlp.make_doc(text) for text in ("She lives in London.", "New words in Paris 1999")]
    for ours, theirs in zip(
        ner.model.predict(docs),
        loaded.get_pipe("lstm_ner").model.predict([loaded.make_doc(doc.text) for doc in docs]),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
