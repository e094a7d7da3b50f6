"""Stanza's NER tagger with random weights, run as Stanza does: a Pipeline of its tokenizer step and `ner`.

Its trained models are downloads, so it has random weights. They predict O for every token, which is in its favor: it
has no entities to write. Texts are tokenized by spaCy's tokenizer and sentence rules, which Stanza offers in place of a
trained tokenizer. Docs come in the sentences of the data.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import stanza
import torch
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from stanza.models import ner_tagger
from stanza.models.common.doc import Document
from stanza.models.common.pretrain import Pretrain, PretrainedWordVocab
from stanza.models.ner.data import DataLoader
from stanza.models.ner.trainer import Trainer

WIDTH = 100
SURE = 100.0


def build(target: str, train: str, hidden: int) -> None:
    """Write a tagger for the words and labels of the training data."""
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    docs = list(DocBin().from_disk(train).get_docs(Vocab()))
    words = PretrainedWordVocab(sorted({token.text for doc in docs for token in doc}), lang="en")
    pretrain = Pretrain(str(folder / "pretrain.pt"))
    pretrain._vocab, pretrain._emb = words, torch.randn(len(words), WIDTH)
    pretrain.save(pretrain.filename)
    arguments = ["--hidden_dim", str(hidden), "--num_layers", "1", "--shorthand", "en_none"]
    args = {**ner_tagger.parse_args([*arguments, "--save_dir", target]), "charlm": False}
    loader = DataLoader(Document([_entries(sent) for doc in docs for sent in doc.sents]), 32, args, pretrain)
    trainer = Trainer(args, loader.vocab, pretrain, device="cpu")
    (outside,) = loader.vocab["tag"].map([("O",)])[0]
    with torch.no_grad():
        trainer.model.tag_clfs[0].bias[outside] = SURE
    trainer.save(str(folder / "ner.pt"))
    # Stanza keeps its list of models to download here.
    (folder / "resources.json").write_text("{}")


def _entries(sent: Any) -> list[dict[str, Any]]:
    tags = [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in sent]
    return [
        {"id": k + 1, "text": token.text, "ner": tag, "multi_ner": (tag,)}
        for k, (token, tag) in enumerate(zip(sent, tags, strict=True))
    ]


class Peer:
    """Two pipelines: one for texts, one for tokens."""

    def __init__(self, path: str):
        torch.set_num_threads(1)
        folder = Path(path)
        settings: dict[str, Any] = {
            "lang": "en",
            "processors": "tokenize,ner",
            "package": None,
            "dir": path,
            "download_method": None,
            "allow_unknown_language": True,
            "use_gpu": False,
            "verbose": False,
            "ner_model_path": str(folder / "ner.pt"),
            "ner_pretrain_path": str(folder / "pretrain.pt"),
            "ner_forward_charlm_path": "",
            "ner_backward_charlm_path": "",
        }
        self.of_texts = stanza.Pipeline(tokenize_with_spacy=True, **settings)
        self.of_docs = stanza.Pipeline(tokenize_pretokenized=True, **settings)

    def make_texts(self, docs: Iterable[Doc]) -> list[str]:
        return [doc.text for doc in docs]

    def make_docs(self, docs: Iterable[Doc]) -> list[list[str]]:
        return [[token.text for token in sent] for doc in docs for sent in doc.sents]

    def run_texts(self, inputs: list[str]) -> int:
        """Annotate, and return the number of entities."""
        return sum(len(doc.ents) for doc in self.of_texts.bulk_process(inputs))

    def run_docs(self, inputs: list[list[str]]) -> int:
        return len(self.of_docs(inputs).ents)
