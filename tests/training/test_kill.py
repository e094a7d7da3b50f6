"""Processes that are killed at random moments leave the old files or the new ones, and nothing in between."""

import io
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter

import pytest
import spacy
from spacy.cli.train import train as spacy_train
from spacy.language import Language
from spacy.tokens import DocBin
from support.saved_component import make
from support.training_runs import make_config, run, weights
from typer.testing import CliRunner

from spacy_lstm_ner.cli import app
from spacy_lstm_ner.files import intact
from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer
from spacy_lstm_ner.training.checkpoints import check_checkpoint, list_checkpoints

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
MOMENTS = [pytest.param(3, id="3 moments"), pytest.param(50, id="50 moments", marks=pytest.mark.slow)]


def killed_while(work, seconds):
    """Run a function in its own process and kill that after some seconds. Returns whether it had ended before."""
    with warnings.catch_warnings():
        # fork warns if there are several threads; the child uses only one.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        code = 1
        try:
            sys.stdout = sys.stderr = io.StringIO()
            work()
            code = 0
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


@pytest.mark.parametrize("moments", MOMENTS)
def test_killed_while_saving(moments, tmp_path):
    chance, folder = random.Random(1), tmp_path / "ner"
    components = [make(["A", "B"]), make(["C", "D", "E"])]
    states = {component.labels: component.model.to_bytes() for component in components}
    seconds = timed(lambda: components[0].to_disk(folder, exclude=["vocab"]))

    def save():
        while True:
            for component in components:
                component.to_disk(folder, exclude=["vocab"])

    for _ in range(moments):
        assert not killed_while(save, 6 * seconds * chance.random())
        loaded = make(initialized=False).from_disk(folder, exclude=["vocab"])
        assert isinstance(loaded, LSTMEntityRecognizer) and loaded.model.to_bytes() == states[loaded.labels]
    components[0].to_disk(folder, exclude=["vocab"])
    assert os.listdir(tmp_path) == ["ner"]


@pytest.mark.parametrize("moments", MOMENTS)
def test_killed_while_converting(moments, tmp_path):
    chance, output = random.Random(2), tmp_path / "out" / "data.spacy"
    texts = {}
    for name, number in (("a", 200), ("b", 900)):
        path = tmp_path / f"{name}.txt"
        path.write_text("[Sharon](per) flew to [Miami](geo).\n" * number)
        assert CliRunner().invoke(app, ["convert", str(path), str(output), "-n", "1"]).exit_code == 0
        texts[number] = path
    seconds = timed(lambda: CliRunner().invoke(app, ["convert", str(texts[900]), str(output), "-n", "1"]))

    def convert():
        while True:
            for path in texts.values():
                CliRunner().invoke(app, ["convert", str(path), str(output), "-n", "1"])

    for _ in range(moments):
        assert not killed_while(convert, 3 * seconds * chance.random())
        docs = list(DocBin().from_disk(output).get_docs(spacy.blank("en").vocab))
        assert len(docs) in texts and all([ent.text for ent in doc.ents] == ["Sharon", "Miami"] for doc in docs)
    CliRunner().invoke(app, ["convert", str(texts[200]), str(output), "-n", "1"])
    assert os.listdir(output.parent) == ["data.spacy"]


@pytest.mark.parametrize("moments", MOMENTS)
def test_killed_while_training(moments, corpus, tmp_path):
    """Each run resumes where the one before was killed. Together they give the weights of one uninterrupted run."""
    # With few moments, the run is short, so that they fall into its work.
    changes = {"training.max_steps": 19 if moments > 3 else 7, "training.eval_frequency": 5}
    chance, config = random.Random(3), make_config(corpus, changes)
    seconds = timed(lambda: run(config, tmp_path / "whole", every=2))
    expected, number, finished = weights(tmp_path / "whole"), 0, 0
    kills = 0
    while kills < moments or not finished:
        output = tmp_path / str(number)
        # After enough kills, the run may end.
        left = seconds * chance.random() if kills < moments else 600.0
        if killed_while(lambda output=output: run(config, output, every=2, resume=True), left):
            assert weights(output) == expected
            number, finished = number + 1, finished + 1
            continue
        kills += 1
        steps = []
        for path in list_checkpoints(output / "checkpoints"):
            check_checkpoint(path)
            spacy.load(path / "pipeline")
            steps.append(path.name)
        for name in ("model-best", "model-last"):
            if intact(output / name).exists():
                spacy.load(intact(output / name))
        print(f"killed after {left:.2f} s: {steps}")


# The command line


def command(output, *arguments):
    """Start a command in its own process, and wait until training begins. Returns the process."""
    line = [sys.executable, "-m", "spacy", *map(str, arguments), "-o", str(output)]
    # The order of spaCy's scores by label in meta.json is that of a set of strings.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    log = ""
    while "LOSS" not in log:
        read = child.stdout.readline()
        assert read, f"ended before training began: {log}"
        log += read
    return child


def killed_after(child, seconds):
    """Kill a command after some seconds. Returns whether it had ended before."""
    try:
        child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
    assert child.returncode in (0, -signal.SIGKILL)
    return child.returncode == 0


def weights_in(folder):
    return spacy.load(folder).get_pipe("lstm_ner").model.to_bytes()


@pytest.mark.slow
def test_spacy_train_killed(corpus, tmp_path, monkeypatch):
    """What `spacy train` leaves is either refused or complete."""
    chance, path, saved = random.Random(4), tmp_path / "config.cfg", set()
    make_config(corpus, {"training.eval_frequency": 1, "training.max_steps": 60}).to_disk(path)
    with monkeypatch.context() as patch:
        real = Language.to_disk
        patch.setattr(Language, "to_disk", lambda self, to, **kwargs: (real(self, to), saved.add(weights_in(to))))
        spacy_train(path, tmp_path / "whole")
    seconds = timed(command(tmp_path / "timed", "train", path).communicate)
    outcomes = Counter()
    for k in range(10):
        output = tmp_path / str(k)
        ended = killed_after(command(output, "train", path), seconds * chance.random())
        outcomes["ended"] += ended
        for name in ("model-last", "model-best"):
            if not (output / name).exists():
                outcomes[f"{name} absent"] += 1
                continue
            try:
                found = weights_in(output / name)
            except (ValueError, OSError) as error:
                assert not ended
                outcomes[f"{name} refused"] += 1
                print(f"{name}: {type(error).__name__}: {error}")
                continue
            assert found in saved
            outcomes[f"{name} loaded"] += 1
    print(dict(outcomes))
    assert outcomes["ended"] < 10 and outcomes["model-last loaded"]


@pytest.mark.slow
def test_lstm_ner_train_killed(corpus, tmp_path):
    """Checkpoints and pipelines are complete or absent, and a resumed run gives the weights of one run."""
    chance, path, output = random.Random(5), tmp_path / "config.cfg", tmp_path / "killed"
    make_config(corpus, {"training.eval_frequency": 4, "training.max_steps": 60}).to_disk(path)
    arguments = ["lstm-ner", "train", path, "--checkpoint-every", 3]
    seconds = timed(command(tmp_path / "whole", *arguments).communicate)
    expected, outcomes = weights(tmp_path / "whole"), Counter()
    for _ in range(10):
        if killed_after(command(output, *arguments, "--resume"), seconds * chance.random()):
            assert weights(output) == expected
            outcomes["ended"] += 1
            output = tmp_path / str(outcomes["ended"])
            continue
        found = list_checkpoints(output / "checkpoints")
        outcomes["with checkpoints" if found else "without checkpoints"] += 1
        for checkpoint in found:
            check_checkpoint(checkpoint)
            spacy.load(checkpoint / "pipeline")
        for name in ("model-last", "model-best"):
            if intact(output / name).exists():
                spacy.load(intact(output / name))
    assert killed_after(command(output, *arguments, "--resume"), 600)
    assert weights(output) == expected
    print(dict(outcomes))
    assert outcomes["with checkpoints"]
