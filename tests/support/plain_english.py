"""English without the exceptions to the rules of its tokens.

There are 1,300, such as "can't". spaCy reads them anew for each pipeline that is made or loaded, which takes longer
than most tests. A test that is about tokens has the fixture `whole_english`. What tests run in processes of their own,
such as the commands of the documentation, has them too.
"""

import pytest
from spacy.lang.en import English

EXCEPTIONS = English.Defaults.tokenizer_exceptions


def pytest_configure(config):
    English.Defaults.tokenizer_exceptions = {}
    config.add_cleanup(lambda: setattr(English.Defaults, "tokenizer_exceptions", EXCEPTIONS))


@pytest.fixture
def whole_english(monkeypatch):
    """Pipelines that are made in this test have all of English."""
    monkeypatch.setattr(English.Defaults, "tokenizer_exceptions", EXCEPTIONS)
