"""Recurrent layers for Thinc: any cell, one or two directions, any depth, on sequences of unequal length.

Notation as in `packed` and `cells`; I is the input width of a layer, O = D·H its output width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, List, NamedTuple, Optional, cast

import numpy as np
from thinc.api import Model, Ops, get_array_module, glorot_uniform_init, with_ragged
from thinc.types import Floats2d, Ints1d, Ragged
from thinc.util import partial

from .cells import (
    Array,
    Cell,
    GRUCell,
    IdentityRNNCell,
    LSTMCell,
    RNNCell,
    SimpleGRUCell,
    Step,
)
from .packed import Packed, pack

CELLS: dict[str, Cell] = {
    cell.name: cell for cell in (LSTMCell(), GRUCell(), SimpleGRUCell(), RNNCell(), IdentityRNNCell())
}

FloatsXd = Any
ListOrRagged = Any  # List[Floats2d], Ragged or Padded: what thinc's with_ragged takes and gives back
Backprop = Callable[[Any], Any]


class Sequences(NamedTuple):
    """What a single layer takes: rows, and the index arrays of the batch.

    data (n, I): one row a token or, where `rows` is given, one row for each distinct input.
    rows (n_tokens,): the row of `data` that each token uses.
    """

    data: Floats2d
    packed: Packed
    rows: Optional[Ints1d] = None


def LSTM(
    nO: Optional[int] = None,
    nI: Optional[int] = None,
    *,
    bi: bool = True,
    depth: int = 1,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    residual: bool = False,
    learn_initial_state: bool = False,
    window: int = 0,
    context: int = 0,
) -> Model[ListOrRagged, ListOrRagged]:
    """Long short-term memory layers as a Thinc layer.

    nO: output width, both directions together. nI: input width; inferred at initialization.
    bi: read each sequence in both directions. depth: layers on top of each other.
    dropout: rate of the locked dropout (one mask for all tokens of a sequence) on each layer's input and on the
        output; it is the attribute `dropout_rate`, which spaCy's trainer sets to `training.dropout`.
    recurrent_dropout: rate of the dropout on the recurrent weights (one mask a batch, Merity et al. 2017).
    residual: add a layer's input to its output where the widths agree.
    learn_initial_state: learn the states that sequences start from, instead of zeros.
    window, context: cut longer sequences into windows of so many tokens, each entered through so many tokens of
        context, and run them side by side (0: never).

    Takes and gives List[Floats2d], Ragged or Padded. Raises ValueError for settings out of range.
    """
    return _build("lstm", **locals())


def GRU(
    nO: Optional[int] = None,
    nI: Optional[int] = None,
    *,
    simple: bool = False,
    bi: bool = True,
    depth: int = 1,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    residual: bool = False,
    learn_initial_state: bool = False,
    window: int = 0,
    context: int = 0,
) -> Model[ListOrRagged, ListOrRagged]:
    """Gated recurrent units as a Thinc layer; `simple` leaves the relevance gate out. The rest as for `LSTM`."""
    settings = locals()
    return _build("gru_simple" if settings.pop("simple") else "gru", **settings)


def RNN(
    nO: Optional[int] = None,
    nI: Optional[int] = None,
    *,
    identity: bool = False,
    bi: bool = True,
    depth: int = 1,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    residual: bool = False,
    learn_initial_state: bool = False,
    window: int = 0,
    context: int = 0,
) -> Model[ListOrRagged, ListOrRagged]:
    """Plain recurrent layers (tanh) as a Thinc layer; `identity` takes the identity RNN. The rest as for `LSTM`."""
    settings = locals()
    return _build("rnn_identity" if settings.pop("identity") else "rnn", **settings)


def _build(cell: str, *, nO: Optional[int], nI: Optional[int], **settings: Any) -> Model[Any, Any]:
    return with_ragged(recurrent(cell, nO, nI, **settings))


def recurrent(
    cell: str,
    nO: Optional[int] = None,
    nI: Optional[int] = None,
    *,
    bi: bool,
    depth: int,
    dropout: float,
    recurrent_dropout: float,
    residual: bool,
    learn_initial_state: bool,
    window: int,
    context: int,
) -> Model[Ragged, Ragged]:
    """The stack of layers on Ragged data; see `LSTM` for the settings. `cell` is a key of CELLS."""
    n_directions = 2 if bi else 1
    _check_settings(nO, n_directions, depth, dropout, recurrent_dropout, window, context)
    hidden = None if nO is None else nO // n_directions
    layers = [
        _layer(cell, hidden, nI if k == 0 else nO, n_directions, recurrent_dropout, learn_initial_state)
        for k in range(depth)
    ]
    return Model(
        f"recurrent({cell})",
        _forward,
        init=_init,
        layers=layers,
        dims={"nO": nO, "nI": nI},
        attrs={
            "dropout_rate": dropout,
            "residual": residual,
            "n_directions": n_directions,
            "window": window,
            "context": context,
        },
    )


def _check_settings(
    width: Optional[int],
    n_directions: int,
    depth: int,
    dropout: float,
    recurrent_dropout: float,
    window: int,
    context: int,
) -> None:
    if width is not None and (width < n_directions or width % n_directions):
        even = "an even number of at least 2 (it is shared by two directions)"
        raise ValueError(f"width is {width}, but must be {even if n_directions == 2 else 'at least 1'}")
    if depth < 1:
        raise ValueError(f"depth is {depth}, but must be at least 1")
    for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"{name} is {rate}, but must be at least 0 and less than 1")
    for name, tokens in (("window", window), ("context", context)):
        if tokens < 0:
            raise ValueError(f"{name} is {tokens} tokens, but must be at least 0 (0: off)")


def _init(model: Model[Ragged, Ragged], X: Optional[Ragged] = None, Y: Optional[Ragged] = None) -> None:
    if X is not None and X.data.shape[0]:
        model.set_dim("nI", X.data.shape[1])
    if Y is not None and Y.data.shape[0]:
        model.set_dim("nO", Y.data.shape[1])
    n_directions = model.attrs["n_directions"]
    _check_settings(model.get_dim("nO"), n_directions, len(model.layers), 0.0, 0.0, 0, 0)
    for k, layer in enumerate(model.layers):
        layer.set_dim("nI", model.get_dim("nI") if k == 0 else model.get_dim("nO"))
        layer.set_dim("nO", model.get_dim("nO") // n_directions)
        layer.initialize()


def _forward(model: Model[Ragged, Ragged], X: Ragged, is_train: bool) -> tuple[Ragged, Backprop]:
    data = X.data if X.data.size else model.ops.alloc2f(0, model.get_dim("nI"))
    Y, backprop_rows = encode(model, cast(Floats2d, data), X.lengths, is_train)

    def backprop(dY: Ragged) -> Ragged:
        dX = backprop_rows(dY.data if dY.data.size else model.ops.alloc2f(0, model.get_dim("nO")))
        return Ragged(dX, X.lengths)

    return Ragged(Y, X.lengths), backprop


def encode(
    model: Model[Ragged, Ragged],
    X: Floats2d,
    lengths: Ints1d,
    is_train: bool,
    rows: Optional[Ints1d] = None,
) -> tuple[Floats2d, Backprop]:
    """Run a `recurrent` model over a batch.

    X (n, I): one row a token or, with `rows` (n_tokens,), one row for each distinct input, so that the first layer's
        input projection is computed once for each of them. `rows` is for prediction only.
    lengths (n_sequences,): tokens of each sequence.
    RETURNS: the output (n_tokens, O), and the callback from its gradient to that of X.
    """
    attrs = model.attrs
    packed = pack(
        model.ops.to_numpy(lengths),
        n_directions=attrs["n_directions"],
        window=attrs["window"],
        context=attrs["context"],
    )
    rate = attrs["dropout_rate"] if is_train else 0.0
    Y, drop_output_back = _locked_dropout(model.ops, X, packed, rate)
    backprops: list[tuple[Backprop, bool, Backprop]] = []
    for layer in model.layers:
        inputs = Y
        Y, backprop_layer = layer(Sequences(inputs, packed, rows), is_train)
        residual = attrs["residual"] and inputs.shape[1] == Y.shape[1]
        if residual:
            Y += inputs if rows is None else inputs[rows]
        Y, drop_back = _locked_dropout(model.ops, Y, packed, rate)
        backprops.append((backprop_layer, residual, drop_back))
        rows = None

    def backprop(dY: Floats2d) -> Floats2d:
        for backprop_layer, residual, drop_back in reversed(backprops):
            dY = drop_back(dY)
            dX = backprop_layer(dY)
            dY = dX + dY if residual else dX
        return cast(Floats2d, drop_output_back(dY))

    return Y, backprop


def _locked_dropout(ops: Ops, X: Floats2d, packed: Packed, rate: float) -> tuple[Floats2d, Backprop]:
    """Locked (variational) dropout: one mask for all tokens of a sequence (Gal & Ghahramani 2016)."""
    if not rate:
        return X, _identity
    drawn = ops.get_dropout_mask((len(packed.lengths), X.shape[1]), rate)
    mask = drawn[packed.sequence_of_token].astype(X.dtype)
    return cast(Floats2d, X * mask), lambda dY: dY * mask


def _identity(dY: Floats2d) -> Floats2d:
    return dY


def _layer(
    cell: str,
    hidden: Optional[int],
    nI: Optional[int],
    n_directions: int,
    recurrent_dropout: float,
    learn_initial_state: bool,
) -> Model[Sequences, Floats2d]:
    """One layer of one cell. W (D, I, K·H), b (D, K·H), R (D, H, K·H), h0 and c0 (D, H) if learned."""
    params: dict[str, Optional[FloatsXd]] = {"W": None, "b": None, "R": None}
    if learn_initial_state:
        params["h0"] = None
        if CELLS[cell].carries:
            params["c0"] = None
    return Model(
        cell,
        _layer_forward,
        init=partial(_layer_init, cell, n_directions),
        params=params,
        dims={"nO": hidden, "nI": nI},
        attrs={"cell": cell, "recurrent_dropout": recurrent_dropout},
    )


def _layer_init(
    cell_name: str, D: int, model: Model[Sequences, Floats2d], X: Any = None, Y: Any = None
) -> None:
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
    for name in ("h0", "c0"):
        if name in model.param_names:
            model.set_param(name, ops.alloc2f(D, H))


def _recurrent_init(ops: Ops, cell: Cell, H: int) -> Floats2d:
    if cell.recurrent_init == "identity":
        return cast(Floats2d, ops.xp.eye(H, dtype="float32"))
    # Orthogonal matrices keep the length of what passes through them (Saxe et al. 2014).
    q, r = np.linalg.qr(np.random.normal(size=(H, H)))
    return cast(Floats2d, ops.asarray((q * np.sign(np.diag(r))).astype("float32")))


def _layer_forward(
    model: Model[Sequences, Floats2d], inputs: Sequences, is_train: bool
) -> tuple[Floats2d, Backprop]:
    X, packed, rows = inputs
    xp, cell = get_array_module(X), CELLS[model.attrs["cell"]]
    W, R, b = (model.get_param(name) for name in ("W", "R", "b"))
    rate = model.attrs["recurrent_dropout"] if is_train else 0.0
    mask = model.ops.get_dropout_mask(R.shape, rate).astype(R.dtype) if rate else None
    R_dropped = R if mask is None else R * mask
    scale = xp.asarray(cell.scale(R.shape[1]), dtype=W.dtype)
    projected = xp.matmul(X, W * scale)
    projected += (b * scale)[:, None]
    source = packed.source if rows is None else rows[packed.source]
    starts = [model.get_param(name) if model.has_param(name) else None for name in ("h0", "c0")]
    run = _run_forward(cell, projected, xp.asarray(source), packed, R_dropped * scale, starts, is_train)
    Y = _collect(xp, run.h, packed)

    def backprop(dY: Floats2d) -> Floats2d:
        dh = _distribute(xp, dY, packed)
        dR, dh0, dc0 = _run_backward(cell, run, dh, packed, R_dropped, starts)
        model.inc_grad("R", dR if mask is None else dR * mask)
        for name, gradient in (("h0", dh0), ("c0", dc0)):
            if name in model.param_names:
                model.inc_grad(name, gradient)
        d_gates = run.gates
        model.inc_grad("b", d_gates.sum(axis=1))
        # Back to token order: the rows of a token's context runs add up with its own.
        d_tokens = _scatter_rows(xp, d_gates, packed)
        model.inc_grad("W", xp.matmul(X.T, d_tokens))
        dX = xp.matmul(d_tokens[0], W[0].T)
        for direction in range(1, packed.n_directions):
            dX += xp.matmul(d_tokens[direction], W[direction].T)
        return cast(Floats2d, dX)

    return Y, backprop


def _collect(xp: Any, h: Array, packed: Packed) -> Floats2d:
    """(D, N, H) by packed row -> (n_tokens, D·H) by token."""
    D, _, H = h.shape
    Y = xp.empty((packed.n_tokens, D * H), dtype=h.dtype)
    for direction in range(D):
        Y[:, direction * H : (direction + 1) * H] = h[direction][packed.target[direction]]
    return cast(Floats2d, Y)


def _distribute(xp: Any, dY: Floats2d, packed: Packed) -> Array:
    """(n_tokens, D·H) by token -> (D, N, H) by packed row; nothing reaches the rows of a context."""
    D, H = packed.n_directions, dY.shape[1] // packed.n_directions
    dh = xp.empty((D, packed.n_rows, H), dtype=dY.dtype)
    for direction in range(D):
        dh[direction] = dY[:, direction * H : (direction + 1) * H][packed.source[direction]]
    if packed.context_rows is not None:
        dh[packed.context_rows] = 0.0
    return dh


def _scatter_rows(xp: Any, d_rows: Array, packed: Packed) -> Array:
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


def _run_forward(
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


def _start_states(
    xp: Any, starts: List[Optional[Array]], D: int, B: int, H: int, dtype: Any
) -> tuple[Array, Array]:
    h0, c0 = (xp.zeros((D, B, H), dtype=dtype) for _ in range(2))
    for state, learned in ((h0, starts[0]), (c0, starts[1])):
        if learned is not None:
            state[:] = learned[:, None]
    return h0, c0


def _run_backward(
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
