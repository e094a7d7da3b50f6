"""Recurrent layers for Thinc: any cell, one or two directions, any depth, on sequences of unequal length.

Notation as in `packed` and `cells`; I is the input width of a layer, O = D·H its output width.
"""

from typing import Any, List, Optional, cast

import numpy as np
from thinc.api import Model, Ops
from thinc.layers.with_ragged import forward as forward_any_sequences
from thinc.layers.with_ragged import init as init_any_sequences
from thinc.types import Floats2d, Ints1d, Ragged

from ...arrays import split_rows
from ...types import Array, Backprop, Ints
from ..packed import Packed, pack
from .single_layer import Sequences, project_inputs, single_layer

# Segments that run together on a CPU. At this number what a step works on fits its caches, and at widths of up to 100
# OpenBLAS has a product for small matrices; narrower layers go up to the second number.
GROUP, LARGEST_GROUP = 96, 144


ListOrRagged = Any  # List[Floats2d], Ragged or Padded: what thinc's with_ragged takes and gives back


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
    reset_after: bool = False,
    bi: bool = True,
    depth: int = 1,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    residual: bool = False,
    learn_initial_state: bool = False,
    window: int = 0,
    context: int = 0,
) -> Model[ListOrRagged, ListOrRagged]:
    """Gated recurrent units as a Thinc layer. The settings are those of `LSTM`, and:

    simple: leave the relevance gate out.
    reset_after: let the relevance gate act after the product with the state, as cuDNN and PyTorch do.
    """
    settings = locals()
    simple, reset_after = settings.pop("simple"), settings.pop("reset_after")
    if simple and reset_after:
        raise ValueError("GRU: simple and reset_after exclude each other; the simplified GRU has no relevance gate")
    return _build("gru_simple" if simple else "gru_reset_after" if reset_after else "gru", **settings)


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


def _build(cell: str, *, nO: Optional[int], nI: Optional[int], **settings: Any) -> Model[ListOrRagged, ListOrRagged]:
    layer = recurrent(cell, nO, nI, **settings)
    return Model(
        f"sequences({layer.name})",
        _sequences_forward,
        init=_sequences_init,
        layers=[layer],
        dims={"nO": nO},
        attrs={"stack": stack_of},
    )


def stack_of(model: Model[Any, Any]) -> Model[Any, Any]:
    """The recurrent layers inside a model that `LSTM`, `GRU` or `RNN` gives."""
    return model.layers[0]


def _sequences_init(model: Model[Any, Any], X: Any = None, Y: Any = None) -> None:
    init_any_sequences(model, X=X, Y=Y)
    model.set_dim("nO", model.layers[0].get_dim("nO"))


def _sequences_forward(model: Model[Any, Any], X: ListOrRagged, is_train: bool) -> tuple[Any, Backprop]:
    """Lists here, since Ragged forgets the width of a batch without tokens; the rest by Thinc's with_ragged."""
    if not isinstance(X, list):
        return forward_any_sequences(model, X, is_train)
    ops, layer = model.ops, model.layers[0]
    lengths = np.array([len(x) for x in X], dtype=np.int64)
    n_tokens = int(lengths.sum())
    flat = ops.flatten(X) if n_tokens else ops.alloc2f(0, layer.get_dim("nI"))
    Y, backprop_rows = encode(layer, flat, lengths, is_train)

    def backprop(dYs: List[Floats2d]) -> List[Floats2d]:
        if [len(dY) for dY in dYs] != lengths.tolist():
            raise ValueError(f"{layer.name}: the gradients do not have the lengths of the {len(lengths)} outputs")
        dY = ops.flatten(dYs) if n_tokens else ops.alloc2f(0, layer.get_dim("nO"))
        return split_rows(backprop_rows(dY), lengths)

    return split_rows(Y, lengths), backprop


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
        single_layer(cell, hidden, nI if k == 0 else nO, n_directions, recurrent_dropout, learn_initial_state)
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
    numbers = {"depth": depth, "window": window, "context": context}
    for name, number in (numbers if width is None else {"width": width, **numbers}).items():
        if not isinstance(number, (int, np.integer)):
            raise ValueError(f"{name} is {number!r}, but must be a whole number")
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
    if model.get_dim("nI") < 1:
        raise ValueError(f"{model.name}: the width of the input is {model.get_dim('nI')}, but must be at least 1")
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


def encode(model: Model[Ragged, Ragged], X: Floats2d, lengths: Ints1d, is_train: bool) -> tuple[Floats2d, Backprop]:
    """Run a `recurrent` model over a batch.

    X (n_tokens, I): one row a token. lengths (n_sequences,): tokens of each sequence.
    RETURNS: the output (n_tokens, O), and the callback from its gradient to that of X.
    Raises ValueError if X has another shape than lengths and model ask for, or the gradient another than the output.
    """
    lengths = model.ops.to_numpy(lengths)
    _check_shape(model.name, "input", X, (_n_tokens(model.name, lengths), model.get_dim("nI")))
    packed = _packed(model, lengths, isinstance(X, np.ndarray))
    rate = model.attrs["dropout_rate"] if is_train else 0.0
    Y, drop_output_back = _locked_dropout(model.ops, X, packed, rate)
    backprops: list[tuple[Backprop, bool, Backprop]] = []
    for layer in model.layers:
        inputs = Y
        Y, backprop_layer = layer(Sequences(inputs, packed), is_train)
        residual = model.attrs["residual"] and inputs.shape[1] == Y.shape[1]
        if residual:
            Y += inputs
        Y, drop_back = _locked_dropout(model.ops, Y, packed, rate)
        backprops.append((backprop_layer, residual, drop_back))

    shape = Y.shape

    def backprop(dY: Floats2d) -> Floats2d:
        _check_shape(model.name, "gradient", dY, shape)
        for backprop_layer, residual, drop_back in reversed(backprops):
            dY = drop_back(dY)
            dX = backprop_layer(dY)
            dY = dX + dY if residual else dX
        return cast(Floats2d, drop_output_back(dY))

    return Y, backprop


def _n_tokens(name: str, lengths: Ints) -> int:
    if lengths.min(initial=0) < 0:
        raise ValueError(f"{name}: a length is {lengths.min()}, but must be at least 0")
    return int(lengths.sum())


def _check_shape(name: str, what: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: the {what} has the shape {array.shape}, but must have {shape} (tokens, width)")


def _packed(model: Model[Any, Any], lengths: Ints, on_cpu: bool) -> Packed:
    attrs = model.attrs
    return pack(
        lengths,
        n_directions=attrs["n_directions"],
        window=attrs["window"],
        context=attrs["context"],
        group=_group(model.get_dim("nO") // attrs["n_directions"]) if on_cpu else 0,
    )


def _group(H: int) -> int:
    return max(GROUP, min(GROUP * 100 // H, LARGEST_GROUP))


def project_distinct(model: Model[Ragged, Ragged], X: Floats2d) -> tuple[Array, ...]:
    """What the first layer makes of inputs, for `encode_distinct`; it depends on each input alone.

    X (n, I): distinct inputs. RETURNS the projections (D, n, K·H) and, if a residual connection wants it, X.
    """
    projected = project_inputs(model.layers[0], X)
    return (projected, X) if model.attrs["residual"] and X.shape[1] == model.get_dim("nO") else (projected,)


def encode_distinct(model: Model[Ragged, Ragged], projected: tuple[Array, ...], rows: Ints, lengths: Ints) -> Floats2d:
    """Predict as `encode` does, from distinct inputs: (n_tokens, O).

    projected: from `project_distinct`. rows (n_tokens,): the input of each token. lengths (n_sequences,).
    """
    packed = _packed(model, lengths, isinstance(projected[0], np.ndarray))
    first, *others = model.layers
    Y = first.predict(Sequences(None, packed, (projected[0], rows)))
    if len(projected) == 2:
        Y += projected[1][rows]
    for layer in others:
        inputs = Y
        Y = layer.predict(Sequences(inputs, packed))
        if model.attrs["residual"]:
            Y += inputs
    return Y


def _locked_dropout(ops: Ops, X: Floats2d, packed: Packed, rate: float) -> tuple[Floats2d, Backprop]:
    """Locked (variational) dropout: one mask for all tokens of a sequence (Gal & Ghahramani 2016)."""
    if not rate:
        return X, _identity
    drawn = ops.get_dropout_mask((len(packed.lengths), X.shape[1]), rate)
    mask = drawn[packed.on(ops.xp, "sequence_of_token")].astype(X.dtype)
    return cast(Floats2d, X * mask), lambda dY: dY * mask


def _identity(dY: Floats2d) -> Floats2d:
    return dY
