"""The component in a pipeline that is taken apart, put together anew, sent to processes and used in threads."""

import copy
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from support.shared_tok2vec import GOLD, TEXTS, parameters, same, shared
from support.small import entities, examples_for, learned, trained

from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer


@pytest.fixture(scope="module")
def finished():
    """A trained pipeline that the tests leave as it is."""
    return learned()


@pytest.fixture
def nlp(finished):
    return pickle.loads(pickle.dumps(finished))


def found(nlp, texts=TEXTS, **options):
    return [entities(doc) for doc in nlp.pipe(texts, **options)]


def test_the_fixture_has_learned_its_examples(finished):
    assert found(finished) == GOLD


def test_sourced_with_another_name(nlp):
    other = spacy.blank("en")
    component = other.add_pipe("lstm_ner", name="mine", source=nlp)
    assert component.name == "mine" and other.pipe_names == ["mine"]
    assert found(other) == GOLD
    assert other.config["components"]["mine"]["factory"] == "lstm_ner"
    assert other.update(examples_for(other), losses={}).keys() == {"mine"}


def test_sourced_from_a_config_and_initialized_with_the_rest(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    config = {
        "nlp": {"lang": "en", "pipeline": ["sentencizer", "mine", "tagger"]},
        "components": {
            "sentencizer": {"factory": "sentencizer"},
            "mine": {"source": str(tmp_path), "component": "lstm_ner"},
            "tagger": {"factory": "tagger"},
        },
    }
    other = spacy.util.load_model_from_config(config, auto_fill=True)
    before = parameters(other.get_pipe("mine"))
    examples = examples_for(other)
    for example in examples:
        for token in example.reference:
            token.tag_ = "A"
    with other.select_pipes(disable=["mine"]):
        other.initialize(lambda: examples)
    assert same(before, parameters(other.get_pipe("mine"))) and found(other) == GOLD


def test_listener_sourced_under_another_name_and_replaced():
    nlp = shared("tagger", "lstm_ner")
    examples = examples_for(nlp)
    for example in examples:
        for token in example.reference:
            token.tag_ = "A" if token.i % 2 else "B"
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    assert found(nlp) == GOLD
    other = spacy.blank("en")
    other.add_pipe("tok2vec", source=nlp)
    other.add_pipe("lstm_ner", name="mine", source=nlp)
    assert other.get_pipe("tok2vec").listening_components == ["mine"]
    assert found(other) == GOLD
    other.replace_listeners("tok2vec", "mine", ["model.tok2vec"])
    assert other.get_pipe("tok2vec").listening_components == []
    assert other.config["components"]["mine"]["model"]["tok2vec"] == other.config["components"]["tok2vec"]["model"]
    assert found(other) == GOLD
    other.remove_pipe("tok2vec")
    assert found(other) == GOLD
    assert other.get_pipe("mine").model.get_ref("tok2vec").name != "tok2vec-listener"
    reloaded = spacy.blank("en").from_config(other.config).from_bytes(other.to_bytes())
    assert found(reloaded) == GOLD


def test_renamed_disabled_replaced_removed(nlp):
    nlp.rename_pipe("lstm_ner", "entities")
    assert found(nlp) == GOLD
    with nlp.select_pipes(disable=["entities"]):
        assert not any(found(nlp))
    with nlp.select_pipes(enable=["entities"]):
        assert found(nlp) == GOLD
    nlp.disable_pipe("entities")
    nlp.enable_pipe("entities")
    assert found(nlp) == GOLD
    fresh = nlp.replace_pipe("entities", "lstm_ner")
    assert fresh.labels == () and isinstance(nlp.get_pipe("entities"), LSTMEntityRecognizer)
    nlp.remove_pipe("entities")
    assert nlp.pipe_names == [] and not nlp.config["components"]


def test_loaded_disabled_or_excluded(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    disabled = spacy.load(tmp_path, disable=["lstm_ner"])
    assert not any(found(disabled))
    disabled.enable_pipe("lstm_ner")
    assert found(disabled) == GOLD
    assert spacy.load(tmp_path, exclude=["lstm_ner"]).component_names == []


def test_analysis_has_what_is_assigned_and_no_problems(nlp):
    nlp.add_pipe("merge_entities")
    analysis = nlp.analyze_pipes()
    assert analysis["summary"]["lstm_ner"]["assigns"] == ["doc.ents", "token.ent_iob", "token.ent_type"]
    assert analysis["summary"]["lstm_ner"]["requires"] == []
    assert set(analysis["summary"]["lstm_ner"]["scores"]) == {"ents_f", "ents_p", "ents_r", "ents_per_type"}
    assert not any(analysis["problems"].values())
    assert nlp.pipe_labels["lstm_ner"] == list(nlp.get_pipe("lstm_ner").labels)


def test_pickled_before_and_after_use():
    fresh = spacy.blank("en")
    fresh.add_pipe("lstm_ner")
    copied = pickle.loads(pickle.dumps(fresh))
    examples = examples_for(copied)
    optimizer = copied.initialize(lambda: examples)
    copied.update(examples, sgd=optimizer)
    again = pickle.loads(pickle.dumps(copied))
    component = pickle.loads(pickle.dumps(copied.get_pipe("lstm_ner")))
    for other in (again.get_pipe("lstm_ner"), component):
        assert same(parameters(copied.get_pipe("lstm_ner")), parameters(other))
        assert other.labels == copied.get_pipe("lstm_ner").labels
    again.update(examples_for(again), sgd=again.resume_training())


def test_deep_copies_share_nothing(nlp):
    component = nlp.get_pipe("lstm_ner")
    other = copy.deepcopy(component)
    before = parameters(component)
    optimizer = nlp.resume_training()
    other.update(examples_for(nlp), sgd=optimizer)
    other.add_label("NEW")
    assert same(before, parameters(component)) and "NEW" not in component.labels
    assert found(nlp) == GOLD


PROCESSES = """
import multiprocessing, sys, spacy
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    nlp = spacy.load(sys.argv[1])
    texts = ["I like London and Berlin.", "nothing to see here", "", "Who is Shaka Khan?"] * 4
    alone = list(nlp.pipe(texts))
    together = list(nlp.pipe(texts, n_process=2, batch_size=3))
    for one, other in zip(alone, together, strict=True):
        assert [(e.start, e.end, e.label_) for e in one.ents] == [(e.start, e.end, e.label_) for e in other.ents]
        for ours, theirs in zip(one.ents, other.ents, strict=True):
            assert abs(ours._.lstm_ner_score - theirs._.lstm_ner_score) < 1e-5
    print(sum(len(doc.ents) for doc in together))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_several_processes_however_they_are_started(method, nlp, tmp_path, run_env):
    nlp.to_disk(tmp_path / "model")
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    command = [sys.executable, script, tmp_path / "model", method]
    result = subprocess.run(command, env=run_env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.strip() == "12"


def test_memory_zones_leave_nothing_behind(nlp):
    expected = found(nlp, [*TEXTS, "Zanzibar and London"])
    for k in range(3):
        word = f"Zq{k}xx"
        with nlp.memory_zone():
            docs = list(nlp.pipe([f"I like {word} and Berlin.", *TEXTS]))
            assert entities(docs[0])[-1][2] == "LOC"
            assert [entities(doc) for doc in docs[1:]] == GOLD
            del docs
        assert word not in nlp.vocab.strings
    assert found(nlp, [*TEXTS, "Zanzibar and London"]) == expected


def test_threads_share_a_component(nlp):
    texts = TEXTS * 10
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: found(nlp, texts), range(8)))
    assert all(result == GOLD * 10 for result in results)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_any_batch_size_gives_what_single_docs_give(nlp, batch_size):
    texts = ["", "\n", *TEXTS, " ", "I like London \n and Berlin. " * 30, "Shaka"]
    piped = list(nlp.pipe(iter(texts), batch_size=batch_size))
    assert [doc.text for doc in piped] == texts
    for doc, text in zip(piped, texts, strict=True):
        single = nlp(text)
        assert entities(doc) == entities(single)
        scores = [ent._.lstm_ner_score for ent in doc.ents]
        np.testing.assert_allclose(scores, [ent._.lstm_ner_score for ent in single.ents], atol=1e-5)


def test_pipe_is_lazy(nlp):
    taken = []
    stream = (taken.append(text) or text for text in TEXTS * 20)
    next(nlp.pipe(stream, batch_size=2))
    assert len(taken) <= 4


def test_error_handler_gets_what_goes_wrong(nlp):
    failed = []
    component = nlp.get_pipe("lstm_ner")
    predict = component.predict

    def failing(docs):
        if any("Berlin" in doc.text for doc in docs):
            raise ValueError("no Berlin")
        return predict(docs)

    component.predict = failing
    with pytest.raises(ValueError, match="no Berlin"):
        found(nlp)
    nlp.set_error_handler(lambda name, pipe, docs, error: failed.append((name, len(docs), str(error))))
    assert found(nlp, batch_size=2) == GOLD[:2] + GOLD[4:]
    assert failed == [("lstm_ner", 2, "no Berlin")]


def test_predict_leaves_docs_and_component_alone(nlp):
    component = nlp.get_pipe("lstm_ner")
    docs = [nlp.make_doc(text) for text in ["", *TEXTS]]
    before, model = [doc.to_bytes() for doc in docs], component.to_bytes()
    state = set(vars(component))
    one, two = component.predict(docs), component.predict(docs)
    assert one == two and [doc.to_bytes() for doc in docs] == before
    assert component.to_bytes() == model and set(vars(component)) == state
    assert [prediction._replace(scores=None) for prediction in component.predict(docs[1])] == [
        one[1]._replace(scores=None)
    ]
    assert component.predict([]) == []
    assert [prediction.starts for prediction in component.predict([nlp.make_doc("")] * 2)] == [[], []]


def test_the_model_works_by_itself_and_doc_by_doc(nlp):
    component = nlp.get_pipe("lstm_ner")
    docs = [nlp.make_doc(text) for text in [*TEXTS, ""]]
    together = component.model.predict(docs)
    assert [array.shape for array in together] == [(len(doc), 1 + 4 * len(component.labels)) for doc in docs]
    for doc, array in zip(docs, together, strict=True):
        np.testing.assert_allclose(component.model.predict([doc])[0], array, atol=1e-5)
    assert component.model.get_ref("output_layer").get_dim("nO") == together[0].shape[1]


@pytest.mark.slow
def test_two_components_in_one_pipeline(nlp):
    """The second adds to what the first has found, and each has its own labels and scores."""
    other, _ = trained(data=[("I like London and Berlin.", [(2, 6, "VERB")]), ("Who is here?", [(4, 6, "VERB")])])
    nlp.add_pipe("lstm_ner", name="verbs", source=other)
    assert entities(nlp("I like London and Berlin.")) == [(2, 6, "VERB"), *GOLD[2]]
    assert nlp.get_pipe("lstm_ner").labels != nlp.get_pipe("verbs").labels == ("VERB",)
    # Each scores all of `doc.ents`, as spaCy's own do.
    scores = nlp.evaluate(examples_for(nlp), per_component=True)
    assert scores["lstm_ner"]["ents_f"] == scores["verbs"]["ents_f"] < scores["verbs"]["ents_r"] == 1.0
    bytes_data = nlp.to_bytes()
    again = spacy.blank("en").from_config(nlp.config).from_bytes(bytes_data)
    assert found(again) == found(nlp)


@pytest.mark.slow
@pytest.mark.parametrize("other", ["ner", "spancat"])
def test_beside_spacys_own_components(other, nlp):
    nlp.add_pipe(other)
    examples = examples_for(nlp)
    with nlp.select_pipes(enable=[other]):
        if other == "spancat":
            for example in examples:
                example.reference.spans["sc"] = list(example.reference.ents)
        optimizer = nlp.initialize(lambda: examples)
    losses = nlp.update(examples, sgd=optimizer, losses={})
    assert losses.keys() == {"lstm_ner", other}
    assert nlp.evaluate(examples)["ents_f"] > 0.5


def test_annotation_survives_docbin_and_bytes(nlp):
    doc = nlp("I like London and Berlin.")
    stored = DocBin(docs=[doc], store_user_data=True).to_bytes()
    for again in (
        Doc(nlp.vocab).from_bytes(doc.to_bytes()),
        next(iter(DocBin().from_bytes(stored).get_docs(nlp.vocab))),
    ):
        assert entities(again) == GOLD[2]
        np.testing.assert_allclose([e._.lstm_ner_score for e in again.ents], [e._.lstm_ner_score for e in doc.ents])


@pytest.mark.parametrize(
    "preset",
    [
        lambda doc: Span(doc, 1, 3, label="UNKNOWN", kb_id="Q1", span_id="s"),
        lambda doc: Span(doc, 3, 4, label="LOC"),
        lambda doc: Span(doc, 0, 6, label="WHOLE"),
    ],
)
def test_entities_that_were_there_keep_all_they_have(nlp, preset):
    """Of whatever label, on white space or across the start of a sentence."""
    doc = Doc(nlp.vocab, words=["I", "like", "London", "\n", "and", "Berlin"], sent_starts=[1, 0, 1, 0, 0, 0])
    given = preset(doc)
    doc.set_ents([given], default="missing")
    nlp.get_pipe("lstm_ner")(doc)
    kept = [ent for ent in doc.ents if ent.start == given.start]
    assert [(e.end, e.label_, e.kb_id_, e.id_) for e in kept] == [(given.end, given.label_, given.kb_id_, given.id_)]
    assert all(token.ent_iob_ for token in doc)


def test_scores_are_plain_python(nlp):
    scores = nlp.evaluate(examples_for(nlp))
    assert json.loads(json.dumps({key: value for key, value in scores.items() if key.startswith("ents")}))


@pytest.mark.slow
def test_one_doc_of_many_labels():
    """As many labels as spaCy's test has: 1,000."""
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    for k in range(1000):
        component.add_label(str(k))
    optimizer = nlp.initialize()
    doc = nlp.make_doc("One sentence here")
    reference = Doc(nlp.vocab, words=["One", "sentence", "here"], ents=["B-17", "I-17", "B-900"])
    for _ in range(15):
        nlp.update([Example(doc, reference)], sgd=optimizer)
    assert [ent.label_ for ent in nlp("One sentence here").ents] == ["17", "900"]
