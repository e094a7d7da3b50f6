"""A report on annotated data before training: counts, errors and warnings."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
from spacy.attrs import SENT_START
from spacy.tokens import Doc
from spacy.training import Corpus, Example

from ..annotation.gold import inspect_gold
from ..annotation.gold_report import Finding, GoldReport
from ..annotation.label_names import label_problems
from ..tags import MISSING
from .facts import FEW_SENTENCES, DataFacts
from .tokenization import count_retokenized

FEW_EXAMPLES = 50
"""A label with fewer entities in the training data gets a warning. Fewer words say nothing about casing."""
LONGER, MUCH_LONGER = 2.0, 5.0
"""The ratio of the mean lengths of docs that is a warning, if either train or dev has single sentences; and else."""
OTHER_CASING = 0.2
"""The difference between shares of capitals that is a warning."""


@dataclass
class PartReport:
    """Counts of one part of the data: the training data or the dev data.

    Attributes:
        docs (int): Docs.
        tokens (int): Tokens of the predicted docs.
        tokens_missing (int): Tokens without annotation in docs that have some.
        without_entities (int): Docs that are annotated and have no entity.
        gold (GoldReport): The gold entities and their problems, as training finds them.
        across_sentences (Finding): Entities that cross the start of a sentence.
        presets (Finding): Entities that overlap with, and differ from, entities that earlier components set.
        contradictions (Finding): Entities that are marked as incorrect in `doc.spans`.
        retokenized (Finding): Entities with other tokens than the tokenizer of the pipeline makes of the text.
        facts (DataFacts): What the docs look like.
        texts (Counter[int]): Docs by the hash of their text.
        skipped (Finding): Docs or sentences that the reader skips because they have `max_length` tokens or more.
        max_length (int): The reader's setting; 0 for no limit.
        warnings (list[str]): The reader's warnings.
        errors (list[str]): The error that stopped the reader, if any.
    """

    docs: int = 0
    tokens: int = 0
    tokens_missing: int = 0
    without_entities: int = 0
    gold: GoldReport = field(default_factory=GoldReport)
    across_sentences: Finding = field(default_factory=Finding)
    presets: Finding = field(default_factory=Finding)
    contradictions: Finding = field(default_factory=Finding)
    retokenized: Finding = field(default_factory=Finding)
    facts: DataFacts = field(default_factory=DataFacts)
    texts: Counter[int] = field(default_factory=Counter)
    skipped: Finding = field(default_factory=Finding)
    max_length: int = 0
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def labels(self) -> Counter[str]:
        """Entities by label."""
        return self.gold.labels

    @property
    def repeated(self) -> int:
        """The number of docs with the text of an earlier doc."""
        return self.docs - len(self.texts)

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to what a JSON file can hold. Of the texts, it has only the number of repeated ones.

        Returns:
            dict[str, Any]: The counts by name.
        """
        findings = {
            **{kind: getattr(self.gold, kind) for kind in ("trimmed", "blank", "misaligned")},
            "across_sentences": self.across_sentences,
            "presets": self.presets,
            "contradictions": self.contradictions,
            "skipped": self.skipped,
            "retokenized": self.retokenized,
        }
        return {
            "docs": self.docs,
            "tokens": self.tokens,
            "tokens_missing": self.tokens_missing,
            "docs_without_annotation": self.gold.docs_without_annotation,
            "docs_without_entities": self.without_entities,
            "docs_repeated": self.repeated,
            "entities": self.gold.entities,
            "labels": dict(sorted(self.labels.items())),
            "tokens_per_doc": self.facts.tokens_per_doc,
            "sentences_per_doc": self.facts.sentences_per_doc,
            "entities_with_a_capital": self.facts.capital_names,
            "other_words_with_a_capital": self.facts.capital_words,
            **{kind: {"count": found.count, "examples": found.examples} for kind, found in findings.items()},
            "warnings": self.warnings,
            "errors": self.errors,
        }


@dataclass
class DataReport:
    """The reports on both parts, and the problems found.

    Attributes:
        parts (dict[str, PartReport]): The reports on "train" and "dev".
        overlap (int): Docs of the dev data with a text of the training data.
        errors (list[str]): Problems that make training fail, or make it useless.
        warnings (list[str]): Other problems.
    """

    parts: dict[str, PartReport]
    overlap: int
    errors: list[str]
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to what a JSON file can hold.

        Returns:
            dict[str, Any]: Errors, warnings, the overlap, and the reports on the parts.
        """
        return {
            "errors": self.errors,
            "warnings": self.warnings,
            "dev_docs_in_train": self.overlap,
            **{name: part.to_dict() for name, part in self.parts.items()},
        }


def examine(
    examples: Iterable[Example],
    incorrect_spans_key: Optional[str] = None,
    annotate: Optional[Callable[[Doc], Doc]] = None,
    report: Optional[PartReport] = None,
    tokenizer: Optional[Callable[[str], Doc]] = None,
) -> PartReport:
    """Count what is in examples. They are read once and not kept.

    Args:
        examples (Iterable[Example]): The examples.
        incorrect_spans_key (Optional[str]): The group of the reference's `doc.spans` with spans that are known to be
            wrong.
        annotate (Optional[Callable[[Doc], Doc]]): Applies the components before the recognizer to a predicted doc.
        report (Optional[PartReport]): Where to count; it keeps what was counted if the examples end with an error. None
            for a new report.
        tokenizer (Optional[Callable[[str], Doc]]): The tokenizer of the pipeline, to compare tokens of entities with;
            None not to compare.

    Returns:
        PartReport: The report.
    """
    report = PartReport() if report is None else report
    for example in examples:
        reference, predicted = example.reference, example.predicted
        report.docs += 1
        report.tokens += len(predicted)
        report.texts[hash(reference.text)] += 1
        report.facts.add(reference)
        tags = inspect_gold(example, report.gold)
        if tokenizer is not None:
            count_retokenized(example, tokenizer, report.retokenized)
        if reference.has_annotation("ENT_IOB"):
            report.tokens_missing += int((tags == MISSING).sum())
            report.without_entities += not reference.ents
        _count_across_sentences(reference, report.across_sentences)
        if incorrect_spans_key is not None:
            wrong = {_bounds(span) for span in reference.spans.get(incorrect_spans_key, [])}
            for ent in reference.ents:
                if _bounds(ent) in wrong:
                    report.contradictions.add_entity(reference, ent.text, ent.label_)
        if annotate is not None:
            _count_presets(example, annotate(predicted), report.presets)
    return report


def _bounds(span: Any) -> tuple[int, int, str]:
    return span.start, span.end, span.label_


def _count_across_sentences(doc: Doc, found: Finding) -> None:
    """Count entities that cross the start of a sentence."""
    begun = np.cumsum(doc.to_array(SENT_START) == 1)
    for ent in doc.ents:
        if begun[ent.end - 1] > begun[ent.start]:
            found.add_entity(doc, ent.text, ent.label_)


def _count_presets(example: Example, annotated: Doc, found: Finding) -> None:
    """Count entities of the reference that overlap, by characters, with other entities of the annotated doc."""
    presets = [(ent.start_char, ent.end_char, ent.label_) for ent in annotated.ents]
    for ent in example.reference.ents:
        own = (ent.start_char, ent.end_char, ent.label_)
        if own not in presets and any(start < own[1] and own[0] < end for start, end, _ in presets):
            found.add_entity(example.reference, ent.text, ent.label_)


def skipped_by_corpus(corpus: Corpus, docs: Iterable[Doc]) -> Finding:
    """Count what spaCy's reader skips silently because of its `max_length`.

    Args:
        corpus (Corpus): The reader.
        docs (Iterable[Doc]): The docs of its files.

    Returns:
        Finding: Docs without sentences, and sentences, of `max_length` tokens or more.
    """
    found, limit = Finding(), corpus.max_length
    for doc in docs if limit else ():
        if len(doc) < limit or corpus.gold_preproc:
            continue
        if not doc.has_annotation("SENT_START"):
            found.add(f"doc of {len(doc)} tokens without sentences, {_quote(doc)}")
            continue
        for sent in doc.sents:
            if len(sent) >= limit:
                found.add(f"sentence of {len(sent)} tokens, {_quote(sent)}")
    return found


def _quote(text: Any) -> str:
    return repr(text[:8].text)


def compare(train: PartReport, dev: PartReport, given: Optional[Iterable[str]] = None) -> DataReport:
    """Find problems in the training data, in the dev data, and between them.

    Args:
        train (PartReport): The report on the training data.
        dev (PartReport): The report on the dev data.
        given (Optional[Iterable[str]]): The labels that `initialize` is given; None if they come from the data.

    Returns:
        DataReport: Both reports, with errors and warnings.
    """
    parts = {"train": train, "dev": dev}
    overlap = sum(count for text, count in dev.texts.items() if text in train.texts)
    errors = [message for name, part in parts.items() for message in _errors(name, part, given)]
    warnings = [message for name, part in parts.items() for message in _warnings(name, part)]
    if overlap:
        warnings.append(
            f"{overlap} of {dev.docs} docs of dev have a text that is also in train: scores will be better than on new "
            "text"
        )
    warnings += _differences(train.facts, dev.facts)
    warnings += _label_warnings(train.labels, dev.labels, given)
    return DataReport(parts, overlap, errors, warnings)


def _errors(name: str, part: PartReport, given: Optional[Iterable[str]]) -> Iterator[str]:
    for message in part.errors:
        yield f"{name}: {message}"
    if not part.docs:
        yield f"{name}: no docs" + (f" ({part.skipped.count} were skipped)" if part.skipped.count else "")
    elif name == "train" and part.gold.docs_without_annotation == part.docs:
        yield f"{name}: none of the {part.docs} docs has entity annotation"
    elif name == "train" and not part.labels and given is None:
        yield f"{name}: no entities in {part.docs} docs, and no labels given: nothing can be learned"
    bad = sorted(label for label in part.labels if label == "O" or label.startswith("!"))
    if bad:
        yield f"{name}: labels that cannot be used: {', '.join(bad)} (O means no entity, and !X is no longer supported)"
    if part.contradictions.count:
        found = part.contradictions
        yield f"{name}: {found.count} entities are marked as incorrect in doc.spans: {found}"


def _warnings(name: str, part: PartReport) -> Iterator[str]:
    for _, message in part.gold.messages():
        yield f"{name}: {message}"
    findings = {
        "entities cross the start of a sentence": part.across_sentences,
        "entities overlap with entities of earlier components, which are kept": part.presets,
        f"docs or sentences are skipped, because they have max_length ({part.max_length}) tokens or more": part.skipped,
    }
    for text, found in findings.items():
        if found.count:
            yield f"{name}: {found.count} {text}: {found}"
    if part.retokenized.count:
        yield (
            f"{name}: {part.retokenized.count} of {part.gold.entities} entities have other tokens than the tokenizer "
            f"makes of the text, so raw text looks different from this data: {part.retokenized}"
        )
    if part.tokens_missing:
        yield f"{name}: {part.tokens_missing} of {part.tokens} tokens of annotated docs have no annotation"
    if part.repeated:
        yield f"{name}: {part.repeated} of {part.docs} docs repeat the text of another doc"
    for message in part.warnings:
        yield f"{name}: {message}"


def _differences(train: DataFacts, dev: DataFacts) -> Iterator[str]:
    """Where the docs of dev look different from those of train. Without docs, there is nothing to compare."""
    if not train.docs or not dev.docs:
        return
    short, long = sorted(facts.tokens_per_doc for facts in (train, dev))
    of_one_kind = (train.sentences_per_doc < FEW_SENTENCES) == (dev.sentences_per_doc < FEW_SENTENCES)
    if long >= short * (MUCH_LONGER if of_one_kind else LONGER):
        train_docs, dev_docs = (
            f"{facts.tokens_per_doc:.0f} tokens in {facts.sentences_per_doc:.1f} sentences" for facts in (train, dev)
        )
        yield (
            f"docs of train have {train_docs} on average, and docs of dev {dev_docs}: use docs like those that the "
            "pipeline will get, in both"
        )
    shares = {
        "entities": (train.names, train.capital_names, dev.names, dev.capital_names),
        "other words": (train.words, train.capital_words, dev.words, dev.capital_words),
    }
    for what, (train_counts, in_train, dev_counts, in_dev) in shares.items():
        enough = min(train_counts.total(), dev_counts.total()) >= FEW_EXAMPLES
        if enough and abs(in_train - in_dev) >= OTHER_CASING:
            yield f"{in_train:.0%} of the {what} of train begin with a capital, and {in_dev:.0%} of those of dev"


def _label_warnings(train: Mapping[str, int], dev: Mapping[str, int], given: Optional[Iterable[str]]) -> Iterator[str]:
    checks = {
        "labels only in dev, which cannot be learned": sorted(set(dev) - set(train)),
        "labels only in train, which dev does not score": sorted(set(train) - set(dev)) if dev else [],
        f"labels with fewer than {FEW_EXAMPLES} entities in train": [
            f"{label} ({train[label]})" for label in sorted(train) if train[label] < FEW_EXAMPLES
        ],
    }
    if given is not None:
        known = set(given)
        checks["labels that are not among those given to initialize"] = sorted({*train, *dev} - known)
        checks["labels given to initialize that have no entity in train"] = sorted(known - set(train))
    for text, names in checks.items():
        if names:
            yield f"{text}: {', '.join(names)}"
    yield from label_problems({*train, *dev, *(given or ())})
