import pytest
from support.serving import client_of
from support.small import learned_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder of a pipeline that knows the examples of support.small."""
    return learned_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def client(folder):
    return client_of(folder)
