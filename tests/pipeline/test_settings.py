"""The settings stand once; what users see of them follows."""

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from typing import Dict, List, Optional

import numpy as np
import pytest
import spacy
from spacy.language import Language
from support.small import SMALL, entities, examples_for, learned

from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer, make_lstm_ner
from spacy_lstm_ner.pipeline.settings import (
    Settings,
    _is_of,
    check_settings,
    default_settings,
    read_settings,
    setting_meanings,
)

NAMES = [setting.name for setting in fields(Settings)]


@pytest.mark.parametrize("function", [make_lstm_ner, LSTMEntityRecognizer.__init__, LSTMEntityRecognizer])
def test_signatures_show_every_setting(function):
    parameters = inspect.signature(function).parameters
    assert [name for name in parameters if name in NAMES] == NAMES
    assert {name: parameters[name].default for name in NAMES} == default_settings()
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def test_help_tells_the_meaning_of_every_setting():
    component = spacy.blank("en").add_pipe("lstm_ner")
    shown = " ".join(inspect.getdoc(type(component).__init__).split())
    assert list(setting_meanings()) == NAMES
    for name, meaning in setting_meanings().items():
        assert f"{name}: {meaning}" in shown


def test_the_factory_and_the_component_have_the_same_defaults():
    config = spacy.Language.get_factory_meta("lstm_ner").default_config
    assert {name: config[name] for name in NAMES} == default_settings()
    component = spacy.blank("en").add_pipe("lstm_ner")
    assert component.cfg == {"labels": [], **default_settings()}


def test_components_do_not_share_containers():
    one, other = default_settings(), default_settings()
    one["label_weights"]["per"] = 2.0
    assert other["label_weights"] == {}
    given = {"per": 0.5}
    component = spacy.blank("en").add_pipe("lstm_ner", config={"label_thresholds": given})
    component.cfg["label_thresholds"]["org"] = 0.1
    assert given == {"per": 0.5}


def test_saved_settings_are_read_as_they_were():
    values = {**default_settings(), "threshold": 1, "label_weights": {"per": 2}, "spans_key": None, "overwrite": True}
    assert read_settings(json.loads(json.dumps({"labels": ["per"], **values}))) == {"labels": ["per"], **values}


@pytest.mark.parametrize("name", NAMES)
def test_saved_settings_of_another_type_are_an_error(name):
    with pytest.raises(ValueError, match=f"expected for the setting {name} a value of the type .*, found"):
        read_settings({name: object})


@pytest.mark.parametrize(
    "kind, right, wrong",
    [
        (bool, [True], [1, None]),
        (int, [3], [True, 3.0, "3"]),
        (float, [3, 0.5], [True, "3", None]),
        (Optional[str], ["a", None], [1, ["a"]]),
        (List[int], [[], [1]], [["a"], 1]),
        (Dict[str, float], [{}, {"a": 1}], [{"a": "b"}, [1]]),
    ],
)
def test_types_of_settings(kind, right, wrong):
    assert all(_is_of(value, kind) for value in right)
    assert not any(_is_of(value, kind) for value in wrong)


def test_an_unknown_setting_is_an_error():
    with pytest.raises(ValueError, match=r"'ner': unknown settings thresold; there are threshold, label_thresholds"):
        check_settings("ner", {"thresold": 0.5})


def test_the_constructor_takes_labels_too():
    nlp = spacy.blank("en")
    model = nlp.add_pipe("lstm_ner").model
    given = ["PER"]
    component = LSTMEntityRecognizer(nlp.vocab, model, labels=given, threshold=0.5)
    assert component.cfg == {"labels": ["PER"], **default_settings(), "threshold": 0.5}
    given.append("ORG")
    assert component.labels == ("PER",)


@pytest.mark.parametrize(
    "name, value",
    [("threshold", np.float32(0.01)), ("threshold", 2.0), ("note", "mine"), ("label_thresholds", {"x": 5})],
)
def test_a_changed_cfg_is_taken_as_it_is(name, value):
    """As in spaCy's own components. Only the settings of a new or a loaded component are checked."""
    nlp = learned()
    nlp.get_pipe("lstm_ner").cfg[name] = value
    found = entities(nlp("I like London and Berlin."))
    assert found == ([] if value == 2.0 else [(7, 13, "LOC"), (18, 24, "LOC")])


def saved(path, **settings):
    """A saved pipeline, whose config has these settings."""
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config={**SMALL["crf"], **settings})
    nlp.initialize(lambda: examples_for(nlp))
    nlp.to_disk(path)
    return nlp


def loaded(path, **given):
    return spacy.load(path, config={"components": {"lstm_ner": given}}).get_pipe("lstm_ner").cfg


def test_settings_given_at_load_win(tmp_path):
    saved(tmp_path, threshold=0.5, spans_key="places")
    assert loaded(tmp_path)["threshold"] == 0.5
    assert loaded(tmp_path, threshold=1.0)["threshold"] == 1.0
    # Also a value that is the default.
    cfg = loaded(tmp_path, threshold=0.0, label_thresholds={"GPE": 0.9})
    assert (cfg["threshold"], cfg["label_thresholds"], cfg["spans_key"]) == (0.0, {"GPE": 0.9}, "places")
    dotted = spacy.load(tmp_path, config={"components.lstm_ner.annotate": "spans"})
    assert dotted.get_pipe("lstm_ner").cfg["annotate"] == "spans" and not dotted("I like London").ents
    dotted.to_disk(tmp_path / "again")
    assert loaded(tmp_path / "again")["annotate"] == "spans"


def test_a_setting_changed_before_saving_is_loaded_unless_another_is_given(tmp_path):
    nlp = saved(tmp_path)
    nlp.get_pipe("lstm_ner").cfg.update(threshold=0.7, overwrite=True)
    nlp.to_disk(tmp_path)
    assert loaded(tmp_path)["threshold"] == 0.7
    cfg = loaded(tmp_path, threshold=0.9)
    assert cfg["threshold"] == 0.9 and cfg["overwrite"]


def test_a_variable_of_the_config_can_be_given_at_load(tmp_path):
    nlp = saved(tmp_path, threshold=0.25)
    nlp.to_disk(tmp_path)
    text = (tmp_path / "config.cfg").read_text("utf8").replace("threshold = 0.25", "threshold = ${vars.threshold}")
    (tmp_path / "config.cfg").write_text(text + "\n[vars]\nthreshold = 0.25\n", "utf8")
    assert loaded(tmp_path)["threshold"] == 0.25
    given = spacy.load(tmp_path, config={"vars.threshold": 0.75})
    assert given.get_pipe("lstm_ner").cfg["threshold"] == 0.75


def test_settings_given_at_load_win_in_a_component_that_was_saved_disabled(tmp_path):
    nlp = saved(tmp_path)
    nlp.disable_pipe("lstm_ner")
    nlp.to_disk(tmp_path)
    assert loaded(tmp_path, threshold=0.9)["threshold"] == 0.9


def test_saved_settings_win_in_a_pipeline_that_was_not_made_by_load(tmp_path):
    nlp = saved(tmp_path, threshold=0.5)
    by_hand = spacy.blank("en")
    by_hand.add_pipe("sentencizer")
    assert by_hand.meta["pipeline"] == ["sentencizer"]
    component = by_hand.add_pipe("lstm_ner", config=SMALL["crf"])
    by_hand.from_disk(tmp_path, exclude=["sentencizer"])
    assert component.cfg["threshold"] == 0.5
    other = spacy.load(tmp_path, config={"components": {"lstm_ner": {"threshold": 1.0}}})
    other.from_disk(tmp_path)
    assert other.get_pipe("lstm_ner").cfg["threshold"] == 0.5
    assert other.from_bytes(nlp.to_bytes()).get_pipe("lstm_ner").cfg["threshold"] == 0.5


def test_the_page_has_the_settings_of_the_code(root):
    subprocess.run([sys.executable, "scripts/write_settings_table.py", "--check"], cwd=root, check=True)


def test_a_model_for_another_component_is_an_error():
    config = {"model": Language.get_factory_meta("ner").default_config["model"]}
    with pytest.raises(ValueError, match=r"'lstm_ner': its model is 'parser_model', .*LSTMTagger"):
        spacy.blank("en").add_pipe("lstm_ner", config=config)
