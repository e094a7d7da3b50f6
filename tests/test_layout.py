"""Dependencies go one way, and files stay short."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import spacy_lstm_ner

ROOT = Path(spacy_lstm_ner.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MAX_LINES = 400


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imports(path):
    """The modules of the package that a file imports, by their names within it."""
    package = path.parent.relative_to(ROOT).parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            names = [name.partition(".")[2] for name in names if name.split(".")[0] == ROOT.name]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
            elif node.module.split(".")[0] == ROOT.name:
                base = ()
            else:
                continue
            module = (node.module or "").split(".") if node.module else []
            module = [*base, *(module if node.level else module[1:])]
            for alias in node.names:
                full = ".".join([*module, alias.name])
                names.append(full if full in MODULES else ".".join(module))
        found.update(names)
    return found


GRAPH = {name: imports(path) for name, path in MODULES.items()}


def rank(name):
    if name == "tags":
        return 0
    if name == "layers.packed":
        return 1
    if name.startswith("layers"):
        return 2
    return 3


def test_the_check_sees_imports():
    assert {"tags", "layers.packed"} <= GRAPH["layers.decode"]
    assert {"layers.head", "inference", "annotations"} <= GRAPH["component"]
    assert all(name in GRAPH for found in GRAPH.values() for name in found)


def test_no_circle():
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize("name", GRAPH)
def test_dependencies_point_down(name):
    assert not [other for other in GRAPH[name] if rank(other) > rank(name)]


@pytest.mark.parametrize("name", [name for name in GRAPH if name.startswith("layers")])
def test_layers_know_only_layers_and_tags(name):
    assert not [other for other in GRAPH[name] if other != "tags" and not other.startswith("layers")]


def test_tags_know_nothing():
    assert not GRAPH["tags"] and not GRAPH["layers.packed"] - {"tags"}


def test_component_does_not_know_the_architectures():
    assert "architectures" not in GRAPH["component"]


def test_nobody_imports_the_commands():
    assert not [name for name, found in GRAPH.items() if "cli" in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_postponed_annotations(path):
    """spaCy and Thinc read the annotations of registered functions."""
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            assert "annotations" not in [alias.name for alias in node.names]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text("utf8").splitlines()) <= MAX_LINES
