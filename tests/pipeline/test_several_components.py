"""Several components in one pipeline, and where each writes what it finds."""

import itertools
import warnings

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example
from support.small import SMALL, entities, examples_for
from thinc.api import fix_random_seed

from spacy_lstm_ner.cli.evaluate import overall_rows
from spacy_lstm_ner.pipeline.annotate import write_entities
from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer
from spacy_lstm_ner.pipeline.scorer import score_entities

DATA = [
    ("Shaka Khan flew to Berlin", [(0, 10, "PERSON"), (19, 25, "PLACE")]),
    ("Berlin is where Ada lives", [(0, 6, "PLACE"), (16, 19, "PERSON")]),
    ("nothing to see here", []),
    ("Ada met Shaka Khan in Rome", [(0, 3, "PERSON"), (8, 18, "PERSON"), (22, 26, "PLACE")]),
]
TEXTS = [text for text, _ in DATA]
VOCAB = spacy.blank("en").vocab


def only(label):
    return [[ent for ent in ents if ent[2] == label] for _, ents in DATA]


def trained(settings, data=DATA, steps=80, labels=None):
    """A pipeline with one component for each entry, all trained at once. settings, labels: by component name."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    for name, config in settings.items():
        nlp.add_pipe("lstm_ner", name=name, config={**SMALL["crf"], **config})
    for name, own in (labels or {}).items():
        nlp.config["initialize"]["components"][name] = {"labels": own}
    examples = examples_for(nlp, data)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


def kept(doc, key):
    return [(span.start_char, span.end_char, span.label_) for span in doc.spans[key]]


OWN = {"people": ["PERSON"], "places": ["PLACE"]}
SETTINGS = {name: {"annotate": "both", "spans_key": name, "other_labels": "outside"} for name in OWN}


@pytest.fixture(scope="module")
def both():
    with pytest.warns(UserWarning, match="labels that it does not have"):
        return trained(SETTINGS, labels=OWN)


def test_each_learns_its_own_labels(both):
    assert {name: both.get_pipe(name).labels for name in OWN} == {"people": ("PERSON",), "places": ("PLACE",)}
    for doc, people, places in zip(both.pipe(TEXTS), only("PERSON"), only("PLACE"), strict=True):
        assert kept(doc, "people") == people and kept(doc, "places") == places
        assert entities(doc) == sorted(people + places)
        assert all(0 <= ent._.lstm_ner_score <= 1 for ent in doc.ents)


def test_each_has_its_scores_under_its_attribute():
    settings = {name: {"spans_key": name, "score_attr": f"{name}_score", "annotate": "spans"} for name in OWN}
    nlp = trained(settings)
    doc = nlp(TEXTS[0])
    for name in OWN:
        group = doc.spans[name]
        assert len(group) and len(group) == len(group.attrs["scores"])
        for span, score in zip(group, group.attrs["scores"], strict=True):
            assert span._.get(f"{name}_score") == pytest.approx(float(score))
    people, places = (list(map(float, doc.spans[name].attrs["scores"])) for name in OWN)
    assert people != places


def test_they_survive_saving_and_processes(both, tmp_path):
    expected = [(entities(doc), kept(doc, "people")) for doc in both.pipe(TEXTS)]
    both.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    assert [(entities(doc), kept(doc, "people")) for doc in nlp.pipe(TEXTS)] == expected
    assert [(entities(doc), kept(doc, "people")) for doc in nlp.pipe(TEXTS, n_process=2, batch_size=2)] == expected


def test_scores_of_each_do_not_collide(both):
    """Gold has a person that the pipeline has learned is none."""
    examples = examples_for(both, [*DATA, (TEXTS[2], [(15, 19, "PERSON")])])
    flat, apart = both.evaluate(examples), both.evaluate(examples, per_component=True)
    for name in OWN:
        assert apart[name][f"spans_{name}_f"] == flat[f"spans_{name}_f"]
        assert set(apart[name][f"spans_{name}_per_type"]) == set(OWN[name])
    assert flat["spans_places_f"] == 1.0 and flat["spans_people_p"] == 1.0
    assert flat["spans_people_r"] == pytest.approx(4 / 5)
    # doc.ents is what all have made of it, whoever is asked.
    assert set(flat["ents_per_type"]) == {"PERSON", "PLACE"}
    assert flat["ents_r"] == pytest.approx(7 / 8)
    assert apart["people"]["ents_per_type"] == apart["places"]["ents_per_type"] == flat["ents_per_type"]


def test_entities_of_others_are_counted_once_in_a_warning():
    with pytest.warns(UserWarning) as caught:
        nlp = trained(SETTINGS, steps=2, labels=OWN)
    messages = [str(warning.message) for warning in caught if "does not have" in str(warning.message)]
    assert len(messages) == 2
    assert messages[0].startswith("'people': the data has 3 entities with labels that it does not have: PLACE")
    assert "count as outside entities" in messages[0] and 'set other_labels to "add"' in messages[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp.update(examples_for(nlp))


def test_labels_added_before_initialize_are_a_list_too():
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config={"other_labels": "outside"})
    component.add_label("PERSON")
    examples = examples_for(nlp, DATA)
    with pytest.warns(UserWarning, match=r"PLACE \(3\)"):
        nlp.initialize(lambda: examples)
    assert component.labels == ("PERSON",)
    component = spacy.blank("en").add_pipe("lstm_ner", config={"other_labels": "outside"})
    component.initialize(lambda: examples)
    assert component.labels == ("PERSON", "PLACE")


@pytest.mark.parametrize("other_labels", ["outside", "missing"])
@pytest.mark.filterwarnings("ignore:.*does not have")
def test_what_entities_of_others_teach(other_labels):
    """The tokens of another label are O, or say nothing: then the loss is smaller, all tags being possible."""
    nlp = trained({"ner": {"other_labels": other_labels}}, labels={"ner": ["PERSON"]}, steps=0)
    component = nlp.get_pipe("ner")
    losses = {}
    for name, ents in {"other": DATA[0][1], "none": DATA[0][1][:1]}.items():
        examples = examples_for(nlp, [(TEXTS[0], ents)])
        losses[name] = component.get_loss(examples, component.model.predict([examples[0].predicted]))[0]
    if other_labels == "outside":
        assert losses["other"] == losses["none"]
    else:
        assert losses["other"] < losses["none"]


@pytest.mark.filterwarnings("ignore:.*does not have")
def test_spans_alone_leave_the_entities_alone():
    config = {"annotate": "spans", "spans_key": "mine"}
    nlp = trained({"ner": config})
    doc = nlp(TEXTS[0])
    assert not doc.ents and not doc.has_annotation("ENT_IOB")
    assert kept(doc, "mine") == DATA[0][1] and all(0 <= span._.lstm_ner_score <= 1 for span in doc.spans["mine"])
    given = nlp.make_doc(TEXTS[0])
    given.set_ents([Span(given, 0, 3, "RULER", kb_id="Q1")], blocked=[given[4:5]], default="outside")
    given = nlp.get_pipe("ner")(given)
    assert [(ent.text, ent.label_, ent.kb_id_) for ent in given.ents] == [("Shaka Khan flew", "RULER", "Q1")]
    assert kept(given, "mine") == DATA[0][1]
    # A doc that comes again has each of them once.
    assert kept(nlp.get_pipe("ner")(given), "mine") == DATA[0][1]
    # Training on docs with entities of others learns from all of the gold ones.
    examples = examples_for(nlp, DATA)
    examples[0].predicted.ents = [Span(examples[0].predicted, 0, 3, "RULER")]
    component = nlp.get_pipe("ner")
    docs = [example.predicted for example in examples]
    loss = component.get_loss(examples, component.model.predict(docs))[0]
    plain = examples_for(nlp, DATA)
    assert loss == pytest.approx(component.get_loss(plain, component.model.predict(docs))[0])
    scores = nlp.evaluate(examples_for(nlp, DATA))
    assert scores["spans_mine_f"] == 1.0 and "ents_f" not in scores


@pytest.mark.filterwarnings("ignore:.*does not have")
def test_two_that_write_spans_alone_may_share_a_key_and_overlap():
    nlp = trained({name: {"annotate": "spans", "spans_key": "all"} for name in ("a", "b")})
    nlp.get_pipe("b").cfg["labels"] = ["HUMAN", "AREA"]
    doc = nlp(TEXTS[0])
    assert sorted(kept(doc, "all")) == sorted(
        [*DATA[0][1], *((start, end, {"PERSON": "HUMAN", "PLACE": "AREA"}[label]) for start, end, label in DATA[0][1])]
    )
    assert all(0 <= span._.lstm_ner_score <= 1 for span in doc.spans["all"])


def test_entities_alone():
    nlp = trained({"ner": {"annotate": "ents"}})
    doc = nlp(TEXTS[0])
    assert entities(doc) == DATA[0][1] and not doc.spans
    assert all(0 <= ent._.lstm_ner_score <= 1 for ent in doc.ents)
    nlp.get_pipe("ner").cfg["score_attr"] = None
    assert nlp.get_pipe("ner").predict([nlp.make_doc(TEXTS[0])])[0].scores is None


@pytest.mark.parametrize("overwrite", [False, True])
def test_who_wins_where_entities_overlap(overwrite):
    nlp = trained({"ner": {"overwrite": overwrite}})
    doc = nlp.make_doc("Ada met Shaka Khan in Rome")
    doc.set_ents(
        [Span(doc, 0, 1, "RULER", kb_id="Q1"), Span(doc, 1, 3, "RULER"), Span(doc, 4, 5, "RULER", kb_id="Q2")],
        blocked=[doc[5:6]],
    )
    doc = nlp.get_pipe("ner")(doc)
    found = [(ent.text, ent.label_, ent.kb_id_) for ent in doc.ents]
    if overwrite:
        # Its own entities take the place of those in their way; what is in nobody's way stays, as do blocked tokens.
        assert found == [("Ada", "PERSON", ""), ("Shaka Khan", "PERSON", ""), ("in", "RULER", "Q2")]
        assert [token.ent_iob_ for token in doc] == ["B", "O", "B", "I", "B", "B"]
        assert [ent.text for ent in doc.ents if ent._.lstm_ner_score is not None] == ["Ada", "Shaka Khan"]
    else:
        assert found[0] == ("Ada", "RULER", "Q1") and found[1] == ("met Shaka", "RULER", "")
        assert ("in", "RULER", "Q2") in found
    assert doc[5].ent_iob == 3 and doc[5].ent_type == 0


@st.composite
def spans_of(draw, length=8):
    """Spans that do not overlap, in order."""
    cuts = sorted(draw(st.sets(st.integers(0, length), max_size=8)))
    pairs = [pair for pair in itertools.pairwise(cuts) if draw(st.booleans())]
    return [(start, end, draw(st.sampled_from("XY"))) for start, end in pairs]


@given(old=spans_of(), new=spans_of(), blocked=st.sets(st.integers(0, 7), max_size=2))
def test_written_entities_displace_what_they_overlap_and_nothing_else(old, new, blocked):
    def taken(spans):
        return {k for start, end, _ in spans for k in range(start, end)}

    blocked -= taken(old) | taken(new)
    doc = Doc(VOCAB, words=list("abcdefgh"))
    doc.set_ents([Span(doc, *span) for span in old], blocked=[doc[k : k + 1] for k in blocked], default="missing")
    write_entities(doc, [Span(doc, *span) for span in new])
    kept = [span for span in old if not taken([span]) & taken(new)]
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents] == sorted(kept + new)
    for token in doc:
        if token.i in blocked:
            assert token.ent_iob == 3 and not token.ent_type
        elif token.i not in taken(kept + new):
            assert token.ent_iob_ == "O"


@pytest.mark.filterwarnings("ignore:.*does not have")
def test_the_later_of_two_wins_on_request():
    settings = {name: {"annotate": "both", "spans_key": name} for name in ("first", "second")}
    nlp = trained(settings)
    nlp.get_pipe("second").cfg["labels"] = ["HUMAN", "AREA"]
    assert {ent.label_ for ent in nlp(TEXTS[0]).ents} == {"PERSON", "PLACE"}
    nlp.get_pipe("second").cfg["overwrite"] = True
    doc = nlp(TEXTS[0])
    assert {ent.label_ for ent in doc.ents} == {"HUMAN", "AREA"}
    assert all(0 <= ent._.lstm_ner_score <= 1 for ent in doc.ents)
    assert kept(doc, "first") == DATA[0][1]


def test_spans_are_scored_where_there_is_annotation():
    vocab = spacy.blank("en").vocab
    reference = Doc(vocab, words=["a", "b", "c", "d", "e"])
    reference.set_ents(
        [Span(reference, 0, 1, "X"), Span(reference, 4, 5, "OTHER")], missing=[reference[3:4]], default="outside"
    )
    predicted = Doc(vocab, words=["a", "b", "c", "d", "e"])
    predicted.spans["k"] = [Span(predicted, *span) for span in ((0, 1, "X"), (1, 2, "X"), (3, 4, "X"))]
    nothing = Example(Doc(vocab, words=["a"]), Doc(vocab, words=["a"]))
    settings = {"annotate": "spans", "spans_key": "k", "labels": ["X"]}
    scores = score_entities([Example(predicted, reference), nothing], **settings)
    assert scores == {
        "spans_k_p": 0.5,
        "spans_k_r": 1.0,
        "spans_k_f": pytest.approx(2 / 3),
        "spans_k_per_type": {"X": {"p": 0.5, "r": 1.0, "f": pytest.approx(2 / 3)}},
    }
    assert score_entities([nothing], **settings)["spans_k_f"] is None


@pytest.mark.parametrize(
    "config, message",
    [
        ({"annotate": "span"}, "annotate is 'span', but must be one of 'ents', 'spans', 'both'"),
        ({"other_labels": "drop"}, "other_labels is 'drop', but must be one of 'add', 'outside', 'missing'"),
        ({"annotate": "spans", "spans_key": None}, "annotate is 'spans', so that spans_key must name a place"),
    ],
)
def test_settings_that_are_none(config, message):
    with pytest.raises(ValueError, match=message):
        spacy.blank("en").add_pipe("lstm_ner", config=config)


def test_settings_default_to_what_the_factory_has():
    nlp = spacy.blank("en")
    made = nlp.add_pipe("lstm_ner")
    assert LSTMEntityRecognizer(nlp.vocab, made.model).cfg == made.cfg


def test_the_table_of_scores_has_those_of_each():
    scores = {"ents_f": 0.5, "spans_people_p": 0.25, "spans_people_r": None, "spans_people_f": 1.0}
    rows = overall_rows({**scores, "spans_people_per_type": {}})
    assert [row for row in rows if "people" in row[0]] == [
        ("people: precision", "25.00"),
        ("people: recall", "-"),
        ("people: F", "100.00"),
    ]
