"""The recurrent cells: one step forward and one step back for each of them.

Notation
--------
D      directions, computed side by side
b      rows of the step: the segments that are still running
H      hidden width
K      number of blocks of a cell, each H wide: its gates and its candidate
x      the input of the step; W (I, K·H) its weights, β (K·H) the bias, for each direction
h      hidden state (b, D, H); R (K, D, H, H) the recurrent weights; U a block of R
c      cell state (b, D, H), of the LSTM only
⊙      product element by element; σ(z) = 1 / (1 + exp(-z)) = ½ + ½ tanh(z/2)

The arrays of a step hold one block after the other, so that what is done to a block, or to several, runs over memory
without gaps, and each product is one of (b, H) and (H, H), which fits the caches. The blocks under a σ come
with their weights halved (`Cell.scale`), so that one tanh runs over all blocks. Everything is written into arrays that
are there: a step allocates nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tags import Floats

Array = Any  # a numpy or cupy array; cupy need not be installed


@dataclass(slots=True)
class Step:
    """Views into the buffers of a run, for the rows of one step. h_before and c_before belong to the step before."""

    xp: Any
    inputs: Array  # (K, b, D, H) x·W + β, to be read only, and only on the way forward
    gates: Array  # (K, b, D, H) activations; to be read only on the way back
    h: Array  # (b, D, H)
    h_before: Array  # (b, D, H)
    c: Array  # (b, D, H) what the cell keeps: the cell state, or what else it says
    c_before: Array  # (b, D, H)
    work: Array  # (K, b, D, H) scratch; on the way forward it may be `gates`. The back-step leaves its gradients here
    product: Array  # (K, b, D, H) scratch, on the way back only
    spare: Array  # (b, D, H) scratch
    bias: Array  # (D, H) β_h, of cells with a `recurrent_bias`; else None


class Cell:
    """What a cell must say of itself, and its two steps.

    blocks: the names of its blocks, in the order in which the weights hold them.
    sigmoids: how many of the first blocks are gates under a σ.
    keeps: whether it keeps a second array beside h for each row.
    carries: whether that array is a state, handed from step to step.
    recurrent_bias: whether a bias β_h (H,) is added to the product of the last block with the state.
    """

    name: str
    blocks: Sequence[str]
    sigmoids: int
    keeps = False
    carries = False
    recurrent_bias = False
    recurrent_init = "orthogonal"

    def scale(self, width: int) -> Floats:
        """(K·H,) The factor that the weights of each column carry into the step: ½ under a σ."""
        factors = np.repeat([0.5] * self.sigmoids + [1.0] * (len(self.blocks) - self.sigmoids), width)
        return factors.astype("float32")

    def forward(self, s: Step, R: Array) -> None:
        """Compute s.gates and s.h (and s.c) from s.inputs, s.h_before (and s.c_before)."""
        raise NotImplementedError

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        """From dh (and dc): the gradient of s.inputs to s.work, that of h_before to dh, of c_before to dc.

        R: here each block is transposed.
        """
        raise NotImplementedError

    def recurrent_gradient(self, xp: Any, d_inputs: Array, h_before: Array, kept: Array) -> Array:
        """The gradient (D, H, K·H) of R from all rows: h_before (D, N, H), d_inputs (D, N, K·H), kept (D, N, H)."""
        return xp.matmul(h_before.swapaxes(1, 2), d_inputs)


def _sigmoid_of_tanh(xp: Any, gates: Array) -> None:
    """½ + ½ t in place, where t = tanh(z/2)."""
    xp.multiply(gates, 0.5, out=gates)
    xp.add(gates, 0.5, out=gates)


def _times_sigmoid_slope(xp: Any, gates: Array, d_gates: Array, scratch: Array) -> None:
    """d_gates <- d_gates ⊙ g ⊙ (1 - g): the way back through σ."""
    xp.subtract(1.0, gates, out=scratch)
    xp.multiply(d_gates, gates, out=d_gates)
    xp.multiply(d_gates, scratch, out=d_gates)


def _times_tanh_slope(xp: Any, n: Array, dn: Array, scratch: Array) -> None:
    """dn <- dn ⊙ (1 - n²): the way back through tanh."""
    xp.multiply(n, n, out=scratch)
    xp.subtract(1.0, scratch, out=scratch)
    xp.multiply(dn, scratch, out=dn)


def _multiply(xp: Any, left: Array, R: Array, out: Array) -> None:
    """out ([K,] b, D, H) = left ([K,] b, D, H) times each block of R ([K,] D, H, H)."""
    xp.matmul(left.swapaxes(-3, -2), R, out=out.swapaxes(-3, -2))


def _before_tanh(s: Step, R: Array) -> None:
    """All blocks of s.inputs + h_before·R, to s.work."""
    _multiply(s.xp, s.h_before, R, s.work)
    s.xp.add(s.work, s.inputs, out=s.work)


def _through_products(xp: Any, d_blocks: Array, R: Array, products: Array, out: Array) -> None:
    """out (b, D, H) = the sum over the blocks of d_blocks·R, where each block of R is transposed."""
    if len(R) == 1:
        _multiply(xp, d_blocks[0], R[0], out)
        return
    _multiply(xp, d_blocks, R, products)
    xp.add(products[0], products[1], out=out)
    for product in products[2:]:
        xp.add(out, product, out=out)


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
        xp, gates = s.xp, s.gates
        _before_tanh(s, R)
        xp.tanh(s.work, out=gates)
        _sigmoid_of_tanh(xp, gates[:3])
        i, f, o, g = gates
        xp.multiply(f, s.c_before, out=s.c)
        xp.multiply(i, g, out=s.spare)
        xp.add(s.c, s.spare, out=s.c)
        xp.tanh(s.c, out=s.spare)
        xp.multiply(o, s.spare, out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        xp, spare = s.xp, s.spare
        i, f, o, g = s.gates
        di, df, do, dg = s.work
        xp.tanh(s.c, out=spare)
        xp.multiply(dh, spare, out=do)
        xp.multiply(dh, o, out=dh)
        _times_tanh_slope(xp, spare, dh, spare)
        xp.add(dc, dh, out=dc)
        xp.multiply(dc, g, out=di)
        xp.multiply(dc, s.c_before, out=df)
        xp.multiply(dc, i, out=dg)
        xp.multiply(dc, f, out=dc)
        _times_sigmoid_slope(xp, s.gates[:3], s.work[:3], s.product[:3])
        _times_tanh_slope(xp, g, dg, spare)
        _through_products(xp, s.work, R, s.product, dh)


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
        _before_tanh(s, R)
        s.xp.tanh(s.work, out=s.gates)
        z, n = s.gates
        _sigmoid_of_tanh(s.xp, z)
        _interpolate(s, z, n)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        _interpolate_back(s, dh)
        _through_products(s.xp, s.work, R, s.product, s.spare)
        s.xp.add(dh, s.spare, out=dh)


def _interpolate(s: Step, z: Array, n: Array) -> None:
    """h = n + z ⊙ (h_before - n)."""
    s.xp.subtract(s.h_before, n, out=s.spare)
    s.xp.multiply(z, s.spare, out=s.spare)
    s.xp.add(n, s.spare, out=s.h)


def _interpolate_back(s: Step, dh: Array) -> None:
    """Back through `_interpolate`, σ and tanh: the gradients of z and n to the first and last of s.work.

    Leaves z ⊙ dh in dh.
    """
    xp, z, n = s.xp, s.gates[0], s.gates[-1]
    dz, dn = s.work[0], s.work[-1]
    xp.subtract(s.h_before, n, out=s.spare)
    xp.multiply(dh, s.spare, out=dz)
    _times_sigmoid_slope(xp, z, dz, s.spare)
    xp.subtract(1.0, z, out=s.spare)
    xp.multiply(dh, s.spare, out=dn)
    _times_tanh_slope(xp, n, dn, s.spare)
    xp.multiply(dh, z, out=dh)


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
        xp = s.xp
        _gates_of_gru(s, R)
        z, r, n = s.gates
        xp.multiply(r, s.h_before, out=s.c)
        _multiply(xp, s.c, R[2], s.spare)
        xp.add(s.inputs[2], s.spare, out=s.spare)
        xp.tanh(s.spare, out=n)
        _interpolate(s, z, n)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        xp, r = s.xp, s.gates[1]
        _, dr, dn = s.work
        _interpolate_back(s, dh)
        d_kept = s.product[2]
        _multiply(xp, dn, R[2], d_kept)
        xp.multiply(d_kept, s.h_before, out=dr)
        xp.multiply(d_kept, r, out=d_kept)
        xp.add(dh, d_kept, out=dh)
        _times_sigmoid_slope(xp, r, dr, s.spare)
        _through_products(xp, s.work[:2], R[:2], s.product[:2], s.spare)
        xp.add(dh, s.spare, out=dh)

    def recurrent_gradient(self, xp: Any, d_inputs: Array, h_before: Array, kept: Array) -> Array:
        H = h_before.shape[-1]
        of_gates = xp.matmul(h_before.swapaxes(1, 2), d_inputs[..., : 2 * H])
        of_candidate = xp.matmul(kept.swapaxes(1, 2), d_inputs[..., 2 * H :])
        return xp.concatenate([of_gates, of_candidate], axis=-1)


def _gates_of_gru(s: Step, R: Array) -> None:
    """The first two blocks, update and relevance, to s.gates."""
    work, gates = s.work[:2], s.gates[:2]
    _multiply(s.xp, s.h_before, R[:2], work)
    s.xp.add(work, s.inputs[:2], out=work)
    s.xp.tanh(work, out=gates)
    _sigmoid_of_tanh(s.xp, gates)


class ResetAfterGRUCell(Cell):
    """The gated recurrent unit as cuDNN and PyTorch compute it: the relevance gate acts on the product with the state.

    z_t = σ(x_t·W_z + h_{t-1}·U_z + β_z)                       update gate
    r_t = σ(x_t·W_r + h_{t-1}·U_r + β_r)                       relevance (reset) gate
    n_t = tanh(x_t·W_n + β_n + r_t ⊙ (h_{t-1}·U_n + β_h))      candidate
    h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t                      hidden state

    The array it keeps is h_{t-1}·U_n + β_h, and after the way back the gradient of that sum.
    """

    name = "gru_reset_after"
    blocks = ("update", "relevance", "candidate")
    sigmoids = 2
    keeps = True
    recurrent_bias = True

    def forward(self, s: Step, R: Array) -> None:
        xp = s.xp
        _gates_of_gru(s, R)
        z, r, n = s.gates
        _multiply(xp, s.h_before, R[2], s.c)
        xp.add(s.c, s.bias, out=s.c)
        xp.multiply(r, s.c, out=s.spare)
        xp.add(s.inputs[2], s.spare, out=s.spare)
        xp.tanh(s.spare, out=n)
        _interpolate(s, z, n)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        xp, r = s.xp, s.gates[1]
        _, dr, dn = s.work
        _interpolate_back(s, dh)
        xp.multiply(dn, s.c, out=dr)
        _times_sigmoid_slope(xp, r, dr, s.spare)
        xp.multiply(dn, r, out=s.c)
        _multiply(xp, s.c, R[2], s.spare)
        xp.add(dh, s.spare, out=dh)
        _through_products(xp, s.work[:2], R[:2], s.product[:2], s.spare)
        xp.add(dh, s.spare, out=dh)

    def recurrent_gradient(self, xp: Any, d_inputs: Array, h_before: Array, kept: Array) -> Array:
        H = h_before.shape[-1]
        h_before = h_before.swapaxes(1, 2)
        return xp.concatenate([xp.matmul(h_before, d_inputs[..., : 2 * H]), xp.matmul(h_before, kept)], axis=-1)


class RNNCell(Cell):
    """The plain recurrent network (Elman 1990).

    h_t = tanh(x_t·W + h_{t-1}·U + β)
    """

    name = "rnn"
    blocks = ("candidate",)
    sigmoids = 0

    def forward(self, s: Step, R: Array) -> None:
        _before_tanh(s, R)
        s.xp.tanh(s.work[0], out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        _times_tanh_slope(s.xp, s.h, dh, s.spare)
        s.work[0] = dh
        _through_products(s.xp, s.work, R, s.product, dh)


class IdentityRNNCell(Cell):
    """The identity RNN (Le, Jaitly & Hinton 2015): a rectifier, and U started at the identity matrix.

    h_t = max(0, x_t·W + h_{t-1}·U + β)
    """

    name = "rnn_identity"
    blocks = ("candidate",)
    sigmoids = 0
    recurrent_init = "identity"

    def forward(self, s: Step, R: Array) -> None:
        _before_tanh(s, R)
        s.xp.maximum(s.work[0], 0.0, out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        s.xp.multiply(dh, s.h > 0, out=s.work[0])
        _through_products(s.xp, s.work, R, s.product, dh)
