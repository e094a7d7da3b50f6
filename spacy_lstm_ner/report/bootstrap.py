"""Bootstrap over docs (Efron 1979): how much scores would vary with other docs of the same kind.

A sample draws as many docs as there are, with replacement. An interval is the middle 95 % of the scores of the samples.
Entities of a doc are not independent of each other, so docs are drawn and not entities.
"""

from typing import Any, Optional, Union

import numpy as np

from ..types import Floats, Ints

LEVEL = 0.95
SAMPLES_AT_ONCE = 50
Interval = Optional[tuple[float, float]]


def resample(counts: Ints, samples: int, seed: Union[int, np.random.SeedSequence]) -> Floats:
    """Add up the counts of the docs of each sample.

    Args:
        counts (Ints): (docs, ...) Counts of each doc.
        samples (int): The number of samples.
        seed (Union[int, np.random.SeedSequence]): The seed of the random numbers.

    Returns:
        Floats: (samples, ...) The sums.
    """
    random, n = np.random.default_rng(seed), len(counts)
    flat, sums = counts.reshape(n, -1).astype("float64"), []
    for first in range(0, samples, SAMPLES_AT_ONCE):
        size = min(SAMPLES_AT_ONCE, samples - first)
        drawn = random.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        sums.append(times @ flat)
    return np.concatenate(sums).reshape(samples, *counts.shape[1:])


def scores_of(counts: Floats) -> Floats:
    """Precision, recall and F of counts; NaN where there is nothing to count.

    Args:
        counts (Floats): (..., 3) The counts tp, fp and fn.

    Returns:
        Floats: (..., 3) The scores.
    """
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    whole = np.stack([tp + fp, tp + fn, 2 * tp + fp + fn], axis=-1)
    part = np.stack([tp, tp, 2 * tp], axis=-1)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def intervals(counts: Ints, samples: int, seed: int) -> list[dict[str, Interval]]:
    """Find the intervals of precision, recall and F.

    Args:
        counts (Ints): (docs, rows, 3) The counts tp, fp and fn of each doc.
        samples (int): The number of samples.
        seed (int): The seed of the random numbers.

    Returns:
        list[dict[str, Interval]]: For each row `p_interval`, `r_interval` and `f_interval`. None with fewer than two
            docs, and where there is nothing to count.
    """
    if len(counts) < 2:
        return [dict.fromkeys(("p_interval", "r_interval", "f_interval"), None) for _ in range(counts.shape[1])]
    scores = scores_of(resample(counts, samples, seed))
    return [
        {f"{name}_interval": _middle(scores[:, row, k]) for k, name in enumerate("prf")}
        for row in range(counts.shape[1])
    ]


def _middle(values: Floats) -> Interval:
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high


def compare(first: Ints, second: Ints, samples: int, seed: int) -> dict[str, Any]:
    """Test whether two pipelines differ in F, by a paired bootstrap: both are scored on the same samples.

    Args:
        first (Ints): (docs, 3) The counts tp, fp and fn of one pipeline for each doc.
        second (Ints): (docs, 3) Those of the other for the same docs.
        samples (int): The number of samples.
        seed (int): The seed of the random numbers.

    Returns:
        dict[str, Any]: `difference`: F of the first minus F of the second. `interval`: its interval. `p_value`: twice
            the share of samples in which the other one is better, or no one. All are None where F is not defined, the
            last two also with fewer than two docs.
    """
    both = np.stack([first, second], axis=1)
    if len(both) < 2:
        return _difference(first, second, None)
    f = scores_of(resample(both, samples, seed))[:, :, 2]
    return _difference(first, second, f[:, 0] - f[:, 1])


def compare_unpaired(first: Ints, second: Ints, samples: int, seed: int) -> dict[str, Any]:
    """Test whether F differs on two sets of docs, by a bootstrap in which each set has samples of its own.

    Args:
        first (Ints): (docs, 3) The counts tp, fp and fn of each doc of one set.
        second (Ints): (docs, 3) Those of the other set.
        samples (int): The number of samples.
        seed (int): The seed of the random numbers.

    Returns:
        dict[str, Any]: As of `compare`. The last two are None with fewer than two docs in one of the sets.
    """
    if min(len(first), len(second)) < 2:
        return _difference(first, second, None)
    seeds = np.random.SeedSequence(seed).spawn(2)
    one, other = (
        scores_of(resample(counts, samples, own))[:, 2] for counts, own in zip((first, second), seeds, strict=True)
    )
    return _difference(first, second, one - other)


def _difference(first: Ints, second: Ints, differences: Optional[Floats]) -> dict[str, Any]:
    """The difference in F, with its interval and its p-value from those of samples."""
    one, other = (scores_of(own.sum(0).astype("float64"))[2] for own in (first, second))
    result: dict[str, Any] = {"difference": None, "interval": None, "p_value": None}
    if np.isnan(one) or np.isnan(other):
        return result
    result["difference"] = float(one - other)
    if differences is not None:
        differences = differences[~np.isnan(differences)]
        against = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
        result["interval"] = _middle(differences)
        result["p_value"] = min(1.0, 2 * (against + 1) / (len(differences) + 1))
    return result
