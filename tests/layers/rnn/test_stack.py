"""The recurrent layers: gradients, equations, and that batching changes nothing."""

import gc
import pickle
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from support.recurrent_models import CELLS, build, params, stack
from thinc.api import Ragged, get_current_ops, set_dropout_rate
from thinc.types import Padded

from spacy_lstm_ner.layers.rnn import cpu
from spacy_lstm_ner.layers.rnn import stack as stack_module
from spacy_lstm_ner.layers.rnn.stack import GRU, LSTM, RNN, encode, encode_distinct, project_distinct

LENGTHS = (3, 0, 7, 1, 5)
WIDTH, INPUT = 4, 3


def batch(dtype="f4", lengths=LENGTHS, nI=INPUT, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, nI)).astype(dtype) for length in lengths]


def ragged(Xs):
    return Ragged(np.concatenate(Xs), np.array([len(X) for X in Xs], dtype="i4"))


def same(ours, theirs, tolerance=1e-6):
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert len(our) == len(their)
        if len(our):  # Thinc's Ragged gives data without rows the shape (0, 0)
            np.testing.assert_allclose(our, their, atol=tolerance, rtol=0)


def check_gradients(model, every_entry=False, n_draws=2, eps=1e-5, lengths=LENGTHS):
    """Central differences, along each entry or along random directions of each array, in float64."""
    X = ragged(batch("f8", lengths, stack(model).get_dim("nI")))
    rng = np.random.default_rng(2)

    def forward():
        np.random.seed(5)
        return model.begin_update(X)

    Y, backprop = forward()
    weight = rng.normal(size=Y.data.shape)
    assert Y.data.dtype == np.float64
    dX = backprop(Ragged(weight.copy(), Y.lengths)).data
    arrays = [(X.data, dX)]
    arrays += [(node.get_param(name), node.get_grad(name)) for node, name in params(model)]
    for array, gradient in arrays:
        assert gradient.shape == array.shape and np.abs(gradient).max() > 0
        if every_entry:
            directions = np.eye(array.size).reshape(-1, *array.shape)
        else:
            directions = rng.normal(size=(n_draws, *array.shape))
        start = array.copy()
        for direction in directions:
            array[...] = start + eps * direction
            upper = (forward()[0].data * weight).sum()
            array[...] = start - eps * direction
            lower = (forward()[0].data * weight).sum()
            array[...] = start
            difference = (upper - lower) / (2 * eps) - (gradient * direction).sum()
            assert abs(difference) <= 1e-6 * np.linalg.norm(gradient)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "bi, depth, residual, window",
    list(product([False, True], [1, 2], [False, True], [(0, 0), (2, 0), (3, 2)])),
)
def test_gradients(cell, bi, depth, residual, window):
    settings = {"bi": bi, "depth": depth, "residual": residual, "window": window[0], "context": window[1]}
    check_gradients(build(cell, "f8", learn_initial_state=True, **settings))


@pytest.mark.parametrize("cell", CELLS)
def test_gradient_of_every_entry(cell):
    check_gradients(build(cell, "f8", learn_initial_state=True, window=4, context=1), every_entry=True)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_without_learned_states(cell):
    check_gradients(build(cell, "f8", depth=2))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("rates", [(0.4, 0.0), (0.0, 0.4), (0.3, 0.3)])
def test_gradients_under_dropout(cell, rates):
    """Each forward run seeds the generator, so that the masks are the same."""
    model = build(
        cell,
        "f8",
        width=12,
        depth=2,
        residual=True,
        learn_initial_state=True,
        dropout=rates[0],
        recurrent_dropout=rates[1],
    )
    check_gradients(model)


@pytest.fixture
def small_groups_and_chunks(monkeypatch):
    """Groups and chunks so small that short batches have several of them."""
    monkeypatch.setattr(stack_module, "_group_size", lambda H: 2)
    monkeypatch.setattr(cpu, "CHUNK", 3)
    monkeypatch.setattr(cpu, "BACK_CHUNK", 4)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "bi, depth, residual, dropout", list(product([False, True], [1, 2], [False, True], [0.0, 0.3]))
)
@pytest.mark.parametrize("lengths", [LENGTHS, (1,), (2, 2), (9,), (0, 4, 6, 6, 2, 1)], ids=str)
def test_gradients_of_every_combination(cell, bi, depth, residual, dropout, lengths, small_groups_and_chunks):
    """Inputs as wide as the outputs, so that a residual connection goes around the first layer too."""
    settings = {"bi": bi, "depth": depth, "residual": residual, "dropout": dropout, "recurrent_dropout": dropout}
    model = build(cell, "f8", width=8, nI=8, learn_initial_state=True, **settings)
    if cell == "rnn_identity":
        for node in stack(model).layers:
            node.get_param("b")[...] += 1.0  # else no rectifier may be open for the only token of a batch
    check_gradients(model, n_draws=1, lengths=lengths)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("window, context", [(0, 0), (1, 3), (2, 5), (3, 1)])
def test_gradients_of_groups_and_chunks(cell, window, context, small_groups_and_chunks):
    """Also contexts longer than a window, so that several windows read a token as context."""
    model = build(cell, "f8", depth=2, learn_initial_state=True, window=window, context=context)
    check_gradients(model)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("window", [0, 3])
def test_groups_and_chunks_change_nothing(cell, window, monkeypatch):
    model = build(cell, "f8", depth=2, learn_initial_state=True, window=window, context=2)
    Xs = batch("f8", lengths=(3, 0, 7, 1, 5, 2, 2, 11))
    results = []
    for group, chunk, back_chunk in ((0, 10**6, 10**6), (1, 1, 1), (2, 3, 4), (3, 2, 9)):
        monkeypatch.setattr(stack_module, "_group_size", lambda H, group=group: group)
        monkeypatch.setattr(cpu, "CHUNK", chunk)
        monkeypatch.setattr(cpu, "BACK_CHUNK", back_chunk)
        Ys, backprop = model.begin_update(Xs)
        same(model.predict(Xs), Ys, 1e-12)
        dXs = backprop([np.cos(Y) for Y in Ys])
        grads = [node.get_grad(name).copy() for node, name in params(model)]
        for node, name in params(model):
            node.set_grad(name, np.zeros_like(node.get_grad(name)))
        results.append([*Ys, *dXs, *grads])
    for found in results[1:]:
        same(found, results[0], 1e-12)


# The equations


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_hand(cell, X, W, R, b, h, c, b_h):
    """The equations of each cell's docstring, one token after the other. W, R and b by block."""
    out = []
    for x in X:

        def pre(k, state, x=x):
            return x @ W[k] + state @ R[k] + b[k]

        if cell == "lstm":
            i, f, o = (sigmoid(pre(k, h)) for k in range(3))
            c = f * c + i * np.tanh(pre(3, h))
            h = o * np.tanh(c)
        elif cell == "gru":
            z, r = (sigmoid(pre(k, h)) for k in range(2))
            h = z * h + (1 - z) * np.tanh(pre(2, r * h))
        elif cell == "gru_reset_after":
            z, r = (sigmoid(pre(k, h)) for k in range(2))
            h = z * h + (1 - z) * np.tanh(x @ W[2] + b[2] + r * (h @ R[2] + b_h))
        elif cell == "gru_simple":
            z = sigmoid(pre(0, h))
            h = z * h + (1 - z) * np.tanh(pre(1, h))
        elif cell == "rnn":
            h = np.tanh(pre(0, h))
        elif cell == "rnn_identity":
            h = np.maximum(0, pre(0, h))
        else:
            raise KeyError(cell)
        out.append(h)
    return np.array(out)


def layer_by_hand(cell, node, X):
    W, R, b = (node.get_param(name) for name in "WRb")
    D, H = R.shape[:2]
    K = R.shape[2] // H
    zero = np.zeros((D, H))
    h0 = node.get_param("h0") if node.has_param("h0") else zero
    c0 = node.get_param("c0") if node.has_param("c0") else zero
    b_h = node.get_param("b_h") if node.has_param("b_h") else zero
    outputs = []
    for d in range(D):
        blocks = [np.split(array, K, axis=-1) for array in (W[d], R[d], b[d])]
        Y = by_hand(cell, X[::-1] if d else X, *blocks, h0[d], c0[d], b_h[d])
        outputs.append(Y[::-1] if d else Y)
    return np.concatenate(outputs, axis=1)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bi", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_the_equations(cell, bi, learned):
    model = build(cell, "f8", bi=bi, depth=2, residual=True, learn_initial_state=learned)
    X = batch("f8", [6])[0]
    expected = X
    for node in stack(model).layers:
        Y = layer_by_hand(cell, node, expected)
        expected = Y + expected if Y.shape == expected.shape else Y
    same(model.predict([X]), [expected], 1e-12)
    same(model.begin_update([X])[0], [expected], 1e-12)


def test_parameters_at_the_start():
    """Orthogonal recurrent matrices and an open forget gate; for the identity RNN, the identity matrix."""
    lstm = LSTM(6, 3, learn_initial_state=True)
    lstm.initialize()
    node = stack(lstm).layers[0]
    for d, k in product(range(2), range(4)):
        U = node.get_param("R")[d, :, 3 * k : 3 * k + 3]
        np.testing.assert_allclose(U @ U.T, np.eye(3), atol=1e-6)
    assert node.get_param("b").tolist() == [[0] * 3 + [1] * 3 + [0] * 6] * 2
    assert not node.get_param("h0").any() and not node.get_param("c0").any()
    rnn = RNN(6, 3, identity=True)
    rnn.initialize()
    assert (stack(rnn).layers[0].get_param("R") == np.eye(3)).all()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bi", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_declared_shapes_of_parameters(cell, bi, learned):
    builder, own = CELLS[cell]
    model = builder(WIDTH, INPUT, bi=bi, depth=2, learn_initial_state=learned, **own)
    for node in stack(model).layers:
        shapes = pickle.loads(pickle.dumps(node.attrs["param_shapes"]))
        unknown = shapes({**node.attrs, "nO": None, "nI": None})
        node.initialize()
        expected = {name: node.get_param(name).shape for name in node.param_names}
        assert shapes({**node.attrs, "nO": node.get_dim("nO"), "nI": node.get_dim("nI")}) == expected
        assert unknown == {name: (1 + bi, *[None] * (len(shape) - 1)) for name, shape in expected.items()}


def test_functions_in_attributes_are_not_saved():
    model = build("lstm", depth=2)
    assert stack(model) is model.layers[0]
    saved = [set(attrs) for attrs in model.to_dict()["attrs"]]
    of_layer = {"cell", "recurrent_dropout"}
    assert saved == [
        set(),
        {"dropout_rate", "residual", "n_directions", "window", "context"},
        of_layer,
        of_layer,
    ]
    assert all(
        {name for name in node.attrs if name not in own} <= {"stack", "param_shapes"}
        for node, own in zip(model.walk(), saved, strict=True)
    )


# Batching


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("window, context", [(0, 0), (3, 1)])
def test_alone_in_a_batch_and_in_any_order(cell, window, context):
    model = build(cell, depth=2, learn_initial_state=True, window=window, context=context)
    Xs = batch()
    alone = [model.predict([X])[0] for X in Xs]
    same(model.predict(Xs), alone)
    same(model.begin_update(Xs)[0], alone)
    order = np.random.default_rng(3).permutation(len(Xs))
    same(model.predict([Xs[k] for k in order]), [alone[k] for k in order])


@pytest.mark.parametrize("cell", CELLS)
def test_no_gradient_crosses_sequences(cell):
    model = build(cell, depth=2, window=3, context=2)
    Xs = batch()
    Ys, backprop = model.begin_update(Xs)
    dXs = backprop([np.ones_like(Y) if k == 2 else np.zeros_like(Y) for k, Y in enumerate(Ys)])
    assert [bool(np.abs(dX).max(initial=0.0)) for dX in dXs] == [k == 2 for k in range(len(Xs))]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", [[], [0], [0, 0], [1], [0, 1, 0]])
@pytest.mark.parametrize("window", [0, 2])
def test_hardly_any_tokens(cell, lengths, window):
    model = build(cell, depth=2, learn_initial_state=True, window=window, context=1)
    Xs = batch(lengths=lengths)
    Ys = model.predict(Xs)
    assert [Y.shape for Y in Ys] == [(length, WIDTH) for length in lengths]
    same(model.begin_update(Xs)[0], Ys)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", [[], [0], [0, 0], [1], [0, 1, 0]])
def test_back_through_hardly_any_tokens(cell, lengths):
    model = build(cell, depth=2, learn_initial_state=True)
    Ys, backprop = model.begin_update(batch(lengths=lengths))
    dXs = backprop([np.ones_like(Y) for Y in Ys])
    assert [dX.shape for dX in dXs] == [(length, INPUT) for length in lengths]
    for node, name in params(model):
        if node.has_grad(name) and not sum(lengths):
            assert not node.get_grad(name).any()


@pytest.mark.parametrize("cell", CELLS)
def test_list_ragged_and_padded(cell):
    model, ops = build(cell, depth=2), get_current_ops()
    Xs = batch(lengths=(3, 7, 1, 5))
    Ys, back_list = model.begin_update(Xs)
    of_ragged, back_ragged = model.begin_update(ragged(Xs))
    padded = ops.list2padded(Xs)
    of_padded, back_padded = model.begin_update(padded)
    assert isinstance(of_ragged, Ragged) and isinstance(of_padded, Padded)
    same([of_ragged.data], [np.concatenate(Ys)])
    same(ops.padded2list(of_padded), Ys)
    dYs = [np.cos(Y) for Y in Ys]
    dXs = back_list(dYs)
    same([back_ragged(ragged(dYs)).data], [np.concatenate(dXs)])
    same(ops.padded2list(back_padded(ops.list2padded(dYs))), dXs)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_nothing(cell):
    """Neither its length, with a longer sequence in the batch, nor its values."""
    model, ops = build(cell), get_current_ops()
    Xs = batch(lengths=(2, 4))
    alone = model.predict(Xs)
    longer = ops.list2padded([*Xs, *batch(lengths=(20,))])
    same(ops.padded2list(model.predict(longer))[:2], alone)
    padded = ops.list2padded(Xs)
    data = padded.data.copy()
    shorter = int(np.argmin(padded.lengths))
    data[2:, shorter] = 1e3
    dirty = Padded(data, padded.size_at_t, padded.lengths, padded.indices)
    same(ops.padded2list(model.predict(dirty)), alone)


# Windows


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bi", [False, True])
def test_context_over_the_whole_sequence_is_exact(cell, bi):
    """Windows with everything before them as context give the same as no windows."""
    Xs = batch("f8")
    results = []
    for windows in ({}, {"window": 2, "context": 9}):
        model = build(cell, "f8", bi=bi, depth=2, **windows)
        Ys, _ = model.begin_update(Xs)
        results.append(Ys)
        same(model.predict(Xs), Ys, 1e-12)
    same(*results, 1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("context", [0, 2])
def test_a_window_is_its_tokens_alone(cell, context):
    """In one direction, each window gives the same as a sequence of the window and its context."""
    model = build(cell, bi=False, window=3, context=context)
    plain = build(cell, bi=False)
    X = batch(lengths=[8])[0]
    parts = []
    for start in (0, 3, 6):
        begin = max(0, start - context)
        parts.append(plain.predict([X[begin : start + 3]])[0][start - begin :])
    same(model.predict([X]), [np.concatenate(parts)])


# Prediction and training


@pytest.mark.parametrize("cell", CELLS)
def test_prediction_is_repeatable_in_threads(cell):
    model = build(cell, depth=2, window=3, context=1)
    batches = [batch(seed=k) for k in range(8)]
    first = [model.predict(Xs) for Xs in batches]
    second = [model.predict(Xs) for Xs in batches]
    with ThreadPoolExecutor(2) as pool:
        threaded = list(pool.map(model.predict, batches))
    for ours, again, theirs in zip(first, second, threaded, strict=True):
        for our, second_time, their in zip(ours, again, theirs, strict=True):
            np.testing.assert_array_equal(our, second_time)
            np.testing.assert_array_equal(our, their)


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_is_left_after_prediction(cell):
    model = build(cell, depth=2, window=3, context=1)
    state, attrs = model.to_bytes(), [dict(node.attrs) for node in model.walk()]
    Xs = batch()
    Ys = model.predict(Xs)
    references = [weakref.ref(array) for array in (*Xs, *Ys)]
    del Xs, Ys
    gc.collect()
    assert not any(reference() is not None for reference in references)
    assert model.to_bytes() == state and [dict(node.attrs) for node in model.walk()] == attrs
    assert not any(node.has_grad(name) for node, name in params(model))


@pytest.mark.slow
def test_a_million_tokens_in_bounded_memory(run_env):
    """Less than 600 bytes a token at 2×16 for states and index arrays, input and output not counted."""
    code = """
import resource
import numpy as np
from spacy_lstm_ner.layers.rnn.stack import LSTM
model = LSTM(32, 16, window=50, context=10)
model.initialize()
model.predict([np.zeros((100, 16), dtype="f4")])
X = np.zeros((1_000_000, 16), dtype="f4")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
X += 1
Y = model.predict([X])[0]
assert Y.shape == (1_000_000, 32) and np.isfinite(Y).all()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 - X.nbytes - Y.nbytes)
"""
    done = subprocess.run([sys.executable, "-c", code], env=run_env, capture_output=True, text=True, check=True)
    print(done.stdout)
    assert int(done.stdout) < 600e6


@pytest.mark.parametrize("cell", CELLS)
def test_inputs_stay_as_they_are(cell):
    model = build(cell, depth=2, residual=True, nI=WIDTH)
    Xs = batch(nI=WIDTH)
    Ys, backprop = model.begin_update(Xs)
    before = [Y.copy() for Y in Ys]
    dYs = [np.ones_like(Y) for Y in Ys]
    backprop(dYs)
    same(Xs, batch(nI=WIDTH), 0)
    same(Ys, before, 0)
    same(dYs, [np.ones_like(Y) for Y in Ys], 0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_second_gradient_goes_back_like_the_first(cell):
    model = build(cell, depth=2, learn_initial_state=True, window=3, context=2)
    Ys, backprop = model.begin_update(batch())
    dYs = [np.cos(Y) for Y in Ys]
    first = backprop(dYs)
    gradients = [node.get_grad(name).copy() for node, name in params(model)]
    same(backprop(dYs), first, 0)
    for (node, name), gradient in zip(params(model), gradients, strict=True):
        np.testing.assert_allclose(node.get_grad(name), 2 * gradient, rtol=1e-6, atol=1e-6)


def test_data_that_do_not_fit_are_an_error():
    """No row is taken for another one."""
    model, Xs = build("lstm"), batch()
    for lengths in ([3, 7, 1, 4], [3, 7, 1, 6], [16, 0, 1]):
        with pytest.raises(ValueError, match=r"input has the shape \(16, 3\), but must have \(1[57], 3\)"):
            model.predict(Ragged(np.concatenate(Xs), np.array(lengths, dtype="i4")))
    with pytest.raises(ValueError, match="a length is -1"):
        model.predict(Ragged(np.concatenate(Xs), np.array([17, -1], dtype="i4")))
    with pytest.raises(ValueError, match=r"input has the shape \(4, 5\), but must have \(4, 3\)"):
        model.predict(batch(lengths=[4], nI=5))
    with pytest.raises(ValueError, match=r"input has the shape \(3,\), but must have \(3, 3\)"):
        model.predict([np.zeros(3, dtype="f4")])
    Ys, backprop = model.begin_update(Xs)
    for dYs in (Ys[:-1], Ys[::-1], [*Ys, Ys[0]]):
        with pytest.raises(ValueError, match="gradients do not have the lengths of the 5 outputs"):
            backprop(dYs)
    with pytest.raises(ValueError, match=r"gradient has the shape \(16, 5\), but must have \(16, 4\)"):
        backprop([np.zeros((len(Y), 5), dtype="f4") for Y in Ys])
    Y, backprop = model.begin_update(ragged(Xs))
    with pytest.raises(ValueError, match=r"gradient has the shape \(12, 4\), but must have \(16, 4\)"):
        backprop(Ragged(Y.data[:12], Y.lengths))


def test_a_prediction_has_no_gradient():
    model, Xs = build("lstm"), batch()
    Ys, backprop = model(Xs, is_train=False)
    with pytest.raises(ValueError, match=r"a prediction has no gradient; run the model with is_train=True"):
        backprop(Ys)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("which", ["dropout", "recurrent_dropout"])
def test_dropout_in_training_only(cell, which):
    plain, dropped = build(cell), build(cell, **{which: 0.5})
    Xs = batch()
    same(dropped.predict(Xs), plain.predict(Xs), 0)
    np.random.seed(0)
    in_training = dropped.begin_update(Xs)[0]
    assert not np.allclose(np.concatenate(in_training), np.concatenate(plain.predict(Xs)))


def test_dropout_is_one_mask_for_a_sequence():
    model = build("rnn", dropout=0.5, width=20)
    Ys, _ = model.begin_update(batch(lengths=(6, 6, 6, 6)))
    masks = []
    for Y in Ys:
        dropped = Y == 0
        assert (dropped == dropped[0]).all()
        masks.append(tuple(dropped[0]))
    assert len(set(masks)) > 1


def test_set_dropout_rate_reaches_the_layer():
    model = build("lstm")
    set_dropout_rate(model, 0.5)
    np.random.seed(0)
    assert (np.concatenate(model.begin_update(batch())[0]) == 0).any()
    set_dropout_rate(model, 0.0)
    assert not (np.concatenate(model.begin_update(batch())[0]) == 0).any()


# Settings


@pytest.mark.parametrize("builder", [LSTM, GRU, RNN])
@pytest.mark.parametrize(
    "name, settings",
    [
        ("width", {"nO": 0}),
        ("width", {"nO": 5}),
        ("width", {"nO": -2}),
        ("width", {"nO": 0, "bi": False}),
        ("depth", {"depth": 0}),
        ("dropout", {"dropout": 1.0}),
        ("dropout", {"dropout": -0.1}),
        ("recurrent_dropout", {"recurrent_dropout": 1.0}),
        ("recurrent_dropout", {"recurrent_dropout": -0.1}),
        ("window", {"window": -1}),
        ("context", {"context": -1}),
        ("width", {"nO": "4"}),
        ("width", {"nO": 4.0}),
        ("depth", {"depth": 1.5}),
        ("window", {"window": 2.5}),
        ("window", {"window": None}),
        ("context", {"context": "1"}),
    ],
)
def test_settings_out_of_range(builder, name, settings):
    with pytest.raises(ValueError, match=rf"^{builder.__name__}: {name} is"):
        builder(**{"nO": 4, "nI": 3, **settings})


def test_simple_and_reset_after_exclude_each_other():
    with pytest.raises(ValueError, match=r"^GRU: simple and reset_after exclude each other"):
        GRU(4, simple=True, reset_after=True)


def test_an_odd_width_is_fine_for_one_direction():
    assert build("lstm", bi=False, width=5).predict(batch())[0].shape == (3, 5)


def test_an_input_without_width_is_an_error():
    for nI in (0, -1):
        with pytest.raises(ValueError, match=f"width of the input is {nI}, but must be at least 1"):
            LSTM(4, nI).initialize()


def test_widths_from_data():
    model = GRU()
    model.initialize(X=batch(), Y=[np.zeros((length, 6), dtype="f") for length in LENGTHS])
    assert model.predict(batch())[2].shape == (7, 6)
    with pytest.raises(ValueError, match="width is 5"):
        LSTM().initialize(X=batch(), Y=[np.zeros((length, 5), dtype="f") for length in LENGTHS])


@pytest.mark.parametrize("cell", CELLS)
def test_bytes_round_trip(cell):
    settings = {"depth": 2, "learn_initial_state": True, "window": 3}
    model, other = build(cell, **settings), build(cell, seed=9, **settings)
    assert not np.allclose(model.predict(batch())[2], other.predict(batch())[2])
    other.from_bytes(model.to_bytes())
    same(other.predict(batch()), model.predict(batch()), 0)
    builder, own = CELLS[cell]
    fresh = builder(WIDTH, INPUT, **own, **settings).from_bytes(model.to_bytes())
    same(fresh.predict(batch()), model.predict(batch()), 0)


# Distinct rows


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("window", [0, 2])
def test_distinct_rows_equal_plain(cell, residual, window):
    model = stack(build(cell, nI=WIDTH, depth=2, residual=residual, window=window, context=1))
    rng = np.random.default_rng(4)
    table = rng.normal(size=(5, WIDTH)).astype("f")
    rows = rng.integers(0, 5, size=sum(LENGTHS))
    lengths = np.array(LENGTHS, dtype="i4")
    given = table.copy()
    shared = encode_distinct(model, project_distinct(model, table), rows, lengths)
    plain, _ = encode(model, table[rows], lengths, False)
    np.testing.assert_allclose(shared, plain, atol=1e-6)
    np.testing.assert_array_equal(table, given)
