"""The fuzz targets. Each takes any bytes, and catches only a clear ValueError, by which bad input must be refused."""

import gzip
import io
import random
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import spacy
import srsly
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Config

from spacy_lstm_ner.data.formats import FORMATS
from spacy_lstm_ner.data.reader import read_docs
from spacy_lstm_ner.data.vector_files import VectorFileError, read_vectors
from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer

CONFIG = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v2"
width = 2
attrs = ["norm"]
rows = [3]
min_count = 1
graphemes = true
[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 2
"""
NEEDS = {"parquet": "pyarrow", "bioc": "bioc"}
CHOICES = ("auto", *(name for name in FORMATS if name not in NEEDS or find_spec(NEEDS[name])))
SUFFIXES = (".txt", ".gz", ".zip", ".npy", ".index")


def component(labels=("A", "B")):
    """A tiny component, initialized, which loading cannot tell from a trained one."""
    made = LSTMEntityRecognizer(Vocab(), registry.resolve(Config().from_str(CONFIG))["model"])
    for label in labels:
        made.add_label(label)
    example = Example.from_dict(Doc(made.vocab, words=["to", "Berlin"]), {"entities": []})
    made.initialize(lambda: [example])
    return made


ODD = [None, True, False, -1, 0, 1, 2, 2**40, 0.5, float("nan"), float("inf"), "", "nO", b"", b"\x90", b"\xc0", [], {}]
ODD += [np.zeros((2, 2), dtype="f"), np.zeros(0), np.zeros(3, dtype="uint64"), {"a": 1}, [1, [2]], [0, 2**70 - 2**70]]


def mutated(value, chance):
    """A copy of a message with one random change."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.15:
        if isinstance(value, bytes) and value and chance.random() < 0.7:
            return srsly.msgpack_dumps(chance.choice(ODD))
        return chance.choice(ODD)
    copy = value.copy()
    key = chance.choice(list(copy)) if isinstance(copy, dict) else chance.randrange(len(copy))
    if chance.random() < 0.05:
        del copy[key]
    elif chance.random() < 0.05 and isinstance(copy, dict):
        copy[chance.choice(["x", "nO", 3])] = chance.choice(ODD)
    else:
        copy[key] = mutated(copy[key], chance)
    return copy


class Loader:
    """`from_bytes`. The first byte tells what the rest is: all data, the model, the settings, or a seed for changes."""

    def __init__(self):
        self.component = component()
        self.clean = self.component.to_bytes(exclude=["vocab"])
        self.parts = srsly.msgpack_loads(self.clean)
        del self.parts["manifest"]
        self.loaded = 0

    def seeds(self):
        other = srsly.msgpack_loads(component(["X"]).to_bytes(exclude=["vocab"]))
        plain = srsly.msgpack_dumps(self.parts)
        return [
            b"\x00" + self.clean,
            b"\x00" + plain,
            b"\x01" + self.parts["model"],
            b"\x01" + other["model"],
            b"\x02" + self.parts["cfg"],
            b"\x02" + other["cfg"],
            b"\x03 change",
        ]

    def __call__(self, data):
        kind, rest = (data or b"\0")[0] % 4, data[1:]
        if kind == 3:
            kind, chance = 1, random.Random(rest)
            message = srsly.msgpack_loads(self.parts["model"])
            for _ in range(chance.choice([1, 1, 1, 2, 5])):
                message = mutated(message, chance)
            rest = srsly.msgpack_dumps(message)
        if kind:
            rest = srsly.msgpack_dumps({**self.parts, ("model", "cfg")[kind - 1]: rest})
        before = self._state()
        try:
            self.component.from_bytes(rest, exclude=["vocab"])
        except ValueError as error:
            assert type(error) is ValueError and "lstm_ner" in str(error), repr(error)
            assert self._state() == before
            return
        self.loaded += 1
        # A component that was loaded can be saved and loaded again. Afterwards, everything is as before.
        again = self.component.to_bytes(exclude=["vocab"])
        self.component.from_bytes(again, exclude=["vocab"])
        assert self.component.to_bytes(exclude=["vocab"]) == again
        self.component.from_bytes(self.clean, exclude=["vocab"])
        assert self.component.to_bytes(exclude=["vocab"]) == self.clean

    def _state(self):
        model = self.component.model
        arrays = [id(node.get_param(name)) for node in model.walk() for name in node.param_names]
        attrs = [[*map(id, node.attrs.values())] for node in model.walk()]
        return arrays, attrs, repr(self.component.cfg)


class Annotated:
    """The readers of annotated text. The first byte chooses the format, or lets it be recognized."""

    def __init__(self):
        self.nlp = spacy.blank("en")
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "file.txt").write_text("Ann met Bob in Oslo.")
        self.loaded = 0

    def seeds(self):
        value = '{"value": {"start": 0, "end": 3, "labels": ["P"]}}'
        header = "#FORMAT=WebAnno TSV 3.2\n#T_SP=x.NamedEntity|value\n\n#Text=Ann left\n"
        word = '{"text": "Ann left.", "%s": [%s]}'
        texts = [
            ("conll", "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\nB NNP I-PER\n"),
            ("conll", "a\tU-X\nb\tB-Y\nc\tL-Y\n\nd\tS-X\n"),
            ("csv", 'Sentence #,Word,POS,Tag\nSentence: 1,"a, ""b""",NN,B-geo\n,c,NN,I-geo\nSentence: 2,d,NN,O\n'),
            ("inline", "# a comment\n[Sharon](per) flew to [Miami](geo). \\[x\\]\n\nMore.\n"),
            ("auto", "I live in [New York](geo) .\n"),
            ("auto", word % ("label", '[0, 3, "PER"]') + "\n" + word % ("label", "")),
            ("conllu", "1\tAnn\t_\t_\t_\t_\t0\t_\t_\tname=B-PER|SpaceAfter=No\n2\t.\t_\t_\t_\t_\t1\t_\t_\tname=O\n"),
            ("conll2012", "#begin document (x); part 0\nx 0 0 Ann N * - - - - (PER) -\n\n"),
            ("word-tag", "Ann|B-PER left|O\n"),
            ("csv-offsets", "text,start,end,label\nAnn left.,0,3,PER\n"),
            ("doccano", word % ("entities", '{"start_offset": 0, "end_offset": 3, "label": "PER"}')),
            ("prodigy", word % ("spans", '{"start": 0, "end": 3, "label": "PER"}')),
            ("label-studio", '[{"data": {"text": "Ann"}, "annotations": [{"result": [' + value + "]}]}]"),
            ("dataturks", '{"content": "Ann", "annotation": [{"label": ["P"], "points": [{"start": 0, "end": 2}]}]}'),
            ("train-data", '["Ann left", {"entities": [[0, 3, "PER"]]}]'),
            (
                "spacy-json",
                '[{"id": 0, "paragraphs": [{"sentences": [{"tokens": [{"orth": "Ann", "ner": "U-PER"}]}]}]}]',
            ),
            ("huggingface", '{"tokens": ["Ann", "left"], "ner_tags": ["B-PER", "O"]}'),
            ("json", word % ("spans", '{"begin": 0, "stop": 3, "type": "PER"}')),
            ("brat", "T1\tPER 0 3\tAnn\nT2\tLOC 8 11;15 19\tBob Oslo\n"),
            ("pubtator", "1|t|Ann\n1|a|left\n1\t0\t3\tAnn\tPER\n"),
            ("texts", "Ann left.\n"),
            ("webanno", header + "1-1\t0-3\tAnn\tPER\n1-2\t4-8\tleft\t_\n"),
        ]
        if "bioc" in CHOICES:
            inner = '<annotation id="1"><infon key="type">PER</infon><location offset="0" length="3"/></annotation>'
            inner = f"<passage><offset>0</offset><text>Ann left</text>{inner}</passage>"
            texts.append(("bioc", f"<collection><document><id>1</id>{inner}</document></collection>"))
        binary = [("spacy", DocBin(docs=[self.nlp("Ann left")]).to_bytes())]
        found = [(name, text.encode()) for name, text in texts] + binary
        return [bytes([CHOICES.index(name)]) + raw for name, raw in found]

    def __call__(self, data):
        format = CHOICES[(data or b"\0")[0] % len(CHOICES)]
        path = self.folder / ("file.ann" if format == "brat" else "other")
        path.write_bytes(data[1:])
        try:
            for doc in read_docs(path, self.nlp, format, len(data) % 3):
                # Iterating over the entities reads all annotation.
                list(doc.ents)
            self.loaded += 1
        except ValueError as error:
            assert str(path.parent) in str(error), repr(error)


class VectorFiles:
    """The reader of vectors. The first byte chooses the kind of file."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())
        self.matrix = self.folder / "matrix.npy"
        np.save(self.matrix, np.ones((2, 3), dtype="f"))
        (self.folder / "words").write_text("a\nb\n")
        self.loaded = 0

    def seeds(self):
        text = b"2 3\nthe 1 2 3\nof .5 -1e3 2\n"
        packed, buffer = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("v.txt", text)
        np.save(buffer, np.ones((2, 3), dtype="f2"))
        found = {0: text, 1: gzip.compress(text), 2: packed.getvalue(), 3: buffer.getvalue(), 4: b"the\nof\n"}
        return [bytes([kind]) + content for kind, content in found.items()]

    def __call__(self, data):
        suffix = SUFFIXES[(data or b"\0")[0] % 5]
        path = self.folder / f"file{suffix}"
        path.write_bytes(data[1:])
        try:
            if suffix == ".npy":
                table = read_vectors(str(path), self.folder / "words")
            elif suffix == ".index":
                table = read_vectors(str(self.matrix), path)
            else:
                table = read_vectors(str(path))
            assert len(table.rows) == len(table.words) and np.isfinite(table.data).all()
            self.loaded += 1
        except VectorFileError as error:
            assert str(self.folder) in str(error), repr(error)


TARGETS = {"loader": Loader, "annotated": Annotated, "vectors": VectorFiles}
