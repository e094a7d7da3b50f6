"""Intervals and the test of differences, on simulated docs with a known F."""

import numpy as np
import pytest

from spacy_lstm_ner.report.bootstrap import compare, compare_unpaired, intervals, resample, scores_of


def simulate(random, docs, ease=0.0):
    """(docs, 3) Counts tp, fp, fn of docs that are easy or hard as a whole."""
    gold = random.poisson(8, docs)
    tp = random.binomial(gold, np.clip(random.beta(8, 2, docs) + ease, 0, 1))
    return np.stack([tp, random.poisson(1.5, docs), gold - tp], axis=1)


def test_coverage_is_nominal():
    """The binomial standard deviation of 200 draws at 95 % is 1.5 points."""
    true = 2 * 6.4 / (2 * 6.4 + 1.5 + 1.6)
    random, covered = np.random.default_rng(0), 0
    for draw in range(200):
        low, high = intervals(simulate(random, 120)[:, None], 400, draw)[0]["f_interval"]
        covered += low <= true <= high
    assert 0.905 <= covered / 200 <= 0.985


def test_sums_of_samples():
    counts = np.arange(24).reshape(4, 2, 3)
    sums = resample(counts, 500, 0)
    assert sums.shape == (500, 2, 3) and (resample(counts, 500, 0) == sums).all()
    assert np.allclose(sums.mean(axis=0), counts.sum(axis=0), rtol=0.1)
    # Each sample has four docs, which differ by 6 in all numbers.
    assert (sums[:, 0, 1] - sums[:, 0, 0] == 4).all()


def test_nothing_to_count():
    counts = np.array([[[0, 0, 2]], [[0, 0, 0]]])
    (found,) = intervals(counts, 100, 0)
    assert found["p_interval"] is None and found["r_interval"] == (0.0, 0.0)
    assert intervals(counts[:1], 100, 0) == [dict.fromkeys(found)]
    assert np.isnan(scores_of(np.zeros(3))).all()


def test_a_pipeline_is_not_better_than_one_like_it():
    """Under the null hypothesis, p is below 0.05 in about 5 % of draws."""
    random, small = np.random.default_rng(1), 0
    for draw in range(200):
        small += compare(simulate(random, 60), simulate(random, 60), 200, draw)["p_value"] < 0.05
    assert small / 200 < 0.1


def test_a_better_pipeline_is_better():
    random = np.random.default_rng(2)
    result = compare(simulate(random, 200, ease=0.1), simulate(random, 200), 500, 0)
    low, high = result["interval"]
    assert 0 < low < result["difference"] < high and result["p_value"] < 0.01
    same = simulate(random, 20)
    assert compare(same, same, 100, 0) == {"difference": 0.0, "interval": (0.0, 0.0), "p_value": 1.0}


@pytest.mark.parametrize("docs", [0, 1])
def test_too_few_docs_to_compare(docs):
    counts = np.ones((docs, 3), dtype=int)
    assert compare(counts, counts, 100, 0)["p_value"] is None


def test_two_sets_of_docs():
    """The interval of the difference covers the true one in about 95 % of draws, and p is small in about 5 %."""
    random, covered, small = np.random.default_rng(3), 0, 0
    for draw in range(200):
        found = compare_unpaired(simulate(random, 60), simulate(random, 90), 200, draw)
        low, high = found["interval"]
        covered += low <= 0 <= high
        small += found["p_value"] < 0.05
    assert 0.9 <= covered / 200 <= 0.99 and small / 200 < 0.1
    easy, hard = simulate(random, 200, ease=0.1), simulate(random, 100)
    result = compare_unpaired(easy, hard, 500, 0)
    low, high = result["interval"]
    assert 0 < low < result["difference"] < high and result["p_value"] < 0.01
    # The two sets are drawn apart, also where they are the same.
    low, high = compare_unpaired(hard, hard, 200, 0)["interval"]
    assert low < 0 < high
    assert compare_unpaired(hard, hard[:1], 100, 0)["interval"] is None
