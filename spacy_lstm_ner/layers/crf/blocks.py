"""Cut long chains into blocks that run side by side, with the same result as the whole chain.

A sum or a maximum over a chain is computed step by step, so one long chain takes many small steps. But a chain soon
forgets its start: from any two starting states, the states some tokens later are equal except for a factor (for a
maximum, a constant summand). So each block runs with a margin on either side, from a start that allows all tags. Then
its state is compared with the state of its neighbour at the row where they meet. If the two agree, all later states
agree too (Maleki, Musuvathi & Mytkowicz 2014 call this rank convergence). If they do not, the chain runs again with
wider margins and, if that is not enough, as one block.

Notation
--------
N      rows: the tokens of all chains of the batch, concatenated
T      tags
chain  the tokens of one sequence
block  a piece of one chain: the rows `start : end` that it owns, and the rows `begin : stop` with its margins
n      number of blocks
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Union

import numpy as np

from ...arrays import ranges
from ...types import Bools, Floats, Ints
from ..packed import FEW, KEPT, SHORT

BLOCK = 128
"""About how many rows a block has."""
MARGIN = 16
"""The rows of a margin at the first attempt."""
WIDER = 4
"""The factor by which the margins of the second attempt are wider."""
MAX_NUMBERS = 1_000_000
"""About how many numbers (rows times tags) are computed at a time. This bounds the memory."""
TOLERANCE = 1e-9
"""The largest difference of two states that agree, relative to each of their numbers (for a maximum, in nats)."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of some chains, in the order of their rows. Each row of these chains is owned by one block.

    Attributes:
        chain (Ints): The number of the chain that each block is a piece of (n,).
        start (Ints): The first row that each block owns (n,).
        end (Ints): The row after the last row that it owns (n,).
        begin (Ints): Its first row, margins included (n,).
        stop (Ints): The row after its last row, margins included (n,).
        open_start (Bools): Whether the chain continues before `begin` (n,).
        open_end (Bools): Whether the chain continues after `stop` (n,).
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
        """Choose blocks by number or mask."""
        chain, start, end, begin, stop = (
            column[chosen] for column in (self.chain, self.start, self.end, self.begin, self.stop)
        )
        return Blocks(chain, start, end, begin, stop, self.open_start[chosen], self.open_end[chosen])

    def batches(self, n_rows: int) -> Iterator[tuple[Ints, "Blocks"]]:
        """Yield batches of blocks of about n_rows rows, margins included: the numbers of the blocks, and the blocks."""
        if self.lengths.sum() <= n_rows:
            if len(self):
                yield np.arange(len(self)), self
            return
        batch_of = (np.cumsum(self.lengths) - 1) // n_rows
        for batch in np.unique(batch_of).tolist():
            numbers = np.flatnonzero(batch_of == batch)
            yield numbers, self.select(numbers)

    @cached_property
    def lengths(self) -> Ints:
        """(n,) The rows of each block, margins included."""
        return self.stop - self.begin

    @cached_property
    def offsets(self) -> Ints:
        """(n,) The place of the first row of each block in `rows`."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def rows(self) -> Ints:
        """The rows of all blocks, margins included, one block after the other. A row may occur in several blocks."""
        return ranges(self.begin, self.stop)

    @cached_property
    def own_rows(self) -> Ints:
        """The rows that the blocks own."""
        return ranges(self.start, self.end)

    @cached_property
    def own_places(self) -> Ints:
        """The places of `own_rows` in `rows`."""
        shift = self.offsets - self.begin
        return ranges(self.start + shift, self.end + shift)

    @cached_property
    def continued(self) -> Ints:
        """The numbers of the blocks whose chain continues in the next block."""
        return np.flatnonzero((self.chain[1:] == self.chain[:-1]) & (self.start[1:] == self.end[:-1]))

    def places(self, numbers: Ints, rows: Ints) -> Ints:
        """The place in `rows` of one row of each of these blocks."""
        return self.offsets[numbers] + rows - self.begin[numbers]

    def inconsistent_chains(self, agree: Bools) -> Ints:
        """The chains that must run again. agree: whether each block of `continued` agrees with the next one."""
        if agree.all():
            return self.chain[:0]
        return np.unique(self.chain[self.continued[~agree]])


def rows_at_once(n_tags: int) -> int:
    """Compute how many rows to process at a time.

    Args:
        n_tags (int): The number of tags.

    Returns:
        int: The number of rows, at least four blocks.
    """
    return max(MAX_NUMBERS // n_tags, 4 * BLOCK)


def whole_chains(lengths: Ints) -> Blocks:
    """Make one block for each chain that is not empty.

    Args:
        lengths (Ints): The rows of each chain (n_chains,).

    Returns:
        Blocks: The blocks.
    """
    return cut(lengths, max(int(lengths.max(initial=1)), 1))


def blocks_to_try(lengths: Ints, size: int = BLOCK, margin: int = MARGIN) -> Iterator[Blocks]:
    """Cut chains into blocks for each attempt: with narrow margins, with wide margins, and at last as whole chains.

    Args:
        lengths (Ints): The rows of each chain (n_chains,).
        size (int): About how many rows a block has.
        margin (int): The rows of a margin at the first attempt.

    Returns:
        Iterator[Blocks]: The blocks of each attempt, for `run_until_consistent`.
    """
    return blocks_with_margins(lengths, (margin, WIDER * margin), lambda width: cut(lengths, size, width))


def blocks_with_margins(lengths: Ints, margins: Iterable[int], cut_with: Callable[[int], Blocks]) -> Iterator[Blocks]:
    """Cut chains into blocks with each of these margins in turn, and at last as whole chains.

    Args:
        lengths (Ints): The rows of each chain (n_chains,).
        margins (Iterable[int]): The rows of a margin, for each attempt.
        cut_with (Callable[[int], Blocks]): Cuts the chains into blocks with a margin.

    Returns:
        Iterator[Blocks]: The blocks of each attempt, for `run_until_consistent`.
    """
    yield from map(cut_with, margins)
    yield whole_chains(lengths)


def run_until_consistent(attempts: Iterable[Blocks], run: Callable[[Blocks], Ints]) -> None:
    """Run the blocks of the first attempt. Chains with blocks that do not agree run again in the next attempt.

    Args:
        attempts (Iterable[Blocks]): The blocks of each attempt. Later attempts are computed only if they are needed.
        run (Callable[[Blocks], Ints]): Runs blocks, and returns the numbers of the chains with blocks that do not
            agree.
    """
    inconsistent = None
    for blocks in attempts:
        again = blocks if inconsistent is None else blocks.select(np.isin(blocks.chain, inconsistent))
        inconsistent = run(again)
        if not len(inconsistent):
            return


def cut(lengths: Ints, size: int = BLOCK, margin: int = MARGIN) -> Blocks:
    """Cut each chain of more than 1.5 · size rows into blocks of about `size` rows. A shorter chain is one block.

    The places of the cuts depend on the length of a chain alone.

    Args:
        lengths (Ints): The rows of each chain (n_chains,).
        size (int): About how many rows a block has.
        margin (int): The rows of a margin.

    Returns:
        Blocks: The blocks.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    if len(lengths) <= FEW and lengths.sum() <= min(SHORT, size):
        return _few_short_chains(tuple(lengths.tolist()))
    return _cut(lengths, size, margin)


@lru_cache(maxsize=KEPT)
def _few_short_chains(lengths: tuple[int, ...]) -> Blocks:
    """One block for each chain. It is kept, because it takes as long as the computation on such chains."""
    return _cut(np.array(lengths, dtype=np.int64), SHORT, 0)


def _cut(lengths: Ints, size: int, margin: int) -> Blocks:
    counts = np.where(lengths > 1.5 * size, -(-lengths // size), np.minimum(lengths, 1))
    chain = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(len(chain)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.cumsum(lengths) - lengths)[chain] + nth * lengths[chain] // counts[chain]
    return _blocks(chain, start, lengths, margin)


def cut_outside_spans(lengths: Ints, starts: Ints, ends: Ints, size: int, margin: int = MARGIN) -> Blocks:
    """Cut chains as `cut` does, but never inside a span. So a block may be longer.

    Args:
        lengths (Ints): The rows of each chain (n_chains,).
        starts (Ints): The first row of each span (n_spans,).
        ends (Ints): The row after the last of each span (n_spans,).
        size (int): About how many rows a block has.
        margin (int): The rows of a margin.

    Returns:
        Blocks: The blocks.
    """
    blocks = cut(lengths, size, margin)
    if not len(blocks.continued):
        return blocks
    # Greater than zero if a cut before the row would divide a span.
    inside = np.zeros(int(np.sum(lengths)) + 2, dtype=np.int64)
    np.add.at(inside, starts + 1, 1)
    np.add.at(inside, np.maximum(ends, starts + 1), -1)
    free = np.flatnonzero(np.cumsum(inside) == 0)
    moved = free[np.searchsorted(free, blocks.start)]
    # Drop cuts that moved to the end of their chain.
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
    """Compare states of a sum, row by row.

    Args:
        one (Floats): The states, numbers that are not negative (n, T).
        other (Floats): The states to compare them with (n, T).

    Returns:
        Bools: Whether all numbers of each row agree within TOLERANCE (n,).
    """
    return np.all(np.abs(one - other) <= TOLERANCE * np.minimum(one, other), axis=1)


def same_scores(one: Floats, other: Floats) -> Bools:
    """Compare states of a maximum, row by row.

    Args:
        one (Floats): The states, scores in nats (n, T); -inf if no path leads to a tag.
        other (Floats): The states to compare them with (n, T).

    Returns:
        Bools: Whether all scores of each row agree within TOLERANCE (n,), except for a constant summand.
    """
    one, other = (scores - scores.max(axis=1, keepdims=True) for scores in (one, other))
    with np.errstate(invalid="ignore"):
        # The difference of two -inf is NaN.
        return np.all((one == other) | (np.abs(one - other) <= TOLERANCE), axis=1)
