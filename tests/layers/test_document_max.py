"""What other occurrences of a word say."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import spacy
from thinc.api import fix_random_seed

from spacy_lstm_ner.architectures import build_lexeme_embed, build_lexeme_tok2vec, build_lstm_encoder
from spacy_lstm_ner.layers.document_max import backprop_maxima, group_occurrences, with_maxima
from spacy_lstm_ner.layers.embed.lexemes import distinct_lexemes

NLP = spacy.blank("en")
TEXTS = ["China beat CHINA in china .", "", "China lost", "a b a b a B"]


def lexemes(texts, reach=1000):
    found = distinct_lexemes([NLP.make_doc(text) for text in texts])
    sections = [min(reach, n - start) for n in found.lengths.tolist() for start in range(0, n, reach)]
    return replace(found, lengths=np.array(sections, dtype=np.int64))


def expected_groups(texts, reach):
    """The tokens of each group, from the definition."""
    groups, token = {}, 0
    for number, text in enumerate(texts):
        for position, word in enumerate(NLP.make_doc(text)):
            groups.setdefault((number, position // reach, word.lower_), []).append(token)
            token += 1
    return sorted(groups.values())


@pytest.mark.parametrize("reach", [1, 2, 4, 1000])
def test_groups(reach):
    groups = group_occurrences(lexemes(TEXTS, reach))
    bounds = [*groups.starts.tolist(), len(groups.order)]
    ours = [groups.order[start:end].tolist() for start, end in itertools.pairwise(bounds)]
    assert sorted(ours) == expected_groups(TEXTS, reach)
    for number, tokens in enumerate(ours):
        assert groups.of_token[tokens].tolist() == [number] * len(tokens)


def test_maximum_and_its_gradient():
    rng, groups = np.random.default_rng(0), group_occurrences(lexemes(TEXTS))
    H = rng.normal(size=(len(groups.order), 3))
    Y = with_maxima(H, groups).to_array()
    np.testing.assert_array_equal(Y[:, :3], H)
    for tokens in expected_groups(TEXTS, 1000):
        np.testing.assert_array_equal(Y[tokens, 3:], np.tile(H[tokens].max(axis=0), (len(tokens), 1)))
    weight = rng.normal(size=Y.shape)
    ours, numeric = backprop_maxima(with_maxima(H, groups), weight, groups), np.zeros_like(H)
    for at in np.ndindex(H.shape):
        kept = H[at]
        H[at] = kept + 1e-6
        upper = (with_maxima(H, groups).to_array() * weight).sum()
        H[at] = kept - 1e-6
        numeric[at] = (upper - (with_maxima(H, groups).to_array() * weight).sum()) / 2e-6
        H[at] = kept
    np.testing.assert_allclose(ours, numeric, atol=1e-7)


def test_equal_tokens_share_the_gradient():
    groups = group_occurrences(lexemes(["a a a"]))
    output = with_maxima(np.array([[1.0], [1.0], [0.0]]), groups)
    assert backprop_maxima(output, np.array([[0.0, 1.0]] * 3), groups).tolist() == [[1.5], [1.5], [0.0]]


def test_a_product_by_group_is_that_of_the_rows():
    rng, groups = np.random.default_rng(0), group_occurrences(lexemes(TEXTS))
    output, W = with_maxima(rng.normal(size=(len(groups.order), 3)), groups), rng.normal(size=(6, 4))
    np.testing.assert_allclose(output.times(W), output.to_array() @ W, atol=1e-12)


def test_no_tokens():
    groups = group_occurrences(lexemes(["", ""]))
    output = with_maxima(np.zeros((0, 3), dtype="f"), groups)
    Y = output.to_array()
    assert Y.shape == (0, 6) and backprop_maxima(output, Y, groups).shape == (0, 3)


def model(reach):
    fix_random_seed(0)
    embed = build_lexeme_embed(8, ["norm", "shape"], [50, 50])
    made = build_lexeme_tok2vec(embed, build_lstm_encoder(6, window=3, context=2), reach)
    made.initialize(X=[NLP.make_doc(text) for text in TEXTS])
    return made


@pytest.mark.parametrize("reach", [0, 3, 1000])
def test_in_the_model(reach):
    """Training and prediction agree, and a batch gives what its docs give."""
    made, docs = model(reach), [NLP.make_doc(text) for text in TEXTS]
    assert made.get_dim("nO") == (12 if reach else 6)
    together, (trained, backprop) = made.predict(docs), made.begin_update(docs)
    for doc, ours, theirs in zip(docs, together, trained, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        np.testing.assert_allclose(ours, made.predict([doc])[0], atol=1e-6)
    backprop(trained)
    assert any(node.has_grad("R") and node.get_grad("R").any() for node in made.walk() if "R" in node.param_names)


def test_occurrences_in_a_doc_see_each_other_and_no_further():
    made = model(1000)
    near, far = made.predict([NLP.make_doc("x y z w x"), NLP.make_doc("q y z w x")])
    np.testing.assert_array_equal(near[0, 6:], near[4, 6:])
    assert not np.allclose(near[4], far[4])
    alone = made.predict([NLP.make_doc("x y z"), NLP.make_doc("w x")])
    assert not np.allclose(alone[0][0, 6:], alone[1][1, 6:])


def test_a_reach_out_of_range():
    embed = build_lexeme_embed(8, ["norm"], [50])
    with pytest.raises(ValueError, match="occurrences is -1 tokens"):
        build_lexeme_tok2vec(embed, build_lstm_encoder(6), -1)
