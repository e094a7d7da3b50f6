"""Models that are quick to train, for tests of what happens around training."""

import spacy
from test_component import CLASSIC, TRAIN, examples_for
from thinc.api import Config, fix_random_seed

CRF = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
scheme = "biluo"
[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
occurrences = 5000
[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v1"
width = 32
attrs = ["norm", "shape"]
rows = [500, 500]
[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 32
"""
SMALL = {"crf": Config().from_str(CRF), "classic": Config().from_str(CLASSIC)}


def small_pipeline(model, data=TRAIN, steps=100):
    """A pipeline with one component, trained on annotated texts."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config=SMALL[model])
    examples = examples_for(nlp, data)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


def small_copy(model, saved):
    """A pipeline as another process would load it, from what `to_bytes` gave."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config=SMALL[model])
    nlp.from_bytes(saved)
    return nlp, nlp.get_pipe("lstm_ner")
