"""Features of tokens beside the embedding of their words."""

import numpy as np
import pytest
import spacy
from spacy.ml.models.tok2vec import build_Tok2Vec_model
from spacy.strings import hash_string
from spacy.tokens import Doc, Token
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_ner.architectures import build_lexeme_embed, build_lstm_encoder, build_token_features, build_word_embed
from spacy_lstm_ner.layers.embed.token_features import token_values


def make_docs(*texts, vocab=None):
    vocab = Vocab() if vocab is None else vocab
    return [Doc(vocab, words=text.split()) for text in texts]


@pytest.fixture
def flagged():
    Token.set_extension("in_list", default=False, force=True)
    Token.set_extension("kind", default=None, force=True)
    docs = make_docs("the cat saw Rome", "", "A", vocab=spacy.blank("en").vocab)
    for token in docs[0]:
        token._.in_list = token.text == "Rome"
        token._.kind = token.text[:2]
        token.pos_ = "PROPN" if token.text == "Rome" else "NOUN"
    yield docs
    for name in ("in_list", "kind"):
        Token.remove_extension(name)


def test_token_features(flagged):
    names = ["POS", "IS_TITLE", "_.in_list", "_.kind"]
    arrays = [token_values(doc, names) for doc in flagged]
    assert [array.shape for array in arrays] == [(4, 4), (0, 4), (1, 4)]
    assert all(array.dtype == "uint64" for array in arrays)
    assert arrays[0][:, 0].tolist() == [token.pos for token in flagged[0]]
    assert arrays[0][:, 1].tolist() == [0, 0, 0, 1]
    assert arrays[0][:, 2].tolist() == [0, 0, 0, 1]
    assert arrays[0][:, 3].tolist() == [hash_string(token.text[:2]) for token in flagged[0]]
    assert arrays[2][:, 2:].tolist() == [[0, 0]]


def test_token_features_that_are_none():
    for name in ("in_list", ""):
        with pytest.raises(ValueError, match=f"no token attribute '{name}'"):
            build_token_features(build_word_embed(8), [name], [10])
    with pytest.raises(ValueError, match=r"_\.unheard_of.*set_extension"):
        token_values(make_docs("a b")[0], ["_.unheard_of"])


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"attrs": [], "rows": []}, "attrs"),
        ({"rows": [10]}, "rows"),
        ({"rows": [10, 0]}, "rows"),
        ({"width": 0}, "width"),
    ],
)
def test_token_features_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        build_token_features(build_word_embed(8), **{"attrs": ["POS", "TAG"], "rows": [10, 10], **settings})


def test_token_features_stand_beside_the_words_in_spacys_tok2vec(flagged):
    """Two docs of the same words differ by their tokens' features, and the features learn."""
    hashed = build_lexeme_embed(8, ["norm", "shape"], [50, 40])
    embed = build_token_features(hashed, ["POS", "_.in_list"], [20, 50], width=3)
    model = build_Tok2Vec_model(embed, build_lstm_encoder(8))
    model.initialize(X=flagged)
    Ys, backprop = model.begin_update(flagged)
    assert [Y.shape for Y in Ys] == [(4, 8), (0, 8), (1, 8)] and embed.get_dim("nO") == 8 + 2 * 3
    for doc, Y in zip(flagged, Ys, strict=True):
        np.testing.assert_allclose(model.predict([doc])[0], Y, atol=1e-6)
    backprop([np.cos(Y) for Y in Ys])
    tables = [node for node in model.walk() if node.name == "hashembed"]
    assert len(tables) == 4 and all(table.get_grad("E").any() for table in tables)
    plain = model.predict(flagged)[0]
    flagged[0][3]._.in_list = False
    assert not np.allclose(model.predict(flagged)[0], plain)


@pytest.mark.parametrize("texts", [[], [""]])
def test_token_features_without_tokens(texts):
    model = build_token_features(build_lexeme_embed(8, ["norm"], [50]), ["POS"], [20])
    model.initialize(X=make_docs("the cat"))
    Ys, backprop = model.begin_update(make_docs(*texts))
    assert [Y.shape[0] for Y in Ys] == [0] * len(texts)
    backprop(Ys)


def test_token_features_in_a_pipeline(tmp_path):
    """What an earlier component says of a token decides, where the word does not."""
    encode = {"@architectures": "spacy-lstm-ner.LSTMEncoder.v1", "width": 8}
    words = {"@architectures": "spacy-lstm-ner.LexemeEmbed.v2", "width": 8, "attrs": ["norm"], "rows": [50]}
    embed = {"@architectures": "spacy-lstm-ner.TokenFeatures.v1", "embed": words, "attrs": ["ENT_ID"], "rows": [50]}
    tok2vec = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy-lstm-ner.LSTMTagger.v1", "head": "softmax", "scheme": "bio", "tok2vec": tok2vec}
    ner = nlp.add_pipe("lstm_ner", config={"model": model})
    examples = [Example.from_dict(nlp.make_doc("saw Rome"), {"entities": [(4, 8, "LOC")] * n}) for n in (1, 0)]
    examples[0].predicted[1].ent_id_ = "city"
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(tmp_path)
    for component in (ner, spacy.load(tmp_path).get_pipe("lstm_ner")):
        scores = component.model.predict([example.predicted for example in examples])
        assert [array.argmax(axis=1).tolist() for array in scores] == [[0, 1], [0, 0]]
