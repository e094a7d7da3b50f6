"""The parts of the benchmark on teaching that spoil spans, list its trainings, and make its table."""

import importlib
import itertools
import json
import random

import pytest

from spacy_lstm_ner.data.annotated_file import Entity, Record

TEXT = "Ann Lee met Bob in New York City last May with all of them"
SPANS = [Entity(0, 7, "PER"), Entity(12, 15, "PER"), Entity(19, 32, "LOC")]


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("teach")


def test_spans_are_spoiled_in_four_ways(benchmark):
    rng, changes, wrong_scores, right_scores = random.Random(0), 0, [], []
    for _ in range(300):
        made = benchmark.spoiled(Record(TEXT, list(SPANS), "here"), rng).spans
        limits = sorted((span.start, span.end) for span in made)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(limits)), "spans overlap"
        right = {span[:3] for span in made} & {span[:3] for span in SPANS}
        changes += len(SPANS) - len(right)
        for span in made:
            (right_scores if span[:3] in right else wrong_scores).append(span.score)
    # An invented span leaves the right one as it is.
    assert 0.15 < changes / 900 < 0.3
    assert max(wrong_scores) <= 0.8 and min(right_scores) >= 0.4
    assert any(score > 0.4 for score in wrong_scores)


def test_each_training_has_a_key_of_its_own(benchmark):
    found = [run.key for run in benchmark.runs(benchmark.PARTS, 2, True)]
    assert len(found) == len(set(found)) and "conll/taught/True/1000000000/1" in found
    assert not any("small" in key for key in (run.key for run in benchmark.runs(benchmark.PARTS, 2, False)))


def test_the_table_has_means_over_seeds(benchmark, tmp_path, monkeypatch):
    results, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    page.write_text("<!-- results: start -->\n<!-- results: end -->\n", "utf8")
    monkeypatch.setattr(benchmark, "DOCUMENT", page)
    rows = [
        {**benchmark.Run("conll", "taught", True, benchmark.ALL, seed)._asdict(), "key": str(seed)} for seed in (0, 1)
    ]
    lines = [json.dumps({**row, "steps": 4100, "f": {"testa": 0.9 + 0.02 * row["seed"], "wnut": 0.4}}) for row in rows]
    results.write_text("\n".join(lines) + "\n", "utf8")
    benchmark.report(results)
    last = page.read_text("utf8").splitlines()[-2]
    assert (
        last.startswith("| conll | varied | all | taught | 4,100 | 0.910")
        and last.endswith("| 2 |")
        and "0.400" in last
    )
