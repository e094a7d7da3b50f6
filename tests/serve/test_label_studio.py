"""The protocol of Label Studio's ML backends."""

import pytest
from support.serving import CONFIG, client_of, tasks_of, webhook_of

from spacy_lstm_ner.serve.label_studio import Control, find_control, submission

TEXT = "😀 I like London and Berlin."


@pytest.fixture(scope="module")
def client(folder):
    return client_of(folder)


def test_setup(client):
    body = {"project": "3.1700000000", "schema": CONFIG, "hostname": "http://localhost:8080", "extra_params": None}
    assert client.post("/setup", json=body).json() == {"model_version": "en_pipeline 0.0.0"}
    # A new project has no labels yet.
    assert client.post("/setup", json={**body, "schema": "<View></View>"}).status_code == 200
    assert client.post("/setup", json={**body, "schema": "<View>"}).status_code == 422


def test_predict(client):
    params = {"login": None, "password": None, "context": None}
    body = {"tasks": tasks_of(TEXT, "nothing"), "project": "3.17", "label_config": CONFIG, "params": params}
    answer = client.post("/predict", json=body).json()
    first, second = answer["results"]
    values = [region.pop("value") for region in first["result"]]
    # UTF-16 units: the first character has two.
    assert values == [
        {"start": 10, "end": 16, "text": "London", "labels": ["LOC"]},
        {"start": 21, "end": 27, "text": "Berlin", "labels": ["LOC"]},
    ]
    for k, region in enumerate(first["result"], 1):
        assert 0 < region.pop("score") <= 1
        assert region == {"id": f"r{k}", "from_name": "ner", "to_name": "sentence", "type": "labels"}
    assert 0 < first["score"] <= 1 and second["result"] == [] and 0 < second["score"] <= 1
    assert {one["model_version"] for one in (first, second, answer)} == {"en_pipeline 0.0.0"}


def test_labels_that_the_project_lacks_are_left_out(client):
    config = CONFIG.replace('"LOC"', '"PLACE"')
    (result,) = client.post("/predict", json={"tasks": tasks_of(TEXT), "label_config": config}).json()["results"]
    assert result["result"] == []


def test_without_a_configuration_the_names_are_the_usual_ones(client):
    (result,) = client.post("/predict", json={"tasks": [{"data": {"text": TEXT}}]}).json()["results"]
    assert {(region["from_name"], region["to_name"]) for region in result["result"]} == {("label", "text")}


@pytest.mark.parametrize(
    "body, message",
    [
        ({}, "tasks"),
        ({"tasks": None}, "tasks"),
        ({"tasks": [1]}, "tasks[0]: expected an object"),
        (
            {"tasks": [{"data": {"body": "a"}}, {"data": {}}], "label_config": CONFIG},
            "tasks[1]: expected a field 'body'",
        ),
        ({"tasks": [], "label_config": "<View/>"}, "expected a control Labels"),
        ({"tasks": [], "label_config": CONFIG.replace("<Text ", "<Text valueType='url' ")}, "valueType"),
        ({"tasks": [], "label_config": "<View><Labels"}, "expected XML"),
        ({"tasks": [], "label_config": "<!DOCTYPE View><View/>"}, "no document type"),
        ({"tasks": [], "label_config": "<View>" * 50_000}, "at most"),
        ({"tasks": [], "label_config": 1}, "label_config"),
    ],
)
def test_what_cannot_be_predicted_is_named(body, message, client):
    response = client.post("/predict", json=body)
    assert response.status_code == 422 and message in response.json()["error"]


def test_entities_of_xml_are_not_expanded():
    names = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 9))
    bomb = f'<!DOCTYPE View [<!ENTITY e0 "ha">{names}]><View>&e8;</View>'
    with pytest.raises(ValueError, match="no document type"):
        find_control(bomb)
    with pytest.raises(ValueError, match="no document type"):
        find_control('<!DOCTYPE View [<!ENTITY file SYSTEM "file:///etc/passwd">]><View>&file;</View>')


def test_deep_xml_is_read():
    depth = 20_000
    with pytest.raises(ValueError, match="expected a control"):
        find_control("<a>" * depth + "</a>" * depth)


def test_the_control_of_a_text():
    other = '<Labels name="image" toName="photo"><Label value="Car"/></Labels><Image name="photo" value="$url"/>'
    found = find_control(f"<View><Header/>{other}{CONFIG}<Choices name='c' toName='sentence'/></View>")
    assert found == Control("ner", "sentence", "body", frozenset({"LOC", "ORG", "GPE"}))
    dynamic = '<View><Labels name="l" toName="t" value="$names"/><Text name="t" value="$text"/></View>'
    assert find_control(dynamic) == Control("l", "t", "text", frozenset())
    assert find_control(None) == find_control("") == Control()


def test_a_submission_is_a_task_of_the_export():
    (task,) = tasks_of(TEXT)
    body = webhook_of(task, [(10, 16, "London", "LOC")])
    del body["action"]
    body["annotation"]["result"].append({"type": "choices", "from_name": "c", "value": {"choices": ["good"]}})
    other = {"type": "labels", "from_name": "other", "value": {"start": 0, "end": 2, "text": "😀", "labels": ["X"]}}
    body["annotation"]["result"].append(other)
    value = {"start": 10, "end": 16, "text": "London", "labels": ["LOC"]}
    annotation = {"was_cancelled": False, "result": [{"type": "labels", "value": value}]}
    found = submission(**body)
    assert found.key == ("3", 1) and [span[:3] for span in found.record.spans] == [(9, 15, "LOC")]
    labels = ["GPE", "LOC", "ORG"]
    assert found.task == {
        "id": 1,
        "project": "3",
        "labels": labels,
        "data": {"text": TEXT},
        "annotations": [annotation],
    }


@pytest.mark.parametrize(
    "body, detail",
    [
        ({"action": "PROJECT_UPDATED", "project": {"id": 3}}, "brings nothing"),
        ({"action": "START_TRAINING"}, "brings nothing"),
        (webhook_of(tasks_of(TEXT)[0], []), "without --fit"),
    ],
)
def test_webhooks_that_bring_nothing(body, detail, client):
    response = client.post("/webhook", json=body)
    assert response.status_code == 200
    assert response.json()["status"] == "ignored" and detail in response.json()["detail"]
