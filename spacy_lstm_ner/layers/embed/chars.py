"""Words from their characters: a convolution or a bidirectional LSTM over the spelling of each distinct word.

Notation
--------
n        distinct words
n_chars  characters of all words, with a mark in front of and behind each word, laid end to end
C        width of a character's embedding
O        width of a word's vector
K        characters that the convolution looks at in each direction

No vocabulary of characters is kept: a character's row follows from its code point. So a character that training never
saw has a row too, and nothing has to be built or stored.
"""

from collections.abc import Sequence
from typing import Any, Optional, cast

import numpy as np
from thinc.api import Model, Ops, glorot_uniform_init
from thinc.initializers import uniform_init
from thinc.types import Floats2d

from ...arrays import sum_by_row
from ...types import Backprop, Ints
from ..rnn.stack import LSTM, encode, encode_distinct, project_distinct, stack_of
from .lexemes import Lexemes

START, END = "\x02", "\x03"
"""The marks around a word: the control characters "start of text" and "end of text"."""
OWN_ROWS = 256
"""So many code points (ASCII and Latin-1) share their rows with no others."""


def spell(texts: Sequence[str], n_rows: int, max_chars: int) -> tuple[Ints, Ints]:
    """The characters of words, as rows of a table.

    A word of more than `max_chars` characters is cut to its first and its last half of so many. Code points below
    `n_rows` have a row of their own, which the others share, but for the first 256 (in tables of fewer than 512 rows,
    the first half).
    RETURNS: rows (n_chars,), and the characters of each word (n,), with its two marks: at least 2.
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
    rows, width = model.attrs["rows"], model.attrs["char_width"]
    bound = float(np.sqrt(3.0 / width))  # Ma & Hovy 2016: variance 1 / width
    model.set_param("E", uniform_init(model.ops, (rows, width), lo=-bound, hi=bound))


# Convolution


def char_cnn(
    nO: int, *, char_width: int, rows: int, window: int, max_chars: int, dropout: float
) -> Model[Lexemes, Floats2d]:
    """The greatest value over a word's characters of each of nO filters (Ma & Hovy 2016).

    char_width: C. rows: rows of the table of characters. window: K; a filter sees 2K + 1 characters.
    max_chars: longer words are cut, see `spell`.
    dropout: rate of the dropout on the characters' embeddings; it is the attribute `dropout_rate`, which spaCy's
        trainer sets to `training.dropout`.
    Raises ValueError for settings out of range.
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
        },
    )


def _cnn_init(model: Model[Lexemes, Floats2d], X: Optional[Lexemes] = None, Y: Any = None) -> None:
    _init_characters(model)
    inputs = model.attrs["char_width"] * (2 * model.attrs["window"] + 1)
    model.set_param("W", glorot_uniform_init(model.ops, (model.get_dim("nO"), inputs)))
    model.set_param("b", model.ops.alloc1f(model.get_dim("nO")))


def _cnn_forward(model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool) -> tuple[Floats2d, Backprop]:
    ops, attrs = model.ops, model.attrs
    E, W, b = (model.get_param(name) for name in ("E", "W", "b"))
    if not len(lexemes.orths):
        return ops.alloc2f(0, len(W)), _no_gradient
    rows, n_chars = spell(lexemes.texts, attrs["rows"], attrs["max_chars"])
    lengths = ops.asarray1i(n_chars.astype("int32"))
    X, backprop_dropout = _dropout(ops, E[rows], attrs["dropout_rate"] if is_train else 0.0)
    windows = ops.seq2col(X, attrs["window"], lengths=lengths)
    filtered = windows @ W.T
    filtered += b
    Y, which = ops.reduce_max(filtered, lengths)

    def backprop(dY: Floats2d) -> list[Any]:
        d_filtered = ops.backprop_reduce_max(ops.as_contig(dY), which, lengths)
        model.inc_grad("b", d_filtered.sum(axis=0))
        model.inc_grad("W", d_filtered.T @ windows)
        dX = backprop_dropout(ops.backprop_seq2col(d_filtered @ W, attrs["window"], lengths=lengths))
        model.inc_grad("E", sum_by_row(ops, dX, rows, len(E)))
        return []

    return Y, backprop


def _dropout(ops: Ops, X: Floats2d, rate: float) -> tuple[Floats2d, Backprop]:
    if not rate:
        return X, lambda dX: dX
    mask = ops.get_dropout_mask(X.shape, rate).astype(X.dtype)
    return cast(Floats2d, X * mask), lambda dX: dX * mask


def _no_gradient(dY: Any) -> list[Any]:
    return []


# LSTM


def char_lstm(nO: int, *, char_width: int, rows: int, max_chars: int, dropout: float) -> Model[Lexemes, Floats2d]:
    """The last states of an LSTM that reads the word forwards and one that reads it backwards (Lample et al. 2016).

    nO: width of both states together. dropout: rate of the locked dropout (one mask for all characters of a word) on
    the characters' embeddings and on the states. The rest as for `char_cnn`.
    """
    _check_settings("CharLSTM", dropout, width=nO, char_width=char_width, rows=rows, max_chars=max_chars)
    return Model(
        "char_lstm",
        _lstm_forward,
        init=_lstm_init,
        layers=[stack_of(LSTM(nO, char_width, bi=True, dropout=dropout))],
        params={"E": None},
        dims={"nO": nO},
        attrs={"char_width": char_width, "rows": rows, "max_chars": max_chars},
    )


def _lstm_init(model: Model[Lexemes, Floats2d], X: Optional[Lexemes] = None, Y: Any = None) -> None:
    _init_characters(model)
    (stack,) = model.layers
    stack.initialize()


def _lstm_forward(model: Model[Lexemes, Floats2d], lexemes: Lexemes, is_train: bool) -> tuple[Floats2d, Backprop]:
    (stack,) = model.layers
    ops, E = model.ops, model.get_param("E")
    width = model.get_dim("nO")
    half = width // 2
    if not len(lexemes.orths):
        return ops.alloc2f(0, width), _no_gradient
    rows, n_chars = spell(lexemes.texts, model.attrs["rows"], model.attrs["max_chars"])
    lengths = ops.asarray1i(n_chars.astype("int32"))
    if is_train:
        states, backprop_states = encode(stack, E[rows], lengths, True)
    else:
        # One input projection for each character of the table instead of for each one of the words.
        used, numbers = np.unique(rows, return_inverse=True)
        states = encode_distinct(stack, project_distinct(stack, E[used]), numbers.reshape(-1), n_chars)
    last = np.cumsum(n_chars) - 1
    first = last - n_chars + 1
    Y = ops.xp.concatenate([states[last, :half], states[first, half:]], axis=1)

    def backprop(dY: Floats2d) -> list[Any]:
        d_states = ops.alloc2f(len(rows), width, dtype=dY.dtype)
        d_states[last, :half] = dY[:, :half]
        d_states[first, half:] = dY[:, half:]
        model.inc_grad("E", sum_by_row(ops, backprop_states(d_states), rows, len(E)))
        return []

    return cast(Floats2d, Y), backprop
