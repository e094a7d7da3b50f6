"""Who may send requests, and how large and slow they may be."""

import asyncio
import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.commands import run_command
from support.serving import client_of, wait_for

from spacy_lstm_ner.serve.limits import Limits, is_loopback
from spacy_lstm_ner.serve.model import Served

BODY = {"texts": ["I like London"]}
TOKEN = "a-long:tökén"


def basic(password, user="any"):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost", 200),
        ("localhost:9090", 200),
        ("127.0.0.1:9090", 200),
        ("[::1]:9090", 200),
        ("LOCALHOST", 200),
        ("evil.example", 403),
        ("evil.example:9090", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403),
        ("192.168.0.7", 403),
        ("localhost:x@evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_without_a_token_the_host_is_this_machine(host, status, client):
    for response in (
        client.post("/annotate", json=BODY, headers={"host": host}),
        client.get("/", headers={"host": host}),
    ):
        assert response.status_code == status


def test_two_hosts_are_none(client):
    headers = [("host", "localhost"), ("host", "evil.example")]
    assert client.get("/", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"origin": "http://localhost"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:8080"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_pages_of_other_sites_send_nothing(headers, status, token, folder):
    client = client_of(folder, token=token)
    known = {"authorization": basic(TOKEN)} if token else {}
    assert client.post("/annotate", json=BODY, headers={**headers, **known}).status_code == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_only_json_is_taken(kind, client):
    assert client.post("/annotate", content=b'{"texts": []}', headers={"content-type": kind}).status_code == 415


def test_json_may_name_its_charset(client):
    headers = {"content-type": "application/json; charset=utf-8"}
    assert client.post("/annotate", content=b'{"texts": []}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    "authorization, status",
    [
        (b"Bearer " + TOKEN.encode(), 200),
        (b"bearer " + TOKEN.encode(), 200),
        (basic(TOKEN), 200),
        (basic(TOKEN, ""), 200),
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        (b"Token " + TOKEN.encode(), 401),
        (basic("wrong"), 401),
        ("Basic !!!", 401),
        ("Basic " + base64.b64encode(TOKEN.encode()).decode(), 401),
        (b"Bearer " + TOKEN.encode() + b"x", 401),
    ],
)
def test_a_token(authorization, status, folder):
    client = client_of(folder, token=TOKEN, host="ner.example")
    headers = {} if authorization is None else {"authorization": authorization}
    for response in (client.post("/annotate", json=BODY, headers=headers), client.get("/", headers=headers)):
        assert response.status_code == status
        assert ("www-authenticate" in response.headers) == (status == 401)
    assert client.get("/openapi.json", headers=headers).status_code == status
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused(chunked, folder):
    client = client_of(folder, Limits(body=100))

    def chunks():
        for _ in range(1000):
            yield b" " * 50

    content = chunks() if chunked else b" " * 101
    response = client.post("/annotate", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 413 and "more than 100 bytes" in response.json()["error"]
    assert client.post("/annotate", json={"texts": ["a"]}).status_code == 200


def test_many_and_long_texts_are_refused(folder):
    client = client_of(folder, Limits(texts=2, characters=5))
    assert client.post("/annotate", json={"texts": ["abcde", "a"]}).status_code == 200
    for body in ({"texts": ["a"] * 3}, {"texts": ["abcdef"]}):
        assert client.post("/annotate", json=body).status_code == 413
    assert client.post("/predict", json={"tasks": [{"data": {"text": "a"}}] * 3}).status_code == 413
    assert client.post("/predict", json={"tasks": [{"data": {"text": "abcdef"}}]}).status_code == 413


@pytest.fixture
def held(monkeypatch):
    """Calls of the model wait for this event."""
    event, annotate = threading.Event(), Served.annotate

    def slow(self, *arguments):
        event.wait(30)
        return annotate(self, *arguments)

    monkeypatch.setattr(Served, "annotate", slow)
    yield event
    event.set()


def test_more_requests_than_the_queue_holds(held, folder):
    with client_of(folder, Limits(requests=2)) as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "/annotate", json=BODY) for _ in range(2)]
        wait_for(lambda: client.app.running == 2)
        refused = client.get("/")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1" and list(refused.json()) == ["error"]
        held.set()
        assert [future.result().status_code for future in waiting] == [200, 200]
        assert client.post("/annotate", json=BODY).status_code == 200


def test_a_slow_request_is_answered_in_time(held, folder):
    with client_of(folder, Limits(seconds=0.2)) as client:
        response = client.post("/annotate", json=BODY)
        assert response.status_code == 504 and "within 0.2 seconds" in response.json()["error"]
        # The first call runs on, and this one is dropped before its turn.
        assert client.post("/annotate", json=BODY).status_code == 504
        assert client.get("/health").status_code == 200
        held.set()
        assert wait_for(lambda: client.post("/annotate", json=BODY).status_code == 200)


def test_a_body_that_does_not_arrive(folder):
    """The sender stops in the middle. Its place in the queue is free again after the time of a request."""
    guard, sent = client_of(folder, Limits(seconds=0.1)).app, []
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"1000")]
    first = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive():
        return first.pop() if first else await asyncio.sleep(30)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/annotate", "headers": headers}
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == 408 and guard.running == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_names_of_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", "localhost.", ""])
def test_names_of_others(host):
    assert not is_loopback(host)


def test_another_host_needs_a_token(folder, monkeypatch):
    monkeypatch.delenv("SPACY_LSTM_NER_TOKEN", raising=False)
    output, code = run_command("serve", folder, "--host", "0.0.0.0")
    assert code == 1 and "need a token" in output


def test_the_missing_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    output, code = run_command("serve", folder)
    assert code == 1 and "spacy-lstm-ner[serve]" in output


def test_a_pipeline_that_is_missing_or_has_no_component(tmp_path):
    import spacy

    assert run_command("serve", tmp_path / "no")[1] == 1
    spacy.blank("en").to_disk(tmp_path / "blank")
    output, code = run_command("serve", tmp_path / "blank")
    assert code == 1 and "no lstm_ner component" in output
