"""F1 of the best sequence of tags and of the best set of entities (`decoding = "expected_f"`), and what they cost.

Usage: python benchmarks/expected_f.py MODEL=DEV.spacy [MODEL=DEV.spacy ...] [--rounds 5]
       python benchmarks/expected_f.py --report

Each half of the documents of DEV (every other one) is predicted with the temperatures and the threshold that
`calibrate` fits to the other half. "default" is the threshold that is used where none is set, without calibration; "no
annotation" is the threshold that the calibrated model expects to be best. The cost is that of the whole pipeline with
scores, on one thread; both decodings take turns, and the best round counts.

Prints a table and writes benchmarks/results/expected_f.json.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from training import ENV, ROOT

RESULTS = ROOT / "benchmarks" / "results" / "expected_f.json"


def f1_by_two_folds(nlp: Any, examples: list[Any]) -> dict[str, Any]:
    """F1 of each way to choose entities, in percent, and the thresholds of the folds."""
    import numpy as np

    from spacy_lstm_ner.pipeline import calibration
    from spacy_lstm_ner.pipeline.settings import EXPECTED_F_THRESHOLD
    from spacy_lstm_ner.pipeline.span_choice import expected_threshold, f_beta, fit_threshold, judge

    component = nlp.get_pipe("lstm_ner")
    totals: dict[str, Any] = {}
    thresholds = []

    def add(way: str, judged: Any, threshold: float) -> None:
        found, right = judged.counts(np.full(len(component.labels), threshold))
        totals[way] = totals.get(way, 0) + np.array([found.sum(), right.sum(), judged.gold.sum()])

    for fold in (0, 1):
        fitted_to, scored = examples[1 - fold :: 2], examples[fold::2]
        component.model.get_ref("head").attrs.update(temperature=1.0, label_temperatures=[])
        component.cfg["decoding"] = "best_sequence"
        add("best_sequence", judge(component.tagger, scored), 0.0)
        component.cfg["decoding"] = "expected_f"
        add("default", judge(component.tagger, scored), EXPECTED_F_THRESHOLD)
        calibration.fit(component.tagger, fitted_to)
        thresholds.append(fit_threshold(judge(component.tagger, fitted_to)))
        judged = judge(component.tagger, scored)
        add("expected_f", judged, thresholds[-1])
        docs = [example.predicted for example in scored]
        add("no_annotation", judged, expected_threshold(component.tagger, docs))
    f1 = {way: round(100 * f_beta(*map(float, counts)), 2) for way, counts in totals.items()}
    return {**f1, "thresholds": thresholds}


def cost(nlp: Any, examples: list[Any], rounds: int) -> dict[str, float]:
    """Microseconds for a word with each decoding."""
    from spacy.tokens import Doc

    component, best = nlp.get_pipe("lstm_ner"), {"best_sequence": 1e9, "expected_f": 1e9}
    words = [[token.text for token in example.predicted] for example in examples]
    n_words = sum(map(len, words))
    for _ in range(rounds):
        for decoding in best:
            component.cfg.update(decoding=decoding, threshold=0.4 if decoding == "expected_f" else 0.0)
            docs = [Doc(nlp.vocab, words=own) for own in words]
            start = time.perf_counter()
            for _doc in nlp.pipe(docs):
                pass
            best[decoding] = min(best[decoding], 1e6 * (time.perf_counter() - start) / n_words)
    return {f"{decoding}_us": round(value, 3) for decoding, value in best.items()}


def measure(model: Path, dev: Path, rounds: int) -> dict[str, Any]:
    import spacy
    from spacy.training import Corpus

    nlp = spacy.load(model)
    examples = list(Corpus(dev)(nlp))
    return {**f1_by_two_folds(nlp, examples), **cost(nlp, examples, rounds)}


def report(results: dict[str, Any]) -> None:
    print("| model and data | best sequence | expected F | default | no annotation | µs a word | µs a word |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, own in results.items():
        keys = ("best_sequence", "expected_f", "default", "no_annotation", "best_sequence_us", "expected_f_us")
        print(f"| {name} | {' | '.join(f'{own[key]:.2f}' for key in keys)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", metavar="MODEL=DEV.spacy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--report", action="store_true", help="print the stored results")
    args = parser.parse_args()
    results = json.loads(RESULTS.read_text("utf8")) if RESULTS.exists() else {}
    os.environ.update(ENV)
    for pair in args.pairs:
        model, _, dev = pair.partition("=")
        name = f"{Path(model).name} on {Path(dev).parent.name}"
        results[name] = measure(Path(model), Path(dev), args.rounds)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    report(results)


if __name__ == "__main__":
    main()
