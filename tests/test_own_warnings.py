"""In tests, a warning that the package gives is an error, unless it is expected."""

import warnings

import numpy as np
import pytest
from support.own_warnings import OwnWarning


def function_of(module, source):
    """A function `f` of a module with that name."""
    scope = {"__name__": module, "warnings": warnings, "np": np}
    exec(source, scope)
    return scope["f"]


GIVES = "def f(): warnings.warn('look out', stacklevel=2)"
OURS = function_of("spacy_lstm_ner.layers.some", GIVES)


def test_an_unexpected_warning_is_an_error():
    with pytest.raises(OwnWarning, match="look out"):
        OURS()


def test_it_can_be_expected():
    with pytest.warns(UserWarning, match="look out") as caught:
        OURS()
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore:look out")
def test_it_can_be_ignored():
    OURS()


def test_the_class_is_kept():
    with pytest.warns(FutureWarning):
        function_of("spacy_lstm_ner", "def f(): warnings.warn('soon', FutureWarning)")()


def test_a_warning_of_numpy_in_our_code_is_an_error():
    with pytest.raises(RuntimeWarning, match="divide by zero"):
        function_of("spacy_lstm_ner.layers.some", "def f(): np.log(np.zeros(1))")()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("module", ["spacy.language", "spacy_lstm_ner_other"])
def test_warnings_of_others_are_none(module):
    with warnings.catch_warnings(record=True) as caught:
        function_of(module, GIVES)()
    assert [warning.category for warning in caught] == [UserWarning]
