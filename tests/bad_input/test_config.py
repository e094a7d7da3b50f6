"""Bad input: settings out of range, vectors that are not there, a pipeline whose plugin is not installed."""

import subprocess
import sys

import numpy as np
import pytest
import spacy
from confection import ConfigValidationError
from spacy.tokens import Doc
from spacy.training import Example
from support.bad_input import TINY, blank, entities, examples_for, own_warnings, train, trained


def tok2vec(part, **settings):
    return {"model": {"tok2vec": {part: settings}}}


def make(settings):
    return spacy.blank("en").add_pipe("lstm_ner", config=settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        (tok2vec("encode", width=0), "width is 0, but must be an even number of at least 2"),
        (tok2vec("encode", width=-2), "width is -2, but must be an even number of at least 2"),
        (tok2vec("encode", width=127), "width is 127, but must be an even number of at least 2"),
        (tok2vec("encode", width=0, bidirectional=False), "width is 0, but must be at least 1"),
        (tok2vec("encode", depth=0), "depth is 0, but must be at least 1"),
        (tok2vec("encode", dropout=1.0), "dropout is 1.0, but must be at least 0 and less than 1"),
        (tok2vec("encode", recurrent_dropout=-0.5), "recurrent_dropout is -0.5, but must be at least 0"),
        (tok2vec("encode", window=-1), "window is -1 tokens, but must be at least 0"),
        (tok2vec("encode", context=-1), "context is -1 tokens, but must be at least 0"),
        (tok2vec("embed", width=0), "LexemeEmbed: width is 0, but must be at least 1"),
        (tok2vec("embed", maxout_pieces=0), "LexemeEmbed: maxout_pieces is 0, but must be at least 1"),
        (tok2vec("embed", word_dropout=1.0), "LexemeEmbed: word_dropout is 1.0, but must be at least 0 and less than"),
        (tok2vec("embed", min_count=-1), "LexemeEmbed: min_count is -1, but must be at least 0"),
        (tok2vec("embed", rows=[1]), "LexemeEmbed: 8 attrs but 1 rows"),
        (tok2vec("embed", attrs=["nom"], rows=[1]), "LexemeEmbed: no feature 'nom' of a word; use orth, lower"),
        (
            {"model": {"tok2vec": {"occurrences": -1}}},
            "LexemeTok2Vec: occurrences is -1 tokens, but must be at least 0",
        ),
        ({"label_smoothing": 1.0}, "'lstm_ner': label_smoothing is 1.0, but must be at least 0 and less than 1"),
        ({"label_weights": {"per": 0.0}}, r"'lstm_ner': label_weights\['per'\] is 0.0, but must be greater than 0"),
    ],
)
def test_a_setting_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        make(settings)


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"nope": 1}, r"lstm_ner -> nope\s+unexpected argument"),
        ({"threshold": "high"}, r"lstm_ner -> threshold"),
        ({"sentence_boundaries": "perhaps"}, r"lstm_ner -> sentence_boundaries"),
        ({"label_thresholds": ["per"]}, r"lstm_ner -> label_thresholds"),
        ({"model": {"nope": 1}}, r"lstm_ner\.model -> nope\s+unexpected argument"),
        (tok2vec("encode", width="wide"), r"lstm_ner\.model\.tok2vec\.encode -> width"),
    ],
)
def test_a_setting_unknown_or_of_another_type(settings, path):
    with pytest.raises(ConfigValidationError) as error:
        make(settings)
    assert error.match(path)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"head": "crff"}, "LSTMTagger: head is 'crff', but must be one of 'crf', 'softmax'"),
        ({"scheme": "BIOX"}, "LSTMTagger: scheme is 'BIOX', but must be one of 'bio', 'biluo'"),
    ],
)
def test_a_name_that_is_none_of_the_allowed(settings, message):
    with pytest.raises(ValueError, match=message):
        make({"model": settings})


TAGGER_WITH_VECTORS = {
    "@architectures": "spacy.Tagger.v2",
    "tok2vec": {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": 8,
            "attrs": ["NORM"],
            "rows": [50],
            "include_static_vectors": True,
        },
        "encode": {
            "@architectures": "spacy.MaxoutWindowEncoder.v2",
            "width": 8,
            "window_size": 1,
            "maxout_pieces": 2,
            "depth": 1,
        },
    },
}


def add_vectors(nlp, width):
    for word in ("Sharon", "miami", "the"):
        nlp.vocab.set_vector(word, np.random.default_rng(0).normal(size=width).astype("float32"))


def with_vectors():
    return blank(model={"tok2vec": {"embed": {"width": 16, "include_static_vectors": True}, "encode": {"width": 16}}})


def test_vectors_that_no_component_reads(tmp_path):
    """The config of spaCy's `init config --optimize accuracy` loads vectors; our default model reads none."""
    source = spacy.blank("en")
    add_vectors(source, 12)
    source.to_disk(tmp_path)

    def said_by(nlp):
        nlp.config["initialize"]["vectors"] = str(tmp_path)
        with own_warnings() as said:
            nlp.initialize(lambda: examples_for(nlp))
        return said

    (message,) = said_by(blank())
    assert message.startswith("'lstm_ner': the pipeline has 100 vectors (0 MB), but no component reads them. To train")
    assert not said_by(with_vectors())
    beside = blank()
    beside.add_pipe("tagger", config={"model": TAGGER_WITH_VECTORS}).add_label("X")
    assert not said_by(beside)


def test_no_vectors_to_train_with():
    nlp = with_vectors()
    examples = examples_for(nlp)
    message = r"LexemeEmbed: include_static_vectors is true, but the pipeline has no vectors\. .*\[initialize\] vectors"
    with pytest.raises(ValueError, match=message):
        nlp.initialize(lambda: examples)


@pytest.mark.parametrize("width", [0, 7])
def test_other_vectors_at_load(tmp_path, width):
    nlp = with_vectors()
    add_vectors(nlp, 12)
    train(nlp, examples_for(nlp))
    nlp.to_disk(tmp_path)
    changed = spacy.load(tmp_path)
    changed.vocab.reset_vectors(width=width)
    if width:
        add_vectors(changed, width)
    message = rf"trained with vectors of 12 dimensions, but the pipeline's vectors have {width}\. Load"
    with pytest.raises(ValueError, match=message):
        changed("Sharon flew")
    with pytest.raises(ValueError, match=message):
        changed.update(examples_for(changed))


def test_sourced_from_a_pipeline_with_other_vectors():
    nlp = with_vectors()
    add_vectors(nlp, 12)
    train(nlp, examples_for(nlp))
    other = spacy.blank("en")
    add_vectors(other, 7)
    with pytest.warns(UserWarning, match=r"W113.*'lstm_ner'"):
        other.add_pipe("lstm_ner", source=nlp)
    with pytest.raises(ValueError, match="vectors of 12 dimensions, but the pipeline's vectors have 7"):
        other("Sharon flew")


# As in an environment without the plugin: without its entry points and its package.
NOT_INSTALLED = """
import sys
from importlib.metadata import distributions
import catalogue
catalogue.AVAILABLE_ENTRY_POINTS = {}
for found in distributions():
    for point in found.entry_points if found.metadata["Name"] != "spacy-lstm-ner" else ():
        catalogue.AVAILABLE_ENTRY_POINTS.setdefault(point.group, []).append(point)
sys.modules["spacy_lstm_ner"] = None
import spacy
spacy.load(sys.argv[1])
"""


def test_the_plugin_is_not_installed(tmp_path):
    trained().to_disk(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", NOT_INSTALLED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode and "[E002] Can't find factory for 'lstm_ner'" in result.stderr


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_threshold_that_is_no_probability(threshold):
    with pytest.raises(ValueError, match=rf"'lstm_ner': threshold is {threshold}, but must be a probability from 0 to"):
        make({"threshold": threshold})
    with pytest.raises(ValueError, match=rf"label_thresholds\['per'\] is {threshold}, but must be a probability"):
        make({"label_thresholds": {"per": threshold}})


def test_a_threshold_of_an_unknown_label():
    nlp = blank(label_thresholds={"per": 0.5, "pre": 0.5})
    with own_warnings() as said:
        train(nlp, examples_for(nlp))
    assert len(said) == 1
    assert "label_thresholds names labels that the component does not have: pre. Its labels are geo, per" in said[0]


def test_settings_are_checked_for_a_component_of_another_name():
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match="'people': threshold is 2"):
        nlp.add_pipe("lstm_ner", name="people", config={"threshold": 2.0})
    nlp.add_pipe("lstm_ner", name="people", config=TINY)
    words = ["Ann", "\n"]
    reference = Doc(nlp.vocab, words=words, ents=["B-per", "I-per"])
    example = Example(Doc(nlp.vocab, words=words), reference)
    with pytest.warns(UserWarning, match="'people': 1 of 1 entities start or end with white space"):
        nlp.initialize(lambda: [example])
    assert not entities(nlp("Nothing"))
