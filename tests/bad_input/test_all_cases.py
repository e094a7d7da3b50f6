"""Every one of the numbered cases of bad input has a test that names it: test_case_NN_..."""

import re
from pathlib import Path

CASES = range(1, 55)
OF_MODEL_FILES = {43: "a truncated, empty or foreign model file", 44: "a model of a newer version"}
"""Their tests are in tests/pipeline/test_serialization.py, with the loader's other ones."""


def covered(pattern):
    """The numbers in the names of the tests of some files."""
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parents[1].glob(pattern))
    return {int(number) for number in re.findall(r"def test_\w*case_(\d+)", text)}


def test_every_case_has_a_test():
    found = covered("bad_input/test_*.py")
    assert found == set(CASES) - set(OF_MODEL_FILES)


def test_every_case_of_model_files_has_a_test():
    assert covered("pipeline/test_serialization.py") == set(OF_MODEL_FILES)
