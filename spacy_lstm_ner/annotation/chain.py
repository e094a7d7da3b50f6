"""The tokens of a batch of docs that get tags, and what earlier annotation allows them to be.

Notation
--------
N  tokens of all docs of the batch, concatenated
M  the tokens that are not white space. The chain of tags has only these, so that no entity starts or ends with white
   space. White space between two tokens of an entity belongs to the entity
"""

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE, IS_SPACE, LOWER, ORTH, SENT_START, SHAPE
from spacy.tokens import Doc

from ..tags import Scheme
from ..types import Array, Bools, Hashes, Ints

IOB_MISSING, IOB_INSIDE, IOB_OUTSIDE, IOB_BEGIN = 0, 1, 2, 3
"""spaCy's values of ENT_IOB. IOB_BEGIN without an entity type marks a blocked token."""

ENTITIES, BLOCKED, NOTHING = "entities", "blocked tokens", "nothing"
"""The part of `doc.ents` that counts as given: entities and blocked tokens, blocked tokens only, or nothing."""


class ChainTokens(NamedTuple):
    """The tokens that get tags, and the constraints on their tags.

    Attributes:
        rows (Ints): (M,) The number of each token among the N.
        lengths (Ints): (n_docs,) The number of these tokens in each doc.
        outside (Bools): (M,) Whether a token can only be O, because it is blocked or in a given entity.
        separate (Bools): (M,) Whether a token cannot continue an entity.
        words (Optional[Hashes]): (M, 3) The hashes of the word, its shape, and the lower-cased word, if wanted.
    """

    rows: Ints
    lengths: Ints
    outside: Bools
    separate: Bools
    words: Optional[Hashes] = None

    @property
    def starts(self) -> Ints:
        """(n_docs,) The row of the first token of each doc."""
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


def chain_tokens(
    docs: Sequence[Doc], sentence_boundaries: bool = False, given: str = ENTITIES, with_words: bool = False
) -> ChainTokens:
    """Find the tokens of the docs that get tags, and their constraints.

    Args:
        docs (Sequence[Doc]): The docs.
        sentence_boundaries (bool): Whether an entity must not cross a sentence start that is set in the docs.
        given (str): The part of `doc.ents` that stays as it is: ENTITIES, BLOCKED or NOTHING.
        with_words (bool): Whether the hashes of the words are wanted.

    Returns:
        ChainTokens: The tokens.
    """
    # Only what is needed: it takes time to read an attribute.
    attrs = [ENT_IOB, IS_SPACE]
    attrs += [SENT_START] * sentence_boundaries + [ENT_TYPE] * (given == BLOCKED) + [ORTH, SHAPE, LOWER] * with_words
    arrays = [doc.to_array(attrs) for doc in docs if len(doc)]
    table = np.concatenate(arrays) if arrays else np.zeros((0, len(attrs)), dtype=np.uint64)
    column = {attr: table[:, k] for k, attr in enumerate(attrs)}
    preset = is_given(column[ENT_IOB], column.get(ENT_TYPE), given)
    rows = np.flatnonzero(column[IS_SPACE] == 0)
    lengths = np.array([len(doc) for doc in docs], dtype=np.int64)
    if len(rows) < len(table):
        lengths = np.diff(np.searchsorted(rows, np.cumsum(lengths)), prepend=0)
    separate = np.zeros(len(rows), dtype=bool)
    if sentence_boundaries:
        # A sentence may also start with white space.
        separate |= column[SENT_START][rows] == 1
        begun = np.cumsum(column[SENT_START] == 1)
        separate[1:] |= np.diff(begun[rows]) > 0
    if preset.any() and len(rows) < len(table):
        # Given white space separates the tokens around it.
        taken = np.cumsum(preset & (column[IS_SPACE] == 1))
        separate[1:] |= np.diff(taken[rows]) > 0
    words = None if not with_words else table[:, -3:] if len(rows) == len(table) else table[rows, -3:]
    return ChainTokens(rows, lengths, preset[rows], separate, words)


def is_given(iob: Array, types: Array, given: str) -> Bools:
    """(N,) Whether a token counts as given in `doc.ents`. iob, types: ENT_IOB and, for BLOCKED, ENT_TYPE."""
    if given == ENTITIES:
        return is_taken(iob)
    blocked: Bools = (iob == IOB_BEGIN) & (types == 0)
    return blocked if given == BLOCKED else np.zeros_like(blocked)


def is_taken(iob: Array) -> Bools:
    """(N,) Whether a token is in an entity, or blocked. iob: the values of ENT_IOB."""
    taken: Bools = (iob == IOB_INSIDE) | (iob == IOB_BEGIN)
    return taken
