"""A single recurrent layer on packed sequences: its parameters, the products around the run, and its gradients.

Notation as in `packed` and `cells`. I is the width of the input.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import numpy as np
from thinc.api import Model, Ops, get_array_module, glorot_uniform_init
from thinc.types import Floats2d

from ...arrays import add_rows, take_rows
from ...threads import ONE_THREAD, on_one_thread
from ...types import Array, Backprop, Floats
from ..packed import Packed
from . import cpu, gpu
from .cells import CELLS, Cell
from .options import RecurrentOptions


class Distinct(NamedTuple):
    """The inputs of a prediction in which tokens share inputs. Each distinct input is projected only once.

    Attributes:
        rows (Array): (n_tokens,) The number of the distinct input of each token.
        projected (Array): (D, n, K·H) The projections of the inputs, from `project_inputs`.
        inputs (Array): (n, I) The inputs if a residual connection adds them, else None.
    """

    rows: Array
    projected: Array
    inputs: Array = None


class Sequences(NamedTuple):
    """The input of a single layer.

    Attributes:
        data (Union[Floats2d, Distinct]): (n_tokens, I) One row for each token; or, in predictions, distinct inputs.
        packed (Packed): The index arrays of the batch.
    """

    data: Union[Floats2d, Distinct]
    packed: Packed

    def by_token(self) -> Array:
        """(n_tokens, I) The input of each token."""
        return self.data.inputs[self.data.rows] if isinstance(self.data, Distinct) else self.data


def single_layer(
    cell: str, hidden: Optional[int], nI: Optional[int], options: RecurrentOptions
) -> Model[Sequences, Floats2d]:
    """Build a single recurrent layer.

    Its parameters are W (D, I, K·H), b (D, K·H) and R (D, H, K·H); h0 (D, H) if the initial state is learned, and c0
    (D, H) if the cell has a cell state; b_h (D, H) if the cell has a recurrent bias.

    Args:
        cell (str): A key of `CELLS`.
        hidden (Optional[int]): H; None until initialization.
        nI (Optional[int]): I; None until initialization.
        options (RecurrentOptions): The settings of the stack.

    Returns:
        Model[Sequences, Floats2d]: The layer. Its output has the shape (n_tokens, D·H).
    """
    param_shapes = partial(_param_shapes, cell, options.n_directions, options.learn_initial_state)
    dims = {"nO": hidden, "nI": nI}
    return Model(
        cell,
        _layer_forward,
        init=_layer_init,
        params=dict.fromkeys(param_shapes(dims)),
        dims=dims,
        attrs={"cell": cell, "recurrent_dropout": options.recurrent_dropout, "param_shapes": param_shapes},
    )


def _param_shapes(
    cell: str, n_directions: int, learn_initial_state: bool, sizes: Mapping[str, Any]
) -> Dict[str, Tuple[Optional[int], ...]]:
    """The `ParamShapes` of a layer, if the first three arguments are bound."""
    D, H, width, own = n_directions, sizes["nO"], None, CELLS[cell]
    if H is not None:
        width = len(own.blocks) * H
    shapes: Dict[str, Tuple[Optional[int], ...]] = {"W": (D, sizes["nI"], width), "b": (D, width), "R": (D, H, width)}
    for name, has in (
        ("h0", learn_initial_state),
        ("c0", learn_initial_state and own.carries),
        ("b_h", own.recurrent_bias),
    ):
        if has:
            shapes[name] = (D, H)
    return shapes


def _layer_init(model: Model[Sequences, Floats2d], X: Any = None, Y: Any = None) -> None:
    ops, cell, H = model.ops, CELLS[model.attrs["cell"]], model.get_dim("nO")
    shapes = model.attrs["param_shapes"]({"nO": H, "nI": model.get_dim("nI")})
    model.set_param("W", _by_block(ops, shapes["W"], H, lambda shape: glorot_uniform_init(ops, shape)))
    model.set_param("R", _by_block(ops, shapes["R"], H, lambda shape: _recurrent_init(ops, cell, shape[0])))
    for name in model.param_names:
        if name not in ("W", "R"):
            model.set_param(name, ops.alloc(shapes[name]))
    b: Array = model.get_param("b")
    for gate in cell.starts_open:
        start = cell.blocks.index(gate) * H
        b[:, start : start + H] = 1.0


def _by_block(ops: Ops, shape: Tuple[int, int, int], H: int, init: Callable[[Tuple[int, int]], Array]) -> Array:
    """(D, rows, K·H) Initialize each block of each direction separately."""
    D, n_rows, width = shape
    blocks = [[init((n_rows, H)) for _ in range(width // H)] for _ in range(D)]
    return ops.xp.stack([ops.xp.concatenate(own, axis=1) for own in blocks])


def _recurrent_init(ops: Ops, cell: Cell, H: int) -> Floats2d:
    if cell.recurrent_init == "identity":
        return ops.xp.eye(H, dtype="float32")
    # An orthogonal matrix keeps the length of a vector (Saxe et al. 2014).
    q, r = np.linalg.qr(np.random.normal(size=(H, H)))
    return ops.xp.asarray((q * np.sign(np.diag(r))).astype("float32"))


def _input_weights(model: Model[Any, Any], scale: Array) -> Array:
    """(D, I+1, K·H) W, with β as its last row, scaled. A column of ones adds β without a pass over the product."""
    W: Array = model.get_param("W")
    b: Array = model.get_param("b")
    return model.ops.xp.concatenate([W, b[:, None]], axis=1) * scale


def _scale(model: Model[Any, Any]) -> Array:
    R: Array = model.get_param("R")
    return model.ops.xp.asarray(_scale_on_cpu(model.attrs["cell"], R.shape[1]), dtype=R.dtype)


@cache
def _scale_on_cpu(cell: str, width: int) -> Floats:
    return CELLS[cell].scale(width)


def _append_ones(xp: Any, X: Floats2d) -> Array:
    """(n, I) -> (n, I+1)"""
    return xp.concatenate([X, xp.ones((len(X), 1), dtype=X.dtype)], axis=1)


@on_one_thread
def project_inputs(model: Model[Sequences, Floats2d], X: Floats2d) -> Array:
    """Project inputs as the layer does before its first step.

    Args:
        model (Model[Sequences, Floats2d]): A single layer.
        X (Floats2d): (n, I) The inputs.

    Returns:
        Array: (D, n, K·H) The projections x·W + β, multiplied by `Cell.scale`.
    """
    xp = model.ops.xp
    return xp.matmul(_append_ones(xp, X), _input_weights(model, _scale(model)))


def _layer_forward(model: Model[Sequences, Floats2d], inputs: Sequences, is_train: bool) -> tuple[Floats2d, Backprop]:
    run, backprop = run_layer(model, inputs, is_train)
    return cpu.collect(model.ops.xp, run.h, inputs.packed), backprop


@on_one_thread
def run_layer(model: Model[Sequences, Floats2d], inputs: Sequences, is_train: bool) -> tuple[Any, Backprop]:
    """Run a layer, and keep what the run computes beside its output.

    Args:
        model (Model[Sequences, Floats2d]): A single layer.
        inputs (Sequences): Its input.
        is_train (bool): Whether to apply dropout, and to keep the arrays that the gradient needs.

    Returns:
        tuple[Any, Backprop]: The run, a `cpu.Run` on the CPU, and the callback from the gradient of the output to that
            of the input.
    """
    packed, cell, xp = inputs.packed, CELLS[model.attrs["cell"]], model.ops.xp
    backend: Any = cpu if xp is np else gpu
    W: Array = model.get_param("W")
    R: Array = model.get_param("R")
    h0, c0, bias = (model.get_param(name) if model.has_param(name) else None for name in ("h0", "c0", "b_h"))
    rate = model.attrs["recurrent_dropout"] if is_train else 0.0
    # One mask for the batch (Merity et al. 2017).
    mask = model.ops.get_dropout_mask(R.shape, rate).astype(R.dtype) if rate else None
    R_dropped = R if mask is None else R * mask
    scale = _scale(model)
    weights = cpu.Weights(cpu.blocks_of(xp, R_dropped * scale), h0, c0, bias)
    X_rows = None
    if isinstance(inputs.data, Distinct):
        project = _gather_projections(xp, inputs.data, packed)
    else:
        X_and_one, W_and_b = _append_ones(xp, inputs.data), _input_weights(model, scale)
        X_rows = take_rows(xp, X_and_one, packed.on(xp, "source")) if is_train else None
        project = _project_rows(xp, X_and_one, X_rows, W_and_b, packed)
    run = backend.run_forward(cell, project, packed, weights, is_train)

    def backprop(dY: Floats2d) -> Floats2d:
        with ONE_THREAD:
            gradients = LayerGradients(X_rows, dY, W, packed, cell)
            unscaled = cpu.Weights(cpu.blocks_of(xp, R_dropped), h0, c0, bias)
            dh0, dc0 = backend.run_backward(cell, run, packed, unscaled, gradients)
            model.inc_grad("W", gradients.d_W_and_b[:, :-1])
            model.inc_grad("b", gradients.d_W_and_b[:, -1])
            model.inc_grad("R", gradients.dR if mask is None else gradients.dR * mask)
            for name, gradient in (("h0", dh0), ("c0", dc0), ("b_h", gradients.d_bias)):
                if name in model.param_names:
                    model.inc_grad(name, gradient)
            return gradients.dX

    return run, backprop


def _project_rows(xp: Any, X: Array, X_rows: Optional[Array], W: Array, packed: Packed) -> cpu.Project:
    """X (n_tokens, I+1): the inputs by token. X_rows (D, N, I+1): by packed row, in training."""
    sources = packed.on(xp, "source")

    def project(start: int, end: int, out: Array) -> None:
        chosen = take_rows(xp, X, sources[:, start:end]) if X_rows is None else X_rows[:, start:end]
        xp.matmul(chosen, W, out=out)

    return project


def _gather_projections(xp: Any, distinct: Distinct, packed: Packed) -> cpu.Project:
    chosen = xp.asarray(distinct.rows)[packed.on(xp, "source")]

    def project(start: int, end: int, out: Array) -> None:
        for table, rows, part in zip(distinct.projected, chosen, out, strict=True):
            take_rows(xp, table, rows[start:end], out=part)

    return project


class LayerGradients:
    """Sums the gradients of a layer's weights and inputs over the chunks of a backward run, as `cpu.Gradients`.

    Attributes:
        d_W_and_b (Array): (D, I+1, K·H) The gradient of W, with the gradient of β as its last row.
        dR (Array): (D, H, K·H) The gradient of R.
        d_bias (Array): (D, H) The gradient of the recurrent bias; zeros if there is none.
        dX (Array): (n_tokens, I) The gradient of the input.
    """

    def __init__(self, X_rows: Array, dY: Array, W: Array, packed: Packed, cell: Cell):
        """Start with gradients of zero.

        Args:
            X_rows (Array): (D, N, I+1) The inputs by packed row, with a column of ones.
            dY (Array): (n_tokens, D·H) The gradient of the output.
            W (Array): (D, I, K·H) The weights of the inputs.
            packed (Packed): The index arrays of the batch.
            cell (Cell): The cell.
        """
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

    def of_states(self, start: int, end: int) -> Array:
        """See `cpu.Gradients`. The gradient of context rows is zero."""
        xp, D = self.xp, self.packed.n_directions
        dh = take_rows(xp, self.dY, self.packed.on(xp, "source")[:, start:end].T * D + xp.arange(D))
        context_rows = self.packed.on(xp, "context_rows")
        if context_rows is not None and xp is np:
            dh[context_rows[:, start:end].T] = 0.0
        elif context_rows is not None:
            # With a mask as index, CuPy would wait for the device to count the rows.
            xp.copyto(dh, 0.0, where=context_rows[:, start:end].T[:, :, None])
        return dh

    def add(self, start: int, end: int, d_inputs: Array, h_before: Array, kept: Array) -> None:
        """See `cpu.Gradients`."""
        xp = self.xp
        self.d_W_and_b += xp.matmul(self.X_rows[:, start:end].swapaxes(1, 2), d_inputs)
        self.dR += self.cell.recurrent_gradient(xp, d_inputs, h_before, kept)
        if self.cell.recurrent_bias:
            self.d_bias += kept.sum(axis=1)
        may_repeat = self.packed.context_rows is not None
        for direction, dX_rows in enumerate(xp.matmul(d_inputs, self.W_back)):
            add_rows(xp, self.dX, self.packed.on(xp, "source")[direction, start:end], dX_rows, may_repeat)
