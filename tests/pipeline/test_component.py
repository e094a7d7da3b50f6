"""The component in a pipeline: training, predicting, saving, and the rules for what it writes."""

import pickle
import warnings

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from support import small
from support.small import MODELS, TRAIN, entities, examples_for, learned, trained
from thinc.api import fix_random_seed, set_dropout_rate

from spacy_lstm_ner.annotation.gold import gold_tags
from spacy_lstm_ner.annotation.gold_report import GoldReport
from spacy_lstm_ner.pipeline import predict as inference
from spacy_lstm_ner.pipeline.component import DEFAULT_MODEL
from spacy_lstm_ner.tags import MISSING


@pytest.fixture(scope="module", params=list(MODELS))
def overfitted(request):
    return small.overfitted(request.param)[:2]


def test_learns_its_examples_and_keeps_them_when_saved(overfitted, tmp_path):
    nlp, losses = overfitted
    assert losses["lstm_ner"] < 3.0
    for text, expected in TRAIN:
        assert entities(nlp(text)) == expected
    nlp.to_disk(tmp_path)
    from_disk = spacy.load(tmp_path)
    from_bytes = spacy.blank("en")
    from_bytes.add_pipe("lstm_ner", config={"model": nlp.config["components"]["lstm_ner"]["model"]})
    from_bytes.from_bytes(nlp.to_bytes())
    pickled = pickle.loads(pickle.dumps(nlp))
    texts = [text for text, _ in TRAIN] + ["Shaka Khan went to Uber in Berlin, Canada. \n"]
    docs = [nlp(text) for text in texts]
    scores = nlp.get_pipe("lstm_ner").model.predict(docs)
    for copy in (from_disk, from_bytes, pickled):
        assert [entities(doc) for doc in copy.pipe(texts)] == [entities(doc) for doc in docs]
        for ours, theirs in zip(scores, copy.get_pipe("lstm_ner").model.predict(docs), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert copy.get_pipe("lstm_ner").labels == nlp.get_pipe("lstm_ner").labels
    assert from_disk.to_bytes() == nlp.to_bytes()


def test_a_batch_gives_what_its_documents_give(overfitted):
    nlp, _ = overfitted
    texts = ["", "London", *[text for text, _ in TRAIN], "x " * 300 + "London and Berlin", "   "]
    docs = [nlp.make_doc(text) for text in texts]
    model = nlp.get_pipe("lstm_ner").model
    batch = model.predict(docs)
    for doc, scores in zip(docs, batch, strict=True):
        np.testing.assert_allclose(scores, model.predict([doc])[0], atol=1e-5)
    for size in (1, 2, 100):
        assert [entities(doc) for doc in nlp.pipe(texts, batch_size=size)] == [entities(nlp(t)) for t in texts]


@pytest.mark.parametrize("tokens", [1, 12, 1000])
def test_a_batch_is_worked_through_in_parts(overfitted, tokens, monkeypatch):
    nlp, _ = overfitted
    docs = [nlp.make_doc(text) for text in ["", *[text for text, _ in TRAIN], "", "London", ""]]
    ner, sizes = nlp.get_pipe("lstm_ner"), []
    whole, real = ner.predict(docs), inference.read_chains
    monkeypatch.setattr(inference, "TOKENS_AT_ONCE", tokens)
    monkeypatch.setattr(inference, "read_chains", lambda *args: sizes.append(len(args[1])) or real(*args))
    for one, other in zip(ner.predict(docs), whole, strict=True):
        assert one[:3] == other[:3]
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    # Another tok2vec may be a listener, which gets its vectors for the whole batch.
    is_our_own = ner.model.get_ref("tok2vec").name == "lexeme_tok2vec"
    assert sum(sizes) == len(docs) and (len(sizes) > 1) == (is_our_own and tokens < 1000)
    assert ner.predict([]) == []


def test_training_and_prediction_compute_the_same(overfitted):
    nlp, _ = overfitted
    docs = [nlp.make_doc(text) for text, _ in TRAIN]
    model = nlp.get_pipe("lstm_ner").model
    rates = ("dropout_rate", "word_dropout")
    before = {(node.id, rate): node.attrs[rate] for node in model.walk() for rate in rates if rate in node.attrs}
    set_dropout_rate(model, 0.0, rates)
    trained_scores = model.begin_update(docs)[0]
    for node in model.walk():
        node.attrs.update({rate: before[node.id, rate] for rate in rates if rate in node.attrs})
    for ours, theirs in zip(model.predict(docs), trained_scores, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5)


def test_same_seed_same_weights():
    first, second = trained(steps=5)[0], trained(steps=5)[0]
    assert first.get_pipe("lstm_ner").model.to_bytes() == second.get_pipe("lstm_ner").model.to_bytes()


def test_untrained_component_finds_nothing():
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    component.add_label("ORG")
    nlp.initialize()
    doc = nlp("Uber blew through $1 million a week")
    assert not doc.ents and all(token.ent_iob_ == "O" for token in doc)


def test_not_initialized_is_a_clear_error():
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    with pytest.raises(ValueError, match=r"'lstm_ner' is not initialized: call nlp\.initialize"):
        nlp("London")


def test_entities_that_were_there_stay():
    nlp = learned()
    doc = nlp.make_doc("I like London and Berlin.")
    doc.ents = [Span(doc, 2, 4, label="PRESET", kb_id="Q1")]
    doc = nlp.get_pipe("lstm_ner")(doc)
    assert [(e.text, e.label_, e.kb_id_) for e in doc.ents] == [("London and", "PRESET", "Q1"), ("Berlin", "LOC", "")]
    assert [t.ent_iob_ for t in doc] == ["O", "O", "B", "I", "B", "O"]
    blocked = nlp.make_doc("I like London and Berlin.")
    blocked.set_ents([], blocked=[blocked[2:3]], default="missing")
    assert [e.text for e in nlp.get_pipe("lstm_ner")(blocked).ents] == ["Berlin"]


def test_no_entity_starts_or_ends_on_white_space():
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config={"model": {**DEFAULT_MODEL, "scheme": "bio"}})
    component.add_label("X")
    nlp.initialize()
    doc = Doc(nlp.vocab, words=["\n", "a", " ", "b", "\n"], spaces=[False] * 5)
    output = component.model.get_ref("output_layer")
    output.set_param("b", np.array([0.0, 1.0, 5.0], dtype="float32"))
    doc = component(doc)
    assert [(e.start, e.end) for e in doc.ents] == [(1, 4)]
    component.cfg["annotate"] = "both"
    doc = component(Doc(nlp.vocab, words=["\n", "a", " ", "b", "\n"], spaces=[False] * 5))
    assert [(e.start, e.end) for e in doc.spans["lstm_ner"]] == [(1, 4)]


@pytest.mark.parametrize("model", list(MODELS))
def test_tokens_without_annotation(model):
    """The softmax head leaves them out; a CRF sums over all that they may be, which is no O."""
    nlp, _ = trained(model, steps=1)
    component = nlp.get_pipe("lstm_ner")
    doc = nlp.make_doc("I like London and Berlin.")
    reference = nlp.make_doc(doc.text)
    reference.set_ents([Span(reference, 2, 3, label="LOC")], missing=[reference[3:6]], default="outside")
    example = Example(doc, reference)
    loss, gradient = component.get_loss([example], component.model.predict([doc]))
    assert loss > 0 and np.abs(gradient[0][:3]).sum() > 0
    if model == "classic":
        assert not np.any(gradient[0][3:])
    else:
        whole = Example(doc, nlp.make_doc(doc.text))
        whole.reference.set_ents([Span(whole.reference, 2, 3, label="LOC")])
        assert loss < component.get_loss([whole], component.model.predict([doc]))[0]
    unannotated = Example(doc, nlp.make_doc(doc.text))
    with pytest.warns(UserWarning, match="1 of 1 docs have no entity annotation"):
        loss, gradient = component.get_loss([unannotated], component.model.predict([doc]))
    assert loss == 0.0 and not np.any(gradient[0])


def test_misaligned_and_white_space_gold():
    nlp = spacy.blank("en")
    words = ["New", "York", "\n", "x"]
    reference = Doc(nlp.vocab, words=words, spaces=[True, False, False, False], ents=["B-GPE", "I-GPE", "I-GPE", "O"])
    report = GoldReport()
    predicted = Doc(nlp.vocab, words=words, spaces=[True, False, False, False])
    assert gold_tags(Example(predicted, reference), {"GPE": 0}, report).tolist() == [1, 2, 0, 0]
    assert report.trimmed.count == 1
    reference = Doc(nlp.vocab, words=["\n", "x"], spaces=[False, False], ents=["B-GPE", "O"])
    predicted = Doc(nlp.vocab, words=["\n", "x"], spaces=[False, False])
    assert gold_tags(Example(predicted, reference), {"GPE": 0}, report).tolist() == [MISSING, 0]
    # Two entities in one token: spaCy's alignment keeps the first.
    reference = Doc(nlp.vocab, words=["Ab", "Cd", "x"], spaces=[False, True, False], ents=["B-GPE", "B-GPE", "O"])
    predicted = Doc(nlp.vocab, words=["AbCd", "x"], spaces=[True, False])
    report = GoldReport()
    gold_tags(Example(predicted, reference), {"GPE": 0}, report)
    assert report.misaligned.count == 2 and "(GPE)" in report.misaligned.examples[0]


def test_retokenized_gold_is_aligned():
    nlp = spacy.blank("en")
    reference = Doc(nlp.vocab, words=["Al-Ain", "won"], ents=["B-ORG", "O"])
    predicted = Doc(nlp.vocab, words=["Al", "-", "Ain", "won"], spaces=[False, False, True, True])
    assert gold_tags(Example(predicted, reference), {"ORG": 0}, GoldReport()).tolist() == [1, 2, 2, 0]


def test_added_label_changes_nothing_until_it_is_trained():
    nlp = learned()
    texts = [text for text, _ in TRAIN]
    before = [entities(doc) for doc in nlp.pipe(texts)]
    component = nlp.get_pipe("lstm_ner")
    old = component.model.predict(list(nlp.pipe(texts)))
    assert component.add_label("NEW") == 1 and component.add_label("NEW") == 0
    assert component.labels[-1] == "NEW"
    assert [entities(doc) for doc in nlp.pipe(texts)] == before
    for ours, grown in zip(old, component.model.predict(list(nlp.pipe(texts))), strict=True):
        # A wider product may round otherwise; the scores are about 15.
        np.testing.assert_allclose(ours, grown[:, : ours.shape[1]], atol=2e-5)
    examples = examples_for(nlp, [*TRAIN, ("Foo is bar", [(0, 3, "NEW")])])
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.01
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    assert entities(nlp("Foo is bar")) == [(0, 3, "NEW")]
    copy = spacy.blank("en")
    copy.add_pipe("lstm_ner").from_bytes(component.to_bytes())
    assert entities(copy("Foo is bar")) == [(0, 3, "NEW")]


def test_labels_first_seen_in_update_are_added_with_a_warning():
    nlp, _ = trained(steps=1)
    example = examples_for(nlp, [("Foo is bar", [(0, 3, "LATE")])])
    with pytest.warns(UserWarning, match="labels LATE were added when update first met them"):
        nlp.update(example)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp.update(example)
    assert "LATE" in nlp.get_pipe("lstm_ner").labels


def test_examples_may_come_from_a_generator():
    nlp, _ = trained(steps=1)
    assert nlp.get_pipe("lstm_ner").update(example for example in examples_for(nlp))["lstm_ner"] > 0


def test_initialized_again_on_other_data_it_trains():
    nlp, _ = trained("classic", steps=2)
    examples = examples_for(nlp, [("IBM flew to many more words than before", [(0, 3, "x")])])
    optimizer = nlp.initialize(lambda: examples)
    assert nlp.update(examples, sgd=optimizer)["lstm_ner"] > 0


def test_a_label_added_between_updates_keeps_the_gradient():
    nlp, _ = trained(steps=2)
    component = nlp.get_pipe("lstm_ner")
    component.update(examples_for(nlp))
    before = component.model.get_ref("output_layer").get_grad("W").copy()
    component.add_label("NEW")
    after = component.model.get_ref("output_layer").get_grad("W")
    np.testing.assert_array_equal(after[: len(before)], before)
    assert np.abs(before).sum() > 0 and not after[len(before) :].any()


def test_docs_of_another_pipeline_are_a_clear_error():
    nlp, _ = trained(steps=1)
    with pytest.raises(ValueError, match="come from different pipelines"):
        list(nlp.pipe([nlp.make_doc("Sharon flew"), spacy.blank("en").make_doc("Zebulon")]))


def test_labels_given_to_initialize():
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    examples = examples_for(nlp)
    with pytest.warns(UserWarning, match="6 entities with labels that it does not have"):
        component.initialize(lambda: examples, nlp=nlp, labels=["B", "A-C"])
    assert component.labels == ("B", "A-C") == component.label_data
    other = spacy.blank("en").add_pipe("lstm_ner")
    with pytest.warns(UserWarning, match="6 entities with labels that it does not have"):
        other.initialize(lambda: examples, labels={"0": {}, "1": {"Y": 1, "X": 2}, "4": {"": 1}})
    assert other.labels == ("X", "Y")
    with pytest.raises(ValueError, match="labels must be a list of strings"):
        component.initialize(lambda: examples, labels=["A", 3])


@pytest.mark.parametrize("label", [9, None, b"A", "O", "", "!ORG"])
def test_bad_labels(label):
    with pytest.raises(ValueError):
        spacy.blank("en").add_pipe("lstm_ner").add_label(label)


def test_bad_examples():
    nlp, _ = trained(steps=1)
    component = nlp.get_pipe("lstm_ner")
    for bad in (lambda: [], lambda: None, None, examples_for(nlp)):
        with pytest.raises(TypeError):
            component.initialize(bad)
    for bad in ([("text", {})], examples_for(nlp)[0]):
        with pytest.raises(TypeError, match="E978"):
            component.update(bad)


def test_empty_batches_leave_the_losses():
    nlp, _ = trained(steps=1)
    empty = Example(nlp.make_doc(""), nlp.make_doc(""))
    assert nlp.get_pipe("lstm_ner").update([empty], losses={"lstm_ner": 2.0}) == {"lstm_ner": 2.0}
    mixed = [empty, *examples_for(nlp)]
    assert nlp.update(mixed)["lstm_ner"] > 0


def test_listener_and_other_components_share_a_tok2vec():
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
        losses = nlp.update(examples, sgd=optimizer)
    assert losses["tok2vec"] > 0
    assert [entities(doc) for doc in nlp.pipe([text for text, _ in TRAIN])] == [ents for _, ents in TRAIN]


def test_scores_count_annotated_tokens_only():
    nlp = learned()
    scores = nlp.evaluate(examples_for(nlp))
    assert scores["ents_f"] == scores["ents_token_acc"] == scores["ents_token_acc_in_entities"] == 1.0
    component = nlp.get_pipe("lstm_ner")
    reference = Doc(nlp.vocab, words=["a", "b", "c", "d"], ents=["B-X", "I-X", "O", "O"])
    reference.set_ents([reference[0:2].char_span(0, 3, label="X")], missing=[reference[3:4]])
    predicted = Doc(nlp.vocab, words=["a", "b", "c", "d"], ents=["B-X", "O", "O", "B-X"])
    scores = component.scorer([Example(predicted, reference)])
    assert scores["ents_token_acc"] == pytest.approx(2 / 3)
    assert scores["ents_token_acc_in_entities"] == pytest.approx(1 / 2)
    with pytest.warns(UserWarning, match="none of the 1 docs to score has entity annotation"):
        nothing = component.scorer([Example(nlp.make_doc("a"), nlp.make_doc("a"))])
    assert nothing["ents_token_acc"] is None and nothing["ents_f"] is None


def test_several_processes():
    nlp = learned()
    texts = [text for text, _ in TRAIN] * 3
    assert [entities(doc) for doc in nlp.pipe(texts, n_process=2, batch_size=4)] == [
        entities(doc) for doc in nlp.pipe(texts)
    ]
