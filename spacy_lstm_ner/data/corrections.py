"""Corrections of a corpus: reviewed places, written as texts for any annotation tool and read back.

The identifier of a text says which part of which text of the corpus it corrects: `12:45-60` stands for the characters
45 to 60 of text 12. All entities of the text are written, since a tool shows them; those at the place count.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from .annotated_file import Entity, Record

_NAME = re.compile(r"(\d+):(\d+)-(\d+)")


class Correction(NamedTuple):
    """The annotation of a part of a text.

    Attributes:
        text (str): The whole text.
        start (int): The first character of the part.
        end (int): The character after its last one.
        spans (list[Entity]): The entities that overlap with the part.
    """

    text: str
    start: int
    end: int
    spans: list[Entity]


def name_of(number: int, start: int, end: int) -> str:
    """The identifier of a correction: the number of its text in the corpus, from 1, and the limits of the part."""
    return f"{number}:{start}-{end}"


def read_corrections(records: Iterable[Record], limit: int = 0) -> dict[int, list[Correction]]:
    """Read corrections. Rejected ones do not count.

    Args:
        records (Iterable[Record]): The reviewed texts.
        limit (int): The number of records to read; 0 for all.

    Returns:
        dict[int, list[Correction]]: The corrections by the number of the text, from 1.

    Raises:
        ValueError: If the identifier of a record has another form.
    """
    found: dict[int, list[Correction]] = defaultdict(list)
    for count, record in enumerate(records):
        if limit and count == limit:
            break
        match = _NAME.fullmatch(record.name)
        if match is None:
            raise ValueError(
                f"{record.place}: expected an identifier such as 12:45-60, as `review` writes it, found {record.name!r}"
            )
        number, start, end = map(int, match.groups())
        if record.complete:
            found[number].append(Correction(record.text, start, end, _within(record.spans, start, end)))
    return found


def _within(spans: Iterable[Entity], start: int, end: int) -> list[Entity]:
    return [span for span in spans if span.start < end and start < span.end]


def correct(records: Iterable[Record], corrections: Mapping[int, Sequence[Correction]]) -> Iterator[Record]:
    """Apply corrections to a corpus.

    Args:
        records (Iterable[Record]): The texts of the corpus, in their order.
        corrections (Mapping[int, Sequence[Correction]]): The corrections by the number of the text, from 1.

    Yields:
        Record: The next text, with its entities corrected.

    Raises:
        ValueError: If a correction is for another text, or for one that the corpus does not have.
    """
    number = 0
    for number, record in enumerate(records, 1):
        for correction in corrections.get(number, ()):
            if correction.text.rstrip() != record.text.rstrip():
                raise ValueError(
                    f"{record.place}: text {number} of the corpus is {record.text!r:.60}, but the correction is for "
                    f"{correction.text!r:.60}. Correct the corpus that was reviewed"
                )
            record = _corrected(record, correction)
        yield record
    beyond = sorted(other for other in corrections if other > number or other < 1)
    if beyond:
        raise ValueError(f"there is a correction for text {beyond[0]}, but the corpus has {number} texts")


def _corrected(record: Record, correction: Correction) -> Record:
    start, end = correction.start, correction.end
    others = [span for span in record.spans if span not in _within(record.spans, start, end)]
    spans = [span._replace(score=None) for span in correction.spans]
    # An entity that reaches beyond the part takes the place of what is there.
    others = [span for span in others if not any(_within([span], new.start, new.end) for new in spans)]
    missing = [piece for gap in record.missing for piece in _without(gap, start, end)]
    return replace(record, spans=sorted([*others, *spans], key=lambda span: span.start), missing=missing)


def _without(gap: tuple[int, int], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of a gap outside of a part of the text."""
    pieces = [(gap[0], min(gap[1], start)), (max(gap[0], end), gap[1])]
    return [(first, last) for first, last in pieces if first < last]
