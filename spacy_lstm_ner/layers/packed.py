"""Sequences of unequal length as rows ordered by time step. Nothing is learned here.

Notation
--------
n_tokens  tokens of all sequences of the batch, one sequence after the other
window    the tokens that a recurrence runs through from its start state: a whole sequence, or a piece of a long one
          after the context tokens before it
B         number of windows. They are sorted by length, longest first
T         number of steps; with a single group, the length of the longest window
b_t       number of windows that are longer than t; it never grows with t
N         number of packed rows, the sum of the b_t. Step t has the rows offsets[t] : offsets[t+1], one for each window
          that still runs. The states before step t are therefore the first b_t rows of step t-1
group     windows that run together: all of them, or a limited number of consecutive ones in the sorted order. Each
          group has its own steps. The arrays of a small group fit the caches of a CPU
D         directions: 1, or 2 where the second reads each sequence from its end

The second direction reads the mirrored sequence, cut into the same windows. Its rows therefore have the same shape, and
one batched product per step computes both directions.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Optional

import numpy as np

from ..types import Array, Ints

FEW, SHORT, KEPT = 8, 128, 512
"""The largest numbers of sequences and of tokens of a batch whose order is kept, and the number of batches."""


@dataclass(frozen=True)
class Packed:
    """The index arrays of one batch, made by `pack`.

    Attributes:
        lengths (Ints): (n_sequences,) The number of tokens in each sequence.
        batch_sizes (Ints): (T,) The b_t.
        source (Ints): (D, N) The token that each packed row reads.
        target (Ints): (D, n_tokens) The packed row that holds the result of each token.
        group_starts (Ints): (n_groups,) The first step of each group.
    """

    lengths: Ints
    batch_sizes: Ints
    source: Ints
    target: Ints
    group_starts: Ints

    @property
    def n_directions(self) -> int:
        """D."""
        return len(self.source)

    @property
    def n_tokens(self) -> int:
        """The number of tokens of all sequences."""
        return self.target.shape[1]

    @property
    def n_rows(self) -> int:
        """N."""
        return self.source.shape[1]

    @cached_property
    def offsets(self) -> list[int]:
        """The first row of each step, followed by N: T + 1 numbers."""
        return [0, *np.cumsum(self.batch_sizes).tolist()]

    @cached_property
    def steps(self) -> list[tuple[int, int, int]]:
        """For each step: its first row, b_t, and the first row of the step before (-1 where a group starts)."""
        firsts = self.offsets[:-1]
        before = np.array([-1, *firsts[:-1]])[: len(firsts)]
        before[self.group_starts] = -1
        return list(zip(firsts, self.batch_sizes.tolist(), before.tolist(), strict=True))

    @cached_property
    def first_rows(self) -> Ints:
        """(B,) The rows of the first step of each group, one for each window."""
        starts = [np.arange(self.offsets[t], self.offsets[t + 1]) for t in self.group_starts.tolist()]
        return np.concatenate([np.zeros(0, dtype=np.int64), *starts])

    @cached_property
    def previous(self) -> Ints:
        """(N,) The row before each row in its window; for the first row of a window, the row itself."""
        back = np.roll(self.batch_sizes, 1)
        back[self.group_starts] = 0
        return np.arange(self.n_rows) - np.repeat(back, self.batch_sizes)

    @cached_property
    def context_rows(self) -> Optional[Array]:
        """(D, N) True at context rows, whose results are not used; None if there are no context rows."""
        if self.n_rows == self.n_tokens:
            return None
        context = np.ones(self.source.shape, dtype=bool)
        np.put_along_axis(context, self.target, False, axis=1)
        return context

    @cached_property
    def previous_or_start(self) -> Ints:
        """(N,) Like `previous`, but n_rows for the first row of a window."""
        rows = self.previous.copy()
        rows[self.first_rows] = self.n_rows
        return rows

    @cached_property
    def sequence_of_token(self) -> Ints:
        """(n_tokens,) The sequence that each token belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def _copies(self) -> dict[str, Array]:
        return {}

    def on(self, xp: Any, name: str) -> Array:
        """Get an attribute as an array of a module. For CuPy, it is copied once.

        Args:
            xp (Any): The module, NumPy or CuPy.
            name (str): The attribute, such as "source".

        Returns:
            Array: The array, or None if the attribute is None.
        """
        array = getattr(self, name)
        if xp is np or array is None:
            return array
        if name not in self._copies:
            self._copies[name] = xp.asarray(array)
        return self._copies[name]


def pack(lengths: Array, *, n_directions: int = 2, window: int = 0, context: int = 0, group: int = 0) -> Packed:
    """Order the tokens of a batch by time step.

    Args:
        lengths (Array): (n_sequences,) The number of tokens in each sequence. Zeros are allowed.
        n_directions (int): 1 or 2.
        window (int): The number of tokens in a window. Longer sequences are cut into windows. 0: never.
        context (int): The number of tokens before a window, in reading direction, that the recurrence runs through
            first.
        group (int): The largest number of windows that run together. 0: all.

    Returns:
        Packed: The index arrays of the batch.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    first_token = np.cumsum(lengths) - lengths
    sequence, begin, keep, end = _cut_into_windows(lengths, window, context)
    sizes = end - begin
    order = np.argsort(-sizes, kind="stable")
    sizes = sizes[order]
    # The sizes of groups differ by at most one window. In each group, the longest window comes first.
    n_groups = -(-len(sizes) // group) if group > 0 else min(len(sizes), 1)
    bounds = np.arange(n_groups + 1) * len(sizes) // max(n_groups, 1)
    n_steps = sizes[bounds[:-1]]
    group_starts = np.cumsum(n_steps) - n_steps
    steps = np.arange(n_steps.sum()) - np.repeat(group_starts, n_steps)
    batch_sizes = np.empty(len(steps), dtype=np.int64)
    for first, last, start, count in zip(bounds[:-1], bounds[1:], group_starts, n_steps, strict=True):
        ended = np.searchsorted(sizes[first:last][::-1], np.arange(count), side="right")
        batch_sizes[start : start + count] = last - first - ended
    offsets = np.cumsum(batch_sizes) - batch_sizes
    step = np.repeat(steps, batch_sizes)
    first_of_group = np.repeat(np.repeat(bounds[:-1], n_steps), batch_sizes)
    window_of_row = order[first_of_group + np.arange(len(step)) - np.repeat(offsets, batch_sizes)]
    position = begin[window_of_row] + step
    sequence_of_row = sequence[window_of_row]
    base, last_position = first_token[sequence_of_row], lengths[sequence_of_row] - 1
    source = np.empty((n_directions, len(step)), dtype=np.int64)
    source[0] = base + position
    if n_directions == 2:
        source[1] = base + last_position - position
    result_rows = np.flatnonzero(position >= keep[window_of_row])
    target = np.empty((n_directions, int(lengths.sum())), dtype=np.int64)
    for direction in range(n_directions):
        target[direction, source[direction, result_rows]] = result_rows
    return Packed(lengths, batch_sizes, source, target, group_starts)


def pack_on_cpu(lengths: Array, *, n_directions: int = 2, window: int = 0, context: int = 0, group: int = 0) -> Packed:
    """Order the tokens of a batch by time step, as `pack` does, and keep the result for later batches of these lengths.

    Only small batches are kept: there, the order takes as long as the computation. With a GPU, use `pack`, because the
    result holds copies on one device.

    Args:
        lengths (Array): (n_sequences,) The number of tokens in each sequence. The arguments are those of `pack`.
        n_directions (int): 1 or 2.
        window (int): The number of tokens in a window. 0: no windows.
        context (int): The number of tokens before each window.
        group (int): The largest number of windows that run together. 0: all.

    Returns:
        Packed: The index arrays of the batch. They must not be changed.
    """
    if len(lengths) <= FEW and lengths.sum() <= SHORT:
        return _pack_small(tuple(lengths.tolist()), n_directions, window, context, group)
    return pack(lengths, n_directions=n_directions, window=window, context=context, group=group)


@lru_cache(maxsize=KEPT)
def _pack_small(lengths: tuple[int, ...], n_directions: int, window: int, context: int, group: int) -> Packed:
    return pack(np.array(lengths), n_directions=n_directions, window=window, context=context, group=group)


def _cut_into_windows(lengths: Ints, window: int, context: int) -> tuple[Ints, Ints, Ints, Ints]:
    """For each window: its sequence, first position, first position after the context, and end. No window is empty."""
    size = window if window > 0 else max(int(lengths.max(initial=1)), 1)
    counts = -(-lengths // size)
    sequence = np.repeat(np.arange(len(lengths)), counts)
    keep = (np.arange(len(sequence)) - np.repeat(np.cumsum(counts) - counts, counts)) * size
    return sequence, np.maximum(keep - context, 0), keep, np.minimum(keep + size, lengths[sequence])
