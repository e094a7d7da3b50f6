"""What reading gold entities had to mend or leave out: counts, the first few examples, and how a user is told."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from spacy.tokens import Doc

EXAMPLES_SHOWN = 3
_CONTEXT_SHOWN = 40


@dataclass
class Finding:
    """How often something was found, and the first few of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.examples) < EXAMPLES_SHOWN:
            self.examples.append(example)

    def add_entity(self, doc: Doc, text: str, label: str = "") -> None:
        """Count an entity, shown with its label if that is known, and the beginning of its doc."""
        # Only what is shown is put together.
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
    """What was read, and what was wrong with it.

    docs, entities          how many were read, of the reference
    docs_without_annotation docs with tokens of which none says whether it is in an entity
    trimmed                 entities that lost white space at their ends
    blank                   entities that are nothing but white space
    misaligned              entities that do not start and end where tokens of the predicted doc do
    parted                  entities that go on across the start of a sentence, where the component forbids it
    taken                   entities that overlap with what earlier components set
    All but the trimmed become missing annotation.
    """

    docs: int = 0
    docs_without_annotation: int = 0
    entities: int = 0
    trimmed: Finding = field(default_factory=Finding)
    blank: Finding = field(default_factory=Finding)
    misaligned: Finding = field(default_factory=Finding)
    parted: Finding = field(default_factory=Finding)
    taken: Finding = field(default_factory=Finding)

    def messages(self) -> Iterator[tuple[str, str]]:
        """What a user should know: the kind of each problem, and a sentence with counts and examples."""
        of_all = f"of {self.entities} entities"
        if self.docs_without_annotation:
            yield (
                "docs_without_annotation",
                f"{self.docs_without_annotation} of {self.docs} docs carry no entity annotation, and teach nothing of "
                'entities. Give docs without any entity "entities": []',
            )
        texts = {
            "trimmed": f"{of_all} start or end with white space, which was left out",
            "blank": f"{of_all} are only white space. Their tokens count as not annotated",
            "misaligned": f"{of_all} do not start and end where tokens do. Their tokens count as not annotated; check "
            "that the pipeline's tokenizer is that of the annotation",
            "parted": f"{of_all} go on across the start of a sentence, which sentence_boundaries = true rules out. "
            "Their tokens count as not annotated",
            "taken": f"{of_all} overlap with entities or blocked tokens of earlier components, which stay as they are. "
            "Their tokens count as not annotated",
        }
        for kind, text in texts.items():
            finding: Finding = getattr(self, kind)
            if finding.count:
                yield kind, f"{finding.count} {text}: {finding}"


def _beginning(doc: Doc) -> str:
    text = doc[:_CONTEXT_SHOWN].text
    return repr(text if len(text) <= _CONTEXT_SHOWN else text[:_CONTEXT_SHOWN] + "…")
