"""A pipeline whose components share a tok2vec, and what tests of the contract compare."""

import numpy as np
import spacy
from thinc.api import Config, fix_random_seed

from support.small import TRAIN

LISTENER = Config().from_str(
    """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
[model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 96
"""
)
SMALL = Config().from_str(
    """
[model]
@architectures = "spacy.HashEmbedCNN.v2"
width = 96
depth = 1
embed_size = 300
window_size = 1
maxout_pieces = 2
subword_features = true
pretrained_vectors = null
"""
)
TEXTS = [text for text, _ in TRAIN]
GOLD = [ents for _, ents in TRAIN]


def shared(*names):
    """A pipeline of a tok2vec and components that listen to it."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config=SMALL)
    listening = {"tagger": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER["model"]["tok2vec"]}}
    for name in names:
        nlp.add_pipe(name, config={"model": listening.get(name, LISTENER["model"])})
    return nlp


def parameters(component):
    return {
        (k, name): node.get_param(name).copy()
        for k, node in enumerate(component.model.walk())
        for name in node.param_names
        if node.has_param(name)
    }


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
