"""The prior of a temperature of `calibrate`: what it saves with little data, and what it costs.

Usage: python benchmarks/calibration_prior.py [--repeats 200]

A simulation without a model. Entities have the log odds z, drawn from N(3.5, 1.5), and are right with the probability
sigmoid(z / T). For a true temperature T and a number of entities, it fits a temperature as `calibrate` does, with
several standard deviations of the prior. Measured is the log loss on other entities, in thousandths of a nat for each
entity above that of the true temperature, as a mean over the repeats. Prints a table and writes
benchmarks/results/calibration_prior.json.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any, Optional

import numpy as np

OUTPUT = Path(__file__).parent / "results" / "calibration_prior.json"
LOG_ODDS = 3.5, 1.5
SIZES = (6, 20, 50, 100, 500)
PRIORS: tuple[Optional[float], ...] = (None, 1.0, 0.5, 0.25)
TEMPERATURES = (0.7, 1.0, 1.35, 2.0)
OTHERS = 2_000
TRIED = np.linspace(-3.0, 3.0, 121)
"""The logarithms of the temperatures that are tried."""


def log_loss(log_odds: Any, right: Any) -> Any:
    """The negative log-likelihood of outcomes. right: from 0 to 1, whether each entity is right."""
    return right * np.logaddexp(0.0, -log_odds) + (1.0 - right) * np.logaddexp(0.0, log_odds)


def fit(log_odds: Any, right: Any, sd: Optional[float]) -> float:
    """The best temperature with a prior of a standard deviation, or without one."""
    loss = log_loss(log_odds / np.exp(TRIED)[:, None], right).sum(axis=1)
    if sd is not None:
        loss = loss + TRIED**2 / (2.0 * sd**2)
    return math.exp(TRIED[np.argmin(loss)])


def simulate(temperature: float, size: int, repeats: int, rng: np.random.Generator) -> dict[str, float]:
    """The mean excess loss of each prior, and of no calibration; and the mean number of wrong entities."""
    others = rng.normal(*LOG_ODDS, OTHERS)
    rate = 1.0 / (1.0 + np.exp(-others / temperature))

    def excess(fitted: float) -> float:
        return 1000.0 * float((log_loss(others / fitted, rate) - log_loss(others / temperature, rate)).mean())

    losses: dict[str, list[float]] = {str(sd): [] for sd in PRIORS}
    wrong = 0
    for _ in range(repeats):
        log_odds = rng.normal(*LOG_ODDS, size)
        right = rng.random(size) < 1.0 / (1.0 + np.exp(-log_odds / temperature))
        wrong += size - int(right.sum())
        for sd in PRIORS:
            losses[str(sd)].append(excess(fit(log_odds, right, sd)))
    means = {name: float(np.mean(found)) for name, found in losses.items()}
    return {"not calibrated": excess(1.0), **means, "wrong": wrong / repeats}


def table(rows: list[dict[str, Any]]) -> str:
    priors = ["no prior" if sd is None else f"{sd}" for sd in PRIORS]
    lines = [
        f"| temperature | entities | wrong | not calibrated | {' | '.join(priors)} |",
        "|---:|---:|---:|---:|" + "---:|" * len(PRIORS),
    ]
    for row in rows:
        losses = [row["not calibrated"], *(row[str(sd)] for sd in PRIORS)]
        cells = [f"{row['temperature']}", f"{row['entities']}", f"{row['wrong']:.1f}", *(f"{x:.1f}" for x in losses)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200, help="data sets for each row")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = [
        {"temperature": temperature, "entities": size, **simulate(temperature, size, args.repeats, rng)}
        for temperature in TEMPERATURES
        for size in SIZES
    ]
    print(table(rows))
    OUTPUT.write_text(json.dumps({"repeats": args.repeats, "rows": rows}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
