"""A config that fits the data."""

import subprocess
import sys
from collections import Counter

import pytest
from spacy.util import load_config_from_str, load_model_from_config
from thinc.api import Config

from spacy_lstm_ner.data.facts import DataFacts
from spacy_lstm_ner.pipeline.component import DEFAULT_MODEL
from spacy_lstm_ner.training.recipe import choose, make_config, n_steps, render


def facts(**changes):
    values = {
        "docs": 100,
        "tokens": 20_000,
        "sentences": 1000,
        "characters": 80_000,
        "labels": Counter(PER=500),
        "names": Counter({True: 500}),
        "words": Counter({False: 15_000, True: 500}),
        **changes,
    }
    return DataFacts(**values)


def config_for(data, has_vectors=False, optimize="speed"):
    return make_config(choose(data, has_vectors, optimize), "en", {"train": "train.spacy"})


def test_the_configs_of_the_project_are_written_by_it(root):
    subprocess.run([sys.executable, "scripts/write_configs.py", "--check"], cwd=root, check=True)


def test_the_model_of_middling_data_is_that_of_the_factory():
    assert config_for(facts())["components"]["lstm_ner"]["model"] == DEFAULT_MODEL


@pytest.mark.parametrize("optimize", ["speed", "accuracy"])
@pytest.mark.parametrize("has_vectors", [False, True])
def test_it_is_a_config_that_loads(has_vectors, optimize):
    choices = choose(facts(), has_vectors, optimize)
    text = render(make_config(choices, "de", {"train": "a.spacy", "dev": None, "vectors": None}), choices)
    config = load_config_from_str(text)
    assert config == make_config(choices, "de", {"train": "a.spacy", "dev": None, "vectors": None})
    assert all(f"# {choice.reason}\n" in text for choice in choices if choice.reason)
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.lang == "de" and nlp.pipe_names == ["lstm_ner"]
    names = [node.name for node in nlp.get_pipe("lstm_ner").model.walk()]
    assert ("char_cnn" in names) == (optimize == "accuracy")


def test_blocks_come_before_the_blocks_inside_them():
    choices = choose(facts(), True, "accuracy")
    text = render(make_config(choices, "en", {}), choices)
    sections = [line.strip("[]") for line in text.splitlines() if line.startswith("[")]
    for number, section in enumerate(sections):
        parent = section.rpartition(".")[0]
        assert not parent or max(k for k, s in enumerate(sections[:number]) if s == parent) >= 0
        if number and parent:
            assert sections[number - 1].startswith(parent.split(".")[0])


def test_more_data_means_more_steps():
    steps = [n_steps(10**k) for k in range(9)]
    assert steps == sorted(steps) and steps[0] > 0 and len(set(steps)) > 4


@pytest.mark.parametrize(
    "changes, setting, value",
    [
        ({}, "pieces", lambda share: share > 0.5),
        ({"sentences": 100}, "pieces", lambda share: share == 0),
        ({}, "lower", lambda share: share > 0.05),
        ({"words": Counter({False: 10_000, True: 4_000})}, "lower", lambda share: 0 < share < 0.05),
        ({"names": Counter(), "words": Counter({True: 100})}, "upper", lambda share: share == 0),
    ],
)
def test_variation(changes, setting, value):
    assert value(config_for(facts(**changes))["corpora"]["train"]["augmenter"][setting])


def test_model():
    model = config_for(facts(labels=Counter({f"L{k}": 1 for k in range(200)})))["components"]["lstm_ner"]["model"]
    assert model["scheme"] == "bio" and DEFAULT_MODEL["scheme"] == "biluo"
    embed = config_for(facts(characters=120_000))["components"]["lstm_ner"]["model"]["tok2vec"]["embed"]
    assert embed["attrs"][-2:] == ["lsuffix5", "lsuffix6"] and len(embed["attrs"]) == len(embed["rows"])
    assert "lsuffix6" not in DEFAULT_MODEL["tok2vec"]["embed"]["attrs"]


def test_the_learning_rate_follows_the_steps():
    config = Config(config_for(facts()))
    config["training"]["max_steps"] = 77
    assert config.interpolate()["training"]["optimizer"]["learn_rate"]["total_steps"] == 77
