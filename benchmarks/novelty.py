"""Calibration that sees novelty, and the doubt about a text: on texts like the training data, and on others.

Usage: python benchmarks/novelty.py TRAIN.spacy DEV.spacy --models FOLDER... [--others NAME=FILE.spacy ...]
                                    [--draws 20] [--cost]
       python benchmarks/novelty.py --report

Each FOLDER is a trained pipeline, with the seed as the last part of its name: NAME-0, NAME-1. It is calibrated on DEV
alone, once with temperatures only, and once with the training texts. Measured are, as mean and standard deviation over
the seeds of a NAME:
  - the expected calibration error (ten equally full bins), Brier score and log loss of predicted entities: on DEV,
    where each half of the documents is scored with what the other half has shown, and on other corpora;
  - how well the doubt tells DEV's sentences from their lower-cased copies and from the texts of other corpora (AUC),
    for texts of 20 tokens and more; and how many of DEV's sentences have a doubt above 0.95, if it is learned from the
    other half;
  - the losses on half of DEV after calibration with 1 to 50 documents of the other half, as a mean over draws.
--cost measures the time of prediction with and without novelty, in turns, as a ratio, and nothing else.

The labels of other corpora are mapped to those of CoNLL-2003 where they correspond; predicted entities of other labels
are left out. Adds the results to benchmarks/results/novelty.json, and writes the tables of all results in
docs/benchmarks/confidence.md and the reliability diagrams in docs/images/reliability-novelty.svg. --report writes only
these. The diagrams need matplotlib (extra `benchmark`).
"""

import argparse
import random
import statistics
import time
import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

import figures
from documents import fill, table
from seeds import Results, by_pipeline, cell, store, title
from spacy_lstm_ner.data.variation import sentence_starts
from spacy_lstm_ner.layers.crf.head import NOVELTY
from spacy_lstm_ner.pipeline.calibration import Scored, annotated_chains, fit, reliability, score, score_chains
from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer, find_component
from spacy_lstm_ner.pipeline.novelty import Novelty, novelty_of, read_training
from training import ROOT

OUTPUT = ROOT / "benchmarks" / "results" / "novelty.json"
PAGE, DIAGRAMS = ROOT / "docs" / "benchmarks" / "confidence.md", ROOT / "docs" / "images" / "reliability-novelty.svg"
KINDS = {"temperatures": "temperatures only", "novelty": "with the training texts"}
LOSSES = {"ece": "calibration error", "brier": "Brier score", "log_loss": "log loss"}
TO_CONLL = {
    **{"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"},
    **{"per": "PER", "org": "ORG", "geo": "LOC", "gpe": "LOC"},
    **{"PER": "PER", "ORG": "ORG", "LOC": "LOC"},
}
LEAST_TOKENS = 20
SIZES = (1, 5, 10, 20, 50)


def read(nlp: Language, path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(nlp.vocab))


def example(
    reference: Doc, start: int = 0, end: int | None = None, mapped: bool = False, lower: bool = False
) -> Example:
    """A part of an annotated doc, with mapped labels or in lower case."""
    part = reference[start : len(reference) if end is None else end]
    words = [token.lower_ if lower else token.text for token in part]
    spaces = [bool(token.whitespace_) for token in part]
    gold = Doc(reference.vocab, words, spaces, sent_starts=[token.is_sent_start for token in part])
    labels = {ent.label_: TO_CONLL.get(ent.label_) if mapped else ent.label_ for ent in part.ents}
    ents = [(ent.start - start, ent.end - start, labels[ent.label_]) for ent in part.ents]
    gold.set_ents([Span(gold, first, last, label) for first, last, label in ents if label is not None])
    return Example(Doc(reference.vocab, words, spaces), gold)


def sentences(references: Iterable[Doc], lower: bool = False) -> list[Example]:
    """The sentences of LEAST_TOKENS or more."""
    found = []
    for doc in references:
        starts = [*np.flatnonzero(sentence_starts(doc)).tolist(), len(doc)]
        found += [example(doc, a, b, lower=lower) for a, b in pairwise(starts) if b - a >= LEAST_TOKENS]
    return found


def losses(found: Scored) -> dict[str, float]:
    """The figures of predicted entities."""
    p = np.clip(found.scores, 1e-12, 1.0 - 1e-12)
    own = reliability(found.scores, found.right)
    log_loss = -np.log(np.where(found.right, p, 1.0 - p)).mean()
    return {"ece": own.ece, "brier": own.brier, "log_loss": float(log_loss), "entities": len(p)} | {
        "bins": [list(b) for b in own.bins],
    }


def scored(component: LSTMEntityRecognizer, examples: Sequence[Example], mapped: bool = False) -> Scored:
    found = score(component.tagger, examples)
    if not mapped:
        return found
    chosen = np.isin(np.array(component.labels)[found.labels], sorted(set(TO_CONLL.values())))
    return Scored(*(column[chosen] for column in found))


def joined(parts: Sequence[Scored]) -> Scored:
    return Scored(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def doubts(component: LSTMEntityRecognizer, examples: Sequence[Example]) -> Any:
    docs = [one.predicted for one in examples]
    return np.array([found.doubt for k in range(0, len(docs), 256) for found in component.predict(docs[k : k + 256])])


def auc(lower: Any, higher: Any) -> float:
    """The probability that one of `higher` is above one of `lower`; ties count half."""
    _, ranks, counts = np.unique(np.concatenate([lower, higher]), return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    total = middle[ranks[len(lower) :]].sum() - len(higher) * (len(higher) + 1) / 2.0
    return float(total / (len(lower) * len(higher)))


def calibration(
    component: LSTMEntityRecognizer, dev: Sequence[Doc], others: dict[str, list[Doc]], novelty: Novelty | None
) -> dict[str, Any]:
    """The losses on all corpora, and with novelty the doubt. The component stays calibrated on all of DEV."""
    halves, parts, above = (dev[0::2], dev[1::2]), [], []
    for own, rest in (halves, halves[::-1]):
        fit(component.tagger, [example(doc) for doc in rest], novelty)
        parts.append(score(component.tagger, [example(doc) for doc in own]))
        if novelty is not None:
            above.append(doubts(component, sentences(own)) > 0.95)
    fit(component.tagger, [example(doc) for doc in dev], novelty)
    found: dict[str, Any] = {"losses": {"dev": losses(joined(parts))}}
    for name, docs in others.items():
        found["losses"][name] = losses(scored(component, [example(doc, mapped=True) for doc in docs], mapped=True))
    if novelty is not None:
        known = doubts(component, sentences(dev))
        new = {name: [example(doc) for doc in docs if len(doc) >= LEAST_TOKENS] for name, docs in others.items()}
        new["dev in lower case"] = sentences(dev, lower=True)
        found["auc"] = {name: auc(known, doubts(component, examples)) for name, examples in new.items()}
        found["above 0.95"] = float(np.concatenate(above).mean())
    return found


def little_data(
    component: LSTMEntityRecognizer, dev: Sequence[Doc], novelty: Novelty, draws: int
) -> dict[str, dict[str, dict[str, float]]]:
    """The losses on the half of DEV that is not drawn from, without and after calibration, as means over draws."""
    head, drawn_from = component.model.get_ref("head"), list(dev[0::2])
    head.attrs.update({"temperature": 1.0, "label_temperatures": [], NOVELTY: novelty._asdict()})
    # The half is analysed once: calibration changes neither its emissions nor how surprising its words are.
    rest = annotated_chains(component.tagger, [example(doc) for doc in dev[1::2]])

    def now(known: Novelty | None) -> dict[str, float]:
        batches = []
        for chains, gold, annotated in rest:
            newness = None if known is None or chains.newness is None else chains.newness._replace(novelty=known)
            batches.append((chains._replace(newness=newness), gold, annotated))
        return {name: value for name, value in losses(score_chains(batches, head)).items() if name in LOSSES}

    found = {"0": dict.fromkeys(KINDS, now(None))}
    rng = random.Random(0)
    for size in SIZES:
        tried: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        while len(tried["novelty"]) < draws:
            chosen = rng.sample(drawn_from, size)
            if any(doc.ents for doc in chosen):
                fit(component.tagger, [example(doc) for doc in chosen], novelty)
                tried["temperatures"].append(now(None))
                tried["novelty"].append(now(novelty_of(head)))
        found[str(size)] = {
            kind: {name: statistics.mean(one[name] for one in own) for name in LOSSES} for kind, own in tried.items()
        }
    return found


def cost(component: LSTMEntityRecognizer, dev: Sequence[Doc], novelty: Novelty, rounds: int = 20) -> float:
    """The time of prediction with novelty, divided by that without: the median over rounds of alternating runs."""
    fit(component.tagger, [example(doc) for doc in dev[:40]], novelty)
    head = component.model.get_ref("head")
    known, ratios = head.attrs[NOVELTY], []
    docs = [example(doc).predicted for doc in dev]
    for k in range(rounds):
        seconds = {}
        for has in (True, False) if k % 2 else (False, True):
            head.attrs.pop(NOVELTY, None)
            if has:
                head.attrs[NOVELTY] = known
            fresh = [doc.copy() for doc in docs]
            start = time.process_time()
            component.set_annotations(fresh, component.predict(fresh))
            seconds[has] = time.process_time() - start
        ratios.append(seconds[True] / seconds[False])
    return statistics.median(ratios)


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of one pipeline."""
    nlp = spacy.load(folder)
    component = find_component(nlp.pipeline)
    dev, novelty = read(nlp, args.dev), read_training(read(nlp, args.train))
    if args.cost:
        return {"cost": cost(component, dev, novelty)}
    others = {name: read(nlp, Path(path)) for name, path in (other.split("=", 1) for other in args.others)}
    found: dict[str, Any] = {"temperatures": calibration(component, dev, others, None)}
    found["novelty"] = calibration(component, dev, others, novelty)
    found["weights"] = component.model.get_ref("head").attrs[NOVELTY]["weights"].tolist()
    if args.draws:
        found["little data"] = little_data(component, dev, novelty, args.draws)
    return found


def report(results: Results) -> None:
    """Write the tables and the diagrams."""
    pipelines = {name: runs for name, runs in by_pipeline(results).items() if "novelty" in runs[0]}
    pairs = [(loss, kind) for loss in LOSSES for kind in KINDS]
    rows = [
        [title(name, runs), corpus, *(cell(runs, kind, "losses", corpus, loss) for loss, kind in pairs)]
        for name, runs in pipelines.items()
        for corpus in runs[0]["novelty"]["losses"]
    ]
    header = ["pipeline", "tested on", *(f"{LOSSES[loss]}, {KINDS[kind]}" for loss, kind in pairs)]
    fill(PAGE, "novelty", table(header, rows, 2))
    texts = list(dict.fromkeys(text for runs in pipelines.values() for text in runs[0]["novelty"]["auc"]))
    rows = [
        [
            title(name, runs),
            *(cell(runs, "novelty", "auc", text) for text in texts),
            cell(runs, "novelty", "above 0.95", digits=1, scale=100),
            cell(runs, "cost"),
        ]
        for name, runs in pipelines.items()
    ]
    fill(PAGE, "doubt", table(["pipeline", *texts, "% of dev above 0.95", "time with / without"], rows))
    rows = [
        [title(name, runs), size, *(cell(runs, "little data", size, kind, loss) for loss, kind in pairs)]
        for name, runs in pipelines.items()
        for size in runs[0].get("little data", {})
    ]
    header[1] = "documents"
    fill(PAGE, "little-data", table(header, rows, 2))
    draw(pipelines)


def draw(pipelines: dict[str, list[dict[str, Any]]]) -> None:
    """Draw the reliability diagrams: a row for each pipeline, a column for each corpus, a line for each seed."""
    corpora = list(dict.fromkeys(corpus for runs in pipelines.values() for corpus in runs[0]["novelty"]["losses"]))
    size = (2.6 * len(corpora), 2.6 * len(pipelines))
    figure, axes = figures.pyplot().subplots(len(pipelines), len(corpora), figsize=size, squeeze=False, sharey=True)
    for row, (name, runs) in zip(axes, pipelines.items(), strict=True):
        for own, corpus in zip(row, corpora, strict=True):
            own.plot([0, 1], [0, 1], color=figures.GRAY, linewidth=1)
            for kind, color in zip(KINDS, (figures.RED, figures.BLUE), strict=True):
                for run in runs:
                    bins = run[kind]["losses"].get(corpus, {"bins": []})["bins"]
                    own.plot([b[0] for b in bins], [b[1] for b in bins], color=color, linewidth=1, label=KINDS[kind])
            own.set_title(f"{name}\n{corpus}", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    first = dict(zip(reversed(labels), reversed(handles), strict=True))
    axes[0, 0].legend(first.values(), first.keys(), frameon=False, fontsize=7)
    axes[-1, 0].set_xlabel("mean score of a bin")
    axes[-1, 0].set_ylabel("share of right entities")
    figures.save(figure, DIAGRAMS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("dev", type=Path, nargs="?")
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--draws", type=int, default=20, help="draws of little data; 0 leaves this out")
    parser.add_argument("--cost", action="store_true", help="measure only the time")
    parser.add_argument("--report", action="store_true", help="only write the stored results")
    args = parser.parse_args()
    if not args.report and (args.dev is None or not args.models):
        parser.error("expected the files TRAIN.spacy and DEV.spacy, and --models")
    with warnings.catch_warnings():
        # Little data is said to be little.
        warnings.filterwarnings("ignore", message=".*calibrate")
        for folder in args.models:
            store(OUTPUT, {folder.name: measure(folder, args)})
            print(f"{folder.name}: {time.process_time():.0f} s of CPU time so far", flush=True)
    report(store(OUTPUT, {}))


if __name__ == "__main__":
    main()
