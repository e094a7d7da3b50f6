"""The script for machines with a GPU runs through without one."""

import json
import shutil
import subprocess

import pytest


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("bash") is None, reason="there is no g++ or no bash")
def test_dry_run(root, run_env, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed (extra benchmark)")
    env = {**run_env, "DRY_RUN": "1"}
    env.pop("LSTM_NER_DATA", None)
    subprocess.run([root / "scripts" / "gpu_check.sh", tmp_path], env=env, check=True, capture_output=True)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [(row["check"], row["status"]) for row in summary] == [("parity", 0), ("layers", 0), ("training", 0)]
    assert "passed" in summary[0]["last line"] and "cuDNN" in summary[1]["last line"]
    assert json.loads((tmp_path / "training.json").read_text())["default"]["words per second on cpu"] > 0
