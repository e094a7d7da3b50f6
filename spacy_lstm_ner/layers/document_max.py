"""What the other occurrences of a word in its document say.

A name is often introduced where the context tells what it is ("Sharon, the minister, ...") and then used where it does
not. So every token gets, beside its own hidden state, the largest value of each hidden unit over all tokens of its
document with the same lower-cased text; in headlines that is often the only clue. Non-local information of this kind
goes back to Chieu & Ng 2002 and Krishnan & Manning 2006.

Notation
--------
n_tokens     tokens of all docs of the batch, laid end to end
O            width of the hidden states H (n_tokens, O)
stretch      a doc, or as many tokens of a long one as a batch is let have; see `tok2vec`
group        the tokens of one stretch that have the same lower-cased text
G            number of groups
M (G, O)     the maximum over the tokens of each group
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from thinc.api import get_array_module
from thinc.types import Floats2d

from ..arrays import take_rows
from ..types import Ints
from .embed.lexemes import Lexemes


class Level(NamedTuple):
    """One level of the tree by which the rows of all groups are reduced, two by two; see `Groups.levels`.

    Places among the rows of the level before: of those that are alone in their group, which are the results of the
    groups `finished`; of the `left` and `right` of each pair; and of the `odd` one of a group that has no partner. The
    rows of the level are the pairs, and then the odd ones.
    """

    finished: Ints
    alone: Ints
    left: Ints
    right: Ints
    odd: Ints


@dataclass(frozen=True)
class Groups:
    """The groups of a batch.

    of_token (n_tokens,): the group of each token. order (n_tokens,): the tokens, group by group. starts (G,): where
    each group begins in that order.
    """

    of_token: Ints
    order: Ints
    starts: Ints

    @cached_property
    def levels(self) -> list[Level]:
        """As many levels as the largest group has binary digits; the rows of the first are the tokens."""
        group, rows = np.arange(len(self.starts)), self.order
        sizes = np.diff(self.starts, append=len(self.order))
        levels = []
        while len(rows):
            rank = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            size = np.repeat(sizes, sizes)
            is_left = (rank % 2 == 0) & (rank + 1 < size)
            is_odd = (rank % 2 == 0) & (rank + 1 == size) & (size > 1)
            left = np.flatnonzero(is_left)
            levels.append(Level(group[sizes == 1], rows[size == 1], rows[left], rows[left + 1], rows[is_odd]))
            # Still group by group: the number of each row of the next level.
            kept = is_left | is_odd
            rows = np.where(is_left, np.cumsum(is_left) - 1, len(left) + np.cumsum(is_odd) - 1)[kept]
            group, sizes = group[sizes > 1], (sizes[sizes > 1] + 1) // 2
        return levels


def group_occurrences(lexemes: Lexemes) -> Groups:
    """The groups of a batch. The `lengths` of the lexemes are those of the stretches."""
    n_tokens, n_stretches = len(lexemes.rows), len(lexemes.lengths)
    word = np.unique(lexemes.lowers, return_inverse=True)[1].reshape(-1)[lexemes.rows]
    stretch = np.repeat(np.arange(n_stretches), lexemes.lengths)
    key = stretch * (int(word.max(initial=0)) + 1) + word
    order = np.argsort(key, kind="stable")
    is_start = np.ones(n_tokens, dtype=bool)
    is_start[1:] = np.diff(key[order]) != 0
    of_token = np.empty(n_tokens, dtype=np.int64)
    of_token[order] = np.cumsum(is_start) - 1
    return Groups(of_token, order, np.flatnonzero(is_start))


class Beside(NamedTuple):
    """Hidden states H (n_tokens, O), and beside each the maximum of its group: M (G, O), of_token (n_tokens,).

    of_token is where H is, on a GPU too.
    """

    H: Floats2d
    M: Floats2d
    of_token: Any

    def rows(self) -> Floats2d:
        """(n_tokens, 2·O) Both, written out."""
        xp = get_array_module(self.H)
        return cast(Floats2d, xp.concatenate([self.H, take_rows(xp, self.M, self.of_token)], axis=1))

    def times(self, W: Floats2d) -> Floats2d:
        """(n_tokens, n) `rows` times a matrix W (2·O, n), with a product for each group instead of each token."""
        xp, width = get_array_module(self.H), self.H.shape[1]
        product = self.H @ W[:width]
        product += take_rows(xp, self.M @ W[width:], self.of_token)
        return cast(Floats2d, product)


def beside_maximum(H: Floats2d, groups: Groups) -> Beside:
    """Each token's hidden state and, beside it, the maximum of its group."""
    of_token = get_array_module(H).asarray(groups.of_token)
    return Beside(H, _maxima(H, groups, of_token), of_token)


def maximum_backward(beside: Beside, dY: Floats2d, groups: Groups) -> Floats2d:
    """From the gradient dY (n_tokens, 2·O) of `Beside.rows` to that of H (n_tokens, O).

    The gradient of a maximum goes to the tokens that reach it, in equal parts.
    """
    H, xp, width = beside.H, get_array_module(dY), dY.shape[1] // 2
    reaches = (take_rows(xp, beside.M, beside.of_token) == H).astype(H.dtype)
    share = take_rows(
        xp, _sums(dY[:, width:], groups, beside.of_token) / _sums(reaches, groups, beside.of_token), beside.of_token
    )
    share *= reaches
    share += dY[:, :width]
    return cast(Floats2d, share)


def _maxima(X: Any, groups: Groups, of_token: Any) -> Any:
    """(G, O) The maximum of each group."""
    if isinstance(X, np.ndarray):
        return _reduced(np.maximum, X, groups)
    return _by_scatter(X, groups, of_token, "scatter_max", -np.inf)


def _sums(X: Any, groups: Groups, of_token: Any) -> Any:
    """(G, O) The sum of each group."""
    if isinstance(X, np.ndarray):
        return _reduced(np.add, X, groups)
    return _by_scatter(X, groups, of_token, "scatter_add", 0.0)


def _reduced(operation: np.ufunc, X: Any, groups: Groups) -> Any:
    """Whole rows at a time: NumPy's own reduceat works element by element here, which takes ten times as long."""
    out = np.empty((len(groups.starts), X.shape[1]), dtype=X.dtype)
    for finished, alone, left, right, odd in groups.levels:
        out[finished] = take_rows(np, X, alone)
        level = np.empty((len(left) + len(odd), X.shape[1]), dtype=X.dtype)
        operation(take_rows(np, X, left), take_rows(np, X, right), out=level[: len(left)])
        level[len(left) :] = take_rows(np, X, odd)
        X = level
    return out


def _by_scatter(X: Any, groups: Groups, of_token: Any, name: str, start: float) -> Any:
    """CuPy scatters at once. of_token: that of the groups, where X is."""
    import cupyx

    xp = get_array_module(X)
    out = xp.full((len(groups.starts), X.shape[1]), start, dtype=X.dtype)
    getattr(cupyx, name)(out, of_token, X)
    return out
