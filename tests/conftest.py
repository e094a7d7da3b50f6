import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytest_plugins = ["support.own_warnings", "support.plain_english", "support.browser"]


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take long")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="takes long; run with --slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture
def run_env() -> dict[str, str]:
    """The environment for commands that are run as a user would: one thread a process."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
