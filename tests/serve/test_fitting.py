"""Fit on submit."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
import spacy
from support.commands import run_command
from support.serving import CONFIG, client_of, tasks_of, wait_for, webhook_of
from support.shared_tok2vec import shared
from support.small import examples_for

from spacy_lstm_ner.files import intact
from spacy_lstm_ner.serve.fitting import FitSettings, Fitter, _are_right, annotation
from spacy_lstm_ner.serve.label_studio import submission
from spacy_lstm_ner.serve.model import LEARNED, Served

TEXT = "Zorbax opens an office in Quendale"
REGIONS = [(0, 6, "Zorbax", "ORG"), (26, 34, "Quendale", "GPE")]
FAST = FitSettings(updates=25, learn_rate=0.01)


def fitter_of(folder, output, settings=FAST):
    return Fitter(str(folder), output, None, settings)


def predicted(client, task):
    (result,) = client.post("/predict", json={"tasks": [task], "label_config": CONFIG}).json()["results"]
    return [
        (r["value"]["start"], r["value"]["end"], r["value"]["text"], *r["value"]["labels"]) for r in result["result"]
    ]


def until_learned(client, number):
    def learned():
        fit = client.get("/health").json()["fit"]
        return fit["learned"] == number and fit["state"] != "fitting" and fit

    return wait_for(learned)


def test_a_submission_is_predicted_after_its_fit(folder, tmp_path):
    (task,) = tasks_of(TEXT)
    output = tmp_path / "out"
    with client_of(folder, fitter=fitter_of(folder, output)) as client:
        before = client.post("/setup", json={"project": "3.1", "schema": CONFIG}).json()["model_version"]
        assert predicted(client, task) != REGIONS
        response = client.post("/webhook", json=webhook_of(task, REGIONS))
        assert response.status_code == 201 and response.json()["status"] == "ok"
        assert until_learned(client, 1)["state"] == "idle"
        after = client.post("/setup", json={"project": "3.1", "schema": CONFIG}).json()["model_version"]
        assert after == f"{before}+1"
        assert predicted(client, task) == REGIONS
    # MODEL itself is as it was; the next server goes on with what was learned.
    assert Served.load(folder).version == before
    with client_of(folder, fitter=fitter_of(folder, output)) as client:
        assert client.get("/health").json()["model_version"] == after
        assert predicted(client, task) == REGIONS
    nlp = spacy.load(output / "model")
    assert nlp.get_pipe("lstm_ner").cfg == spacy.load(folder).get_pipe("lstm_ner").cfg | {
        "labels": nlp.get_pipe("lstm_ner").cfg["labels"]
    }


def test_the_submissions_can_be_converted(folder, tmp_path):
    (task,) = tasks_of("😀 " + TEXT)
    fitter = fitter_of(folder, tmp_path / "out")
    # The thread does not run without `with`, so nothing is learned here.
    client = client_of(folder, fitter=fitter)
    moved = [(start + 3, end + 3, text, label) for start, end, text, label in REGIONS]
    assert client.post("/webhook", json=webhook_of(task, moved)).status_code == 201
    output, code = run_command("convert", tmp_path / "out" / "annotations.jsonl", tmp_path / "a.jsonl", "-o", "doccano")
    assert code == 0, output
    (line,) = (tmp_path / "a.jsonl").read_text("utf8").splitlines()
    assert json.loads(line)["label"] == [[2, 8, "ORG"], [28, 36, "GPE"]]


def test_the_last_annotation_of_a_task_wins(folder, tmp_path):
    (task,) = tasks_of(TEXT)
    fitter = fitter_of(folder, tmp_path / "out")
    client = client_of(folder, fitter=fitter)
    for label in ("GPE", "ORG"):
        body = webhook_of(task, [(0, 6, "Zorbax", label)], "ANNOTATION_UPDATED")
        assert client.post("/webhook", json=body).status_code == 201
    with client:
        until_learned(client, 2)
        assert predicted(client, task)[0] == (0, 6, "Zorbax", "ORG")


def test_what_is_not_learned(folder, tmp_path):
    (task,) = tasks_of(TEXT)
    client = client_of(folder, fitter=fitter_of(folder, tmp_path / "out"))
    cancelled = client.post("/webhook", json=webhook_of(task, [], cancelled=True))
    assert cancelled.status_code == 200 and cancelled.json()["status"] == "ignored"
    body = webhook_of(task, REGIONS)
    for wrong in (
        {**body, "task": None},
        {**body, "annotation": None},
        {**body, "annotation": {"result": {}}},
        {**body, "task": {"id": "x", "data": {"body": TEXT}}},
        webhook_of(task, [("zero", 6, "Zorbax", "ORG")]),
        webhook_of(task, [(0, 6, "Zorbax", " ")]),
    ):
        response = client.post("/webhook", json=wrong)
        assert response.status_code == 422 and list(response.json()) == ["error"]
    assert not (tmp_path / "out" / "annotations.jsonl").exists()


def test_a_fit_that_fails_keeps_the_old_pipeline(folder, tmp_path, monkeypatch, caplog):
    first, second = tasks_of(TEXT, "Berlin is nice")
    with client_of(folder, fitter=fitter_of(folder, tmp_path / "out")) as client, monkeypatch.context() as patch:
        patch.setattr("spacy_lstm_ner.serve.fitting.learn", lambda *arguments: 1 / 0)
        client.post("/webhook", json=webhook_of(first, REGIONS))
        assert until_learned(client, 1)["state"] == "failed"
        assert "ZeroDivisionError" in caplog.text
        assert client.get("/health").json()["model_version"] == "en_pipeline 0.0.0"
        assert predicted(client, second) == [(0, 6, "Berlin", "LOC")]
        patch.undo()
        client.post("/webhook", json=webhook_of(second, [(0, 6, "Berlin", "GPE")]))
        assert until_learned(client, 2)["state"] == "idle"
        assert predicted(client, second) == [(0, 6, "Berlin", "GPE")]


def test_a_learned_pipeline_starts_another_folder(folder, tmp_path):
    first, second = tasks_of(TEXT, "Berlin is nice")
    with client_of(folder, fitter=fitter_of(folder, tmp_path / "one")) as client:
        client.post("/webhook", json=webhook_of(first, REGIONS))
        until_learned(client, 1)
    with client_of(folder, fitter=fitter_of(tmp_path / "one" / "model", tmp_path / "two")) as client:
        client.post("/webhook", json=webhook_of(second, [(0, 6, "Berlin", "GPE")]))
        until_learned(client, 1)
        assert predicted(client, second) == [(0, 6, "Berlin", "GPE")]


def test_a_full_disk_leaves_no_part_of_a_line(folder, tmp_path, monkeypatch):
    (task,) = tasks_of(TEXT)
    client = client_of(folder, fitter=fitter_of(folder, tmp_path / "out"))

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert client.post("/webhook", json=webhook_of(task, REGIONS)).status_code == 500
    assert client.post("/webhook", json=webhook_of(task, REGIONS)).status_code == 201
    assert len((tmp_path / "out" / "annotations.jsonl").read_bytes().splitlines()) == 1


def test_an_incomplete_line_is_cut_off(folder, tmp_path, caplog):
    (task,) = tasks_of(TEXT)
    output = tmp_path / "out"
    client_of(folder, fitter=fitter_of(folder, output)).post("/webhook", json=webhook_of(task, REGIONS))
    path = output / "annotations.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    with client_of(folder, fitter=fitter_of(folder, output)) as client:
        assert path.read_bytes() == whole and "incomplete" in caplog.text
        until_learned(client, 1)
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(ValueError, match=r"annotations.jsonl:1: expected a submitted task"):
        fitter_of(folder, output)


def test_the_folder_has_nothing_else(folder, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="no pipeline"):
        fitter_of(folder, tmp_path)


def test_a_listener_cannot_learn_alone(tmp_path):
    nlp = shared("lstm_ner")
    nlp.initialize(lambda: examples_for(nlp))
    nlp.to_disk(tmp_path / "shared")
    with pytest.raises(ValueError, match="replace_listeners"):
        fitter_of(tmp_path / "shared", tmp_path / "out").load()


def test_a_kill_in_the_middle_of_a_fit(folder, tmp_path, run_env):
    """The pipeline of before the fit can be loaded, and the next server learns what was submitted."""
    first, second = tasks_of(TEXT, "Berlin is nice")
    output = tmp_path / "out"
    with client_of(folder, fitter=fitter_of(folder, output)) as client:
        client.post("/webhook", json=webhook_of(first, REGIONS))
        until_learned(client, 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--fit", str(output), "--updates", "100000", "--learn-rate", "0"]
    command = [sys.executable, "-m", "spacy", "lstm-ner", "serve", str(folder), *options]
    server = subprocess.Popen(command, env=run_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}"

        def health():
            assert server.poll() is None, server.stdout.read()
            try:
                with urllib.request.urlopen(f"{url}/health") as response:
                    return json.load(response)
            except OSError:
                return None

        assert wait_for(health)["model_version"].endswith("+1")
        body = json.dumps(webhook_of(second, [(0, 6, "Berlin", "GPE")])).encode()
        request = urllib.request.Request(f"{url}/webhook", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            assert response.status == 201
        wait_for(lambda: health()["fit"]["state"] == "fitting")
    finally:
        server.kill() if os.name == "nt" else server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()
    assert spacy.load(intact(output / "model")).meta[LEARNED] == 1
    with client_of(folder, fitter=fitter_of(folder, output)) as client:
        assert predicted(client, first) == REGIONS
        until_learned(client, 2)
        assert predicted(client, second) == [(0, 6, "Berlin", "GPE")]


def submitted(text, regions, config):
    (task,) = tasks_of(text)
    body = webhook_of(task, regions, config=config)
    del body["action"]
    return submission(**body)


def test_labels_that_the_project_does_not_have_are_not_unlearned(folder):
    served, text = Served.load(folder), "Who is Shaka Khan?"
    found = [span[:3] for span in served.records([text])[0].spans]
    assert found == [(7, 17, "PERSON")]
    control = '<Labels name="label" toName="text"><Label value="GPE"/></Labels>'
    project = f'<View>{control}<Text name="text" value="$body"/></View>'
    (record,) = annotation(served, [submitted(text, [], project)])
    assert record.missing == [(7, 17)] and not record.spans
    (record,) = annotation(served, [submitted(text, [], project.replace("GPE", "PERSON"))])
    assert not record.missing


@pytest.mark.parametrize("end", [17, 18])
def test_a_fit_is_done_when_tokens_can_be_no_closer(folder, end):
    """A region may end with a space, which no entity does."""
    served, text = Served.load(folder), "Who is Shaka Khan  ?"
    right = submitted(text, [(7, end, text[7:end], "PERSON")], None)
    wrong = submitted(text, [(7, 12, text[7:12], "PERSON")], None)
    assert _are_right(served, annotation(served, [right])) and not _are_right(
        served, annotation(served, [right, wrong])
    )
