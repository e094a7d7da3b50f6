"""A pytest plugin that runs spaCy's own tests with `lstm_ner` wherever they ask for `ner`.

    PYTHONPATH=tests/spacy_suite python -m pytest -c tests/spacy_suite/pytest.ini -p plugin [--swap=WAY] TEST_FILES

The files are those of the installed spaCy, `spacy/tests`. There are two ways to put one component in another's place,
and the component must stand both (`--swap`):

registry: the name "ner" is registered anew, with our function and our defaults; pipelines say `factory = "ner"`.
methods: `Language.add_pipe` and `create_pipe` make ours when asked for "ner"; pipelines say `factory = "lstm_ner"`.

Either way a model config that is for spaCy's transition parser becomes one of ours with the same `tok2vec`.

Tests of `exceptions.EXCEPTIONS` are expected to fail with the error that is given there. One that passes, or fails
with another error, fails the run. The last line of the output says how many tests made one of our components.
"""

import functools
import os
import sys
import unittest.mock
from dataclasses import replace
from pathlib import Path

import pytest
import spacy.tests
from exceptions import EXCEPTIONS, LEFT_OUT
from spacy import registry
from spacy.language import Language
from spacy.pipeline.factories import register_factories
from thinc.api import Config, fix_random_seed

from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer

SUITE = Path(spacy.tests.__file__).parent
WAYS = ("registry", "methods")
LSTM_TAGGER = {"@architectures": "spacy-lstm-ner.LSTMTagger.v1"}
touched: set[str] = set()


def pytest_addoption(parser):
    parser.addoption("--swap", choices=WAYS, default=WAYS[0], help="how ner is replaced by lstm_ner")


def pytest_configure(config):
    # spaCy's tests use what is a part of Python by now.
    sys.modules.setdefault("mock", unittest.mock)
    config.addinivalue_line("markers", "issue(number): of spaCy's tests")
    swap(config.getoption("--swap"))
    note_use()


def swap(way):
    if way == "registry":
        # Before spaCy registers its own, which it does but once.
        register_factories()
        ours = Language.get_factory_meta("lstm_ner")
        Language.set_factory_meta("ner", replace(ours, factory="ner"))
        registry.factories.register("ner", func=registry.factories.get("lstm_ner"))
    factory = "ner" if way == "registry" else "lstm_ner"
    for method in (Language.add_pipe, Language.create_pipe):
        setattr(Language, method.__name__, swapped(method, factory))


def swapped(method, factory):
    """The method of Language with `factory` for ner."""

    @functools.wraps(method)
    def ours_for_ner(self, factory_name, name=None, **options):
        if factory_name == "ner" and options.get("source") is None:
            for key in ("config", "raw_config"):
                options |= {key: translated(options[key])} if options.get(key) else {}
            factory_name, name = factory, name or "ner"
        return method(self, factory_name, name, **options)

    return ours_for_ner


def translated(config):
    model = config.get("model", {})
    if not str(model.get("@architectures")).startswith("spacy.TransitionBasedParser."):
        return config
    model = Config({**LSTM_TAGGER, "tok2vec": model["tok2vec"]})
    return Config({**config, "model": model})


def note_use():
    """Keep the names of the tests that make one of our components."""
    original = LSTMEntityRecognizer.__init__

    @functools.wraps(original)
    def noted(self, *args, **kwargs):
        touched.add(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
        original(self, *args, **kwargs)

    LSTMEntityRecognizer.__init__ = noted


def pytest_runtest_setup(item):
    # Some tests train from random weights until nothing is wrong. That must not depend on chance.
    fix_random_seed(0)


def name_of(item):
    """The test's name from the folder of spaCy's tests on, as pytest writes it."""
    return f"{item.path.relative_to(SUITE).as_posix()}::{item.nodeid.partition('::')[2]}"


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if name_of(item).partition("[")[0] in LEFT_OUT]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        exception = EXCEPTIONS.get(name_of(item))
        if exception is not None:
            raises = pytest.RaisesExc(exception.error, match=exception.match)
            item.add_marker(pytest.mark.xfail(reason=f"as listed: {exception.reason}", raises=raises, strict=True))


def pytest_terminal_summary(terminalreporter):
    reports = [report for kind in ("passed", "xfailed") for report in terminalreporter.stats.get(kind, [])]
    passed = sum(report.nodeid in touched for report in reports if report.passed)
    terminalreporter.write_line(f"made lstm_ner: {len(touched)} tests, passed of these: {passed}")
