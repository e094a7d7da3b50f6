"""Scores of entities, thresholds, n-best, uncertainty, and what training makes of wrong spans and weights."""

import itertools
import pickle

import numpy as np
import pytest
import spacy
from spacy import displacy
from spacy.tokens import Doc, DocBin, Span
from spacy.tokens.underscore import Underscore
from spacy.training import Example
from support.chains import CASES, log_sum, paths, random_case, spans_of, split
from support.small import MODELS, SMALL, TRAIN, blank, entities, examples_for, learned, trained
from thinc.api import fix_random_seed

from spacy_lstm_ner.layers.crf.forward_backward import forward_backward
from spacy_lstm_ner.layers.crf.span_probability import soften, span_probabilities
from spacy_lstm_ner.layers.crf.transitions import Transitions
from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer
from spacy_lstm_ner.tags import Spans


@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_probability_of_every_span_against_enumeration(scheme_name, seed):
    _, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    lattice = forward_backward(e, lengths, Transitions(scheme, params), allowed)
    first = 0
    for own_e, own_allowed in split(lengths, e, allowed):
        n = len(own_e)
        found = paths(scheme, params, own_e, own_allowed)
        log_z = log_sum(found.values())
        labels = range(scheme.n_labels(e.shape[1]))
        rows = [(s, t, k) for s, t in itertools.combinations(range(n + 1), 2) for k in labels]
        spans = Spans(*np.array([(first + s, first + t, k) for s, t, k in rows], dtype=np.int64).reshape(-1, 3).T)
        ours = span_probabilities(lattice, spans)
        for span, p in zip(rows, ours.tolist(), strict=True):
            expected = sum(np.exp(score - log_z) for tags, score in found.items() if span in spans_of(scheme, tags))
            assert p == pytest.approx(expected, abs=1e-9)
        first += n


def test_no_spans():
    empty = np.zeros(0, dtype=np.int64)
    _, scheme, lengths, e, params, _ = random_case("bio", 1)
    lattice = forward_backward(e, lengths, Transitions(scheme, params))
    assert span_probabilities(lattice, Spans(empty, empty, empty)).shape == (0,)


def test_temperature_of_log_odds():
    p = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(soften(p, np.ones(5)), p, atol=1e-9)
    softer = soften(p, np.full(5, 2.0))
    assert softer[1] > 0.2 and softer[2] == 0.5 and softer[3] < 0.9


@pytest.fixture(scope="module", params=list(MODELS))
def nlp(request):
    return learned(request.param)


TEXTS = [text for text, _ in TRAIN] + ["", " \n", "London and  \n Berlin blew through Uber. Shaka expands"]


def scores_of(doc):
    return [ent._.lstm_ner_score for ent in doc.ents]


def test_every_predicted_entity_has_its_score(nlp):
    component = nlp.get_pipe("lstm_ner")
    for text in TEXTS:
        doc, (prediction,) = nlp(text), component.predict([nlp.make_doc(text)])
        assert scores_of(doc) == prediction.scores and all(0.0 <= score <= 1.0 for score in prediction.scores)
        assert not doc.spans
    assert Span(doc, 0, 1, label="NONE")._.lstm_ner_score is None


def test_a_group_of_spans_on_request(nlp):
    component = nlp.get_pipe("lstm_ner")
    component.cfg["annotate"] = "both"
    try:
        for doc in nlp.pipe(TEXTS):
            group = doc.spans["lstm_ner"]
            assert [(s.start, s.end, s.label_) for s in group] == [(e.start, e.end, e.label_) for e in doc.ents]
            assert group.attrs["scores"].tolist() == pytest.approx(scores_of(doc))
            (stored,) = DocBin(docs=[doc]).get_docs(nlp.vocab)
            assert list(stored.spans["lstm_ner"].attrs["scores"]) == pytest.approx(scores_of(doc))
        # As the page for scripts for ner says.
        html = displacy.render(nlp("I like London"), style="span", options={"spans_key": "lstm_ner"}, jupyter=False)
        assert "London" in html and "LOC" in html
    finally:
        component.cfg["annotate"] = "ents"


def test_scores_are_the_same_alone_and_in_a_batch(nlp):
    together = [scores_of(doc) for doc in nlp.pipe(TEXTS, batch_size=100)]
    for text, scores in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(scores_of(nlp(text)), scores, atol=1e-5)


def copies_of(doc):
    """The doc as it comes out of all that copies or stores docs."""
    yield Doc(doc.vocab).from_bytes(doc.to_bytes())
    yield from DocBin(docs=[doc], store_user_data=True).get_docs(doc.vocab)
    yield doc.copy()
    yield pickle.loads(pickle.dumps(doc))
    yield doc[:].as_doc(copy_user_data=True)
    yield Doc.from_docs([doc])


def test_scores_survive_copies_and_processes(nlp):
    doc = nlp("I like London and Berlin.")
    expected = scores_of(doc)
    assert len(expected) == 2
    for copy in copies_of(doc):
        assert scores_of(copy) == expected
    for copy in nlp.pipe([doc.text] * 4, n_process=2, batch_size=2):
        assert scores_of(copy) == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_scores_go_with_their_entities_into_other_docs(nlp):
    docs = [nlp("I like London and Berlin."), nlp("nothing to see here"), nlp("Who is Shaka Khan?")]
    expected = [score for doc in docs for score in scores_of(doc)]
    assert len(expected) == 3
    assert scores_of(Doc.from_docs(docs)) == expected
    part = docs[0][3:].as_doc(copy_user_data=True)
    assert [ent.text for ent in part.ents] == ["Berlin"] and scores_of(part) == expected[1:2]
    assert scores_of(docs[0][3:].as_doc()) == [None]


@pytest.mark.filterwarnings("error")
def test_merged_entities_keep_their_scores():
    """A span group would point at tokens that are not there any more: spaCy's E035."""
    nlp = learned("crf")
    text = "Android Pay expands to Canada"
    expected = scores_of(nlp(text))
    nlp.add_pipe("merge_entities")
    doc = nlp(text)
    assert len(doc) == 4 and len(expected) == 2
    for copy in [doc, *copies_of(doc), *nlp.pipe([text] * 2, n_process=2, batch_size=1)]:
        assert [ent.text for ent in copy.ents] == ["Android Pay", "Canada"]
        assert scores_of(copy) == pytest.approx(expected, abs=1e-6)
    assert [ent["label"] for ent in doc.to_json()["ents"]] == ["PRODUCT", "GPE"]
    assert scores_of(Doc.from_docs([doc, doc])) == expected * 2
    doc.spans["sc"] = doc.ents
    for style in ("ent", "span"):
        page = displacy.render(doc, style=style, jupyter=False)
        assert "Android Pay" in page and "PRODUCT" in page


def test_what_scores_add_to_the_bytes_of_a_doc(nlp):
    """Nothing to a doc without entities, and little to a short one."""
    without = nlp("nothing to see here")
    assert not without.ents and not without.user_data and not without.spans
    doc = nlp("I like London and Berlin.")
    assert len(doc) == 6 and len(doc.ents) == 2
    assert len(doc.to_bytes()) < 1.15 * len(doc.to_bytes(exclude=["user_data"]))


def test_what_is_written_wins(nlp):
    doc = nlp("I like London and Berlin.")
    _, kept = scores_of(doc)
    doc.ents[0]._.lstm_ner_score = 0.4
    for copy in (doc, *copies_of(doc)):
        assert scores_of(copy) == [0.4, kept]
    doc.ents[1]._.lstm_ner_score = None
    assert scores_of(nlp.get_pipe("lstm_ner")(doc)) == [0.4, None]


def test_json_has_no_scores_but_those_that_were_written(nlp):
    """As the page says: spaCy takes attributes of spans from what is in user_data under their names."""
    doc = nlp("I like London and Berlin.")
    assert doc.to_json()["ents"] == [{"start": 7, "end": 13, "label": "LOC"}, {"start": 18, "end": 24, "label": "LOC"}]
    with pytest.raises(ValueError, match="E106"):
        doc.to_json(underscore=["lstm_ner_score"])
    doc.ents[0]._.lstm_ner_score = 0.4
    written = doc.to_json(underscore=["lstm_ner_score"])["underscore_span"]["lstm_ner_score"]
    assert written == [{"start": 7, "end": 13, "value": 0.4}]


def test_an_entity_that_somebody_changes_has_no_score(nlp):
    doc = nlp("I like London and Berlin.")
    london, berlin = doc.ents
    score = berlin._.lstm_ner_score
    doc.ents = [Span(doc, london.start, london.end, "OTHER"), berlin, Span(doc, 0, 1, "OTHER")]
    assert scores_of(doc) == [None, None, score]


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_another_package_has_an_attribute_named_score(first, monkeypatch):
    """By default the names differ, so neither stands in the way of the other, in any order."""
    monkeypatch.setattr(Underscore, "span_extensions", {})
    if first == "ours":
        blank("crf")
    Span.set_extension("score", default=None)
    doc = learned("crf")("I like London and Berlin.")
    ours = scores_of(doc)
    assert len(ours) == 2 and all(0 <= score <= 1 for score in ours)
    assert [ent._.score for ent in doc.ents] == [None, None]
    doc.ents[0]._.score = 0.4
    assert doc.ents[0]._.score == 0.4 and scores_of(doc) == ours


def test_another_package_takes_the_name_of_our_attribute(monkeypatch):
    monkeypatch.setattr(Underscore, "span_extensions", {})
    nlp = learned("crf")
    Span.set_extension("lstm_ner_score", default=None, force=True)
    doc = nlp("I like London and Berlin.")
    assert scores_of(doc) == [None, None]
    doc.ents[0]._.lstm_ner_score = 0.4
    assert scores_of(doc) == [0.4, None]


def test_threshold_leaves_out_what_is_less_probable(nlp):
    component = nlp.get_pipe("lstm_ner")
    kept = dict(component.cfg)
    docs = list(nlp.pipe(TEXTS))
    scores = sorted(ent._.lstm_ner_score for doc in docs for ent in doc.ents)
    cut = (scores[1] + scores[2]) / 2
    try:
        component.cfg = {**kept, "threshold": cut}
        found = [ent._.lstm_ner_score for doc in nlp.pipe(TEXTS) for ent in doc.ents]
        assert sorted(found) == pytest.approx([score for score in scores if score >= cut])
        component.cfg = {**kept, "threshold": 1.0, "label_thresholds": {"LOC": 0.0}}
        assert {ent.label_ for doc in nlp.pipe(TEXTS) for ent in doc.ents} == {"LOC"}
        component.cfg = {**kept, "threshold": cut, "score_attr": None}
        silent = list(nlp.pipe(TEXTS))
        assert sum(len(doc.ents) for doc in silent) == len(found)
        assert not any(doc.user_data or doc.spans for doc in silent)
    finally:
        component.cfg = kept


def test_n_best_analyses(nlp):
    component = nlp.get_pipe("lstm_ner")
    docs = [nlp.make_doc(text) for text in TEXTS]
    analyses = component.n_best(docs, 4)
    for doc, found in zip(docs, analyses, strict=True):
        probabilities = [p for _, p in found]
        assert probabilities == sorted(probabilities, reverse=True) and sum(probabilities) <= 1 + 1e-9
        assert len({tuple(ents) for ents, _ in found}) == len(found)
        best = [(ent.start, ent.end, ent.label_) for ent in nlp(doc.text).ents]
        assert found[0][0] == best
        assert not doc.ents
    assert analyses[TEXTS.index("")] == [([], 1.0)]
    (alone,) = component.n_best(docs[0], 1)
    assert alone == [(analyses[0][0][0], pytest.approx(analyses[0][0][1], abs=1e-6))]
    with pytest.raises(ValueError, match="n is 0"):
        component.n_best(docs, 0)


def test_uncertainty_is_that_of_the_analyses():
    """On a short text all analyses can be had: the entropy is that of their probabilities."""
    nlp, _ = trained(steps=10)
    component = nlp.get_pipe("lstm_ner")
    doc = nlp.make_doc("Uber in Berlin")
    (found,) = component.n_best([doc], 5000)
    p = np.array([probability for _, probability in found])
    assert p.sum() == pytest.approx(1.0)
    (doubt,) = component.uncertainty([doc])
    assert doubt.entropy == pytest.approx(-(p * np.log(np.maximum(p, 1e-300))).sum(), abs=1e-6)
    assert doubt.least_confidence == pytest.approx(1 - p[0])
    assert doubt.margin == pytest.approx(1 - p[0] + p[1])
    assert component.uncertainty([nlp.make_doc("")])[0] == (0.0, 0.0, 0.0)


def train_with(references, config=None, steps=60, head="crf"):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config={"model": {**SMALL["crf"]["model"], "head": head}, **(config or {})})
    examples = [Example(nlp.make_doc(reference.text), reference) for reference in references(nlp)]
    for label in ("X", "Y"):
        component.add_label(label)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
    return nlp, examples


def gold(nlp, text, ents=(), wrong=(), missing=False):
    doc = nlp.make_doc(text)
    spans = [Span(doc, *ent) for ent in ents]
    doc.set_ents(spans, default="missing" if missing else "outside")
    doc.spans["wrong"] = [Span(doc, *span) for span in wrong]
    return doc


@pytest.mark.filterwarnings("ignore:.*2 of 4 docs have no entity annotation")
@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_wrong_spans_are_learnt_not_to_be_found(head):
    """Told only what is wrong of a text, the model gives that no probability, and keeps what it learned of others."""

    def references(nlp):
        return [
            gold(nlp, "a Foo b", [(1, 2, "X")]),
            gold(nlp, "c Foo d", [(1, 2, "X")]),
            gold(nlp, "e Foo f", wrong=[(1, 2, "X")], missing=True),
            gold(nlp, "g Bar h", wrong=[(1, 2, "O")], missing=True),
        ]

    nlp, _ = train_with(references, {"incorrect_spans_key": "wrong"}, steps=100, head=head)
    assert entities(nlp("a Foo b")) == [(2, 5, "X")]
    assert (2, 5, "X") not in entities(nlp("e Foo f"))
    assert entities(nlp("g Bar h"))


def test_a_wrong_span_that_is_an_entity_is_an_error():
    def references(nlp):
        return [gold(nlp, "a Foo b", [(1, 2, "X")], wrong=[(1, 2, "X")])]

    with pytest.raises(ValueError, match="E868"):
        train_with(references, {"incorrect_spans_key": "wrong"}, steps=1)


def test_wrong_spans_that_are_nowhere_change_nothing():
    def references(nlp):
        return [gold(nlp, "a Foo b", [(1, 2, "X")])]

    without, _ = train_with(references, steps=3)
    with pytest.warns(UserWarning, match=r"none of the 1 docs of the training data has doc\.spans\['elsewhere'\]"):
        nowhere, _ = train_with(references, {"incorrect_spans_key": "elsewhere"}, steps=3)
    assert without.get_pipe("lstm_ner").model.to_bytes() == nowhere.get_pipe("lstm_ner").model.to_bytes()


def test_wrong_spans_that_leave_no_analysis():
    """Two statements that contradict each other are an error that says so, with or without white space."""

    def contradictory(nlp):
        return [gold(nlp, "a Foo b", wrong=[(1, 2, "X"), (1, 2, "Y"), (1, 2, "O"), (0, 2, "X"), (0, 2, "Y")])]

    def known(nlp):
        docs = contradictory(nlp)
        docs[0].set_ents([], missing=[docs[0][1:2]], default="outside")
        return docs

    with pytest.raises(ValueError, match="contradict each other"):
        train_with(known, {"incorrect_spans_key": "wrong"}, steps=1)

    def with_space(nlp):
        doc = Doc(nlp.vocab, words=["a", "Foo", "\n", "b"], spaces=[True, False, False, False])
        doc.set_ents([Span(doc, 1, 2, "X")], default="missing")
        doc.spans["wrong"] = [Span(doc, 1, 3, "X")]
        return [doc]

    with pytest.raises(ValueError, match="E868"):
        train_with(with_space, {"incorrect_spans_key": "wrong"}, steps=1)


@pytest.mark.filterwarnings("ignore:.*1 of 1 docs have no entity annotation")
def test_a_token_that_can_only_be_outside_is_not_made_an_entity():
    nlp, examples = train_with(lambda nlp: [gold(nlp, "a Foo b", wrong=[(1, 2, "O")], missing=True)], steps=0)
    component = nlp.get_pipe("lstm_ner")
    component.cfg["incorrect_spans_key"] = "wrong"
    examples[0].predicted.ents = [Span(examples[0].predicted, 1, 2, "RULER")]
    assert np.isfinite(nlp.update(examples)["lstm_ner"])


def test_weights_move_the_balance_of_precision_and_recall():
    """The same word is an entity in one of two texts that look alike."""

    def references(nlp):
        return [gold(nlp, "see Foo now", [(1, 2, "X")]), gold(nlp, "see Foo now")]

    found = {}
    for name, weights in {"X": {"X": 5.0}, "O": {"O": 5.0}}.items():
        nlp, _ = train_with(references, {"label_weights": weights})
        found[name] = bool(nlp("see Foo now").ents)
    assert found == {"X": True, "O": False}


def test_label_smoothing_lowers_the_confidence():
    def references(nlp):
        return [gold(nlp, "see Foo now", [(1, 2, "X")])]

    scores = {}
    for smoothing in (0.0, 0.2):
        nlp, _ = train_with(references, {"label_smoothing": smoothing})
        scores[smoothing] = nlp("see Foo now").ents[0]._.lstm_ner_score
    assert scores[0.2] < scores[0.0] - 0.02


def test_entities_end_at_sentence_boundaries_on_request():
    def references(nlp):
        return [gold(nlp, "see New York now", [(1, 3, "X")])]

    nlp, _ = train_with(references, {"sentence_boundaries": True})
    doc = nlp("see New York now")
    assert [(e.start, e.end) for e in doc.ents] == [(1, 3)]
    doc = nlp.make_doc("see New York now")
    doc[0].is_sent_start, doc[2].is_sent_start = True, True
    doc = nlp.get_pipe("lstm_ner")(doc)
    assert (1, 3) not in [(e.start, e.end) for e in doc.ents]
    for token in doc:
        assert not (token.is_sent_start and token.ent_iob_ == "I")


def test_sentences_that_start_on_white_space():
    def references(nlp):
        return [gold(nlp, "see New York now", [(1, 3, "X")])]

    nlp, _ = train_with(references, {"sentence_boundaries": True})
    doc = Doc(nlp.vocab, words=["see", "New", "\n", "York", "now"], spaces=[True, False, False, True, False])
    assert [(e.start, e.end) for e in nlp.get_pipe("lstm_ner")(doc.copy()).ents] == [(1, 4)]
    doc[2].is_sent_start = True
    assert (1, 4) not in [(e.start, e.end) for e in nlp.get_pipe("lstm_ner")(doc).ents]


def test_an_unpickled_pipeline_has_the_attribute(nlp):
    data = pickle.dumps(nlp)
    Span.remove_extension("lstm_ner_score")
    doc = pickle.loads(data)("I like London and Berlin.")
    assert all(0 <= ent._.lstm_ner_score <= 1 for ent in doc.ents) and len(doc.ents) == 2


def test_scores_stay_in_a_doc_that_comes_again(nlp):
    doc = nlp("I like London and Berlin.")
    scores = scores_of(doc)
    assert len(scores) == 2
    assert scores_of(nlp(doc)) == scores


def test_two_components_that_share_a_key():
    first = learned()
    second, _ = train_with(lambda nlp: [gold(nlp, "a Foo b", [(1, 2, "X")])], steps=60)
    first.add_pipe("lstm_ner", name="other", config=SMALL["crf"])
    first.get_pipe("other").from_bytes(second.get_pipe("lstm_ner").to_bytes())
    doc = first("Who is Shaka Khan?")
    assert doc.ents and all(0 <= ent._.lstm_ner_score <= 1 for ent in doc.ents)


def test_settings_are_not_shared():
    nlp = spacy.blank("en")
    first = nlp.add_pipe("lstm_ner")
    first.cfg["label_thresholds"]["X"] = 0.9
    own = LSTMEntityRecognizer(nlp.vocab, first.model)
    own.cfg["label_weights"]["X"] = 2.0
    for cfg in (nlp.add_pipe("lstm_ner", name="b").cfg, LSTMEntityRecognizer(nlp.vocab, first.model).cfg):
        assert cfg["label_thresholds"] == {} == cfg["label_weights"]
    with pytest.raises(ValueError, match="unknown settings treshold; there are threshold"):
        LSTMEntityRecognizer(nlp.vocab, first.model, treshold=0.5)


def test_scores_are_the_same_by_parts(nlp, monkeypatch):
    whole = [scores_of(doc) for doc in nlp.pipe(TEXTS * 3, batch_size=100)]
    monkeypatch.setattr("spacy_lstm_ner.layers.crf.span_probability.rows_at_once", lambda n_tags: 7)
    parts = [scores_of(doc) for doc in nlp.pipe(TEXTS * 3, batch_size=100)]
    for ours, theirs in zip(parts, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_scores_under_preset_entities_are_conditional(nlp):
    doc = nlp.make_doc("I like London and Berlin.")
    doc.ents = [Span(doc, 2, 3, label="PRESET")]
    doc = nlp.get_pipe("lstm_ner")(doc)
    assert [ent.text for ent in doc.ents] == ["London", "Berlin"]
    assert scores_of(doc)[0] is None and 0 <= scores_of(doc)[1] <= 1


@pytest.mark.parametrize(
    "config, message",
    [
        ({"threshold": 1.5}, "threshold is 1.5, but must be a probability"),
        ({"threshold": -0.1}, "threshold is -0.1, but must be a probability"),
        ({"label_thresholds": {"X": 2.0}}, r"label_thresholds\['X'\] is 2.0"),
        ({"label_weights": {"X": 0.0}}, r"label_weights\['X'\] is 0.0"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
    ],
)
def test_settings_out_of_range(config, message):
    with pytest.raises(ValueError, match=message):
        spacy.blank("en").add_pipe("lstm_ner", config=config)


def test_settings_for_labels_that_are_not_there():
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config={"label_thresholds": {"NOPE": 0.5}, "label_weights": {"O": 2.0}})
    examples = examples_for(nlp)
    with pytest.warns(UserWarning, match="label_thresholds names labels that the component does not have: NOPE"):
        nlp.initialize(lambda: examples)


def test_an_attribute_of_somebody_else_stays():
    Span.set_extension("theirs", default=7, force=True)
    with pytest.warns(UserWarning, match="'theirs' already"):
        nlp = spacy.blank("en")
        nlp.add_pipe("lstm_ner", config={"score_attr": "theirs"})
    assert nlp.make_doc("a b")[0:1]._.theirs == 7
    Span.remove_extension("theirs")
    spacy.blank("en").add_pipe("lstm_ner", config={"score_attr": None, "spans_key": None})


def test_settings_survive_saving(nlp, tmp_path):
    component = nlp.get_pipe("lstm_ner")
    kept = dict(component.cfg)
    component.cfg["threshold"] = 0.25
    try:
        nlp.to_disk(tmp_path)
        assert spacy.load(tmp_path).get_pipe("lstm_ner").cfg["threshold"] == 0.25
    finally:
        component.cfg = kept


def test_a_thousand_labels_train():
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    for k in range(1000):
        component.add_label(f"L{k}")
    examples = examples_for(nlp, [("Uber blew through a week", [(0, 4, "L500")]), ("I like it", [(0, 1, "L999")])])
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(30):
        losses = nlp.update(examples, sgd=optimizer)
    assert losses["lstm_ner"] < 3
    assert [ent.label_ for ent in nlp("Uber blew through a week").ents] == ["L500"]


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_n_that_is_no_number_of_analyses(n, nlp):
    with pytest.raises(ValueError, match=r"'lstm_ner': n is .*, but must be a whole number, at least 1"):
        nlp.get_pipe("lstm_ner").n_best([nlp.make_doc("a")], n)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1000.0])
@pytest.mark.parametrize("where", ["output_layer", "head"])
def test_weights_that_are_no_numbers_are_no_empty_prediction(where, value):
    """NaN compares with nothing, so that every entity would have been below a threshold of zero."""
    nlp = learned("crf")
    component = nlp.get_pipe("lstm_ner")
    node, name = component.model.get_ref(where), {"output_layer": "b", "head": "enter"}[where]
    changed = node.get_param(name).copy()
    changed.flat[1] = value
    node.set_param(name, changed)
    doc = nlp.make_doc("I like London and Berlin.")
    if (where, value) == ("output_layer", 1000.0):
        # Emissions may be as large as they like.
        assert all(0 <= ent._.lstm_ner_score <= 1 for ent in component(doc).ents)
        return
    with np.errstate(over="ignore", invalid="ignore"):
        for call in (component.predict, component.n_best, component.uncertainty):
            with pytest.raises(ValueError, match="'lstm_ner': the model gives scores that are infinite or not numbers"):
                call([doc])


def test_scores_after_tokens_were_merged():
    """Never the score of another entity: one that has grown is another one."""
    nlp = learned("crf")
    doc = nlp("Android Pay expands to Canada")
    first, last = scores_of(doc)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    assert scores_of(doc) == [first, last]
    doc.ents = [doc.ents[0], Span(doc, 2, 4, "GPE")]
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[2:4])
    assert [ent.text for ent in doc.ents] == ["Android Pay", "to Canada"]
    assert scores_of(doc) == [first, None]


def test_no_score_of_an_entity_that_was_at_these_tokens():
    nlp = learned("crf")
    doc = nlp("I like London and Berlin. See it")
    scores = {ent.text: ent._.lstm_ner_score for ent in doc.ents}
    doc.ents = [ent for ent in doc.ents if ent.text == "Berlin"]
    assert list(scores)[:2] == ["London", "Berlin"]
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:3])
    # Berlin is where London was.
    assert doc.ents[0].start == 2 and doc.ents[0]._.lstm_ner_score == scores["Berlin"]


def test_a_threshold_for_what_is_outside_is_unknown():
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config={"label_thresholds": {"O": 0.5}})
    examples = examples_for(nlp)
    with pytest.warns(UserWarning, match="label_thresholds names labels that the component does not have: O"):
        nlp.initialize(lambda: examples)


def test_a_threshold_that_is_no_number():
    with pytest.raises(ValueError, match=r"'lstm_ner': threshold is '0\.5', but must be a probability"):
        spacy.blank("en").add_pipe("lstm_ner", config={"threshold": "0.5"})


def test_a_second_component_after_tokens_were_merged():
    nlp = learned("crf")
    nlp.get_pipe("lstm_ner").cfg["annotate"] = "both"
    doc = nlp("Android Pay expands to Canada")
    scores = scores_of(doc)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    doc = nlp.get_pipe("lstm_ner")(doc)
    assert [ent.text for ent in doc.ents] == ["Android Pay", "Canada"]
    # The other one of the group cannot be read any more.
    assert [(s.start, s.end) for s in doc.spans["lstm_ner"]] == [(0, 1)]
    assert scores_of(doc) == scores_of(doc.copy()) == scores


@pytest.mark.parametrize("method", ["predict", "n_best", "uncertainty"])
def test_texts_in_place_of_docs_are_an_error(method):
    with pytest.raises(TypeError, match=r"expected Docs, found str\. Make a Doc with nlp\.make_doc"):
        getattr(learned().get_pipe("lstm_ner"), method)(["I like London."])
