"""Bad rows, workers that die, and jobs that are killed: nothing is lost, nothing is there twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest
from support.batch_jobs import POISON_ROWS, entities_of, poisoned, rows_of, write_rows
from support.commands import run_command

from spacy_lstm_ner.batch import job
from spacy_lstm_ner.batch.job import annotate

HARD = [("out of time", {"id": "p2", "text": "backtrack"}), ("died", {"id": "p3", "text": "die"})]
"""Rows that need a worker killed or restarted several times."""


@pytest.mark.parametrize("hard", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_poison_is_reported_and_the_rest_is_annotated(model, texts, expected, tmp_path, hard):
    folder, code = poisoned(model, tmp_path)
    good = [json.loads(line) for line in texts.open(encoding="utf8")]
    poison = POISON_ROWS + HARD * hard
    rows = list(good)
    for number, (_, row) in enumerate(poison):
        rows.insert(5 + number * 20, row)
    rows.append(good[0])  # Its identifier is there twice.
    path = write_rows(tmp_path / "in.jsonl", rows)
    options = ["-w", 2, "--code", code, "--timeout", 1.5, "--max-length", 1000, "--part-rows", 80, "-b", 16]
    output, exit_code = run_command("annotate", folder, path, tmp_path / "out", *options)
    assert exit_code == 3 and f"{len(poison)} rows were not annotated" in output, output
    found, bad = rows_of(tmp_path / "out")
    assert [row["id"] for row in found] == [*range(300), 0]
    assert [entities_of(row) for row in found] == [*expected, expected[0]]
    assert [row["reason"].partition(":")[0] for row in bad] == [kind for kind, _ in poison]
    assert [row["place"] for row in bad] == [f"{path}:{6 + number * 20}" for number in range(len(poison))]
    names = [row["id"] if isinstance(row, dict) else None for _, row in poison]
    assert all(row["id"] == name or row["id"] == row["place"] for row, name in zip(bad, names, strict=True))
    # Started again, it says the same of the bad rows.
    again, exit_code = run_command("annotate", folder, path, tmp_path / "out", *options)
    assert exit_code == 3 and again.partition("!")[2] == output.partition("!")[2]


def test_bad_rows_of_tables_and_parquet(model, tmp_path, in_process):
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,Canada\n2,\xff\n3\n4,"a"b\n5,London\n6,"open\n')
    annotate(tmp_path / "a.csv", model, tmp_path / "csv", workers=1, part_rows=2)
    rows, bad = rows_of(tmp_path / "csv")
    assert [row["id"] for row in rows] == ["1", "5"]
    assert [(row["place"][-1], row["reason"].partition(":")[0]) for row in bad] == [
        ("3", "not UTF-8"),
        ("4", "no row"),
        ("5", "no row"),
        ("7", "no row"),
    ]
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    broken = pa.array([b"Canada", b"\xff", None], pa.binary()).view(pa.string())
    pa.parquet.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    annotate(tmp_path / "a.parquet", model, tmp_path / "parquet", workers=1)
    rows, bad = rows_of(tmp_path / "parquet")
    assert len(rows) == 1 and [row["reason"].partition(":")[0] for row in bad] == ["not UTF-8", "null"]


def children(process):
    """The workers of a job."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs ps")
@pytest.mark.parametrize(
    "engine, kills",
    [("local", 2), pytest.param("local", 20, marks=pytest.mark.slow), pytest.param("ray", 4, marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_and_resumed(model, texts, expected, tmp_path, run_env, engine, kills):
    if engine == "ray":
        pytest.importorskip("ray", reason="Ray is not installed")
    output, seeds = tmp_path / "out", random.Random(1)
    command = [sys.executable, "-m", "spacy", "lstm-ner", "annotate", str(model), str(texts), str(output)]
    command += ["-w", "2", "--part-rows", "3", "-b", "2", "--engine", engine]
    for number in range(kills):
        process = subprocess.Popen(command, env=run_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        parts = len(list(output.glob("part-*")))
        begin = time.monotonic()
        while len(list(output.glob("part-*"))) <= parts and process.poll() is None and time.monotonic() < begin + 60:
            time.sleep(0.01)
        time.sleep(seeds.uniform(0, 0.05))
        workers = children(process)
        if number % 2 and workers:
            os.kill(seeds.choice(workers), signal.SIGKILL)
            time.sleep(seeds.uniform(0, 0.05))
        process.kill()
        process.communicate()
    done = subprocess.run(command, env=run_env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    rows, bad = rows_of(output)
    assert [row["id"] for row in rows] == list(range(300)) and not bad
    assert [entities_of(row) for row in rows] == expected
    assert [name.name for name in output.iterdir() if name.name.startswith(".")] == [".lock"]


def test_another_job_is_refused(model, texts, tmp_path, in_process):
    path = write_rows(tmp_path / "in.jsonl", [{"text": "Canada"}])
    annotate(path, model, tmp_path / "out", workers=1)
    for change, name in [
        (lambda: annotate(path, model, tmp_path / "out", threshold=0.5), "options threshold"),
        (lambda: annotate(texts, model, tmp_path / "out"), "input"),
        (lambda: annotate(write_rows(path, [{"text": "Berlin"}]), model, tmp_path / "out"), "input .*sha256"),
        (lambda: annotate(path, poisoned(model, tmp_path)[0], tmp_path / "out"), "model sha256"),
    ]:
        with pytest.raises(ValueError, match=f"found that of another one: .*{name}"):
            change()


def test_the_folder_of_a_job_with_other_names_of_parts_is_refused(model, texts, tmp_path, in_process):
    annotate(texts, model, tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text("utf8").replace('"version": 2', '"version": 1'), "utf8")
    with pytest.raises(ValueError, match="found that of another one: version changed"):
        annotate(texts, model, tmp_path)


def test_more_parts_than_their_names_have_digits_for(model, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "DIGITS", 2)
    with pytest.raises(ValueError, match="expected at most 100 parts, found 150"):
        annotate(texts, model, tmp_path, part_rows=2)


def test_a_part_is_written_without_a_look_at_all_others(model, texts, tmp_path, in_process, monkeypatch):
    (tmp_path / ".incomplete").mkdir()
    (tmp_path / ".incomplete" / ".part-0000009.jsonl.9.tmp").touch()  # Of a job that was killed.
    listed = []
    every, within = Path.iterdir, tmp_path / ".incomplete"
    monkeypatch.setattr(Path, "iterdir", lambda path: listed.append(path) or every(path))
    annotate(texts, model, tmp_path, part_rows=10)
    assert listed.count(within) == 30 and listed.count(tmp_path) < 10
    assert not within.exists() and (tmp_path / "part-0000029.jsonl").is_file()


def test_a_file_in_place_of_the_folder_for_incomplete_files(model, texts, tmp_path):
    (tmp_path / ".incomplete").touch()
    with pytest.raises(ValueError, match=r"\.incomplete: expected a folder for the output, found a file. Remove it"):
        annotate(texts, model, tmp_path)


def test_a_pipeline_that_cannot_be_loaded_ends_the_job(model, texts, tmp_path):
    folder, _ = poisoned(model, tmp_path)
    output, code = run_command("annotate", folder, texts, tmp_path / "out", "-w", 2)
    assert code == 1 and "poison" in output and "start the command again" in output


def test_what_cannot_be_written_ends_the_job_and_it_goes_on(model, texts, tmp_path):
    output = tmp_path / "out"
    command = ["annotate", model, texts, output, "-w", 1, "--part-rows", 100]

    def block():
        while not (output / "manifest.json").exists():
            time.sleep(0.001)
        # A folder in place of a file stands for a full disk.
        (output / "bad-0000001.jsonl").mkdir()

    thread = Thread(target=block)
    thread.start()
    printed, code = run_command(*command)
    thread.join()
    assert code == 1 and "bad-0000001" in printed and "start the command again" in printed
    (output / "bad-0000001.jsonl").rmdir()
    printed, code = run_command(*command)
    assert code == 0 and "100 rows of them by earlier runs" in printed
    assert [row["id"] for row in rows_of(output)[0]] == list(range(300))
