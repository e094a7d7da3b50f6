"""The recurrent cells: one step forward and one step back for each of them.

Notation
--------
D      directions, computed together
b      number of rows of the step, one for each window that still runs
H      hidden width
K      number of blocks of a cell, each of width H: its gates and its candidate
x      the input of the step; W (I, K·H) its weights and β (K·H) the bias, for each direction
h      hidden state (b, D, H); R (K, D, H, H) the recurrent weights; U a block of R
c      cell state (b, D, H), of the LSTM only
⊙      elementwise product; σ(z) = 1 / (1 + exp(-z)) = ½ + ½ tanh(z/2)

The arrays of a step hold one block after the other. An operation on one block or several then runs over contiguous
memory, and each matrix product is one of (b, H) and (H, H), which fits the caches. The weights of the gates are halved
(`Cell.scale`), so that one tanh runs over all blocks. A step writes into existing arrays and allocates nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Dict

import numpy as np

from ...types import Array, Floats


@dataclass(slots=True)
class Step:
    """Views of the arrays of a run, for the rows of one step. h_before and c_before belong to the step before."""

    inputs: Array  # (K, b, D, H) x·W + β, read-only; forward only, else None
    gates: Array  # (K, b, D, H) activations; written forward, read backward
    h: Array  # (b, D, H)
    h_before: Array  # (b, D, H)
    c: Array  # (b, D, H) the array that the cell keeps: the cell state, or as its docstring says
    c_before: Array  # (b, D, H)
    work: Array  # (K, b, D, H) forward: scratch, possibly the same array as `gates`; backward: the gradients
    product: Array  # (K, b, D, H) scratch; backward only, else None
    spare: Array  # (b, D, H) scratch
    bias: Array  # (D, H) β_h of cells with a `recurrent_bias`, else None


class Cell:
    """A recurrent cell: its properties, its step forward and its step backward.

    Attributes:
        name (str): The name of the cell in `CELLS` and in the names of nodes.
        blocks (Sequence[str]): The names of the blocks, in the order of the weights.
        sigmoids (int): The number of gates. They are the first blocks.
        keeps (bool): Whether a run keeps a second array in addition to h.
        carries (bool): Whether that array is a state that the next step reads.
        overwrites_kept (bool): Whether the step backward overwrites that array.
        recurrent_bias (bool): Whether a bias β_h (H,) is added to the product of the state with the last block.
        recurrent_init (str): How the blocks of R start, "orthogonal" or "identity".
        starts_open (Sequence[str]): The gates whose bias starts at 1, so that they are open in the first updates.
    """

    name: str
    blocks: Sequence[str]
    sigmoids: int
    keeps = False
    carries = False
    overwrites_kept = False
    recurrent_bias = False
    recurrent_init = "orthogonal"
    starts_open: Sequence[str] = ()

    def scale(self, width: int) -> Floats:
        """(K·H,) The factor for each column of the weights: ½ for gates, 1 for other blocks. `width` is H."""
        factors = np.repeat([0.5] * self.sigmoids + [1.0] * (len(self.blocks) - self.sigmoids), width)
        return factors.astype("float32")

    def forward(self, s: Step, R: Array) -> None:
        """Compute s.gates and s.h (and s.c) from s.inputs, s.h_before (and s.c_before)."""
        raise NotImplementedError

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        """Compute the gradients of s.inputs, s.h_before and s.c_before from dh and dc, the gradients of s.h and s.c.

        The gradient of s.inputs is written to s.work. The gradients of s.h_before and s.c_before overwrite dh and dc.
        Each block of R is transposed here.
        """
        raise NotImplementedError

    def recurrent_gradient(self, xp: Any, d_inputs: Array, h_before: Array, kept: Array) -> Array:
        """(D, H, K·H) Compute the gradient of R from d_inputs (D, N, K·H), h_before (D, N, H) and kept (D, N, H)."""
        return xp.matmul(h_before.swapaxes(1, 2), d_inputs)


def _sigmoid_of_tanh(gates: Array) -> None:
    """½ + ½ t in place, where t = tanh(z/2)."""
    np.multiply(gates, 0.5, out=gates)
    np.add(gates, 0.5, out=gates)


def _times_sigmoid_slope(gates: Array, d_gates: Array, scratch: Array) -> None:
    """d_gates <- d_gates ⊙ g ⊙ (1 - g), the gradient through σ."""
    np.subtract(1.0, gates, out=scratch)
    np.multiply(d_gates, gates, out=d_gates)
    np.multiply(d_gates, scratch, out=d_gates)


def _times_tanh_slope(n: Array, dn: Array, scratch: Array) -> None:
    """dn <- dn ⊙ (1 - n²), the gradient through tanh."""
    np.multiply(n, n, out=scratch)
    np.subtract(1.0, scratch, out=scratch)
    np.multiply(dn, scratch, out=dn)


def _multiply(left: Array, R: Array, out: Array) -> None:
    """out ([K,] b, D, H) = left ([K,] b, D, H) times each block of R ([K,] D, H, H)."""
    np.matmul(left.swapaxes(-3, -2), R, out=out.swapaxes(-3, -2))


def _before_tanh(s: Step, R: Array) -> None:
    """Write s.inputs + h_before·R of all blocks to s.work."""
    _multiply(s.h_before, R, s.work)
    np.add(s.work, s.inputs, out=s.work)


def _through_products(d_blocks: Array, R: Array, products: Array, out: Array) -> None:
    """out (b, D, H) = the sum over the blocks of d_blocks·R, with each block of R transposed."""
    if len(R) == 1:
        _multiply(d_blocks[0], R[0], out)
        return
    _multiply(d_blocks, R, products)
    np.add(products[0], products[1], out=out)
    for product in products[2:]:
        np.add(out, product, out=out)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers, Schmidhuber & Cummins 2000).

    i_t = σ(x_t·W_i + h_{t-1}·U_i + β_i)        input gate
    f_t = σ(x_t·W_f + h_{t-1}·U_f + β_f)        forget gate
    o_t = σ(x_t·W_o + h_{t-1}·U_o + β_o)        output gate
    g_t = tanh(x_t·W_g + h_{t-1}·U_g + β_g)     candidate
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t             cell state
    h_t = o_t ⊙ tanh(c_t)                       hidden state
    """

    name = "lstm"
    blocks = ("input", "forget", "output", "candidate")
    # An open forget gate lets gradients through from the first step on (Jozefowicz et al. 2015).
    starts_open = ("forget",)
    sigmoids = 3
    keeps = True
    carries = True

    def forward(self, s: Step, R: Array) -> None:
        gates = s.gates
        _before_tanh(s, R)
        np.tanh(s.work, out=gates)
        _sigmoid_of_tanh(gates[:3])
        i, f, o, g = gates
        np.multiply(f, s.c_before, out=s.c)
        np.multiply(i, g, out=s.spare)
        np.add(s.c, s.spare, out=s.c)
        np.tanh(s.c, out=s.spare)
        np.multiply(o, s.spare, out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        spare = s.spare
        i, f, o, g = s.gates
        di, df, do, dg = s.work
        np.tanh(s.c, out=spare)
        np.multiply(dh, spare, out=do)
        np.multiply(dh, o, out=dh)
        _times_tanh_slope(spare, dh, spare)
        np.add(dc, dh, out=dc)
        np.multiply(dc, g, out=di)
        np.multiply(dc, s.c_before, out=df)
        np.multiply(dc, i, out=dg)
        np.multiply(dc, f, out=dc)
        _times_sigmoid_slope(s.gates[:3], s.work[:3], s.product[:3])
        _times_tanh_slope(g, dg, spare)
        _through_products(s.work, R, s.product, dh)


class SimpleGRUCell(Cell):
    """The simplified gated recurrent unit: an update gate, and no reset gate.

    z_t = σ(x_t·W_z + h_{t-1}·U_z + β_z)        update gate
    n_t = tanh(x_t·W_n + h_{t-1}·U_n + β_n)     candidate
    h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t       hidden state
    """

    name = "gru_simple"
    blocks = ("update", "candidate")
    sigmoids = 1

    def forward(self, s: Step, R: Array) -> None:
        _before_tanh(s, R)
        np.tanh(s.work, out=s.gates)
        z, n = s.gates
        _sigmoid_of_tanh(z)
        _interpolate(s, z, n)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        _interpolate_back(s, dh)
        _through_products(s.work, R, s.product, s.spare)
        np.add(dh, s.spare, out=dh)


def _interpolate(s: Step, z: Array, n: Array) -> None:
    """h = n + z ⊙ (h_before - n)."""
    np.subtract(s.h_before, n, out=s.spare)
    np.multiply(z, s.spare, out=s.spare)
    np.add(n, s.spare, out=s.h)


def _interpolate_back(s: Step, dh: Array) -> None:
    """The gradient through `_interpolate`, σ and tanh, to the first (z) and last (n) block of s.work.

    z ⊙ dh overwrites dh.
    """
    z, n = s.gates[0], s.gates[-1]
    dz, dn = s.work[0], s.work[-1]
    np.subtract(s.h_before, n, out=s.spare)
    np.multiply(dh, s.spare, out=dz)
    _times_sigmoid_slope(z, dz, s.spare)
    np.subtract(1.0, z, out=s.spare)
    np.multiply(dh, s.spare, out=dn)
    _times_tanh_slope(n, dn, s.spare)
    np.multiply(dh, z, out=dh)


class GRUCell(Cell):
    """The gated recurrent unit (Cho et al. 2014): the reset gate acts on the state before the product.

        z_t = σ(x_t·W_z + h_{t-1}·U_z + β_z)              update gate
        r_t = σ(x_t·W_r + h_{t-1}·U_r + β_r)              reset gate
        n_t = tanh(x_t·W_n + (r_t ⊙ h_{t-1})·U_n + β_n)   candidate
        h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t             hidden state

    It keeps r_t ⊙ h_{t-1}.
    """

    name = "gru"
    blocks = ("update", "reset", "candidate")
    sigmoids = 2
    keeps = True

    def forward(self, s: Step, R: Array) -> None:
        _gates_of_gru(s, R)
        z, r, n = s.gates
        np.multiply(r, s.h_before, out=s.c)
        _multiply(s.c, R[2], s.spare)
        np.add(s.inputs[2], s.spare, out=s.spare)
        np.tanh(s.spare, out=n)
        _interpolate(s, z, n)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        r = s.gates[1]
        _, dr, dn = s.work
        _interpolate_back(s, dh)
        d_kept = s.product[2]
        _multiply(dn, R[2], d_kept)
        np.multiply(d_kept, s.h_before, out=dr)
        np.multiply(d_kept, r, out=d_kept)
        np.add(dh, d_kept, out=dh)
        _times_sigmoid_slope(r, dr, s.spare)
        _through_products(s.work[:2], R[:2], s.product[:2], s.spare)
        np.add(dh, s.spare, out=dh)

    def recurrent_gradient(self, xp: Any, d_inputs: Array, h_before: Array, kept: Array) -> Array:
        H = h_before.shape[-1]
        of_gates = xp.matmul(h_before.swapaxes(1, 2), d_inputs[..., : 2 * H])
        of_candidate = xp.matmul(kept.swapaxes(1, 2), d_inputs[..., 2 * H :])
        return xp.concatenate([of_gates, of_candidate], axis=-1)


def _gates_of_gru(s: Step, R: Array) -> None:
    """Write the first two blocks, update and reset gate, to s.gates."""
    work, gates = s.work[:2], s.gates[:2]
    _multiply(s.h_before, R[:2], work)
    np.add(work, s.inputs[:2], out=work)
    np.tanh(work, out=gates)
    _sigmoid_of_tanh(gates)


class ResetAfterGRUCell(Cell):
    """The gated recurrent unit as cuDNN and PyTorch compute it: the reset gate acts on the product with the state.

        z_t = σ(x_t·W_z + h_{t-1}·U_z + β_z)                       update gate
        r_t = σ(x_t·W_r + h_{t-1}·U_r + β_r)                       reset gate
        n_t = tanh(x_t·W_n + β_n + r_t ⊙ (h_{t-1}·U_n + β_h))      candidate
        h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t                      hidden state

    It keeps h_{t-1}·U_n + β_h. The step backward overwrites it with its gradient.
    """

    name = "gru_reset_after"
    blocks = ("update", "reset", "candidate")
    sigmoids = 2
    keeps = True
    overwrites_kept = True
    recurrent_bias = True

    def forward(self, s: Step, R: Array) -> None:
        _gates_of_gru(s, R)
        z, r, n = s.gates
        _multiply(s.h_before, R[2], s.c)
        np.add(s.c, s.bias, out=s.c)
        np.multiply(r, s.c, out=s.spare)
        np.add(s.inputs[2], s.spare, out=s.spare)
        np.tanh(s.spare, out=n)
        _interpolate(s, z, n)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        r = s.gates[1]
        _, dr, dn = s.work
        _interpolate_back(s, dh)
        np.multiply(dn, s.c, out=dr)
        _times_sigmoid_slope(r, dr, s.spare)
        np.multiply(dn, r, out=s.c)
        _multiply(s.c, R[2], s.spare)
        np.add(dh, s.spare, out=dh)
        _through_products(s.work[:2], R[:2], s.product[:2], s.spare)
        np.add(dh, s.spare, out=dh)

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
        np.tanh(s.work[0], out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        _times_tanh_slope(s.h, dh, s.spare)
        s.work[0] = dh
        _through_products(s.work, R, s.product, dh)


class IdentityRNNCell(Cell):
    """The identity RNN (Le, Jaitly & Hinton 2015): a rectifier, and a U that starts as the identity matrix.

    h_t = max(0, x_t·W + h_{t-1}·U + β)
    """

    name = "rnn_identity"
    blocks = ("candidate",)
    sigmoids = 0
    recurrent_init = "identity"

    def forward(self, s: Step, R: Array) -> None:
        _before_tanh(s, R)
        np.maximum(s.work[0], 0.0, out=s.h)

    def backward(self, s: Step, dh: Array, dc: Array, R: Array) -> None:
        np.multiply(dh, s.h > 0, out=s.work[0])
        _through_products(s.work, R, s.product, dh)


CELLS: Dict[str, Cell] = {
    cell.name: cell
    for cell in (LSTMCell(), GRUCell(), ResetAfterGRUCell(), SimpleGRUCell(), RNNCell(), IdentityRNNCell())
}
"""The cells by name."""
