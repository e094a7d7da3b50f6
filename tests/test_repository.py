"""What is said in several files of the repository is the same in each."""

import configparser
import re

import pytest


@pytest.fixture(scope="module")
def setup(root):
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg", "utf8")
    return parser


def test_hooks_and_lint_have_the_same_versions(setup, root):
    lint = setup["options.extras_require"]["lint"].split()
    hooks = (root / ".pre-commit-config.yaml").read_text("utf8")
    for name in ("mypy", "ruff"):
        (pinned,) = [requirement for requirement in lint if requirement.startswith(name)]
        assert set(re.findall(rf'"({name}==[^"]+)"', hooks)) == {pinned}


def test_ci_runs_with_every_python_of_the_classifiers(setup, root):
    versions = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    workflow = (root / ".github/workflows/ci.yml").read_text("utf8")
    (matrix,) = re.findall(r"^ +python: \[(.+)\]$", workflow, re.M)
    assert re.findall(r'"(.+?)"', matrix) == versions
    assert setup["options"]["python_requires"] == f">={versions[0]}"


@pytest.mark.parametrize("file", ["CITATION.cff", "CHANGELOG.md"])
def test_the_version_is_named(file, setup, root):
    version = setup["metadata"]["version"]
    assert re.search(rf"^(version:|##) {re.escape(version)}\b", (root / file).read_text("utf8"), re.M)


def test_every_environment_that_trains_can_run_the_project(setup, root):
    """Each target of the Makefile that counts as an installation has what the project's last step needs."""
    assert "python -m build " in (root / "project.yml").read_text("utf8")
    extras = setup["options.extras_require"]
    rules = re.findall(r"^\$\(VENV\)/\.installed\S*: .+\n((?:\t.+\n)+)", (root / "Makefile").read_text("utf8"), re.M)
    assert len(rules) == 4
    for rule in rules:
        (named,) = re.findall(r'--editable "\.\[(.+)\]"', rule)
        assert any(line.startswith("build") for extra in named.split(",") for line in extras[extra].split()), rule
