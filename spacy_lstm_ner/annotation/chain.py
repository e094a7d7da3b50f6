"""The tokens of a batch of docs that get tags, and what earlier annotation allows them to be.

Notation
--------
N  tokens of all docs of the batch, laid end to end
M  those of them that are not white space. The chain of tags runs over these, so that no entity starts or ends on white
   space; white space between two tokens of an entity belongs to the entity
"""

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE, IS_SPACE, SENT_START
from spacy.tokens import Doc

from ..tags import Scheme
from ..types import Array, Bools, Ints

IOB_MISSING, IOB_INSIDE, IOB_OUTSIDE, IOB_BEGIN = 0, 1, 2, 3
"""spaCy's values of ENT_IOB. IOB_BEGIN without an entity type marks a blocked token."""

ENTITIES, BLOCKED, NOTHING = "entities", "blocked tokens", "nothing"
"""What of `doc.ents` counts as given: entities and blocked tokens, blocked tokens only, or nothing."""


class ChainTokens(NamedTuple):
    """The tokens that get tags, and the constraints on their tags.

    Attributes:
        rows (Ints): (M,) The token of each, as a number from 0 to N - 1.
        lengths (Ints): (n_docs,) How many of them each doc has.
        outside (Bools): (M,) Tokens that can only be O, since a given entity or a blocked token is there.
        separate (Bools): (M,) Tokens that cannot continue an entity.
    """

    rows: Ints
    lengths: Ints
    outside: Bools
    separate: Bools

    @property
    def starts(self) -> Ints:
        """(n_docs,) Where the tokens of each doc begin among the M."""
        return np.cumsum(self.lengths) - self.lengths

    def allowed(self, scheme: Scheme, n_tags: int) -> Optional[Bools]:
        """(M, n_tags) The tags that each token may take; None if every token may take every tag."""
        if not self.outside.any() and not self.separate.any():
            return None
        mask = np.ones((len(self.rows), n_tags), dtype=bool)
        mask[self.outside, 1:] = False
        continuing = np.flatnonzero(scheme.is_role(np.arange(n_tags), scheme.continuing))
        mask[np.flatnonzero(self.separate)[:, None], continuing] = False
        return mask


def chain_tokens(docs: Sequence[Doc], sentence_boundaries: bool = False, given: str = ENTITIES) -> ChainTokens:
    """Find the tokens of the docs that get tags, and their constraints.

    Args:
        docs (Sequence[Doc]): The docs.
        sentence_boundaries (bool): Whether an entity must end where a sentence ends, as far as boundaries are set.
        given (str): What of `doc.ents` stays as it is: ENTITIES, BLOCKED or NOTHING.

    Returns:
        ChainTokens: The tokens.
    """
    attrs = [ENT_IOB, IS_SPACE, SENT_START, ENT_TYPE]
    arrays = [doc.to_array(attrs) for doc in docs if len(doc)]
    table = np.concatenate(arrays) if arrays else np.zeros((0, 4), dtype=np.uint64)
    preset = is_given(table[:, 0], table[:, 3], given)
    rows = np.flatnonzero(table[:, 1] == 0)
    ends = np.cumsum([len(doc) for doc in docs])
    lengths = np.diff(np.searchsorted(rows, ends), prepend=0)
    separate = np.zeros(len(rows), dtype=bool)
    if sentence_boundaries:
        # A sentence may start on white space, too.
        separate |= table[rows, 2] == 1
        begun = np.cumsum(table[:, 2] == 1)
        separate[1:] |= np.diff(begun[rows]) > 0
    if preset.any() and len(rows) < len(table):
        # Given white space separates the tokens around it.
        taken = np.cumsum(preset & (table[:, 1] == 1))
        separate[1:] |= np.diff(taken[rows]) > 0
    return ChainTokens(rows, lengths, preset[rows], separate)


def is_given(iob: Array, types: Array, given: str) -> Bools:
    """(N,) Where `doc.ents` has something that counts as given. iob, types: the values of ENT_IOB and ENT_TYPE."""
    if given == ENTITIES:
        return is_taken(iob)
    blocked: Bools = (iob == IOB_BEGIN) & (types == 0)
    return blocked if given == BLOCKED else np.zeros_like(blocked)


def is_taken(iob: Array) -> Bools:
    """(N,) Where a token is in an entity, or blocked. iob: the values of ENT_IOB."""
    taken: Bools = (iob == IOB_INSIDE) | (iob == IOB_BEGIN)
    return taken
