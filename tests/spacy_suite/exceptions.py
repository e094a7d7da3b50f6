"""The tests of spaCy that cannot apply to another component in the place of `ner`, each with its reason.

What each of them is there to check is checked in our terms by `tests/contract/test_ner.py`.
"""

from typing import NamedTuple, Type


class NotApplicable(NamedTuple):
    """Why a test fails, and how: its error, and a pattern that the error's message matches."""

    reason: str
    error: Type[BaseException]
    match: str


NO_MOVES = "'LSTMEntityRecognizer' object has no attribute 'moves'"
LOSS = (
    "asks for a loss below 0.001, a bound chosen for spaCy's parser, whose loss is a sum of squared gradients; "
    "ours is the negative log likelihood in nats, 0.07 for all examples together at that point, where the entities are "
    "right"
)

EXCEPTIONS = {
    "parser/test_ner.py::test_issue1967[U-JOB-NAME]": NotApplicable(
        "reads the labels of an example from ner.moves, the transition system", AttributeError, NO_MOVES
    ),
    "parser/test_ner.py::test_issue2179": NotApplicable(
        "takes the size of the output layer from ner.moves, the transition system", AttributeError, NO_MOVES
    ),
    "parser/test_ner.py::test_issue3209": NotApplicable(
        "takes the size of the output layer from ner.moves, the transition system", AttributeError, NO_MOVES
    ),
    "parser/test_ner.py::test_accept_blocked_token": NotApplicable(
        "asks ner.moves, the transition system, which actions are valid", AttributeError, NO_MOVES
    ),
    "parser/test_ner.py::test_overwrite_token": NotApplicable(
        "asks ner.moves, the transition system, which actions are valid", AttributeError, NO_MOVES
    ),
    "parser/test_ner.py::test_overfitting_IO[True]": NotApplicable(
        "sets use_upper, a layer of the transition parser's model", ValueError, "unexpected argument: 'use_upper'"
    ),
    "parser/test_ner.py::test_overfitting_IO[False]": NotApplicable(
        "sets use_upper, a layer of the transition parser's model", ValueError, "unexpected argument: 'use_upper'"
    ),
    "parser/test_add_label.py::test_ner_labels_added_implicitly_on_predict": NotApplicable(
        "calls ner.greedy_parse, the search of the transition parser; before that it wants a label that another "
        "component gave to a doc among ner.labels, but our predict changes nothing in the component, so that threads "
        "can share it",
        AssertionError,
        "assert 'D' in",
    ),
    "pipeline/test_entity_linker.py::test_overfitting_IO_with_ner": NotApplicable(LOSS, AssertionError, "< 0.001"),
    "serialize/test_serialize_pipeline.py::test_issue4725_1": NotApplicable(
        "sets update_with_oracle_cut_size, how the transition parser cuts documents in training",
        ValueError,
        "unexpected argument: 'update_with_oracle_cut_size'",
    ),
}

LEFT_OUT = {
    "test_cli.py::test_download_compatibility": "needs a network",
    "test_cli.py::test_validate_compatibility_table": "needs a network",
    "test_cli_app.py::test_project_assets": "needs a network",
    "test_cli_app.py::test_project_clone": "needs a network",
    "test_registry_population.py::test_registry_entries": "needs the package ml_datasets",
}
"""Tests that have nothing to do with the component, and something that is not always there; without parameters."""
