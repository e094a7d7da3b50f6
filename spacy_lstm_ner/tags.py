"""The BIO codec: entity labels ↔ tags ↔ spans.

Notation
--------
L       number of entity labels; label k is a number in 0 .. L-1
tag     a number in 0 .. 2L: 0 is O, 2k+1 is B-k (the first token of an entity), 2k+2 is I-k (any later one)
MISSING the tag -1 of a token that carries no annotation
N       number of tokens of all sequences of a batch, laid end to end
starts  the rows among the N at which a sequence begins

A new label is appended, so the tags of the labels before it never change.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

OUTSIDE = 0
MISSING = -1


class Spans(NamedTuple):
    """Entities as three arrays of one length, ordered by start: first row, row behind the last, label number."""

    starts: Ints
    ends: Ints
    labels: Ints


def n_tags(n_labels: int) -> int:
    """Number of BIO tags of `n_labels` entity labels."""
    return 2 * n_labels + 1


def tag_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The tags in the order of their numbers: ``("O", "B-PER", "I-PER", ...)``."""
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def is_begin(tags: Ints) -> Bools:
    """True where an entity begins. MISSING is odd too, hence the comparison."""
    return (tags > 0) & (tags % 2 == 1)


def is_inside(tags: Ints) -> Bools:
    """True at the second and later tokens of an entity."""
    return (tags > 0) & (tags % 2 == 0)


def label_of(tags: Ints) -> Ints:
    """Label number of each tag of an entity; -1 for O and MISSING."""
    return (tags + 1) // 2 - 1


def spans_to_tags(spans: Spans, length: int, default: int = OUTSIDE) -> Ints:
    """Tags (length,) of non-overlapping spans; the tokens of no span get `default`."""
    tags = np.full(length, default, dtype=np.int64)
    sizes = spans.ends - spans.starts
    offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tags[np.repeat(spans.starts, sizes) + offsets] = np.repeat(2 * spans.labels + 2, sizes)
    tags[spans.starts] = 2 * spans.labels + 1
    return tags


def tags_to_spans(tags: Ints, starts: Ints) -> Spans:
    """Spans of a batch of legal tag sequences.

    tags (N,): legal tags (`illegal_rows` is empty), MISSING read as O.
    starts: the rows at which a sequence begins; no span crosses them.
    """
    continues = np.zeros(len(tags) + 1, dtype=bool)
    continues[:-1] = is_inside(tags)
    continues[starts] = False
    in_entity = tags > 0
    first = np.flatnonzero(is_begin(tags))
    last = np.flatnonzero(in_entity & ~continues[1:])
    return Spans(first, last + 1, label_of(tags[first]))


def illegal_rows(tags: Ints, starts: Ints) -> Ints:
    """Rows at which an I-k follows anything but B-k or I-k of its own sequence."""
    previous = np.full(len(tags), -1, dtype=np.int64)
    previous[1:] = label_of(tags[:-1])
    previous[starts[starts < len(tags)]] = -1
    return np.flatnonzero(is_inside(tags) & (label_of(tags) != previous))
