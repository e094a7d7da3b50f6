"""F1 of the best sequence of tags and of the best set of entities (`decoding = "expected_f"`), and what they cost.

Usage: python benchmarks/expected_f.py MODEL=DEV.spacy [MODEL=DEV.spacy ...] [--rounds 10]
       python benchmarks/expected_f.py --report

Each MODEL is the folder of a trained pipeline, with the seed as the last part of its name: NAME-0, NAME-1. Each half of
the documents of DEV (every other one) is predicted with the temperatures and the threshold that `calibrate` fits to the
other half. "default" is the threshold that is used where none is set, without calibration; "no annotation" is the
threshold that the calibrated model expects to be best. The cost is the CPU time of the whole pipeline with scores, on
one thread; both decodings take turns, and the median of the ratios counts. --rounds 0 leaves it out.

Adds the results to benchmarks/results/expected_f.json, and writes the table of all results, as mean and standard
deviation over the seeds of a NAME, in docs/benchmarks/confidence.md. --report writes only the table.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

from documents import fill, table
from seeds import Results, by_pipeline, cell, store, title
from training import ENV, ROOT

RESULTS = ROOT / "benchmarks" / "results" / "expected_f.json"
PAGE = ROOT / "docs" / "benchmarks" / "confidence.md"
WAYS = {
    "best_sequence": "`best_sequence`",
    "expected_f": "`expected_f`",
    "difference": "difference",
    "default": "`expected_f`, 0.4, not calibrated",
    "no_annotation": "`expected_f`, without annotation",
}


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
    return {**f1, "difference": f1["expected_f"] - f1["best_sequence"], "thresholds": thresholds}


def cost(nlp: Any, examples: list[Any], rounds: int) -> float:
    """The CPU time of `expected_f`, divided by that of the best sequence with scores."""
    from spacy.tokens import Doc

    component, ratios = nlp.get_pipe("lstm_ner"), []
    words = [[token.text for token in example.predicted] for example in examples]
    for k in range(rounds):
        seconds = {}
        for decoding in ("best_sequence", "expected_f")[:: -1 if k % 2 else 1]:
            component.cfg.update(decoding=decoding, threshold=0.4 if decoding == "expected_f" else 0.0)
            docs = [Doc(nlp.vocab, words=own) for own in words]
            start = time.process_time()
            for _doc in nlp.pipe(docs):
                pass
            seconds[decoding] = time.process_time() - start
        ratios.append(seconds["expected_f"] / seconds["best_sequence"])
    return statistics.median(ratios)


def measure(model: Path, dev: Path, rounds: int) -> dict[str, Any]:
    import spacy
    from spacy.training import Corpus

    nlp = spacy.load(model)
    examples = list(Corpus(dev)(nlp))
    found = f1_by_two_folds(nlp, examples)
    return {**found, "cost": cost(nlp, examples, rounds)} if rounds else found


def report(results: Results) -> None:
    """Write the table."""
    rows = [
        [title(name, runs), *(cell(runs, way, digits=2) for way in WAYS), cell(runs, "cost", digits=2)]
        for name, runs in by_pipeline(results).items()
    ]
    fill(PAGE, "expected-f", table(["pipeline", *WAYS.values(), "time"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", metavar="MODEL=DEV.spacy")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of the cost")
    parser.add_argument("--report", action="store_true", help="only write the table of the stored results")
    args = parser.parse_args()
    os.environ.update(ENV)
    for pair in args.pairs:
        model, _, dev = pair.partition("=")
        store(RESULTS, {Path(model).name: measure(Path(model), Path(dev), args.rounds)})
        print(f"{model}: {time.process_time():.0f} s of CPU time so far", flush=True)
    report(store(RESULTS, {}))


if __name__ == "__main__":
    main()
