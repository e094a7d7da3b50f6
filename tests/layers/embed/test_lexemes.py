"""From words to vectors."""

from collections import Counter
from unicodedata import normalize

import numpy as np
import pytest
from spacy.ml.models.tok2vec import MaxoutWindowEncoder, build_Tok2Vec_model
from spacy.strings import hash_string
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_lstm_ner.architectures import (
    build_char_cnn,
    build_char_lstm,
    build_gru_encoder,
    build_lexeme_embed,
    build_lexeme_tok2vec,
    build_lstm_encoder,
    build_rnn_encoder,
    build_word_embed,
)
from spacy_lstm_ner.layers.embed.lexemes import composed, distinct_lexemes
from spacy_lstm_ner.layers.embed.vocabulary import (
    PAD,
    UNKNOWN,
    build_vocabulary,
    lexeme_table,
    word_numbers,
    word_table,
)

ATTRS, ROWS = ["norm", "prefix2", "shape"], [50, 40, 30]


def make_docs(*texts, vocab=None):
    vocab = Vocab() if vocab is None else vocab
    return [Doc(vocab, words=text.split()) for text in texts]


DOCS = make_docs("the cat saw the dog", "", "A", "the rain in Spain fell on the 12 plains", "the the")


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"attrs": [], "rows": []}, "attrs"),
        ({"rows": [10]}, "rows"),
        ({"rows": [10, 0, 10]}, "rows"),
        ({"width": 0}, "width"),
        ({"word_dropout": 1.0}, "word_dropout"),
        ({"word_dropout": -0.1}, "word_dropout"),
        ({"affix_dropout": 1.1}, "affix_dropout"),
        ({"affix_dropout": -0.1}, "affix_dropout"),
        ({"min_count": 1, "singleton_dropout": 1.0}, "singleton_dropout"),
        ({"min_count": -1}, "min_count"),
    ],
)
def test_lexeme_embed_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        build_lexeme_embed(**{"width": 8, "attrs": ATTRS, "rows": ROWS, **settings})


@pytest.mark.parametrize("name", ["width", "min_count", "max_size"])
def test_word_embed_settings(name):
    with pytest.raises(ValueError, match=name):
        build_word_embed(**{"width": 3, "min_count": 1, "max_size": 10, name: 0})


def test_distinct_lexemes():
    lexemes = distinct_lexemes(DOCS)
    assert len(set(lexemes.texts)) == len(lexemes.texts)
    tokens = [token.text for doc in DOCS for token in doc]
    assert [lexemes.texts[row] for row in lexemes.rows] == tokens
    assert lexemes.lengths.tolist() == [len(doc) for doc in DOCS]
    assert distinct_lexemes([]).lengths.tolist() == []


def vector_docs(*texts):
    vocab = Vocab()
    vocab.reset_vectors(width=4)
    for k, word in enumerate(["the", "cat", "The", "rain"]):
        vocab.set_vector(word, np.random.default_rng(k).normal(size=4).astype("f"))
    data = vocab.vectors.data
    data[~data.any(axis=1)] = 3.0  # rows of no word must have no influence
    return make_docs(*texts, vocab=vocab)


@pytest.mark.parametrize("static", [False, True])
def test_lexeme_embed_initializes_and_learns(static):
    docs = vector_docs("the cat saw the Zebra", "", "rain")
    embed = build_lexeme_embed(8, ATTRS, ROWS, include_static_vectors=static)
    embed.initialize(X=docs)
    Ys, backprop = embed.begin_update(docs)
    assert [Y.shape for Y in Ys] == [(5, 8), (0, 8), (1, 8)]
    backprop([np.cos(Y) for Y in Ys])
    names = {name for node in embed.walk() for name in node.param_names if node.get_grad(name).any()}
    assert names >= ({"W", "E", "unknown"} if static else {"W", "E"})


# The numbered vocabulary


def table(words, width=3, min_count=1, max_size=100, docs=DOCS):
    model = word_table(width, min_count, max_size)
    strings = docs[0].vocab.strings
    build_vocabulary(model, {strings.add(word): count for word, count in words.items()})
    model.initialize(X=docs)
    return model


def known(model, *words):
    return [word_numbers(model, doc.to_array("ORTH"))[0] != UNKNOWN for doc in make_docs(*words)]


def test_word_table_rows():
    model = table({"the": 5, "cat": 2, "rain": 1})
    E = model.get_param("E")
    assert E.shape == (5, 3) and not E[PAD].any() and E[UNKNOWN].any()
    Ys = model.predict(DOCS)
    assert [Y.shape for Y in Ys] == [(len(doc), 3) for doc in DOCS]
    np.testing.assert_array_equal(Ys[0][0], Ys[0][3])
    for word in (2, 4):
        np.testing.assert_array_equal(Ys[0][word], E[UNKNOWN])
    numbers = {
        word: word_numbers(model, doc.to_array("ORTH"))[0]
        for word, doc in zip(("the", "cat", "rain"), make_docs("the", "cat", "rain"), strict=True)
    }
    assert sorted(numbers.values()) == [2, 3, 4]
    np.testing.assert_array_equal(Ys[0][1], E[numbers["cat"]])


def test_word_table_gradient():
    """Each word's row gets the sum over its tokens; the padding none."""
    model = table({"the": 5, "cat": 2})
    Ys, backprop = model.begin_update(DOCS)
    rng = np.random.default_rng(0)
    dYs = [rng.normal(size=Y.shape).astype("f") for Y in Ys]
    backprop(dYs)
    expected = np.zeros_like(model.get_param("E"))
    for doc, dY in zip(DOCS, dYs, strict=True):
        for token, d in zip(doc, dY, strict=True):
            number = word_numbers(model, np.array([token.orth], dtype="uint64"))[0]
            assert number != PAD
            expected[number] += d
    np.testing.assert_allclose(model.get_grad("E"), expected, atol=1e-5)
    assert not model.get_grad("E")[PAD].any()
    from thinc.api import Adam

    model.finish_update(Adam(0.1, L2=0.01, L2_is_weight_decay=True))
    assert not model.get_param("E")[PAD].any() and np.isfinite(model.get_param("E")).all()


def test_min_count_and_max_size():
    counts = {"the": 5, "cat": 3, "dog": 2, "rain": 1}
    assert known(table(counts, min_count=2), *counts) == [True, True, True, False]
    assert known(table(counts, max_size=2), *counts) == [True, True, False, False]
    assert known(table({}), "the") == [False]


def test_vocabulary_is_deterministic():
    counts = dict.fromkeys(["a", "b", "c", "d", "e", "f", "g", "h"], 1)
    one = table(counts, max_size=4).attrs["vocabulary"]
    other = table(dict(reversed(counts.items())), max_size=4).attrs["vocabulary"]
    assert len(one) == 4
    np.testing.assert_array_equal(one, other)


def test_word_table_bytes():
    model = table({"the": 5, "cat": 2})
    other = word_table(3, 1, 100).from_bytes(model.to_bytes())
    for ours, theirs in zip(model.predict(DOCS), other.predict(DOCS), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def lexeme_table_of(counts, words, singleton_dropout=0.5, min_count=1):
    lexemes = distinct_lexemes(make_docs(words))
    model = lexeme_table(3, min_count, 1000, singleton_dropout)
    build_vocabulary(model, {hash_string(word): count for word, count in counts.items()})
    model.initialize(X=lexemes)
    return model, lexemes


def test_singletons_are_unknown_now_and_then_in_training():
    rare = [f"rare{k}" for k in range(200)]
    model, lexemes = lexeme_table_of({"the": 5, **dict.fromkeys(rare, 1)}, " ".join(["the", "new", *rare]))
    E, Y = model.get_param("E"), model.predict(lexemes)
    unknown = (E[UNKNOWN] == Y).all(axis=1)
    assert [lexemes.texts[k] for k in np.flatnonzero(unknown)] == ["new"]
    np.random.seed(0)
    trained, backprop = model.begin_update(lexemes)
    dropped = (trained == E[UNKNOWN]).all(axis=1)
    assert 80 < dropped.sum() < 120 and not dropped[lexemes.texts.index("the")]
    backprop(np.ones_like(trained))
    assert model.get_grad("E")[UNKNOWN].tolist() == [dropped.sum()] * 3
    assert (model.get_grad("E")[2:].any(axis=1)).sum() == (~dropped).sum()
    np.testing.assert_array_equal(model.predict(lexemes), Y)


def test_min_count_of_two_leaves_no_singletons():
    model, lexemes = lexeme_table_of({"the": 5, "cat": 1}, "the cat", min_count=2)
    assert not len(model.attrs["singletons"])
    np.testing.assert_array_equal(model.begin_update(lexemes)[0], model.predict(lexemes))
    other = lexeme_table(3, 2, 1000, 0.5).from_bytes(model.to_bytes())
    np.testing.assert_array_equal(other.predict(lexemes), model.predict(lexemes))


# Composed and decomposed words


WORDS = "\xc9va Nu\xf1ez \xe0 O\u0323\u0301y\u1ecd\u0301 \uc11c\uc6b8 caf\xe9 cafe Paris95 zo\xeb"


def composed_embed(chars, **settings):
    """An embedding with a table for each kind of vector, initialized on words in either form."""
    names = ["norm", "prefix1", "suffix2", "lsuffix3", "shape", "length"]
    model = build_lexeme_embed(
        8,
        names,
        [50] * len(names),
        include_static_vectors=True,
        tune_vectors=True,
        min_count=1,
        chars=chars,
        **settings,
    )
    vocab = Vocab()
    vocab.reset_vectors(width=4)
    for k, word in enumerate(WORDS.split()[:7]):
        vocab.set_vector(word, np.random.default_rng(k).normal(size=4).astype("f"))
    docs = make_docs(WORDS, normalize("NFD", WORDS), vocab=vocab)
    counts = Counter(token.orth for doc in docs for token in doc)
    tables = [node for node in model.walk() if "vocabulary" in node.attrs]
    for node in tables:
        build_vocabulary(node, counts, vocab.strings)
    model.initialize(X=docs)
    for node in tables:
        for name in node.param_names:
            node.set_param(name, np.random.default_rng(1).normal(size=node.get_param(name).shape).astype("f"))
    return model, tables, docs


@pytest.mark.parametrize("chars", [build_char_cnn, build_char_lstm])
def test_composed_and_decomposed_words_have_the_same_vectors(chars):
    model, tables, docs = composed_embed(chars(6), graphemes=True)
    assert docs[0].text != docs[1].text
    assert [len(node.attrs["vocabulary"]) for node in tables] == [len(docs[0])] * 2
    composed, decomposed = (model.predict([doc])[0] for doc in docs)
    np.testing.assert_array_equal(composed, decomposed)
    for form, in_batch in zip((composed, decomposed), model.predict(docs), strict=True):
        np.testing.assert_allclose(in_batch, form, rtol=1e-5, atol=1e-6)
    copy, _, _ = composed_embed(chars(6), graphemes=True)
    np.testing.assert_array_equal(copy.from_bytes(model.to_bytes()).predict([docs[1]])[0], composed)


def test_without_graphemes_code_points_are_read_as_they_are():
    model, tables, docs = composed_embed(None, graphemes=False)
    composed, decomposed = model.predict(docs)
    same = [token.text == other.text for token, other in zip(*docs, strict=True)]
    assert (composed == decomposed).all(axis=1).tolist() == same and sum(same) == 2
    assert {len(node.attrs["vocabulary"]) for node in tables} == {2 * len(docs[0]) - 2}


def test_gradients_of_both_forms_are_added():
    model, tables, docs = composed_embed(None, graphemes=True)
    gradients = []
    for batch in ([docs[0], docs[0]], docs):
        Y, backprop = model.begin_update(batch)
        backprop([np.ones_like(y) for y in Y])
        gradients.append([node.get_grad(name).copy() for node in tables for name in node.grad_names])
        model.finish_update(lambda key, weight, gradient: (weight, gradient * 0))
    for one_form, both_forms in zip(*gradients, strict=True):
        assert one_form.any()
        np.testing.assert_allclose(both_forms, one_form, rtol=1e-4, atol=1e-5)


def test_words_in_composed_form_are_passed_on():
    layer = composed(Model("inner", lambda model, X, is_train: (X, lambda dY: dY)))
    ascii_only, mixed = distinct_lexemes(make_docs("a b")), distinct_lexemes(make_docs("\xe9 e\u0301 n\u0303 b"))
    assert layer.predict(ascii_only) is ascii_only
    found = layer.predict(mixed)
    assert sorted(found.texts) == ["b", "\xe9", "\xe9", "\xf1"]
    assert found.orths.tolist() == [hash_string(text) for text in found.texts]
    part = found.subset(np.array([2, 0]))
    assert part.texts == [found.texts[2], found.texts[0]]


def embeddings():
    hashed = build_lexeme_embed(8, ATTRS, ROWS)
    hashed.initialize(X=DOCS)
    return {"hashed": hashed, "table": table({"the": 5, "cat": 2, "A": 1})}


@pytest.mark.parametrize("kind", ["hashed", "table"])
def test_the_rest_of_the_batch_changes_nothing(kind):
    model = embeddings()[kind]
    alone = [model.predict([doc])[0] for doc in DOCS]
    longer = make_docs("the cat " * 30, vocab=DOCS[0].vocab)
    for ours, theirs in zip(model.predict([*DOCS, *longer])[:-1], alone, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("kind", ["hashed", "table"])
@pytest.mark.parametrize("docs", [[], [""], ["", ""], ["", "the", ""]])
def test_hardly_any_tokens(kind, docs):
    model, docs = embeddings()[kind], make_docs(*docs)
    Ys, backprop = model.begin_update(docs)
    assert [Y.shape[0] for Y in Ys] == [len(doc) for doc in docs]
    backprop([np.ones_like(Y) for Y in Ys])
    for Y, predicted in zip(Ys, model.predict(docs), strict=True):
        np.testing.assert_array_equal(Y, predicted)


# Embedding and encoder together


@pytest.mark.parametrize("encoder", [build_lstm_encoder, build_gru_encoder, build_rnn_encoder])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("settings", [{}, {"depth": 2, "residual": True, "window": 3, "context": 1}])
def test_lexeme_tok2vec_is_tok2vec(encoder, static, settings):
    docs = vector_docs("the cat saw the Zebra", "", "A", "the rain in Spain fell on the 12 plains")
    embed = build_lexeme_embed(8, ATTRS, ROWS, include_static_vectors=static)
    encode = encoder(8, **settings)
    ours = build_lexeme_tok2vec(embed, encode)
    ours.initialize(X=docs)
    theirs = build_Tok2Vec_model(embed, encode)
    expected = theirs.predict(docs)
    trained, backprop = ours.begin_update(docs)
    assert ours.get_dim("nO") == 8
    assert [Y.shape for Y in expected] == [(len(doc), 8) for doc in docs]
    for one, other, third in zip(ours.predict(docs), trained, expected, strict=True):
        np.testing.assert_allclose(one, third, atol=1e-6)
        np.testing.assert_allclose(other, third, atol=1e-6)
    gradients = []
    for back in (backprop, theirs.begin_update(docs)[1]):
        back([np.cos(Y) for Y in expected])
        found = [node.get_grad(name) for node in ours.walk() for name in node.param_names if node.has_grad(name)]
        gradients.append([gradient.copy() for gradient in found])
        for gradient in found:
            gradient[...] = 0.0
    assert len(gradients[0]) > 5
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_lexeme_tok2vec_without_tokens(texts):
    model = build_lexeme_tok2vec(build_lexeme_embed(8, ATTRS, ROWS), build_lstm_encoder(6))
    model.initialize(X=DOCS)
    docs = make_docs(*texts)
    assert [Y.shape for Y in model.predict(docs)] == [(0, 6)] * len(texts)
    Ys, backprop = model.begin_update(docs)
    assert [len(Y) for Y in Ys] == [0] * len(texts)
    backprop(Ys)


def test_lexeme_tok2vec_takes_its_own_parts_only():
    with pytest.raises(ValueError, match=r"spacy\.Tok2Vec\.v2"):
        build_lexeme_tok2vec(build_word_embed(8), build_lstm_encoder(8))
    window = MaxoutWindowEncoder(8, 1, 2, 1)
    with pytest.raises(ValueError, match=r"spacy\.Tok2Vec\.v2"):
        build_lexeme_tok2vec(build_lexeme_embed(8, ATTRS, ROWS), window)


def test_lexeme_tok2vec_knows_its_parts_by_what_they_offer():
    """Neither by their names nor by their positions."""
    embed, encode = build_lexeme_embed(8, ATTRS, ROWS), build_lstm_encoder(6)
    embed.name = encode.name = encode.layers[0].name = "renamed"
    model = build_lexeme_tok2vec(embed, encode)
    model.initialize(X=DOCS)
    assert [Y.shape for Y in model.predict(DOCS)] == [(len(doc), 6) for doc in DOCS]
    batches = model.attrs["predict_in_batches"](model, DOCS)
    np.testing.assert_array_equal(np.concatenate(list(batches)), np.concatenate(model.predict(DOCS)))
