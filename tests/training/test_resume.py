"""Checkpoints: an interrupted and resumed run gives the result of an uninterrupted one, to the last bit."""

import io
import json
import random
import re
import shutil
import sys

import numpy as np
import pytest
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as spacy_train
from support.commands import run_command
from support.training_runs import make_config, run, weights
from thinc.api import Config

import spacy_lstm_ner.training.loop as training
from spacy_lstm_ner.training.checkpoints import list_checkpoints, random_state, set_random_state
from spacy_lstm_ner.training.resume import find_resumption

VARIANTS = {
    "default": {},
    "radam": {"training.optimizer.@optimizers": "RAdam.v1"},
    "sgd": {"training.optimizer": {"@optimizers": "SGD.v1", "learn_rate": 0.05, "use_averages": False}},
    "streamed": {"training.max_epochs": -1},
    "two epochs": {"training.max_epochs": 2, "training.max_steps": 0},
    "varied texts": {
        "corpora.train.augmenter": {
            "@augmenters": "spacy-lstm-ner.TextVariation.v1",
            **{"pieces": 0.8, "lower": 0.2, "upper": 0.2, "title": 0.1},
        }
    },
}
SHARE_OF_STEPS = {
    "training.optimizer.learn_rate": {
        "@schedules": "spacy-lstm-ner.warmup_linear.v1",
        **{"initial_rate": 0.01, "total_steps": "${training.max_steps}"},
    }
}


class Stopped(BaseException):
    pass


def run_until(config, output, step, monkeypatch, every=10, resume=False):
    """Train and stop after some steps like a process that is killed, which saves nothing more."""
    real = training.train_while_improving

    def steps(*args, **kwargs):
        for found in real(*args, **kwargs):
            yield found
            if found[1]["step"] + 1 == step:
                raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_while_improving", steps)
        patch.setattr(training._Run, "save", saving_before(training._Run.save))
        with pytest.raises(Stopped):
            run(config, output, every, resume)


def saving_before(save):
    def call(self, is_best):
        if sys.exc_info()[0] is not Stopped:
            save(self, is_best)

    return call


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """Runs without interruption, by variant; each is run once."""
    made = {}

    def run_whole(variant):
        if variant not in made:
            output = tmp_path_factory.mktemp("whole")
            log = run(make_config(corpus, VARIANTS[variant]), output)
            made[variant] = log, weights(output)
        return made[variant]

    return run_whole


FAST = "default"
SLOW = pytest.mark.slow


@pytest.mark.parametrize("variant", [FAST, *(pytest.param(name, marks=SLOW) for name in VARIANTS if name != FAST)])
def test_resumed_is_uninterrupted(variant, corpus, whole, tmp_path, monkeypatch):
    config = make_config(corpus, VARIANTS[variant])
    log, expected = whole(variant)
    run_until(config, tmp_path, 25 if variant != "two epochs" else 12, monkeypatch)
    assert weights(tmp_path) != expected
    assert run(config, tmp_path, resume=True) == log
    assert weights(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("every, stops", [(1, [1, 2, 11]), (7, [8, 23]), (20, [20, 39])])
def test_checkpoints_at_any_step(every, stops, corpus, whole, tmp_path, monkeypatch):
    """Between two evaluations, while losses add up, and several times in one run."""
    config = make_config(corpus)
    log, expected = whole("default")
    for stop in stops:
        run_until(config, tmp_path, stop, monkeypatch, every, resume=True)
    assert run(config, tmp_path, every, resume=True) == log
    assert weights(tmp_path) == expected
    names = [path.name for path in list_checkpoints(tmp_path / "checkpoints")]
    assert names[0] == "step-40" and len(names) == 2


def test_the_same_as_spacy_train(corpus, whole, tmp_path):
    log = io.StringIO()
    spacy_train(init_nlp(make_config(corpus)), tmp_path, stdout=log)
    expected, files = whole("default")
    assert [line for line in log.getvalue().splitlines() if re.match(r"[ \d-]+", line)] == [
        line for line in expected.splitlines() if re.match(r"[ \d-]+", line)
    ]
    assert weights(tmp_path) == files


@pytest.mark.slow
def test_resuming_a_run_that_is_done_changes_nothing(corpus, whole, tmp_path):
    config = make_config(corpus)
    log, expected = whole("default")
    run(config, tmp_path)
    assert run(config, tmp_path, resume=True) == log
    assert weights(tmp_path) == expected


@pytest.mark.slow
def test_a_run_that_is_done_goes_on_with_more_steps(corpus, whole, tmp_path):
    run(make_config(corpus, {"training.max_steps": 19}), tmp_path)
    log, expected = whole("default")
    assert run(make_config(corpus), tmp_path, resume=True) == log
    found = weights(tmp_path)
    assert found["model-last/lstm_ner/model"] == expected["model-last/lstm_ner/model"]
    with pytest.raises(ValueError, match="training ends earlier"):
        run(make_config(corpus, {"training.max_steps": 9}), tmp_path, resume=True)
    assert weights(tmp_path) == found


def test_with_more_steps_the_learning_rate_rises_again(corpus, tmp_path):
    run(make_config(corpus, {"training.max_steps": 9, **SHARE_OF_STEPS}), tmp_path)
    before = weights(tmp_path)["model-last/lstm_ner/model"]
    run(make_config(corpus, {"training.max_steps": 29, **SHARE_OF_STEPS}), tmp_path, resume=True)
    assert weights(tmp_path)["model-last/lstm_ner/model"] != before


@pytest.mark.slow
def test_labels_that_turn_up_in_training(corpus, tmp_path, monkeypatch):
    """Layers that grew are new nodes, with entries of their own in the memory of the optimizer."""
    labels = {"initialize": {"components": {"lstm_ner": {"labels": ["per"]}}}}
    config = make_config(corpus, labels)
    with pytest.warns(UserWarning, match="were added when update first met them"):
        log = run(config, tmp_path / "whole")
        run_until(config, tmp_path / "parts", 15, monkeypatch)
    assert run(config, tmp_path / "parts", resume=True) == log
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_beside_other_components(corpus, tmp_path, monkeypatch):
    """A shared tok2vec with a listener, and spaCy's own ner, which draws random numbers in training."""
    config = make_config(corpus).to_str()
    config = config.replace('pipeline = ["lstm_ner"]', 'pipeline = ["tok2vec","ner","lstm_ner"]')
    config = Config().from_str(config, interpolate=False)
    config["components"]["tok2vec"] = {"factory": "tok2vec"}
    config["components"]["ner"] = {"factory": "ner"}
    for name in ("tok2vec", "ner"):
        config["components"][name]["model"] = {}
    config["components"]["tok2vec"]["model"] = {
        "@architectures": "spacy.HashEmbedCNN.v2", "width": 8, "depth": 1, "embed_size": 50, "window_size": 1,
        "maxout_pieces": 2, "subword_features": True, "pretrained_vectors": None,
    }  # fmt: skip
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "tok2vec"}
    config["components"]["ner"]["model"] = {
        "@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner", "extra_state_tokens": False,
        "hidden_width": 8, "maxout_pieces": 2, "use_upper": True, "nO": None, "tok2vec": listener,
    }  # fmt: skip
    config["components"]["lstm_ner"]["model"]["tok2vec"] = dict(listener)
    config["training"]["max_steps"] = 24
    log = run(config, tmp_path / "whole")
    run_until(config, tmp_path / "parts", 15, monkeypatch)
    assert run(config, tmp_path / "parts", resume=True) == log
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


# What does not fit


@pytest.fixture(scope="module")
def stopped_once(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        run_until(make_config(corpus), output, 25, patch)
    return output


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """The output of a run that was stopped after step 25, with checkpoints of steps 10 and 20."""
    return shutil.copytree(stopped_once, tmp_path / "out")


def test_another_config(corpus, stopped):
    config = make_config(corpus, {"training.dropout": 0.5})
    with pytest.raises(ValueError, match=r"training\.dropout differ \(training\.dropout was 0\.3, and is 0\.5\)"):
        run(config, stopped, resume=True)


def test_other_data(corpus, stopped, tmp_path):
    before = weights(stopped)
    shutil.copy(corpus / "dev.spacy", tmp_path / "other.spacy")
    config = make_config(corpus, {"paths.train": str(tmp_path / "other.spacy")})
    with pytest.raises(ValueError, match="training data is not that of the checkpoint"):
        run(config, stopped, resume=True)
    assert weights(stopped) == before


@pytest.mark.slow
def test_data_at_another_place(corpus, stopped, whole, tmp_path):
    shutil.copy(corpus / "train.spacy", tmp_path / "moved.spacy")
    config = make_config(corpus, {"paths.train": str(tmp_path / "moved.spacy")})
    assert run(config, stopped, resume=True) == whole("default")[0]


@pytest.mark.parametrize(
    "name",
    ["optimizer.msgpack", *(pytest.param(name, marks=SLOW) for name in ("progress.json", "pipeline/lstm_ner/model"))],
)
def test_a_damaged_checkpoint_is_not_taken(name, corpus, stopped, whole):
    config = make_config(corpus)
    last, before = list_checkpoints(stopped / "checkpoints")
    assert (last.name, before.name) == ("step-20", "step-10")
    data = bytearray((last / name).read_bytes())
    data[len(data) // 2] ^= 1
    (last / name).write_bytes(data[: len(data) - 3])
    warnings = []
    resumption = find_resumption(stopped, config, warnings.append)
    assert resumption.path == before and len(warnings) == 1 and name.split("/")[-1] in warnings[0]
    log = io.StringIO()
    training.train(resumption.nlp, stopped, config, every=10, resumption=resumption, stdout=log)
    assert log.getvalue() == whole("default")[0]
    shutil.rmtree(before, ignore_errors=True)


def test_no_undamaged_checkpoint(corpus, stopped):
    for path in list_checkpoints(stopped / "checkpoints"):
        (path / "progress.json").unlink()
    with pytest.raises(ValueError, match="all checkpoints are damaged"):
        find_resumption(stopped, make_config(corpus), lambda text: None)


def test_leftovers_are_no_checkpoints(stopped):
    folder = stopped / "checkpoints"
    (folder / ".step-30.4711.new").mkdir()
    (folder / ".step-5.gone").mkdir()
    (folder / "step-20").rename(folder / ".step-20.old")
    assert [path.name for path in list_checkpoints(folder)] == ["step-20", "step-10"]
    assert not (folder / ".step-5.gone").exists()


@pytest.mark.slow
def test_log_file_is_whole_again(corpus, tmp_path, monkeypatch):
    changes = {"training.logger.output_file": str(tmp_path / "log.jsonl"), "training.logger.console_output": False}
    config = make_config(corpus, changes)
    run_until(config, tmp_path / "out", 25, monkeypatch)
    run(config, tmp_path / "out", resume=True)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 10, 20, 30]
    assert (tmp_path / "log.jsonl.until-20").exists()


def test_random_state_comes_back():
    state = json.loads(json.dumps(random_state()))
    first = np.random.normal(), np.random.uniform(), random.random()
    set_random_state(state)
    assert first == (np.random.normal(), np.random.uniform(), random.random())


# The command


def test_command(corpus, whole, tmp_path, stopped):
    path = tmp_path / "config.cfg"
    make_config(corpus).to_disk(path)
    arguments = ["train", path, "-o", stopped, "--checkpoint-every", 10]
    said, code = run_command(*arguments)
    assert code == 1 and "--resume" in said
    said, code = run_command(*arguments, "--resume", "--training.dropout", 0.5)
    assert code == 1 and "another config" in said
    said, code = run_command(*arguments, "--resume")
    assert code == 0, said
    assert "Resuming after 20 steps" in said
    assert weights(stopped) == whole("default")[1]


@pytest.mark.parametrize("every, expected", [(10, r"resume from .*step-10 with --resume"), (1000, "no checkpoint yet")])
def test_ctrl_c_says_how_to_go_on(every, expected, corpus, tmp_path, monkeypatch):
    path = tmp_path / "config.cfg"
    make_config(corpus).to_disk(path)
    original = training.train_while_improving

    def interrupted(*args, **kwargs):
        for number, step in enumerate(original(*args, **kwargs)):
            if number == 12:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(training, "train_while_improving", interrupted)
    said, code = run_command("train", path, "-o", tmp_path / "output", "--checkpoint-every", every)
    assert code == 130 and re.search(f"Interrupted: .*{expected}", " ".join(said.split())), said


def test_a_component_that_rehearses_has_no_checkpoints(corpus, tmp_path):
    """Checkpoints do not have the teacher."""
    config = make_config(corpus, {"components.lstm_ner.rehearse_weight": 0.5})
    nlp = init_nlp(config)
    with pytest.raises(
        ValueError, match=r"'lstm_ner': rehearse_weight is 0\.5, but checkpoints do not have the teacher"
    ):
        training.train(nlp, tmp_path / "output", config, every=10)
    assert not (tmp_path / "output").exists()
