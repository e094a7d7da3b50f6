"""A component by itself, with random weights."""

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Config, fix_random_seed

from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer

CONFIG = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
scheme = "bio"
[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v2"
width = 8
attrs = ["norm", "suffix3"]
rows = [50, 40]
min_count = 1
[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 8
"""


def make(labels=(), *, initialized=True, words="to Berlin", **changes):
    config = Config().from_str(CONFIG)
    for path, value in changes.items():
        *sections, key = path.split(".")
        block = config["model"]
        for section in sections:
            block = block[section]
        block[key] = value
    fix_random_seed(sum(map(ord, "".join(labels))))
    # A component by itself: making whole pipelines takes longer than all that is tested here.
    vocab = Vocab()
    model = registry.resolve(config)["model"]
    component = LSTMEntityRecognizer(vocab, model)
    for label in labels:
        component.add_label(label)
    if initialized:
        component.initialize(lambda: [example(vocab, words)])
        for node in (component.model.get_ref("output_layer"), component.model.get_ref("head")):
            for name in node.param_names:
                node.set_param(name, np.random.uniform(size=node.get_param(name).shape).astype("f"))
    return component


def example(vocab, text, entities=()):
    doc = Doc(vocab, words=text.split())
    return Example.from_dict(doc, {"entities": list(entities)})
