"""What the other occurrences of a word in its document say.

A name is often introduced where the context tells what it is ("Sharon, the minister, ...") and then used where it does
not. So every token gets, beside its own hidden state, the largest value of each hidden unit over all tokens of its
document with the same lower-cased text; in headlines that is often the only clue. Non-local information of this kind
goes back to Chieu & Ng 2002 and Krishnan & Manning 2006.

Notation
--------
n_tokens     tokens of all docs of the batch, laid end to end
O            width of the hidden states H (n_tokens, O)
group        the tokens of one doc, and within it of one stretch of `reach` tokens, that have the same lower-cased text
G            number of groups
M (G, O)     the maximum over the tokens of each group
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from thinc.api import get_array_module
from thinc.types import Floats2d

from .embed import Lexemes
from .packed import Rows

Backprop = Callable[[Any], Any]


@dataclass(frozen=True)
class Groups:
    """The groups of a batch.

    of_token (n_tokens,): the group of each token. order (n_tokens,): the tokens, group by group. starts (G,): where
    each group begins in that order.
    """

    of_token: Rows
    order: Rows
    starts: Rows


def group_occurrences(lexemes: Lexemes, reach: int) -> Groups:
    """The groups of a batch. reach: tokens of a stretch, so that a document of any length takes bounded memory."""
    total = int(lexemes.lengths.sum())
    ends = np.cumsum(lexemes.lengths)
    position = np.arange(total) - np.repeat(ends - lexemes.lengths, lexemes.lengths)
    stretches = -(-lexemes.lengths // reach)
    stretch = np.repeat(np.cumsum(stretches) - stretches, lexemes.lengths) + position // reach
    word = np.unique(lexemes.lowers, return_inverse=True)[1].reshape(-1)[lexemes.rows]
    key = stretch * (int(word.max(initial=0)) + 1) + word
    order = np.argsort(key, kind="stable")
    is_start = np.ones(total, dtype=bool)
    is_start[1:] = np.diff(key[order]) != 0
    of_token = np.empty(total, dtype=np.int64)
    of_token[order] = np.cumsum(is_start) - 1
    return Groups(of_token, order, np.flatnonzero(is_start))


def beside_maximum(H: Floats2d, groups: Groups) -> tuple[Floats2d, Backprop]:
    """(n_tokens, 2·O) Each token's hidden state and, beside it, the maximum of its group.

    The gradient of a maximum goes to the tokens that reach it, in equal parts.
    """
    xp, width = get_array_module(H), H.shape[1]
    of_token = xp.asarray(groups.of_token)
    M = _maxima(H, groups, of_token)[of_token]

    def backprop(dY: Floats2d) -> Floats2d:
        reaches = (H == M).astype(H.dtype)
        share = (_sums(dY[:, width:], groups, of_token) / _sums(reaches, groups, of_token))[of_token]
        share *= reaches
        share += dY[:, :width]
        return share

    return cast(Floats2d, xp.concatenate([H, M], axis=1)), backprop


def _maxima(X: Any, groups: Groups, of_token: Any) -> Any:
    """(G, O) The maximum of each group."""
    if isinstance(X, np.ndarray):
        return np.maximum.reduceat(X[groups.order], groups.starts, axis=0) if len(X) else X
    return _by_scatter(X, groups, of_token, "scatter_max", -np.inf)


def _sums(X: Any, groups: Groups, of_token: Any) -> Any:
    """(G, O) The sum of each group."""
    if isinstance(X, np.ndarray):
        return np.add.reduceat(X[groups.order], groups.starts, axis=0) if len(X) else X
    return _by_scatter(X, groups, of_token, "scatter_add", 0.0)


def _by_scatter(X: Any, groups: Groups, of_token: Any, name: str, start: float) -> Any:
    """CuPy has no reduceat, but scatters. of_token: that of the groups, where X is."""
    import cupyx

    xp = get_array_module(X)
    out = xp.full((len(groups.starts), X.shape[1]), start, dtype=X.dtype)
    getattr(cupyx, name)(out, of_token, X)
    return out
