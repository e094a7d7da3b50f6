"""Bad input: calls with the wrong thing, at the wrong time, or with a rate that breaks training."""

import multiprocessing
import pickle
import warnings

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from support.bad_input import blank, examples_for, own_warnings, train, trained
from thinc.api import CupyOps, NumpyOps


@pytest.fixture(scope="module")
def nlp():
    return trained()


@pytest.mark.parametrize(
    "bad, code",
    [
        ("list", "E930"),
        ("None", "E930"),
        ("gives None", "E930"),
        ("gives []", "E930"),
        ("gives one Example", "E978"),
        ("gives docs", "E978"),
    ],
)
def test_get_examples_of_another_kind(bad, code):
    nlp = blank()
    examples = examples_for(nlp)
    values = {
        "list": examples,
        "None": None,
        "gives None": lambda: None,
        "gives []": lambda: [],
        "gives one Example": lambda: examples[0],
        "gives docs": lambda: [example.reference for example in examples],
    }
    with pytest.raises(TypeError, match=rf"{code}.*LSTMEntityRecognizer\.initialize"):
        nlp.get_pipe("lstm_ner").initialize(values[bad], nlp=nlp)
    if bad != "None":
        # Language.initialize takes None for no examples.
        with pytest.raises(TypeError, match=code):
            nlp.initialize(values[bad])


@pytest.mark.parametrize("bad", ["one Example", "tuples", "dicts", "strings", "None", "number"])
def test_update_with_no_list_of_examples(nlp, bad):
    values = {"tuples": [("a", {})], "dicts": [{"text": "a"}], "strings": ("a", "b"), "None": None, "number": 5}
    value = examples_for(nlp)[0] if bad == "one Example" else values[bad]
    with pytest.raises(TypeError, match=r"E978.*LSTMEntityRecognizer\.update"):
        nlp.get_pipe("lstm_ner").update(value)
    with pytest.raises(TypeError, match=r"E978.*Language\.update"):
        nlp.update(value)


def test_update_as_in_spacy_2(nlp):
    with pytest.raises(ValueError, match="E989"):
        nlp.update(["a"], [{"entities": []}])


def test_a_misspelt_key(nlp):
    with pytest.raises(KeyError, match=r"E983.*entites"):
        Example.from_dict(nlp.make_doc("a"), {"entites": []})


@pytest.mark.parametrize("bad", [123, None, ["a"]])
def test_no_text(nlp, bad):
    with pytest.raises(ValueError, match="E1041"):
        nlp(bad)


def test_used_before_it_is_initialized():
    nlp = blank()
    message = r"'lstm_ner' is not initialized: call nlp\.initialize\(\) or load a trained pipeline"
    component, doc = nlp.get_pipe("lstm_ner"), nlp.make_doc("London")
    for use in (
        lambda: nlp("London"),
        lambda: list(nlp.pipe(["London"])),
        lambda: nlp.update(examples_for(nlp)),
        lambda: component.n_best([doc]),
        lambda: component.uncertainty([doc]),
    ):
        with pytest.raises(ValueError, match=message):
            use()


def test_initialize_says_that_it_drops_loaded_weights(nlp):
    untrained = blank()
    untrained.initialize()
    with own_warnings() as said:
        for trained_or_not in (nlp, untrained):
            loaded = blank().from_bytes(trained_or_not.to_bytes())
            train(loaded, examples_for(loaded))
            train(loaded, examples_for(loaded))
    assert len(said) == 1 and "initialize drops the trained weights that were loaded" in said[0]
    assert "nlp.resume_training()" in said[0]


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_the_loss_is_not_a_number(head):
    nlp = trained(steps=3, model={"head": head})
    component = nlp.get_pipe("lstm_ner")
    bias = component.model.get_ref("output_layer").get_param("b")
    component.model.get_ref("output_layer").set_param("b", np.full_like(bias, np.nan))
    with pytest.raises(ValueError, match=r"'lstm_ner': the loss is nan, in update 4 .*lower the learning rate.*E910"):
        nlp.update(examples_for(nlp))


def test_too_high_a_learning_rate():
    nlp = blank()
    examples = examples_for(nlp)
    optimizer = train(nlp, examples)
    optimizer.learn_rate, optimizer.grad_clip = 1e30, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(ValueError, match=r"'lstm_ner': the loss is .*lower the learning rate, or set grad_clip"):
            for _ in range(20):
                nlp.update(examples, sgd=optimizer)


@pytest.mark.parametrize("drop", [1.0, -0.1, float("nan")])
def test_a_rate_of_dropout_out_of_range(nlp, drop):
    with pytest.raises(ValueError, match=rf"'lstm_ner': drop is {drop}, but must be at least 0 and less than 1"):
        nlp.update(examples_for(nlp), drop=drop)


class GpuLike(NumpyOps, CupyOps):
    """A CupyOps for spaCy's check, that computes with NumPy."""


def test_processes_with_a_model_on_the_gpu():
    nlp = trained()
    nlp.get_pipe("lstm_ner").model.ops = GpuLike()
    with pytest.warns(UserWarning, match="W114"):
        docs = list(nlp.pipe(["Sharon flew", "Nothing"], n_process=2))
    assert [doc.text for doc in docs] == ["Sharon flew", "Nothing"]


def test_a_scorer_that_cannot_go_to_another_process():
    nlp = trained()
    component = nlp.get_pipe("lstm_ner")
    component.scorer = lambda examples, **kwargs: {}
    process = multiprocessing.get_context("spawn").Process(target=print, args=(component,))
    with pytest.raises(pickle.PicklingError, match=r"'lstm_ner': its scorer '.*<lambda>' cannot be sent to another"):
        process.start()
    assert nlp.evaluate(examples_for(nlp))["speed"] > 0


LISTENER = {
    "model": {
        "@architectures": "spacy-lstm-ner.LSTMTagger.v1",
        "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 96},
    }
}


def with_listener(*, tok2vec=None, **changes):
    """A pipeline whose recognizer listens. tok2vec: where that stands, "before", "after", or nowhere."""
    nlp = spacy.blank("en")
    config = {"model": {**LISTENER["model"], "tok2vec": {**LISTENER["model"]["tok2vec"], **changes}}}
    nlp.add_pipe("lstm_ner", config=config)
    if tok2vec:
        nlp.add_pipe("tok2vec", before="lstm_ner" if tok2vec == "before" else None)
    return nlp


def test_a_listener_of_another_width():
    nlp = with_listener(tok2vec="before", width=64)
    examples = examples_for(nlp)
    message = r"'lstm_ner': its Tok2VecListener expects vectors of width 64, but 'tok2vec' gives vectors of width 96\."
    with pytest.raises(ValueError, match=message):
        nlp.initialize(lambda: examples)


@pytest.mark.parametrize(
    "where, changes, wanted",
    [
        (None, {}, "a tok2vec component"),
        ("after", {}, "a tok2vec component"),
        ("before", {"upstream": "other"}, "'other'"),
    ],
)
def test_a_listener_that_hears_nobody(where, changes, wanted):
    nlp = with_listener(tok2vec=where, **changes)
    examples = examples_for(nlp)
    hint = "must be in the pipeline, enabled, and before 'lstm_ner' itself"
    with own_warnings() as said:
        optimizer = nlp.initialize(lambda: examples)
    assert len(said) == 1 and hint in said[0] and wanted in said[0]
    component = nlp.get_pipe("lstm_ner")
    with pytest.raises(ValueError, match=rf"E203.*'lstm_ner' listens to .*{wanted}.*{hint}"):
        component.update(examples, sgd=optimizer)
    with own_warnings() as said:
        for _ in range(2):
            component(Doc(nlp.vocab, words=["a"]))
    assert len(said) == 1 and "docs do not have the vectors that the model needs" in said[0]


def test_a_frozen_tok2vec_that_does_not_annotate():
    nlp = with_listener(tok2vec="before")
    examples = examples_for(nlp)
    with own_warnings() as said:
        optimizer = nlp.initialize(lambda: examples)
    message = r"E203.*make sure to include it in 'annotating components'.*it must be an annotating component"
    with pytest.raises(ValueError, match=message):
        nlp.update(examples, sgd=optimizer, exclude=["tok2vec"])
    assert nlp.update(examples, sgd=optimizer, exclude=["tok2vec"], annotates=["tok2vec"])["lstm_ner"] > 0
    with own_warnings() as also_said:
        list(nlp.pipe(["", "a b"]))
    assert not said and not also_said


def test_a_frozen_tok2vec_is_found_though_it_is_disabled():
    nlp = with_listener(tok2vec="before")
    examples = examples_for(nlp)
    nlp.initialize(lambda: examples)
    with own_warnings() as said, nlp.select_pipes(disable=["tok2vec"]):
        nlp.initialize(lambda: examples)
    assert not said


def test_full_memory_names_the_batch_and_the_setting(nlp, monkeypatch):
    def run_forward(*args):
        return np.empty(2**60, dtype="f4")

    monkeypatch.setattr("spacy_lstm_ner.layers.rnn.cpu.run_forward", run_forward)
    docs = [nlp.make_doc("one two three"), nlp.make_doc("four")]
    size = r"'lstm_ner': the memory is full at a batch of 2 docs with 4 tokens, the longest with 3\."
    with pytest.raises(MemoryError, match=rf"{size}.*nlp\.batch_size.*Unable to allocate"):
        nlp.get_pipe("lstm_ner").predict(docs)
    examples = [Example.from_dict(doc, {"entities": []}) for doc in docs]
    with pytest.raises(MemoryError, match=rf"{size}.*\[training\.batcher\] size.*Unable to allocate"):
        nlp.get_pipe("lstm_ner").update(examples)
