"""Annotated text as spaCy `Doc` and `Example` objects, with a report of what was read.

Nothing is dropped silently: a `ReadReport` counts tags that break their scheme and entities that do not fit the tokens.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from ..annotation.gold_report import Finding
from .annotated_file import NO_OPTIONS, AnnotatedFile, ReadOptions, Record, join
from .formats import open_file
from .sources import find_files
from .span_policy import DEFAULT_POLICY, Problems, SpanPolicy, make_doc, warn_of

_TEXTS = ("", ".txt", ".jsonl", ".csv", ".tsv")
_LINK = re.compile(r"^(mailto|https?|ftp):|://|^www\.|^#|^\.{0,2}/")


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
        retokenized (Finding): Entities with other tokens than the tokenizer makes of the text, if they were counted.
        docs_without_entities (int): `Doc` objects without any entity.
        problems (Problems): Entities that could not be read as they are.
        skipped (Counter[str]): Things in files that were skipped, by kind.
        skipped_files (Finding): Files of a folder that were not read.
        odd_labels (Finding): Labels that look like a link.
        position (int): The bytes read so far.
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
    retokenized: Finding = field(default_factory=Finding)
    docs_without_entities: int = 0
    problems: Problems = field(default_factory=Problems)
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_files: Finding = field(default_factory=Finding)
    odd_labels: Finding = field(default_factory=Finding)
    position: int = 0

    @property
    def misaligned(self) -> Finding:
        """Entities that do not start and end where tokens do, and so became missing annotation."""
        return self.problems.found.get("misaligned", Finding())

    def skip_file(self, path: Path, reason: str) -> None:
        """Count a file of a folder that is not read."""
        self.skipped_files.add(f"{path}: {reason}")

    def add_file(self, file: AnnotatedFile) -> None:
        """Count a file whose records were read.

        Args:
            file (AnnotatedFile): The file.
        """
        self.files += 1
        self.formats[file.format] += 1
        self.encodings[file.encoding] += 1
        self.schemes[file.scheme or "none"] += 1
        self.comments += file.comments
        self.skipped.update({kind: count for kind, count in file.skipped.items() if count})

    def add_doc(self, doc: Doc) -> None:
        """Count a `Doc` with its tokens and entities.

        Args:
            doc (Doc): The `Doc`.
        """
        self.docs += 1
        self.tokens += len(doc)
        self.entities.update(entity.label_ for entity in doc.ents)
        self.docs_without_entities += not doc.ents
        for entity in doc.ents:
            if _LINK.search(entity.label_):
                self.odd_labels.add(f"{entity.label_!r} of {entity.text!r}")

    def add_record(self, record: Record) -> None:
        """Count a record that is written as it is.

        Args:
            record (Record): The record.
        """
        self.docs += 1
        self.tokens += len(record.words or ())
        self.entities.update(span.label for span in record.spans)
        self.docs_without_entities += not record.spans


def read_records(
    path: Path,
    format: str = "auto",
    n_sents: int = 0,
    part: tuple[float, float] = (0.0, 1.0),
    report: Optional[ReadReport] = None,
    options: ReadOptions = NO_OPTIONS,
) -> Iterator[Record]:
    """Read the records of an annotated file, or of every file of a folder in the order of their names.

    Args:
        path (Path): The file or the folder. Hidden files of a folder are skipped, and those without annotation.
        format (str): One of `formats.FORMATS`, or "auto".
        n_sents (int): Sentences per record. It never crosses the end of a document that the file marks. 0 makes one
            record of each document, or of each sentence if the file marks no documents.
        part (tuple[float, float]): Where to start and stop in each file, as fractions of its sentences.
        report (Optional[ReadReport]): Counts what is read while the records are consumed.
        options (ReadOptions): What the files do not say of themselves.

    Yields:
        Record: The next record.

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
    done = 0
    for name, kind in find_files(path, format, options, report.skip_file):
        file = open_file(name, kind, options)
        sentences = iter(file.sentences)
        if part != (0.0, 1.0):
            everything = list(sentences)
            first, last = (round(fraction * len(everything)) for fraction in part)
            sentences = iter(everything[first:last])
        for group in _groups(file, sentences, n_sents, report):
            is_empty = False
            report.position = done + file.position
            yield join(group)
        done += name.stat().st_size
        report.add_file(file)
    if is_empty:
        raise ValueError(f"{path}: expected sentences from {part[0]} to {part[1]}, found none")


def read_texts(
    path: Path,
    format: str = "auto",
    report: Optional[ReadReport] = None,
    options: ReadOptions = NO_OPTIONS,
) -> Iterator[str]:
    """Read the texts of a file, without their annotation.

    Args:
        path (Path): The file or the folder.
        format (str): One of `formats.FORMATS`, or "auto": "texts" for JSON lines, tables, and lines of text; other
            files are recognized.
        report (Optional[ReadReport]): Counts what is read while the texts are consumed.
        options (ReadOptions): What the files do not say of themselves.

    Yields:
        str: The next text.

    Raises:
        CorpusError: If a file breaks its format.
        FileNotFoundError: If the file is missing or the folder is empty.
    """
    if format == "auto" and not path.is_dir() and path.suffix.lower() in _TEXTS:
        format = "texts"
    return (record.text for record in read_records(path, format, report=report, options=options))


def _groups(
    file: AnnotatedFile, sentences: Iterable[Record], n_sents: int, report: ReadReport
) -> Iterator[list[Record]]:
    """Group sentences: documents, or as many as wanted. A part of a file may start in the middle of a document."""
    group: list[Record] = []
    for sentence in sentences:
        begins = sentence.starts_doc or not file.marks_documents or not report.sentences
        report.sentences += 1
        report.documents += begins
        for place in sentence.repairs:
            report.repaired.add(place)
        full = len(group) == n_sents if n_sents else not file.marks_documents
        if group and (full or (file.marks_documents and sentence.starts_doc)):
            yield group
            group = []
        group.append(sentence)
    if group:
        yield group


def read_docs(
    path: Path,
    nlp: Language,
    format: str = "auto",
    n_sents: int = 0,
    part: tuple[float, float] = (0.0, 1.0),
    report: Optional[ReadReport] = None,
    options: ReadOptions = NO_OPTIONS,
    policy: SpanPolicy = DEFAULT_POLICY,
) -> Iterator[Doc]:
    """Read the docs of an annotated file, or of every file of a folder in the order of their names.

    Args:
        path (Path): The file or the folder. Hidden files of a folder are skipped, and those without annotation.
        nlp (Language): The pipeline, for its vocabulary, and for its tokenizer if a file does not give tokens.
        format (str): One of `formats.FORMATS`, or "auto".
        n_sents (int): Sentences per doc. A doc never crosses the end of a document that the file marks. 0 makes one doc
            of each document, or of each sentence if the file marks no documents.
        part (tuple[float, float]): Where to start and stop in each file, as fractions of its sentences.
        report (Optional[ReadReport]): Counts what is read while the docs are consumed.
        options (ReadOptions): What the files do not say of themselves.
        policy (SpanPolicy): What to do with spans that cannot be entities.

    Yields:
        Doc: The next doc, with entities, and with sentence starts if the file has sentences.

    Raises:
        CorpusError: If a file breaks its format.
        FileNotFoundError: If the file is missing or the folder is empty.
        ValueError: If an argument is out of range, the part has no sentences, or the policy is to raise an error.
    """
    policy.check()
    report = ReadReport() if report is None else report
    for record in read_records(path, format, n_sents, part, report, options):
        doc = make_doc(nlp, record, policy, report.problems)
        report.add_doc(doc)
        yield doc


def create_annotated_text_reader(
    path: Optional[Path],
    format: str = "auto",
    n_sents: int = 0,
    augmenter: Optional[Callable[[Language, Example], Iterator[Example]]] = None,
    encoding: str = "",
    columns: Optional[Dict[str, str]] = None,
    names: Optional[List[str]] = None,
    overlap: str = "longest",
    misaligned: str = "missing",
    incorrect_spans_key: str = "incorrect_spans",
) -> "AnnotatedText":
    """Create the reader `spacy-lstm-ner.AnnotatedText.v1`, which trains on annotated text without converting it.

    Args:
        path (Optional[Path]): A file or a folder of files.
        format (str): One of `formats.FORMATS`, or "auto".
        n_sents (int): Sentences per doc; 0 for whole documents, see `read_docs`.
        augmenter (Optional[Callable]): Makes one or more examples of each one; None to take them as they are.
        encoding (str): The encoding; empty to find it.
        columns (Optional[Dict[str, str]]): Columns or fields by their meaning, see `ReadOptions`.
        names (Optional[List[str]]): The tags by number, for files that have numbers in place of tags.
        overlap (str): Which of entities that overlap is kept, see `SpanPolicy`.
        misaligned (str): What entities become that do not consist of whole tokens, see `SpanPolicy`.
        incorrect_spans_key (str): The group of `doc.spans` for spans that are known to be wrong.

    Returns:
        AnnotatedText: The reader.

    Raises:
        ValueError: If there is no path, because the config leaves it at null.
    """
    if path is None:
        raise ValueError("spacy-lstm-ner.AnnotatedText.v1: expected the path of annotated text, found none")
    options = ReadOptions(encoding, columns or {}, names or ())
    policy = SpanPolicy(overlap, misaligned, incorrect_spans_key)
    policy.check()
    return AnnotatedText(Path(path), format, n_sents, augmenter, options, policy)


class AnnotatedText:
    """Examples from annotated text. Each call reads the text again."""

    def __init__(
        self,
        path: Path,
        format: str,
        n_sents: int,
        augmenter: Optional[Callable[[Language, Example], Iterator[Example]]] = None,
        options: ReadOptions = NO_OPTIONS,
        policy: SpanPolicy = DEFAULT_POLICY,
    ) -> None:
        """Keep where and how to read; nothing is read yet.

        Args:
            path (Path): A file or a folder of files.
            format (str): One of `formats.FORMATS`, or "auto".
            n_sents (int): Sentences per doc; 0 for whole documents.
            augmenter (Optional[Callable]): Makes one or more examples of each one; None to take them as they are.
            options (ReadOptions): What the files do not say of themselves.
            policy (SpanPolicy): What to do with spans that cannot be entities.
        """
        self.path, self.format, self.n_sents, self.augmenter = path, format, n_sents, augmenter
        self.options, self.policy = options, policy

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the examples. Like spaCy's own reader, it tokenizes the predicted side with `nlp`.

        Warns at the end if tags were repaired or if entities became missing annotation.

        Args:
            nlp (Language): The pipeline to train or to evaluate.

        Yields:
            Example: The next example.
        """
        report = ReadReport()
        for reference in self._docs(nlp, report):
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
        warn_of(self.path, report.problems)
        if report.skipped_files.count:
            found = report.skipped_files
            warnings.warn(f"{self.path}: {found.count} files were not read: {found}", stacklevel=2)

    def _docs(self, nlp: Language, report: ReadReport) -> Iterator[Doc]:
        return read_docs(
            self.path, nlp, self.format, self.n_sents, report=report, options=self.options, policy=self.policy
        )
