"""A cache for arrays that depend on the word alone. It lasts from one prediction to the next.

Notation as in `lexemes`. The cached arrays are (..., n, width); the axis before the last one numbers the words.
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


SAMPLE, NEIGHBOURS = 512, 8
"""How many numbers of a parameter are checked for changes, if the model was not trained in this process, and how many
of them are next to each other."""

WORDS_AT_ONCE = 1024
"""The largest number of words that are computed at once. It bounds the memory if many words of a batch are new."""


class LexemeCache:
    """The arrays of the words seen so far, for the current values of the parameters that they are computed from.

    The cache is emptied when a parameter changes: when another array takes its place, as in `use_params` and loading,
    and when its numbers change. To notice this, each prediction sums the numbers of the parameters: a sample of them,
    or all if the model was trained in this process. (It does not notice if numbers of a parameter only change places.)

    Several threads can use the cache at once, also with docs of several vocabs. Copies and pickled copies of the cache
    are empty. Saved models do not contain it.

    Args:
        capacity (int): The largest number of words in the cache. 0: none.

    Attributes:
        trained (bool): Whether the model was trained in this process. The model sets it.
    """

    def __init__(self, capacity: int) -> None:
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
        """Replace the lock in a forked process: a thread that does not exist there may have held it."""
        self._lock = Lock()

    def validate(self, nodes: Iterable[Model[Any, Any]], vectors: Optional[Vectors] = None) -> int:
        """Empty the cache if a parameter has changed.

        Args:
            nodes (Iterable[Model]): The layers whose parameters the arrays depend on.
            vectors (Optional[Vectors]): The table of static vectors, if the arrays depend on it.

        Returns:
            int: The number of the current state of the parameters, for `look_up`.
        """
        arrays = [node.get_param(name) for node in nodes for name in node.param_names if node.has_param(name)]
        if vectors is not None:
            arrays.append(vectors.data)
        n_keys, before = 0 if vectors is None else vectors.n_keys, self._state
        samples = before.samples if before is not None and before.has(arrays) else _samples(arrays)
        state = _State(arrays, n_keys, self.trained, samples)
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
        """Find the arrays of words in the cache. Arrays that it does not have are computed and added.

        If another thread has validated another state in the meantime, all words are computed, and none is added.

        Args:
            lexemes (Lexemes): The distinct words.
            compute (Compute): Computes the arrays of some words.
            state_number (int): The result of `validate`.

        Yields:
            tuple[tuple[Array, ...], Ints]: The cached arrays, and (n,) the row of each word in them. They are valid
                inside the `with` block.
        """
        with self._lock:
            table = self._table if state_number == self._state_number else _Table()
            table.readers += 1
        try:
            yield self._find_or_compute(table, lexemes, compute)
        finally:
            with self._lock:
                table.readers -= 1

    def _find_or_compute(self, table: "_Table", lexemes: Lexemes, compute: Compute) -> tuple[tuple[Array, ...], Ints]:
        with self._lock:
            arrays, rows = table.arrays, table.find(lexemes)
        missing = np.flatnonzero(rows < 0)
        if not len(missing):
            return arrays, rows
        if len(lexemes.orths) > self.capacity:
            return _compute_in_parts(compute, lexemes), np.arange(len(lexemes.orths))
        computed = _compute_in_parts(compute, lexemes.subset(missing))
        with self._lock:
            if table is self._table and table.filled + len(missing) <= self.capacity:
                table.add(lexemes.orths[missing], computed, self.capacity)
                return table.arrays, table.find(lexemes)
        # The table is full, or another thread has emptied it in the meantime.
        arrays = computed if len(missing) == len(rows) else _compute_in_parts(compute, lexemes)
        with self._lock:
            if table is self._table:
                if table.readers == 1:
                    # No other thread reads it, so its memory can be used again.
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


def _compute_in_parts(compute: Compute, lexemes: Lexemes) -> tuple[Array, ...]:
    n = len(lexemes.orths)
    if n <= WORDS_AT_ONCE:
        return compute(lexemes)
    chosen = (np.arange(first, min(first + WORDS_AT_ONCE, n)) for first in range(0, n, WORDS_AT_ONCE))
    parts = [compute(lexemes.subset(rows)) for rows in chosen]
    xp = get_array_module(parts[0][0])
    return tuple(xp.concatenate(arrays, axis=-2) for arrays in zip(*parts, strict=True))


class _State:
    """The state that a table was computed from: parameters, the sums of their numbers, and the number of vectors."""

    def __init__(self, arrays: Sequence[Array], n_keys: int, whole: bool, samples: Optional[Sequence[Array]]) -> None:
        self.arrays, self.samples = arrays, samples
        numbers = _sums(samples) if samples and not whole else [_sum(array, whole) for array in arrays]
        self.sums = (whole, n_keys, numbers)

    def has(self, arrays: Sequence[Array]) -> bool:
        """Whether these are its arrays."""
        own = self.arrays
        return len(own) == len(arrays) and all(one is other for one, other in zip(own, arrays, strict=True))

    def same_as(self, other: "_State") -> bool:
        """Whether nothing has changed. It is False if training began in between, since the sample may miss a change."""
        return self.has(other.arrays) and self.sums == other.sums


def _flat(array: Array) -> Array:
    # A table of vectors may be in column-major order. Reshaping it without transposing it first would copy it.
    return (array.T if array.flags.f_contiguous else array).reshape(-1)


def _sample(flat: Array) -> Array:
    """A view of neighbouring numbers at some places, since reading one place of memory takes the time."""
    if len(flat) <= SAMPLE:
        return flat
    n_places = SAMPLE // NEIGHBOURS
    return flat[: len(flat) // n_places * n_places].reshape(n_places, -1)[:, :NEIGHBOURS]


def _sum(array: Array, whole: bool) -> int:
    """The sum of an array's numbers as bits. It shows any change, however small, and does not depend on the order."""
    flat = _flat(array)
    flat = get_array_module(array).ascontiguousarray(flat if whole else _sample(flat))
    return int(flat.view(f"u{flat.itemsize}").sum(dtype="uint64"))


def _samples(arrays: Sequence[Array]) -> Optional[list[Array]]:
    """Views of the numbers of each array that are checked, as bits; None if there are no such views, or on a GPU."""
    found = []
    for array in arrays:
        is_whole = isinstance(array, np.ndarray) and (array.flags.c_contiguous or array.flags.f_contiguous)
        if not is_whole or array.dtype != np.float32:
            return None
        if array.size:
            found.append(_sample(_flat(array)).view(np.uint32))
    return found


def _sums(samples: Sequence[Array]) -> list[int]:
    """The sums of all samples at once, which is far faster for small ones."""
    sizes = [sample.size for sample in samples]
    numbers = np.concatenate([sample.ravel() for sample in samples])
    sums: Ints = np.add.reduceat(numbers, np.cumsum([0, *sizes[:-1]]), dtype=np.uint64)
    return sums.tolist()


class _Table:
    """Arrays of words. While there are several `readers`, rows are only added, so that reading needs no lock."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.arrays: tuple[Array, ...] = ()
        self.filled = 0
        self.readers = 0

    def clear(self) -> None:
        """Remove all words. The arrays stay and are overwritten."""
        self.numbers.clear()
        self.filled = 0

    def find(self, lexemes: Lexemes) -> Ints:
        """The row of each word, or -1."""
        find = self.numbers.get
        return np.array([find(orth, -1) for orth in lexemes.orths.tolist()], dtype=np.int64)

    def add(self, orths: Any, computed: tuple[Array, ...], capacity: int) -> None:
        """Add words. A word that another thread has added in the meantime gets a second row, which does no harm."""
        end = self.filled + len(orths)
        if not self.arrays or end > self.arrays[0].shape[-2]:
            size = max(end, min(max(2 * end, 1024), capacity))
            self.arrays = tuple(self._grown(k, array, size) for k, array in enumerate(computed))
        for array, new in zip(self.arrays, computed, strict=True):
            array[..., self.filled : end, :] = new
        # In this order, so that Ctrl-C in between only wastes these rows: other words do not get them.
        first, self.filled = self.filled, end
        self.numbers.update(zip(orths.tolist(), range(first, end), strict=True))

    def _grown(self, k: int, like: Array, size: int) -> Array:
        grown = get_array_module(like).empty((*like.shape[:-2], size, like.shape[-1]), dtype=like.dtype)
        if self.arrays:
            grown[..., : self.filled, :] = self.arrays[k][..., : self.filled, :]
        return grown
