"""The contributor guide tells the way of a document and of an example as they go."""

import re
from graphlib import TopologicalSorter

import pytest
import spacy
from support.small import examples_for, learned
from support.traced import trace

TOOLS = {"arrays.py", "tags.py", "threads.py"}
"""Files that all others use; the guide names them apart."""


def told(root, part):
    """The files that the guide names in a part, in order."""
    text = (root / "CONTRIBUTING.md").read_text("utf8")
    (lines,) = re.findall(rf"<!-- {part}: start -->(.*)<!-- {part}: end -->", text, flags=re.S)
    return list(dict.fromkeys(re.findall(r"`([\w/]+\.py)`", lines)))


@pytest.fixture(scope="module")
def ways():
    """Files and calls of one prediction, and of one training step, of a trained pipeline with the default model."""
    nlp = learned("default")
    examples, optimizer = examples_for(nlp), nlp.resume_training()
    doc = nlp.make_doc("I like London and Berlin.")
    # New weights each time, so that nothing computed from the weights before is used again.
    nlp.update(examples, sgd=optimizer)
    training = trace(lambda: nlp.update(examples, sgd=optimizer))
    return {"prediction": trace(lambda: nlp(doc)), "training": training}


@pytest.mark.parametrize("part", ["prediction", "training"])
def test_the_guide_names_the_files_in_order(part, root, ways):
    files, _ = ways[part]
    assert told(root, part) == [name for name in files if name not in TOOLS]


def folder(name):
    # packed.py is below the folders of layers, the other files beside it put them together.
    return name if name.endswith("packed.py") else name.rpartition("/")[0]


@pytest.mark.parametrize("part", ["prediction", "training"])
def test_calls_between_folders_go_one_way(part, ways):
    graph = {}
    for caller, called in ways[part][1]:
        if folder(caller) != folder(called):
            graph.setdefault(folder(caller), set()).add(folder(called))
    order = list(TopologicalSorter(graph).static_order())
    assert order[-1] == "pipeline" and set(order) > {"annotation", "layers", "layers/rnn", "layers/embed", "layers/crf"}


def test_the_model_is_the_default_one():
    assert spacy.blank("en").add_pipe("lstm_ner").model.get_ref("tok2vec").name == "lexeme_tok2vec"
