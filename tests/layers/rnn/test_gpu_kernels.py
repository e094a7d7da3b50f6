"""The code for GPUs, without a GPU: the kernels are compiled for the CPU and run in the loops; NVRTC compiles them."""

import sys

import numpy as np
import pytest
from support.fake_cupy import COMPILER, Array, Module
from support.recurrent_models import CELLS, build_for_rows, moved, train
from support.recurrent_models import assert_same as assert_same_on
from thinc.api import NumpyOps

from spacy_lstm_ner.layers import document_max as occurrences
from spacy_lstm_ner.layers.rnn import cells, gpu, single_layer
from spacy_lstm_ner.layers.rnn.gpu_kernels import PREAMBLE, STAGES, wide_weights
from spacy_lstm_ner.layers.rnn.stack import encode, encode_distinct, project_distinct

LENGTHS = [3, 0, 7, 1, 12, 7]
ALL_STAGES = [stage for steps in STAGES.values() for stages in steps for stage in stages]
SETTINGS = [
    {"bi": False},
    {"depth": 2},
    {"learn_initial_state": True},
    {"window": 4, "context": 3, "learn_initial_state": True},
    {"depth": 2, "residual": True, "dropout": 0.4, "recurrent_dropout": 0.3},
]

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no g++ to compile the kernels for the CPU")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where compiled kernels are kept, for all tests."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def device(folder, monkeypatch):
    """A device that is not there, see `fake_cupy`."""
    module = Module(folder)
    for name in ("cupy", "cupyx"):
        monkeypatch.setitem(sys.modules, name, module)
    for user in (single_layer, gpu, occurrences):
        monkeypatch.setattr(user, "get_array_module", lambda x: module if isinstance(x, Array) else np)
    yield module
    for stage in ALL_STAGES:
        stage.__dict__.pop("kernel", None)


class DeviceOps(NumpyOps):
    """The part of CupyOps that the layers use."""

    def __init__(self, module):
        super().__init__()
        self.xp = module

    def get_dropout_mask(self, shape, drop):
        return Array(self.xp, np.asarray(NumpyOps().get_dropout_mask(shape, drop)))


def assert_same(on_device, on_host, tolerance):
    assert_same_on(on_device, on_host, tolerance, Array, lambda array: array.host)


def random(dtype, *shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


@needs_compiler
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [("f4", 1e-6), ("f8", 1e-13)])
@pytest.mark.parametrize("cell", CELLS)
def test_training_gives_what_the_cpu_gives(device, cell, dtype, tolerance, settings):
    model = build_for_rows(cell, dtype, 3, **settings)
    X, dY = random(dtype, sum(LENGTHS), 6), random(dtype, sum(LENGTHS), model.get_dim("nO"))
    expected = train(model.copy(), X, dY, LENGTHS)
    found = train(moved(model, DeviceOps(device)), device.asarray(X), device.asarray(dY), LENGTHS)
    assert np.abs(expected["Y"]).max() > 0.1 and np.abs(expected["dX"]).max() > 0.1
    assert_same(found, expected, tolerance)


@needs_compiler
@pytest.mark.parametrize("is_train", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_chunks_change_nothing_and_bound_the_projections(device, cell, is_train, monkeypatch):
    model = moved(build_for_rows(cell, "f4", 3, window=4, context=3), DeviceOps(device))
    X, lengths, projected = device.asarray(random("f4", sum(LENGTHS), 6)), np.array(LENGTHS), []

    def run():
        return encode(model, X, lengths, is_train)[0].host

    expected = run()
    real = single_layer._project_rows

    def watched(*args):
        project = real(*args)
        return lambda start, end, out: projected.append(end - start) or project(start, end, out)

    monkeypatch.setattr(single_layer, "_project_rows", watched)
    monkeypatch.setattr(gpu, "CHUNK", 8)
    np.testing.assert_allclose(run(), expected, atol=1e-6)
    assert len(projected) > 2 and max(projected) < 8 + len(LENGTHS) * 4


@needs_compiler
@pytest.mark.parametrize("cell", CELLS)
def test_a_second_gradient_goes_back_like_the_first(device, cell):
    model = moved(build_for_rows(cell, "f8", 3, window=4, context=3), DeviceOps(device))
    X, dY = (device.asarray(random("f8", sum(LENGTHS), 6)) for _ in range(2))
    _, backprop = encode(model, X, np.array(LENGTHS), True)
    first, second = (backprop(dY) for _ in range(2))
    np.testing.assert_array_equal(first.host, second.host)


@needs_compiler
@pytest.mark.parametrize("by_distinct_rows", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_prediction_gives_what_the_cpu_gives(device, cell, settings, by_distinct_rows):
    model = build_for_rows(cell, "f4", 3, **settings)
    X = random("f4", 5 if by_distinct_rows else sum(LENGTHS), 6)
    rows = np.random.default_rng(1).integers(5, size=sum(LENGTHS)) if by_distinct_rows else None

    def predict(model, X):
        if rows is None:
            return encode(model, X, np.array(LENGTHS), False)[0]
        return encode_distinct(model, project_distinct(model, X), rows, np.array(LENGTHS))

    expected, found = predict(model, X), predict(moved(model, DeviceOps(device)), device.asarray(X))
    assert_same({"Y": found}, {"Y": expected}, 1e-6)


@needs_compiler
@pytest.mark.parametrize("lengths", [[], [0, 0]])
@pytest.mark.parametrize("cell", CELLS)
def test_batches_without_tokens(device, cell, lengths):
    model = build_for_rows(cell, "f4", 3, learn_initial_state=True)
    X, dY = random("f4", 0, 6), random("f4", 0, 6)
    found = train(moved(model, DeviceOps(device)), device.asarray(X), device.asarray(dY), lengths)
    assert_same(found, train(model.copy(), X, dY, lengths), 0.0)


@needs_compiler
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_is_a_product_and_a_kernel_for_each_stage(device, cell):
    """All other operations, copies to and from the device included, do not depend on the number of steps."""
    model = moved(build_for_rows(cell, "f4", 3, learn_initial_state=True), DeviceOps(device))

    def counts(n_steps, is_train):
        X, dY = (device.asarray(random("f4", 3 * n_steps, 6)) for _ in range(2))
        device.count.clear()
        _, backprop = encode(model, X, np.array([n_steps, n_steps, n_steps]), is_train)
        if is_train:
            backprop(dY)
        assert not device.count["to host"]
        return dict(device.count)

    counts(2, True)  # Allocates the gradients.
    names = {
        True: [stage.name for stages in STAGES[cell] for stage in stages],
        False: [stage.name for stage in STAGES[cell][0]],
    }
    for is_train, expected in names.items():
        few, many = counts(2, is_train), counts(9, is_train)
        for found, n_steps in ((few, 2), (many, 9)):
            assert all(found.pop(name) == n_steps for name in expected)
            assert found.pop("dot") == n_steps * len(expected)
            found.pop("views", None)
        assert few == many


@needs_compiler
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_nothing_goes_to_the_host(device, settings):
    X, dY = (device.asarray(random("f4", sum(LENGTHS), 6)) for _ in range(2))
    model = moved(build_for_rows("lstm", "f4", 3, **settings), DeviceOps(device))
    encode(model, X, np.array(LENGTHS), True)[1](dY[:, : model.get_dim("nO")])
    encode(model, X, np.array(LENGTHS), False)
    assert device.count["dot"] and not device.count["to host"]


@needs_compiler
def test_index_arrays_go_to_the_device_once_a_batch(device):
    def copied(depth):
        model = moved(build_for_rows("lstm", "f4", 3, depth=depth), DeviceOps(device))
        X, dY = (device.asarray(random("f4", sum(LENGTHS), 6)) for _ in range(2))
        device.count.clear()
        encode(model, X, np.array(LENGTHS), True)[1](dY)
        return device.count["to device"]

    # A further layer copies its scales and nothing else.
    assert copied(3) - copied(2) == 1


def test_every_cell_has_its_stages():
    assert STAGES.keys() == cells.CELLS.keys() == CELLS.keys()
    for name, steps in STAGES.items():
        for stages in steps:
            blocks = [block for stage in stages for block in range(stage.first, stage.last)]
            assert sorted(blocks) == list(range(len(cells.CELLS[name].blocks)))
            assert all(stage.blocks == len(blocks) for stage in stages)


def test_wide_weights_keep_the_directions_apart():
    R = random("f8", 4, 2, 3, 3)
    stage = STAGES["lstm"][0][0]
    h = random("f8", 5, 2, 3)
    product = (h.reshape(5, 6) @ wide_weights(np, R, stage)).reshape(5, 2, 4, 3)
    np.testing.assert_allclose(product, np.einsum("bdh,kdhu->bdku", h, R), atol=1e-12)


@needs_compiler
@pytest.mark.parametrize("dtype, tolerance", [("f4", 1e-6), ("f8", 1e-13)])
def test_maxima_of_other_occurrences(device, dtype, tolerance):
    """With ties, whose gradient is shared."""
    of_token = np.array([0, 1, 0, 2, 1, 0])
    groups = occurrences.Groups(of_token, np.argsort(of_token, kind="stable"), np.array([0, 3, 5]))
    H, dY = random(dtype, 6, 4).round(0), random(dtype, 6, 8)
    on_host, on_device = [], []
    for found, X, d in ((on_host, H, dY), (on_device, device.asarray(H), device.asarray(dY))):
        output = occurrences.with_maxima(X, groups)
        found.extend([output.to_array(), occurrences.backprop_maxima(output, d, groups)])
    names = "Y", "dX"
    assert_same(dict(zip(names, on_device, strict=True)), dict(zip(names, on_host, strict=True)), tolerance)


@pytest.fixture(scope="module")
def cupy():
    """CuPy with a compiler that works. It needs no GPU."""
    module = pytest.importorskip("cupy", reason="CuPy is not installed (extra test-cuda)")
    from cupy.cuda.compiler import CompileException

    try:
        compiled("")
    except (RuntimeError, CompileException) as error:
        pytest.skip(f"NVRTC or CUDA's headers cannot be found (extra test-cuda): {str(error).splitlines()[0]}")
    return module


@pytest.mark.parametrize("stage", ALL_STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("c_type, dtype", [("float", "f4"), ("double", "f8")])
def test_nvrtc_compiles_the_code_that_cupy_generates(cupy, stage, c_type, dtype):
    """From the real ElementwiseKernel to PTX, which a device would load."""
    code = generated_code(cupy, stage, np.dtype(dtype))
    assert f"typedef {c_type} T;" in code and stage.operation in code
    _, entry, ptx = compiled(code).partition(f".entry {stage.name}(")
    assert entry and "st.global" in ptx
    # No constant turns float into double.
    assert (".f64" in ptx) == (c_type == "double")


def generated_code(cupy, stage, dtype):
    """The code that an ElementwiseKernel compiles when it is called with contiguous arrays, made by CuPy itself."""
    from cupy._core import _carray, _kernel, _scalar

    made = cupy.ElementwiseKernel(*stage.parameters, stage.operation, stage.name, preamble=PREAMBLE, no_return=True)
    array, indexer, scalar = 1, 2, 3  # CuPy's _ArgKind
    infos, dtypes = [], []
    for param in made.in_params + made.out_params:
        if param.raw:
            infos.append(_kernel._ArgInfo(array, cupy.ndarray, dtype, 3, True, True))
        else:
            infos.append(_kernel._ArgInfo(scalar, _scalar.CScalar, np.dtype("i4"), 0, True, True))
        dtypes.append(dtype if param.raw else None)
    infos.append(_kernel._ArgInfo(indexer, _carray.Indexer, None, 1, True, True))
    types = made._decide_params_type(tuple(dtypes[: made.nin]), tuple(dtypes[made.nin :]))[2]
    return _kernel._get_elementwise_kernel_code(
        tuple(infos), types, made.params, made.operation, made.name, made.preamble
    )


def compiled(code):
    from cupy._core import core
    from cupy.cuda import compiler

    source = "".join(f"#include <{header}>\n" for header in core._cupy_header_list) + code
    options = (*core.assemble_cupy_compiler_options(()), "-arch=compute_80", "--device-as-default-execution-space")
    program = compiler._NVRTCProgram(source, "kernel.cu", (), (), name_expressions=None, method="ptx")
    return program.compile(options, None)[0].decode()
