"""The routes `/annotate`, `/health` and the page."""

import re

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from support.serving import STATUSES, client_of

TEXT = "I like London and Berlin."
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["texts", "tasks", "data", "text", "id", "action", "result"]), inner)
    ),
    max_leaves=8,
)


def test_entities_have_the_scores_of_the_pipeline(client, folder):
    nlp = spacy.load(folder)
    texts = [TEXT, "", "😀 I like London and Berlin."]
    answer = client.post("/annotate", json={"texts": texts}).json()
    assert answer["model_version"] == "en_pipeline 0.0.0"
    for text, result in zip(texts, answer["results"], strict=True):
        expected = [(e.start_char, e.end_char, e.label_, e.text, e._.lstm_ner_score) for e in nlp(text).ents]
        found = [tuple(e[key] for key in ("start", "end", "label", "text", "score")) for e in result["entities"]]
        assert [one[:4] for one in found] == [one[:4] for one in expected]
        assert [one[4] for one in found] == pytest.approx([one[4] for one in expected], abs=1e-5)
        assert "alternatives" not in result
    assert len(answer["results"][0]["entities"]) == 2


def test_a_threshold_holds_for_one_request(client):
    score = min(e["score"] for e in client.post("/annotate", json={"texts": [TEXT]}).json()["results"][0]["entities"])
    between = (1 + score) / 2
    strict = client.post("/annotate", json={"texts": [TEXT], "threshold": between}).json()["results"][0]["entities"]
    assert all(entity["score"] >= between for entity in strict) and len(strict) < 2
    assert len(client.post("/annotate", json={"texts": [TEXT]}).json()["results"][0]["entities"]) == 2


def test_alternatives_and_candidates(client):
    (result,) = client.post("/annotate", json={"texts": [TEXT], "alternatives": 4}).json()["results"]
    probabilities = [one["probability"] for one in result["alternatives"]]
    assert len(probabilities) == 4 and probabilities == sorted(probabilities, reverse=True) and sum(probabilities) <= 1
    best = [(e["start"], e["end"], e["label"]) for e in result["alternatives"][0]["entities"]]
    assert best == [(e["start"], e["end"], e["label"]) for e in result["entities"]]
    candidates = {(e["start"], e["end"], e["label"]): e["score"] for e in result["candidates"]}
    named = {(e["start"], e["end"], e["label"]) for one in result["alternatives"] for e in one["entities"]}
    assert set(candidates) == named and len(named) > 2
    scores = [e["score"] for e in result["candidates"]]
    assert scores == sorted(scores, reverse=True)
    for entity in result["entities"]:
        assert candidates[entity["start"], entity["end"], entity["label"]] == pytest.approx(entity["score"], abs=1e-5)


def test_entities_of_other_components_have_no_score(folder, tmp_path):
    nlp = spacy.load(folder)
    nlp.add_pipe("entity_ruler", first=True).add_patterns([{"label": "THING", "pattern": "nothing"}])
    nlp.to_disk(tmp_path / "ruled")
    body = {"texts": ["nothing to see in London"], "alternatives": 2}
    (result,) = client_of(tmp_path / "ruled").post("/annotate", json=body).json()["results"]
    assert {"start": 0, "end": 7, "label": "THING", "text": "nothing"} in result["entities"]
    assert all(one["start"] >= 7 for one in result["candidates"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"texts": "text"},
        {"texts": [1]},
        {"texts": ["a"], "threshold": 1.5},
        {"texts": ["a"], "threshold": "0.5"},
        {"texts": ["a"], "alternatives": 21},
        {"texts": ["a"], "alternatives": True},
        {"texts": ["a"], "other": 1},
    ],
)
def test_wrong_types_are_named(body, client):
    response = client.post("/annotate", json=body)
    assert response.status_code == 422
    assert list(response.json()) == ["error"] and "Traceback" not in response.text


@pytest.mark.parametrize(
    "body, message",
    [
        (b"{", "no JSON"),
        (b'{"texts": ["a"], "threshold": NaN}', "NaN is no JSON number"),
        (b'{"texts": ["a"], "threshold": -Infinity}', "-Infinity is no JSON number"),
        (rb'{"texts": ["\ud800"]}', "surrogate"),
        (rb'{"\udc00": ["a"]}', "surrogate"),
        (b'{"texts": ["\xff"]}', "not UTF-8"),
        (b'{"texts": ' + b"[" * 200_000, "nested too deeply"),
        (b"9" * 10_000, "no JSON"),
        (b"", "no JSON"),
    ],
)
def test_what_is_no_clean_json_is_refused(body, message, client):
    response = client.post("/annotate", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400 and message in response.json()["error"]


def test_a_pair_of_surrogates_is_text(client):
    body = rb'{"texts": ["\ud83d\ude00 London"]}'
    assert client.post("/annotate", content=body, headers={"content-type": "application/json"}).status_code == 200


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["annotate", "setup", "predict", "webhook"]), JSON)
def test_any_json_has_a_documented_answer(client, route, body):
    import json

    content = json.dumps(body)
    response = client.post(f"/{route}", content=content, headers={"content-type": "application/json"})
    assert response.status_code in STATUSES, response.text
    assert response.status_code < 300 or list(response.json()) == ["error"]
    assert "Traceback" not in response.text and 'File "' not in response.text


def test_an_unknown_error_is_not_told(folder, monkeypatch, caplog):
    client = client_of(folder)

    def fail(*arguments):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("spacy_lstm_ner.serve.model.Served.annotate", fail)
    response = client.post("/annotate", json={"texts": ["a"]})
    assert response.status_code == 500 and "secret" not in response.text and "see its log" in response.json()["error"]
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("method, path, status", [("GET", "/annotate", 405), ("GET", "/no", 404), ("POST", "/", 405)])
def test_other_routes(method, path, status, client):
    response = client.request(method, path, json={} if method == "POST" else None)
    assert response.status_code == status and list(response.json()) == ["error"]


def test_the_page_needs_nothing_from_elsewhere(client):
    response = client.get("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r"https?:|//\w+\.|innerHTML|\son\w+=", response.text.replace("// ", ""))
    assert client.get("/docs").status_code == 404


def test_health(client):
    assert client.get("/health").json() == {
        "status": "UP",
        "model_class": "LSTMEntityRecognizer",
        "model_version": "en_pipeline 0.0.0",
        "fit": {"state": "off"},
    }
