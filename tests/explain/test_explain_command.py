"""The command `explain`: its files, its page in a browser, and its errors."""

import json
import re

import numpy as np
import pytest
import spacy
from support.browser import requests, show_as
from support.commands import run_command
from support.small import SMALL, TRAIN, examples_for, learned

from spacy_lstm_ner.explain.analysis import explain_text
from spacy_lstm_ner.explain.page import write_explanation

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
TEXT = "Who likes <img src=x onerror=alert(1)> x$y_2$z\n\n in London and  Berlin?"
OVERFLOW = "return document.documentElement.scrollWidth - innerWidth"
BROKEN = "return [...document.images].filter((image) => !image.naturalWidth || !image.alt).length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pipeline")
    learned("crf").to_disk(place)
    return place


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("explained") / "new"
    output, code = run_command("explain", folder, TEXT, place)
    assert code == 0, output
    return place


def test_the_files(written):
    assert sorted(path.name for path in written.iterdir()) == sorted(
        ["explain.html", "explain.json"]
        + [f"{name}.{kind}" for name in ("gates-1", "emissions", "influence") for kind in ("svg", "png")]
    )
    page = (written / "explain.html").read_text("utf8")
    assert "<img src=x" not in page and "&lt;img src=x" in page
    links = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert len(links) == 7 and all(link.startswith("data:") for link in links)
    assert "x$y_2$z" in (written / "gates-1.svg").read_text("utf8")


def test_the_numbers(written, folder):
    told = json.loads((written / "explain.json").read_text("utf8"))
    nlp = spacy.load(folder)
    doc = nlp(TEXT)
    assert told["tokens"] == [token.text for token in doc] and told["text"] == TEXT
    found = [(ent.start, ent.end, ent.label_, ent._.lstm_ner_score) for ent in doc.ents]
    entities = told["entities"]
    assert [(e["start"], e["end"], e["label"]) for e in entities] == [ent[:3] for ent in found]
    assert [e["probability"] for e in entities] == pytest.approx([ent[3] for ent in found])
    best = nlp.get_pipe("lstm_ner").n_best([nlp.make_doc(TEXT)], 2)[0]
    assert [path["probability"] for path in told["paths"]] == pytest.approx([probability for _, probability in best])
    for path, (spans, _) in zip(told["paths"], best, strict=True):
        assert [(e["start"], e["end"], e["label"]) for e in path["entities"]] == spans
    for token, emissions, tag in zip(doc, told["emissions"], told["paths"][0]["tags"], strict=True):
        assert (emissions is None) == (tag is None) == token.is_space
        assert token.is_space or len(emissions) == len(told["tags"])
    sums = [sum(row) for row in told["marginals"] if row is not None]
    np.testing.assert_allclose(sums, 1.0)
    assert all(len(entity["influence"]) == len(doc) for entity in entities) and not told["notes"]
    assert [own["reads"] for own in told["layers"][0]["directions"]] == ["left to right", "right to left"]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_in_a_browser(browser, written, width, dark):
    url = (written / "explain.html").as_uri()
    show_as(browser, width, "dark" if dark else "light", height=800, mobile=width < 500)
    browser.get(url)
    assert browser.get_log("browser") == []
    assert requests(browser) == [url]
    assert browser.execute_script(BROKEN) == 0 and len(browser.find_elements("tag name", "img")) == 3
    # Wide figures scroll in their own box, which the keyboard reaches.
    assert browser.execute_script(OVERFLOW) <= 0
    assert len(browser.find_elements("css selector", ".scroll[tabindex='0'] img")) == 3
    shown = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert shown == ("rgb(22, 24, 29)" if dark else "rgb(253, 253, 254)")


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "the text has no words"), (" \n ", "the text has no words"), ("a " * 201, "the text has 201 tokens")],
)
def test_texts_that_cannot_be_explained(folder, tmp_path, text, message):
    output, code = run_command("explain", folder, text, tmp_path / "out")
    assert code == 1 and message in output and not (tmp_path / "out").exists()


def test_a_component_that_is_not_initialized():
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match="'lstm_ner' is not initialized"):
        explain_text(nlp, nlp.add_pipe("lstm_ner"), "London")


def test_other_errors(folder, tmp_path, monkeypatch):
    output, code = run_command("explain", folder, "London", tmp_path / "out", "--pipe", "ner")
    assert code == 1 and "no lstm_ner component 'ner' in the pipeline" in output
    monkeypatch.setattr("spacy_lstm_ner.cli.explain.find_spec", lambda name: None)
    output, code = run_command("explain", folder, "London", tmp_path / "out")
    assert code == 1 and "matplotlib is missing" in output and "spacy-lstm-ner[report]" in output


ENCODERS = {
    "gru": ({"@architectures": "spacy-lstm-ner.GRUEncoder.v1", "width": 16, "depth": 2}, ""),
    "rnn": ({"@architectures": "spacy-lstm-ner.RNNEncoder.v1", "width": 16, "bidirectional": False}, "no gates"),
    "cnn": (
        {
            "@architectures": "spacy.MaxoutWindowEncoder.v2",
            "width": 32,
            "window_size": 1,
            "maxout_pieces": 2,
            "depth": 1,
        },
        "no gates to show",
    ),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_other_encoders(name, tmp_path):
    encode, note = ENCODERS[name]
    tok2vec = {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": SMALL["crf"]["model"]["tok2vec"]["embed"],
        "encode": encode,
    }
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config={"model": {**SMALL["crf"]["model"], "tok2vec": tok2vec}})
    nlp.initialize(lambda: examples_for(nlp, TRAIN))
    explanation = explain_text(nlp, component, "nothing to see here")
    assert (note in " ".join(explanation["notes"])) and (name == "gru" or note)
    # Before training, every token is O.
    assert explanation["entities"] == [] and "no entity" in " ".join(explanation["notes"])
    figures = [path.stem for path in write_explanation(explanation, tmp_path) if path.suffix == ".svg"]
    assert figures == [*(f"gates-{k + 1}" for k in range(len(explanation["layers"]))), "emissions"]
    assert len(explanation["layers"]) == {"gru": 2, "rnn": 1, "cnn": 0}[name]


def test_a_listener_that_cannot_be_observed():
    nlp = spacy.blank("en")
    nlp.add_pipe(
        "tok2vec",
        config={
            "model": {"@architectures": "spacy.HashEmbedCNN.v2", "width": 16, "depth": 1}
            | {
                "embed_size": 50,
                "window_size": 1,
                "maxout_pieces": 2,
                "subword_features": False,
                "pretrained_vectors": None,
            }
        },
    )
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 16}
    component = nlp.add_pipe("lstm_ner", config={"model": {**SMALL["crf"]["model"], "tok2vec": listener}})
    nlp.initialize(lambda: examples_for(nlp, TRAIN))
    # As if another kind of component sent the vectors.
    nlp.get_pipe("tok2vec").listener_map.clear()
    explanation = explain_text(nlp, component, "nothing to see here")
    assert explanation["layers"] == [] and "no gates to show" in explanation["notes"][0]
