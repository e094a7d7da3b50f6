"""Sequences of unequal length as rows ordered by time step. Nothing is learned here.

Notation
--------
n_tokens  tokens of all sequences of the batch, laid end to end
segment   what the recurrence runs through in one go: a whole sequence, or a window of it with its context in front
B         number of segments, sorted by length, longest first
T         number of steps. In one group: the length of the longest segment
b_t       number of segments that are longer than t; it never grows with t
N         sum of the b_t: packed rows. Step t owns rows offsets[t] : offsets[t+1], one for each segment still running,
          so that step t's predecessor state is simply the first b_t rows of step t-1
group     segments that run together. By default all do; else the sorted segments are cut into groups of at most so
          many, one after the other, each with steps of its own. What a group works on fits the caches of a CPU
D         directions: 1, or 2 where the second reads each sequence from its end

The second direction runs through the mirrored sequence in the same segments. Its rows therefore have the same shape,
and both directions can be computed in one batched product a step.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional

import numpy as np

from ..types import Ints


@dataclass(frozen=True)
class Packed:
    """The index arrays of one batch.

    lengths (n_sequences,): tokens of each sequence.
    batch_sizes (T,): b_t.
    source (D, N): the token that each packed row reads.
    target (D, n_tokens): the packed row that holds each token's result.
    group_starts (n_groups,): the first step of each group.
    """

    lengths: Ints
    batch_sizes: Ints
    source: Ints
    target: Ints
    group_starts: Ints

    @property
    def n_directions(self) -> int:
        return len(self.source)

    @property
    def n_tokens(self) -> int:
        return self.target.shape[1]

    @property
    def n_rows(self) -> int:
        return self.source.shape[1]

    @cached_property
    def offsets(self) -> list[int]:
        """T + 1 numbers: the first row of each step, and N."""
        return [0, *np.cumsum(self.batch_sizes).tolist()]

    @cached_property
    def steps(self) -> list[tuple[int, int, int]]:
        """First row, b_t, and first row of the step before (-1 where a group starts) of each step."""
        firsts = self.offsets[:-1]
        before = np.array([-1, *firsts[:-1]])[: len(firsts)]
        before[self.group_starts] = -1
        return list(zip(firsts, self.batch_sizes.tolist(), before.tolist(), strict=True))

    @cached_property
    def first_rows(self) -> Ints:
        """(B,) The rows of the first step of each group: one for each segment."""
        starts = [np.arange(self.offsets[t], self.offsets[t + 1]) for t in self.group_starts.tolist()]
        return np.concatenate([np.zeros(0, dtype=np.int64), *starts])

    @cached_property
    def previous(self) -> Ints:
        """(N,) The row before each row in its segment; for the first row of a segment the row itself."""
        back = np.roll(self.batch_sizes, 1)
        back[self.group_starts] = 0
        return np.arange(self.n_rows) - np.repeat(back, self.batch_sizes)

    @cached_property
    def context_rows(self) -> Optional[Ints]:
        """(D, N) True at rows that only warm the state up; None where there is none of them."""
        if self.n_rows == self.n_tokens:
            return None
        context = np.ones(self.source.shape, dtype=bool)
        np.put_along_axis(context, self.target, False, axis=1)
        return context

    @cached_property
    def previous_or_start(self) -> Ints:
        """(N,) As `previous`, but n_rows for the first row of a segment."""
        rows = self.previous.copy()
        rows[self.first_rows] = self.n_rows
        return rows

    @cached_property
    def sequence_of_token(self) -> Ints:
        """(n_tokens,) The sequence that each token belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def _copies(self) -> dict[str, Any]:
        return {}

    def on(self, xp: Any, name: str) -> Any:
        """The array `name` of a batch as an array of xp: itself, or on a GPU a copy that is made once."""
        array = getattr(self, name)
        if xp is np or array is None:
            return array
        if name not in self._copies:
            self._copies[name] = xp.asarray(array)
        return self._copies[name]


def pack(lengths: Ints, *, n_directions: int = 2, window: int = 0, context: int = 0, group: int = 0) -> Packed:
    """Order the tokens of a batch by time step.

    lengths (n_sequences,): tokens of each sequence; zeros are allowed.
    n_directions: 1 or 2.
    window: a sequence of more than this many tokens is cut into windows of this many (0: never).
    context: tokens in front of a window, in reading direction, that the recurrence runs through before it.
    group: the most segments that run together (0: all).
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    first_token = np.cumsum(lengths) - lengths
    sequence, begin, keep, end = _segments(lengths, window, context)
    sizes = end - begin
    order = np.argsort(-sizes, kind="stable")
    sizes = sizes[order]
    # Groups of the same size, but for one segment. In each, the longest comes first.
    n_groups = -(-len(sizes) // group) if group > 0 else min(len(sizes), 1)
    bounds = np.arange(n_groups + 1) * len(sizes) // max(n_groups, 1)
    n_steps = sizes[bounds[:-1]]
    group_starts = np.cumsum(n_steps) - n_steps
    steps = np.arange(n_steps.sum()) - np.repeat(group_starts, n_steps)
    batch_sizes = np.empty(len(steps), dtype=np.int64)
    for first, end, start, count in zip(bounds[:-1], bounds[1:], group_starts, n_steps, strict=True):
        shorter = np.searchsorted(sizes[first:end][::-1], np.arange(count), side="right")
        batch_sizes[start : start + count] = end - first - shorter
    offsets = np.cumsum(batch_sizes) - batch_sizes
    step = np.repeat(steps, batch_sizes)
    first_segment = np.repeat(np.repeat(bounds[:-1], n_steps), batch_sizes)
    segment = order[first_segment + np.arange(len(step)) - np.repeat(offsets, batch_sizes)]
    position = begin[segment] + step
    base, last = first_token[sequence[segment]], lengths[sequence[segment]] - 1
    source = np.empty((n_directions, len(step)), dtype=np.int64)
    source[0] = base + position
    if n_directions == 2:
        source[1] = base + last - position
    result_rows = np.flatnonzero(position >= keep[segment])
    target = np.empty((n_directions, int(lengths.sum())), dtype=np.int64)
    for direction in range(n_directions):
        target[direction, source[direction, result_rows]] = result_rows
    return Packed(lengths, batch_sizes, source, target, group_starts)


def _segments(lengths: Ints, window: int, context: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Sequence, first position, first position that counts, and end of every segment. No segment is empty."""
    size = window if window > 0 else max(int(lengths.max(initial=1)), 1)
    counts = -(-lengths // size)
    sequence = np.repeat(np.arange(len(lengths)), counts)
    keep = (np.arange(len(sequence)) - np.repeat(np.cumsum(counts) - counts, counts)) * size
    return sequence, np.maximum(keep - context, 0), keep, np.minimum(keep + size, lengths[sequence])
