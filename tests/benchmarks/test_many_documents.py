"""The parts of the benchmark of many documents that compare output and make tables."""

import json

import pytest

import many_documents


def test_rows_that_differ_are_counted(tmp_path):
    entity = {"start": 0, "end": 4, "label": "LOC", "score": 0.5}
    expected = [{"id": k, "entities": [entity]} for k in range(4)]
    found = [
        {"id": 0, "entities": [{**entity, "score": 0.25}]},
        {"id": 1, "entities": [{**entity, "end": 5}]},
        {"id": 2, "entities": []},
    ]
    (tmp_path / "part-00000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), "utf8")
    assert many_documents.differences(expected, tmp_path) == {"other_rows": 3, "largest_difference": 0.25}


def run(rate, seconds=10.0):
    return {"rows": 1000, "words": 20_000, "seconds": seconds, "rows_a_second": rate, "plan": 0.5}


def test_the_figures_are_medians_of_rounds():
    systems = (*many_documents.SYSTEMS, "blank, pipe", "blank, local")
    runs = {name: [run(200.0 if "2 workers" in name else 100.0), run(150.0), run(100.0)] for name in systems}
    assert many_documents.ratio(runs, "`local`, 2 workers", "`local`, 1 worker", "rows_a_second") == "1.00 (1.00–2.00)"
    assert many_documents.ratio(runs, "`local`, 2 workers", "none", "whole") == "–"
    plans = {"25": {"rows_a_second": 1e6, "bytes_a_row": 200.0}}
    result = {"rows": 1000, "batch": 256, "runs": runs, "planning": plans}
    text = many_documents._speed(result)
    assert "| `local`, 2 workers ÷ `local`, 1 worker | 1.00 (1.00–2.00) | 1.00 (1.00–1.00) | ≥ 1.9 |" in text
    assert "costs 0.0 ms (`local`)" in text
    # 100 rows of 20 words a second, of which 0.75 stay with both cores busy.
    assert many_documents.median(runs["`local`, 2 workers"], "rows_a_second") == 150.0
    minutes = 25e9 / (2000 * 0.75 * 3200) / 60
    assert f"| 25 | {minutes:,.1f} min | 16.7 min | 0.2 min | 0.20 TB |" in many_documents.estimate(result)


@pytest.mark.parametrize("rows", [7])
def test_bad_rows_are_in_the_texts(tmp_path, monkeypatch, root, rows):
    monkeypatch.setattr(many_documents, "FILES", ("dev.txt",))
    monkeypatch.setenv("LSTM_NER_DATA", str(root / "assets" / "embedded"))
    path = many_documents.make_texts(tmp_path / "texts.jsonl", rows, bad=1.0)
    assert [line in many_documents.BAD for line in path.open("rb")] == [True] * rows
    path = many_documents.make_texts(tmp_path / "good.jsonl", rows)
    assert many_documents.planning(path, tmp_path / "plan.jsonl", 3, rows=10)["rows_a_second"] > 0
    assert [json.loads(line)["id"] for line in path.open("rb")] == list(range(rows))
