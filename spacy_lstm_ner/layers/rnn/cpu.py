"""The run of a cell through packed sequences on a CPU, forward and backward.

Notation as in `packed` and `cells`.

chunk  the packed rows of some whole steps. One product projects their inputs, and one adds their gradients to those of
       the weights

`gpu` also uses the functions that take the module of the arrays, `xp`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional, Protocol

import numpy as np
from thinc.types import Floats2d

from ...arrays import take_rows
from ...types import Array
from ..packed import Packed
from .cells import Cell, Step

CHUNK = 128
BACK_CHUNK = 512
"""About how many rows a chunk has, forward and backward: enough for a fast product, few enough for the caches."""

Project = Callable[[int, int, Array], None]
"""`project(start, end, out)` writes x·W + β of the packed rows from `start` to `end` to `out` (D, end - start, K·H)."""


def collect(xp: Any, h: Array, packed: Packed) -> Floats2d:
    """Order hidden states by token.

    Args:
        xp (Any): The module of the arrays, NumPy or CuPy.
        h (Array): (N, D, H) The hidden states by packed row.
        packed (Packed): The index arrays of the batch.

    Returns:
        Floats2d: (n_tokens, D·H) The hidden states by token.
    """
    N, D, H = h.shape
    rows = packed.on(xp, "target").T * D + xp.arange(D)
    return take_rows(xp, h.reshape(N * D, H), rows).reshape(packed.n_tokens, D * H)


@dataclass
class Weights:
    """The recurrent weights of a layer, as the steps of a run use them.

    Attributes:
        R (Array): (K, D, H, H) The blocks, see `blocks_of`. A forward run needs them multiplied by `Cell.scale`, a
            backward run as they are.
        h0 (Optional[Array]): (D, H) The learned initial hidden state; None for zeros.
        c0 (Optional[Array]): (D, H) The learned initial cell state; None for zeros.
        bias (Optional[Array]): (D, H) The recurrent bias; None if the cell has none.
    """

    R: Array
    h0: Optional[Array] = None
    c0: Optional[Array] = None
    bias: Optional[Array] = None


def blocks_of(xp: Any, R: Array) -> Array:
    """Split recurrent weights into blocks.

    Args:
        xp (Any): The module of the weights, NumPy or CuPy.
        R (Array): (D, H, K·H) The weights.

    Returns:
        Array: (K, D, H, H) One contiguous matrix for each block and direction.
    """
    D, H, width = R.shape
    return xp.ascontiguousarray(R.reshape(D, H, width // H, H).transpose(2, 0, 1, 3))


@dataclass
class Run:
    """The states of a forward run.

    Attributes:
        h (Array): (N, D, H) The hidden states.
        gates (_Blocks): The activations, (K, b, D, H) for each step. For the backward run.
        kept (Array): (N, D, H) The array that the cell keeps. For the backward run.
    """

    h: Array
    gates: "_Blocks"
    kept: Array

    def activations(self, packed: Packed) -> Array:
        """(N, K, D, H) The activations by packed row, of a run with `is_train`."""
        steps = [self.gates.view(first, b).swapaxes(0, 1) for first, b, _ in packed.steps]
        return np.concatenate(steps) if steps else np.zeros((0, *self.gates.shape), dtype=self.h.dtype)


class _Blocks:
    """Memory for blocks of all rows. The part of a step is a contiguous array (K, b, D, H)."""

    def __init__(self, memory: Array, K: int, D: int, H: int):
        self.shape = (K, D, H)
        self.width = K * D * H
        self.memory = memory

    def view(self, first: int, b: int) -> Array:
        K, D, H = self.shape
        return self.memory[first * self.width : (first + b) * self.width].reshape(K, b, D, H)


def _scratch(K: int, n: int, D: int, H: int, dtype: Any) -> _Blocks:
    return _Blocks(np.empty(n * K * D * H, dtype=dtype), K, D, H)


def run_forward(cell: Cell, project: Project, packed: Packed, weights: Weights, is_train: bool) -> Run:
    """Run all steps, from the first to the last.

    Args:
        cell (Cell): The cell.
        project (Project): Projects the inputs of packed rows.
        packed (Packed): The index arrays of the batch.
        weights (Weights): The recurrent weights, scaled.
        is_train (bool): Whether to keep the arrays that `run_backward` needs.

    Returns:
        Run: The states. In prediction, only `h` is complete.
    """
    R = weights.R
    K, D, H, _ = R.shape
    N, dtype = packed.n_rows, R.dtype
    B = int(packed.batch_sizes.max(initial=0))
    # One allocation for everything that grows with the batch. The allocator reuses it for the next batch; several
    # large ones would go back to the system, which then maps new pages each time.
    n_kept = (N if is_train else B) if cell.keeps else 0
    memory = np.empty((N + n_kept + (N * K if is_train else 0)) * D * H, dtype=dtype)
    h = memory[: N * D * H].reshape(N, D, H)
    kept = memory[N * D * H : (N + n_kept) * D * H].reshape(n_kept, D, H)
    gates = _Blocks(memory[(N + n_kept) * D * H :], K, D, H)
    work_memory, spare_memory = _scratch(K, B, D, H, dtype), np.empty((B, D, H), dtype=dtype)
    h_start, c_start = _start_states(weights, D, B, H, dtype)
    chunk_memory = np.empty(min(CHUNK + B, N) * D * K * H, dtype=dtype)
    start, end, b_before = 0, 0, -1
    for first, b, before in packed.steps:
        last = first + b
        if last > end:
            start, end = first, end_of_chunk(packed, first, CHUNK)
            projected = chunk_memory[: (end - start) * D * K * H].reshape(D, end - start, K * H)
            project(start, end, projected)
            inputs = projected.reshape(D, end - start, K, H).transpose(2, 1, 0, 3)
        if b != b_before:
            work, spare, b_before = work_memory.view(0, b), spare_memory[:b], b
        if is_train:
            step_gates, c = gates.view(first, b), kept[first:last]
            c_before = c_start[:b] if before < 0 else kept[before : before + b]
        else:
            step_gates, c = work, kept[:b]
            c_before = c_start[:b] if before < 0 else c
        h_before = h_start[:b] if before < 0 else h[before : before + b]
        step_inputs = inputs[:, first - start : last - start]
        step = Step(step_inputs, step_gates, h[first:last], h_before, c, c_before, work, None, spare, weights.bias)
        cell.forward(step, R)
    return Run(h, gates, kept)


def end_of_chunk(packed: Packed, first: int, size: int) -> int:
    """Where to end a chunk.

    Args:
        packed (Packed): The index arrays of the batch.
        first (int): The first row of the chunk.
        size (int): The number of its rows, at least.

    Returns:
        int: The end of the first step that ends at least `size` rows after `first`, or N.
    """
    offsets = packed.offsets
    return offsets[min(bisect_left(offsets, first + size), len(offsets) - 1)]


def _start_states(weights: Weights, D: int, B: int, H: int, dtype: Any) -> tuple[Array, Array]:
    h0, c0 = (np.zeros((B, D, H), dtype=dtype) for _ in range(2))
    for state, learned in ((h0, weights.h0), (c0, weights.c0)):
        if learned is not None:
            state[:] = learned
    return h0, c0


class Gradients(Protocol):
    """Gives a backward run the gradients of the layer's output, and takes the gradients that the run computes."""

    def of_states(self, start: int, end: int) -> Array:
        """The gradient (end - start, D, H) of the hidden states of packed rows, from the layer above."""

    def add(self, start: int, end: int, d_inputs: Array, h_before: Array, kept: Array) -> None:
        """Add the gradients that follow from the gradient of x·W + β of packed rows.

        Args:
            start (int): The first packed row.
            end (int): The row after the last.
            d_inputs (Array): (D, end - start, K·H) The gradient of x·W + β.
            h_before (Array): (D, end - start, H) The hidden states before these rows.
            kept (Array): (D, end - start, H) The arrays that the cell kept for these rows.
        """


def run_backward(cell: Cell, run: Run, packed: Packed, weights: Weights, gradients: Gradients) -> tuple[Array, Array]:
    """Run all steps backward, from the last to the first.

    Args:
        cell (Cell): The cell.
        run (Run): The forward run, with `is_train`. It does not change.
        packed (Packed): The index arrays of the batch.
        weights (Weights): The recurrent weights, not scaled.
        gradients (Gradients): Gives the gradients of the output, and takes the others, one chunk at a time.

    Returns:
        tuple[Array, Array]: The gradients (D, H) of h0 and c0.
    """
    R = weights.R
    K, D, H, _ = R.shape
    N, dtype = packed.n_rows, R.dtype
    R = np.ascontiguousarray(R.swapaxes(2, 3))
    B = int(packed.batch_sizes.max(initial=0))
    chunk_memory = np.empty(min(BACK_CHUNK + B, N) * D * K * H, dtype=dtype)
    work_memory, product_memory = (_scratch(K, B, D, H, dtype) for _ in range(2))
    spare_memory = np.empty((B, D, H), dtype=dtype)
    h_start, c_start = _start_states(weights, D, B, H, dtype)
    # The gradients that a step passes to the step before. They are still zero for the windows that end in it.
    dh_carried, dc_carried = (np.zeros((B, D, H), dtype=dtype) for _ in range(2))
    dh0, dc0 = np.zeros((D, H), dtype=dtype), np.zeros((D, H), dtype=dtype)
    # There may be a second backward run.
    all_kept = run.kept.copy() if cell.overwrites_kept else run.kept
    b_before, start = -1, N
    for first, b, before in reversed(packed.steps):
        last = first + b
        if last <= start:
            start, end = _start_of_chunk(packed, last, BACK_CHUNK), last
            dh = gradients.of_states(start, end)
            d_inputs = chunk_memory[: (end - start) * D * K * H].reshape(D, end - start, K * H)
            d_blocks = d_inputs.reshape(D, end - start, K, H).transpose(2, 1, 0, 3)
        if b != b_before:
            work, product, spare = work_memory.view(0, b), product_memory.view(0, b), spare_memory[:b]
            dh_step, dc, b_before = dh_carried[:b], dc_carried[:b], b
        if before < 0:
            h_before, c_before = h_start[:b], c_start[:b]
        else:
            h_before, c_before = run.h[before : before + b], all_kept[before : before + b]
        gates, h, c = run.gates.view(first, b), run.h[first:last], all_kept[first:last]
        np.add(dh_step, dh[first - start : last - start], out=dh_step)
        step = Step(None, gates, h, h_before, c, c_before, work, product, spare, weights.bias)
        cell.backward(step, dh_step, dc, R)
        d_blocks[:, first - start : last - start] = work
        if before < 0:
            dh0 += dh_step.sum(axis=0)
            dc0 += dc.sum(axis=0)
            dh_carried[:] = 0.0
            dc_carried[:] = 0.0
        if first == start:
            states = _states_before(run.h, packed, weights.h0, start, end).swapaxes(0, 1)
            gradients.add(start, end, d_inputs, states, all_kept[start:end].swapaxes(0, 1))
    return dh0, dc0


def _start_of_chunk(packed: Packed, last: int, size: int) -> int:
    """The start of the last step that starts at least `size` rows before `last`, or 0."""
    return packed.offsets[max(bisect_right(packed.offsets, last - size) - 1, 0)]


def _states_before(h: Array, packed: Packed, h0: Optional[Array], start: int, end: int) -> Array:
    """(end - start, D, H) The hidden state before each row from `start` to `end`."""
    states = take_rows(np, h, packed.previous[start:end])
    low, high = np.searchsorted(packed.first_rows, (start, end))
    states[packed.first_rows[low:high] - start] = 0.0 if h0 is None else h0
    return states
