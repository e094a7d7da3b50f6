"""The elementwise work of a step on a GPU: for each cell, one kernel for the forward and one for the backward step.

Notation as in `cells` and `packed`. A forward step is a matrix product followed by a kernel; a backward step is a
kernel followed by a matrix product. `gru` has two of each, because its reset gate acts on the state before a product.

The code of a kernel runs for each number i of the b·D·H units of a step. It gets the contiguous arrays of the whole run
and computes indices into them, so that a launch needs no views:

inputs            (D, rows, K·H), for the rows of a chunk; `at` is the first row of the step in it
d_inputs          (D, N, K·H)
gates             (N, D, K·H); in prediction (b, D, K·H), the gates of the current step only
h, kept           (N + B, D, H), with the start states of the windows in the last B rows; in prediction, kept is
                  (B, D, H), for the current step only
d_h               (N, D, H) the gradient of h from the layer above
product           (b, D, k·H) the product before the kernel, for the k blocks of its stage; in a backward step (b, D, H)
                  the gradient of h from the next step or, in the second kernel of `gru`, the gradient of kept
carried           (b, D, H) another gradient that a backward step passes to the step before it; for the LSTM, that of c
work              (b, D, k·H) the left factor of the product after the kernel
bias              (D, H)

As in `cells`, inputs and product of a gate are halved, and σ(z) is ½ + ½ tanh(z/2).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ...types import Array

PREAMBLE = """
template <typename V> __device__ V sigma(V half) { return V(0.5) + V(0.5) * tanh(half); }
template <typename V> __device__ V sigma_slope(V y) { return y * (V(1) - y); }
template <typename V> __device__ V tanh_slope(V y) { return V(1) - y * y; }
"""


# The indices of unit j in row and direction rd = row·D + d of the step: in `h` of this and of the past step, in
# `inputs` (x), in `product` and `work` (p), in `kept` of this and of the past step, and in `gates` (g).
FORWARD_INDICES = """
const int j = (int) i % H, rd = (int) i / H;
const long long now = (long long) first * D * H + i, past = (long long) before * D * H + i;
const long long x = ((long long) (rd % D) * rows + at + rd / D) * {K} * H + j;
const long long p = (long long) rd * {k} * H + j;
const long long kept_now = keep ? now : (long long) i, kept_past = keep ? past : (long long) i;
const long long g = ((keep ? (long long) first * D : 0) + rd) * {K} * H + j;
"""
BACKWARD_INDICES = """
const int j = (int) i % H, rd = (int) i / H;
const long long now = (long long) first * D * H + i, past = (long long) before * D * H + i;
const long long x = ((long long) (rd % D) * N + first + rd / D) * {K} * H + j;
const long long p = (long long) rd * {k} * H + j;
const long long g = ((long long) first * D + rd) * {K} * H + j;
"""
PARAMETERS = {
    "forward": (
        "raw T inputs, raw T product, raw T bias, "
        "int32 rows, int32 D, int32 H, int32 at, int32 first, int32 before, int32 keep",
        "raw T h, raw T kept, raw T gates",
    ),
    "backward": (
        "raw T d_h, raw T product, raw T gates, raw T h, int32 N, int32 D, int32 H, int32 first, int32 before",
        "raw T carried, raw T kept, raw T work, raw T d_inputs",
    ),
}


@dataclass(frozen=True)
class Stage:
    """A product with the recurrent weights of some blocks, and its kernel.

    Attributes:
        name (str): The name of the kernel.
        step (Literal["forward", "backward"]): The step that it belongs to.
        blocks (int): The number of blocks of the cell.
        first (int): The first block of the product.
        last (int): The block after the last one of the product.
        code (str): The code of the kernel for one unit.
        multiplies_kept (bool): Whether a forward step multiplies `kept`, and not the hidden state before.
    """

    name: str
    step: Literal["forward", "backward"]
    blocks: int
    first: int
    last: int
    code: str
    multiplies_kept: bool = False

    @property
    def width(self) -> int:
        """The number of blocks of the product."""
        return self.last - self.first

    @property
    def parameters(self) -> tuple[str, str]:
        """The kernel's inputs and outputs, in CuPy's form."""
        return PARAMETERS[self.step]

    @property
    def operation(self) -> str:
        """The indices of a unit, then the code."""
        indices = FORWARD_INDICES if self.step == "forward" else BACKWARD_INDICES
        return indices.format(K=self.blocks, k=self.width) + self.code

    @cached_property
    def kernel(self) -> Any:
        """The CuPy kernel. CuPy compiles it at its first call and keeps it."""
        import cupy

        return cupy.ElementwiseKernel(*self.parameters, self.operation, self.name, preamble=PREAMBLE, no_return=True)


LSTM_FORWARD = """
const T input = sigma(inputs[x] + product[p]);
const T forget = sigma(inputs[x + H] + product[p + H]);
const T output = sigma(inputs[x + 2 * H] + product[p + 2 * H]);
const T candidate = tanh(inputs[x + 3 * H] + product[p + 3 * H]);
const T c = forget * kept[kept_past] + input * candidate;
gates[g] = input;
gates[g + H] = forget;
gates[g + 2 * H] = output;
gates[g + 3 * H] = candidate;
kept[kept_now] = c;
h[now] = output * tanh(c);
"""
LSTM_BACKWARD = """
const T input = gates[g], forget = gates[g + H], output = gates[g + 2 * H], candidate = gates[g + 3 * H];
const T c_tanh = tanh(kept[now]);
const T dh = d_h[now] + product[i];
const T dc = carried[i] + dh * output * tanh_slope(c_tanh);
const T d_input = dc * candidate * sigma_slope(input);
const T d_forget = dc * kept[past] * sigma_slope(forget);
const T d_output = dh * c_tanh * sigma_slope(output);
const T d_candidate = dc * input * tanh_slope(candidate);
carried[i] = dc * forget;
d_inputs[x] = work[p] = d_input;
d_inputs[x + H] = work[p + H] = d_forget;
d_inputs[x + 2 * H] = work[p + 2 * H] = d_output;
d_inputs[x + 3 * H] = work[p + 3 * H] = d_candidate;
"""


SIMPLE_GRU_FORWARD = """
const T update = sigma(inputs[x] + product[p]);
const T candidate = tanh(inputs[x + H] + product[p + H]);
gates[g] = update;
gates[g + H] = candidate;
h[now] = candidate + update * (h[past] - candidate);
"""
# The gradient through the interpolation of state and candidate, for all GRUs; the candidate is the last block.
INTERPOLATION_BACK = """
const T update = gates[g], candidate = gates[g + {last} * H];
const T dh = d_h[now] + carried[i] + product[i];
const T d_update = dh * (h[past] - candidate) * sigma_slope(update);
const T d_candidate = dh * (T(1) - update) * tanh_slope(candidate);
carried[i] = dh * update;
"""
SIMPLE_GRU_BACKWARD = (
    INTERPOLATION_BACK.format(last=1)
    + """
d_inputs[x] = work[p] = d_update;
d_inputs[x + H] = work[p + H] = d_candidate;
"""
)


GRU_FORWARD_GATES = """
const T reset = sigma(inputs[x + H] + product[p + H]);
gates[g] = sigma(inputs[x] + product[p]);
gates[g + H] = reset;
kept[kept_now] = reset * h[past];
"""
GRU_FORWARD_STATE = """
const T update = gates[g];
const T candidate = tanh(inputs[x + 2 * H] + product[p]);
gates[g + 2 * H] = candidate;
h[now] = candidate + update * (h[past] - candidate);
"""
GRU_BACKWARD_STATE = (
    INTERPOLATION_BACK.format(last=2)
    + """
d_inputs[x] = d_update;
d_inputs[x + 2 * H] = work[p] = d_candidate;
"""
)
GRU_BACKWARD_GATES = """
const T reset = gates[g + H], d_kept = product[i];
carried[i] += d_kept * reset;
work[p] = d_inputs[x];
d_inputs[x + H] = work[p + H] = d_kept * h[past] * sigma_slope(reset);
"""


RESET_AFTER_FORWARD = """
const T update = sigma(inputs[x] + product[p]);
const T reset = sigma(inputs[x + H] + product[p + H]);
const T of_state = product[p + 2 * H] + bias[rd % D * H + j];
const T candidate = tanh(inputs[x + 2 * H] + reset * of_state);
gates[g] = update;
gates[g + H] = reset;
gates[g + 2 * H] = candidate;
kept[kept_now] = of_state;
h[now] = candidate + update * (h[past] - candidate);
"""
RESET_AFTER_BACKWARD = (
    INTERPOLATION_BACK.format(last=2)
    + """
const T reset = gates[g + H];
d_inputs[x] = work[p] = d_update;
d_inputs[x + H] = work[p + H] = d_candidate * kept[now] * sigma_slope(reset);
d_inputs[x + 2 * H] = d_candidate;
kept[now] = work[p + 2 * H] = d_candidate * reset;
"""
)


RNN_FORWARD = """
h[now] = tanh(inputs[x] + product[p]);
"""
RNN_BACKWARD = """
d_inputs[x] = work[p] = (d_h[now] + product[i]) * tanh_slope(h[now]);
"""
# NaN stays NaN: with `sum > 0 ? sum : 0` it would become 0.
IDENTITY_RNN_FORWARD = """
const T sum = inputs[x] + product[p];
h[now] = sum < T(0) ? T(0) : sum;
"""
IDENTITY_RNN_BACKWARD = """
d_inputs[x] = work[p] = (d_h[now] + product[i]) * T(h[now] > T(0));
"""


def _stages(name: str, blocks: int, forward: str, backward: str) -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    return (
        (Stage(f"{name}_forward", "forward", blocks, 0, blocks, forward),),
        (Stage(f"{name}_backward", "backward", blocks, 0, blocks, backward),),
    )


STAGES: dict[str, tuple[tuple[Stage, ...], tuple[Stage, ...]]] = {
    "lstm": _stages("lstm", 4, LSTM_FORWARD, LSTM_BACKWARD),
    "gru": (
        (
            Stage("gru_forward_gates", "forward", 3, 0, 2, GRU_FORWARD_GATES),
            Stage("gru_forward_state", "forward", 3, 2, 3, GRU_FORWARD_STATE, multiplies_kept=True),
        ),
        (
            Stage("gru_backward_state", "backward", 3, 2, 3, GRU_BACKWARD_STATE),
            Stage("gru_backward_gates", "backward", 3, 0, 2, GRU_BACKWARD_GATES),
        ),
    ),
    "gru_reset_after": _stages("gru_reset_after", 3, RESET_AFTER_FORWARD, RESET_AFTER_BACKWARD),
    "gru_simple": _stages("gru_simple", 2, SIMPLE_GRU_FORWARD, SIMPLE_GRU_BACKWARD),
    "rnn": _stages("rnn", 1, RNN_FORWARD, RNN_BACKWARD),
    "rnn_identity": _stages("rnn_identity", 1, IDENTITY_RNN_FORWARD, IDENTITY_RNN_BACKWARD),
}
"""The stages of the forward step and of the backward step of each cell."""


def wide_weights(xp: Any, R: Array, stage: Stage) -> Array:
    """Join the recurrent weights of a stage into one matrix, for one product of both directions.

    The blocks between different directions are zero. That doubles the operations of a step, but saves a second product
    and the copies that CuPy would make to separate the rows of the directions.

    Args:
        xp (Any): The module of the weights, NumPy or CuPy.
        R (Array): (K, D, H, H) The blocks of the recurrent weights.
        stage (Stage): The stage.

    Returns:
        Array: (D·H, D·k·H) The matrix.
    """
    _, D, H, _ = R.shape
    wide = xp.zeros((D, H, D, stage.width, H), dtype=R.dtype)
    for direction in range(D):
        wide[direction, :, direction] = R[stage.first : stage.last, direction].transpose(1, 0, 2)
    return wide.reshape(D * H, D * stage.width * H)
