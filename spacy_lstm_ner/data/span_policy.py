"""From records to docs: what happens with spans that cannot be entities, in one place.

Entities of a doc do not overlap, have no gaps and consist of whole tokens without white space at their ends. Each span
that is not like that is counted by its kind, and listed.
"""

import warnings
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from spacy.language import Language
from spacy.tokens import Doc, Span

from ..annotation.gold_report import Finding
from .annotated_file import Entity, Record

LOST = {
    "misaligned": "entities do not end where tokens end",
    "discontinuous": "entities have gaps",
    "overlapping": "entities overlap with another one",
    "empty": "entities have no text",
    "blank": "entities consist of white space",
    "outside": "entities are not within the text",
    "different": "entities have another text than the file says",
    "unwritten": "entities have no word that the format can hold",
}
"""The kinds of spans that do not become entities. Their tokens become missing annotation."""
CHANGED = {
    "trimmed": "entities start or end with white space, which was removed",
    "moved": "entities were moved to the limits of tokens",
    "joined": "entities with gaps became one with the text in between",
    "repeated": "entities are twice in the file",
}
"""The kinds of spans that become entities, but not as they are."""
OVERLAP = ("longest", "first", "error")
MISALIGNED = ("missing", "expand", "contract", "error")


class SpanPolicy(NamedTuple):
    """What to do with spans that cannot be entities as they are.

    Attributes:
        overlap (str): Of spans that overlap, keep the "longest" or the "first", or raise an "error".
        misaligned (str): Make the tokens of spans with gaps or limits within tokens "missing" annotation, "expand" or
            "contract" the spans to whole tokens, or raise an "error".
        incorrect_spans_key (str): The group of `doc.spans` for spans that are known to be wrong.
    """

    overlap: str = "longest"
    misaligned: str = "missing"
    incorrect_spans_key: str = "incorrect_spans"

    def check(self) -> None:
        """Raise a ValueError if a choice is unknown."""
        for name, value, known in (("overlap", self.overlap, OVERLAP), ("misaligned", self.misaligned, MISALIGNED)):
            if value not in known:
                raise ValueError(f"expected {name} among {', '.join(known)}, found {value!r}")


DEFAULT_POLICY = SpanPolicy()


@dataclass
class Problems:
    """Spans that could not be entities as they are, by kind.

    Attributes:
        found (dict[str, Finding]): The counts and first examples.
        listing (Optional[Callable[[Mapping[str, object]], None]]): Gets each of them as an object for a side file.
    """

    found: dict[str, Finding] = field(default_factory=lambda: defaultdict(Finding))
    listing: Optional[Callable[[Mapping[str, object]], None]] = None

    def add(self, kind: str, record: Record, span: Entity) -> None:
        """Count one."""
        text = record.text[max(span.start, 0) : max(span.end, 0)]
        self.found[kind].add(f"{record.place}: {span.label} {text!r}")
        if self.listing is not None:
            limits = {"start": span.start, "end": span.end}
            self.listing({"kind": kind, "place": record.place, "label": span.label, **limits, "text": text})

    def note(self, kind: str, place: str) -> None:
        """Count a loss that is not a span."""
        self.found[kind].add(place)
        if self.listing is not None:
            self.listing({"kind": kind, "place": place})

    def lost(self, except_for: Collection[str] = ()) -> int:
        """The number of entities that were lost, without those of some kinds."""
        return sum(self.found[kind].count for kind in LOST if kind in self.found and kind not in except_for)


def make_doc(nlp: Language, record: Record, policy: SpanPolicy, problems: Problems) -> Doc:
    """Make a doc of a record.

    Args:
        nlp (Language): The pipeline, whose tokenizer is used if the record has no words.
        record (Record): The record.
        policy (SpanPolicy): What to do with spans that cannot be entities.
        problems (Problems): Where to count these.

    Returns:
        Doc: The doc, with entities, missing annotation, wrong spans, and the starts of sentences if they are known.

    Raises:
        ValueError: If the policy is to raise an error.
    """
    if record.words is None:
        doc = nlp.tokenizer(record.text)
    else:
        # The space after the last word is in the text only where sentences were joined, or if the file has it.
        spaces = record.spaces and [*record.spaces[:-1], record.text[-1:] == " " and record.spaces[-1]]
        # A doc without known spaces keeps its words when spacy.Corpus reads it, as after `spacy convert`, instead of
        # being tokenized again.
        doc = Doc(nlp.vocab, words=record.words, spaces=spaces)
    if record.sents is not None:
        _set_sentences(doc, record.sents)
    unknown = list(record.missing)
    candidates: list[tuple[Span, Entity]] = []
    for entity in record.spans:
        span = _aligned(doc, record, entity, policy, problems)
        if span is not None:
            candidates.append((span, entity))
        else:
            unknown.extend(entity.parts or ((entity.start, entity.end),))
    missing = _overlapped(doc, unknown)
    ents = _without_overlaps(record, candidates, policy, problems, missing)
    missing.difference_update(token.i for ent in ents for token in ent)
    if record.complete:
        doc.set_ents(ents, missing=[doc[i : i + 1] for i in sorted(missing)], default="outside")
    else:
        doc.set_ents(ents, default="missing")
    if record.rejected:
        spans = [_aligned(doc, record, entity, policy, problems) for entity in record.rejected]
        doc.spans[policy.incorrect_spans_key] = [span for span in spans if span is not None]
    return doc


def _set_sentences(doc: Doc, sents: Iterable[int]) -> None:
    offsets = [token.idx for token in doc]
    starts = {bisect_left(offsets, offset) for offset in sents}
    for token in doc:
        token.is_sent_start = token.i in starts


def _overlapped(doc: Doc, parts: Collection[tuple[int, int]]) -> set[int]:
    """The indices of the tokens that share a character with one of the parts of the text."""
    if not parts:
        return set()
    starts, ends = [token.idx for token in doc], [token.idx + len(token) for token in doc]
    return {i for start, end in parts for i in range(bisect_right(ends, start), bisect_left(starts, end))}


def _aligned(doc: Doc, record: Record, entity: Entity, policy: SpanPolicy, problems: Problems) -> Optional[Span]:
    """The tokens of an entity; None if there are none, after counting why."""
    text = record.text
    start, end = entity.start, entity.end
    if not 0 <= start <= end <= len(text):
        problems.add("outside", record, entity)
        return None
    covered = text[start:end]
    if not covered.strip():
        problems.add("blank" if covered else "empty", record, entity)
        return None
    pieces = " ".join(text[first:last] for first, last in entity.parts) if entity.parts else covered
    if entity.text is not None and pieces.split() != entity.text.split():
        problems.add("different", record, entity)
        return None
    kind = "discontinuous" if entity.parts else "misaligned"
    if entity.parts and policy.misaligned == "contract":
        start, end = max(entity.parts, key=lambda part: part[1] - part[0])
        covered = text[start:end]
    if covered != covered.strip():
        problems.add("trimmed", record, entity)
        start, end = start + len(covered) - len(covered.lstrip()), end - len(covered) + len(covered.rstrip())
    span = None if entity.parts and policy.misaligned == "missing" else doc.char_span(start, end, label=entity.label)
    if span is not None and not entity.parts:
        return span
    if policy.misaligned == "error":
        raise ValueError(f"{record.place}: {LOST[kind]}: {entity.label} {covered!r}. Choose a policy with --misaligned")
    if policy.misaligned == "missing":
        problems.add(kind, record, entity)
        return None
    span = span or doc.char_span(start, end, label=entity.label, alignment_mode=policy.misaligned)
    if not span:
        problems.add(kind, record, entity)
        return None
    problems.add("joined" if entity.parts and policy.misaligned == "expand" else "moved", record, entity)
    return span


def _without_overlaps(
    record: Record,
    candidates: list[tuple[Span, Entity]],
    policy: SpanPolicy,
    problems: Problems,
    missing: set[int],
) -> list[Span]:
    """The entities that are kept, in order."""
    ordered = list(candidates)
    if policy.overlap != "first":
        ordered.sort(key=lambda pair: (pair[0].start - pair[0].end, pair[0].start))
    taken: dict[int, Span] = {}
    kept: list[Span] = []
    for span, entity in ordered:
        others = [taken[i] for i in range(span.start, span.end) if i in taken]
        if not others:
            kept.append(span)
            taken.update(dict.fromkeys(range(span.start, span.end), span))
            continue
        if any((other.start, other.end, other.label) == (span.start, span.end, span.label) for other in others):
            problems.add("repeated", record, entity)
            continue
        if policy.overlap == "error":
            raise ValueError(
                f"{record.place}: the entities {span.text!r} ({span.label_}) and {others[0].text!r} "
                f"({others[0].label_}) overlap. Choose a policy with --overlap"
            )
        problems.add("overlapping", record, entity)
        missing.update(range(span.start, span.end))
    return sorted(kept, key=lambda span: span.start)


def warn_of(path: object, problems: Problems) -> None:
    """Warn once of each kind of span that could not be an entity as it is."""
    for kind, text in {**LOST, **CHANGED}.items():
        if kind in problems.found:
            found = problems.found[kind]
            lost = " and are missing" if kind in LOST else ""
            warnings.warn(f"{path}: {found.count} {text}{lost}, the first at {found.examples[0]}", stacklevel=3)
