"""A start from another pipeline: its embedding and encoder under other labels."""

import json
import shutil

import numpy as np
import pytest
import spacy
from spacy.cli import app as spacy_app
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from support.commands import run_command
from support.shared_tok2vec import LISTENER
from support.shared_tok2vec import SMALL as SHARED
from support.small import CRF, blank, entities, examples_for, learned
from thinc.api import Config
from typer.testing import CliRunner

OTHER = [
    ("Toyota sells cars in Berlin", [(0, 6, "maker"), (21, 27, "city")]),
    ("Kyoto is old", [(0, 5, "city")]),
    ("nothing to see here", []),
]
PLACE = r"'lstm_ner': cannot start from '{}', in \[initialize.components.lstm_ner\] start: "
CHARS = {"@architectures": "spacy-lstm-ner.CharLSTM.v1", "width": 8}
FULL = {"include_static_vectors": True, "tune_vectors": True, "min_count": 1, "chars": CHARS}


def with_vectors(nlp, seed=0):
    nlp.vocab.reset_vectors(width=4)
    random = np.random.default_rng(seed)
    for word in ("london", "berlin", "kyoto", "canada"):
        nlp.vocab.set_vector(word, random.normal(size=4).astype("f"))
    return nlp


def build(changes=None, section="embed", name="lstm_ner", nlp=None):
    """A pipeline whose component has the small model, with changes of one section."""
    config = Config().from_str(CRF)
    config["model"]["tok2vec"][section].update(changes or {})
    nlp = nlp or spacy.blank("en")
    nlp.add_pipe("lstm_ner", name=name, config=config)
    return nlp


def train(nlp, steps=3):
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


def initialize(nlp, name="lstm_ner", data=OTHER, **settings):
    nlp.config["initialize"]["components"][name] = {k: str(v) for k, v in settings.items()}
    examples = examples_for(nlp, data)
    return nlp.initialize(lambda: examples), examples


def saved(nlp, path):
    nlp.to_disk(path)
    return path


def parameters(nlp, name="lstm_ner"):
    nodes = nlp.get_pipe(name).model.get_ref("tok2vec").walk()
    return [node.get_param(param) for node in nodes for param in node.param_names if node.has_param(param)]


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.fixture
def start(tmp_path):
    return saved(learned("crf"), tmp_path / "start")


def test_all_weights_but_those_of_the_output_come_from_the_start(start):
    nlp = blank("crf")
    initialize(nlp, start=start)
    assert same(parameters(nlp), parameters(spacy.load(start)))
    component = nlp.get_pipe("lstm_ner")
    assert component.labels == ("city", "maker")
    assert not component.model.get_ref("output_layer").get_param("W").any()
    head = component.model.get_ref("head")
    assert not any(head.get_param(name).any() for name in head.param_names)
    assert not entities(nlp("I like London and Berlin."))


def test_training_goes_on_from_there_and_the_start_is_not_needed_later(start, tmp_path):
    nlp = blank("crf")
    optimizer, examples = initialize(nlp, start=start)
    before = [array.copy() for array in parameters(nlp)]
    optimizer.learn_rate = 0.01
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    assert not same(parameters(nlp), before)
    shutil.rmtree(start)
    again = spacy.load(saved(nlp, tmp_path / "trained"))
    assert [entities(doc) for doc in again.pipe([text for text, _ in OTHER])] == [ents for _, ents in OTHER]


def test_predictions_before_the_copy_leave_nothing_in_the_cache(start):
    """Initialization predicts, which fills the cache of words."""
    nlp = blank("crf")
    initialize(nlp, start=start)
    component, docs = nlp.get_pipe("lstm_ner"), [nlp.make_doc(text) for text, _ in OTHER]
    tok2vec, theirs = component.model.get_ref("tok2vec"), spacy.load(start)
    expected = theirs.get_pipe("lstm_ner").model.get_ref("tok2vec").predict([theirs.make_doc(d.text) for d in docs])
    assert same(tok2vec.predict(docs), expected)


@pytest.mark.parametrize(
    "section, changes",
    [("embed", {"word_dropout": 0.3}), ("encode", {"window": 8, "context": 4, "dropout": 0.2})],
)
def test_settings_without_weights_are_those_of_the_new_config(start, section, changes):
    nlp = build(changes, section)
    initialize(nlp, start=start)
    assert same(parameters(nlp), parameters(spacy.load(start)))
    attrs = [node.attrs for node in nlp.get_pipe("lstm_ner").model.walk()]
    assert all(any(value in own.values() for own in attrs) for value in changes.values())


def test_occurrences_head_and_scheme_may_differ(start):
    config = Config().from_str(CRF)
    config["model"].update(head="softmax", scheme="bio")
    config["model"]["tok2vec"]["occurrences"] = 0
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config=config)
    optimizer, examples = initialize(nlp, start=start)
    assert same(parameters(nlp), parameters(spacy.load(start)))
    nlp.update(examples, sgd=optimizer)


def test_vocabularies_are_merged(tmp_path):
    theirs = train(with_vectors(build(FULL)))
    path = saved(theirs, tmp_path / "start")
    nlp = build({**FULL, "word_dropout": 0.2})
    nlp.config["initialize"]["vectors"] = str(path)
    optimizer, examples = initialize(nlp, start=path)
    theirs = spacy.load(path)
    pairs = zip(*(pipeline.get_pipe("lstm_ner").model.walk() for pipeline in (nlp, theirs)), strict=True)
    found = [(mine, node) for mine, node in pairs if "vocabulary" in node.attrs]
    assert [node.name for _, node in found] == ["lexeme_vectors", "lexeme_table"]
    for merged, node in found:
        old, words = set(node.attrs["vocabulary"].tolist()), merged.attrs["vocabulary"].tolist()
        assert old < set(words) and words == sorted(words)
        assert nlp.vocab.strings["Toyota"] in words
        for name in {"E", "D"}.intersection(node.param_names):
            rows = [0, 1, *(2 + words.index(orth) for orth in sorted(old))]
            assert np.array_equal(merged.get_param(name)[rows], node.get_param(name))
            assert len(merged.get_param(name)) == 2 + len(words)
        if "singletons" in merged.attrs:
            assert not old.intersection(merged.attrs["singletons"].tolist())
            assert nlp.vocab.strings["Toyota"] in merged.attrs["singletons"]
    nlp.update(examples, sgd=optimizer)
    again = spacy.load(saved(nlp, tmp_path / "trained"))
    assert same(parameters(again), parameters(nlp))


def test_the_model_of_textbooks(tmp_path):
    path = saved(learned("classic"), tmp_path / "start")
    nlp = blank("classic")
    optimizer, examples = initialize(nlp, start=path)
    nlp.update(examples, sgd=optimizer)
    words = nlp.get_pipe("lstm_ner").model.get_ref("tok2vec").layers[0].attrs["vocabulary"].tolist()
    assert {nlp.vocab.strings["Uber"], nlp.vocab.strings["Toyota"]} < set(words)


def test_a_second_initialization_without_start_is_new(start):
    nlp = blank("crf")
    initialize(nlp, start=start)
    initialize(nlp)
    assert not same(parameters(nlp), parameters(spacy.load(start)))


def test_one_of_several_components_is_named(tmp_path):
    theirs = build({"width": 16}, name="first")
    path = saved(train(build(name="second", nlp=theirs)), tmp_path / "start")
    nlp = blank("crf")
    initialize(nlp, start=path, start_component="second")
    assert same(parameters(nlp), parameters(spacy.load(path), "second"))
    with pytest.raises(ValueError, match=PLACE.format(path) + "it has another architecture"):
        initialize(nlp, start=path)
    with pytest.raises(ValueError, match=PLACE.format(path) + "no lstm_ner component 'third' in .* first, second"):
        initialize(nlp, start=path, start_component="third")
    with pytest.raises(ValueError, match="start_component is 'second', but start is not set"):
        initialize(nlp, start_component="second")


def test_no_such_pipeline(tmp_path):
    with pytest.raises(ValueError, match=PLACE.format("nowhere") + r"no pipeline can be loaded from there\. \[E050\]"):
        initialize(blank("crf"), start="nowhere")
    path = tmp_path / "empty"
    path.mkdir()
    with pytest.raises(ValueError, match="no pipeline can be loaded from there"):
        initialize(blank("crf"), start=path)


def test_a_pipeline_without_the_component_or_without_training(tmp_path):
    other = spacy.blank("en")
    other.add_pipe("sentencizer")
    path = saved(other, tmp_path / "other")
    with pytest.raises(ValueError, match="no lstm_ner component in the pipeline, which has sentencizer"):
        initialize(blank("crf"), start=path)
    untrained = build()
    untrained.initialize(lambda: examples_for(untrained))
    path = saved(untrained, tmp_path / "untrained")
    with pytest.raises(ValueError, match="its lstm_ner is not trained"):
        initialize(blank("crf"), start=path)


@pytest.mark.parametrize(
    "section, changes, message",
    [
        ("embed", {"width": 16}, "embed.width is 32, and here 16"),
        ("embed", {"rows": [500, 400]}, r"hashembed E = \(500, 32\), and here .*embed.rows is \[500, 500\], and here"),
        ("embed", {"attrs": ["lower", "shape"]}, r"embed.attrs is \['norm', 'shape'\], and here \['lower', 'shape'\]"),
        ("embed", {"chars": CHARS}, "embed.chars"),
        ("embed", {"min_count": 1}, "embed.min_count is 0, and here 1"),
        ("encode", {"width": 16}, "encode.width is 32, and here 16"),
        ("encode", {"depth": 2}, "Layer .* is .*, and here lstm .*encode.depth is 1, and here 2"),
        ("encode", {"residual": True}, "encode.residual is False, and here True"),
        ("encode", {"bidirectional": False}, "encode.bidirectional is True, and here False"),
        ("encode", {"@architectures": "spacy-lstm-ner.GRUEncoder.v1"}, "@architectures is spacy-lstm-ner.LSTMEnc"),
    ],
)
def test_another_architecture(start, section, changes, message):
    with pytest.raises(ValueError, match=PLACE.format(start) + f".*{message}"):
        initialize(build(changes, section), start=start)


def test_without_the_pipeline_the_layer_is_named(start):
    nlp = build({"width": 16})
    with pytest.raises(ValueError, match=r"another architecture\. Layer .* W = .*, and here .* W = .* Use the same"):
        nlp.get_pipe("lstm_ner").initialize(lambda: examples_for(nlp), start=start)


def test_other_vectors(tmp_path):
    vectors = {"include_static_vectors": True}
    path = saved(train(with_vectors(build(vectors))), tmp_path / "start")
    for other in (with_vectors(build(vectors), seed=1), build(vectors)):
        with pytest.raises(ValueError, match=PLACE.format(path) + "it has other vectors: .*set vectors in"):
            initialize(other, start=path)
    fewer = with_vectors(build(vectors))
    fewer.vocab.vectors.add("kyoto", row=0)
    with pytest.raises(ValueError, match="other vectors"):
        initialize(fewer, start=path)
    nlp = with_vectors(build(vectors))
    initialize(nlp, start=path)
    assert same(parameters(nlp), parameters(spacy.load(path)))


def test_vectors_that_the_model_does_not_use_do_not_matter(start):
    nlp = with_vectors(blank("crf"))
    with pytest.warns(UserWarning, match="no component reads them"):
        initialize(nlp, start=start)
    assert same(parameters(nlp), parameters(spacy.load(start)))


def test_a_shared_tok2vec(start, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config=SHARED)
    nlp.add_pipe("lstm_ner", config=LISTENER)
    with pytest.raises(ValueError, match=r"listens to another one, which .* source"):
        initialize(nlp, start=start)
    path = saved(train(nlp_without_start(nlp)), tmp_path / "shared")
    with pytest.raises(ValueError, match=r"its lstm_ner listens to another component.*replace_listeners"):
        initialize(blank("crf"), start=path)
    # With a copy of its own, which is a model of spaCy, it works.
    theirs = spacy.load(path)
    theirs.replace_listeners("tok2vec", "lstm_ner", ["model.tok2vec"])
    theirs.remove_pipe("tok2vec")
    path = saved(theirs, tmp_path / "copied")
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config={"model": theirs.get_pipe_config("lstm_ner")["model"]})
    initialize(nlp, start=path)
    assert same(parameters(nlp), parameters(theirs))


def nlp_without_start(nlp):
    nlp.config["initialize"]["components"].clear()
    return nlp


@pytest.fixture
def config(start, tmp_path):
    nlp = blank("crf")
    docs = DocBin(docs=[example.reference for example in examples_for(nlp, OTHER)], store_user_data=True)
    docs.to_disk(tmp_path / "data.spacy")
    config = nlp.config.copy()
    for part in ("train", "dev"):
        config["corpora"][part].update({"path": str(tmp_path / "data.spacy"), "@readers": "spacy.Corpus.v1"})
    config["training"].update(max_steps=4, eval_frequency=2)
    config["initialize"]["components"]["lstm_ner"] = {"start": str(start)}
    config.to_disk(tmp_path / "config.cfg")
    return tmp_path / "config.cfg"


def test_commands(config, start, tmp_path):
    """Training, its continuation without the start, labels, and the check of the data."""
    assert same(parameters(init_nlp(Config().from_disk(config))), parameters(spacy.load(start)))
    said, _ = run_command("debug-data", config)
    assert "start" not in said and "city" in said
    labels = CliRunner().invoke(spacy_app, ["init", "labels", str(config), str(tmp_path / "labels")])
    assert not labels.exit_code, labels.output
    assert json.loads((tmp_path / "labels" / "lstm_ner.json").read_text()) == ["city", "maker"]
    train = ("train", config, "--output", tmp_path / "ours")
    said, code = run_command(*train)
    assert not code, said
    shutil.rmtree(start)
    said, code = run_command(*train, "--resume", "--training.max_steps", 6)
    assert not code, said
    assert spacy.load(tmp_path / "ours" / "model-last").get_pipe("lstm_ner").labels == ("city", "maker")


def test_the_command_says_what_does_not_fit(config, start, tmp_path):
    shutil.rmtree(start)
    said, code = run_command("train", config, "--output", tmp_path / "ours")
    assert code == 1 and "[initialize.components.lstm_ner] start" in said and "Traceback" not in said
