"""Files of training data and configs for tests, and the real corpora."""

import os
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_lstm_ner.data.formats import open_file
from support.bad_input import blank, examples_for

GOOD = [(f"Ann met Bob {k} times", [(0, 3, "per"), (8, 11, "per")]) for k in range(25)]
"""Training data without problems, and just enough of it."""


def write_docs(path, docs):
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def write_data(path, data):
    return write_docs(path, [example.reference for example in examples_for(spacy.blank("en"), data)])


def write_config(folder, **settings):
    nlp = blank(**settings)
    nlp.config.to_disk(folder / "config.cfg")
    return folder / "config.cfg"


def write_good_data(folder):
    """Write training and dev data without problems. Returns both paths."""
    dev = [("Cy met Di", [(0, 2, "per")])]
    return write_data(folder / "train.spacy", GOOD), write_data(folder / "dev.spacy", dev)


def real_corpus(name):
    """The path of a file in the folder of real corpora; skips the test if there is none."""
    folder = os.environ.get("LSTM_NER_DATA")
    if folder is None or not (Path(folder) / name).exists():
        pytest.skip(f"needs {name} in the folder of real corpora that LSTM_NER_DATA names")
    return Path(folder) / name


def read_file(path, format="auto"):
    """An annotated file with the list of its records."""
    file = open_file(path, format)
    file.sentences = list(file.sentences)
    return file
