"""What the examples that a component is initialized with hold, found in one pass over them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Optional

from spacy.tokens import Doc
from spacy.training import Example

from .annotations import gold_labels, gold_tags, word_counts
from .gold_report import GoldReport

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
