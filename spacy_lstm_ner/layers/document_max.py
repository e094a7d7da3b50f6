"""The maximum of the hidden states over all occurrences of a word in a document.

A document often introduces a name in a clear context ("Sharon, the minister, ...") and later repeats it in a context
that tells nothing. In headlines, other occurrences are often the only clue. So every token gets, in addition to its own
hidden state, the largest value of each hidden unit over all tokens of its document with the same lower-cased text.
Chieu & Ng (2002) and Krishnan & Manning (2006) use non-local information of this kind.

Notation
--------
n_tokens     tokens of all docs of the batch, concatenated
O            width of the hidden states H (n_tokens, O)
section      a doc, or a part of a long doc; see `tok2vec`
group        the tokens of one section that have the same lower-cased text
G            number of groups
M (G, O)     the maximum over the tokens of each group
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from thinc.api import get_array_module
from thinc.types import Floats2d

from ..arrays import take_rows
from ..types import Array, Ints
from .embed.lexemes import Lexemes

FEW_TOKENS = 128
"""The largest number of tokens for which NumPy's `reduceat` finds the maxima faster than pairs of rows do."""


class Level(NamedTuple):
    """One level of the reduction of all groups at once: the rows of each group are combined in pairs.

    Rows are numbered as in the level before. The rows of this level are the pairs, followed by the odd ones.

    Attributes:
        finished (Ints): The groups that have a single row left.
        alone (Ints): These rows, which are the results of the groups.
        left (Ints): The first row of each pair.
        right (Ints): The second row of each pair.
        odd (Ints): The last row of each other group with an odd number of rows.
    """

    finished: Ints
    alone: Ints
    left: Ints
    right: Ints
    odd: Ints


@dataclass(frozen=True)
class Groups:
    """The groups of a batch.

    Attributes:
        of_token (Ints): (n_tokens,) The group of each token.
        order (Ints): (n_tokens,) The numbers of the tokens, group by group.
        starts (Ints): (G,) The place of the first token of each group in `order`.
    """

    of_token: Ints
    order: Ints
    starts: Ints

    @cached_property
    def levels(self) -> list[Level]:
        """The levels of the reduction. The rows before the first level are the tokens."""
        group: Ints = np.arange(len(self.starts))
        rows = self.order
        sizes = np.diff(self.starts, append=len(self.order))
        levels = []
        while len(rows):
            rank = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            size = np.repeat(sizes, sizes)
            is_left = (rank % 2 == 0) & (rank + 1 < size)
            is_odd = (rank % 2 == 0) & (rank + 1 == size) & (size > 1)
            left = np.flatnonzero(is_left)
            levels.append(Level(group[sizes == 1], rows[size == 1], rows[left], rows[left + 1], rows[is_odd]))
            # The rows of the next level by their numbers, still group by group.
            kept = is_left | is_odd
            rows = np.where(is_left, np.cumsum(is_left) - 1, len(left) + np.cumsum(is_odd) - 1)[kept]
            group, sizes = group[sizes > 1], (sizes[sizes > 1] + 1) // 2
        return levels


def group_occurrences(lexemes: Lexemes) -> Groups:
    """Find the groups of a batch.

    Args:
        lexemes (Lexemes): The words of the batch. Its `lengths` are the lengths of the sections.

    Returns:
        Groups: The groups.
    """
    n_tokens, n_sections = len(lexemes.rows), len(lexemes.lengths)
    key: Array = lexemes.lowers
    if n_sections == 1:
        key = key[lexemes.rows]
    else:
        word = np.unique(key, return_inverse=True)[1].reshape(-1)[lexemes.rows]
        section = np.repeat(np.arange(n_sections), lexemes.lengths)
        key = section * (int(word.max(initial=0)) + 1) + word
    order = np.argsort(key, kind="stable")
    is_start, in_order = np.ones(n_tokens, dtype=bool), key[order]
    np.not_equal(in_order[1:], in_order[:-1], out=is_start[1:])
    of_token = np.empty(n_tokens, dtype=np.int64)
    of_token[order] = np.cumsum(is_start) - 1
    return Groups(of_token, order, np.flatnonzero(is_start))


class StatesAndMaxima(NamedTuple):
    """The output for a batch of tokens, (n_tokens, 2·O): each hidden state, followed by the maximum of its group.

    The maxima are stored once for each group.

    Attributes:
        H (Floats2d): (n_tokens, O) The hidden states.
        M (Floats2d): (G, O) The maxima.
        of_token (Array): (n_tokens,) The group of each token, on the device of H.
    """

    H: Floats2d
    M: Floats2d
    of_token: Array

    def to_array(self) -> Floats2d:
        """(n_tokens, 2·O) The output as one array."""
        xp = get_array_module(self.H)
        return xp.concatenate([self.H, take_rows(xp, self.M, self.of_token)], axis=1)

    def times(self, W: Floats2d) -> Floats2d:
        """(n_tokens, n) The output times a matrix W (2·O, n). The maximum of a group is multiplied only once."""
        xp, width = get_array_module(self.H), self.H.shape[1]
        product = self.H @ W[:width]
        product += take_rows(xp, self.M @ W[width:], self.of_token)
        return product


def with_maxima(H: Floats2d, groups: Groups) -> StatesAndMaxima:
    """Add to each hidden state the maximum of its group.

    Args:
        H (Floats2d): (n_tokens, O) The hidden states.
        groups (Groups): The groups of the batch.

    Returns:
        StatesAndMaxima: The states and the maxima.
    """
    of_token = get_array_module(H).asarray(groups.of_token)
    return StatesAndMaxima(H, _maxima(H, groups, of_token), of_token)


def backprop_maxima(output: StatesAndMaxima, dY: Floats2d, groups: Groups) -> Floats2d:
    """Compute the gradient of the hidden states from the gradient of the output.

    The gradient of a maximum goes to the tokens that have this value, in equal shares.

    Args:
        output (StatesAndMaxima): The result of `with_maxima`.
        dY (Floats2d): (n_tokens, 2·O) The gradient of `output.to_array()`.
        groups (Groups): The groups of the batch.

    Returns:
        Floats2d: (n_tokens, O) The gradient of H.
    """
    H, M, of_token = output
    xp, width = get_array_module(dY), dY.shape[1] // 2
    is_maximum: Array = take_rows(xp, M, of_token) == H
    is_maximum = is_maximum.astype(H.dtype)
    share = _sums(dY[:, width:], groups, of_token) / _sums(is_maximum, groups, of_token)
    dH = take_rows(xp, share, of_token)
    dH *= is_maximum
    dH += dY[:, :width]
    return dH


def _maxima(X: Array, groups: Groups, of_token: Array) -> Array:
    """(G, O) The maximum of each group."""
    if isinstance(X, np.ndarray):
        return _reduce(np.maximum, X, groups)
    return _scatter("scatter_max", X, groups, of_token, -np.inf)


def _sums(X: Array, groups: Groups, of_token: Array) -> Array:
    """(G, O) The sum of each group."""
    if isinstance(X, np.ndarray):
        return _reduce(np.add, X, groups)
    return _scatter("scatter_add", X, groups, of_token, 0.0)


def _reduce(operation: np.ufunc, X: Array, groups: Groups) -> Array:
    """Combine whole rows. NumPy's `reduceat` works element by element here, and takes ten times as long."""
    # No word occurs twice.
    if len(groups.starts) == len(X):
        return take_rows(np, X, groups.order)
    if operation is np.maximum and len(X) <= FEW_TOKENS:
        return np.maximum.reduceat(take_rows(np, X, groups.order), groups.starts)
    out = np.empty((len(groups.starts), X.shape[1]), dtype=X.dtype)
    for finished, alone, left, right, odd in groups.levels:
        out[finished] = take_rows(np, X, alone)
        level = np.empty((len(left) + len(odd), X.shape[1]), dtype=X.dtype)
        operation(take_rows(np, X, left), take_rows(np, X, right), out=level[: len(left)])
        level[len(left) :] = take_rows(np, X, odd)
        X = level
    return out


def _scatter(name: str, X: Array, groups: Groups, of_token: Array, start: float) -> Array:
    """Combine all tokens at once with an operation of CuPy. of_token: on the device of X."""
    import cupyx

    xp = get_array_module(X)
    out = xp.full((len(groups.starts), X.shape[1]), start, dtype=X.dtype)
    getattr(cupyx, name)(out, of_token, X)
    return out
