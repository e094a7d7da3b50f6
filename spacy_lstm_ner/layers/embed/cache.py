"""What depends on the word alone, kept from one prediction to the next.

Notation as in `embed`. A table holds arrays (..., n, width) whose second last axis is that of the words.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Optional
from weakref import WeakSet

import numpy as np
from spacy.vectors import Vectors
from thinc.api import Model, get_array_module

from ...types import Array, Ints
from .lexemes import Lexemes

Compute = Callable[[Lexemes], tuple[Array, ...]]


SAMPLE = 512
"""So many numbers of a parameter are looked at to see whether it was changed in place."""


WORDS_AT_ONCE = 1024
"""So many words are computed at a time, so that what it takes does not depend on how many of a batch are new."""


class LexemeCache:
    """The rows of the words seen so far, for one state of the parameters that they are computed from.

    It is emptied when a parameter changes: when another array takes its place, as in `use_params` and loading, and when
    its numbers change. Of a model that has been trained in this process, all numbers are summed up at each prediction;
    of one that has not, a sample. (That numbers of one parameter have changed places goes unnoticed.) Any number of
    threads may use it at once, with docs of several vocabs too. A copy of it, pickled or not, is empty, and saved
    models do not contain it.
    """

    def __init__(self, capacity: int) -> None:
        """capacity: the most words it holds. 0: none."""
        self.capacity = capacity
        self.trained = False
        self._lock = Lock()
        self._state: Optional[_State] = None
        self._state_number = 0
        self._table = _Table()
        _CACHES.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return LexemeCache, (self.capacity,)

    def __deepcopy__(self, memo: Any) -> "LexemeCache":
        return LexemeCache(self.capacity)

    def __len__(self) -> int:
        return len(self._table.numbers)

    def after_fork(self) -> None:
        """In a new process: the lock may have been held by a thread that is not there any more."""
        self._lock = Lock()

    def validate(self, nodes: Iterable[Model[Any, Any]], vectors: Optional[Vectors] = None) -> int:
        """Empty the cache if a parameter of the nodes, or the table of static vectors, is not what it was.

        RETURNS: the number of the state that `look_up` is to find words of.
        """
        arrays = [node.get_param(name) for node in nodes for name in node.param_names if node.has_param(name)]
        if vectors is not None:
            arrays.append(vectors.data)
        state = _State(arrays, 0 if vectors is None else vectors.n_keys, whole=self.trained)
        with self._lock:
            if self._state is None or not self._state.same_as(state):
                self._table = _Table()
                self._state_number += 1
            self._state = state
            return self._state_number

    @contextmanager
    def look_up(
        self, lexemes: Lexemes, compute: Compute, state_number: int
    ) -> Iterator[tuple[tuple[Array, ...], Ints]]:
        """The arrays of the table, and the row in them of each distinct word. They are good inside the `with` block.

        compute: gives the arrays of words that the table does not have. state_number: what `validate` gave; if another
        thread has validated another state since, everything is computed, and nothing kept.
        """
        with self._lock:
            table = self._table if state_number == self._state_number else _Table()
            table.readers += 1
        try:
            yield self._found(table, lexemes, compute)
        finally:
            with self._lock:
                table.readers -= 1

    def _found(self, table: "_Table", lexemes: Lexemes, compute: Compute) -> tuple[tuple[Array, ...], Ints]:
        with self._lock:
            arrays, rows = table.arrays, table.find(lexemes)
        missing = np.flatnonzero(rows < 0)
        if not len(missing):
            return arrays, rows
        if len(lexemes.orths) > self.capacity:
            return _in_parts(compute, lexemes), np.arange(len(lexemes.orths))
        computed = _in_parts(compute, lexemes.some(missing))
        with self._lock:
            if table is self._table and table.filled + len(missing) <= self.capacity:
                table.add(lexemes.orths[missing], computed, self.capacity)
                return table.arrays, table.find(lexemes)
        # Full, or emptied meanwhile by another thread.
        arrays = computed if len(missing) == len(rows) else _in_parts(compute, lexemes)
        with self._lock:
            if table is self._table:
                if table.readers == 1:
                    # Only this one. The memory stays, so that what the process takes does not go up and down.
                    table.clear()
                else:
                    self._table = _Table()
                self._table.add(lexemes.orths, arrays, self.capacity)
        return arrays, np.arange(len(rows))


_CACHES: "WeakSet[LexemeCache]" = WeakSet()


def _after_fork() -> None:
    for cache in _CACHES:
        cache.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _in_parts(compute: Compute, lexemes: Lexemes) -> tuple[Array, ...]:
    n = len(lexemes.orths)
    if n <= WORDS_AT_ONCE:
        return compute(lexemes)
    chosen = (np.arange(first, min(first + WORDS_AT_ONCE, n)) for first in range(0, n, WORDS_AT_ONCE))
    parts = [compute(lexemes.some(rows)) for rows in chosen]
    xp = get_array_module(parts[0][0])
    return tuple(xp.concatenate(arrays, axis=-2) for arrays in zip(*parts, strict=True))


class _State:
    """What a table was computed from: the arrays, sums over their numbers, and how many words have vectors."""

    def __init__(self, arrays: Sequence[Array], n_keys: int, whole: bool) -> None:
        self.arrays = arrays
        self.facts = (whole, n_keys, [_sum(array, whole) for array in arrays])

    def same_as(self, other: "_State") -> bool:
        """Not if training has begun since: what it changed may lie outside of the sample."""
        if len(self.arrays) != len(other.arrays):
            return False
        if any(one is not another for one, another in zip(self.arrays, other.arrays, strict=True)):
            return False
        return self.facts == other.facts


def _sum(array: Array, whole: bool) -> int:
    """Of an array's numbers as bits, so that any change counts, however small, and no order of summation."""
    xp = get_array_module(array)
    # A table of vectors may lie in memory column by column; reshaped as it is, all of it would be copied.
    flat = (array.T if array.flags.f_contiguous else array).reshape(-1)
    if not whole and len(flat) > SAMPLE:
        flat = flat[:: len(flat) // SAMPLE]
    flat = xp.ascontiguousarray(flat)
    return int(flat.view(f"u{flat.itemsize}").sum(dtype="uint64"))


class _Table:
    """While there are other `readers`, rows are only ever added, so that they can read on without a lock."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.arrays: tuple[Array, ...] = ()
        self.filled = 0
        self.readers = 0

    def clear(self) -> None:
        """Forget all words; the arrays are written over."""
        self.numbers.clear()
        self.filled = 0

    def find(self, lexemes: Lexemes) -> Ints:
        """The row of each word, or -1."""
        find = self.numbers.get
        return np.array([find(orth, -1) for orth in lexemes.orths.tolist()], dtype=np.int64)

    def add(self, orths: Any, computed: tuple[Array, ...], capacity: int) -> None:
        """Add words. One that another thread has added meanwhile gets a second row, which does no harm."""
        end = self.filled + len(orths)
        if not self.arrays or end > self.arrays[0].shape[-2]:
            size = max(end, min(max(2 * end, 1024), capacity))
            self.arrays = tuple(self._grown(k, array, size) for k, array in enumerate(computed))
        for array, new in zip(self.arrays, computed, strict=True):
            array[..., self.filled : end, :] = new
        # In this order: if Ctrl-C comes between, the rows are lost, and not given to other words as well.
        first, self.filled = self.filled, end
        self.numbers.update(zip(orths.tolist(), range(first, end), strict=True))

    def _grown(self, k: int, like: Array, size: int) -> Array:
        grown = get_array_module(like).empty((*like.shape[:-2], size, like.shape[-1]), dtype=like.dtype)
        if self.arrays:
            grown[..., : self.filled, :] = self.arrays[k][..., : self.filled, :]
        return grown
