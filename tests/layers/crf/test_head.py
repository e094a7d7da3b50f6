"""The head of the tagger."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from thinc.api import Linear, with_array

from spacy_lstm_ner.architectures import build_tagger, resize_output
from spacy_lstm_ner.layers.crf.head import HEADS, crf, head_transitions, log_softmax, set_head_size, tag_layers
from spacy_lstm_ner.layers.crf.likelihood import Gold, chain_loss, cross_entropy, softmax_loss
from spacy_lstm_ner.layers.crf.transitions import at_temperature
from spacy_lstm_ner.tags import MISSING, SCHEMES, Spans

RNG = np.random.default_rng(0)


def numeric(f, X, eps=1e-6):
    gradient = np.zeros_like(X)
    for at in np.ndindex(X.shape):
        old = X[at]
        X[at] = old + eps
        upper = f()
        X[at] = old - eps
        gradient[at] = (upper - f()) / (2 * eps)
        X[at] = old
    return gradient


@pytest.mark.parametrize("unseen", [[], [0], [2, 4]])
def test_log_softmax_gradient(unseen):
    model = log_softmax()
    model.attrs["unseen"] = unseen
    X, weight = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5))
    weight[:, unseen] = 0.0
    seen = [k for k in range(5) if k not in unseen]
    Y, backprop = model.begin_update(X)
    expected = numeric(lambda: (model.predict(X)[:, seen] * weight[:, seen]).sum(), X)
    np.testing.assert_allclose(backprop(weight), expected, atol=1e-8)
    assert np.isneginf(Y[:, unseen]).all()
    np.testing.assert_allclose(np.exp(Y).sum(axis=1), 1.0)


@pytest.mark.parametrize("unseen", [[], [1]])
def test_log_softmax_of_large_scores_is_finite(unseen):
    """Scores whose exponentials overflow, the largest one unseen or not."""
    model = log_softmax()
    model.attrs["unseen"] = unseen
    X = np.array([[1000.0, 5000.0, 999.0]])
    seen = [k for k in range(3) if k not in unseen]
    top = X[0, seen].max()
    expected = X[0, seen] - top - np.log(np.exp(X[0, seen] - top).sum())
    np.testing.assert_allclose(model.predict(X)[0, seen], expected)


def test_log_softmax_of_no_tokens():
    model = log_softmax()
    for model.attrs["unseen"] in ([], [1]):
        Y, backprop = model.begin_update(np.zeros((0, 3), dtype="f"))
        assert Y.shape == backprop(Y).shape == (0, 3)


def tagger(n_tags, head):
    model = build_tagger(with_array(Linear(4, 3)), n_tags, head=head)
    resize_output(model, n_tags)
    model.initialize(X=[RNG.normal(size=(2, 3)).astype("f")])
    output = model.get_ref("output_layer")
    output.set_param("W", RNG.normal(size=(n_tags, 4)).astype("f"))
    output.set_param("b", RNG.normal(size=n_tags).astype("f"))
    return model


@pytest.mark.parametrize("head", HEADS)
def test_new_tags_change_no_score(head):
    model, X = tagger(3, head), [RNG.normal(size=(n, 3)).astype("f") for n in (2, 0, 5)]
    if head == "crf":
        model.get_ref("head").set_param("leave", np.array([0.0, 1.0, 2.0], dtype="f"))
    before = model.predict(X)
    resize_output(model, 7)
    after = model.predict(X)
    assert model.get_ref("output_layer").get_dim("nO") == 7
    for old, new in zip(before, after, strict=True):
        assert new.shape == (len(old), 7)
        np.testing.assert_allclose(new[:, :3], old, atol=1e-6)
        assert np.isneginf(new[:, 3:]).all()
    params = head_transitions(model.get_ref("head"), 7).params
    assert params.leave.tolist() == ([0, 1, 2, 0, 0, 0, 0] if head == "crf" else [0] * 7)
    again = tagger(3, head)
    resize_output(again, 7)
    again.from_bytes(model.to_bytes())
    for ours, theirs in zip(after, again.predict(X), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("head", HEADS)
def test_new_tags_are_learnt_once_they_are_seen(head):
    model, X = tagger(3, head), [RNG.normal(size=(2, 3)).astype("f")]
    output = model.get_ref("output_layer")
    for name in output.param_names:
        # Random scores may make a tag likelier at both tokens together than the one token where it is right.
        output.set_param(name, np.zeros_like(output.get_param(name)))
    resize_output(model, 5)
    model.get_ref("head").attrs["unseen"] = []
    Y, backprop = model.begin_update(X)
    assert np.isfinite(Y[0]).all()
    transitions = head_transitions(model.get_ref("head"), 5)
    loss = chain_loss(Y[0], np.array([2]), Gold(np.array([3, 4])), transitions)
    backprop([loss.d_emissions])
    assert (model.get_ref("output_layer").get_grad("b")[3:] < 0).all()


@pytest.mark.parametrize("head", HEADS)
def test_the_layers_that_are_as_wide_as_there_are_tags(head):
    model = tagger(3, head)
    resize_output(model, 7)
    names = [node.name for node in tag_layers(model)]
    assert names[0] == "tagger" and len(names) == 5
    assert {model.get_ref(name).id for name in ("output_layer", "head")} <= {node.id for node in tag_layers(model)}
    assert {node.get_dim("nO") for node in tag_layers(model) if node.has_dim("nO")} == {7}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("head", HEADS)
def test_a_head_declares_the_shapes_of_its_parameters(head, scheme):
    model, n_tags = HEADS[head](scheme), SCHEMES[scheme].n_tags(3)
    set_head_size(model, n_tags)
    model.initialize()
    shapes = model.attrs["param_shapes"]({**model.attrs, "nO": n_tags}) if model.param_names else {}
    assert shapes == {name: model.get_param(name).shape for name in model.param_names}


def test_the_shapes_of_a_head_of_unknown_size():
    model = crf()
    assert model.attrs["param_shapes"]({**model.attrs, "nO": None})["inside"] == (1, 2, None)


@pytest.mark.parametrize("copy", [deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("head", HEADS)
def test_the_functions_of_a_head_are_copied_and_not_saved(head, copy):
    model = tagger(3, head)
    other, functions = copy(model), ("build", "transitions", "loss")
    for name in functions:
        assert other.get_ref("head").attrs[name] is model.get_ref("head").attrs[name]
    saved = model.to_dict()["attrs"][list(model.walk()).index(model.get_ref("head"))]
    assert set(saved) == {"scheme", "unseen", "temperature", "label_temperatures"}


def test_transitions_that_are_kept_follow_the_parameters():
    head = crf("biluo")
    set_head_size(head, 9)
    head.initialize()
    first = head_transitions(head, 9)
    assert head_transitions(head, 9) is first
    head.get_param("enter")[:] = 1.0
    changed = head_transitions(head, 9)
    assert (changed.params.enter == 1.0).all() and not first.params.enter.any()
    assert at_temperature(changed, 2.0).params.enter.max() == 0.5


@pytest.mark.parametrize("head", HEADS)
def test_a_tagger_cannot_shrink(head):
    with pytest.raises(ValueError, match="5 tags"):
        resize_output(tagger(5, head), 3)


@pytest.mark.parametrize("setting, value", [("head", "crff"), ("scheme", "BIOX")])
def test_unknown_head_or_scheme(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is '{value}', but must be one of"):
        build_tagger(with_array(Linear(4, 3)), 3, **{setting: value})


def test_cross_entropy_ignores_missing_tags():
    log_probs = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]))
    loss = cross_entropy(log_probs, np.array([1, -1, 2]))
    assert loss.value == pytest.approx(-np.log(0.25) - np.log(0.4))
    assert not loss.d_emissions[1].any()
    loss = cross_entropy(log_probs, np.array([-1, -1, -1]))
    assert loss.value == 0.0 and not loss.d_emissions.any()


def test_cross_entropy_gradient_through_log_softmax():
    X, tags = RNG.normal(size=(5, 3)), np.array([0, 2, -1, 1, -1])
    model = log_softmax()
    Y, backprop = model.begin_update(X)
    ours = backprop(cross_entropy(Y, tags).d_emissions)
    expected = numeric(lambda: cross_entropy(model.predict(X), tags).value, X)
    np.testing.assert_allclose(ours, expected, atol=1e-8)
    assert not ours[tags < 0].any()


def test_softmax_loss_learns_of_wrong_spans_from_the_chain():
    """Cross entropy where the annotation says what is the case, the chain where it says what is not."""
    lengths, tags = np.array([2, 3]), np.array([0, 1, MISSING, MISSING, MISSING])
    wrong = Spans(np.array([3]), np.array([5]), np.array([0]))
    Y, transitions = log_softmax().predict(RNG.normal(size=(5, 3))), head_transitions(log_softmax(), 3)
    options = {"weights": np.array([1.0, 2.0, 3.0]), "smoothing": 0.1}
    loss = softmax_loss(Y, lengths, Gold(tags, None, wrong), transitions, **options)
    single = cross_entropy(Y[:2], tags[:2], **options)
    chain = chain_loss(
        Y[2:], lengths[1:], Gold(tags[2:], None, Spans(wrong.starts - 2, wrong.ends - 2, wrong.labels)), transitions
    )
    assert loss.value == pytest.approx(single.value + chain.value) and loss.d_transitions is None
    np.testing.assert_allclose(loss.d_emissions, np.concatenate([single.d_emissions, chain.d_emissions]), atol=1e-12)


def test_the_unseen_learn_nothing_from_a_crf():
    model = crf()
    model.set_dim("nO", 5)
    model.initialize()
    model.attrs["unseen"] = [3, 4]
    Y, backprop = model.begin_update(np.ones((2, 5), dtype="f"))
    assert np.isneginf(Y[:, 3:]).all()
    assert backprop(np.ones((2, 5), dtype="f")).tolist() == [[1, 1, 1, 0, 0]] * 2
