"""Data and models that are quick to train, for tests of the component and of what happens around training."""

from functools import cache

import numpy as np
import spacy
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Config, fix_random_seed

TRAIN = [
    ("Uber blew through $1 million a week", [(0, 4, "ORG")]),
    ("Android Pay expands to Canada", [(0, 11, "PRODUCT"), (23, 29, "GPE")]),
    ("I like London and Berlin.", [(7, 13, "LOC"), (18, 24, "LOC")]),
    ("Who is Shaka Khan?", [(7, 17, "PERSON")]),
    ("nothing to see here", []),
]
CLASSIC = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "softmax"
scheme = "biluo"
[model.tok2vec]
@architectures = "spacy.Tok2Vec.v2"
[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.WordEmbed.v1"
width = 16
[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 16
"""
CRF = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
scheme = "biluo"
[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
occurrences = 5000
[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v2"
width = 32
attrs = ["norm", "shape"]
rows = [500, 500]
[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 32
"""
MODELS = {"default": {}, "classic": Config().from_str(CLASSIC)}
SMALL = {"crf": Config().from_str(CRF), "classic": MODELS["classic"]}


def examples_for(nlp, data=TRAIN):
    return [Example.from_dict(nlp.make_doc(text), {"entities": entities}) for text, entities in data]


def entities(doc):
    return [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]


def blank(model):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config={**MODELS, **SMALL}[model])
    return nlp


def trained(model="default", steps=40, data=TRAIN):
    """A pipeline with one component, and the losses of its last update."""
    nlp = blank(model)
    examples = examples_for(nlp, data)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(steps):
        losses = nlp.update(examples, sgd=optimizer)
    return nlp, losses


@cache
def overfitted(model):
    """A pipeline that has learned TRAIN by heart, for all tests, which leave it as it is; its losses; and its bytes."""
    nlp, losses = trained(model, steps=150)
    return nlp, losses, nlp.to_bytes()


def learned(model="default"):
    """A copy of the overfitted pipeline as another process would load it, for a test of its own."""
    return blank(model).from_bytes(overfitted(model)[2])


def often_wrong(nlp):
    """Docs that say that the model of `learned` is often wrong, and finds too much."""
    docs, rng = [], np.random.default_rng(0)
    for _ in range(40):
        for text, ents in TRAIN:
            doc = nlp.make_doc(text)
            wanted = [doc.char_span(start, end, label) for start, end, label in ents]
            # At random: scores of equal texts differ by rounding, which may sort even docs from odd ones.
            doc.set_ents(wanted if rng.random() < 0.5 else wanted[:-1])
            docs.append(doc)
    return docs


def learned_folder(tmp_path_factory):
    """The folder of a pipeline that knows TRAIN, for fixtures."""
    path = tmp_path_factory.mktemp("learned") / "pipeline"
    learned("crf").to_disk(path)
    return path


def unfinished_with_dev(folder, copies=40):
    """Save a pipeline that has learned TRAIN a little, and copies of TRAIN as `dev.spacy`. Returns the copies."""
    nlp, _ = trained(steps=12)
    nlp.to_disk(folder / "model")
    docs = [nlp.make_doc(text) for text, _ in copies * TRAIN]
    for doc, (_, ents) in zip(docs, copies * TRAIN, strict=True):
        doc.set_ents([doc.char_span(*ent) for ent in ents])
    DocBin(docs=docs).to_disk(folder / "dev.spacy")
    return docs
