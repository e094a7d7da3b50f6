"""CRF beside log-softmax, partial annotation, and how far the scores of entities can be trusted.

Usage: python benchmarks/confidence.py TRAIN.spacy DEV.spacy [--seeds 3] [--steps N]
       python benchmarks/confidence.py --report

Trains configs/default.cfg without its calibration on one thread, once for each seed:
  - with each head;
  - with 30 % of the entities and of the other tokens without annotation, which the CRF sums over;
  - with the same data, where what has no annotation is read as O.

With the CRF of the first seed it then measures the calibration error before and after calibration (each half of DEV
with the temperatures fitted on the other half), precision by score, and precision without the least confident fifth of
the entities.

Prints tables and writes benchmarks/results/confidence.json and docs/images/reliability.svg. --report only draws the
figure from the stored results. The figure needs matplotlib (extra `benchmark`).
"""

import argparse
import json
import os
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from thinc.api import Config

import figures
from campaign.report import number
from campaign.summary import mean_and_sd
from training import ENV, ROOT, evaluate, shorten, train

RESULTS = ROOT / "benchmarks" / "results" / "confidence.json"
REMOVED = 0.3
LEFT_OUT = 0.2


def f_after_training(config: Path, data: tuple[Path, Path], output: Path, seed: int, head: str = "crf") -> float:
    """Train, and return the entity F1 on DEV. data: the files TRAIN and DEV."""
    overrides = {"paths.train": data[0], "paths.dev": data[1], "system.seed": seed}
    overrides["components.lstm_ner.model.head"] = head
    train(config, output, overrides, echo=False)
    f: float = evaluate(output / "model-best", data[1], output / "scores.json")["ents_f"]
    print(f"{output.name}: F1 {f:.4f}", flush=True)
    return f


def take_annotation_away(source: Path, missing: Path, as_outside: Path) -> None:
    """Write the data with a part of the annotation missing, and again with that part as O."""
    import spacy
    from spacy.tokens import DocBin

    nlp, rng = spacy.blank("en"), random.Random(0)
    bins = {True: DocBin(), False: DocBin()}
    for doc in DocBin().from_disk(source).get_docs(nlp.vocab):
        kept = [ent for ent in doc.ents if rng.random() >= REMOVED]
        gone = [doc[ent.start : ent.end] for ent in doc.ents if ent not in kept]
        gone += [doc[token.i : token.i + 1] for token in doc if token.ent_iob_ == "O" and rng.random() < REMOVED]
        for is_missing, target in bins.items():
            doc.set_ents(kept, missing=gone if is_missing else None, default="outside")
            target.add(doc)
    bins[True].to_disk(missing)
    bins[False].to_disk(as_outside)


def calibration(model: Path, dev: Path) -> dict[str, Any]:
    """How well the scores of one model are calibrated: each half of DEV with the temperatures of the other half."""
    import numpy as np
    import spacy
    from spacy.training import Corpus

    from spacy_lstm_ner.pipeline.calibration import fit, reliability, score

    nlp = spacy.load(model)
    component = nlp.get_pipe("lstm_ner")
    examples = list(Corpus(dev)(nlp))
    tagger = component.tagger
    before = score(tagger, examples)
    halves = []
    for k in (0, 1):
        fit(tagger, examples[1 - k :: 2])
        halves.append(score(tagger, examples[k::2]))
    scores, right = (np.concatenate([getattr(half, name) for half in halves]) for name in ("scores", "right"))
    raw, fitted = reliability(before.scores, before.right), reliability(scores, right)
    confident = scores >= np.quantile(scores, LEFT_OUT)
    return {
        "entities": len(scores),
        "before": raw._asdict(),
        "after": fitted._asdict(),
        "precision": float(right.mean()),
        "precision_without_least_confident": float(right[confident].mean()),
        "recall_kept": float(right[confident].sum() / right.sum()),
    }


def draw(calibrated: dict[str, Any]) -> None:
    """Draw the reliability diagram."""
    figure, axes = figures.pyplot().subplots(figsize=(4.5, 4.5))
    axes.plot([0, 1], [0, 1], color=figures.GRAY, linewidth=1)
    for name, marker, color in (("before", "o", figures.RED), ("after", "s", figures.BLUE)):
        bins = calibrated[name]["bins"]
        label = f"{name} calibration, ECE {calibrated[name]['ece']:.3f}"
        axes.plot([b[0] for b in bins], [b[1] for b in bins], marker=marker, color=color, label=label)
    axes.set_xlabel("mean score of the entities of a bin")
    axes.set_ylabel("share of right entities")
    axes.legend(frameon=False)
    figures.save(figure, ROOT / "docs" / "images" / "reliability.svg")


def measure(args: argparse.Namespace) -> None:
    """Train, print all figures and write the file of results."""
    os.environ.update(ENV)
    data = args.train, args.dev
    partial: dict[str, list[float]] = {"summed_over": [], "read_as_outside": []}
    settings = Config().from_disk(ROOT / "configs" / "default.cfg", interpolate=False)
    # What is measured here is what calibration changes.
    del settings["training"]["before_to_disk"], settings["components"]["lstm_ner"]["decoding"]
    if args.steps is not None:
        shorten(settings["training"], args.steps)
    steps = settings["training"]["max_steps"]
    results: dict[str, Any] = {"steps": steps, "heads": {"crf": [], "softmax": []}, "partial": partial}
    with tempfile.TemporaryDirectory() as name:
        folder, config = Path(name), Path(name) / "default.cfg"
        settings.to_disk(config)
        less = {kind: folder / f"{kind}.spacy" for kind in partial}
        take_annotation_away(args.train, less["summed_over"], less["read_as_outside"])
        for seed in range(args.seeds):
            for head, found in results["heads"].items():
                found.append(f_after_training(config, data, folder / f"{head}-{seed}", seed, head))
            for kind, found in partial.items():
                found.append(f_after_training(config, (less[kind], args.dev), folder / f"{kind}-{seed}", seed))
        results["calibration"] = calibration(folder / "crf-0" / "model-best", args.dev)
    for kind, found in (results["heads"] | partial).items():
        print(f"{kind}: F1 {number(mean_and_sd(found), 4)} ({len(found)} seeds)")
    full, summed, outside = (statistics.mean(found) for found in (results["heads"]["crf"], *partial.values()))
    print(f"summed over loses {(full - summed) / (full - outside):.3f} of what reading as O loses")
    print(json.dumps(results["calibration"], indent=2))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("dev", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="train for fewer steps, to try things out")
    parser.add_argument("--report", action="store_true", help="draw the figure from the stored results")
    args = parser.parse_args()
    if not args.report:
        if args.dev is None:
            parser.error("expected the files TRAIN.spacy and DEV.spacy")
        measure(args)
    draw(json.loads(RESULTS.read_text("utf8"))["calibration"])


if __name__ == "__main__":
    main()
