"""One layer of one cell, on packed sequences: its parameters, the products before and after the run, its gradients.

Notation as in `packed` and `cells`; I is the input width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Optional, cast

import numpy as np
from thinc.api import Model, Ops, get_array_module, glorot_uniform_init
from thinc.types import Floats2d, Ints1d
from thinc.util import partial

from ...arrays import add_rows, take_rows
from ...types import Array, Backprop
from ..packed import Packed
from . import gpu as device_run
from .cells import Cell, GRUCell, IdentityRNNCell, LSTMCell, ResetAfterGRUCell, RNNCell, SimpleGRUCell
from .cpu import Weights, blocks_of, collect, run_backward, run_forward

CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (LSTMCell(), GRUCell(), ResetAfterGRUCell(), SimpleGRUCell(), RNNCell(), IdentityRNNCell())
}
Project = Callable[[int, int, Array], None]


class Sequences(NamedTuple):
    """What a single layer takes: rows, and the index arrays of the batch.

    data (n_tokens, I): one row a token.
    packed: the index arrays.
    projected: in place of `data`, while predicting, what `project_inputs` gives for distinct inputs (D, n, K·H), and
        which of them each token uses (n_tokens,).
    """

    data: Optional[Floats2d]
    packed: Packed
    projected: Optional[tuple[Array, Ints1d]] = None


def single_layer(
    cell: str,
    hidden: Optional[int],
    nI: Optional[int],
    n_directions: int,
    recurrent_dropout: float,
    learn_initial_state: bool,
) -> Model[Sequences, Floats2d]:
    """One layer of one cell. W (D, I, K·H), b (D, K·H), R (D, H, K·H), h0 and c0 (D, H) if learned.

    b_h (D, H) for cells with a recurrent bias.
    """
    params: dict[str, Optional[Array]] = {"W": None, "b": None, "R": None}
    if learn_initial_state:
        params["h0"] = None
        if CELLS[cell].carries:
            params["c0"] = None
    if CELLS[cell].recurrent_bias:
        params["b_h"] = None
    return Model(
        cell,
        _layer_forward,
        init=partial(_layer_init, cell, n_directions),
        params=params,
        dims={"nO": hidden, "nI": nI},
        attrs={"cell": cell, "recurrent_dropout": recurrent_dropout},
    )


def _layer_init(cell_name: str, D: int, model: Model[Sequences, Floats2d], X: Any = None, Y: Any = None) -> None:
    ops, cell = model.ops, CELLS[cell_name]
    H, width, blocks = model.get_dim("nO"), model.get_dim("nI"), len(cell.blocks)
    W = [[glorot_uniform_init(ops, (width, H)) for _ in range(blocks)] for _ in range(D)]
    model.set_param("W", ops.xp.stack([ops.xp.concatenate(row, axis=1) for row in W]))
    R = [[_recurrent_init(ops, cell, H) for _ in range(blocks)] for _ in range(D)]
    model.set_param("R", ops.xp.stack([ops.xp.concatenate(row, axis=1) for row in R]))
    bias = ops.alloc2f(D, blocks * H)
    if "forget" in cell.blocks:
        # A forget gate that starts open lets gradients through from the first step on (Jozefowicz et al. 2015).
        start = list(cell.blocks).index("forget") * H
        bias[:, start : start + H] = 1.0
    model.set_param("b", bias)
    for name in ("h0", "c0", "b_h"):
        if name in model.param_names:
            model.set_param(name, ops.alloc2f(D, H))


def _recurrent_init(ops: Ops, cell: Cell, H: int) -> Floats2d:
    if cell.recurrent_init == "identity":
        return cast(Floats2d, ops.xp.eye(H, dtype="float32"))
    # Orthogonal matrices keep the length of what passes through them (Saxe et al. 2014).
    q, r = np.linalg.qr(np.random.normal(size=(H, H)))
    return cast(Floats2d, ops.asarray((q * np.sign(np.diag(r))).astype("float32")))


def _input_weights(model: Model[Any, Any], scale: Array) -> Array:
    """(D, I+1, K·H) W and β as its last row, scaled. A column of ones takes the bias: no pass over the product."""
    W, b = model.get_param("W"), model.get_param("b")
    return model.ops.xp.concatenate([W, b[:, None]], axis=1) * scale


def _scale(model: Model[Any, Any]) -> Array:
    R = model.get_param("R")
    return model.ops.xp.asarray(CELLS[model.attrs["cell"]].scale(R.shape[1]), dtype=R.dtype)


def _beside_one(xp: Any, X: Floats2d) -> Floats2d:
    return cast(Floats2d, xp.concatenate([X, xp.ones((len(X), 1), dtype=X.dtype)], axis=1))


def project_inputs(model: Model[Sequences, Floats2d], X: Floats2d) -> Array:
    """(n, I) -> (D, n, K·H): x·W + β of a single layer, in the form in which its steps take it."""
    xp = model.ops.xp
    return xp.matmul(_beside_one(xp, X), _input_weights(model, _scale(model)))


def _layer_forward(model: Model[Sequences, Floats2d], inputs: Sequences, is_train: bool) -> tuple[Floats2d, Backprop]:
    packed, cell, xp = inputs.packed, CELLS[model.attrs["cell"]], model.ops.xp
    W, R = model.get_param("W"), model.get_param("R")
    h0, c0, bias = (model.get_param(name) if model.has_param(name) else None for name in ("h0", "c0", "b_h"))
    rate = model.attrs["recurrent_dropout"] if is_train else 0.0
    mask = model.ops.get_dropout_mask(R.shape, rate).astype(R.dtype) if rate else None
    R_dropped = R if mask is None else R * mask
    scale = _scale(model)
    weights = Weights(blocks_of(xp, R_dropped * scale), h0, c0, bias)
    X_rows = None
    if inputs.projected is not None:
        project = _chosen_projections(xp, *inputs.projected, packed)
    else:
        X_and_one, W_and_b = _beside_one(xp, cast(Floats2d, inputs.data)), _input_weights(model, scale)
        X_rows = take_rows(xp, X_and_one, packed.on(xp, "source")) if is_train else None
        project = _projections(xp, X_and_one, X_rows, W_and_b, packed)
    forward, backward = (run_forward, run_backward) if xp is np else (device_run.run_forward, device_run.run_backward)
    run: Any = forward(cell, project, packed, weights, is_train)
    Y = collect(xp, run.h, packed)

    def backprop(dY: Floats2d) -> Floats2d:
        back = _LayerBack(X_rows, dY, W, packed, cell)
        dh0, dc0 = backward(cell, run, packed, Weights(blocks_of(xp, R_dropped), h0, c0, bias), back)
        model.inc_grad("W", back.d_W_and_b[:, :-1])
        model.inc_grad("b", back.d_W_and_b[:, -1])
        model.inc_grad("R", back.dR if mask is None else back.dR * mask)
        for name, gradient in (("h0", dh0), ("c0", dc0), ("b_h", back.d_bias)):
            if name in model.param_names:
                model.inc_grad(name, gradient)
        return cast(Floats2d, back.dX)

    return Y, backprop


def _projections(xp: Any, X: Array, X_rows: Optional[Array], W: Array, packed: Packed) -> Project:
    """Projects the inputs of packed rows.

    X (n_tokens, I+1): the inputs by token; X_rows (D, N, I+1): by packed row, if they are kept anyway.
    """

    sources = packed.on(xp, "source")

    def project(start: int, end: int, out: Array) -> None:
        chosen = take_rows(xp, X, sources[:, start:end]) if X_rows is None else X_rows[:, start:end]
        xp.matmul(chosen, W, out=out)

    return project


def _chosen_projections(xp: Any, tables: Array, rows: Ints1d, packed: Packed) -> Project:
    """Gathers what was projected before. tables (D, n, K·H); rows (n_tokens,)."""
    chosen = xp.asarray(rows)[packed.on(xp, "source")]

    def project(start: int, end: int, out: Array) -> None:
        for table, own, part in zip(tables, chosen, out, strict=True):
            take_rows(xp, table, own[start:end], out=part)

    return project


class _LayerBack:
    """Takes the gradients of the steps, chunk by chunk, on to those of the layer's weights and inputs."""

    def __init__(self, X_rows: Array, dY: Array, W: Array, packed: Packed, cell: Cell):
        xp = self.xp = get_array_module(dY)
        D, n_inputs, width = W.shape
        H = dY.shape[1] // D
        self.X_rows, self.packed, self.cell = X_rows, packed, cell
        self.dY = xp.ascontiguousarray(dY).reshape(-1, H)
        self.W_back = xp.ascontiguousarray(W.swapaxes(1, 2))
        self.d_W_and_b = xp.zeros((D, n_inputs + 1, width), dtype=dY.dtype)
        self.dR = xp.zeros((D, H, width), dtype=dY.dtype)
        self.d_bias = xp.zeros((D, H), dtype=dY.dtype)
        self.dX = xp.zeros((packed.n_tokens, n_inputs), dtype=dY.dtype)

    def receive(self, start: int, end: int) -> Array:
        xp, D = self.xp, self.packed.n_directions
        dh = take_rows(xp, self.dY, self.packed.on(xp, "source")[:, start:end].T * D + xp.arange(D))
        context_rows = self.packed.on(xp, "context_rows")
        if context_rows is not None and xp is np:
            dh[context_rows[:, start:end].T] = 0.0
        elif context_rows is not None:
            # CuPy would ask the device how many rows these are, and wait for it.
            xp.copyto(dh, 0.0, where=context_rows[:, start:end].T[:, :, None])
        return dh

    def hand_on(self, start: int, end: int, d_inputs: Array, h_before: Array, kept: Array) -> None:
        xp = self.xp
        self.d_W_and_b += xp.matmul(self.X_rows[:, start:end].swapaxes(1, 2), d_inputs)
        self.dR += self.cell.recurrent_gradient(xp, d_inputs, h_before, kept)
        if self.cell.recurrent_bias:
            self.d_bias += kept.sum(axis=1)
        may_repeat = self.packed.context_rows is not None
        for direction, dX_rows in enumerate(xp.matmul(d_inputs, self.W_back)):
            add_rows(xp, self.dX, self.packed.on(xp, "source")[direction, start:end], dX_rows, may_repeat)
