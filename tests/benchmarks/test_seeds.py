"""Results of several seeds: they are added to a file, and reported by the pipeline that they are of."""

from seeds import by_pipeline, cell, store


def test_seeds_are_stored_one_by_one_and_reported_together(tmp_path):
    output = tmp_path / "results" / "own.json"
    store(output, {"a-b-0": {"f": {"all": 0.5}}})
    store(output, {"a-b-1": {"f": {"all": 0.7}}, "c-0": {"cost": 1.0}})
    found = store(output, {"a-b-0": {"cost": 2.0}})
    assert found == store(output, {}) and found["a-b-0"] == {"f": {"all": 0.5}, "cost": 2.0}
    groups = by_pipeline(found)
    assert [(name, len(runs)) for name, runs in groups.items()] == [("a-b", 2), ("c", 1)]
    assert cell(groups["a-b"], "f", "all", digits=1, scale=100) == "60.0 ± 14.1"
    assert [cell(groups[name], "cost", digits=1) for name in groups] == ["2.0", "1.0"]
    assert cell(groups["c"], "f", "all") == "-"
