"""A server for tests, and requests as Label Studio sends them."""

import time
from functools import cache

from fastapi.testclient import TestClient

from spacy_lstm_ner.serve.app import create_app
from spacy_lstm_ner.serve.limits import Limits
from spacy_lstm_ner.serve.model import Served

CONFIG = """<View>
  <Labels name="ner" toName="sentence"><Label value="LOC"/><Label value="ORG"/><Label value="GPE"/></Labels>
  <Text name="sentence" value="$body"/>
</View>"""
LIMITS = Limits()
STATUSES = {200, 201, 400, 401, 403, 404, 405, 408, 413, 415, 422, 503, 504}
"""What the documentation lists, and no 500."""


_served = cache(Served.load)


def client_of(folder, limits=LIMITS, token=None, fitter=None, host="localhost"):
    """A client of a server in this process. The learning thread runs within `with`."""
    served = _served(folder) if fitter is None else fitter.load()
    app = create_app(served, limits, token, fitter)
    return TestClient(app, base_url=f"http://{host}", raise_server_exceptions=False)


def tasks_of(*texts):
    return [{"id": k, "data": {"body": text}, "project": 3, "predictions": []} for k, text in enumerate(texts, 1)]


def webhook_of(task, regions, action="ANNOTATION_CREATED", cancelled=False, config=CONFIG):
    """The body of a webhook. regions: (start, end, text, label), in UTF-16 units."""
    result = [
        {
            "id": f"x{k}",
            "from_name": "ner",
            "to_name": "sentence",
            "type": "labels",
            "origin": "manual",
            "value": {"start": start, "end": end, "text": text, "labels": [label]},
        }
        for k, (start, end, text, label) in enumerate(regions)
    ]
    annotation = {"id": 7, "task": task["id"], "was_cancelled": cancelled, "ground_truth": False, "result": result}
    project = {"id": 3, "title": "Names", "label_config": config}
    return {"action": action, "annotation": annotation, "task": task, "project": project}


def wait_for(condition, seconds=60):
    """Wait until a condition holds, and return what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError(condition)
