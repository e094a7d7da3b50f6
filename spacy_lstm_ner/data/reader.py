"""Annotated text as spaCy Docs and Examples, with a report of what was read.

Nothing is dropped silently: tags that break their scheme and entities that do not end where tokens end are
counted with their places, in a `ReadReport`.
"""

import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from .formats import AnnotatedFile, Sentence, read_file

_PLACES_SHOWN = 3


@dataclass
class ReadReport:
    """What was read, in numbers; the fields add up over the files that share a report.

    documents             documents marked in the files; each sentence where a file marks none
    docs                  the Docs made
    entities              entities per label
    schemes               files per scheme of tags, or "none" for inline annotation
    encodings, formats    files per encoding and per format
    comments              comment lines left out
    repaired              tags that broke their scheme, with the places of the first three
    misaligned            entities that do not end where tokens end and so became missing annotation, likewise
    docs_without_entities Docs without any entity
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
    repaired: int = 0
    repaired_places: list[str] = field(default_factory=list)
    misaligned: int = 0
    misaligned_places: list[str] = field(default_factory=list)
    docs_without_entities: int = 0

    def add_file(self, file: AnnotatedFile, sentences: Sequence[Sentence]) -> None:
        """Count a file and the sentences taken from it."""
        self.files += 1
        self.formats[file.format] += 1
        self.encodings[file.encoding] += 1
        self.schemes[file.scheme or "none"] += 1
        self.comments += file.comments
        self.sentences += len(sentences)
        self.documents += len(_documents(file, sentences))
        for sentence in sentences:
            self.repaired += len(sentence.repairs)
            self.repaired_places = (self.repaired_places + sentence.repairs)[:_PLACES_SHOWN]

    def add_doc(self, doc: Doc) -> None:
        """Count a Doc with its tokens and entities."""
        self.docs += 1
        self.tokens += len(doc)
        self.entities.update(entity.label_ for entity in doc.ents)
        self.docs_without_entities += not doc.ents

    def add_misaligned(self, place: str) -> None:
        """Count an entity that does not end where tokens end."""
        self.misaligned += 1
        self.misaligned_places = [*self.misaligned_places, place][:_PLACES_SHOWN]


def read_docs(
    path: Path,
    nlp: Language,
    format: str = "auto",
    n_sents: int = 0,
    part: tuple[float, float] = (0.0, 1.0),
    report: Optional[ReadReport] = None,
) -> Iterator[Doc]:
    """Docs of an annotated file, or of every file of a folder in the order of their names.

    path: the file or folder; hidden files of a folder are left out.
    nlp: gives the vocabulary, and the tokenizer for files without tokens of their own.
    format: "conll", "csv", "inline" or "auto".
    n_sents: sentences per Doc, never beyond the end of a document that the file marks. 0 makes a Doc of each
        document, or of each sentence where the file marks no documents.
    part: where to begin and to stop in each file, as fractions of its sentences.
    report: counts what is read, while the Docs are taken.

    Raises CorpusError for a file that breaks its format, FileNotFoundError for a missing file or an empty
    folder, ValueError for arguments out of range.
    """
    if n_sents < 0:
        raise ValueError(f"expected n_sents of 0 or more, found {n_sents}")
    if not 0.0 <= part[0] < part[1] <= 1.0:
        raise ValueError(f"expected fractions with 0 <= from < to <= 1, found from {part[0]} to {part[1]}")
    report = ReadReport() if report is None else report
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
                yield doc


def create_annotated_text_reader(path: Optional[Path], format: str = "auto", n_sents: int = 0) -> "AnnotatedText":
    """The reader ``spacy-lstm-ner.AnnotatedText.v1``: trains on annotated text without converting it first.

    path: a file or a folder of files.
    format: "conll", "csv", "inline" or "auto".
    n_sents: sentences per Doc, 0 for whole documents; see `read_docs`.
    Raises ValueError if no path is given, as happens when a config's path is left at null.
    """
    if path is None:
        raise ValueError("spacy-lstm-ner.AnnotatedText.v1: expected the path of annotated text, found none")
    return AnnotatedText(Path(path), format, n_sents)


class AnnotatedText:
    """Examples from annotated text; a call reads the text anew."""

    def __init__(self, path: Path, format: str, n_sents: int) -> None:
        self.path, self.format, self.n_sents = path, format, n_sents

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Examples whose predicted side is tokenized by `nlp`, as those of spaCy's own corpus reader.

        nlp: the pipeline to be trained or evaluated.
        Warns at the end if tags were repaired or entities became missing annotation.
        """
        report = ReadReport()
        for reference in read_docs(self.path, nlp, self.format, self.n_sents, report=report):
            unknown_spaces = reference.has_unknown_spaces
            words = [token.text for token in reference]
            predicted = Doc(nlp.vocab, words=words) if unknown_spaces else nlp.make_doc(reference.text)
            yield Example(predicted, reference)
        if report.repaired:
            warnings.warn(
                f"{self.path}: {report.repaired} tags broke the scheme and were repaired, the first at "
                f"{report.repaired_places[0]}",
                stacklevel=2,
            )
        if report.misaligned:
            warnings.warn(
                f"{self.path}: {report.misaligned} entities do not end where tokens end and are missing, "
                f"the first at {report.misaligned_places[0]}",
                stacklevel=2,
            )


def _files(path: Path) -> list[Path]:
    """The files to read at `path`."""
    if not path.is_dir():
        return [path]
    files = sorted(name for name in path.iterdir() if name.is_file() and not name.name.startswith("."))
    if not files:
        raise FileNotFoundError(f"{path}: expected annotated files in this folder, found none")
    return files


def _documents(file: AnnotatedFile, sentences: Sequence[Sentence]) -> list[list[Sentence]]:
    """Sentences by document; each for itself if the file marks no documents."""
    documents: list[list[Sentence]] = []
    for sentence in sentences:
        # A part of a file may begin amid a document.
        if sentence.starts_doc or not file.marks_documents or not documents:
            documents.append([])
        documents[-1].append(sentence)
    return documents


def _make_doc(nlp: Language, file: AnnotatedFile, sentences: Sequence[Sentence], report: ReadReport) -> Doc:
    """A Doc of some sentences, with their starts and entities; a token of no entity counts as outside."""
    offsets = [0]
    for sentence in sentences:
        offsets.append(offsets[-1] + len(sentence.text) + 1)
    if sentences[0].words is None:
        doc = nlp.tokenizer(" ".join(sentence.text for sentence in sentences))
    else:
        words = [word for sentence in sentences for word in sentence.words or ()]
        # The file does not say where the spaces were. A doc that is marked so keeps its words when it is read by
        # spacy.Corpus, as after `spacy convert`, instead of being tokenized again.
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
                text = sentence.text[start:end]
                report.add_misaligned(f"{file.path}:{sentence.line}: {label} {text!r}")
            else:
                entities.append(entity)
    doc.set_ents(entities, missing=[doc[i : i + 1] for i in sorted(missing)], default="outside")
    return doc


def _overlapped(doc: Doc, start: int, end: int) -> Iterable[int]:
    """Tokens that share a character with the text from `start` to `end`."""
    return (token.i for token in doc if token.idx < end and token.idx + len(token) > start)
