"""One layer of one cell, on packed sequences: its parameters, the products before and after the run, its gradients.

Notation as in `packed` and `cells`; I is the input width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Optional, cast

import numpy as np
from thinc.api import Model, Ops, get_array_module, glorot_uniform_init
from thinc.types import Floats2d, Ints1d
from thinc.util import partial

from . import device_run
from .cells import Cell, GRUCell, IdentityRNNCell, LSTMCell, ResetAfterGRUCell, RNNCell, SimpleGRUCell
from .kernel import Weights, add_rows, blocks_of, collect, run_backward, run_forward, take_rows
from .packed import Packed

CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (LSTMCell(), GRUCell(), ResetAfterGRUCell(), SimpleGRUCell(), RNNCell(), IdentityRNNCell())
}

FloatsXd = Any
Backprop = Callable[[Any], Any]


class Sequences(NamedTuple):
    """What a single layer takes: rows, and the index arrays of the batch.

    data (n, I): one row a token or, where `rows` is given, one row for each distinct input.
    rows (n_tokens,): the row of `data` that each token uses.
    """

    data: Floats2d
    packed: Packed
    rows: Optional[Ints1d] = None


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
    params: dict[str, Optional[FloatsXd]] = {"W": None, "b": None, "R": None}
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


def _layer_forward(model: Model[Sequences, Floats2d], inputs: Sequences, is_train: bool) -> tuple[Floats2d, Backprop]:
    X, packed, rows = inputs
    xp, cell = get_array_module(X), CELLS[model.attrs["cell"]]
    W, R, b = (model.get_param(name) for name in ("W", "R", "b"))
    h0, c0, bias = (model.get_param(name) if model.has_param(name) else None for name in ("h0", "c0", "b_h"))
    rate = model.attrs["recurrent_dropout"] if is_train else 0.0
    mask = model.ops.get_dropout_mask(R.shape, rate).astype(R.dtype) if rate else None
    R_dropped = R if mask is None else R * mask
    scale = xp.asarray(cell.scale(R.shape[1]), dtype=W.dtype)
    # A column of ones takes the bias, so that it costs no pass over the product.
    X_and_one = xp.concatenate([X, xp.ones((len(X), 1), dtype=X.dtype)], axis=1)
    W_and_b = xp.concatenate([W, b[:, None]], axis=1) * scale
    weights = Weights(W_and_b, blocks_of(xp, R_dropped * scale), h0, c0, bias)
    distinct = None if rows is None else xp.matmul(X_and_one, W_and_b)
    sources = packed.on(xp, "source")
    X_rows = take_rows(xp, X_and_one, sources) if is_train else None

    def project(start: int, end: int, out: FloatsXd) -> None:
        source = sources[:, start:end]
        if distinct is None:
            chosen = take_rows(xp, X_and_one, source) if X_rows is None else X_rows[:, start:end]
            xp.matmul(chosen, W_and_b, out=out)
            return
        for table, direction, part in zip(distinct, source, out, strict=True):
            take_rows(xp, table, cast(Ints1d, rows)[direction], out=part)

    forward, backward = (run_forward, run_backward) if xp is np else (device_run.run_forward, device_run.run_backward)
    run: Any = forward(cell, project, packed, weights, is_train)
    Y = collect(xp, run.h, packed)

    def backprop(dY: Floats2d) -> Floats2d:
        back = _LayerBack(X_rows, dY, W, packed, cell)
        dh0, dc0 = backward(cell, run, packed, Weights(W, blocks_of(xp, R_dropped), h0, c0, bias), back)
        model.inc_grad("W", back.d_W_and_b[:, :-1])
        model.inc_grad("b", back.d_W_and_b[:, -1])
        model.inc_grad("R", back.dR if mask is None else back.dR * mask)
        for name, gradient in (("h0", dh0), ("c0", dc0), ("b_h", back.d_bias)):
            if name in model.param_names:
                model.inc_grad(name, gradient)
        return cast(Floats2d, back.dX)

    return Y, backprop


class _LayerBack:
    """Takes the gradients of the steps, chunk by chunk, on to those of the layer's weights and inputs."""

    def __init__(self, X_rows: FloatsXd, dY: FloatsXd, W: FloatsXd, packed: Packed, cell: Cell):
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

    def receive(self, start: int, end: int) -> FloatsXd:
        xp, D = self.xp, self.packed.n_directions
        dh = take_rows(xp, self.dY, self.packed.on(xp, "source")[:, start:end].T * D + xp.arange(D))
        context_rows = self.packed.on(xp, "context_rows")
        if context_rows is not None and xp is np:
            dh[context_rows[:, start:end].T] = 0.0
        elif context_rows is not None:
            # CuPy would ask the device how many rows these are, and wait for it.
            xp.copyto(dh, 0.0, where=context_rows[:, start:end].T[:, :, None])
        return dh

    def hand_on(self, start: int, end: int, d_inputs: FloatsXd, h_before: FloatsXd, kept: FloatsXd) -> None:
        xp = self.xp
        self.d_W_and_b += xp.matmul(self.X_rows[:, start:end].swapaxes(1, 2), d_inputs)
        self.dR += self.cell.recurrent_gradient(xp, d_inputs, h_before, kept)
        if self.cell.recurrent_bias:
            self.d_bias += kept.sum(axis=1)
        may_repeat = self.packed.context_rows is not None
        for direction, dX_rows in enumerate(xp.matmul(d_inputs, self.W_back)):
            add_rows(xp, self.dX, self.packed.on(xp, "source")[direction, start:end], dX_rows, may_repeat)
