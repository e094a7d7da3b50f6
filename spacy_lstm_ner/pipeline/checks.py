"""Warnings about the training data: each kind of problem once in a training run."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
from spacy.attrs import ORTH
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import logger
from thinc.api import Model

from ..annotation.gold import inspect_gold
from ..annotation.gold_report import GoldReport
from ..annotation.label_names import label_problems
from ..tags import MISSING
from .settings import Settings

SAMPLE_SIZE = 10
_READS_VECTORS = ("static_vectors", "lexeme_vectors")
_OTHER_ANNOTATION = ("TAG", "POS", "MORPH", "LEMMA", "DEP")
_DUMMY = ["x", "y", "z"]
_SHOWN = 10
_MOST_STEPS_AT_0 = 10
_HOW_TO_LEARN = 'To learn them, add the labels, or set other_labels to "add"'
_OTHER_LABELS_BECOME = {
    "add": "They are added when update meets them",
    "outside": f"Since other_labels is 'outside', their tokens count as outside entities. {_HOW_TO_LEARN}",
    "missing": f"Since other_labels is 'missing', their tokens count as not annotated. {_HOW_TO_LEARN}",
}


@dataclass
class Survey:
    """Counts of the examples for `initialize`.

    Attributes:
        words (Counter[int]): The tokens of each word (orth), if `survey` counts words.
        sample (list[Example]): The first few examples.
        report (GoldReport): The gold entities and their problems.
        with_key (int): Reference docs that have the group of spans.
        for_others (int): Reference docs with annotation for components of another kind.
        missing (int): Tokens without annotation in docs that have annotation.
        is_trial (bool): Whether the caller set the number of tags of the model, as `spacy debug model` does.
    """

    words: Counter[int] = field(default_factory=Counter)
    sample: list[Example] = field(default_factory=list)
    report: GoldReport = field(default_factory=GoldReport)
    with_key: int = 0
    for_others: int = 0
    missing: int = 0
    is_trial: bool = False

    @property
    def labels(self) -> Counter[str]:
        """The entities by label."""
        return self.report.labels

    @property
    def is_dummy(self) -> bool:
        """Whether the docs are no data: `nlp.initialize` without examples makes one, and a trial some."""
        words = [token.text for token in self.sample[0].reference] if self.sample else []
        return self.is_trial or (self.report.docs == 1 and words == _DUMMY)


def survey(examples: Iterable[Example], count_words: bool = False, spans_key: Optional[str] = None) -> Survey:
    """Read the examples once, and count. They are not kept, except for a sample.

    Args:
        examples (Iterable[Example]): The examples.
        count_words (bool): Whether to count words.
        spans_key (Optional[str]): The key of a group of spans to look for.

    Returns:
        Survey: The counts.
    """
    found = Survey()
    for example in examples:
        if len(found.sample) < SAMPLE_SIZE:
            found.sample.append(example)
        tags = inspect_gold(example, found.report)
        if example.reference.has_annotation("ENT_IOB"):
            found.missing += int((tags == MISSING).sum())
        if count_words:
            # spaCy's types call this an array of floats.
            found.words.update(map(int, example.predicted.to_array(ORTH)))
        found.with_key += spans_key is not None and spans_key in example.reference.spans
        found.for_others += has_other_annotation(example.reference)
    return found


def has_other_annotation(doc: Doc) -> bool:
    """Whether a doc has annotation for components of another kind.

    Args:
        doc (Doc): The doc.

    Returns:
        bool: Whether it has tags, heads, lemmas or categories.
    """
    return bool(doc.cats) or any(doc.has_annotation(name) for name in _OTHER_ANNOTATION)


@dataclass
class TrainingChecks:
    """The warnings of a training run. They are not saved with the component.

    Attributes:
        warned (set[str]): The kinds of problems that the user was warned of.
        updates (int): The number of batches so far.
        steps_at_0 (int): The number of the last steps of the optimizer in a row that had a learning rate of 0.
    """

    warned: set[str] = field(default_factory=set)
    updates: int = 0
    steps_at_0: int = 0

    def warn(self, name: str, kind: str, message: str) -> None:
        """Warn of a problem, once for each kind. name: the component's name."""
        if kind not in self.warned:
            self.warned.add(kind)
            warnings.warn(f"'{name}': {message}", stacklevel=4)

    def check_rate(self, name: str, rate: Any) -> None:
        """Warn if the learning rate stays 0. A schedule may have that rate at some steps, but not at many in a row.

        Args:
            name (str): The component's name.
            rate (Any): The optimizer's learning rate at a step; None if it has none.
        """
        self.steps_at_0 = self.steps_at_0 + 1 if rate == 0 else 0
        if self.steps_at_0 == _MOST_STEPS_AT_0:
            self.warn(
                name,
                "rate_of_0",
                f"the learning rate was 0 at the last {_MOST_STEPS_AT_0} steps, so nothing is learned any more. If the "
                "schedule in [training.optimizer.learn_rate] ends before training does, raise its total_steps. If you "
                "call update yourself, call optimizer.step_schedules() after it, or set optimizer.learn_rate",
            )

    def check_report(self, name: str, report: GoldReport) -> None:
        """Warn of the problems of gold entities. name: the component's name."""
        for kind, message in report.messages():
            self.warn(name, kind, message)

    def check_data(self, name: str, data: Survey, labels: Sequence[str], given: Any, settings: Settings) -> None:
        """Warn of problems of the examples for `initialize`.

        Args:
            name (str): The component's name.
            data (Survey): The counts of the examples.
            labels (Sequence[str]): The component's labels, including those read from the data.
            given (Any): The labels that `initialize` got in place of those of the data, or None.
            settings (Settings): The component's settings.

        Raises:
            ValueError: If nothing can be learned: there are no docs, or no labels and no annotation of any kind.
        """
        if data.is_dummy and not data.labels:
            return
        n_docs = data.report.docs
        if not n_docs and not labels:
            raise ValueError(
                f"'{name}': the training data has no docs. spaCy's reader finds only files that end in .spacy. Convert "
                "annotated text with `python -m spacy lstm-ner convert`, and other data, such as JSONL, with a script "
                "that writes a DocBin"
            )
        if not labels and data.report.docs_without_annotation == n_docs and not data.for_others:
            raise ValueError(
                f"'{name}': none of the {n_docs} docs of the training data has entity annotation, and no labels "
                'were given. Annotate entities ("entities": [] for a doc without any), or name the labels: '
                f"[initialize.components.{name}] labels, or add_label"
            )
        self.check_report(name, data.report)
        if given is None and data.labels:
            logger.info("'%s': labels read from the data: %s", name, _listed(sorted(data.labels)))
        others = {label: count for label, count in data.labels.items() if label not in labels}
        if others:
            counts = [f"{label} ({others[label]})" for label in sorted(others)]
            self.warn(
                name,
                "labels_not_given",
                f"the data has {sum(others.values())} entities with labels that it does not have: {_listed(counts)}. "
                + _OTHER_LABELS_BECOME[settings.other_labels],
            )
        absent = [label for label in labels if label not in data.labels]
        if data.missing and not data.with_key and (absent or not labels):
            which = f" with the labels {_listed(absent)}" if absent else ""
            self.warn(
                name,
                "offsets",
                f"the data has no entities{which}, but {data.missing} tokens without annotation in annotated docs. "
                "spaCy makes such tokens of entities whose character offsets do not fit the tokens (W030). Check them "
                "with spacy.training.offsets_to_biluo_tags",
            )
        key = settings.incorrect_spans_key
        if key is not None and not data.with_key:
            self.warn(
                name,
                "no_incorrect_spans",
                f"incorrect_spans_key is {key!r}, but none of the {n_docs} docs of the training data has "
                f"doc.spans[{key!r}]",
            )
        for problem in label_problems(labels):
            self.warn(name, problem, problem)
        self.check_labels(name, labels)

    def check_labels(self, name: str, labels: Sequence[str]) -> None:
        """Warn if there is nothing to predict. name: the component's name."""
        if not labels:
            self.warn(
                name,
                "no_labels",
                "it has no labels, so it predicts O for every token. Give it data with entities, or labels",
            )


def unread_vectors(name: str, nlp: Language) -> Optional[str]:
    """Find vectors that the config loads and no component reads, as with spaCy's `init config --optimize accuracy`.

    Args:
        name (str): The component's name.
        nlp (Language): The pipeline, with its vectors.

    Returns:
        Optional[str]: A message for the user, or None.
    """
    # Vectors of another class have no table.
    data = getattr(nlp.vocab.vectors, "data", np.empty(0))
    if not data.size or not nlp.config["initialize"]["vectors"]:
        return None
    models = [getattr(pipe, "model", None) for _, pipe in nlp.components]
    if any(node.name in _READS_VECTORS for model in models if isinstance(model, Model) for node in model.walk()):
        return None
    return (
        f"the pipeline has {len(data):,} vectors ({data.nbytes / 1e6:.0f} MB), but no component reads them. To train "
        "and save without them, set vectors in [initialize] to null (often by --paths.vectors null). To use them, set "
        f"include_static_vectors = true in [components.{name}.model.tok2vec.embed]"
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
