"""The registered names, read from the installed metadata."""

import configparser
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import spacy
import thinc.api
from spacy.language import Language

GROUPS = {
    "spacy_factories": {"lstm_ner"},
    "spacy_architectures": {
        f"spacy-lstm-ner.{name}.v1"
        for name in [
            *("LSTMTagger", "LexemeTok2Vec", "LexemeEmbed", "WordEmbed", "LSTMEncoder", "GRUEncoder", "RNNEncoder"),
            *("CharCNN", "CharLSTM", "TokenFeatures"),
        ]
    }
    | {"spacy-lstm-ner.LexemeEmbed.v2"},
    "spacy_callbacks": {
        f"spacy-lstm-ner.{name}.v1" for name in ("CalibrateOnDev", "ComponentSettings", "InitializeFrozen")
    },
    "spacy_augmenters": {"spacy-lstm-ner.EntitySwap.v1", "spacy-lstm-ner.TextVariation.v1"},
    "spacy_scorers": {"spacy-lstm-ner.entity_scorer.v1"},
    "spacy_readers": {"spacy-lstm-ner.AnnotatedText.v1", "spacy-lstm-ner.TaughtCorpus.v1"},
    "spacy_loggers": {"spacy-lstm-ner.Logger.v1"},
    "spacy_cli": {"lstm-ner"},
    "thinc_schedules": {"spacy-lstm-ner.warmup_linear.v1"},
    "thinc_layers": {f"spacy-lstm-ner.{name}.v1" for name in ("LSTM", "GRU", "RNN")},
}


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_entry_points_are_those_of_the_installed_package_and_load(group):
    ours = [e for e in entry_points(group=group) if e.value.startswith("spacy_lstm_ner")]
    assert {e.name for e in ours} == GROUPS[group]
    for entry in ours:
        assert entry.load() is not None


def test_setup_names_what_is_installed(root):
    """After a change of setup.cfg the package has to be installed anew."""
    parser = configparser.ConfigParser()
    parser.optionxform = str
    parser.read(root / "setup.cfg", "utf8")
    for group, lines in parser["options.entry_points"].items():
        told = dict(line.split(" = ") for line in lines.split("\n") if line)
        installed = {e.name: e.value for e in entry_points(group=group) if e.value.startswith("spacy_lstm_ner")}
        assert told == installed, "run `make test`, or `pip install --no-deps --editable .`"


def test_found_through_the_registries():
    for name in GROUPS["spacy_architectures"]:
        assert spacy.registry.architectures.get(name)
    for name in GROUPS["thinc_layers"]:
        assert thinc.api.registry.layers.get(name)


def test_factory_is_found_without_importing_the_package():
    code = "import spacy; nlp = spacy.blank('en'); nlp.add_pipe('lstm_ner'); print(nlp.pipe_names)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "['lstm_ner']" in result.stdout


def test_meta_is_that_of_spacys_ner():
    spacy.blank("en").add_pipe("lstm_ner")
    ours, theirs = Language.get_factory_meta("lstm_ner"), Language.get_factory_meta("ner")
    assert ours.assigns == theirs.assigns
    assert ours.default_score_weights == theirs.default_score_weights


def test_the_package_exports_the_component_and_the_layers():
    import spacy_lstm_ner

    for name in spacy_lstm_ner.__all__:
        assert getattr(spacy_lstm_ner, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'LSTMM'"):
        _ = spacy_lstm_ner.LSTMM
