"""The tag codec: entity labels ↔ tags ↔ spans, in the schemes BIO and BILUO.

Notation
--------
L       number of entity labels; label k is a number in 0 .. L-1
role    what a tag says of a token's place in its entity: B(egin), I(nside), L(ast), U(nit)
P       number of roles of a scheme: 2 for BIO, 4 for BILUO
tag     a number in 0 .. P·L: 0 is O, 1 + P·k + r is role number r of label k. For BIO: B-k is 2k+1, I-k is 2k+2
MISSING the tag -1 of a token that carries no annotation
N       number of tokens of all sequences of a batch, laid end to end
starts  the rows among the N at which a sequence begins

A new label is appended, so the tags of the labels before it never change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .types import Bools, Ints

OUTSIDE = 0
MISSING = -1


class Spans(NamedTuple):
    """Entities as three arrays of one length, ordered by start: first row, row behind the last, label number."""

    starts: Ints
    ends: Ints
    labels: Ints


@dataclass(frozen=True)
class Scheme:
    """A tag scheme, and all that is known of its legal transitions.

    opening: roles of an entity's first token; they follow O or the end of an entity.
    continuing: roles of a later token; in every scheme they follow B or I of the same label.
    ending: roles of an entity's last token.
    """

    name: str
    opening: str
    continuing: str
    ending: str

    @cached_property
    def roles(self) -> str:
        """The roles in the order of their numbers."""
        return self.opening + self.continuing

    def n_tags(self, n_labels: int) -> int:
        """Number of tags of `n_labels` entity labels."""
        return len(self.roles) * n_labels + 1

    def n_labels(self, n_tags: int) -> int:
        """Number of labels that `n_tags` tags belong to."""
        return (n_tags - 1) // len(self.roles)

    def columns(self, role: str) -> slice:
        """The tags of one role, one a label."""
        return slice(1 + self.roles.index(role), None, len(self.roles))

    def is_role(self, tags: Ints, roles: str) -> Bools:
        """True where a tag is of one of the roles."""
        wanted = np.array([role in roles for role in self.roles])
        return (tags > 0) & wanted[(tags - 1) % len(self.roles)]

    def label_of(self, tags: Ints) -> Ints:
        """Label number of each tag of an entity; -1 for O and MISSING."""
        return np.where(tags > 0, (tags - 1) // len(self.roles), -1)

    def tag_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The tags in the order of their numbers: ``("O", "B-PER", "I-PER", ...)``."""
        return ("O", *(f"{role}-{label}" for label in labels for role in self.roles))


BIO = Scheme("bio", opening="B", continuing="I", ending="BI")
BILUO = Scheme("biluo", opening="BU", continuing="IL", ending="LU")
SCHEMES = {scheme.name: scheme for scheme in (BIO, BILUO)}


def spans_to_tags(spans: Spans, length: int, default: int = OUTSIDE, scheme: Scheme = BIO) -> Ints:
    """Tags (length,) of non-overlapping spans; the tokens of no span get `default`."""
    tags = np.full(length, default, dtype=np.int64)
    sizes = spans.ends - spans.starts
    offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    first_tags = 1 + len(scheme.roles) * spans.labels
    tags[np.repeat(spans.starts, sizes) + offsets] = np.repeat(first_tags + scheme.roles.index("I"), sizes)
    if "L" in scheme.roles:
        tags[spans.ends - 1] = first_tags + scheme.roles.index("L")
    tags[spans.starts] = first_tags
    if "U" in scheme.roles:
        single = sizes == 1
        tags[spans.starts[single]] = first_tags[single] + scheme.roles.index("U")
    return tags


def tags_to_spans(tags: Ints, starts: Ints, scheme: Scheme = BIO) -> Spans:
    """Spans of a batch of legal tag sequences.

    tags (N,): legal tags (`illegal_rows` is empty), MISSING read as O.
    starts: the rows at which a sequence begins; no span crosses them.
    """
    continues = np.zeros(len(tags) + 1, dtype=bool)
    continues[:-1] = scheme.is_role(tags, scheme.continuing)
    continues[starts] = False
    first = np.flatnonzero(scheme.is_role(tags, scheme.opening))
    last = np.flatnonzero((tags > 0) & ~continues[1:])
    return Spans(first, last + 1, scheme.label_of(tags[first]))


def illegal_rows(tags: Ints, starts: Ints, scheme: Scheme = BIO) -> Ints:
    """Rows whose tag cannot follow that of the row before, or cannot be the last of its sequence.

    MISSING counts as O. For BIO: the I-k that follow anything but B-k or I-k of their own sequence.
    """
    before = np.full(len(tags), OUTSIDE, dtype=np.int64)
    before[1:] = tags[:-1]
    before[starts[starts < len(tags)]] = OUTSIDE
    open_before = scheme.is_role(before, "BI")
    continues = scheme.is_role(tags, scheme.continuing)
    bad = continues & ~(open_before & (scheme.label_of(tags) == scheme.label_of(before)))
    must_continue = open_before & ~scheme.is_role(before, scheme.ending)
    bad |= must_continue & ~continues
    last = np.zeros(len(tags) + 1, dtype=bool)
    last[starts] = True
    last[len(tags)] = True
    bad |= last[1:] & scheme.is_role(tags, "BI") & ~scheme.is_role(tags, scheme.ending)
    return np.flatnonzero(bad)
