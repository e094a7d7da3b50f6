"""Rows of arrays taken, added and summed, on NumPy and CuPy alike."""

from typing import Any, List, Optional

import numpy as np
from thinc.api import Ops
from thinc.types import Floats2d

from .types import Array, Ints


def split_rows(data: Any, lengths: Ints) -> list[Any]:
    """One view for each sequence into the rows of all of them."""
    ends = np.cumsum(lengths).tolist()
    return [data[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def take_rows(xp: Any, table: Array, rows: Array, out: Optional[Array] = None) -> Array:
    """table[rows] for rows of any shape that are known to be in range."""
    if xp is np:
        # The default mode of NumPy's take checks first, and goes through a buffer.
        return table.take(rows, axis=0, out=out, mode="clip")
    return table.take(xp.asarray(rows), axis=0, out=out)


def row_maxima(table: Array) -> Array:
    """(n,) The largest number of each row of (n, k)."""
    # NumPy is slow at many short rows, and fast at few long ones.
    return np.ascontiguousarray(table.T).max(axis=0)


def add_rows(xp: Any, table: Array, rows: Ints, values: Array, may_repeat: bool) -> None:
    """table[rows] += values; if rows `may_repeat`, all values of a row are added."""
    if xp is not np:
        import cupyx

        cupyx.scatter_add(table, rows, values)
        return
    for chosen in _without_repetition(rows) if may_repeat else [slice(None)]:
        index = rows[chosen]
        total = take_rows(xp, table, index)
        total += values[chosen]
        table[index] = total


def _without_repetition(rows: Ints) -> List[Ints]:
    """Sets of positions that cover all `rows`, with no row twice in a set."""
    order = np.argsort(rows, kind="stable")
    first = np.flatnonzero(np.diff(rows[order], prepend=-1))
    repetition = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    return [order[repetition == k] for k in range(int(repetition.max(initial=-1)) + 1)]


def sum_by_row(ops: Ops, d_tokens: Floats2d, rows: Ints, n: int) -> Floats2d:
    """(n_tokens, O) -> (n, O): the gradients of a word's tokens, summed."""
    total = ops.alloc2f(n, d_tokens.shape[1], dtype=d_tokens.dtype)
    if len(rows):
        ops.scatter_add(total, ops.asarray1i(rows.astype("int32")), d_tokens)
    return total


def ranges(starts: Ints, ends: Ints) -> Ints:
    """The numbers from each start to its end, one after the other."""
    sizes = ends - starts
    return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))
