"""The encoders inside other spaCy components: trained, saved, loaded; and in place of spacy.TorchBiLSTMEncoder.v1."""

import numpy as np
import pytest
import spacy
from spacy import registry
from spacy.training import Example
from spacy.util import fix_random_seed

WIDTH = 32
ENCODERS = [
    {"@architectures": "spacy-lstm-ner.LSTMEncoder.v1", "width": WIDTH},
    {"@architectures": "spacy-lstm-ner.LSTMEncoder.v1", "width": WIDTH, "depth": 2, "dropout": 0.1, "residual": True},
    {"@architectures": "spacy-lstm-ner.GRUEncoder.v1", "width": WIDTH},
    {"@architectures": "spacy-lstm-ner.RNNEncoder.v1", "width": WIDTH},
]
# The tag of "can" depends on the word before it, and the category on the order of the words.
TAGGED = [
    ("I can swim", ["PRON", "AUX", "VERB"]),
    ("the can leaks", ["DET", "NOUN", "VERB"]),
    ("you can see the can", ["PRON", "AUX", "VERB", "DET", "NOUN"]),
    ("the can can leak", ["DET", "NOUN", "AUX", "VERB"]),
]
CATEGORIES = [("good not bad", "POSITIVE"), ("bad not good", "NEGATIVE"), ("good", "POSITIVE"), ("bad", "NEGATIVE")]


def tok2vec(encoder):
    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": WIDTH,
        "attrs": ["NORM"],
        "rows": [200],
        "include_static_vectors": False,
    }
    return {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encoder}


def trained(name, model, annotations):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe(name, config={"model": model})
    examples = [Example.from_dict(nlp.make_doc(text), annotation) for text, annotation in annotations]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    first, losses = None, {}
    for _ in range(60):
        losses = nlp.update(examples, sgd=optimizer, losses={})
        first = losses[name] if first is None else first
    assert losses[name] < 0.2 * first
    return nlp


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder["@architectures"])
def test_tagger(encoder, tmp_path):
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec(encoder)}
    nlp = trained("tagger", model, [(text, {"tags": tags}) for text, tags in TAGGED])
    nlp.to_disk(tmp_path / "nlp")
    loaded = spacy.load(tmp_path / "nlp")
    for text, tags in TAGGED:
        assert [token.tag_ for token in nlp(text)] == tags
        assert [token.tag_ for token in loaded(text)] == tags
    docs = list(loaded.pipe([text for text, _ in TAGGED] + ["", "can"]))
    assert [[token.tag_ for token in doc] for doc in docs[: len(TAGGED)]] == [tags for _, tags in TAGGED]


@pytest.mark.parametrize("encoder", ENCODERS[:2], ids=["plain", "deep"])
def test_textcat(encoder, tmp_path):
    model = {
        "@architectures": "spacy.TextCatEnsemble.v2",
        "tok2vec": tok2vec(encoder),
        "linear_model": {
            "@architectures": "spacy.TextCatBOW.v3",
            "exclusive_classes": True,
            "length": 1000,
            "ngram_size": 1,
            "no_output_layer": False,
        },
    }
    labels = ("POSITIVE", "NEGATIVE")
    annotations = [(text, {"cats": {name: float(name == label) for name in labels}}) for text, label in CATEGORIES]
    nlp = trained("textcat", model, annotations)
    nlp.to_disk(tmp_path / "nlp")
    loaded = spacy.load(tmp_path / "nlp")
    for text, label in CATEGORIES:
        cats = nlp(text).cats
        assert max(cats, key=cats.get) == label
        np.testing.assert_allclose(list(loaded(text).cats.values()), list(cats.values()), atol=1e-6)


@pytest.mark.parametrize("name", ["LSTMEncoder", "GRUEncoder", "RNNEncoder"])
def test_in_place_of_spacys_torch_encoder(name):
    """Its arguments are taken as they are, and what it gives has the same shapes."""
    theirs_build = registry.architectures.get("spacy.TorchBiLSTMEncoder.v1")
    arguments = {"width": 8, "depth": 2, "dropout": 0.1}
    assert set(arguments) <= set(theirs_build.__annotations__)
    Xs = [np.ones((length, 8), dtype="f4") for length in (3, 1, 5)]
    ours = registry.architectures.get(f"spacy-lstm-ner.{name}.v1")(**arguments)
    ours.initialize(X=Xs)
    shapes = [Y.shape for Y in ours.predict(Xs)]
    assert shapes == [(3, 8), (1, 8), (5, 8)]
    pytest.importorskip("torch", reason="PyTorch is not installed; our shapes are checked in any case")
    theirs = theirs_build(**arguments)
    theirs.initialize(X=Xs)
    assert [Y.shape for Y in theirs.predict(Xs)] == shapes
