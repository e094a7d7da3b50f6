import pytest
from support.serving import client_of
from support.small import learned


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder of a pipeline that knows the examples of support.small."""
    path = tmp_path_factory.mktemp("served") / "pipeline"
    learned("crf").to_disk(path)
    return path


@pytest.fixture(scope="module")
def client(folder):
    return client_of(folder)
