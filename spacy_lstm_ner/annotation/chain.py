"""What documents say of entities, read into arrays and written back.

Notation
--------
N  tokens of all docs of the batch, laid end to end
M  those of them that are not white space: the chain of tags runs over these, so that no entity can start or end on
   white space; white space between two tokens of an entity belongs to it
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_IOB, ENT_TYPE, IS_SPACE, SENT_START
from spacy.tokens import Doc

from ..tags import Scheme
from ..types import Bools, Ints

IOB_MISSING, IOB_INSIDE, IOB_OUTSIDE, IOB_BEGIN = 0, 1, 2, 3
"""spaCy's values of ENT_IOB. IOB_BEGIN without a type marks a token that may not be in an entity."""


ENTITIES, BLOCKED, NOTHING = "entities", "blocked tokens", "nothing"
"""What of `doc.ents` counts as given: entities and blocked tokens, blocked tokens alone, or nothing."""


class ChainTokens(NamedTuple):
    """The tokens that get tags, and what they may be.

    rows (M,): the token of each. lengths (n_docs,): how many each doc has.
    outside (M,): tokens that already are in an entity or were blocked, as far as that counts; they can only be O.
    separate (M,): tokens that cannot continue an entity.
    """

    rows: Ints
    lengths: Ints
    outside: Bools
    separate: Bools

    def allowed(self, scheme: Scheme, n_tags: int) -> Optional[Bools]:
        """(M, n_tags) The tags that each token may take; None if it is all of them everywhere."""
        if not self.outside.any() and not self.separate.any():
            return None
        mask = np.ones((len(self.rows), n_tags), dtype=bool)
        mask[self.outside, 1:] = False
        continuing = np.flatnonzero(scheme.is_role(np.arange(n_tags), scheme.continuing))
        mask[np.flatnonzero(self.separate)[:, None], continuing] = False
        return mask


def given_for(cfg: Mapping[str, Any]) -> str:
    """What of `doc.ents` counts as given for a component with these settings."""
    if cfg["annotate"] == "spans":
        return NOTHING
    return BLOCKED if cfg["overwrite"] else ENTITIES


def chain_tokens(docs: Sequence[Doc], sentence_boundaries: bool = False, given: str = ENTITIES) -> ChainTokens:
    """The tokens of the docs that get tags.

    sentence_boundaries: whether an entity must not go on across the start of a sentence, where one is set.
    given: what of `doc.ents` is: ENTITIES, BLOCKED or NOTHING.
    """
    attrs = [ENT_IOB, IS_SPACE, SENT_START, ENT_TYPE]
    arrays = [doc.to_array(attrs) for doc in docs if len(doc)]
    table = np.concatenate(arrays) if arrays else np.zeros((0, 4), dtype=np.uint64)
    preset = _is_given(table[:, 0], table[:, 3], given)
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
        # White space that is taken parts its neighbours.
        taken = np.cumsum(preset & (table[:, 1] == 1))
        separate[1:] |= np.diff(taken[rows]) > 0
    return ChainTokens(rows, lengths, preset[rows], separate)


def _is_given(iob: NDArray[Any], types: NDArray[Any], given: str) -> Bools:
    if given == ENTITIES:
        return _is_taken(iob)
    blocked = (iob == IOB_BEGIN) & (types == 0)
    return blocked if given == BLOCKED else np.zeros_like(blocked)


def _is_taken(iob: NDArray[Any]) -> Bools:
    """Where a token is in an entity, or blocked."""
    return (iob == IOB_INSIDE) | (iob == IOB_BEGIN)
