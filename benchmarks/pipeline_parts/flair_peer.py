"""Flair's SequenceTagger with random weights, run as Flair does: `tagger.predict` over Sentences.

Its trained models and embeddings are downloads, so it has random weights and a table of word vectors. The weights
predict O for every token, which is in its favor: it has no entities to write. It takes sentences, not documents. The
sentences are those of the data, and a text is the text of a sentence.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import OneHotEmbeddings
from flair.models import SequenceTagger
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

WIDTH = 100
MINI_BATCH = 32
SURE = 100.0


def build(target: str, train: str, hidden: int) -> None:
    """Write a tagger for the words and labels of the training data."""
    words, labels = Dictionary(), Dictionary(add_unk=True)
    labels.span_labels = True
    for doc in DocBin().from_disk(train).get_docs(Vocab()):
        for token in doc:
            words.add_item(token.text)
        for ent in doc.ents:
            labels.add_item(ent.label_)
    embeddings = OneHotEmbeddings(vocab_dictionary=words, field="text", embedding_length=WIDTH)
    tagger = SequenceTagger(
        embeddings=embeddings,
        tag_dictionary=labels,
        tag_type="ner",
        hidden_size=hidden,
        rnn_layers=1,
        use_crf=True,
        reproject_embeddings=False,
    )
    with torch.no_grad():
        tagger.linear.bias[tagger.label_dictionary.get_idx_for_item("O")] = SURE
    Path(target).mkdir(parents=True, exist_ok=True)
    tagger.save(Path(target) / "model.pt")


class Peer:
    """A loaded tagger."""

    def __init__(self, path: str):
        torch.set_num_threads(1)
        self.tagger: Any = SequenceTagger.load(Path(path) / "model.pt")

    def make_texts(self, docs: Iterable[Doc]) -> list[str]:
        return [sent.text for doc in docs for sent in doc.sents]

    def make_docs(self, docs: Iterable[Doc]) -> list[list[str]]:
        return [[token.text for token in sent] for doc in docs for sent in doc.sents]

    def run_texts(self, inputs: list[Any]) -> int:
        """Annotate, and return the number of entities."""
        sentences = [Sentence(each) for each in inputs]
        self.tagger.predict(sentences, mini_batch_size=MINI_BATCH)
        return sum(len(sentence.get_spans("ner")) for sentence in sentences)

    run_docs = run_texts
