"""Corpora at a path: files in spaCy's binary format, or annotated text."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from spacy.training.corpus import FILE_TYPE

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


def read_examples(nlp: Language, path: Path, from_text: bool = False) -> list[Example]:
    """Read all examples of a corpus.

    Args:
        nlp (Language): The pipeline, whose tokenizer makes the docs to predict.
        path (Path): A `.spacy` file, annotated text, or a folder of either.
        from_text (bool): Whether the tokenizer also makes the tokens of docs that do not know their spaces, which
            otherwise keep their own. Their text is their tokens with a space after each.

    Returns:
        list[Example]: The examples, at least one. With `from_text`, the references have only entities.

    Raises:
        ValueError: If there are none.
    """
    return list(stream_examples(nlp, path, from_text))


def stream_examples(nlp: Language, path: Path, from_text: bool = False) -> Iterator[Example]:
    """Read the examples of a corpus one after the other. The arguments and errors are those of `read_examples`."""
    example = None
    for example in open_corpus(path)(nlp):
        yield _from_text(nlp, example.reference) if from_text else example
    if example is None:
        raise ValueError(f"{path}: expected docs in .spacy files, found none")


def _from_text(nlp: Language, reference: Doc) -> Example:
    """An example whose docs both have the tokens of the tokenizer, so that the limits of entities are compared.

    If the tokenizer does not give the limits of an entity, the reference stays as it is. The entity cannot be found.
    """
    predicted, own = nlp.make_doc(reference.text), nlp.make_doc(reference.text)
    fitting = [own.char_span(ent.start_char, ent.end_char, ent.label_) for ent in reference.ents]
    ents = [ent for ent in fitting if ent is not None]
    if len(ents) < len(fitting) or not reference.has_annotation("ENT_IOB"):
        return Example(predicted, reference)
    unknown = [(token.idx, token.idx + len(token)) for token in reference if not token.ent_iob]
    spans = [own.char_span(start, end, alignment_mode="expand") for start, end in unknown]
    missing = {token.i for span in spans if span is not None for token in span}
    own.set_ents(ents, missing=[own[i : i + 1] for i in sorted(missing)], default="outside")
    return Example(predicted, own)


def pack_docs(docs: Iterable[Doc], user_data: bool = False) -> bytes:
    """Pack docs with their sentence starts and entities in spaCy's binary format.

    Args:
        docs (Iterable[Doc]): The docs.
        user_data (bool): Whether to keep `doc.user_data` and `doc.spans` too.

    Returns:
        bytes: The content of a `.spacy` file.
    """
    return DocBin(attrs=_ATTRIBUTES, store_user_data=user_data, docs=docs).to_bytes()
