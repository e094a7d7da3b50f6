"""Long chains cut into blocks that run side by side, with the result of the uncut chain.

A sum or a maximum over a chain is computed step by step, so one long chain takes many small steps. But a chain soon
forgets its start: from any two starting states, the states some tokens later are the same except for a factor (for a
maximum, a summand). So each block runs with a margin on either side, from a start that leaves all tags open. Then its
state is compared with that of its neighbour where the two meet. If they agree, everything that follows agrees as well
(Maleki, Musuvathi & Mytkowicz 2014 call this rank convergence). A chain with a block that does not agree runs again
with wider margins and, if that is not enough, as one block.

Notation
--------
N      rows: the tokens of all chains of the batch, laid end to end
T      tags
chain  the tokens of one sequence; a block is a piece of one chain
block  the rows `start : end` that it owns, and the rows `begin : stop` with its margins
n      number of blocks
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Union

import numpy as np

from ...arrays import ranges
from ...types import Bools, Floats, Ints

BLOCK = 128
"""Rows of a block, about."""
MARGIN = 16
"""Rows of a margin, at the first attempt."""
WIDER = 4
"""Factor by which the margins of the second attempt are wider."""
MAX_NUMBERS = 1_000_000
"""About how many numbers (rows times tags) are computed at a time. This bounds the memory that they take."""
TOLERANCE = 1e-9
"""Largest difference of two states that agree, relative to each of their numbers (for a maximum, in nats)."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of some chains, in the order of their rows. Together they own every row of these chains once.

    Attributes:
        chain (Ints): the number of the chain that each block is a piece of (n,).
        start (Ints): the first row that each block owns (n,).
        end (Ints): the row behind the last that it owns (n,).
        begin (Ints): its first row, margins included (n,).
        stop (Ints): the row behind its last, margins included (n,).
        open_start (Bools): whether the chain goes on before `begin` (n,).
        open_end (Bools): whether the chain goes on behind `stop` (n,).
    """

    chain: Ints
    start: Ints
    end: Ints
    begin: Ints
    stop: Ints
    open_start: Bools
    open_end: Bools

    def __len__(self) -> int:
        return len(self.chain)

    def select(self, chosen: Union[Ints, Bools, slice]) -> "Blocks":
        """Some of the blocks, by number or mask."""
        chain, start, end, begin, stop = (
            column[chosen] for column in (self.chain, self.start, self.end, self.begin, self.stop)
        )
        return Blocks(chain, start, end, begin, stop, self.open_start[chosen], self.open_end[chosen])

    def batches(self, n_rows: int) -> Iterator[tuple[Ints, "Blocks"]]:
        """The blocks in batches of about n_rows rows, margins included: their numbers, and the blocks."""
        batch_of = (np.cumsum(self.lengths) - 1) // n_rows
        for batch in np.unique(batch_of).tolist():
            numbers = np.flatnonzero(batch_of == batch)
            yield numbers, self.select(numbers)

    @cached_property
    def lengths(self) -> Ints:
        """(n,) Rows of each block, margins included."""
        return self.stop - self.begin

    @cached_property
    def offsets(self) -> Ints:
        """(n,) Where each block begins in `rows`."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def rows(self) -> Ints:
        """The rows of all blocks, margins included, laid end to end. A row may occur in several blocks."""
        return ranges(self.begin, self.stop)

    @cached_property
    def own_rows(self) -> Ints:
        """The rows that the blocks own."""
        return ranges(self.start, self.end)

    @cached_property
    def own_places(self) -> Ints:
        """Where `own_rows` are in `rows`."""
        shift = self.offsets - self.begin
        return ranges(self.start + shift, self.end + shift)

    @cached_property
    def continued(self) -> Ints:
        """The numbers of the blocks whose chain continues in the next block."""
        return np.flatnonzero((self.chain[1:] == self.chain[:-1]) & (self.start[1:] == self.end[:-1]))

    def places(self, numbers: Ints, rows: Ints) -> Ints:
        """Where in `rows` each of these blocks has the given row."""
        return self.offsets[numbers] + rows - self.begin[numbers]

    def inconsistent_chains(self, agree: Bools) -> Ints:
        """The chains that have to run again. agree: whether each block of `continued` agrees with the next."""
        return np.unique(self.chain[self.continued[~agree]])


def rows_at_once(n_tags: int) -> int:
    """How many rows are computed at a time.

    Args:
        n_tags (int): number of tags.

    Returns:
        int: the number of rows, at least four blocks.
    """
    return max(MAX_NUMBERS // n_tags, 4 * BLOCK)


def whole_chains(lengths: Ints) -> Blocks:
    """Make one block of every chain that is not empty.

    Args:
        lengths (Ints): rows of each chain (n_chains,).

    Returns:
        Blocks: the blocks.
    """
    return cut(lengths, max(int(lengths.max(initial=1)), 1))


def blocks_to_try(lengths: Ints, size: int = BLOCK, margin: int = MARGIN) -> Iterator[Blocks]:
    """Divide chains into blocks for each attempt: with narrow margins, with wide margins, and finally not at all.

    Args:
        lengths (Ints): rows of each chain (n_chains,).
        size (int): rows of a block, about.
        margin (int): rows of a margin at the first attempt.

    Returns:
        Iterator[Blocks]: the blocks of each attempt, for `run_until_consistent`.
    """
    return blocks_with_margins(lengths, (margin, WIDER * margin), lambda width: cut(lengths, size, width))


def blocks_with_margins(lengths: Ints, margins: Iterable[int], cut_with: Callable[[int], Blocks]) -> Iterator[Blocks]:
    """Divide chains into blocks with each of these margins in turn, and finally not at all.

    Args:
        lengths (Ints): rows of each chain (n_chains,).
        margins (Iterable[int]): rows of a margin, for each attempt.
        cut_with (Callable[[int], Blocks]): cuts the chains into blocks with such a margin.

    Returns:
        Iterator[Blocks]: the blocks of each attempt, for `run_until_consistent`.
    """
    yield from map(cut_with, margins)
    yield whole_chains(lengths)


def run_until_consistent(attempts: Iterable[Blocks], run: Callable[[Blocks], Ints]) -> None:
    """Run the blocks of the first attempt, then those of the next for the chains whose blocks did not agree.

    Args:
        attempts (Iterable[Blocks]): the blocks of each attempt. Later attempts are computed if they are needed.
        run (Callable[[Blocks], Ints]): runs blocks, and returns the numbers of the chains whose blocks do not agree.
    """
    inconsistent = None
    for blocks in attempts:
        again = blocks if inconsistent is None else blocks.select(np.isin(blocks.chain, inconsistent))
        inconsistent = run(again)
        if not len(inconsistent):
            return


def cut(lengths: Ints, size: int = BLOCK, margin: int = MARGIN) -> Blocks:
    """Cut each chain of more than 1.5 · size rows into blocks of about `size` rows. The others are one block each.

    Where a chain is cut depends on its length alone.

    Args:
        lengths (Ints): rows of each chain (n_chains,).
        size (int): rows of a block, about.
        margin (int): rows of a margin.

    Returns:
        Blocks: the blocks.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    counts = np.where(lengths > 1.5 * size, -(-lengths // size), np.minimum(lengths, 1))
    chain = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(len(chain)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.cumsum(lengths) - lengths)[chain] + nth * lengths[chain] // counts[chain]
    return _blocks(chain, start, lengths, margin)


def cut_outside_spans(lengths: Ints, starts: Ints, ends: Ints, size: int, margin: int = MARGIN) -> Blocks:
    """Cut chains as `cut` does, but never inside a span. A block may be longer for that.

    Args:
        lengths (Ints): rows of each chain (n_chains,).
        starts (Ints): the first row of each span (n_spans,).
        ends (Ints): the row behind the last of each span (n_spans,).
        size (int): rows of a block, about.
        margin (int): rows of a margin.

    Returns:
        Blocks: the blocks.
    """
    blocks = cut(lengths, size, margin)
    # Above zero where a cut in front of the row would divide a span.
    inside = np.zeros(int(np.sum(lengths)) + 2, dtype=np.int64)
    np.add.at(inside, starts + 1, 1)
    np.add.at(inside, np.maximum(ends, starts + 1), -1)
    free = np.flatnonzero(np.cumsum(inside) == 0)
    moved = free[np.searchsorted(free, blocks.start)]
    # A cut that moved to the end of its chain leaves no block.
    kept = moved < (np.cumsum(lengths))[blocks.chain]
    start, first = np.unique(moved[kept], return_index=True)
    return _blocks(blocks.chain[kept][first], start, np.asarray(lengths), margin)


def _blocks(chain: Ints, start: Ints, lengths: Ints, margin: int) -> Blocks:
    """The blocks that own the rows from each `start` to the next start, or to the end of the chain."""
    ends = np.cumsum(lengths)
    first, last = (ends - lengths)[chain], ends[chain]
    end = np.minimum(np.append(start[1:], ends[-1:]), last)
    begin, stop = np.maximum(start - margin, first), np.minimum(end + margin, last)
    return Blocks(chain, start, end, begin, stop, begin > first, stop < last)


def same_masses(one: Floats, other: Floats) -> Bools:
    """Compare two states of a sum, row by row.

    Args:
        one (Floats): numbers that are not negative (n, T).
        other (Floats): the numbers to compare them with (n, T).

    Returns:
        Bools: whether all numbers of a row agree within TOLERANCE (n,).
    """
    return np.all(np.abs(one - other) <= TOLERANCE * np.minimum(one, other), axis=1)


def same_scores(one: Floats, other: Floats) -> Bools:
    """Compare two states of a maximum, row by row.

    Args:
        one (Floats): scores in nats (n, T); -inf where no path leads to a tag.
        other (Floats): the scores to compare them with (n, T).

    Returns:
        Bools: whether all scores of a row agree within TOLERANCE (n,), except for a summand of the whole row.
    """
    one, other = (scores - scores.max(axis=1, keepdims=True) for scores in (one, other))
    with np.errstate(invalid="ignore"):
        # The difference of two -inf is NaN.
        return np.all((one == other) | (np.abs(one - other) <= TOLERANCE), axis=1)
