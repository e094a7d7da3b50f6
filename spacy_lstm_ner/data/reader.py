"""Annotated text as spaCy `Doc` and `Example` objects, with a report of what was read.

Nothing is dropped silently: a `ReadReport` counts tags that break their scheme and entities that do not fit the tokens.
"""

import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from ..annotation.gold_report import Finding
from .annotated_file import AnnotatedFile, Sentence
from .formats import read_file


@dataclass
class ReadReport:
    """Counts of what was read. They add up over all files that are read with the same report.

    Attributes:
        files (int): Files.
        documents (int): Documents that the files mark. In a file that marks none, each sentence counts.
        docs (int): `Doc` objects made.
        sentences (int): Sentences.
        tokens (int): Tokens of the `Doc` objects.
        entities (Counter[str]): Entities by label.
        schemes (Counter[str]): Files by tag scheme; "none" for inline annotation.
        encodings (Counter[str]): Files by encoding.
        formats (Counter[str]): Files by format.
        comments (int): Comment lines, which are skipped.
        repaired (Finding): Tags that broke their scheme.
        misaligned (Finding): Entities that do not start and end where tokens do, and so became missing annotation.
        retokenized (Finding): Entities with other tokens than the tokenizer makes of the text, if they were counted.
        docs_without_entities (int): `Doc` objects without any entity.
    """

    files: int = 0
    documents: int = 0
    docs: int = 0
    sentences: int = 0
    tokens: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    schemes: Counter[str] = field(default_factory=Counter)
    encodings: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    comments: int = 0
    repaired: Finding = field(default_factory=Finding)
    misaligned: Finding = field(default_factory=Finding)
    retokenized: Finding = field(default_factory=Finding)
    docs_without_entities: int = 0

    def add_file(self, file: AnnotatedFile, sentences: Sequence[Sentence]) -> None:
        """Count a file.

        Args:
            file (AnnotatedFile): The file.
            sentences (Sequence[Sentence]): Those of its sentences that are used.
        """
        self.files += 1
        self.formats[file.format] += 1
        self.encodings[file.encoding] += 1
        self.schemes[file.scheme or "none"] += 1
        self.comments += file.comments
        self.sentences += len(sentences)
        self.documents += len(_documents(file, sentences))
        for sentence in sentences:
            for place in sentence.repairs:
                self.repaired.add(place)

    def add_doc(self, doc: Doc) -> None:
        """Count a `Doc` with its tokens and entities.

        Args:
            doc (Doc): The `Doc`.
        """
        self.docs += 1
        self.tokens += len(doc)
        self.entities.update(entity.label_ for entity in doc.ents)
        self.docs_without_entities += not doc.ents


def read_docs(
    path: Path,
    nlp: Language,
    format: str = "auto",
    n_sents: int = 0,
    part: tuple[float, float] = (0.0, 1.0),
    report: Optional[ReadReport] = None,
) -> Iterator[Doc]:
    """Read the docs of an annotated file, or of every file of a folder in the order of their names.

    Args:
        path (Path): The file or the folder. Hidden files of a folder are skipped.
        nlp (Language): The pipeline, for its vocabulary, and for its tokenizer if a file does not give tokens.
        format (str): One of `formats.FORMATS`, or "auto".
        n_sents (int): Sentences per doc. A doc never crosses the end of a document that the file marks. 0 makes one doc
            of each document, or of each sentence if the file marks no documents.
        part (tuple[float, float]): Where to start and stop in each file, as fractions of its sentences.
        report (Optional[ReadReport]): Counts what is read while the docs are consumed.

    Yields:
        Doc: The next doc, with sentence starts and entities.

    Raises:
        CorpusError: If a file breaks its format.
        FileNotFoundError: If the file is missing or the folder is empty.
        ValueError: If an argument is out of range, or the part has no sentences.
    """
    if n_sents < 0:
        raise ValueError(f"expected n_sents of 0 or more, found {n_sents}")
    if not 0.0 <= part[0] < part[1] <= 1.0:
        raise ValueError(f"expected fractions with 0 <= from < to <= 1, found from {part[0]} to {part[1]}")
    report = ReadReport() if report is None else report
    is_empty = True
    for name in _files(path):
        file = read_file(name, format)
        first, last = (round(fraction * len(file.sentences)) for fraction in part)
        sentences = file.sentences[first:last]
        report.add_file(file, sentences)
        one_stream = n_sents > 0 and not file.marks_documents
        for document in [sentences] if one_stream else _documents(file, sentences):
            size = n_sents or len(document)
            for start in range(0, len(document), size):
                doc = _make_doc(nlp, file, document[start : start + size], report)
                report.add_doc(doc)
                is_empty = False
                yield doc
    if is_empty:
        raise ValueError(f"{path}: expected sentences from {part[0]} to {part[1]}, found none")


def create_annotated_text_reader(
    path: Optional[Path],
    format: str = "auto",
    n_sents: int = 0,
    augmenter: Optional[Callable[[Language, Example], Iterator[Example]]] = None,
) -> "AnnotatedText":
    """Create the reader `spacy-lstm-ner.AnnotatedText.v1`, which trains on annotated text without converting it.

    Args:
        path (Optional[Path]): A file or a folder of files.
        format (str): One of `formats.FORMATS`, or "auto".
        n_sents (int): Sentences per doc; 0 for whole documents, see `read_docs`.
        augmenter (Optional[Callable]): Makes one or more examples of each one; None to take them as they are.

    Returns:
        AnnotatedText: The reader.

    Raises:
        ValueError: If there is no path, because the config leaves it at null.
    """
    if path is None:
        raise ValueError("spacy-lstm-ner.AnnotatedText.v1: expected the path of annotated text, found none")
    return AnnotatedText(Path(path), format, n_sents, augmenter)


class AnnotatedText:
    """Examples from annotated text. Each call reads the text again."""

    def __init__(
        self,
        path: Path,
        format: str,
        n_sents: int,
        augmenter: Optional[Callable[[Language, Example], Iterator[Example]]] = None,
    ) -> None:
        """Keep where and how to read; nothing is read yet.

        Args:
            path (Path): A file or a folder of files.
            format (str): One of `formats.FORMATS`, or "auto".
            n_sents (int): Sentences per doc; 0 for whole documents.
            augmenter (Optional[Callable]): Makes one or more examples of each one; None to take them as they are.
        """
        self.path, self.format, self.n_sents, self.augmenter = path, format, n_sents, augmenter

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the examples. Like spaCy's own reader, it tokenizes the predicted side with `nlp`.

        Warns at the end if tags were repaired or if entities became missing annotation.

        Args:
            nlp (Language): The pipeline to train or to evaluate.

        Yields:
            Example: The next example.
        """
        report = ReadReport()
        for reference in read_docs(self.path, nlp, self.format, self.n_sents, report=report):
            unknown_spaces = reference.has_unknown_spaces
            words = [token.text for token in reference]
            predicted = Doc(nlp.vocab, words=words) if unknown_spaces else nlp.make_doc(reference.text)
            example = Example(predicted, reference)
            if self.augmenter is None:
                yield example
            else:
                yield from self.augmenter(nlp, example)
        if report.repaired.count:
            warnings.warn(
                f"{self.path}: {report.repaired.count} tags broke the scheme and were repaired, the first at "
                f"{report.repaired.examples[0]}",
                stacklevel=2,
            )
        if report.misaligned.count:
            warnings.warn(
                f"{self.path}: {report.misaligned.count} entities do not end where tokens end and are missing, "
                f"the first at {report.misaligned.examples[0]}",
                stacklevel=2,
            )


def _files(path: Path) -> list[Path]:
    """The files to read."""
    if not path.is_dir():
        return [path]
    files = sorted(name for name in path.iterdir() if name.is_file() and not name.name.startswith("."))
    if not files:
        raise FileNotFoundError(f"{path}: expected annotated files in this folder, found none")
    return files


def _documents(file: AnnotatedFile, sentences: Sequence[Sentence]) -> list[list[Sentence]]:
    """Group sentences by document; one sentence each if the file marks no documents."""
    documents: list[list[Sentence]] = []
    for sentence in sentences:
        # A part of a file may start in the middle of a document.
        if sentence.starts_doc or not file.marks_documents or not documents:
            documents.append([])
        documents[-1].append(sentence)
    return documents


def _make_doc(nlp: Language, file: AnnotatedFile, sentences: Sequence[Sentence], report: ReadReport) -> Doc:
    """Make a doc of sentences, with their starts and entities. Tokens outside of entities are annotated as O."""
    offsets = [0]
    for sentence in sentences:
        offsets.append(offsets[-1] + len(sentence.text) + 1)
    if sentences[0].words is None:
        doc = nlp.tokenizer(" ".join(sentence.text for sentence in sentences))
    else:
        words = [word for sentence in sentences for word in sentence.words or ()]
        # The file does not say where the spaces were. A doc without known spaces keeps its words when spacy.Corpus
        # reads it, as after `spacy convert`, instead of being tokenized again.
        doc = Doc(nlp.vocab, words=words)
    token_offsets = [token.idx for token in doc]
    starts = {bisect_left(token_offsets, offset) for offset in offsets[:-1]}
    for token in doc:
        token.is_sent_start = token.i in starts

    entities = []
    missing: set[int] = set()
    for sentence, offset in zip(sentences, offsets[:-1], strict=True):
        for start, end, label in sentence.spans:
            entity = doc.char_span(offset + start, offset + end, label=label)
            if entity is None:
                missing.update(_overlapped(doc, offset + start, offset + end))
                report.misaligned.add(f"{file.path}:{sentence.line}: {label} {sentence.text[start:end]!r}")
            else:
                entities.append(entity)
    doc.set_ents(entities, missing=[doc[i : i + 1] for i in sorted(missing)], default="outside")
    return doc


def _overlapped(doc: Doc, start: int, end: int) -> Iterable[int]:
    """The tokens that share a character with the text from `start` to `end`."""
    return (token.i for token in doc if token.idx < end and token.idx + len(token) > start)
