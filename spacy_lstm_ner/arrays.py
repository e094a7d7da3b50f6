"""Helpers for the rows of arrays: split, take, add and sum them. They run on NumPy and CuPy alike."""

from typing import Any, List, Optional

import numpy as np
from thinc.api import Ops
from thinc.types import Floats2d

from .types import Array, Ints


def split_rows(data: Array, lengths: Ints) -> List[Any]:
    """Views of the rows of each sequence.

    Args:
        data (Array): (n, ...) The rows of all sequences, one sequence after the other.
        lengths (Ints): (n_sequences,) Rows of each sequence.

    Returns:
        List[Any]: One view (length, ...) for each sequence.
    """
    ends = np.cumsum(lengths).tolist()
    return [data[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def take_rows(xp: Any, table: Array, rows: Array, out: Optional[Array] = None) -> Array:
    """Compute table[rows], without a check that the rows are in range.

    Args:
        xp (Any): The module of the arrays, NumPy or CuPy.
        table (Array): (n, ...) The rows to choose from.
        rows (Array): Integers of any shape.
        out (Optional[Array]): Where to write the result; by default, a new array.

    Returns:
        Array: The rows, of shape rows.shape + table.shape[1:].
    """
    if xp is np:
        # NumPy's default mode checks the indices first and writes through a buffer.
        return table.take(rows, axis=0, out=out, mode="clip")
    return table.take(xp.asarray(rows), axis=0, out=out)


def row_maxima(table: Array) -> Array:
    """(n,) The largest number of each row of (n, k)."""
    # NumPy is slow for many short rows and fast for few long ones.
    return np.ascontiguousarray(table.T).max(axis=0)


def add_rows(xp: Any, table: Array, rows: Ints, values: Array, may_repeat: bool) -> None:
    """Add values to rows of an array in place: table[rows] += values.

    Args:
        xp (Any): The module of `table` and `values`, NumPy or CuPy.
        table (Array): (n, k) The array to add to.
        rows (Ints): (m,) The row of each value.
        values (Array): (m, k) The values to add.
        may_repeat (bool): Whether a row may occur more than once in `rows`. All of its values are then added.
    """
    if xp is not np:
        import cupyx

        cupyx.scatter_add(table, rows, values)
        return
    for chosen in _without_repetition(rows) if may_repeat else [slice(None)]:
        index = rows[chosen]
        total = take_rows(xp, table, index)
        total += values[chosen]
        table[index] = total


def _without_repetition(rows: Ints) -> List[Array]:
    """Sets of positions that cover all `rows`, with no row twice in a set."""
    order = np.argsort(rows, kind="stable")
    first = np.flatnonzero(np.diff(rows[order], prepend=-1))
    repetition = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    return [order[repetition == k] for k in range(int(repetition.max(initial=-1)) + 1)]


def sum_by_row(ops: Ops, d_tokens: Floats2d, rows: Ints, n: int) -> Floats2d:
    """Sum the gradients of all tokens that share a row.

    Args:
        ops (Ops): Thinc's operations for the device of `d_tokens`.
        d_tokens (Floats2d): (n_tokens, O) The gradient of each token.
        rows (Ints): (n_tokens,) The row of each token.
        n (int): The number of rows.

    Returns:
        Floats2d: (n, O) The sums; zeros for a row without tokens.
    """
    total = ops.alloc2f(n, d_tokens.shape[1], dtype=d_tokens.dtype)
    if len(rows):
        indices: Array = rows.astype("int32")
        ops.scatter_add(total, ops.asarray1i(indices), d_tokens)
    return total


def ranges(starts: Ints, ends: Ints) -> Ints:
    """The integers from each start up to its end (exclusive), one range after the other."""
    sizes = ends - starts
    return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))
