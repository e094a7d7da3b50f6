"""Corpora at a path: files in spaCy's binary format, or annotated text."""

from collections.abc import Callable, Iterable
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from spacy.training.corpus import FILE_TYPE

from ..files import write_atomically
from .reader import AnnotatedText

Reader = Callable[[Language], Iterable[Example]]
"""Reads the examples of a corpus for a pipeline. Each call reads them again."""

_ATTRIBUTES = ["SENT_START", "ENT_IOB", "ENT_TYPE"]


def open_corpus(path: Path) -> Reader:
    """Find the reader for a corpus. Nothing is read yet.

    Args:
        path (Path): A `.spacy` file, a folder that contains some, or annotated text in a file or a folder.

    Returns:
        Reader: spaCy's reader for its binary format, or the reader of annotated text.

    Raises:
        FileNotFoundError: If there is no such file or folder.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    binary = next(path.rglob(f"*{FILE_TYPE}"), None) is not None if path.is_dir() else path.suffix == FILE_TYPE
    return Corpus(path) if binary else AnnotatedText(path, "auto", 0)


def read_examples(nlp: Language, path: Path) -> list[Example]:
    """Read all examples of a corpus in spaCy's binary format.

    Args:
        nlp (Language): The pipeline, whose tokenizer makes the docs to predict.
        path (Path): A `.spacy` file, or a folder of them.

    Returns:
        list[Example]: The examples, at least one.

    Raises:
        ValueError: If there are none.
    """
    examples = list(Corpus(path)(nlp))
    if not examples:
        raise ValueError(f"{path}: expected docs in .spacy files, found none")
    return examples


def write_docs(docs: Iterable[Doc], path: Path) -> None:
    """Write docs with their sentence starts and entities in spaCy's binary format.

    Args:
        docs (Iterable[Doc]): The docs.
        path (Path): The `.spacy` file. An existing file is replaced when all docs are written.
    """
    write_atomically(path, DocBin(attrs=_ATTRIBUTES, store_user_data=False, docs=docs).to_bytes())
