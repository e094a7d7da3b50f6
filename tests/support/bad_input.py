"""Helpers of the tests of bad input. Their names have the number of the case, which test_all_cases.py counts."""

import warnings
from contextlib import contextmanager

import numpy as np
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

TINY = {"model": {"tok2vec": {"embed": {"width": 16}, "encode": {"width": 16}}}}
DATA = [("Sharon flew to Miami.", [(0, 6, "per"), (15, 20, "geo")]), ("Nothing happened.", [])]


def blank(**settings):
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config={**TINY, **settings})
    return nlp


def examples_for(nlp, data=DATA):
    return [Example.from_dict(nlp.make_doc(text), {"entities": entities}) for text, entities in data]


def example_of(nlp, words, ents, predicted=None):
    """An example of tokens without spaces between them; predicted: the tokens of the other side."""
    reference = Doc(nlp.vocab, words=words, spaces=[False] * len(words), ents=ents)
    tokens = words if predicted is None else predicted
    return Example(Doc(nlp.vocab, words=tokens, spaces=[False] * len(tokens)), reference)


def train(nlp, examples, steps=2):
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
    return optimizer


def trained(steps=2, **settings):
    nlp = blank(**settings)
    train(nlp, examples_for(nlp), steps)
    return nlp


@contextmanager
def own_warnings():
    """The warnings of the component that come up within, as text."""
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    found += [str(warning.message) for warning in caught if str(warning.message).startswith("'lstm_ner'")]


def entities(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def long_doc(nlp, n_tokens, seed=0):
    words = [f"w{k}" for k in range(2_000)]
    chosen = np.random.default_rng(seed).integers(len(words), size=n_tokens)
    return Doc(nlp.vocab, words=[words[k] for k in chosen.tolist()])
