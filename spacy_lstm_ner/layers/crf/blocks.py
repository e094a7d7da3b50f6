"""Long chains cut into blocks that run side by side, with the result of the uncut chain.

A sum over a chain, or a maximum, goes on step by step, so that one long chain takes many small steps. But what a chain
says of its start is soon forgotten: whatever comes in, the state some tokens later is the same but for a factor (for a
maximum, a summand). So each block is entered through a margin on either side, from a start that leaves all open, and
then it is checked that its state agrees with that of its neighbour where they meet. Where it does, all that follows is
the same too (Maleki, Musuvathi & Mytkowicz 2014 call it rank convergence); a chain with a block where it does not is
run again with wider margins, and if that is not enough, whole.

Notation
--------
N      rows: the tokens of all chains of the batch, laid end to end
block  its own rows `start : end`, and with its margins `begin : stop`, all of one chain
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Union, cast

import numpy as np

from ...arrays import ranges
from ...types import Bools, Floats, Ints

BLOCK = 128
CELLS_AT_ONCE = 1_000_000
"""About so many numbers, of rows times tags, are worked on at a time, which bounds the memory that it takes."""
MARGIN = 16
WIDER = 4
"""So many times as wide are the margins of a second try."""
TOLERANCE = 1e-9
"""What two states may differ by, relative to each of their numbers (for a maximum, in nats)."""


@dataclass(frozen=True)
class Blocks:
    """Blocks in the order of their rows; together their own rows are those of the chains that they were made of.

    chain (n,): of each block. open_start, open_end (n,): whether the chain goes on before `begin`, and behind `stop`.
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

    def some(self, chosen: Union[Ints, Bools, slice]) -> "Blocks":
        """Those that are chosen."""
        chain, start, end, begin, stop = (
            column[chosen] for column in (self.chain, self.start, self.end, self.begin, self.stop)
        )
        return Blocks(chain, start, end, begin, stop, self.open_start[chosen], self.open_end[chosen])

    def some_at_a_time(self, size: int) -> Iterator[tuple[Ints, "Blocks"]]:
        """The numbers of as many blocks as have about `size` rows with their margins, and these blocks; then others."""
        part_of = (np.cumsum(self.lengths) - 1) // size
        for part in np.unique(part_of).tolist():
            chosen = np.flatnonzero(part_of == part)
            yield chosen, self.some(chosen)

    @cached_property
    def lengths(self) -> Ints:
        """(n,) Rows of each with its margins."""
        return self.stop - self.begin

    @cached_property
    def offsets(self) -> Ints:
        """(n,) Where each begins if all are laid end to end with their margins."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def rows(self) -> Ints:
        """The rows of all of them, laid end to end with their margins."""
        return ranges(self.begin, self.stop)

    @cached_property
    def own_rows(self) -> Ints:
        """The rows that they own."""
        return ranges(self.start, self.end)

    @cached_property
    def own_places(self) -> Ints:
        """Where these are in `rows`."""
        shift = self.offsets - self.begin
        return ranges(self.start + shift, self.end + shift)

    @cached_property
    def meeting(self) -> Ints:
        """The blocks, by number, that go on in the next one."""
        return np.flatnonzero((self.chain[1:] == self.chain[:-1]) & (self.start[1:] == self.end[:-1]))

    def places(self, blocks: Ints, rows: Ints) -> Ints:
        """Where, in `rows`, a block (by number) has a row."""
        return self.offsets[blocks] + rows - self.begin[blocks]

    def disagreeing(self, agree: Bools) -> Ints:
        """The chains that must be run again. agree: of each of `meeting`, whether all is the same where they meet."""
        return np.unique(self.chain[self.meeting[~agree]])


def rows_at_once(n_tags: int) -> int:
    """How many rows of so many tags are worked on at a time."""
    return max(CELLS_AT_ONCE // n_tags, 4 * BLOCK)


def whole(lengths: Ints) -> Blocks:
    """Every chain that is not empty as one block."""
    return cut(lengths, max(int(lengths.max(initial=1)), 1))


def ways(lengths: Ints, size: int = BLOCK, margin: int = MARGIN) -> Iterator[Blocks]:
    """The blocks of each try: cut, with wider margins, whole."""
    return ways_with(lengths, (margin, WIDER * margin), lambda width: cut(lengths, size, width))


def ways_with(lengths: Ints, margins: Iterable[int], cut_with: Callable[[int], Blocks]) -> Iterator[Blocks]:
    """The blocks of each try: cut with each of these margins, one after the other, and then whole."""
    yield from map(cut_with, margins)
    yield whole(lengths)


def settle(tries: Iterable[Blocks], run: Callable[[Blocks], Ints]) -> None:
    """Run the blocks of the first try, and those of the next ones as long as there are chains that need it.

    run: RETURNS the chains that must be run again.
    """
    uncut = None
    for blocks in tries:
        uncut = run(blocks if uncut is None else blocks.some(np.isin(blocks.chain, uncut)))
        if not len(uncut):
            return


def cut(lengths: Ints, size: int = BLOCK, margin: int = MARGIN) -> Blocks:
    """Chains of more than 1.5 × `size` rows cut into about so many each; the others are one block.

    lengths (n_chains,): rows of each chain. Where a chain is cut depends on its length alone.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    counts = np.where(lengths > 1.5 * size, -(-lengths // size), np.minimum(lengths, 1))
    chain = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(len(chain)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.cumsum(lengths) - lengths)[chain] + nth * lengths[chain] // counts[chain]
    return _blocks(chain, start, lengths, margin)


def cut_outside(lengths: Ints, starts: Ints, ends: Ints, size: int, margin: int = MARGIN) -> Blocks:
    """As `cut`, but with no cut inside any of the spans from `starts` to `ends`; a block may be longer for that."""
    blocks = cut(lengths, size, margin)
    inside = np.zeros(int(np.sum(lengths)) + 2, dtype=np.int64)
    np.add.at(inside, starts + 1, 1)
    np.add.at(inside, np.maximum(ends, starts + 1), -1)
    free = np.flatnonzero(np.cumsum(inside) == 0)
    moved = free[np.searchsorted(free, blocks.start)]
    # Behind the last row of its chain there is no block any more.
    kept = moved < (np.cumsum(lengths))[blocks.chain]
    start, first = np.unique(moved[kept], return_index=True)
    return _blocks(blocks.chain[kept][first], start, np.asarray(lengths), margin)


def _blocks(chain: Ints, start: Ints, lengths: Ints, margin: int) -> Blocks:
    """The blocks that begin at `start`, each up to the next one of its chain."""
    ends = np.cumsum(lengths)
    first, last = (ends - lengths)[chain], ends[chain]
    end = np.minimum(np.append(start[1:], ends[-1:]), last)
    begin, stop = np.maximum(start - margin, first), np.minimum(end + margin, last)
    return Blocks(chain, start, end, begin, stop, begin > first, stop < last)


def same_masses(one: Floats, other: Floats) -> Bools:
    """(n,) Whether two rows of positive numbers are the same."""
    return cast(Bools, (np.abs(one - other) <= TOLERANCE * np.minimum(one, other)).all(axis=1))


def same_scores(one: Floats, other: Floats) -> Bools:
    """(n,) Whether two rows of scores are the same but for a summand. -inf: none."""
    one, other = (scores - scores.max(axis=1, keepdims=True) for scores in (one, other))
    with np.errstate(invalid="ignore"):
        same: Bools = (one == other) | (np.abs(one - other) <= TOLERANCE)
    return cast(Bools, same.all(axis=1))
