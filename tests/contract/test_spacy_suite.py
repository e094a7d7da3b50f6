"""spaCy's own tests, with lstm_ner in the place of ner; see tests/spacy_suite/plugin.py."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import spacy.tests

SUITE = Path(spacy.tests.__file__).parent
WITHOUT_COMPONENTS = {"lang", "matcher", "morphology", "tokenizer"}
"""Folders whose tests make no trainable component."""
HANDFUL = [
    "parser/test_ner.py",
    "parser/test_add_label.py::test_ner_labels_added_implicitly_on_update",
    "pipeline/test_tok2vec.py::test_replace_listeners_from_config",
    "pipeline/test_tok2vec.py::test_tok2vec_listener_source_link_name",
    "serialize/test_serialize_pipeline.py::test_issue4042_bug2",
    "serialize/test_serialize_pipeline.py::test_issue4042",
]


def everything():
    folders = [path.name for path in SUITE.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    files = [path.name for path in SUITE.glob("test_*.py")]
    return sorted({*folders, *files} - WITHOUT_COMPONENTS)


def run_suite(tests, way, root, env, tmp_path):
    """RETURNS: how many tests passed, how many failed as listed, how many made one of our components."""
    report = tmp_path / "report.xml"
    suite = root / "tests" / "spacy_suite"
    command = [sys.executable, "-m", "pytest", "-c", suite / "pytest.ini", "-p", "plugin", "--swap", way]
    paths = [SUITE / test for test in tests]
    result = subprocess.run(
        [*command, "--tb=short", f"--junitxml={report}", *paths],
        env={**env, "PYTHONPATH": str(suite), "NO_COLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    cases = list(ElementTree.parse(report).iter("testcase"))
    # The reason that the plugin gives to what it expects to fail.
    listed = sum("as listed: " in str(skip.get("message")) for case in cases for skip in case.findall("skipped"))
    passed = sum(not len(case) or case.find("skipped") is None for case in cases)
    return passed, listed, int(re.search(r"made lstm_ner: (\d+) tests", result.stdout)[1])


@pytest.fixture
def exceptions(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "tests" / "spacy_suite")
    import exceptions

    return exceptions.EXCEPTIONS


def test_a_handful_of_them(root, run_env, tmp_path):
    passed, listed, ours = run_suite(HANDFUL, "registry", root, run_env, tmp_path)
    assert (passed, listed, ours) == (28, 7, 20)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["registry", "methods"])
def test_all_of_them(way, root, run_env, tmp_path, exceptions):
    """A listed exception that passes, or fails with another error, fails the run (`xfail(strict=True, raises=...)`)."""
    passed, listed, ours = run_suite(everything(), way, root, run_env, tmp_path)
    assert listed == len(exceptions)
    assert passed >= 1000 and ours >= 60
