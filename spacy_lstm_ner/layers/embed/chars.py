"""Vectors of words from their characters: a convolution, or an LSTM that reads each distinct word in both directions.

There is no vocabulary of characters: the row of a character in the table is computed from its code point. So a
character that training never saw has a row too, and nothing needs to be built or saved.

Notation
--------
n        distinct words
n_chars  characters of all words, one word after the other, each with a mark before and after it
C        width of the vector of a character
O        width of the vector of a word
K        window: a filter of the convolution sees K characters to each side
E        table of characters (rows, C)
"""

from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from thinc.api import Model, Ops, glorot_uniform_init
from thinc.initializers import uniform_init
from thinc.types import Floats2d, Ragged

from ...arrays import sum_by_row
from ...threads import on_one_thread
from ...types import Array, Backprop, Ints
from ..params import declared_shapes
from ..rnn.stack import LSTM, encode, encode_distinct, project_distinct
from .lexemes import Lexemes, no_gradient

START, END = "\x02", "\x03"
"""The marks around a word: the control characters "start of text" and "end of text"."""
OWN_ROWS = 256
"""The number of code points with a row of their own: ASCII and Latin-1."""


def spell(texts: Sequence[str], n_rows: int, max_chars: int) -> tuple[Ints, Ints]:
    """Turn words into rows of a table of characters.

    A code point below `n_rows` is its own row. Larger code points share the rows from OWN_ROWS on. In tables of fewer
    than 2 · OWN_ROWS rows, they share the second half.

    Args:
        texts (Sequence[str]): The words.
        n_rows (int): The rows of the table.
        max_chars (int): The largest number of characters of a word. Longer words are cut in the middle.

    Returns:
        tuple[Ints, Ints]: (n_chars,) The row of each character, and (n,) the number of characters of each word, with
            its two marks.
    """
    last = max_chars // 2
    cut = [text if len(text) <= max_chars else text[: max_chars - last] + text[-last:] for text in texts]
    joined = "".join(START + text + END for text in cut)
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    own = min(OWN_ROWS, n_rows // 2)
    lengths = np.array([len(text) + 2 for text in cut], dtype=np.int64)
    return np.where(points < own, points, own + (points - own) % (n_rows - own)), lengths


def _check_settings(kind: str, dropout: float, **sizes: int) -> None:
    lowest = {"rows": 8, "max_chars": 2}
    for name, value in sizes.items():
        if value < lowest.get(name, 1):
            raise ValueError(f"{kind}: {name} is {value}, but must be at least {lowest.get(name, 1)}")
    if not 0.0 <= dropout < 1.0:
        raise ValueError(f"{kind}: dropout is {dropout}, but must be at least 0 and less than 1")


def _init_characters(model: Model[Lexemes, Floats2d]) -> None:
    bound = float(np.sqrt(3.0 / model.attrs["char_width"]))  # Ma & Hovy 2016: variance 1 / C
    model.set_param("E", uniform_init(model.ops, declared_shapes(model)["E"], lo=-bound, hi=bound))


# Convolution


def char_cnn(
    nO: int, *, char_width: int, rows: int, window: int, max_chars: int, dropout: float
) -> Model[Lexemes, Floats2d]:
    """Compute vectors of words by a convolution over their characters (Ma & Hovy 2016).

    The output of each filter is its largest value over the characters of the word.

    Args:
        nO (int): The number of filters, which is the width of the output.
        char_width (int): C, the width of the vector of a character.
        rows (int): The rows of the table of characters, at least 8; see `spell`.
        window (int): K; a filter sees 2K + 1 characters.
        max_chars (int): The largest number of characters of a word, at least 2. Longer words are cut in the middle.
        dropout (float): The rate of dropout on the vectors of the characters. It is the attribute `dropout_rate`, which
            spaCy's trainer sets to `training.dropout`.

    Returns:
        Model[Lexemes, Floats2d]: The vectors (n, nO) of the distinct words.

    Raises:
        ValueError: If a setting is out of range.
    """
    sizes = {"width": nO, "char_width": char_width, "rows": rows, "window": window, "max_chars": max_chars}
    _check_settings("CharCNN", dropout, **sizes)
    return Model(
        "char_cnn",
        _cnn_forward,
        init=_cnn_init,
        params={"E": None, "W": None, "b": None},
        dims={"nO": nO},
        attrs={
            "char_width": char_width,
            "rows": rows,
            "window": window,
            "max_chars": max_chars,
            "dropout_rate": dropout,
            "param_shapes": _cnn_shapes,
        },
    )


def _cnn_shapes(sizes: Mapping[str, Any]) -> Dict[str, Tuple[Optional[int], ...]]:
    inputs = sizes["char_width"] * (2 * sizes["window"] + 1)
    return {"E": (sizes["rows"], sizes["char_width"]), "W": (sizes["nO"], inputs), "b": (sizes["nO"],)}


def _cnn_init(model: Model[Lexemes, Floats2d], X: Optional[Lexemes] = None, Y: Any = None) -> None:
    shapes = declared_shapes(model)
    _init_characters(model)
    model.set_param("W", glorot_uniform_init(model.ops, shapes["W"]))
    model.set_param("b", model.ops.alloc(shapes["b"]))


@on_one_thread
def _cnn_forward(model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool) -> tuple[Floats2d, Backprop]:
    ops, window = model.ops, model.attrs["window"]
    E: Array = model.get_param("E")
    W: Array = model.get_param("W")
    b: Array = model.get_param("b")
    if not len(lexemes.orths):
        return ops.alloc2f(0, len(W)), no_gradient
    rows, n_chars = spell(lexemes.texts, model.attrs["rows"], model.attrs["max_chars"])
    lengths = _as_ints1d(ops, n_chars)
    X, backprop_dropout = _dropout(ops, E[rows], model.attrs["dropout_rate"] if is_train else 0.0)
    windows = ops.seq2col(X, window, lengths=lengths)
    filtered = windows @ W.T
    filtered += b
    Y, which = ops.reduce_max(filtered, lengths)

    def backprop(dY: Floats2d) -> List[Any]:
        d_filtered: Array = ops.backprop_reduce_max(ops.as_contig(dY), which, lengths)
        model.inc_grad("b", d_filtered.sum(axis=0))
        dW, d_windows = _backprop_product(d_filtered, windows, W)
        model.inc_grad("W", dW)
        dX = backprop_dropout(ops.backprop_seq2col(d_windows, window, lengths=lengths))
        model.inc_grad("E", sum_by_row(ops, dX, rows, len(E)))
        return []

    return Y, backprop


@on_one_thread
def _backprop_product(dY: Array, X: Array, W: Array) -> tuple[Array, Array]:
    """The gradients of W and X from that of Y = X·Wᵀ."""
    return dY.T @ X, dY @ W


def _as_ints1d(ops: Ops, numbers: Ints) -> Array:
    """Convert numbers to int32 on the device, as Thinc's kernels need them."""
    as_int32: Array = numbers.astype("int32")
    return ops.asarray1i(as_int32)


def _dropout(ops: Ops, X: Array, rate: float) -> tuple[Array, Backprop]:
    if not rate:
        return X, lambda dX: dX
    mask: Array = ops.get_dropout_mask(X.shape, rate)
    mask = mask.astype(X.dtype)
    return X * mask, lambda dX: dX * mask


# LSTM


def char_lstm(nO: int, *, char_width: int, rows: int, max_chars: int, dropout: float) -> Model[Lexemes, Floats2d]:
    """Compute vectors of words by a bidirectional LSTM over their characters (Lample et al. 2016).

    A vector consists of the last hidden states of both directions.

    Args:
        nO (int): The width of both states together, an even number.
        char_width (int): The width of the vector of a character.
        rows (int): The rows of the table of characters, at least 8; see `spell`.
        max_chars (int): The largest number of characters of a word, at least 2. Longer words are cut in the middle.
        dropout (float): The rate of locked dropout (one mask for all characters of a word, Gal & Ghahramani 2016) on
            the vectors of the characters and on the hidden states. spaCy's trainer sets it to `training.dropout`.

    Returns:
        Model[Lexemes, Floats2d]: The vectors (n, nO) of the distinct words.

    Raises:
        ValueError: If a setting is out of range.
    """
    _check_settings("CharLSTM", dropout, width=nO, char_width=char_width, rows=rows, max_chars=max_chars)
    lstm = LSTM(nO, char_width, bi=True, dropout=dropout)
    return Model(
        "char_lstm",
        _lstm_forward,
        init=_lstm_init,
        layers=[lstm.attrs["stack"](lstm)],
        params={"E": None},
        dims={"nO": nO},
        attrs={"char_width": char_width, "rows": rows, "max_chars": max_chars, "param_shapes": _lstm_shapes},
    )


def _lstm_shapes(sizes: Mapping[str, Any]) -> Dict[str, Tuple[Optional[int], ...]]:
    return {"E": (sizes["rows"], sizes["char_width"])}


def _lstm_init(model: Model[Lexemes, Floats2d], X: Optional[Lexemes] = None, Y: Any = None) -> None:
    _init_characters(model)
    (stack,) = model.layers
    stack.initialize()


def _lstm_forward(model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool) -> tuple[Floats2d, Backprop]:
    ops, width = model.ops, model.get_dim("nO")
    E: Array = model.get_param("E")
    stack: Model[Ragged, Ragged] = model.layers[0]
    half = width // 2
    if not len(lexemes.orths):
        return ops.alloc2f(0, width), no_gradient
    rows, n_chars = spell(lexemes.texts, model.attrs["rows"], model.attrs["max_chars"])
    states: Array
    if is_train:
        states, backprop_states = encode(stack, E[rows], _as_ints1d(ops, n_chars), True)
    else:
        # One input projection for each distinct character, instead of one for each character of each word.
        used, numbers = np.unique(rows, return_inverse=True)
        states = encode_distinct(stack, project_distinct(stack, E[used]), numbers.reshape(-1), n_chars)
    last = np.cumsum(n_chars) - 1
    first = last - n_chars + 1
    Y = ops.xp.concatenate([states[last, :half], states[first, half:]], axis=1)

    def backprop(dY: Floats2d) -> List[Any]:
        d_states: Array = ops.alloc2f(len(rows), width, dtype=dY.dtype)
        d_states[last, :half] = dY[:, :half]
        d_states[first, half:] = dY[:, half:]
        model.inc_grad("E", sum_by_row(ops, backprop_states(d_states), rows, len(E)))
        return []

    return Y, backprop
