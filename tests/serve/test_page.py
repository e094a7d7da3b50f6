"""The page in a browser. Skipped without selenium, Chromium and its driver."""

import threading

import pytest
import uvicorn
from support.serving import LIMITS, wait_for

from spacy_lstm_ner.serve.app import create_app
from spacy_lstm_ner.serve.model import Served

TEXT = "\U0001f600 I like London and Berlin <img src=x onerror=alert(1)>"
SHOWN = """const copy = document.getElementById('text').cloneNode(true);
copy.querySelectorAll('small').forEach((label) => label.remove());
return copy.textContent"""
TYPE = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"


@pytest.fixture
def url(folder):
    config = uvicorn.Config(create_app(Served.load(folder), LIMITS), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def test_type_a_text_and_move_the_slider(browser, url):
    def marks(place):
        return [mark.text for mark in browser.find_elements("css selector", f"{place} mark")]

    browser.get(url)
    browser.execute_script(TYPE, browser.find_element("id", "input"), TEXT)
    found = wait_for(lambda: marks("#text"))
    assert [text.split("LOC")[0] for text in found] == ["London", "Berlin"]
    assert len(browser.find_elements("css selector", "#alternatives tr")) == 5
    slider = browser.find_element("id", "threshold")
    browser.execute_script(TYPE, slider, "1")
    assert marks("#text") == []
    browser.execute_script(TYPE, slider, "0")
    assert len(marks("#text")) >= 2
    # The text is shown as it is, and nothing in it became a part of the page.
    assert browser.execute_script(SHOWN) == TEXT
    assert browser.find_elements("css selector", "#text img, #alternatives img") == []
    assert browser.get_log("browser") == []
