"""Training that goes on: what a model that has learned something keeps of it."""

import pickle

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from support.small import SMALL, TRAIN, entities, examples_for, learned, trained
from thinc.api import Adam, Config, fix_random_seed

from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer
from spacy_lstm_ner.pipeline.rehearsal import make_teacher, rehearsal_loss

TEXTS = [text for text, _ in TRAIN]
OLD = [entities for _, entities in TRAIN]
# Old entities are annotated as none, a new label turns up.
CONTRARY = [
    ("I like London and Berlin.", []),
    ("Who is Shaka Khan?", []),
    ("Uber blew through $1 million a week", [(18, 28, "MONEY")]),
]


@pytest.fixture(scope="module", params=list(SMALL))
def model(request):
    return request.param


def loaded(model, weight=0.0):
    nlp = learned(model)
    component = nlp.get_pipe("lstm_ner")
    component.cfg["rehearse_weight"] = weight
    return nlp, component


def go_on(nlp, annotated=CONTRARY, steps=40, rehearse=()):
    examples, optimizer = examples_for(nlp, annotated), Adam(0.01)
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer, losses={})
        if rehearse:
            nlp.rehearse(examples_for(nlp, [(text, []) for text in rehearse]), sgd=optimizer)
    return [entities(doc) for doc in nlp.pipe(TEXTS)]


@pytest.mark.filterwarnings("ignore:.*were added when update first met them")
def test_rehearsal_keeps_what_other_data_would_unlearn(model):
    forgetful = go_on(loaded(model)[0])
    assert forgetful[2] == [] and forgetful[3] == []
    nlp, component = loaded(model, weight=5.0)
    kept = go_on(nlp, steps=100)
    assert kept[2:] == OLD[2:]
    assert kept[0] == sorted([*OLD[0], (18, 28, "MONEY")])
    assert "MONEY" in component.labels


@pytest.mark.filterwarnings("ignore:.*were added when update first met them")
def test_nlp_rehearse(model):
    """spaCy's own way: updates with the new data, and between them raw texts."""
    nlp, _ = loaded(model)
    nlp.resume_training()
    kept = go_on(nlp, [CONTRARY[2]], rehearse=TEXTS[1:])
    assert kept[1:] == OLD[1:] and (18, 28, "MONEY") in kept[0]


def test_nothing_is_rehearsed_by_a_model_that_is_new():
    fix_random_seed(0)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config={**SMALL["crf"], "rehearse_weight": 5.0})
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(3):
        losses = nlp.update(examples, sgd=optimizer)
    assert component._rehearsal_model is None
    assert losses["lstm_ner"] > 0
    # nlp.resume_training copies a model that has learned nothing, too; that is no teacher.
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    nlp.initialize(lambda: examples)
    nlp.resume_training()
    before = component.model.to_bytes()
    assert component._rehearsal_model is not None
    assert nlp.rehearse(examples_for(nlp)) == {"lstm_ner": 0.0}
    assert component.model.to_bytes() == before


def test_without_a_copy_there_is_no_rehearsal(model):
    nlp, component = loaded(model)
    before = component.model.to_bytes()
    assert nlp.rehearse(examples_for(nlp)) == {"lstm_ner": 0.0}
    assert component.rehearse(examples_for(nlp), losses={"lstm_ner": 2.0}) == {"lstm_ner": 2.0}
    assert component.model.to_bytes() == before


@pytest.mark.filterwarnings("ignore:.*initialize drops the trained weights:UserWarning")
def test_the_copy_stays_out_of_files_and_can_be_pickled(model):
    nlp, component = loaded(model, weight=1.0)
    size = len(component.to_bytes())
    nlp.update(examples_for(nlp), losses={})
    teacher = component._rehearsal_model.to_bytes()
    nlp.update(examples_for(nlp), losses={})
    assert component._rehearsal_model.to_bytes() == teacher != component.model.to_bytes()
    assert len(component.to_bytes()) == pytest.approx(size, abs=100)
    copy = pickle.loads(pickle.dumps(component))
    assert copy._rehearsal_model.to_bytes() == teacher
    component.from_bytes(component.to_bytes())
    assert component._rehearsal_model is None
    examples = examples_for(nlp)
    component._rehearsal_model = copy._rehearsal_model
    component.initialize(lambda: examples, nlp=nlp)
    assert component._rehearsal_model is None


def random_step(nlp, component, scale=0.3):
    """Move the weights somewhere else."""
    rng = np.random.default_rng(0)
    for node in component.model.walk():
        for name in node.param_names:
            values = node.get_param(name)
            node.set_param(name, values + scale * rng.normal(size=values.shape).astype("float32"))


@pytest.mark.parametrize("grown", [False, True])
def test_gradient_for_the_scores_is_numeric(model, grown):
    nlp, component = loaded(model)
    teacher = make_teacher(component.model)
    if grown:
        component.add_label("MONEY")
        component.model.get_ref("head").attrs["unseen"] = []
    random_step(nlp, component)
    docs = [nlp.make_doc(text) for text in (TEXTS[2], "", "Shaka  \n Khan")]
    docs[2].ents = [Span(docs[2], 0, 1, "RULER")]
    annotated = np.zeros(sum(len(doc) for doc in docs), dtype=bool)
    annotated[2] = True
    scores = [array.astype("float64") for array in component.model.predict(docs)]

    def loss(scores):
        return rehearsal_loss(component.tagger, teacher, docs, scores, annotated)

    result = loss(scores)
    assert result.value > 0.1
    flat = np.concatenate(scores)
    sizes, rng = np.cumsum([len(doc) for doc in docs])[:-1], np.random.default_rng(1)
    for _ in range(20):
        direction = np.where(np.isfinite(flat), rng.normal(size=flat.shape), 0.0)
        upper, lower = (loss(np.split(flat + step * direction, sizes)).value for step in (1e-5, -1e-5))
        assert (result.d_emissions * direction).sum() == pytest.approx((upper - lower) / 2e-5, abs=1e-5)


def test_gold_entities_are_left_to_the_annotation(model):
    """At tokens of gold entities rehearsal asks for nothing, and nowhere for or against new labels the teacher is not
    in the way of."""
    nlp, component = loaded(model)
    teacher = make_teacher(component.model)
    component.add_label("MONEY")
    component.model.get_ref("head").attrs["unseen"] = []
    random_step(nlp, component, scale=1.0)
    doc = nlp.make_doc("I like London and Berlin.")
    scores = component.model.predict([doc])
    n_old = teacher.predict([doc])[0].shape[1]
    annotated = np.zeros(len(doc), dtype=bool)
    everywhere = rehearsal_loss(component.tagger, teacher, [doc], scores, annotated).d_emissions
    assert np.abs(everywhere[2, :n_old]).max() > 1e-6
    # London is a place to the teacher: so it is not MONEY. Of "like" it knows only that it is not one of its own.
    assert everywhere[2, n_old:].sum() > 0 and not everywhere[1, n_old:].any()
    annotated[2] = True
    left_out = rehearsal_loss(component.tagger, teacher, [doc], scores, annotated).d_emissions
    assert not left_out[2].any() and left_out[4].any()


def test_no_divergence_at_the_start(model):
    nlp, component = loaded(model)
    teacher = make_teacher(component.model)
    docs = [nlp.make_doc(text) for text in TEXTS]
    loss = rehearsal_loss(component.tagger, teacher, docs, component.model.predict(docs))
    assert loss.value == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(loss.d_emissions, 0.0, atol=1e-4)


def test_a_plain_function_serves_as_optimizer(model):
    nlp, component = loaded(model)
    nlp.resume_training()
    random_step(nlp, component)
    seen = {}

    def sgd(key, weights, gradient):
        seen[key] = gradient.copy()
        return weights, gradient

    assert component.rehearse(examples_for(nlp), sgd=sgd)["lstm_ner"] > 0
    assert any(gradient.any() for gradient in seen.values())
    with pytest.raises(TypeError, match="E978"):
        component.rehearse(examples_for(nlp)[0])


def test_beside_other_components_no_rehearsal_is_lost(model):
    """spaCy applies the gradients of one component a call, in an order of chance; ours wait for their turn."""
    nlp, component = loaded(model)
    nlp.add_pipe("tagger")
    nlp.get_pipe("tagger").add_label("X")
    nlp.get_pipe("tagger").initialize(lambda: [Example(nlp.make_doc("a"), Doc(nlp.vocab, words=["a"], tags=["X"]))])
    nlp.resume_training(sgd=Adam(0.01))
    random_step(nlp, component, scale=0.1)
    before = component.rehearse(examples_for(nlp))["lstm_ner"]
    for _ in range(60):
        nlp.rehearse(examples_for(nlp))
    after = component.rehearse(examples_for(nlp))["lstm_ner"]
    assert after < 0.2 * before


@pytest.fixture(scope="module")
def shared_tok2vec():
    """A tok2vec and a component that listens to it, trained; for each test a copy."""
    config = {
        "model": {
            "@architectures": "spacy-lstm-ner.LSTMTagger.v1",
            "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 96},
        }
    }
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    nlp.add_pipe("lstm_ner", config=config)
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    data = nlp.to_bytes()
    return lambda: spacy.blank("en").from_config(nlp.config).from_bytes(data)


@pytest.mark.filterwarnings("ignore:.*were added when update first met them")
def test_rehearsal_over_a_frozen_tok2vec(shared_tok2vec):
    nlp = shared_tok2vec()
    component = nlp.get_pipe("lstm_ner")
    component.cfg["rehearse_weight"] = 10.0
    optimizer = nlp.resume_training(sgd=Adam(0.001))
    for _ in range(30):
        examples = examples_for(nlp, CONTRARY)
        for example in examples:
            nlp.get_pipe("tok2vec")(example.predicted)
        nlp.update(examples, sgd=optimizer, exclude=["tok2vec"])
    assert [entities(doc) for doc in nlp.pipe(TEXTS[2:])] == OLD[2:]


def test_rehearsal_over_a_tok2vec_that_trains_too(shared_tok2vec):
    """The copy judges what tok2vec makes of the text now; raw texts alone cannot be rehearsed."""
    nlp = shared_tok2vec()
    component = nlp.get_pipe("lstm_ner")
    component.cfg["rehearse_weight"] = 1.0
    optimizer = nlp.resume_training(sgd=Adam(0.001))
    examples = examples_for(nlp)
    losses = [nlp.update(examples, sgd=optimizer)["lstm_ner"] for _ in range(5)]
    assert np.isfinite(losses).all()
    assert [entities(doc) for doc in nlp.pipe(TEXTS)] == OLD
    with pytest.raises(ValueError, match=r"nlp\.replace_listeners\(\.\.\., 'lstm_ner', \['model\.tok2vec'\]\)"):
        nlp.rehearse(examples)


def test_a_rate_of_dropout_out_of_range_is_an_error(model):
    nlp, component = loaded(model)
    nlp.resume_training()
    before = component.model.to_bytes()
    for drop in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=f"'lstm_ner': drop is {drop}, but must be at least 0 and less than 1"):
            component.rehearse(examples_for(nlp), drop=drop, sgd=Adam(0.1))
    assert component.model.to_bytes() == before


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_out_of_range_is_an_error(weight):
    nlp = spacy.blank("en")
    model = nlp.add_pipe("lstm_ner").model
    with pytest.raises(ValueError, match="rehearse_weight is"):
        LSTMEntityRecognizer(nlp.vocab, model, rehearse_weight=weight)


def sourced(folder, component="lstm_ner", **settings):
    """A pipeline as `spacy train` makes it from a config with `source`."""
    callback = {"@callbacks": "spacy-lstm-ner.ComponentSettings.v1", "component": component, "settings": settings}
    config = {
        "nlp": {"lang": "en", "pipeline": ["lstm_ner"], "after_pipeline_creation": callback},
        "components": {"lstm_ner": {"source": str(folder), "component": "lstm_ner"}},
    }
    return spacy.util.load_model_from_config(Config(config), auto_fill=True)


def test_a_config_turns_rehearsal_on_for_a_component_with_a_source(tmp_path):
    trained_nlp = trained("crf", steps=5)[0]
    trained_nlp.to_disk(tmp_path)
    nlp = sourced(tmp_path, rehearse_weight=2.0)
    component = nlp.get_pipe("lstm_ner")
    assert component.cfg["rehearse_weight"] == 2.0 and component.labels
    nlp.update(examples_for(nlp), sgd=Adam(0.01))
    before = trained_nlp.get_pipe("lstm_ner").model.to_bytes()
    assert component._rehearsal_model.get_ref("output_layer").to_bytes() == (
        trained_nlp.get_pipe("lstm_ner").model.get_ref("output_layer").to_bytes()
    )
    assert component.model.to_bytes() != before
    with pytest.raises(ValueError, match="rehearse_weight is -1"):
        sourced(tmp_path, rehearse_weight=-1)
    with pytest.raises(ValueError, match="unknown settings rehearsal"):
        sourced(tmp_path, rehearsal=1.0)
    with pytest.raises(ValueError, match="ComponentSettings: no lstm_ner component 'ner' in the pipeline, which has"):
        sourced(tmp_path, component="ner")
