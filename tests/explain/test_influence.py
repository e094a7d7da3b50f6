"""Influence is the gradient of the log-probability that the component reports: brute force and numeric differences."""

import numpy as np
import pytest
import spacy
from support.chains import CASES, log_sum, paths, random_case, spans_of, split
from support.small import SMALL, examples_for
from thinc.api import Model, fix_random_seed

from spacy_lstm_ner.annotation.chain import ChainTokens
from spacy_lstm_ner.explain.influence import influences, reach, span_gradient
from spacy_lstm_ner.explain.observed import observe
from spacy_lstm_ner.layers.crf.span_probability import probabilities
from spacy_lstm_ner.layers.crf.transitions import Transitions
from spacy_lstm_ner.layers.rnn.single_layer import Sequences
from spacy_lstm_ner.pipeline.predict import Chains, find_spans, read_chains
from spacy_lstm_ner.tags import Spans

TEXT = "I like London and Shaka Khan."
CRF, CLASSIC = SMALL["crf"]["model"], SMALL["classic"]["model"]
STACKED = {"depth": 2, "residual": True, "dropout": 0.5, "recurrent_dropout": 0.3, "window": 3, "context": 1}
CONVOLUTIONS = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 16, "depth": 2, "embed_size": 200, "window_size": 1}
CONVOLUTIONS |= {"maxout_pieces": 2, "subword_features": False, "pretrained_vectors": None}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 64}
TOK2VECS = {
    "crf": CRF["tok2vec"],
    "classic": CLASSIC["tok2vec"],
    "residual": {**CRF["tok2vec"], "encode": {**CRF["tok2vec"]["encode"], **STACKED}},
    "listener": LISTENER,
    "convolutions": CONVOLUTIONS,
}
"""The tok2vec of some models."""


@pytest.mark.parametrize(("scheme_name", "seed"), CASES[::3])
def test_the_gradient_is_that_of_brute_force(scheme_name, seed):
    _, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    for own, own_allowed in split(lengths, e, allowed):
        found = paths(scheme, params, own, own_allowed)
        if not len(own):
            continue
        none = np.zeros(len(own), dtype=bool)
        tokens = ChainTokens(np.arange(len(own)), np.array([len(own)]), none, none)
        chains = Chains(tokens, own, own_allowed, Transitions(scheme, params))
        for span in set().union(*(spans_of(scheme, tags) for tags in found)):
            having = {tags: score for tags, score in found.items() if span in spans_of(scheme, tags)}
            expected = marginals(having, own.shape) - marginals(found, own.shape)
            np.testing.assert_allclose(span_gradient(chains, *span), expected, atol=1e-9)


def marginals(found, shape):
    table, total = np.zeros(shape), log_sum(found.values())
    for tags, score in found.items():
        table[np.arange(len(tags)), tags] += np.exp(score - total)
    return table


def trained(name):
    """A pipeline with one of the models, after a short training."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    if name == "listener":
        nlp.add_pipe("tok2vec", config={"model": TOK2VECS["crf"]})
    rest = CLASSIC if name == "classic" else CRF
    nlp.add_pipe("lstm_ner", config={"model": {**rest, "tok2vec": TOK2VECS[name]}})
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(100):
        nlp.update(examples, sgd=optimizer)
    return nlp


def shift(observed, delta):
    """Add `delta` to the output of the embedding."""

    def forward(model, X, is_train):
        return (X.by_token() + delta if isinstance(X, Sequences) else [X[0] + delta]), lambda dX: dX

    for node in list(observed.model.walk()):
        names = [layer.name for layer in node.layers]
        if "probe" in names:
            node.layers.insert(names.index("probe") + 1, Model("shift", forward, dims={"nI": 0}))
            return
    raise AssertionError("no probe")


@pytest.mark.parametrize("name", TOK2VECS)
def test_the_gradient_is_the_numeric_one(name):
    nlp = trained(name)
    doc, tagger = nlp.make_doc(TEXT), nlp.get_pipe("lstm_ner").tagger
    if name == "listener":
        doc = nlp.get_pipe("tok2vec")(doc)
    # Far from 0 and 1, so that float32 sees the differences.
    tagger.head.attrs["temperature"] = temperature = 4.0
    observed = observe(nlp, tagger)
    before = [param.copy() for param in parameters(tagger.model)]
    chains = read_chains(tagger, [doc]).at_temperature(temperature)
    spans = find_spans(chains)
    without_dropout, _ = observed.model.begin_update([doc])
    np.testing.assert_allclose(without_dropout[0] / temperature, chains.emissions, atol=1e-4)
    norms = influences(observed, doc, chains, spans, temperature)
    assert len(norms) == len(spans.starts) > 0
    assert all((now == then).all() for now, then in zip(parameters(tagger.model), before, strict=True))
    gradient = observed.d_inputs[0] * norms[0].max() / np.linalg.norm(observed.d_inputs[0], axis=1).max()
    np.testing.assert_allclose(np.linalg.norm(gradient, axis=1), norms[0], rtol=1e-4)
    delta, rng = np.zeros_like(observed.d_inputs[0]), np.random.default_rng(0)
    shift(observed, delta)
    own = [column[:1] for column in spans]
    for token in range(len(doc)):
        for direction in (gradient[token], *rng.normal(size=(2, delta.shape[1]))):
            direction = direction / max(np.linalg.norm(direction), 1e-12)
            values = []
            for step in (0.02, -0.02):
                delta[token] = step * direction
                (emissions,), _ = observed.model.begin_update([doc])
                moved = chains._replace(emissions=emissions / temperature)
                values.append(log_probability(moved, Spans(*own)))
            delta[token] = 0.0
            assert (values[0] - values[1]) / 0.04 == pytest.approx(gradient[token] @ direction, rel=0.02, abs=3e-4)


def parameters(model):
    return [node.get_param(name) for node in model.walk() for name in node.param_names if node.has_param(name)]


def log_probability(chains, spans):
    return np.log(probabilities(chains.emissions, chains.tokens.lengths, chains.transitions, None, spans)[0])


def test_reach():
    assert reach(np.array([0.0, 0.0, 1.0, 2.0, 0.0]), 2, 4) == 0
    assert reach(np.array([0.0, 1.0, 1.0, 2.0, 0.0]), 2, 4) == 1
    assert reach(np.array([1.0, 0.0, 1.0, 2.0, 0.0]), 2, 4) == 2
    assert reach(np.array([0.1, 0.0, 1.0, 2.0, 0.0]), 2, 4) == 0
