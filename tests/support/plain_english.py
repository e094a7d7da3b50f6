"""English without the exceptions to the rules of its tokens.

There are 1,300, such as "can't". spaCy reads them anew for each pipeline that is made or loaded, which takes longer
than most tests. A test that is about tokens has the fixture `whole_english`. What tests run in processes of their own,
such as the commands of the documentation, has them too.
"""

from unittest import mock

import pytest
import spacy
from spacy.lang.en import English
from spacy.language import Language

EXCEPTIONS = English.Defaults.tokenizer_exceptions


def pytest_configure(config):
    English.Defaults.tokenizer_exceptions = {}
    config.add_cleanup(lambda: setattr(English.Defaults, "tokenizer_exceptions", EXCEPTIONS))


def make_whole_english() -> Language:
    """A blank pipeline with all of English, for tests that share it."""
    with mock.patch.object(English.Defaults, "tokenizer_exceptions", EXCEPTIONS):
        return spacy.blank("en")


@pytest.fixture
def whole_english(monkeypatch):
    """Pipelines that are made in this test have all of English."""
    monkeypatch.setattr(English.Defaults, "tokenizer_exceptions", EXCEPTIONS)
