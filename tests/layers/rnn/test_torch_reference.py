"""The same weights in PyTorch's layers: outputs and gradients within 1e-5, by stored arrays and, if there, PyTorch."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from spacy_lstm_ner.layers.rnn.stack import GRU, LSTM, RNN

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location(
    "make_torch_reference", ROOT.parent / "scripts" / "make_torch_reference.py"
)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

BUILDERS = {"lstm": (LSTM, {}), "gru": (GRU, {"reset_after": True}), "rnn": (RNN, {})}
# PyTorch's blocks in our order. LSTM: input, forget, candidate, output there; GRU: reset, update, candidate there.
ORDER = {"lstm": [0, 1, 3, 2], "gru": [1, 0, 2], "rnn": [0]}


def stored(cell, directions, depth):
    prefix = f"{cell}/{directions}/{depth}/"
    with np.load(ROOT / "reference" / "torch.npz") as arrays:
        return {name.removeprefix(prefix): arrays[name] for name in arrays.files if name.startswith(prefix)}


def live(cell, directions, depth):
    pytest.importorskip("torch", reason="PyTorch is not installed; the stored arrays are compared in any case")
    return script.reference(cell, directions, depth)


def in_our_order(cell, array):
    blocks = np.split(array, len(ORDER[cell]))
    return np.concatenate([blocks[k] for k in ORDER[cell]]).T


def ours(cell, arrays, layer, directions, *, gradients=False):
    """W, R, b and b_h of a layer from PyTorch's arrays. Where we have one bias, PyTorch has the sum of two."""
    found = {"W": [], "R": [], "b": [], "b_h": []}
    for direction in range(directions):
        end = f"_l{layer}" + ("_reverse" if direction else "")
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        W, R, b_x, b_h = (in_our_order(cell, arrays[name + end]) for name in names)
        H = len(R)
        b = b_x.copy()
        if not gradients:
            b += b_h
            if cell == "gru":
                b[-H:] = b_x[-H:]
        for name, array in (("W", W), ("R", R), ("b", b), ("b_h", b_h[-H:])):
            found[name].append(array)
    return {name: np.stack(values) for name, values in found.items() if name != "b_h" or cell == "gru"}


@pytest.mark.parametrize("source", [stored, live])
@pytest.mark.parametrize("cell, directions, depth", script.CASES)
def test_outputs_and_gradients(source, cell, directions, depth):
    arrays = source(cell, directions, depth)

    def group(kind):
        return {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(kind + "/")}

    builder, settings = BUILDERS[cell]
    model = builder(directions * script.HIDDEN, script.INPUT, bi=directions == 2, depth=depth, **settings)
    model.initialize()
    nodes = model.attrs["stack"](model).layers
    for layer, node in enumerate(nodes):
        params = ours(cell, group("weight"), layer, directions)
        assert set(params) == set(node.param_names)
        for name, value in params.items():
            node.set_param(name, np.ascontiguousarray(value))
    Xs, dYs, expected_Ys, expected_dXs = (list(group(kind).values()) for kind in ("X", "dY", "Y", "dX"))
    Ys, backprop = model.begin_update(Xs)
    dXs = backprop(dYs)
    for found, expected in zip([*Ys, *dXs], [*expected_Ys, *expected_dXs], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    for layer, node in enumerate(nodes):
        for name, expected in ours(cell, group("gradient"), layer, directions, gradients=True).items():
            np.testing.assert_allclose(node.get_grad(name), expected, atol=1e-5, rtol=0)


def test_every_case_is_stored():
    assert all(stored(*case) for case in script.CASES)
