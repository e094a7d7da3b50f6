"""Progress bars: shown in a terminal, and nowhere else."""

import pytest
from support.data_files import write_data
from support.small import TRAIN, learned
from support.terminal import stderr_of
from support.training_runs import make_config

LABELS = {
    "calibrate": ["Reading", "Calibrating"],
    "compare": ["Comparing"],
    "convert": ["Reading"],
    "report": ["Reading", "Predicting"],
    "review": ["Reading", "Training", "Last Eval Epoch"],
    "train": ["Last Eval Epoch"],
    "uncertainty": ["Reading", "Predicting"],
    "vectors": ["Reading", "Writing"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pipeline, data, texts, vectors and a config."""
    folder = tmp_path_factory.mktemp("progress")
    learned().to_disk(folder / "model")
    for name in ("train.spacy", "dev.spacy"):
        write_data(folder / name, TRAIN)
    (folder / "texts.txt").write_text("Ann likes London.\nNothing happened.\n", "utf-8")
    (folder / "words.iob").write_text("Ann\tB-PER\n\nBob\tB-PER\n", "utf-8")
    (folder / "vectors.txt").write_text("the 0.5 -1\nof 1 2\n", "utf-8")
    few = {"training.max_steps": 2, "training.eval_frequency": 1}
    make_config(folder, few).to_disk(folder / "my.cfg")
    return folder


def arguments(command, folder, out):
    model, data, config = folder / "model", folder / "dev.spacy", folder / "my.cfg"
    return {
        "calibrate": [model, data, "-o", out],
        "compare": [model, "--dev", data, "--rounds", 1],
        "convert": [folder / "words.iob", out / "words.spacy"],
        "report": [model, data, out, "--train", data],
        "review": [data, out / "doubts.jsonl", "--config", config, "--folds", 2],
        "train": [config, "-o", out],
        "uncertainty": [model, folder / "texts.txt", out / "chosen.jsonl"],
        "vectors": [folder / "vectors.txt", out],
    }[command]


@pytest.mark.filterwarnings("ignore:.*calibrate has")
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("command", LABELS)
def test_bars_are_for_terminals(command, terminal, folder, tmp_path):
    if command == "report":
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    said = stderr_of(command, *arguments(command, folder, tmp_path / "out"), terminal=terminal)
    for label in LABELS[command]:
        assert (f"{label}:" in said) == terminal
    assert terminal or not said
