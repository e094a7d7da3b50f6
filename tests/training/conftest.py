"""Fixtures of the tests of training."""

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_lstm_ner.data.reader import read_docs


@pytest.fixture(scope="module")
def corpus(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    nlp = spacy.blank("en")
    for name, number in (("train", 40), ("dev", 10)):
        docs = list(read_docs(root / "assets" / "embedded" / f"{name}.txt", nlp, n_sents=2))[:number]
        DocBin(docs=docs, attrs=["SENT_START", "ENT_IOB", "ENT_TYPE"]).to_disk(folder / f"{name}.spacy")
    return folder
