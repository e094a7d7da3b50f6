"""Store outputs and gradients of PyTorch's recurrent layers, for tests on machines without PyTorch.

Usage: python scripts/make_torch_reference.py [tests/reference/torch.npz]

There is a case for each of `torch.nn.LSTM`, `GRU` and `RNN`, with one or two directions and one or two layers. It has
random weights by PyTorch's names, the inputs of a few sequences of unequal length, the outputs, and the gradients of
the inputs and weights for random gradients of the outputs. The keys are `CELL/DIRECTIONS/DEPTH/...`.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np

CASES = list(product(["lstm", "gru", "rnn"], [1, 2], [1, 2]))
LENGTHS = (4, 1, 7, 3)
INPUT, HIDDEN = 5, 3


def reference(cell: str, directions: int, depth: int) -> dict[str, np.ndarray]:
    """Compute the arrays of one case.

    Args:
        cell (str): "lstm", "gru" or "rnn".
        directions (int): 1 or 2.
        depth (int): The number of layers.

    Returns:
        dict[str, np.ndarray]: The arrays by the last part of their keys.
    """
    import torch

    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell]
    layer = kind(INPUT, HIDDEN, num_layers=depth, bidirectional=directions == 2)
    rng = np.random.default_rng(CASES.index((cell, directions, depth)))

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(scale=0.7, size=shape).astype("float32")

    found = {}
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            found[f"weight/{name}"] = draw(*weight.shape)
            weight.copy_(torch.from_numpy(found[f"weight/{name}"]))
    for k, length in enumerate(LENGTHS):
        X, dY = draw(length, INPUT), draw(length, directions * HIDDEN)
        x = torch.from_numpy(X.copy()).requires_grad_()
        Y, _ = layer(x)
        Y.backward(torch.from_numpy(dY))
        found |= {f"X/{k}": X, f"dY/{k}": dY, f"Y/{k}": Y.detach().numpy(), f"dX/{k}": x.grad.numpy()}
    found |= {f"gradient/{name}": weight.grad.numpy() for name, weight in layer.named_parameters()}
    return found


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests/reference/torch.npz")
    arrays = {f"{c}/{d}/{n}/{name}": array for c, d, n in CASES for name, array in reference(c, d, n).items()}
    target.parent.mkdir(exist_ok=True)
    np.savez_compressed(target, **arrays)


if __name__ == "__main__":
    main()
