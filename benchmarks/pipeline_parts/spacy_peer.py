"""spaCy pipelines, ours included, run by `nlp.pipe`."""

from collections.abc import Iterable
from typing import Any

import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from pipeline_parts.tagger_data import spans


def bare(vocab: Any, doc: Doc) -> Doc:
    """A doc with the same tokens and no annotation."""
    return Doc(vocab, words=[token.text for token in doc], spaces=[bool(token.whitespace_) for token in doc])


class Peer:
    """A loaded pipeline."""

    def __init__(self, path: str):
        self.nlp = spacy.load(path)

    def make_texts(self, docs: Iterable[Doc]) -> list[str]:
        return [doc.text for doc in docs]

    def make_docs(self, docs: Iterable[Doc]) -> list[Doc]:
        return [bare(self.nlp.vocab, doc) for doc in docs]

    def run_texts(self, inputs: Any) -> int:
        """Annotate, and return the number of entities (for a tagger, of tokens with a tag other than O)."""
        if self.nlp.has_pipe("tagger"):
            return sum(token.tag_ != "O" for doc in self.nlp.pipe(inputs) for token in doc)
        return sum(len(doc.ents) for doc in self.nlp.pipe(inputs))

    run_docs = run_texts


def f_score(path: str, dev: str) -> float:
    """Entity F1 on whole documents with the data's tokens."""
    peer = Peer(path)
    gold = list(DocBin().from_disk(dev).get_docs(peer.nlp.vocab))
    predicted = list(peer.nlp.pipe(peer.make_docs(gold)))
    if not peer.nlp.has_pipe("tagger"):
        examples = [Example(guess, doc) for guess, doc in zip(predicted, gold, strict=True)]
        return round(peer.nlp.evaluate(examples)["ents_f"], 4)
    right = found = expected = 0
    for guess, doc in zip(predicted, gold, strict=True):
        mine = spans([token.tag_ for token in guess])
        theirs = {(ent.start, ent.end, ent.label_) for ent in doc.ents}
        right, found, expected = right + len(mine & theirs), found + len(mine), expected + len(theirs)
    return round(2 * right / max(found + expected, 1), 4)
