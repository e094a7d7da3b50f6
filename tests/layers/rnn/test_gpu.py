"""The layers and the whole component give the same on a GPU as on the CPU. Skipped without a GPU."""

from copy import deepcopy

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from support.recurrent_models import CELLS, build_for_rows, gradients, moved, train
from support.recurrent_models import assert_same as assert_same_on
from thinc.api import CupyOps, NumpyOps, fix_random_seed, get_current_ops, set_current_ops
from thinc.compat import has_cupy_gpu

from spacy_lstm_ner.layers.rnn.stack import encode, encode_distinct, project_distinct
from spacy_lstm_ner.pipeline.component import DEFAULT_MODEL

pytestmark = pytest.mark.skipif(not has_cupy_gpu, reason="there is no GPU, or CuPy (extra cuda12x) is not installed")

LENGTHS = np.array([3, 0, 70, 1, 25, 25, 8])
SETTINGS = [
    {"bi": False},
    {"depth": 2, "residual": True},
    {"learn_initial_state": True},
    {"window": 8, "context": 5, "learn_initial_state": True},
]
TOLERANCE = 1e-4
TEXTS = [
    ("Sharon flew to Miami last Friday.", [(0, 6, "per"), (15, 20, "geo")]),
    ("Nokia hired Sharon Stone in Helsinki.", [(0, 5, "org"), (12, 24, "per"), (28, 36, "geo")]),
    ("Nothing happened on that day.", []),
]


@pytest.fixture
def gpu_ops():
    """CupyOps. The operations that were current before are restored after the test."""
    before, ops = get_current_ops(), CupyOps()
    yield ops
    set_current_ops(before)


def assert_same(on_gpu, on_cpu, ops):
    assert_same_on(on_gpu, on_cpu, TOLERANCE, ops.xp.ndarray, ops.to_numpy)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("cell", CELLS)
def test_layers_agree_with_the_cpu(cell, dtype, settings, gpu_ops):
    set_current_ops(NumpyOps())
    on_cpu = build_for_rows(cell, dtype, 10, scale=0.3, **settings)
    on_gpu, xp = moved(on_cpu, gpu_ops), gpu_ops.xp
    rng = np.random.default_rng(1)
    X, dY = rng.normal(size=(LENGTHS.sum(), 20)).astype(dtype), rng.normal(size=(LENGTHS.sum(), 20)).astype(dtype)
    dY = dY[:, : on_cpu.get_dim("nO")].copy()
    assert_same(train(on_gpu, xp.asarray(X), xp.asarray(dY), LENGTHS), train(on_cpu, X, dY, LENGTHS), gpu_ops)
    expected, _ = encode(on_cpu, X, LENGTHS, False)
    assert_same({"Y": encode(on_gpu, xp.asarray(X), LENGTHS, False)[0]}, {"Y": expected}, gpu_ops)


@pytest.mark.parametrize("cell", CELLS)
def test_prediction_by_distinct_rows(cell, gpu_ops):
    set_current_ops(NumpyOps())
    on_cpu = build_for_rows(cell, "f4", 10, scale=0.3, window=8, context=5)
    rng = np.random.default_rng(1)
    X, rows = rng.normal(size=(9, 20)).astype("f4"), rng.integers(9, size=LENGTHS.sum())
    expected = encode_distinct(on_cpu, project_distinct(on_cpu, X), rows, LENGTHS)
    on_gpu = moved(on_cpu, gpu_ops)
    found = encode_distinct(on_gpu, project_distinct(on_gpu, gpu_ops.xp.asarray(X)), rows, LENGTHS)
    assert_same({"Y": found}, {"Y": expected}, gpu_ops)


def pipeline(ops, data=None, head="crf", chars=False):
    """A pipeline whose model uses these operations: a new one, or a saved one from its bytes."""
    set_current_ops(ops)
    nlp = spacy.blank("en")
    config = deepcopy(DEFAULT_MODEL)
    config["head"] = head
    if chars:
        config["tok2vec"]["embed"]["chars"] = {"@architectures": "spacy-lstm-ner.CharLSTM.v1", "width": 8}
    nlp.add_pipe("lstm_ner", config={"model": config, "spans_key": "scores"})
    if data is None:
        nlp.initialize(lambda: examples(nlp))
    else:
        nlp.from_bytes(data)
    return nlp


def examples(nlp):
    return [Example.from_dict(nlp.make_doc(text), {"entities": ents}) for text, ents in TEXTS]


def found(nlp):
    docs = list(nlp.pipe(text for text, _ in TEXTS))
    return [[(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents] for doc in docs]


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("chars", [False, True])
def test_component_agrees_with_the_cpu(head, chars, gpu_ops):
    """The gradients of a batch, the losses of some updates, and predictions; then the trained model on the CPU."""
    start = pipeline(NumpyOps(), head=head, chars=chars).to_bytes()
    seen = {}
    for name, ops in (("cpu", NumpyOps()), ("gpu", gpu_ops)):
        nlp = pipeline(ops, start, head, chars)
        model = nlp.get_pipe("lstm_ner").model
        fix_random_seed(0)
        nlp.update(examples(nlp), sgd=None)
        first = gradients(model)
        optimizer = nlp.resume_training()
        optimizer.learn_rate = 0.01
        losses = [nlp.update(examples(nlp), sgd=optimizer)["lstm_ner"] for _ in range(60)]
        seen[name] = nlp, first, losses
    assert_same(seen["gpu"][1], seen["cpu"][1], gpu_ops)
    np.testing.assert_allclose(seen["gpu"][2][:3], seen["cpu"][2][:3], rtol=1e-3)
    set_current_ops(gpu_ops)
    nlp, expected = seen["gpu"][0], [sorted(ents) for _, ents in TEXTS]
    assert found(nlp) == expected
    doc = nlp(TEXTS[0][0])
    assert all(0.5 < ent._.lstm_ner_score <= 1.0 for ent in doc.ents)
    emissions = gpu_ops.to_numpy(nlp.get_pipe("lstm_ner").model.predict([doc])[0])
    reloaded = pipeline(NumpyOps(), nlp.to_bytes(), head, chars)
    assert found(reloaded) == expected
    again = reloaded.get_pipe("lstm_ner").model.predict([reloaded.make_doc(TEXTS[0][0])])[0]
    assert isinstance(again, np.ndarray)
    np.testing.assert_allclose(again, emissions, atol=1e-3, rtol=1e-4)


def test_a_full_memory_names_the_setting(gpu_ops):
    import cupy

    nlp, pool = pipeline(gpu_ops), cupy.get_default_memory_pool()
    nlp(TEXTS[0][0])
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + (1 << 20))
    try:
        with pytest.raises(MemoryError, match=r"'lstm_ner': the memory is full.*100000 tokens.*nlp\.batch_size"):
            nlp(Doc(nlp.vocab, ["word"] * 100_000))
    finally:
        pool.set_limit(size=0)
