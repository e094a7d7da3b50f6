"""The run of a cell through packed sequences, forward and back.

Notation as in `packed` and `cells`; n is the number of distinct inputs, O = D·H the output width.
"""

from dataclasses import dataclass
from typing import Any, List, Optional, cast

import numpy as np
from thinc.api import get_array_module
from thinc.types import Floats2d

from .cells import Array, Cell, Step
from .packed import Packed


def collect(xp: Any, h: Array, packed: Packed) -> Floats2d:
    """(D, N, H) by packed row -> (n_tokens, D·H) by token."""
    D, _, H = h.shape
    Y = xp.empty((packed.n_tokens, D * H), dtype=h.dtype)
    for direction in range(D):
        Y[:, direction * H : (direction + 1) * H] = h[direction][packed.target[direction]]
    return cast(Floats2d, Y)


def distribute(xp: Any, dY: Floats2d, packed: Packed) -> Array:
    """(n_tokens, D·H) by token -> (D, N, H) by packed row; nothing reaches the rows of a context."""
    D, H = packed.n_directions, dY.shape[1] // packed.n_directions
    dh = xp.empty((D, packed.n_rows, H), dtype=dY.dtype)
    for direction in range(D):
        dh[direction] = dY[:, direction * H : (direction + 1) * H][packed.source[direction]]
    if packed.context_rows is not None:
        dh[packed.context_rows] = 0.0
    return dh


def scatter_rows(xp: Any, d_rows: Array, packed: Packed) -> Array:
    """(D, N, ·) by packed row -> (D, n_tokens, ·) by token, summed over the rows of a token."""
    d_tokens = xp.take_along_axis(d_rows, xp.asarray(packed.target)[:, :, None], axis=1)
    if packed.context_rows is not None:
        for direction in range(packed.n_directions):
            extra = np.flatnonzero(packed.context_rows[direction])
            xp.add.at(d_tokens[direction], packed.source[direction, extra], d_rows[direction, extra])
    return d_tokens


@dataclass
class Run:
    """What a run through the steps leaves for the way back. While predicting, `gates` and `kept` are scratch."""

    gates: Array  # (D, N, K·H) activations; after the way back, gradients
    h: Array  # (D, N, H)
    kept: Array  # (D, N, H) cell state, or what else the cell keeps


def run_forward(
    cell: Cell,
    projected: Array,
    source: Array,
    packed: Packed,
    R: Array,
    starts: List[Optional[Array]],
    is_train: bool,
) -> Run:
    """All steps. projected (D, n, K·H): x·W + β of each distinct input; source (D, N): the one of each packed row."""
    xp = get_array_module(projected)
    D, _, width = projected.shape
    H, dtype = R.shape[1], projected.dtype
    N, offsets = packed.n_rows, packed.offsets
    B = int(packed.batch_sizes[0]) if N else 0
    stored = N if is_train else B
    h = xp.empty((D, N, H), dtype=dtype)
    gates = xp.empty((D, stored, width), dtype=dtype)
    kept = xp.empty((D, stored if cell.keeps else 0, H), dtype=dtype)
    work, spare = xp.empty((D, B, width), dtype=dtype), xp.empty((D, B, H), dtype=dtype)
    h_start, c_start = _start_states(xp, starts, D, B, H, dtype)
    for t, b in enumerate(packed.batch_sizes.tolist()):
        now = slice(offsets[t], offsets[t] + b)
        before = slice(offsets[t - 1], offsets[t - 1] + b) if t else slice(0, b)
        stored_now, stored_before = (now, before) if is_train else (slice(0, b), slice(0, b))
        step = Step(
            xp,
            gates[:, stored_now],
            h[:, now],
            h[:, before] if t else h_start,
            kept[:, stored_now],
            kept[:, stored_before] if t else c_start,
            work[:, :b],
            spare[:, :b],
        )
        _gather(xp, projected, source[:, now], step.gates)
        cell.forward(step, R)
    return Run(gates, h, kept)


def _gather(xp: Any, table: Array, rows: Array, out: Array) -> None:
    """out (D, b, ·) = the rows (D, b) of table (D, n, ·)."""
    for direction in range(len(table)):
        if xp is np:
            # "clip" writes straight into `out`; the default mode goes through a buffer.
            np.take(table[direction], rows[direction], axis=0, out=out[direction], mode="clip")
        else:
            out[direction] = table[direction][rows[direction]]


def _start_states(xp: Any, starts: List[Optional[Array]], D: int, B: int, H: int, dtype: Any) -> tuple[Array, Array]:
    h0, c0 = (xp.zeros((D, B, H), dtype=dtype) for _ in range(2))
    for state, learned in ((h0, starts[0]), (c0, starts[1])):
        if learned is not None:
            state[:] = learned[:, None]
    return h0, c0


def run_backward(
    cell: Cell, run: Run, dh: Array, packed: Packed, R: Array, starts: List[Optional[Array]]
) -> tuple[Array, Array, Array]:
    """All steps back. dh (D, N, H): gradient of the hidden states, overwritten.

    Leaves the gradient of x·W + β in run.gates. RETURNS the gradients of R, of h0 and of c0.
    """
    xp = get_array_module(dh)
    D, N, H = dh.shape
    offsets = packed.offsets
    B = int(packed.batch_sizes[0]) if N else 0
    work = xp.empty((D, B, run.gates.shape[-1]), dtype=dh.dtype)
    spare = xp.empty((D, B, H), dtype=dh.dtype)
    h_start, c_start = _start_states(xp, starts, D, B, H, dh.dtype)
    # The gradients that a step hands to the one before. Rows of segments that end there are still zero.
    dh_carried, dc = (xp.zeros((D, B, H), dtype=dh.dtype) for _ in range(2))
    for t in range(len(packed.batch_sizes) - 1, -1, -1):
        b = offsets[t + 1] - offsets[t]
        now = slice(offsets[t], offsets[t] + b)
        before = slice(offsets[t - 1], offsets[t - 1] + b) if t else slice(0, b)
        step = Step(
            xp,
            run.gates[:, now],
            run.h[:, now],
            run.h[:, before] if t else h_start,
            run.kept[:, now],
            run.kept[:, before] if t else c_start,
            work[:, :b],
            spare[:, :b],
        )
        dh_step = dh_carried[:, :b]
        xp.add(dh_step, dh[:, now], out=dh_step)
        cell.backward(step, dh_step, dc[:, :b], R)
    h_before = xp.concatenate([h_start, run.h[:, packed.previous]], axis=1)
    dR = cell.recurrent_gradient(xp, run.gates, h_before, run.kept)
    return dR, dh_carried.sum(axis=1), dc.sum(axis=1)
