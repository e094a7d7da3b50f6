"""The tag codec: entity labels ↔ tags ↔ spans, in the schemes BIO and BILUO.

Notation
--------
L       number of entity labels; label k is a number in 0 .. L-1
role    the place of a token in its entity: B(egin), I(nside), L(ast), U(nit)
P       number of roles of a scheme: 2 for BIO, 4 for BILUO
tag     a number in 0 .. P·L: 0 is O, 1 + P·k + r is role number r of label k. For BIO: B-k is 2k+1, I-k is 2k+2
MISSING the tag -1 of a token that carries no annotation
N       number of tokens of all sequences of a batch, concatenated
starts  the rows of the first tokens of the sequences

A new label is appended, so the tags of the labels before it never change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from .types import Bools, Ints

OUTSIDE = 0
MISSING = -1


class Spans(NamedTuple):
    """Entities as three arrays of the same length, ordered by start.

    Attributes:
        starts (Ints): (n,) The first row of each entity.
        ends (Ints): (n,) The row after its last row.
        labels (Ints): (n,) The number of its label.
    """

    starts: Ints
    ends: Ints
    labels: Ints


@dataclass(frozen=True)
class Scheme:
    """A tag scheme: its roles, and which of them may follow each other.

    Attributes:
        name (str): The name of the scheme, "bio" or "biluo".
        opening (str): The roles of the first token of an entity. They follow O, or the end of another entity.
        continuing (str): The roles of its later tokens. They follow B or I of the same label.
        ending (str): The roles of its last token.
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
        """The number of tags for `n_labels` entity labels."""
        return len(self.roles) * n_labels + 1

    def n_labels(self, n_tags: int) -> int:
        """The number of entity labels for `n_tags` tags."""
        return (n_tags - 1) // len(self.roles)

    def columns(self, role: str) -> slice:
        """The tags of one role, one for each label."""
        return slice(1 + self.roles.index(role), None, len(self.roles))

    def is_role(self, tags: Ints, roles: str) -> Bools:
        """Whether each tag has one of the roles."""
        return (tags > 0) & _roles_mask(self.roles, roles)[(tags - 1) % len(self.roles)]

    def label_of(self, tags: Ints) -> Ints:
        """The label number of each tag; -1 for O and MISSING."""
        return np.where(tags > 0, (tags - 1) // len(self.roles), -1)

    def tag_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The tags in the order of their numbers: ``("O", "B-PER", "I-PER", ...)``."""
        return ("O", *(f"{role}-{label}" for label in labels for role in self.roles))


@cache
def _roles_mask(all_roles: str, roles: str) -> Bools:
    return np.array([role in roles for role in all_roles])


BIO = Scheme("bio", opening="B", continuing="I", ending="BI")
BILUO = Scheme("biluo", opening="BU", continuing="IL", ending="LU")
SCHEMES = {scheme.name: scheme for scheme in (BIO, BILUO)}


def spans_to_tags(spans: Spans, length: int, default: int = OUTSIDE, scheme: Scheme = BIO) -> Ints:
    """Turn entities into tags.

    Args:
        spans (Spans): The entities, which do not overlap.
        length (int): The number of tokens.
        default (int): The tag of the tokens outside of entities.
        scheme (Scheme): The tag scheme.

    Returns:
        Ints: (length,) The tags.
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
    """Turn the tags of a batch of sequences into entities.

    Args:
        tags (Ints): (N,) The tags. They are legal: `illegal_rows` finds none. MISSING counts as O.
        starts (Ints): (n_sequences,) The rows of the first tokens of the sequences. No entity crosses them.
        scheme (Scheme): The tag scheme.

    Returns:
        Spans: The entities.
    """
    continues = np.zeros(len(tags) + 1, dtype=bool)
    continues[:-1] = scheme.is_role(tags, scheme.continuing)
    continues[starts] = False
    first = np.flatnonzero(scheme.is_role(tags, scheme.opening))
    last = np.flatnonzero((tags > 0) & ~continues[1:])
    return Spans(first, last + 1, scheme.label_of(tags[first]))


def illegal_rows(tags: Ints, starts: Ints, scheme: Scheme = BIO) -> Ints:
    """Find tags that cannot follow the tag before them, or cannot be the last of their sequence.

    In BIO, these are the I-k that do not follow B-k or I-k in their sequence.

    Args:
        tags (Ints): (N,) The tags. MISSING counts as O.
        starts (Ints): (n_sequences,) The rows of the first tokens of the sequences.
        scheme (Scheme): The tag scheme.

    Returns:
        Ints: The rows of these tags.
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
