"""The run of a cell through packed sequences on a GPU, forward and backward, with one product and one kernel a step.

Notation as in `packed`, `cells` and `gpu_kernels`. The functions have the names and arguments of those in `cpu`. All
windows run together, and the loops copy nothing to or from the host. One product projects the inputs of a chunk, which
has far more rows than one on the CPU: it bounds the memory of a long document, and is all of a usual batch.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from thinc.api import get_array_module

from ...arrays import take_rows
from ...types import Array
from ..packed import Packed
from .cells import Cell
from .cpu import Gradients, Project, Weights, end_of_chunk
from .gpu_kernels import STAGES, Stage, wide_weights

CHUNK = 1 << 16
"""About how many rows a chunk has in a forward run."""


@dataclass
class GpuRun:
    """The states of a forward run. All but `h` are for the backward run, see `gpu_kernels`.

    Attributes:
        h (Array): (N, D, H) The hidden states.
        states (Array): (N + B, D, H) The hidden states and the start states.
        kept (Array): (N + B, D, H) The arrays that the cell keeps.
        gates (Array): (N, D, K, H) The activations.
    """

    h: Array
    states: Array
    kept: Array
    gates: Array


class _Sizes(NamedTuple):
    K: int
    D: int
    H: int
    N: int
    B: int


def _sizes(weights: Weights, packed: Packed) -> _Sizes:
    K, D, H, _ = weights.R.shape
    return _Sizes(K, D, H, packed.n_rows, int(packed.batch_sizes.max(initial=0)))


def _with_start(xp: Any, n: int, sizes: _Sizes, start: Optional[Array], dtype: Any) -> Array:
    """(n + B, D, H) An array with the start states of the windows in the last B rows."""
    states = xp.empty((n + sizes.B, sizes.D, sizes.H), dtype=dtype)
    states[n:] = 0.0 if start is None else start
    return states


def run_forward(cell: Cell, project: Project, packed: Packed, weights: Weights, is_train: bool) -> GpuRun:
    """Run all steps, from the first to the last; see `cpu.run_forward`."""
    R = weights.R
    xp = get_array_module(R)
    sizes, dtype = _sizes(weights, packed), R.dtype
    K, D, H, N, B = sizes
    states = _with_start(xp, N, sizes, weights.h0, dtype)
    n_kept = N if is_train else 0
    # An array that a kernel does not use has one element.
    kept = _with_start(xp, n_kept, sizes, weights.c0, dtype) if cell.keeps else xp.empty(1, dtype=dtype)
    n_gates = (N if is_train else B) if K > 1 else 0
    gates = xp.empty((n_gates, D, K, H) if n_gates else 1, dtype=dtype)
    bias = xp.empty(1, dtype=dtype) if weights.bias is None else xp.ascontiguousarray(weights.bias)
    chunk_memory = xp.empty(min(CHUNK + B, N) * D * K * H, dtype=dtype)
    start = end = 0
    stages = [_forward_stage(xp, stage, R, B) for stage in STAGES[cell.name][0]]
    rows, keep = states.reshape(N + B, D * H), int(is_train)
    kept_rows = kept.reshape(-1, D * H) if cell.keeps else kept
    for first, b, before in packed.steps:
        if first + b > end:
            start, end = first, end_of_chunk(packed, first, CHUNK)
            inputs = chunk_memory[: (end - start) * D * K * H].reshape(D, end - start, K * H)
            project(start, end, inputs)
        if before < 0:
            before = N
            if cell.carries and not is_train:
                kept[:b] = 0.0 if weights.c0 is None else weights.c0
        for stage, wide, product in stages:
            row = first if is_train else 0
            left = kept_rows[row : row + b] if stage.multiplies_kept else rows[before : before + b]
            xp.dot(left, wide, out=product[:b])
            numbers = (end - start, D, H, first - start, first, before, keep)
            stage.kernel(inputs, product, bias, *numbers, states, kept, gates, size=b * D * H)
    return GpuRun(states[:N], states, kept, gates)


def _forward_stage(xp: Any, stage: Stage, R: Array, B: int) -> tuple[Stage, Array, Array]:
    """A stage of the forward step, its weights, and the array for its product."""
    wide = wide_weights(xp, R, stage)
    return stage, wide, xp.empty((B, wide.shape[1]), dtype=R.dtype)


def run_backward(
    cell: Cell, run: GpuRun, packed: Packed, weights: Weights, gradients: Gradients
) -> tuple[Array, Array]:
    """Run all steps backward, from the last to the first; see `cpu.run_backward`."""
    R = weights.R
    xp = get_array_module(R)
    sizes, dtype = _sizes(weights, packed), R.dtype
    K, D, H, N, B = sizes
    dh0, dc0 = xp.zeros((D, H), dtype=dtype), xp.zeros((D, H), dtype=dtype)
    if not N:
        return dh0, dc0
    d_h = xp.ascontiguousarray(gradients.of_states(0, N))
    d_inputs = xp.empty((D, N, K * H), dtype=dtype)
    # The gradients that a step passes to the step before. They are still zero for the windows that end in it.
    carried = xp.zeros((B, D, H), dtype=dtype)
    stages = [_backward_stage(xp, stage, R, B) for stage in STAGES[cell.name][1]]
    product = last_product = stages[-1][3]
    all_kept = run.kept.copy() if cell.overwrites_kept else run.kept
    for first, b, before in reversed(packed.steps):
        for stage, wide, work, out in stages:
            numbers = (N, D, H, first, N if before < 0 else before)
            arrays = (carried, all_kept, work, d_inputs)
            stage.kernel(d_h, product, run.gates, run.states, *numbers, *arrays, size=b * D * H)
            xp.dot(work[:b], wide, out=out[:b])
            product = out
        if before < 0:
            dh0 += last_product[:b].reshape(b, D, H).sum(axis=0)
            d_state = carried[:b].sum(axis=0)
            if cell.carries:
                dc0 += d_state
            else:
                dh0 += d_state
            carried[:] = 0.0
            last_product[:] = 0.0
    states = take_rows(xp, run.states, packed.on(xp, "previous_or_start")).swapaxes(0, 1)
    kept = all_kept[:N].swapaxes(0, 1) if cell.keeps else all_kept
    gradients.add(0, N, d_inputs, states, kept)
    return dh0, dc0


def _backward_stage(xp: Any, stage: Stage, R: Array, B: int) -> tuple[Stage, Array, Array, Array]:
    """A stage of the backward step, its weights, and the arrays for the left factor and the result of its product."""
    forward = wide_weights(xp, R, stage)
    D_H, width = forward.shape
    return stage, forward.T, xp.empty((B, width), dtype=R.dtype), xp.zeros((B, D_H), dtype=R.dtype)
