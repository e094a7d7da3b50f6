"""The command `sweep`: trials give what trainings alone give; failures, kills, and what is wrong with input."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from spacy.util import load_config
from support.commands import run_command
from support.data_files import write_data
from support.small import TRAIN
from support.training_runs import make_config
from thinc.api import Config

from spacy_lstm_ner.files import locked
from spacy_lstm_ner.ray_cluster import connected
from spacy_lstm_ner.training.sweep import Row, Trial, draw, read_settings, tabulate

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray, the extra ray")
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="needs /proc")
SHORT = {"training.max_steps": 40, "training.eval_frequency": 20, "training.optimizer.use_averages": False}
ALONE = """
import json, sys
from spacy.cli.train import train
for output, overrides in json.load(sys.stdin).items():
    train(sys.argv[1], output, overrides=overrides)
"""


def command(*arguments):
    return [sys.executable, "-m", "spacy", *map(str, arguments)]


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, once for all tests. The command uses it, as it uses the Ray of a process that has one."""
    with connected(None, 2):
        yield


def sweep(*arguments):
    """Run the command in this process. Returns its exit code and what it prints, in one line."""
    said, code = run_command("sweep", *arguments)
    return code, said


def small_config(folder, changes=()):
    """Write a config and data that it learns in a moment."""
    for name in ("train", "dev"):
        write_data(folder / f"{name}.spacy", TRAIN)
    config = make_config(folder, {**SHORT, "training.optimizer.learn_rate.initial_rate": 0.05, **dict(changes)})
    config.to_disk(folder / "small.cfg")
    return folder / "small.cfg"


def trials_in(output):
    """What the trials in a folder have given, by setting and seed."""
    rows = json.loads((output / "sweep.json").read_text("utf8"))
    return {(*row["setting"].values(), trial["seed"]): trial for row in rows for trial in row["trials"]}


def weights(output):
    return (output / "model-best" / "lstm_ner" / "model").read_bytes()


def assert_same_as_alone(config, output, name, folder, env, seeds):
    """Train the trials with some seeds again one after the other, without Ray, and compare scores and weights."""
    trials = {(value, seed): trial for (value, seed), trial in trials_in(output).items() if seed in seeds}
    runs = {str(folder / f"{value}-{seed}"): {name: value, "training.seed": seed} for value, seed in trials}
    subprocess.run([sys.executable, "-c", ALONE, config], input=json.dumps(runs), text=True, env=env, check=True)
    for (value, seed), trial in trials.items():
        alone = folder / f"{value}-{seed}"
        expected = json.loads((alone / "model-best" / "meta.json").read_text("utf8"))["performance"]
        score = sum(expected[key] * weight for key, weight in score_weights(alone).items() if weight)
        assert trial["scores"] == {"score": pytest.approx(score, abs=1e-12), **expected}
        assert weights(Path(trial["folder"]) / "pipelines") == weights(alone)


def score_weights(output):
    return load_config(output / "model-best" / "config.cfg")["training"]["score_weights"]


@needs_ray
def test_a_sweep_and_a_larger_one(tmp_path, run_env, ray):
    config, output = small_config(tmp_path), tmp_path / "out"
    values = "--set=training.dropout=0.1,0.5"
    code, said = sweep(config, "-o", output, "--seeds", 2, values, "--plot", "--workers", 2)
    assert code == 0, said
    assert_same_as_alone(config, output, "training.dropout", tmp_path, run_env, seeds=[1])
    rows = json.loads((output / "sweep.json").read_text("utf8"))
    assert rows[0]["mean"] > rows[1]["mean"] > 0.0
    for row in rows:
        scores = [trial["scores"]["score"] for trial in row["trials"]]
        assert (row["mean"], row["sd"]) == pytest.approx((statistics.mean(scores), statistics.stdev(scores)))
        assert f"{100 * row['mean']:.2f} {100 * row['sd']:.2f} 2 of 2" in said
    assert "4 of 4 trials, " in said and "<svg" in (output / "sweep.svg").read_text("utf8")
    # The best config trains what the first trial of the best setting has trained.
    expected = {**rows[0]["setting"], "training.seed": 0}
    assert load_config(output / "best.cfg") == load_config(config, overrides=expected)
    # With one more value, only its trial is new. It fails, and the rest is as before.
    before = {name: os.stat(Path(trial["folder"]) / "log.txt").st_mtime_ns for name, trial in trials_in(output).items()}
    code, said = sweep(config, "-o", output, "--seeds", 1, f"{values},much")
    assert code == 3 and "1 of 3 trials failed" in said, said
    assert "log.txt: Config validation error: dropout Input should be a valid number" in said
    assert "much - - 0 of 1" in said and "3 of 3 trials, training.dropout=much, seed 0: failed: " in said
    found = trials_in(output)
    assert found["much", 0]["scores"] is None and not (Path(found["much", 0]["folder"]) / "pipelines").exists()
    for name in ((0.1, 0), (0.5, 0)):
        assert os.stat(Path(found[name]["folder"]) / "log.txt").st_mtime_ns == before[name]
    assert sorted(os.listdir(output)) == [".lock", "best.cfg", "sweep.json", "sweep.svg", "trials"]


def processes_of(folder):
    """The processes that have a folder in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:  # It has ended.
            continue
        if str(folder).encode() in words and b"sweep" in words:
            found.append(int(path.parent.name))
    return found


def wait_until(is_so):
    end = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_training_ends_with_the_process_that_has_started_it(tmp_path, run_env):
    config = small_config(tmp_path, {"training.max_steps": 1_000_000, "training.patience": 0})
    words = [sys.executable, "-m", "spacy_lstm_ner.training.sweep", "train", config, "--output", tmp_path / "out"]
    with subprocess.Popen(words, env=run_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as training:
        # It has begun, and would go on for hours.
        assert training.stdout.readline().strip()
        training.stdin.close()
        assert training.wait() == 1


@needs_ray
@needs_proc
@pytest.mark.slow
def test_a_killed_driver_leaves_no_training_and_loses_no_trial(tmp_path, run_env, ray, monkeypatch):
    config, output = small_config(tmp_path), tmp_path / "out"
    arguments = (config, "-o", output, "--seeds", 2, "--workers", 1)
    driver = subprocess.Popen(command("lstm-ner", "sweep", *arguments), env=run_env, stdout=subprocess.PIPE)
    wait_until(lambda: list(output.glob("trials/*/result.json")))
    # The second trial begins at once.
    wait_until(lambda: len(list(output.glob("trials/*/log.txt"))) == 2)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    wait_until(lambda: not processes_of(output))
    (done,) = output.glob("trials/*/result.json")
    before = os.stat(done).st_mtime_ns
    code, said = sweep(*arguments)
    assert code == 0 and "1 of 2 trials" not in said and "2 of 2 trials" in said, said
    assert os.stat(done).st_mtime_ns == before and set(trials_in(output)) == {(0,), (1,)}
    assert not [path for path in output.rglob(".*") if path.name not in (".tune", ".lock")], "a leftover"
    # Nothing is missing now, so Ray is not needed.
    monkeypatch.setitem(sys.modules, "ray", None)
    assert sweep(*arguments)[0] == 0


def test_a_second_sweep_in_the_folder_is_refused(tmp_path):
    with locked(tmp_path / "out"):
        code, said = sweep(small_config(tmp_path), "-o", tmp_path / "out")
    assert code == 1 and "another job with this folder runs" in said and not (tmp_path / "out" / "trials").exists()


@needs_ray
@pytest.mark.slow
def test_eight_trials_of_the_default_config(root, tmp_path, run_env, ray):
    """The default config on the corpus of the project: the same weights as eight runs of `spacy train`."""
    for name in ("train", "dev"):
        said, code = run_command("convert", root / "assets" / "embedded" / f"{name}.txt", tmp_path / f"{name}.spacy")
        assert code == 0, said
    config = Config().from_disk(root / "configs" / "default.cfg", interpolate=False)
    config["paths"].update({name: str(tmp_path / f"{name}.spacy") for name in ("train", "dev")})
    config["training"].update(max_steps=120, eval_frequency=40)
    config.to_disk(tmp_path / "default.cfg")
    setting, output = "components.lstm_ner.model.tok2vec.encode.width", tmp_path / "out"
    arguments = (tmp_path / "default.cfg", "-o", output, "--seeds", 4, "--set", f"{setting}=64,128", "-w", 2)
    code, said = sweep(*arguments)
    assert code == 0, said
    trials = trials_in(output)
    assert len(trials) == 8 and len({trial["scores"]["score"] for trial in trials.values()}) > 1
    assert_same_as_alone(tmp_path / "default.cfg", output, setting, tmp_path, run_env, seeds=range(4))


def test_values():
    given = ["a.b=0.1,null", "a.c=lstm,gru,1", 'a.d=["norm","shape"],[]', 'a.e="x,y",z', "a.f=x=1"]
    assert read_settings(given[:3]) == {"a.b": [0.1, None], "a.c": ["lstm", "gru", 1], "a.d": [["norm", "shape"], []]}
    assert read_settings(given[4:]) == {"a.f": ["x=1"]}


def make_row(folder, value, *scores):
    trials = []
    for seed, score in enumerate(scores):
        trial = Trial(folder / f"{value}-{seed}", {"a.b": value}, seed)
        trial.folder.mkdir()
        if score is not None:
            (trial.folder / "result.json").write_text(json.dumps({"score": score}))
        trials.append(trial)
    return trials


def test_rows(tmp_path):
    trials = [
        *make_row(tmp_path, "few", 0.9, None),
        *make_row(tmp_path, "none", None, None),
        *make_row(tmp_path, "good", 0.5, 0.7),
        *make_row(tmp_path, "bad", 0.2, 0.2),
    ]
    rows = tabulate(trials)
    assert [row.trials[0].setting["a.b"] for row in rows] == ["good", "bad", "few", "none"]
    assert [(row.mean, row.sd) for row in rows[1:]] == [(0.2, 0.0), (0.9, None), (None, None)]
    assert (rows[0].mean, rows[0].sd) == pytest.approx((0.6, 0.02**0.5))
    svg = draw([*rows, Row([Trial(tmp_path / "none-0", {}, 0)])]).decode("utf8")
    assert svg.count('id="LineCollection') == 3 and "a.b" in svg


@pytest.mark.parametrize(
    "words, error",
    [
        (["no.cfg"], "no.cfg: there is no such config"),
        (["train.spacy"], "train.spacy is no config for this"),
        (["small.cfg", "--set", "dropout"], "expected --set such as training.dropout=0.1,0.2, found 'dropout'"),
        (["small.cfg", "--set", "training.seed=1,2"], "expected the number of seeds by --seeds"),
        (["small.cfg", "--set", "training.dropuot=1"], "--set training.dropuot is no setting of small.cfg"),
        (["small.cfg", "--set", "training.dropout=1,1.0"], "expected each setting and each value once"),
        (["small.cfg", "--set", "training.patience=1", "--training.patience", "2"], "is set for all trials too"),
        (["small.cfg", "--x.y", "2"], "small.cfg is no config for this: Error parsing config overrides x -> y"),
        (
            ["small.cfg", "--training.max_steps", "2"],
            "expected the output of this job, found that of another one: config",
        ),
        (["other.cfg"], "found that of another one: data "),
        (["small.cfg", "-o", "dev.spacy"], "dev.spacy: expected a folder for the output, found a file"),
        (["small.cfg", "-o", "used"], ": expected a new folder, or one of this job, found other files"),
        (
            ["small.cfg", "-o", "new"],
            "the package ray is missing; install the extra: pip install 'spacy-lstm-ner[ray]'",
        ),
    ],
)
def test_wrong_use(words, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    small_config(Path())
    # What an earlier run has left.
    run_command("sweep", "small.cfg", "-o", "out", "--seeds", 1)
    if words[0] == "other.cfg":
        (tmp_path / "small.cfg").rename("other.cfg")
        write_data(tmp_path / "dev.spacy", TRAIN[1:])
    (folder,) = (tmp_path / "out" / "trials").iterdir()
    (tmp_path / "used" / "trials" / folder.name).mkdir(parents=True)
    (tmp_path / "used" / "trials" / folder.name / "notes.txt").write_text("mine")
    said, code = run_command("sweep", "-o", "out", "--seeds", 1, *words)
    assert code == 1 and "Cannot sweep" in said and error in re.sub(" +", " ", said), said
