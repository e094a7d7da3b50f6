"""Recurrent layers for Thinc: any cell, one or two directions, any depth, on sequences of unequal length.

Notation as in `packed` and `cells`. I is the width of the input of a layer, O = D·H the width of its output.
"""

from typing import Any, List, Optional, Tuple

import numpy as np
from thinc.api import Model
from thinc.layers.with_ragged import forward as forward_any_sequences
from thinc.layers.with_ragged import init as init_any_sequences
from thinc.types import Floats2d, Ragged

from ...arrays import split_rows
from ...types import Array, Backprop, Ints
from ..packed import Packed, pack, pack_on_cpu
from .options import RecurrentOptions, hidden_width
from .single_layer import Distinct, Sequences, project_inputs, single_layer

# The largest number of windows in a group on a CPU. With 96, the arrays of a step fit the caches and, at widths of up
# to 100, OpenBLAS has a product for small matrices. Narrower layers take more, up to the second number.
GROUP, LARGEST_GROUP = 96, 144

AnySequences = Any
"""List[Floats2d], Ragged or Padded. The output of a layer has the same form as its input."""


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
) -> Model[AnySequences, AnySequences]:
    """Build long short-term memory layers.

    The cell is that of Hochreiter & Schmidhuber (1997), Long Short-Term Memory, with the forget gate of Gers,
    Schmidhuber & Cummins (2000), Learning to Forget. Recurrent weights start orthogonal (Saxe et al. 2014), and the
    bias of the forget gate starts at 1 (Jozefowicz et al. 2015).

    Args:
        nO (Optional[int]): The width of the output, both directions together. By default, inferred at initialization.
        nI (Optional[int]): The width of the input. By default, inferred at initialization.
        bi (bool): Whether to read each sequence in both directions.
        depth (int): The number of layers on top of each other.
        dropout (float): The rate of locked dropout, with one mask for all tokens of a sequence (Gal & Ghahramani 2016),
            on each layer's input and on the output. It is the attribute `dropout_rate`, which spaCy's trainer sets to
            `training.dropout`.
        recurrent_dropout (float): The rate of dropout on the recurrent weights, with one mask for a batch (Merity et
            al. 2017).
        residual (bool): Whether to add a layer's input to its output where their widths agree.
        learn_initial_state (bool): Whether to learn the states that sequences start from, instead of zeros.
        window (int): The number of tokens in a window. Longer sequences are cut into windows that run side by side.
            0: never.
        context (int): The number of tokens before each window, in reading direction, that the recurrence runs through
            first.

    Returns:
        Model[AnySequences, AnySequences]: A layer from sequences (length, nI) to sequences (length, nO), as
            List[Floats2d], Ragged or Padded.

    Raises:
        ValueError: If a setting is out of range.
    """
    options = RecurrentOptions(
        "LSTM",
        bidirectional=bi,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )
    return with_sequences(recurrent("lstm", nO, nI, options))


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
) -> Model[AnySequences, AnySequences]:
    """Build layers of gated recurrent units.

    The cell is that of Cho et al. (2014), Learning Phrase Representations using RNN Encoder–Decoder for Statistical
    Machine Translation, or one of two variants of it.

    Args:
        nO (Optional[int]): The width of the output, both directions together. By default, inferred at initialization.
        nI (Optional[int]): The width of the input. By default, inferred at initialization.
        simple (bool): Whether to leave out the reset gate.
        reset_after (bool): Whether to apply the reset gate after the product with the state, as cuDNN and PyTorch
            do.
        bi (bool): Whether to read each sequence in both directions. This and the arguments below are those of `LSTM`.
        depth (int): The number of layers.
        dropout (float): The rate of locked dropout.
        recurrent_dropout (float): The rate of dropout on the recurrent weights.
        residual (bool): Whether to add a layer's input to its output.
        learn_initial_state (bool): Whether to learn the start states.
        window (int): The number of tokens in a window. 0: no windows.
        context (int): The number of tokens before each window.

    Returns:
        Model[AnySequences, AnySequences]: A layer from sequences (length, nI) to sequences (length, nO), as
            List[Floats2d], Ragged or Padded.

    Raises:
        ValueError: If a setting is out of range, or both `simple` and `reset_after` are set.
    """
    options = RecurrentOptions(
        "GRU",
        bidirectional=bi,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )
    return with_sequences(recurrent(gru_cell("GRU", simple, reset_after), nO, nI, options))


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
) -> Model[AnySequences, AnySequences]:
    """Build plain recurrent layers.

    The cell is that of Elman (1990), Finding Structure in Time, or the identity RNN of Le, Jaitly & Hinton (2015), A
    Simple Way to Initialize Recurrent Networks of Rectified Linear Units.

    Args:
        nO (Optional[int]): The width of the output, both directions together. By default, inferred at initialization.
        nI (Optional[int]): The width of the input. By default, inferred at initialization.
        identity (bool): Whether to use the identity RNN, with a rectifier in place of tanh and recurrent weights that
            start as the identity matrix.
        bi (bool): Whether to read each sequence in both directions. This and the arguments below are those of `LSTM`.
        depth (int): The number of layers.
        dropout (float): The rate of locked dropout.
        recurrent_dropout (float): The rate of dropout on the recurrent weights.
        residual (bool): Whether to add a layer's input to its output.
        learn_initial_state (bool): Whether to learn the start states.
        window (int): The number of tokens in a window. 0: no windows.
        context (int): The number of tokens before each window.

    Returns:
        Model[AnySequences, AnySequences]: A layer from sequences (length, nI) to sequences (length, nO), as
            List[Floats2d], Ragged or Padded.

    Raises:
        ValueError: If a setting is out of range.
    """
    options = RecurrentOptions(
        "RNN",
        bidirectional=bi,
        depth=depth,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        residual=residual,
        learn_initial_state=learn_initial_state,
        window=window,
        context=context,
    )
    return with_sequences(recurrent(rnn_cell(identity), nO, nI, options))


def gru_cell(name: str, simple: bool, reset_after: bool) -> str:
    """Choose the cell of a GRU.

    Args:
        name (str): The name of the layer, for the error.
        simple (bool): Whether to leave out the reset gate.
        reset_after (bool): Whether to apply the reset gate after the product with the state.

    Returns:
        str: A key of `CELLS`.

    Raises:
        ValueError: If both are set.
    """
    if simple and reset_after:
        raise ValueError(f"{name}: simple and reset_after exclude each other; the simplified GRU has no reset gate")
    return "gru_simple" if simple else "gru_reset_after" if reset_after else "gru"


def rnn_cell(identity: bool) -> str:
    """Choose the cell of a plain recurrent network.

    Args:
        identity (bool): Whether to use the identity RNN.

    Returns:
        str: A key of `CELLS`.
    """
    return "rnn_identity" if identity else "rnn"


def with_sequences(stack: Model[Ragged, Ragged]) -> Model[AnySequences, AnySequences]:
    """Wrap a stack of recurrent layers, so that it takes sequences in every form.

    Args:
        stack (Model[Ragged, Ragged]): The stack, from `recurrent`.

    Returns:
        Model[AnySequences, AnySequences]: A layer whose `attrs["stack"]` is a function from the layer to the stack.
    """
    return Model(
        f"sequences({stack.name})",
        _sequences_forward,
        init=_sequences_init,
        layers=[stack],
        dims={"nO": stack.maybe_get_dim("nO")},
        attrs={"stack": inner_stack},
    )


def inner_stack(model: Model[AnySequences, AnySequences]) -> Model[Ragged, Ragged]:
    """Get the stack inside a layer from `with_sequences`. Callers use this function as `attrs["stack"]`."""
    return model.layers[0]


def _sequences_init(model: Model[Any, Any], X: Any = None, Y: Any = None) -> None:
    init_any_sequences(model, X=X, Y=Y)
    model.set_dim("nO", inner_stack(model).get_dim("nO"))


def _sequences_forward(model: Model[Any, Any], X: Any, is_train: bool) -> Tuple[Any, Backprop]:
    if not isinstance(X, list):
        return forward_any_sequences(model, X, is_train)
    # Lists are not converted to Ragged, since a Ragged without tokens has no width.
    ops, stack = model.ops, inner_stack(model)
    lengths = np.array([len(x) for x in X], dtype=np.int64)
    n_tokens = int(lengths.sum())
    flat = ops.flatten(X) if n_tokens else ops.alloc2f(0, stack.get_dim("nI"))
    Y, backprop_rows = encode(stack, flat, lengths, is_train)

    def backprop(dYs: List[Floats2d]) -> List[Floats2d]:
        if [len(dY) for dY in dYs] != lengths.tolist():
            raise ValueError(f"{stack.name}: the gradients do not have the lengths of the {len(lengths)} outputs")
        dY = ops.flatten(dYs) if n_tokens else ops.alloc2f(0, stack.get_dim("nO"))
        return split_rows(backprop_rows(dY), lengths)

    return split_rows(Y, lengths), backprop


def recurrent(cell: str, nO: Optional[int], nI: Optional[int], options: RecurrentOptions) -> Model[Ragged, Ragged]:
    """Build a stack of recurrent layers for Ragged data.

    Args:
        cell (str): A key of `CELLS`.
        nO (Optional[int]): The width of the output, all directions together; None until initialization.
        nI (Optional[int]): The width of the input; None until initialization.
        options (RecurrentOptions): The settings.

    Returns:
        Model[Ragged, Ragged]: The stack. `encode` and `encode_distinct` run it on plain arrays.

    Raises:
        ValueError: If `nO` does not fit the number of directions.
    """
    hidden = None if nO is None else hidden_width(options.name, nO, options.n_directions)
    return Model(
        f"recurrent({cell})",
        _forward,
        init=_init,
        layers=[single_layer(cell, hidden, nO if k else nI, options) for k in range(options.depth)],
        dims={"nO": nO, "nI": nI},
        attrs={
            "dropout_rate": options.dropout,
            "residual": options.residual,
            "n_directions": options.n_directions,
            "window": options.window,
            "context": options.context,
        },
    )


def _init(model: Model[Ragged, Ragged], X: Optional[Ragged] = None, Y: Optional[Ragged] = None) -> None:
    if X is not None and X.data.shape[0]:
        model.set_dim("nI", X.data.shape[1])
    if Y is not None and Y.data.shape[0]:
        model.set_dim("nO", Y.data.shape[1])
    nI, nO = model.get_dim("nI"), model.get_dim("nO")
    if nI < 1:
        raise ValueError(f"{model.name}: the width of the input is {nI}, but must be at least 1")
    hidden = hidden_width(model.name, nO, model.attrs["n_directions"])
    for k, layer in enumerate(model.layers):
        layer.set_dim("nI", nO if k else nI)
        layer.set_dim("nO", hidden)
        layer.initialize()


def _forward(model: Model[Ragged, Ragged], X: Ragged, is_train: bool) -> Tuple[Ragged, Backprop]:
    data: Array = X.data if X.data.size else model.ops.alloc2f(0, model.get_dim("nI"))
    Y, backprop_rows = encode(model, data, X.lengths, is_train)

    def backprop(dY: Ragged) -> Ragged:
        dX = backprop_rows(dY.data if dY.data.size else model.ops.alloc2f(0, model.get_dim("nO")))
        return Ragged(dX, X.lengths)

    return Ragged(Y, X.lengths), backprop


def encode(model: Model[Ragged, Ragged], X: Floats2d, lengths: Array, is_train: bool) -> Tuple[Floats2d, Backprop]:
    """Run a stack of recurrent layers over a batch.

    Args:
        model (Model[Ragged, Ragged]): The stack, from `recurrent`.
        X (Floats2d): (n_tokens, I) The input, one row for each token.
        lengths (Array): (n_sequences,) The number of tokens in each sequence, on any device.
        is_train (bool): Whether to apply dropout, and to keep the arrays that the gradient needs.

    Returns:
        Tuple[Floats2d, Backprop]: The output (n_tokens, O), and the callback from its gradient to that of X.

    Raises:
        ValueError: If X does not have the shape that the lengths and the model require; in the callback, if the
            gradient does not have the shape of the output, or the model ran without `is_train`.
    """
    lengths = model.ops.to_numpy(lengths)
    _check_shape(model.name, "input", X, (_n_tokens(model.name, lengths), model.get_dim("nI")))
    packed = _pack(model, lengths, isinstance(X, np.ndarray))
    X, drop_back = _locked_dropout(model, X, packed, is_train)
    Y, backprop_layers = _run_layers(model, Sequences(X, packed), is_train)
    shape = Y.shape

    def backprop(dY: Floats2d) -> Floats2d:
        _check_shape(model.name, "gradient", dY, shape)
        return drop_back(backprop_layers(dY))

    return Y, backprop


def project_distinct(model: Model[Ragged, Ragged], X: Floats2d) -> Tuple[Array, ...]:
    """Compute what `encode_distinct` needs for distinct inputs. It depends on each input alone, so it can be cached.

    Args:
        model (Model[Ragged, Ragged]): The stack, from `recurrent`.
        X (Floats2d): (n, I) Distinct inputs.

    Returns:
        Tuple[Array, ...]: The input projections (D, n, K·H) of the first layer and, if this layer has a residual
            connection, X.
    """
    first = model.layers[0]
    projected = project_inputs(first, X)
    return (projected, X) if _is_residual(model, first) else (projected,)


def encode_distinct(model: Model[Ragged, Ragged], projected: Tuple[Array, ...], rows: Ints, lengths: Ints) -> Floats2d:
    """Predict like `encode`, if tokens share inputs.

    Args:
        model (Model[Ragged, Ragged]): The stack, from `recurrent`.
        projected (Tuple[Array, ...]): The distinct inputs, from `project_distinct`.
        rows (Ints): (n_tokens,) The number of the distinct input of each token.
        lengths (Ints): (n_sequences,) The number of tokens in each sequence.

    Returns:
        Floats2d: (n_tokens, O) The output.
    """
    packed = _pack(model, lengths, isinstance(projected[0], np.ndarray))
    Y, _ = _run_layers(model, Sequences(Distinct(rows, *projected), packed), False)
    return Y


def _run_layers(model: Model[Ragged, Ragged], inputs: Sequences, is_train: bool) -> Tuple[Floats2d, Backprop]:
    """The layers one after the other, each with its residual connection and the dropout after it."""
    backprops: List[Tuple[Backprop, bool, Backprop]] = []
    for layer in model.layers:
        Y, backprop_layer = layer(inputs, is_train)
        residual = _is_residual(model, layer)
        if residual:
            Y += inputs.by_token()
        Y, drop_back = _locked_dropout(model, Y, inputs.packed, is_train)
        inputs = Sequences(Y, inputs.packed)
        if is_train:
            backprops.append((backprop_layer, residual, drop_back))

    def backprop(dY: Floats2d) -> Floats2d:
        if not is_train:
            raise ValueError(f"{model.name}: a prediction has no gradient; run the model with is_train=True")
        for backprop_layer, residual, drop_back in reversed(backprops):
            dY = drop_back(dY)
            dX = backprop_layer(dY)
            dY = dX + dY if residual else dX
        return dY

    return Y, backprop


def _is_residual(model: Model[Ragged, Ragged], layer: Model[Sequences, Floats2d]) -> bool:
    """Whether a layer has a residual connection. It needs an input as wide as its output."""
    return model.attrs["residual"] and layer.get_dim("nI") == model.get_dim("nO")


def _locked_dropout(
    model: Model[Ragged, Ragged], X: Floats2d, packed: Packed, is_train: bool
) -> Tuple[Floats2d, Backprop]:
    """Locked (variational) dropout: one mask for all tokens of a sequence (Gal & Ghahramani 2016)."""
    ops, rate = model.ops, model.attrs["dropout_rate"] if is_train else 0.0
    if not rate:
        return X, _identity
    drawn: Array = ops.get_dropout_mask((len(packed.lengths), X.shape[1]), rate)
    mask = drawn[packed.on(ops.xp, "sequence_of_token")].astype(X.dtype)
    return X * mask, lambda dY: dY * mask


def _identity(dY: Floats2d) -> Floats2d:
    return dY


def _n_tokens(name: str, lengths: Ints) -> int:
    if lengths.min(initial=0) < 0:
        raise ValueError(f"{name}: a length is {lengths.min()}, but must be at least 0")
    return int(lengths.sum())


def _check_shape(name: str, what: str, array: Array, shape: Tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: the {what} has the shape {array.shape}, but must have {shape} (tokens, width)")


def _pack(model: Model[Ragged, Ragged], lengths: Ints, on_cpu: bool) -> Packed:
    attrs = model.attrs
    settings = {name: attrs[name] for name in ("n_directions", "window", "context")}
    if on_cpu:
        return pack_on_cpu(lengths, group=_group_size(model.get_dim("nO") // attrs["n_directions"]), **settings)
    return pack(lengths, **settings)


def _group_size(H: int) -> int:
    return max(GROUP, min(GROUP * 100 // H, LARGEST_GROUP))
