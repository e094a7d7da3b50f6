"""Each folder of the package has a rank, and imports go down only."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import spacy_lstm_ner

ROOT = Path(spacy_lstm_ner.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
RANKS = [
    {"types"},
    {"tags", "arrays", "files", "threads", "ray_cluster"},
    {"layers"},
    {"annotation", "architectures"},
    {"pipeline", "data"},
    {"training", "explain"},
    {"serve", "report", "batch"},
    {"teach"},
    {"cli"},
]
"""What may import what: a place may import places of lower ranks, and its own files."""
MOST_ROOT_MODULES = 8


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


def place(name):
    return name.partition(".")[0]


def rank(name):
    return next(number for number, places in enumerate(RANKS) if place(name) in places)


def test_the_check_sees_imports():
    assert {"tags", "arrays", "layers.packed"} <= GRAPH["layers.crf.viterbi"]
    assert {"layers.crf.head", "pipeline.predict", "annotation.gold"} <= GRAPH["pipeline.component"]
    assert all(name in GRAPH for found in GRAPH.values() for name in found)


def test_no_circle():
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize("name", [name for name in GRAPH if name])
def test_imports_go_down(name):
    assert not [other for other in GRAPH[name] if rank(other) >= rank(name) and place(other) != place(name)]


def test_architectures_are_above_the_layers_only():
    assert not [other for other in GRAPH["architectures"] if place(other) not in ("types", "tags", "layers")]


def test_folders_of_layers_do_not_know_each_other_in_both_directions():
    parts = {name: name.rpartition(".")[0] for name in GRAPH if name.startswith("layers.")}
    edges = {(parts[name], parts[other]) for name in parts for other in GRAPH[name] if other in parts}
    both = {(one, other) for one, other in edges if one != other and (other, one) in edges}
    # The files beside the folders are of two kinds: `packed` is below them, the others put them together.
    assert not {pair for pair in both if "layers" not in pair}


def test_the_root_has_few_modules():
    assert len(list(ROOT.glob("*.py"))) <= MOST_ROOT_MODULES


def test_the_package_is_imported_without_its_models():
    loaded = (
        "import sys, spacy_lstm_ner; print(sorted(m for m in sys.modules if m.split('.')[0] in ('thinc', 'numpy')))"
    )
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_commands_are_imported_without_the_extras():
    extras = ("fastapi", "starlette", "uvicorn", "matplotlib", "ray", "pyspark")
    code = f"import sys, spacy_lstm_ner.cli; print([m for m in {extras} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_postponed_annotations(path):
    """spaCy and Thinc read the annotations of registered functions."""
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            assert "annotations" not in [alias.name for alias in node.names]
