"""What spaCy's tests of `ner` check by way of the transition parser, checked in our terms.

One test for each entry of tests/spacy_suite/exceptions.py, and a test that says so.
"""

import pickle

import pytest
import spacy
from spacy import displacy
from spacy.attrs import ENT_IOB
from spacy.lang.en import English
from spacy.lang.it import Italian
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from support.small import entities, examples_for
from thinc.api import fix_random_seed

from spacy_lstm_ner.layers.crf.head import head_scheme

TEXTS = ["Just a sentence.", "Then one more sentence about London.", "Here is another one.", "I like London."]
TRAIN = [("Who is Shaka Khan?", [(7, 17, "PERSON")]), ("I like London and Berlin.", [(7, 13, "LOC"), (18, 24, "LOC")])]
NEL = [
    ("Russ Cochran captured his first major title with his son as caddie.", [(0, 12, "PERSON")]),
    ("Russ Cochran his reprints include EC Comics.", [(0, 12, "PERSON"), (34, 43, "ART")]),
    ("Russ Cochran has been publishing comic art.", [(0, 12, "PERSON")]),
    ("Russ Cochran was a member of University of Kentucky's golf team.", [(0, 12, "PERSON"), (43, 51, "LOC")]),
]


def columns(component):
    """The names of the model's columns: what a transition system calls its moves."""
    return head_scheme(component.model.get_ref("head")).tag_names(component.labels)


def overfitted(data, lang=English):
    fix_random_seed(0)
    nlp = lang()
    nlp.add_pipe("lstm_ner")
    examples = examples_for(nlp, data)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(50):
        losses = nlp.update(examples, sgd=optimizer, losses={})
    return nlp, losses["lstm_ner"]


def test_issue1967_a_label_with_a_hyphen_comes_from_an_example():
    nlp = Language()
    ner = nlp.add_pipe("lstm_ner")
    example = Example.from_dict(Doc(nlp.vocab, words=["word"]), {"entities": ["U-JOB-NAME"]})
    nlp.initialize(lambda: [example])
    assert ner.labels == ("JOB-NAME",)


def test_issue2179_no_further_labels_from_loading():
    nlp = Italian()
    ner = nlp.add_pipe("lstm_ner")
    ner.add_label("CITIZENSHIP")
    nlp.initialize()
    other = Italian()
    loaded = other.add_pipe("lstm_ner")
    assert loaded.labels == ()
    loaded.model.attrs["resize_output"](loaded.model, ner.tagger.n_tags)
    other.from_bytes(nlp.to_bytes())
    assert loaded.labels == ("CITIZENSHIP",)
    assert set(loaded.cfg) == set(ner.cfg)


@pytest.mark.parametrize("label", ["ANIMAL", "LARGE-ANIMAL"])
def test_issue3209_and_labels_from_biluo(label):
    """Added labels belong to the same columns after loading."""
    nlp = English()
    ner = nlp.add_pipe("lstm_ner")
    ner.add_label(label)
    nlp.initialize()
    assert ner.labels == (label,)
    assert ner.move_names == ["O", f"B-{label}", f"I-{label}", f"L-{label}", f"U-{label}"]
    assert sorted(columns(ner)) == sorted(["O", f"B-{label}", f"I-{label}", f"L-{label}", f"U-{label}"])
    other = English()
    loaded = other.add_pipe("lstm_ner")
    other.from_bytes(nlp.to_bytes())
    assert columns(loaded) == columns(ner) and loaded.model.predict([other("a")])[0].shape == (1, 5)


def favouring(ner, label):
    """Make the untrained component find an entity of one token everywhere."""
    bias = ner.model.get_ref("output_layer").get_param("b")
    bias[columns(ner).index(f"U-{label}")] = 5.0


def test_accept_blocked_token():
    nlp = English()
    ner = nlp.add_pipe("lstm_ner")
    ner.add_label("GPE")
    nlp.initialize()
    favouring(ner, "GPE")
    doc = nlp.make_doc("I live in New York")
    assert [token.ent_iob_ for token in doc] == [""] * 5
    assert [token.ent_type_ for token in ner(doc)] == ["GPE"] * 5
    blocked = nlp.make_doc("I live in New York")
    blocked.set_ents([], blocked=[blocked[3:5]], default="unmodified")
    ner(blocked)
    assert [token.ent_type_ for token in blocked] == ["GPE"] * 3 + [""] * 2
    assert [token.ent_iob_ for token in blocked] == ["B"] * 5


def test_overwrite_token():
    nlp = English()
    nlp.add_pipe("lstm_ner")
    nlp.initialize()
    doc = nlp("I live in New York")
    assert [token.ent_iob_ for token in doc] == ["O"] * 5
    second = nlp.create_pipe("lstm_ner")
    second.add_label("GPE")
    second.initialize(lambda: [Example(doc, doc)])
    favouring(second, "GPE")
    assert [token.ent_type_ for token in second(doc)] == ["GPE"] * 5


def test_overfitting_io(tmp_path):
    nlp, loss = overfitted(TRAIN)
    assert loss < 1.0
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for each in (nlp, loaded):
        assert entities(each("I like London.")) == [(7, 13, "LOC")]
    loaded.get_pipe("lstm_ner").add_label("RANDOM_NEW_LABEL")
    assert entities(loaded("I like London.")) == [(7, 13, "LOC")]
    batched = [doc.to_array(ENT_IOB).tolist() for doc in nlp.pipe(TEXTS)]
    assert batched == [doc.to_array(ENT_IOB).tolist() for doc in nlp.pipe(TEXTS)]
    assert batched == [nlp(text).to_array(ENT_IOB).tolist() for text in TEXTS]
    doc = nlp.make_doc("I like London and London.")
    doc.ents = [Span(doc, 2, 3, label="LOC", kb_id=1234, span_id="first")]
    doc = nlp.get_pipe("lstm_ner")(doc)
    assert [(e.text, e.label_, e.kb_id) for e in doc.ents] == [("London", "LOC", 1234), ("London", "LOC", 0)]
    assert [e.id_ for e in doc.ents] == ["first", ""]


def test_labels_of_a_doc_are_no_labels_of_the_component():
    nlp = Language()
    ner = nlp.add_pipe("lstm_ner")
    for label in "ABC":
        ner.add_label(label)
    nlp.initialize()
    doc = Doc(nlp.vocab, words=["hello", "world"], ents=["B-D", "O"])
    ner(doc)
    assert [token.ent_type_ for token in doc] == ["D", ""]
    assert ner.labels == ("A", "B", "C")


@pytest.mark.slow
def test_overfitting_io_with_entity_linker(tmp_path):
    """The entities of spaCy's test with an entity linker, after the same number of updates."""
    nlp, loss = overfitted(NEL)
    nlp.add_pipe("sentencizer", first=True)
    assert loss < 1.0
    nlp.to_disk(tmp_path)
    for each in (nlp, spacy.load(tmp_path)):
        assert entities(each(NEL[0][0])) == [(0, 12, "PERSON")]
    assert nlp.evaluate(examples_for(nlp, NEL))["ents_f"] == 1.0


def test_issue4725_a_setting_survives_pickling():
    ner = English().create_pipe("lstm_ner", config={"threshold": 0.111})
    assert pickle.loads(pickle.dumps(ner)).cfg["threshold"] == 0.111


def test_every_exception_has_its_reason(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "tests" / "spacy_suite")
    from exceptions import EXCEPTIONS, LEFT_OUT

    assert len(EXCEPTIONS) == 10
    assert all(len(exception.reason) > 40 and exception.match for exception in EXCEPTIONS.values())
    assert not set(LEFT_OUT) & {name.partition("[")[0] for name in EXCEPTIONS}


def test_the_public_names_of_ner_are_served_or_answered(root):
    """Each has the same name here, or stands in the table of the page."""
    page = (root / "docs" / "component.md").read_text("utf8")
    table = page.partition("{#scripts-for-ner}")[2].partition("\n## ")[0]
    theirs, ours = (spacy.blank("en").add_pipe(name) for name in ("ner", "lstm_ner"))
    missing = [name for name in dir(theirs) if not name.startswith("_") and not hasattr(ours, name)]
    assert missing and [name for name in missing if f"`{name}`" not in table] == []


def test_in_the_place_of_ner_with_its_name():
    nlp = English()
    nlp.add_pipe("ner")
    nlp.add_pipe("sentencizer")
    ner = nlp.replace_pipe("ner", "lstm_ner")
    nlp.initialize(lambda: examples_for(nlp, TRAIN))
    assert nlp.pipe_names == ["ner", "sentencizer"] and nlp.pipe_factories["ner"] == "lstm_ner"
    assert nlp.pipe_labels["ner"] == list(ner.labels) == ["LOC", "PERSON"]
    doc = nlp("I like London.")
    doc.ents = [Span(doc, 2, 3, label="LOC")]
    assert "LOC" in displacy.render(doc, style="ent", options={"ents": list(ner.labels)}, jupyter=False)


@pytest.mark.parametrize("removed", [[], ["moves", "update_with_oracle_cut_size"]])
def test_a_block_of_ner_with_another_factory(removed):
    """The page says what to remove; until then, each error names it."""
    nlp = English()
    nlp.add_pipe("ner")
    config = nlp.config.copy()
    block = config["components"]["ner"]
    block["factory"] = "lstm_ner"
    for name in removed:
        del block[name]
    message = (
        "'ner': its model is 'parser_model', .* remove the block" if removed else "-> moves\\s+unexpected argument"
    )
    with pytest.raises(ValueError, match=message):
        English.from_config(config)
    for name in {"moves", "update_with_oracle_cut_size", "model"} - {*removed}:
        del block[name]
    assert English.from_config(config).get_pipe("ner").cfg["incorrect_spans_key"] is None
