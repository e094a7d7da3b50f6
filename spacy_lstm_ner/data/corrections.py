"""Corrections of a corpus: its texts with other entities, as an annotation tool gives them back.

The identifier of a text says which text of the corpus it is, and which of its doubts: `12:45-60` is the doubt about the
characters 45 to 60 of text 12. All differences between its entities and those of the corpus are corrections. So the
corrections of several doubts about a text add up.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise

from .annotated_file import Entity, Record

_NAME = re.compile(r"(\d+):\d+-\d+")


def name_of(number: int, start: int, end: int) -> str:
    """The identifier of a doubt: the number of its text in the corpus, from 1, and its first and last characters."""
    return f"{number}:{start}-{end}"


def read_corrections(records: Iterable[Record], limit: int = 0) -> dict[int, list[Record]]:
    """Read reviewed texts. Rejected ones do not count.

    Args:
        records (Iterable[Record]): The reviewed texts.
        limit (int): The number of texts to read; 0 for all.

    Returns:
        dict[int, list[Record]]: The accepted ones by the number of their text in the corpus, from 1.

    Raises:
        ValueError: If the identifier of a text has another form.
    """
    found: dict[int, list[Record]] = defaultdict(list)
    for record in islice(records, limit or None):
        match = _NAME.fullmatch(record.name)
        if match is None:
            raise ValueError(
                f"{record.place}: expected an identifier such as 12:45-60, as `review` writes it, found "
                f"{record.name!r}. Export from Label Studio as JSON, since JSON-MIN does not keep it"
            )
        if record.accepted:
            found[int(match[1])].append(record)
    return found


def correct(
    records: Iterable[Record], corrections: Mapping[int, Sequence[Record]], changes: Counter[str]
) -> Iterator[Record]:
    """Apply corrections to a corpus.

    Args:
        records (Iterable[Record]): The texts of the corpus, in their order.
        corrections (Mapping[int, Sequence[Record]]): The reviewed texts by the number of their text, from 1.
        changes (Counter[str]): Counts the entities that are "removed" and "added".

    Yields:
        Record: The next text, with its entities corrected.

    Raises:
        ValueError: If corrections contradict each other, or are for another text, or for one that is not there.
    """
    number = 0
    for number, record in enumerate(records, 1):
        yield _corrected(record, number, corrections[number], changes) if number in corrections else record
    beyond = sorted(other for other in corrections if other > number or other < 1)
    if beyond:
        raise ValueError(f"there is a correction for text {beyond[0]}, but the corpus has {number} texts")


def _corrected(record: Record, number: int, corrections: Sequence[Record], changes: Counter[str]) -> Record:
    own = {_limits(span) for span in record.spans}
    removed: set[tuple[int, int, str]] = set()
    added: set[tuple[int, int, str]] = set()
    for correction in corrections:
        if correction.text.rstrip() != record.text.rstrip():
            raise ValueError(
                f"{record.place}: text {number} of the corpus is {record.text!r:.60}, but the correction is for "
                f"{correction.text!r:.60}. Correct the corpus that was reviewed"
            )
        theirs = {_limits(span) for span in correction.spans}
        removed |= own - theirs
        added |= theirs - own
    spans = sorted((own - removed) | added)
    for before, after in pairwise(spans):
        if after[0] < before[1] and (before in added or after in added):
            raise ValueError(
                f"{corrections[0].place}: corrections of text {number} contradict each other: "
                f"{record.text[before[0] : before[1]]!r} ({before[2]}) and {record.text[after[0] : after[1]]!r} "
                f"({after[2]}) overlap. Accept one of them"
            )
    changes.update(removed=len(removed), added=len(added))
    missing = [piece for gap in record.missing for piece in _without(gap, sorted(added))]
    return replace(record, spans=[Entity(*span) for span in spans], missing=missing)


def _limits(span: Entity) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def _without(gap: tuple[int, int], spans: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
    """The parts of a gap outside of some spans, which are in order."""
    start, stop = gap
    for first, last, _ in spans:
        if start < first < stop:
            yield start, first
        start = max(start, last) if last > start and first < stop else start
    if start < stop:
        yield start, stop
