"""The gates that `explain` shows are those of the equations, for each token in its own window."""

import numpy as np
import pytest
from support.recurrent_models import CELLS, build, stack

from spacy_lstm_ner.explain.gates import describe_layer, gates_by_token, state_norms, window_starts
from spacy_lstm_ner.explain.observed import Observed, watch_stack
from spacy_lstm_ner.layers.rnn.stack import encode

GATES = {"lstm": ["input", "forget", "output"], "gru": ["update", "reset"], "gru_reset_after": ["update", "reset"]}
GATES |= {"gru_simple": ["update"], "rnn": [], "rnn_identity": []}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def watched(model):
    observed = Observed(model)
    watch_stack(observed, stack(model))
    return observed


def runs(observed, X, lengths):
    observed.layers.clear()
    encode(observed.stack, X, np.array(lengths), True)
    return observed.layers


def hand_made():
    """An LSTM of one direction. The forget gate closes at tokens whose first input is 1; all else is constant."""
    model = build("lstm", bi=False, nI=2, width=3)
    (layer,) = stack(model).layers
    W, R, b = (np.zeros_like(layer.get_param(name)) for name in ("W", "R", "b"))
    b[0] = np.repeat([0.5, 4.0, -1.0, 0.3], 3)
    W[0, 0, 3:6] = -8.0
    for name, value in (("W", W), ("R", R), ("b", b)):
        layer.set_param(name, value)
    return model


def test_a_forget_gate_that_is_known():
    ends = np.array([0, 0, 0, 1, 0, 0])
    X = np.stack([ends, np.ones(6)], axis=1).astype("f4")
    (layer,) = runs(watched(hand_made()), X, [6])
    forget = sigmoid(4.0 - 8.0 * ends)
    expected = np.stack([np.full(6, sigmoid(0.5)), forget, np.full(6, sigmoid(-1.0))], axis=1)
    np.testing.assert_allclose(gates_by_token(layer)[0], np.repeat(expected[:, :, None], 3, axis=2), atol=1e-6)
    c, norms = 0.0, []
    for f in forget:
        c = f * c + sigmoid(0.5) * np.tanh(0.3)
        norms.append(np.sqrt(3) * c)
    np.testing.assert_allclose(state_norms(layer), [norms], rtol=1e-5)
    told = describe_layer(layer)
    assert told["state"] == "cell state" and len(told["directions"]) == 1
    assert told["directions"][0]["gates"]["forget"] == pytest.approx(forget, abs=1e-6)
    assert told["directions"][0]["state_norm"] == pytest.approx(norms, rel=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_the_gates_of_each_cell(cell):
    observed = watched(build(cell, depth=2))
    X = np.random.default_rng(0).normal(size=(5, 3)).astype("f4")
    layers = runs(observed, X, [5])
    told = [describe_layer(layer) for layer in layers]
    assert [layer["cell"] for layer in told] == [cell, cell]
    assert told[0]["state"] == ("cell state" if cell == "lstm" else "hidden state")
    for layer in told:
        assert [own["reads"] for own in layer["directions"]] == ["left to right", "right to left"]
        for own in layer["directions"]:
            assert list(own["gates"]) == GATES[cell] and len(own["state_norm"]) == 5
            assert all(len(means) == 5 and 0 < min(means) <= max(means) < 1 for means in own["gates"].values())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_token_counts_in_its_own_window(cell):
    model = build(cell, scale=1.5, window=4, context=2)
    X = np.random.default_rng(1).normal(size=(11, 3)).astype("f4")
    (layer,) = runs(watched(model), X, [11])
    assert window_starts(layer) == [[0, 4, 8], [10, 6, 2]]
    (whole,) = runs(watched(build(cell, scale=1.5)), X, [11])
    gates, norms = gates_by_token(layer), state_norms(layer)
    assert not np.allclose(gates, gates_by_token(whole), atol=1e-3)
    # Each window alone, after its context, is a text of its own. The second direction cuts the mirrored text.
    for direction, order in enumerate((np.arange(11), np.arange(11)[::-1])):
        for first in (0, 4, 8):
            context = min(first, 2)
            tokens = np.sort(order[first - context : first + 4])
            (alone,) = runs(watched(build(cell, scale=1.5)), X[tokens], [len(tokens)])
            own = np.isin(tokens, order[first : first + 4])
            np.testing.assert_allclose(gates[direction, tokens[own]], gates_by_token(alone)[direction, own], atol=1e-6)
            np.testing.assert_allclose(norms[direction, tokens[own]], state_norms(alone)[direction, own], atol=1e-5)
