"""Recurrent models with random parameters, for the tests of the layers, and their copies on a device."""

import numpy as np

from spacy_lstm_ner.layers.rnn.stack import GRU, LSTM, RNN, encode

CELLS = {
    "lstm": (LSTM, {}),
    "gru": (GRU, {}),
    "gru_reset_after": (GRU, {"reset_after": True}),
    "gru_simple": (GRU, {"simple": True}),
    "rnn": (RNN, {}),
    "rnn_identity": (RNN, {"identity": True}),
}


def build(cell, dtype="f4", seed=0, nI=3, width=4, scale=0.5, **settings):
    """A model with random parameters of a type."""
    builder, own = CELLS[cell]
    model = builder(width, nI, **own, **settings)
    model.initialize()
    rng = np.random.default_rng(seed)
    for node, name in params(model):
        value = node.get_param(name)
        node.set_param(name, rng.normal(scale=scale, size=value.shape).astype(dtype))
    return model


def params(model):
    return [(node, name) for node in model.walk() for name in node.param_names if node.has_param(name)]


def stack(model):
    return model.attrs["stack"](model)


def build_for_rows(cell, dtype, H, scale=0.5, **settings):
    """The stack of a model, which `encode` takes; its input is as wide as the output of both directions."""
    width = 2 * H if settings.get("bi", True) else H
    return stack(build(cell, dtype, nI=2 * H, width=width, scale=scale, **settings))


def moved(model, ops):
    """A copy of a model on the device of `ops`. Thinc's own to_gpu would make float32 of all parameters."""
    copied = model.copy()
    for node in copied.walk():
        node.ops = ops
        for name in node.param_names:
            node.set_param(name, ops.xp.asarray(node.get_param(name)))
    return copied


def train(model, X, dY, lengths):
    """Output, gradient of the input, and those of all parameters."""
    np.random.seed(3)
    Y, backprop = encode(model, X, np.array(lengths), True)
    return {"Y": Y, "dX": backprop(dY), **gradients(model)}


def gradients(model):
    return {f"{name} {k}": node.get_grad(name) for k, node in enumerate(model.walk()) for name in node.grad_names}


def assert_same(on_device, on_host, tolerance, kind, to_host):
    """The same arrays, on the device of type `kind`, up to a share of the largest number of each."""
    assert on_device.keys() == on_host.keys()
    for name, array in on_device.items():
        expected = on_host[name]
        assert isinstance(array, kind) and array.dtype == expected.dtype
        scale = max(1.0, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(to_host(array) / scale, expected / scale, atol=tolerance, rtol=0, err_msg=name)
