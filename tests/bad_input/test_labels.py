"""Bad input: labels."""

import json
import logging

import pytest
from support.bad_input import blank, entities, examples_for, own_warnings, train, trained


def initialize(nlp, labels):
    """As `spacy train` does with labels in [initialize.components.lstm_ner]."""
    nlp.config["initialize"]["components"]["lstm_ner"] = {"labels": labels}
    examples = examples_for(nlp)
    return nlp.initialize(lambda: examples)


def label_file(path, require):
    return {"@readers": "spacy.read_labels.v1", "path": str(path), "require": require}


def test_no_labels():
    nlp = blank()
    examples = examples_for(nlp, [("a b", [])])
    with own_warnings() as said:
        train(nlp, examples)
    assert said == [
        "'lstm_ner': it has no labels, so it predicts O for every token. Give it data with entities, or labels"
    ]
    assert [token.ent_iob_ for token in nlp("a b")] == ["O", "O"]
    dummy = blank()
    optimizer = dummy.initialize()
    with own_warnings() as said:
        for _ in range(2):
            dummy.update(examples_for(dummy, [("a b", [])]), sgd=optimizer)
    assert len(said) == 1 and "has no labels" in said[0]


def test_a_label_that_only_dev_has():
    nlp = trained()
    scores = nlp.evaluate(examples_for(nlp, [("IBM", [(0, 3, "org")])]))
    assert scores["ents_per_type"]["org"] == {"p": 0.0, "r": 0.0, "f": 0.0}
    json.dumps(scores)


def test_a_label_that_was_not_given():
    nlp = blank()
    with own_warnings() as said:
        optimizer = initialize(nlp, ["per"])
    assert len(said) == 1 and "1 entities with labels that it does not have: geo (1)" in said[0]
    with own_warnings() as said:
        nlp.update(examples_for(nlp), sgd=optimizer)
    assert len(said) == 1 and "labels geo were added when update first met them" in said[0]
    component = nlp.get_pipe("lstm_ner")
    assert component.labels == ("per", "geo")
    del component.model.attrs["resize_output"]
    with pytest.raises(ValueError, match=r"'late' cannot be added.*\[initialize\.components\.lstm_ner\] labels"):
        nlp.update(examples_for(nlp, [("Ann", [(0, 3, "late")])]))


def test_no_file_of_labels(tmp_path):
    nlp = blank()
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = logging.getLogger("spacy")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        initialize(nlp, label_file(tmp_path / "none.json", False))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert "'lstm_ner': labels read from the data: geo, per" in records
    assert nlp.get_pipe("lstm_ner").labels == ("geo", "per")
    with pytest.raises((FileNotFoundError, ValueError), match=r"none\.json"):
        initialize(blank(), label_file(tmp_path / "none.json", True))


@pytest.mark.parametrize(
    "content, kind", [(5, "int"), ("per", "str"), ({"per": 1}, "dict"), ([["per"]], "list"), ([1, "per"], "list")]
)
def test_a_file_of_labels_of_another_form(tmp_path, content, kind):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content), "utf-8")
    message = f"'lstm_ner': labels must be a list of strings, as `spacy init labels` writes them, .* but got {kind} "
    with pytest.raises(ValueError, match=message):
        initialize(blank(), label_file(path, True))


@pytest.mark.parametrize("label", [9, None, b"per", 1.5])
def test_a_label_that_is_no_string(label):
    component = blank().get_pipe("lstm_ner")
    with pytest.raises(ValueError, match="E187"):
        component.add_label(label)
    assert component.labels == ()


def test_unusual_labels_are_taken():
    labels = ["a b", "Größe", "人物", "LARGE-ANIMAL", "B-per", "x" * 300, "-", "o"]
    names = ["Ann", "Bert", "Cynthia", "Dora", "Emil", "Frederic", "Gustav", "Helen"]
    nlp = blank()
    data = [(f"{name} ran", [(0, len(name), label)]) for name, label in zip(names, labels, strict=True)]
    train(nlp, examples_for(nlp, data), steps=60)
    copy = blank()
    copy.from_bytes(nlp.to_bytes())
    for pipeline in (nlp, copy):
        found = [entities(doc) for doc in pipeline.pipe(text for text, _ in data)]
        assert found == [[(name, label)] for name, label in zip(names, labels, strict=True)]


def test_the_label_o_is_reserved():
    for label in ("O", ""):
        with pytest.raises(ValueError, match=f"'lstm_ner': '{label}' cannot be an entity label"):
            blank().get_pipe("lstm_ner").add_label(label)
    with pytest.raises(ValueError, match="'O' cannot be an entity label"):
        initialize(blank(), ["O"])


def test_a_label_that_is_no_text_is_not_taken():
    """Text with half of a surrogate pair cannot be written as UTF-8, so the component could not be saved with it."""
    nlp = blank()
    train(nlp, examples_for(nlp), steps=1)
    component = nlp.get_pipe("lstm_ner")
    labels = component.labels
    with pytest.raises(ValueError, match=r"'lstm_ner': the label '\\ud800' is no valid text"):
        component.add_label("\ud800")
    assert component.labels == labels
    assert blank().from_bytes(nlp.to_bytes()).get_pipe("lstm_ner").labels == labels
