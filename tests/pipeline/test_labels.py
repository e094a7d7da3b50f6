"""Labels that come later: before training, between updates, in update, on a model that was trained long ago."""

import time
import tracemalloc
import warnings

import numpy as np
import pytest
import spacy
from spacy.tokens import Span
from support.small import SMALL, TRAIN, blank, entities, examples_for, learned
from thinc.api import Adam, fix_random_seed

from spacy_lstm_ner.layers.crf.transitions import Transitions

TEXTS = [text for text, _ in TRAIN]
LATER = [*TRAIN, ("Foo is bar", [(0, 3, "NEW")])]


@pytest.fixture(scope="module", params=list(SMALL))
def model(request):
    return request.param


def scores_of(nlp, texts=TEXTS):
    return [
        [(*bounds, ent._.lstm_ner_score) for bounds, ent in zip(entities(doc), doc.ents, strict=True)]
        for doc in nlp.pipe(texts)
    ]


def test_labels_added_before_training_keep_their_order_and_wait_for_nothing():
    fix_random_seed(0)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config=SMALL["crf"])
    component.add_label("PRODUCT")
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    assert component.labels == ("PRODUCT", "GPE", "LOC", "ORG", "PERSON")
    optimizer.learn_rate = 0.01
    for _ in range(80):
        nlp.update(examples, sgd=optimizer)
    assert [entities(doc) for doc in nlp.pipe(TEXTS)] == [ents for _, ents in TRAIN]


def test_predictions_and_scores_stay_as_they_were_until_the_label_is_trained(model):
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    before = scores_of(nlp)
    for label in ("NEW", "NEWER"):
        component.add_label(label)
    assert scores_of(nlp) == [[(*ent[:3], pytest.approx(ent[3], abs=1e-5)) for ent in doc] for doc in before]
    doc = nlp.make_doc(TEXTS[2])
    assert all(label not in ("NEW", "NEWER") for ents, _ in component.n_best([doc], 20)[0] for _, _, label in ents)
    # Training on the old labels alone leaves the new ones out still.
    optimizer = Adam(0.001)
    for _ in range(3):
        nlp.update(examples_for(nlp), sgd=optimizer)
    assert [entities(doc) for doc in nlp.pipe(TEXTS)] == [ents for _, ents in TRAIN]
    assert len(component.model.get_ref("head").attrs["unseen"]) == component.model.get_ref("output_layer").get_dim(
        "nO"
    ) - before_size(component)
    nlp.update(examples_for(nlp, LATER), sgd=optimizer)
    head = component.model.get_ref("head")
    per_label = (component.model.get_ref("output_layer").get_dim("nO") - 1) // len(component.labels)
    assert len(head.attrs["unseen"]) == per_label, "only NEWER waits"


def before_size(component):
    per_label = (component.model.get_ref("output_layer").get_dim("nO") - 1) // len(component.labels)
    return 1 + per_label * (len(component.labels) - 2)


def test_one_optimizer_goes_on_when_labels_come(model):
    """Moments and averages have the new shapes, and the averaged weights know the new label."""
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    optimizer = Adam(0.01, use_averages=True)
    for _ in range(5):
        nlp.update(examples_for(nlp), sgd=optimizer)
    component.add_label("NEW")
    for _ in range(2):
        # The averages do not know the larger layers yet.
        with nlp.use_params(optimizer.averages):
            assert [entities(doc) for doc in nlp.pipe(TEXTS)] == [ents for _, ents in TRAIN]
    for _ in range(60):
        nlp.update(examples_for(nlp, LATER), sgd=optimizer)
    for name in ("output_layer", "head"):
        node = component.model.get_ref(name)
        for param in node.param_names:
            assert optimizer.averages[node.id, param].shape == node.get_param(param).shape
            assert optimizer.mom1[node.id, param].size == node.get_param(param).size
    last = component.model.get_ref("output_layer").get_param("W").copy()
    with nlp.use_params(optimizer.averages):
        assert not np.array_equal(component.model.get_ref("output_layer").get_param("W"), last)
        averaged = nlp.to_bytes()
        found = [entities(doc) for doc in nlp.pipe([text for text, _ in LATER])]
    assert found == [ents for _, ents in LATER]
    np.testing.assert_array_equal(component.model.get_ref("output_layer").get_param("W"), last)
    again = blank(model).from_bytes(averaged)
    assert [entities(doc) for doc in again.pipe([text for text, _ in LATER])] == found


def test_a_label_of_the_first_batches_after_a_label_of_update(model):
    """Labels that come one batch after the other, each with one warning; nothing of the others is lost."""
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    optimizer, n_old = Adam(0.01), len(component.labels)
    added = [("Foo is bar", [(0, 3, "NEW")]), ("Qux was baz", [(0, 3, "NEWER")])]
    for k, example in enumerate(added):
        with pytest.warns(
            UserWarning, match=f"labels {example[1][0][2]} were added when update first met them"
        ) as caught:
            nlp.update(examples_for(nlp, [*TRAIN, example]), sgd=optimizer)
        assert len(caught) == 1 and len(component.labels) == n_old + k + 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60):
            nlp.update(examples_for(nlp, [*TRAIN, *added]), sgd=optimizer)
    for text, ents in [*TRAIN, *added]:
        assert entities(nlp(text)) == ents


def test_prediction_never_changes_the_model(model):
    """Not even where documents come with entities with labels that it does not have."""
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    before, cfg = component.model.to_bytes(), dict(component.cfg)
    doc = nlp.make_doc(TEXTS[2])
    doc.ents = [Span(doc, 2, 3, label="UNHEARD_OF")]
    nlp.get_pipe("lstm_ner")(doc)
    nlp(TEXTS[0])
    component.n_best([doc])
    component.uncertainty([doc])
    nlp.evaluate(examples_for(nlp, LATER))
    assert doc.ents[0].label_ == "UNHEARD_OF"
    assert component.model.to_bytes() == before and component.cfg == cfg and "NEW" not in component.labels


def test_thresholds_and_weights_of_labels_that_come_later(model):
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    component.cfg["label_thresholds"] = {"NEW": 1.0}
    component.cfg["label_weights"] = {"NEW": 2.0}
    assert [entities(doc) for doc in nlp.pipe(TEXTS)] == [ents for _, ents in TRAIN]
    component.add_label("NEW")
    optimizer = Adam(0.01)
    for _ in range(40):
        nlp.update(examples_for(nlp, LATER), sgd=optimizer)
    assert entities(nlp("Foo is bar")) == []
    component.cfg["label_thresholds"] = {"NEW": 0.5}
    assert entities(nlp("Foo is bar")) == [(0, 3, "NEW")]


def test_temperatures_of_labels_stay_theirs_when_labels_come(model):
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    component.model.get_ref("head").attrs["label_temperatures"] = [2.0] * len(component.labels)
    before = scores_of(nlp)
    component.add_label("NEW")
    assert component.model.get_ref("head").attrs["label_temperatures"] == [2.0] * (len(component.labels) - 1)
    assert scores_of(nlp) == [[(*ent[:3], pytest.approx(ent[3], abs=1e-5)) for ent in doc] for doc in before]
    optimizer = Adam(0.01)
    for _ in range(40):
        nlp.update(examples_for(nlp, LATER), sgd=optimizer)
    ((start, end, label, score),) = scores_of(nlp, ["Foo is bar"])[0]
    component.model.get_ref("head").attrs["label_temperatures"] = []
    # The new label has no temperature of its own: its score is that of the chain.
    assert (start, end, label) == (0, 3, "NEW") and scores_of(nlp, ["Foo is bar"]) == [
        [(0, 3, "NEW", pytest.approx(score, abs=1e-6))]
    ]


def cost_of_a_step(n_labels, repeats):
    """The most memory that one step takes, and its shortest time."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config=SMALL["crf"])
    for k in range(n_labels):
        component.add_label(f"L{k}")
        examples = examples_for(nlp, [("Uber blew through a week", [(0, 4, f"L{n_labels - 1}")])] * 8)
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer)
    tracemalloc.start()
    nlp.update(examples, sgd=optimizer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        nlp.update(examples, sgd=optimizer)
        times.append(time.perf_counter() - start)
    return peak, min(times)


def test_a_step_costs_in_proportion_to_the_labels(monkeypatch):
    """Four times the labels: four times the memory and time, where a transition matrix takes sixteen times both."""

    def matrix(self):
        raise AssertionError("the matrix of all transitions was built")

    monkeypatch.setattr(Transitions, "matrix", property(matrix))
    (memory, seconds), (more_memory, more_seconds) = cost_of_a_step(300, 5), cost_of_a_step(1200, 5)
    assert more_memory < 5 * memory
    assert more_seconds < 8 * seconds
