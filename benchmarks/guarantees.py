"""How often the promises of `calibrate --guarantee` are kept, by four tests, and what they give up.

Usage: python benchmarks/guarantees.py DEV.spacy --models FOLDER... [--train TRAIN.spacy] [--repeats 200]
       python benchmarks/guarantees.py --report

Each FOLDER is a trained pipeline, with the seed as the last part of its name: NAME-0, NAME-1. As the command does, the
script first calibrates it on DEV, with the training texts if there are any.

The documents of DEV are divided at random into two halves, many times. A threshold is chosen on the one half, and the
promise is checked on the other: "kept in other half". "Kept" is the share of times that the promise is kept in all of
DEV, if a half of it is drawn with repetition. Where no threshold is found, nothing is promised, which counts as kept;
"given" says how often one is found. "Lost F" is the F1 that is lost by the choice on a sample, against the best
threshold that keeps the promise in all of DEV.

Tests: `entities` takes entities as independent. `mean` uses the effective size of the sample, and `sample` half of it,
which is what the command does. `betting` needs no assumption but a bound, the largest document (Waudby-Smith & Ramdas
2024).

Adds the results to benchmarks/results/guarantees.json, and writes the table of all results, as mean and standard
deviation over the seeds of a NAME, in docs/benchmarks/confidence.md. --report writes only the table.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.training import Corpus

from documents import fill, table
from seeds import Results, by_pipeline, cell, store
from spacy_lstm_ner.pipeline import guarantee
from spacy_lstm_ner.pipeline.calibration import fit
from spacy_lstm_ner.pipeline.component import find_component
from spacy_lstm_ner.pipeline.guarantee import Promise, Trial, try_thresholds
from spacy_lstm_ner.pipeline.novelty import read_training
from spacy_lstm_ner.pipeline.span_choice import fit_threshold, judge
from training import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "guarantees.json"
PAGE = ROOT / "docs" / "benchmarks" / "confidence.md"
LEVELS = {"precision": (0.9, 0.95, 0.97), "recall": (0.8, 0.85, 0.9)}


def entity_test(right: Any, whole: Any, promise: Promise) -> float:
    """The p-value if entities were independent."""
    return guarantee.chance(float(right.sum()), float(whole.sum()), promise.level)


def mean_test(right: Any, whole: Any, promise: Promise) -> float:
    """The p-value for the mean of all texts, and not for a new sample of them."""
    n = guarantee.effective_size(right, whole)
    return guarantee.chance(n * float(right.sum()) / max(float(whole.sum()), 1.0), n, promise.level)


def betting_test(right: Any, whole: Any, promise: Promise) -> float:
    """The p-value of a bet on each document in turn: 1 over the largest wealth."""
    gains = right - promise.level * whole
    steps = np.arange(1, len(gains) + 1)
    second = np.append(0.25, (np.cumsum(gains**2) + 0.25) / (steps + 1))[:-1]
    bets = np.sqrt(2 * math.log(1 / (1 - promise.confidence)) / (len(gains) * second))
    bets = np.minimum(bets, 0.5 / (promise.level * whole.max() + 1e-9))
    return math.exp(-max(np.cumsum(np.log1p(bets * gains)).max(), 0.0))


TESTS = {"entities": entity_test, "mean": mean_test, "sample": guarantee.p_value, "betting": betting_test}


def of_docs(trial: Trial, docs: Any) -> Trial:
    return Trial(trial.found[:, docs], trial.right[:, docs], trial.gold[docs])


def chosen(trial: Trial, promise: Promise, test: Any) -> int:
    """The number of the threshold with the best F1 of those that keep the promise; -1 if none does."""
    kept = guarantee.keeping(trial, promise, test)
    f = 2 * trial.right.sum(axis=1) / np.maximum(trial.found.sum(axis=1) + trial.gold.sum(), 1)
    return int(np.argmax(np.where(kept, f, -1.0))) if kept.any() else -1


def measure(trial: Trial, promise: Promise, test: Any, repeats: int) -> dict[str, Any]:
    """How often one promise is kept, given and refused."""
    rng, n = np.random.default_rng(0), len(trial.gold)
    rates = trial.right.sum(axis=1) / np.maximum(trial.whole(promise.measure).sum(axis=1), 1)
    f = 2 * trial.right.sum(axis=1) / np.maximum(trial.found.sum(axis=1) + trial.gold.sum(), 1)
    possible = rates >= promise.level
    best_f = f[possible].max(initial=0.0)
    counts: dict[str, Any] = {"given": 0, "kept": 0, "kept_in_other_half": 0, "given_in_half": 0, "lost_f": 0.0}
    for _ in range(repeats):
        k = chosen(of_docs(trial, rng.integers(0, n, n // 2)), promise, test)
        counts["given"] += k >= 0
        counts["kept"] += k < 0 or rates[k] >= promise.level
        counts["lost_f"] += best_f - f[k] if k >= 0 and possible.any() else 0.0
        order = rng.permutation(n)
        k = chosen(of_docs(trial, order[: n // 2]), promise, test)
        other = of_docs(trial, order[n // 2 :])
        rate = other.right[k].sum() / max(other.whole(promise.measure)[k].sum(), 1)
        counts["given_in_half"] += k >= 0
        counts["kept_in_other_half"] += k < 0 or rate >= promise.level
    given = max(counts["given"], 1)
    shares = {name: float(value) / repeats for name, value in counts.items() if name != "lost_f"}
    return {**shares, "lost_f": float(counts["lost_f"]) / given, "possible": bool(possible.any())}


def of_pipeline(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of one pipeline, for each promise and test."""
    nlp = spacy.load(folder)
    component, found = find_component(nlp.pipeline), {}
    component.cfg["decoding"] = args.decoding
    examples = list(Corpus(args.dev)(nlp))
    training = None if args.train is None else (example.reference for example in Corpus(args.train)(nlp))
    fit(component.tagger, examples, None if training is None else read_training(training))
    judged = judge(component.tagger, examples)
    fitted = np.full(len(component.labels), fit_threshold(judged))
    for number, label in [(None, None), *enumerate(component.labels)]:
        own = np.arange(len(component.labels)) if number is None else np.array([number])
        trial = try_thresholds(judged, fitted, own, own)
        for kind, levels in LEVELS.items():
            for level in levels:
                promise = Promise(kind, label, level, args.confidence)
                found[str(promise)] = {
                    name: measure(trial, promise, test, args.repeats) for name, test in TESTS.items()
                }
        print(f"{folder.name}, {label or 'all labels'}: {time.process_time():.0f} s of CPU time so far", flush=True)
    return {args.decoding: found}


def report(results: Results, decoding: str) -> None:
    """Write the table."""
    rows = []
    for name, runs in by_pipeline(results).items():
        for promise in runs[0].get(decoding, {}):
            own = [run[decoding][promise] for run in runs if decoding in run]
            cells = [cell(own, "sample", key, digits=1, scale=100) for key in ("given_in_half", "kept_in_other_half")]
            cells.append(cell(own, "sample", "lost_f", digits=1, scale=100))
            cells += [cell(own, test, "kept_in_other_half", digits=1, scale=100) for test in ("entities", "mean")]
            rows.append([name, promise.rpartition(" at ")[0].replace(">=", "≥"), str(len(own)), *cells])
    header = ["pipeline", "promise", "seeds", "found", "kept", "lost F1"]
    header += ["kept, if entities count as independent", "kept, without halving"]
    fill(PAGE, "guarantees", table(header, rows, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dev", type=Path, nargs="?")
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--train", type=Path)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--decoding", default="expected_f")
    parser.add_argument("--confidence", type=float, default=0.9)
    parser.add_argument("--report", action="store_true", help="only write the table of the stored results")
    args = parser.parse_args()
    if not args.report and (args.dev is None or not args.models):
        parser.error("expected the file DEV.spacy, and --models")
    for folder in args.models:
        store(RESULTS, {folder.name: of_pipeline(folder, args)})
    report(store(RESULTS, {}), args.decoding)


if __name__ == "__main__":
    main()
