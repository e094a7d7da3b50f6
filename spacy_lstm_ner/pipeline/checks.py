"""What the examples that a component is initialized with hold, found in one pass over them."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import logger

from ..annotation.gold import gold_labels, gold_tags, word_counts
from ..annotation.gold_report import GoldReport

SAMPLE_SIZE = 10
_OTHER_ANNOTATION = ("TAG", "POS", "MORPH", "LEMMA", "DEP")
_DUMMY = ["x", "y", "z"]


@dataclass
class Survey:
    """What the examples hold.

    labels       the entity labels, with the entities of each
    words        the tokens of each word (orth), if they were asked for
    sample       the first few examples
    report       what is wrong with the gold entities
    with_key     docs of the reference that have the group of spans that was asked for
    for_others   docs of the reference with annotation for components of another kind
    is_trial     whether the model was told its number of tags from outside, as `spacy debug model` does
    """

    labels: Counter[str] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    sample: list[Example] = field(default_factory=list)
    report: GoldReport = field(default_factory=GoldReport)
    with_key: int = 0
    for_others: int = 0
    is_trial: bool = False

    @property
    def is_dummy(self) -> bool:
        """True of docs that are no data: the one that `nlp.initialize` makes up without examples, and a trial's."""
        words = [token.text for token in self.sample[0].reference] if self.sample else []
        return self.is_trial or (self.report.docs == 1 and words == _DUMMY)


def survey(examples: Iterable[Example], count_words: bool = False, spans_key: Optional[str] = None) -> Survey:
    """Go through the examples once; they are not kept, except for a sample.

    count_words: whether the words are asked for. spans_key: a group of spans to look for.
    """
    found = Survey()
    for example in examples:
        if len(found.sample) < SAMPLE_SIZE:
            found.sample.append(example)
        labels = gold_labels(example.reference)
        found.labels.update(labels)
        gold_tags(example, dict.fromkeys(labels, 0), found.report)
        if count_words:
            found.words.update(word_counts([example.predicted]))
        found.with_key += spans_key is not None and spans_key in example.reference.spans
        found.for_others += _has_other_annotation(example.reference)
    return found


def _has_other_annotation(doc: Doc) -> bool:
    return bool(doc.cats) or any(doc.has_annotation(name) for name in _OTHER_ANNOTATION)


_SHOWN = 10
_TO_LEARN_THEM = 'To learn them, add the labels, or set other_labels to "add"'
_FATE_OF_OTHERS = {
    "add": "update adds them when it meets them",
    "outside": f"Since other_labels is 'outside', their tokens count as no entities. {_TO_LEARN_THEM}",
    "missing": f"Since other_labels is 'missing', their tokens count as unannotated. {_TO_LEARN_THEM}",
}


@dataclass
class TrainingWatch:
    """What has been said since a component was made or initialized. It is no part of what is saved.

    said     the kinds of problems of which the user was warned
    updates  the batches learned from
    """

    said: set[str] = field(default_factory=set)
    updates: int = 0

    def warn(self, name: str, kind: str, message: str) -> None:
        """Warn of a kind of problem, unless that was done before. name: the component's."""
        if kind not in self.said:
            self.said.add(kind)
            warnings.warn(f"'{name}': {message}", stacklevel=4)

    def check_report(self, name: str, report: GoldReport) -> None:
        """Warn of what is wrong with gold entities, as far as it is new."""
        for kind, message in report.messages():
            self.warn(name, kind, message)

    def check_data(self, name: str, data: Survey, labels: Sequence[str], given: Any, cfg: dict[str, Any]) -> None:
        """Say what the examples for `initialize` lack.

        labels: the component's, after those of the data were added. given: what it was told to take in their place, or
        None. cfg: its settings.
        Raises ValueError if nothing can be learned from the data: no labels, and no annotation of any kind.
        """
        if data.is_dummy and not data.labels:
            return
        if not labels and data.report.docs_without_annotation == data.report.docs and not data.for_others:
            raise ValueError(
                f"'{name}': none of the {data.report.docs} docs of the training data has entity annotation, and no "
                'labels were given. Annotate entities ("entities": [] for a doc without any), or name the labels: '
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
                f"the data has {sum(others.values())} entities of labels that it does not have: {_listed(counts)}. "
                + _FATE_OF_OTHERS[cfg["other_labels"]],
            )
        key = cfg["incorrect_spans_key"]
        if key is not None and not data.with_key:
            self.warn(
                name,
                "no_incorrect_spans",
                f"incorrect_spans_key is {key!r}, but none of the {data.report.docs} docs of the training data has "
                f"doc.spans[{key!r}]: no spans are known to be wrong",
            )
        self.check_labels(name, labels)

    def check_labels(self, name: str, labels: Sequence[str]) -> None:
        """Warn if there is nothing to predict."""
        if not labels:
            self.warn(
                name,
                "no_labels",
                "it has no labels, and so predicts O for every token. Give it data with entities, or labels",
            )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
