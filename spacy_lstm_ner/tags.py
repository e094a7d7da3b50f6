"""The tag codec: entity labels ↔ tags ↔ spans, in the schemes BIO and BILUO.

Notation
--------
L       number of entity labels; label k is a number in 0 .. L-1
role    the place of a token in its entity, as the tag has it: B(egin), I(nside), L(ast), U(nit)
P       number of roles of a scheme: 2 for BIO, 4 for BILUO
tag     a number in 0 .. P·L: 0 is O, 1 + P·k + r is role number r of label k. For BIO: B-k is 2k+1, I-k is 2k+2
MISSING the tag -1 of a token without annotation
N       number of tokens of all sequences of a batch, laid end to end

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
    """Entities, ordered by their starts.

    Attributes:
        starts (Ints): (n,) the first row of each.
        ends (Ints): (n,) the row behind the last row of each.
        labels (Ints): (n,) the label number of each.
    """

    starts: Ints
    ends: Ints
    labels: Ints


@dataclass(frozen=True)
class Scheme:
    """A tag scheme, and the rules for legal sequences of its tags.

    Attributes:
        name (str): its name in a config.
        opening (str): the roles of the first token of an entity. They follow O or the end of an entity.
        continuing (str): the roles of a later token. In every scheme they follow B or I of the same label.
        ending (str): the roles of the last token of an entity.
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
        """The number of tags of so many labels."""
        return len(self.roles) * n_labels + 1

    def n_labels(self, n_tags: int) -> int:
        """The number of labels that have so many tags."""
        return (n_tags - 1) // len(self.roles)

    def columns(self, role: str) -> slice:
        """The tags of one role, one for each label."""
        return slice(1 + self.roles.index(role), None, len(self.roles))

    def is_role(self, tags: Ints, roles: str) -> Bools:
        """Whether each tag has one of the roles."""
        wanted = np.array([role in roles for role in self.roles])
        return (tags > 0) & wanted[(tags - 1) % len(self.roles)]

    def label_of(self, tags: Ints) -> Ints:
        """The label number of each tag; -1 for O and MISSING."""
        return np.where(tags > 0, (tags - 1) // len(self.roles), -1)

    def tag_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The tags in the order of their numbers: ``("O", "B-PER", "I-PER", ...)``."""
        return ("O", *(f"{role}-{label}" for label in labels for role in self.roles))


BIO = Scheme("bio", opening="B", continuing="I", ending="BI")
BILUO = Scheme("biluo", opening="BU", continuing="IL", ending="LU")
SCHEMES = {scheme.name: scheme for scheme in (BIO, BILUO)}


def spans_to_tags(spans: Spans, length: int, default: int = OUTSIDE, scheme: Scheme = BIO) -> Ints:
    """Encode entities as tags.

    Args:
        spans (Spans): the entities, which do not overlap.
        length (int): the number of tokens.
        default (int): the tag of tokens outside of all entities.
        scheme (Scheme): the tag scheme.

    Returns:
        Ints: (length,) the tags.
    """
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
    """Decode the entities of a batch of legal sequences of tags.

    Args:
        tags (Ints): (N,) the tags. They are legal, so that `illegal_rows` finds none. MISSING counts as O.
        starts (Ints): (n_sequences,) the first row of each sequence. No entity crosses it.
        scheme (Scheme): the tag scheme.

    Returns:
        Spans: the entities.
    """
    continues = np.zeros(len(tags) + 1, dtype=bool)
    continues[:-1] = scheme.is_role(tags, scheme.continuing)
    continues[starts] = False
    first = np.flatnonzero(scheme.is_role(tags, scheme.opening))
    last = np.flatnonzero((tags > 0) & ~continues[1:])
    return Spans(first, last + 1, scheme.label_of(tags[first]))


def illegal_rows(tags: Ints, starts: Ints, scheme: Scheme = BIO) -> Ints:
    """Find tags that cannot follow the tag before them, or cannot end their sequence.

    In BIO, these are the I-k that do not follow B-k or I-k of their own sequence.

    Args:
        tags (Ints): (N,) the tags. MISSING counts as O.
        starts (Ints): (n_sequences,) the first row of each sequence.
        scheme (Scheme): the tag scheme.

    Returns:
        Ints: the rows of these tags.
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
