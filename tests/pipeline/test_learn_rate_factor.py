"""A learning rate of the component's own, also on top of another component."""

import numpy as np
import pytest
import spacy
from support.small import SMALL, examples_for
from thinc.api import Adam, fix_random_seed

from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer

WIDTH = 16
LISTENING = SMALL["classic"].copy()
LISTENING["model"]["tok2vec"]["embed"] = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH}
CNN = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": WIDTH, "depth": 1}
CNN |= {"embed_size": 100, "window_size": 1, "maxout_pieces": 2, "subword_features": False}


def test_the_factor_counts_for_the_component_alone():
    nlp = spacy.blank("en")
    tok2vec = nlp.add_pipe("tok2vec", config={"model": CNN}).model
    model = nlp.add_pipe("lstm_ner", config={**LISTENING, "learn_rate_factor": 7.0}).model
    examples = examples_for(nlp)
    nlp.initialize(lambda: examples)
    factors = {}

    def sgd(key, weights, gradient, lr_scale=1.0):
        factors[key] = lr_scale
        return weights, gradient

    # spaCy applies the gradients of the tok2vec in the next update.
    nlp.update(examples, sgd=sgd)
    nlp.update(examples, sgd=sgd)
    expected = {(node.id, name): 1.0 for node in tok2vec.walk() for name in node.param_names}
    expected |= {(node.id, name): 7.0 for node in model.walk() for name in node.param_names}
    assert factors == expected


def test_the_factor_is_as_good_as_another_rate():
    trained = []
    for rate, factor in ((0.01, 1.0), (0.001, 10.0)):
        fix_random_seed(0)
        nlp = spacy.blank("en")
        component = nlp.add_pipe("lstm_ner", config={**SMALL["crf"], "learn_rate_factor": factor})
        examples = examples_for(nlp)
        nlp.initialize(lambda examples=examples: examples)
        optimizer = Adam(rate, L2=0.01)
        for _ in range(3):
            nlp.update(examples, sgd=optimizer)
        trained.append([node.get_param(name) for node in component.model.walk() for name in node.param_names])
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_out_of_range_is_an_error(factor):
    nlp = spacy.blank("en")
    model = nlp.add_pipe("lstm_ner").model
    with pytest.raises(ValueError, match=r"learn_rate_factor is .*, but must be greater than 0"):
        LSTMEntityRecognizer(nlp.vocab, model, learn_rate_factor=factor)
