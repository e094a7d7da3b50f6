"""Sequences of unequal length as rows ordered by time step. Nothing is learned here.

Notation
--------
n_tokens  tokens of all sequences of the batch, laid end to end
segment   what the recurrence runs through in one go: a whole sequence, or a window of it with its context in front
B         number of segments, sorted by length, longest first
T         length of the longest segment
b_t       number of segments that are longer than t; it never grows with t
N         sum of the b_t: packed rows. Step t owns rows offsets[t] : offsets[t+1], one for each segment still running,
          so that step t's predecessor state is simply the first b_t rows of step t-1
D         directions: 1, or 2 where the second reads each sequence from its end

The second direction runs through the mirrored sequence in the same segments. Its rows therefore have the same shape,
and both directions can be computed in one batched product a step.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Packed:
    """The index arrays of one batch.

    lengths (n_sequences,): tokens of each sequence.
    batch_sizes (T,): b_t.
    source (D, N): the token that each packed row reads.
    target (D, n_tokens): the packed row that holds each token's result.
    """

    lengths: Rows
    batch_sizes: Rows
    source: Rows
    target: Rows

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
    def previous(self) -> Rows:
        """(N - b_0,) The row before each row that is not of step 0, in the order of the rows."""
        if not self.n_rows:
            return np.zeros(0, dtype=np.int64)
        sizes = self.batch_sizes[1:]
        steps = np.repeat(np.arange(len(sizes)), sizes)
        offsets = np.asarray(self.offsets)
        return offsets[steps] + np.arange(len(steps)) + self.offsets[1] - offsets[steps + 1]

    @cached_property
    def context_rows(self) -> Optional[Rows]:
        """(D, N) True at rows that only warm the state up; None where there is none of them."""
        if self.n_rows == self.n_tokens:
            return None
        context = np.ones(self.source.shape, dtype=bool)
        np.put_along_axis(context, self.target, False, axis=1)
        return context

    @cached_property
    def sequence_of_token(self) -> Rows:
        """(n_tokens,) The sequence that each token belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def pack(lengths: Rows, *, n_directions: int = 2, window: int = 0, context: int = 0) -> Packed:
    """Order the tokens of a batch by time step.

    lengths (n_sequences,): tokens of each sequence; zeros are allowed.
    n_directions: 1 or 2.
    window: a sequence of more than this many tokens is cut into windows of this many (0: never).
    context: tokens in front of a window, in reading direction, that the recurrence runs through before it.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    first_token = np.cumsum(lengths) - lengths
    sequence, begin, keep, end = _segments(lengths, window, context)
    sizes = end - begin
    order = np.argsort(-sizes, kind="stable")
    sizes = sizes[order]
    n_steps = int(sizes[0]) if len(sizes) else 0
    batch_sizes = len(sizes) - np.searchsorted(sizes[::-1], np.arange(n_steps), side="right")
    step = np.repeat(np.arange(n_steps), batch_sizes)
    offsets = np.cumsum(batch_sizes) - batch_sizes
    segment = order[np.arange(len(step)) - offsets[step]]
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
    return Packed(lengths, batch_sizes, source, target)


def _segments(lengths: Rows, window: int, context: int) -> tuple[Rows, Rows, Rows, Rows]:
    """Sequence, first position, first position that counts, and end of every segment. No segment is empty."""
    size = window if window > 0 else max(int(lengths.max(initial=1)), 1)
    counts = -(-lengths // size)
    sequence = np.repeat(np.arange(len(lengths)), counts)
    keep = (np.arange(len(sequence)) - np.repeat(np.cumsum(counts) - counts, counts)) * size
    return sequence, np.maximum(keep - context, 0), keep, np.minimum(keep + size, lengths[sequence])


def split_rows(data: Any, lengths: Rows) -> list[Any]:
    """One view for each sequence into the rows of all of them."""
    ends = np.cumsum(lengths).tolist()
    return [data[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]
