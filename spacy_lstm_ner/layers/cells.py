"""The recurrent cells: one step forward and one step back for each of them.

Notation
--------
D      directions, computed side by side
b      rows of the step: the segments that are still running
H      hidden width
K      number of blocks of a cell, each H wide: its gates and its candidate
x      the input of the step; W (D, I, K·H) its weights, β (D, K·H) the bias; x·W + β is there before the step
h      hidden state (D, b, H); R (D, H, K·H) the recurrent weights; U a block of R
c      cell state (D, b, H), of the LSTM only
⊙      product element by element; σ(z) = 1 / (1 + exp(-z)) = ½ + ½ tanh(z/2)

On entry `gates` (D, b, K·H) holds x·W + β; on exit the activations. The back-step finds the activations there and
leaves the gradient of x·W + β. The blocks under a σ come with their weights halved (`Cell.scale`), so that one tanh
runs over all blocks. Everything is written in place: a step allocates nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any  # a numpy or cupy array; cupy need not be installed
Floats = NDArray[np.floating[Any]]


@dataclass
class Step:
    """Views into the buffers of a run, for the rows of one step. h_before and c_before belong to the step before."""

    xp: Any
    gates: Array  # (D, b, K·H)
    h: Array  # (D, b, H)
    h_before: Array  # (D, b, H)
    c: Array  # (D, b, H) the cell state; of the full GRU r ⊙ h_before
    c_before: Array  # (D, b, H)
    work: Array  # (D, b, K·H) scratch
    spare: Array  # (D, b, H) scratch


class Cell:
    """What a cell must say of itself, and its two steps.

    blocks: the names of its blocks, in the order in which the weights hold them.
    sigmoids: how many of the first blocks are gates under a σ.
    keeps: whether it keeps a second array beside h for each row.
    carries: whether that array is a state, handed from step to step.
    """

    name: str
    blocks: Sequence[str]
    sigmoids: int
    keeps = False
    carries = False
    recurrent_init = "orthogonal"

    def scale(self, width: int) -> Floats:
        """(K·H,) The factor that the weights of each column carry into the step: ½ under a σ."""
        factors = np.repeat([0.5] * self.sigmoids + [1.0] * (len(self.blocks) - self.sigmoids), width)
        return factors.astype("float32")

    def forward(self, s: Step, R: Array) -> None:
        """Compute s.h (and s.c) from s.gates, s.h_before (and s.c_before)."""
        raise NotImplementedError

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        """From dh (and dc): leave the gradient of x·W + β in s.gates, that of h_before in dh, of c_before in dc."""
        raise NotImplementedError

    def recurrent_gradient(self, xp: Any, d_gates: Array, h_before: Array, kept: Array) -> Array:
        """The gradient (D, H, K·H) of R from the rows of all steps: h_before (D, n, H), d_gates (D, n, K·H)."""
        return xp.matmul(h_before.swapaxes(1, 2), d_gates)


def _sigmoid_of_tanh(xp: Any, gates: Array) -> None:
    """½ + ½ t in place, where t = tanh(z/2)."""
    xp.multiply(gates, 0.5, out=gates)
    xp.add(gates, 0.5, out=gates)


def _times_sigmoid_slope(xp: Any, gates: Array, d_gates: Array) -> None:
    """gates <- d_gates ⊙ g ⊙ (1 - g), in place: the way back through σ. Both arrays are overwritten."""
    xp.multiply(d_gates, gates, out=d_gates)
    xp.subtract(1.0, gates, out=gates)
    xp.multiply(d_gates, gates, out=gates)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), with the forget gate of Gers et al. 2000.

    i_t = σ(x_t·W_i + h_{t-1}·U_i + β_i)        input gate
    f_t = σ(x_t·W_f + h_{t-1}·U_f + β_f)        forget gate
    o_t = σ(x_t·W_o + h_{t-1}·U_o + β_o)        output gate
    g_t = tanh(x_t·W_g + h_{t-1}·U_g + β_g)     candidate
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t             cell state
    h_t = o_t ⊙ tanh(c_t)                       hidden state
    """

    name = "lstm"
    blocks = ("input", "forget", "output", "candidate")
    sigmoids = 3
    keeps = True
    carries = True

    def forward(self, s: Step, R: Array) -> None:
        xp, H = s.xp, s.h.shape[-1]
        xp.matmul(s.h_before, R, out=s.work)
        xp.add(s.gates, s.work, out=s.gates)
        xp.tanh(s.gates, out=s.gates)
        _sigmoid_of_tanh(xp, s.gates[..., : 3 * H])
        i, f, o, g = (s.gates[..., k * H : (k + 1) * H] for k in range(4))
        xp.multiply(f, s.c_before, out=s.c)
        xp.multiply(i, g, out=s.spare)
        xp.add(s.c, s.spare, out=s.c)
        xp.tanh(s.c, out=s.spare)
        xp.multiply(o, s.spare, out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        xp, H = s.xp, s.h.shape[-1]
        i, f, o, g = (s.gates[..., k * H : (k + 1) * H] for k in range(4))
        di, df, do, dg = (s.work[..., k * H : (k + 1) * H] for k in range(4))
        xp.tanh(s.c, out=s.spare)
        xp.multiply(dh, s.spare, out=do)
        xp.multiply(dh, o, out=dh)
        xp.add(dc, dh, out=dc)
        xp.multiply(s.spare, s.spare, out=s.spare)
        xp.multiply(dh, s.spare, out=dh)
        xp.subtract(dc, dh, out=dc)
        xp.multiply(dc, g, out=di)
        xp.multiply(dc, s.c_before, out=df)
        xp.multiply(dc, i, out=dg)
        xp.multiply(dc, f, out=dc)
        _times_sigmoid_slope(xp, s.gates[..., : 3 * H], s.work[..., : 3 * H])
        xp.multiply(g, g, out=s.spare)
        xp.subtract(1.0, s.spare, out=s.spare)
        xp.multiply(dg, s.spare, out=g)
        xp.matmul(s.gates, R.swapaxes(1, 2), out=dh)


class SimpleGRUCell(Cell):
    """The simplified gated recurrent unit: the update gate alone, no relevance gate.

    z_t = σ(x_t·W_z + h_{t-1}·U_z + β_z)        update gate
    n_t = tanh(x_t·W_n + h_{t-1}·U_n + β_n)     candidate
    h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t       hidden state
    """

    name = "gru_simple"
    blocks = ("update", "candidate")
    sigmoids = 1

    def forward(self, s: Step, R: Array) -> None:
        xp, H = s.xp, s.h.shape[-1]
        xp.matmul(s.h_before, R, out=s.work)
        xp.add(s.gates, s.work, out=s.gates)
        xp.tanh(s.gates, out=s.gates)
        z, n = s.gates[..., :H], s.gates[..., H:]
        _sigmoid_of_tanh(xp, z)
        _interpolate(xp, z, n, s)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        xp, H = s.xp, s.h.shape[-1]
        z, n = s.gates[..., :H], s.gates[..., H:]
        _interpolate_back(xp, dh, z, n, s.work[..., :H], s)
        xp.matmul(s.gates, R.swapaxes(1, 2), out=s.spare)
        xp.add(dh, s.spare, out=dh)


def _interpolate(xp: Any, z: Array, n: Array, s: Step) -> None:
    """h = n + z ⊙ (h_before - n)."""
    xp.subtract(s.h_before, n, out=s.spare)
    xp.multiply(z, s.spare, out=s.spare)
    xp.add(n, s.spare, out=s.h)


def _interpolate_back(xp: Any, dh: Array, z: Array, n: Array, dz: Array, s: Step) -> None:
    """Back through `_interpolate`, σ and tanh: gradients of the sums under both in z and n, z ⊙ dh in dh."""
    xp.subtract(s.h_before, n, out=s.spare)
    xp.multiply(dh, s.spare, out=dz)
    xp.multiply(n, n, out=s.spare)
    xp.subtract(1.0, s.spare, out=s.spare)
    xp.multiply(dh, s.spare, out=n)
    xp.multiply(dh, z, out=dh)
    xp.subtract(1.0, z, out=s.spare)
    xp.multiply(n, s.spare, out=n)
    _times_sigmoid_slope(xp, z, dz)


class GRUCell(Cell):
    """The gated recurrent unit (Cho et al. 2014): the relevance gate acts on the state before the product.

    z_t = σ(x_t·W_z + h_{t-1}·U_z + β_z)              update gate
    r_t = σ(x_t·W_r + h_{t-1}·U_r + β_r)              relevance (reset) gate
    n_t = tanh(x_t·W_n + (r_t ⊙ h_{t-1})·U_n + β_n)   candidate
    h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t             hidden state

    The array it keeps is r_t ⊙ h_{t-1}.
    """

    name = "gru"
    blocks = ("update", "relevance", "candidate")
    sigmoids = 2
    keeps = True

    def forward(self, s: Step, R: Array) -> None:
        xp, H = s.xp, s.h.shape[-1]
        gates, n = s.gates[..., : 2 * H], s.gates[..., 2 * H :]
        work = s.work[..., : 2 * H]
        xp.matmul(s.h_before, R[..., : 2 * H], out=work)
        xp.add(gates, work, out=gates)
        xp.tanh(gates, out=gates)
        _sigmoid_of_tanh(xp, gates)
        xp.multiply(gates[..., H:], s.h_before, out=s.c)
        xp.matmul(s.c, R[..., 2 * H :], out=s.spare)
        xp.add(n, s.spare, out=n)
        xp.tanh(n, out=n)
        _interpolate(xp, gates[..., :H], n, s)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        xp, H = s.xp, s.h.shape[-1]
        z, r, n = (s.gates[..., k * H : (k + 1) * H] for k in range(3))
        dz, dr, d_kept = (s.work[..., k * H : (k + 1) * H] for k in range(3))
        _interpolate_back(xp, dh, z, n, dz, s)
        xp.matmul(n, R[..., 2 * H :].swapaxes(1, 2), out=d_kept)
        xp.multiply(d_kept, s.h_before, out=dr)
        xp.multiply(d_kept, r, out=d_kept)
        xp.add(dh, d_kept, out=dh)
        _times_sigmoid_slope(xp, r, dr)
        xp.matmul(s.gates[..., : 2 * H], R[..., : 2 * H].swapaxes(1, 2), out=s.spare)
        xp.add(dh, s.spare, out=dh)

    def recurrent_gradient(self, xp: Any, d_gates: Array, h_before: Array, kept: Array) -> Array:
        H = h_before.shape[-1]
        of_gates = xp.matmul(h_before.swapaxes(1, 2), d_gates[..., : 2 * H])
        of_candidate = xp.matmul(kept.swapaxes(1, 2), d_gates[..., 2 * H :])
        return xp.concatenate([of_gates, of_candidate], axis=-1)


class RNNCell(Cell):
    """The plain recurrent network (Elman 1990).

    h_t = tanh(x_t·W + h_{t-1}·U + β)
    """

    name = "rnn"
    blocks = ("candidate",)
    sigmoids = 0

    def forward(self, s: Step, R: Array) -> None:
        s.xp.matmul(s.h_before, R, out=s.work)
        s.xp.add(s.gates, s.work, out=s.gates)
        s.xp.tanh(s.gates, out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        xp = s.xp
        xp.multiply(s.h, s.h, out=s.gates)
        xp.subtract(1.0, s.gates, out=s.gates)
        xp.multiply(dh, s.gates, out=s.gates)
        xp.matmul(s.gates, R.swapaxes(1, 2), out=dh)


class IdentityRNNCell(Cell):
    """The identity RNN (Le, Jaitly & Hinton 2015): a rectifier, and U started at the identity matrix.

    h_t = max(0, x_t·W + h_{t-1}·U + β)
    """

    name = "rnn_identity"
    blocks = ("candidate",)
    sigmoids = 0
    recurrent_init = "identity"

    def forward(self, s: Step, R: Array) -> None:
        s.xp.matmul(s.h_before, R, out=s.work)
        s.xp.add(s.gates, s.work, out=s.gates)
        s.xp.maximum(s.gates, 0.0, out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        s.xp.multiply(dh, s.h > 0, out=s.gates)
        s.xp.matmul(s.gates, R.swapaxes(1, 2), out=dh)
