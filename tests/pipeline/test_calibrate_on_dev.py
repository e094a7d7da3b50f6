"""The callback that calibrates a pipeline on the dev data each time training saves it."""

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Corpus
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config, registry
from support.small import learned, often_wrong

from spacy_lstm_ner.pipeline import callbacks
from spacy_lstm_ner.pipeline.calibration import annotated_chains
from spacy_lstm_ner.pipeline.settings import OUTCOME
from spacy_lstm_ner.pipeline.span_choice import fit_threshold, judge_chains

NAME = "spacy-lstm-ner.CalibrateOnDev.v1"


@pytest.fixture
def dev(tmp_path):
    DocBin(docs=often_wrong(spacy.blank("en"))).to_disk(tmp_path / "dev.spacy")
    return tmp_path / "dev.spacy"


def pipeline(dev, **settings):
    nlp = learned()
    nlp.get_pipe("lstm_ner").cfg.update({"decoding": "expected_f", **settings})
    nlp.config["paths"].update(train=str(dev), dev=str(dev))
    return nlp


def calibrated(nlp):
    return registry.resolve({"callback": {"@callbacks": NAME}})["callback"](nlp)


def state(nlp):
    component = nlp.get_pipe("lstm_ner")
    return dict(component.model.get_ref("head").attrs), dict(component.cfg)


def test_temperatures_and_threshold_are_those_of_the_dev_data(dev):
    nlp = pipeline(dev)
    assert calibrated(nlp) is nlp
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
        calibrated(nlp)
        attrs, cfg = state(nlp)
        assert attrs["temperature"] > 1.5 and cfg["threshold"] == 0.7


def test_components_that_are_frozen_or_have_none_of_the_labels_stay(dev, tmp_path):
    nlp = pipeline(dev)
    nlp.config["training"]["frozen_components"] = ["lstm_ner"]
    before = state(nlp)
    calibrated(nlp)
    assert state(nlp) == before
    nlp = pipeline(tmp_path / "other.spacy")
    doc = nlp.make_doc("nothing to see here")
    doc.set_ents([], default="outside")
    DocBin(docs=[doc] * 10).to_disk(tmp_path / "other.spacy")
    calibrated(nlp)
    assert state(nlp) == before


@Language.component("seen_by_the_callback")
def see(doc):
    doc.user_data["seen"] = True
    return doc


def test_earlier_components_run_on_copies(dev, monkeypatch):
    nlp = pipeline(dev)
    nlp.add_pipe("seen_by_the_callback", first=True)
    kept, seen = list(Corpus(dev)(nlp)), []
    monkeypatch.setattr(callbacks, "resolve_dot_names", lambda *_: [lambda nlp: kept])
    monkeypatch.setattr(callbacks, "annotated_chains", lambda tagger, examples: seen.extend(examples) or [])
    calibrated(nlp)
    assert len(seen) == 200 and all(example.predicted.user_data["seen"] for example in seen)
    assert not any("seen" in example.predicted.user_data for example in kept)


def test_few_entities_choose_no_threshold(dev, tmp_path):
    nlp = pipeline(tmp_path / "few.spacy", threshold=0.7)
    docs = [example.reference for example in Corpus(dev)(nlp)][:50]
    DocBin(docs=docs).to_disk(tmp_path / "few.spacy")
    calibrated(nlp)
    assert state(nlp)[1]["threshold"] == 0.0


def test_a_pipeline_is_not_lost_if_the_dev_data_is(tmp_path):
    nlp = pipeline(tmp_path / "none.spacy")
    before = state(nlp)
    with pytest.warns(UserWarning, match=r"CalibrateOnDev: the pipeline is saved without calibration.*none\.spacy"):
        assert calibrated(nlp) is nlp
    assert state(nlp) == before


def trained_in(folder, root, dev, **settings):
    """The pipeline that training with the default config saves last."""
    overrides = {"paths.train": str(dev), "paths.dev": str(dev), "training.max_steps": 20}
    overrides |= {"training.eval_frequency": 10, **settings}
    nlp = init_nlp(load_config(root / "configs" / "default.cfg", overrides=overrides, interpolate=False))
    folder.mkdir()
    train(nlp, folder)
    return spacy.load(folder / "model-last")


def test_training_with_the_default_config(dev, root, tmp_path):
    saved = trained_in(tmp_path / "out", root, dev)
    assert 0.0 < saved.get_pipe("lstm_ner").cfg["threshold"] < 1.0
    assert saved.get_pipe("lstm_ner").model.get_ref("head").attrs["temperature"] != 1.0
    scores = saved.evaluate(list(Corpus(dev)(saved)))
    assert saved.meta["performance"]["ents_f"] == pytest.approx(scores["ents_f"], abs=1e-6)


def test_a_threshold_of_the_config_stays(dev, root, tmp_path):
    saved = trained_in(tmp_path / "out", root, dev, **{"components.lstm_ner.threshold": 0.9})
    assert saved.get_pipe("lstm_ner").cfg["threshold"] == 0.9
