"""The callback that calibrates a pipeline on the dev data each time training saves it."""

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Corpus
from spacy.training.loop import train
from spacy.util import load_config, registry
from support.small import TRAIN, learned

from spacy_lstm_ner.pipeline import callbacks
from spacy_lstm_ner.pipeline.calibration import annotated_chains
from spacy_lstm_ner.pipeline.settings import OUTCOME
from spacy_lstm_ner.pipeline.span_choice import fit_threshold, judge_chains

NAME = "spacy-lstm-ner.CalibrateOnDev.v1"
CALLBACK = registry.resolve({"c": {"@callbacks": NAME}})["c"]


@pytest.fixture
def dev(tmp_path):
    """Data that says that the model of `learned` is often wrong, and finds too much."""
    nlp, docs, rng = spacy.blank("en"), [], np.random.default_rng(0)
    for _ in range(40):
        for text, ents in TRAIN:
            doc = nlp.make_doc(text)
            wanted = [doc.char_span(start, end, label) for start, end, label in ents]
            doc.set_ents(wanted if rng.random() < 0.5 else wanted[:-1])
            docs.append(doc)
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    return tmp_path / "dev.spacy"


def pipeline(dev, **settings):
    nlp = learned()
    nlp.get_pipe("lstm_ner").cfg.update({"decoding": "expected_f", **settings})
    nlp.config["paths"].update(train=str(dev), dev=str(dev))
    return nlp


def state(nlp):
    component = nlp.get_pipe("lstm_ner")
    return dict(component.model.get_ref("head").attrs), dict(component.cfg)


def test_temperatures_and_threshold_are_those_of_the_dev_data(dev):
    nlp = pipeline(dev)
    assert CALLBACK(nlp) is nlp
    component = nlp.get_pipe("lstm_ner")
    assert component.model.get_ref("head").attrs["temperature"] > 1.5
    examples = list(Corpus(dev)(nlp))
    expected = fit_threshold(judge_chains(component.tagger, annotated_chains(component.tagger, examples)))
    assert component.cfg["threshold"] == expected != 0.4
    assert component.cfg["decoding"] == "expected_f"


def test_the_threshold_is_only_for_expected_f_and_not_for_promises(dev):
    outcome = dict.fromkeys(OUTCOME, 1.0)
    for settings in ({"decoding": "best_sequence"}, {"guarantees": {"precision >= 0.9 at 0.9": outcome}}):
        nlp = pipeline(dev, threshold=0.7, **settings)
        CALLBACK(nlp)
        attrs, cfg = state(nlp)
        assert attrs["temperature"] > 1.5 and cfg["threshold"] == 0.7


def test_components_that_are_frozen_or_have_none_of_the_labels_stay(dev, tmp_path):
    nlp = pipeline(dev)
    nlp.config["training"]["frozen_components"] = ["lstm_ner"]
    before = state(nlp)
    CALLBACK(nlp)
    assert state(nlp) == before
    nlp = pipeline(tmp_path / "other.spacy")
    doc = nlp.make_doc("nothing to see here")
    doc.set_ents([], default="outside")
    DocBin(docs=[doc] * 10).to_disk(tmp_path / "other.spacy")
    CALLBACK(nlp)
    assert state(nlp) == before


@Language.component("seen_by_the_callback")
def see(doc):
    doc.user_data["seen"] = True
    return doc


def test_earlier_components_run_even_those_that_training_disables_to_save(dev, monkeypatch):
    nlp = pipeline(dev)
    nlp.add_pipe("seen_by_the_callback", first=True)
    nlp.config["training"]["frozen_components"] = ["seen_by_the_callback"]
    seen = []
    monkeypatch.setattr(callbacks, "annotated_chains", lambda tagger, examples: seen.extend(examples) or [])
    with nlp.select_pipes(disable=["seen_by_the_callback"]):
        CALLBACK(nlp)
    assert len(seen) == 200 and all(example.predicted.user_data["seen"] for example in seen)


def test_training_with_the_default_config(dev, root, tmp_path):
    """The saved pipeline has a threshold, and finds what the log says."""
    paths = {"paths.train": str(dev), "paths.dev": str(dev), "training.max_steps": 20, "training.eval_frequency": 10}
    config = load_config(root / "configs" / "default.cfg", overrides=paths, interpolate=False)
    nlp = spacy.training.initialize.init_nlp(config)
    (tmp_path / "out").mkdir()
    train(nlp, tmp_path / "out")
    saved = spacy.load(tmp_path / "out" / "model-last")
    assert 0.0 < saved.get_pipe("lstm_ner").cfg["threshold"] < 1.0
    assert saved.get_pipe("lstm_ner").model.get_ref("head").attrs["temperature"] != 1.0
