"""Problems of gold annotation: counts, the first few examples, and a message for the user."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from spacy.tokens import Doc

EXAMPLES_SHOWN = 3
_CONTEXT_SHOWN = 40


@dataclass
class Finding:
    """One kind of problem: how often it was found, and the first few examples.

    Attributes:
        count (int): How often it was found.
        examples (list[str]): The first examples, at most EXAMPLES_SHOWN.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more. example: the text that messages show."""
        self.count += 1
        if len(self.examples) < EXAMPLES_SHOWN:
            self.examples.append(example)

    def add_entity(self, doc: Doc, text: str, label: str = "") -> None:
        """Count an entity. It is shown with its label, if given, and the beginning of its doc."""
        if len(self.examples) < EXAMPLES_SHOWN:
            named = f"{text!r} ({label})" if label else repr(text)
            self.add(f"{named} in {_beginning(doc)}")
        else:
            self.count += 1

    def __str__(self) -> str:
        more = self.count - len(self.examples)
        return "; ".join(self.examples) + (f"; and {more} more" if more > 0 else "")


@dataclass
class GoldReport:
    """Counts of gold annotation and its problems.

    Trimmed entities lose white space. The other entities with a problem become missing annotation.

    Attributes:
        docs (int): Docs read.
        docs_without_annotation (int): Docs with tokens, but without any entity annotation.
        entities (int): Entities of the references.
        labels (Counter[str]): Entities by label, where `inspect_gold` counted them.
        trimmed (Finding): Entities with white space at their ends.
        blank (Finding): Entities that consist of white space.
        misaligned (Finding): Entities that do not start and end where tokens of the predicted doc do.
        across_sentences (Finding): Entities that cross the start of a sentence, if the component forbids it.
        overlapping (Finding): Entities that overlap with entities or blocked tokens of earlier components.
    """

    docs: int = 0
    docs_without_annotation: int = 0
    entities: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    trimmed: Finding = field(default_factory=Finding)
    blank: Finding = field(default_factory=Finding)
    misaligned: Finding = field(default_factory=Finding)
    across_sentences: Finding = field(default_factory=Finding)
    overlapping: Finding = field(default_factory=Finding)

    def messages(self) -> Iterator[tuple[str, str]]:
        """Yield each kind of problem that was found, with a message for the user."""
        of_all = f"of {self.entities} entities"
        if self.docs_without_annotation:
            yield (
                "docs_without_annotation",
                f"{self.docs_without_annotation} of {self.docs} docs have no entity annotation, so no entities are "
                'learned from them. If a doc has no entities, set "entities": []',
            )
        texts = {
            "trimmed": f"{of_all} start or end with white space, which was removed",
            "blank": f"{of_all} consist of white space. Their tokens count as not annotated",
            "misaligned": f"{of_all} do not start and end where tokens do. Their tokens count as not annotated. Check "
            "that the pipeline uses the tokenizer of the annotation",
            "across_sentences": f"{of_all} cross the start of a sentence, which sentence_boundaries = true forbids. "
            "Their tokens count as not annotated",
            "overlapping": f"{of_all} overlap with entities or blocked tokens of earlier components, which stay. "
            "Their tokens count as not annotated",
        }
        for kind, text in texts.items():
            finding: Finding = getattr(self, kind)
            if finding.count:
                yield kind, f"{finding.count} {text}: {finding}"


def _beginning(doc: Doc) -> str:
    text = doc[:_CONTEXT_SHOWN].text
    return repr(text if len(text) <= _CONTEXT_SHOWN else text[:_CONTEXT_SHOWN] + "…")
