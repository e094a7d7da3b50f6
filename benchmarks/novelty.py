"""Calibration that sees novelty, and the doubt about a text: on texts like the training data, and on others.

Usage: python benchmarks/novelty.py TRAIN.spacy DEV.spacy --models FOLDER... [--others NAME=FILE.spacy ...]
                                    [--draws 20] [--cost]

Each FOLDER is a trained pipeline, with the seed as the last part of its name: NAME-0, NAME-1. It is calibrated on DEV
alone, once with temperatures only, and once with the training texts. Measured are, as mean and standard deviation over
the seeds of a NAME:
  - the expected calibration error (ten equally full bins), Brier score and log loss of predicted entities: on DEV,
    where each half of the documents is scored with what the other half has shown, and on other corpora;
  - how well the doubt tells DEV's sentences from their lower-cased copies and from the texts of other corpora (AUC),
    for texts of 20 tokens and more; and how many of DEV's sentences have a doubt above 0.95, if it is learned from the
    other half;
  - the losses on half of DEV after calibration with 1 to 50 documents of the other half, as a mean over draws.
--cost measures the time of prediction with and without novelty, in turns, as a ratio.

The labels of other corpora are mapped to those of CoNLL-2003 where they correspond; predicted entities of other labels
are left out. Prints the results and writes benchmarks/results/novelty.json.
"""

import argparse
import json
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

from spacy_lstm_ner.data.variation import sentence_starts
from spacy_lstm_ner.layers.crf.head import NOVELTY
from spacy_lstm_ner.pipeline.calibration import Scored, fit, reliability, score
from spacy_lstm_ner.pipeline.component import LSTMEntityRecognizer, find_component
from spacy_lstm_ner.pipeline.novelty import Novelty, read_training

OUTPUT = Path(__file__).parent / "results" / "novelty.json"
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
) -> dict[str, dict[str, float]]:
    """The log loss and the Brier score on the half of DEV that is not drawn from, without and after calibration."""
    drawn_from, rest = list(dev[0::2]), [example(doc) for doc in dev[1::2]]
    head = component.model.get_ref("head")
    head.attrs.update(temperature=1.0, label_temperatures=[])
    head.attrs.pop(NOVELTY, None)
    found = {"0": {name: value for name, value in losses(score(component.tagger, rest)).items() if name != "bins"}}
    rng = random.Random(0)
    for size in SIZES:
        tried = []
        while len(tried) < draws:
            chosen = rng.sample(drawn_from, size)
            if any(doc.ents for doc in chosen):
                fit(component.tagger, [example(doc) for doc in chosen], novelty)
                tried.append(losses(score(component.tagger, rest)))
        found[str(size)] = {k: statistics.mean(one[k] for one in tried) for k in ("ece", "brier", "log_loss")}
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


def measure(args: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """The figures of each pipeline, by the name without the seed."""
    results: dict[str, list[dict[str, Any]]] = {}
    for folder in args.models:
        nlp = spacy.load(folder)
        component = find_component(nlp.pipeline)
        dev = read(nlp, args.dev)
        others = {name: read(nlp, Path(path)) for name, path in (other.split("=", 1) for other in args.others)}
        novelty = read_training(read(nlp, args.train))
        found: dict[str, Any] = {"pipeline": folder.name}
        if args.cost:
            found["cost"] = cost(component, dev, novelty)
        else:
            found["temperatures"] = calibration(component, dev, others, None)
            found["novelty"] = calibration(component, dev, others, novelty)
            found["weights"] = component.model.get_ref("head").attrs[NOVELTY]["weights"].tolist()
            if args.draws:
                found["little data"] = little_data(component, dev, novelty, args.draws)
        print(json.dumps(shortened(found)), flush=True)
        results.setdefault(folder.name.rpartition("-")[0] or folder.name, []).append(found)
    return results


def shortened(found: Any) -> Any:
    """Without the bins, and with three digits."""
    if isinstance(found, dict):
        return {name: shortened(value) for name, value in found.items() if name not in ("bins", "entities")}
    return round(found, 4) if isinstance(found, float) else found


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The calibration error of each pipeline and corpus, and the AUC of the doubt."""

    def cell(values: Sequence[float]) -> str:
        return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.3f}"

    kinds = [(measure, kind) for measure in ("ece", "brier", "log_loss") for kind in ("temperatures", "novelty")]
    header = " | ".join(f"{measure}, {kind}" for measure, kind in kinds)
    lines = [f"| pipeline | corpus | {header} | AUC of the doubt |", f"|---|---|{(len(kinds) + 1) * '---:|'}"]
    for name, runs in results.items():
        first = runs[0]["novelty"]
        for corpus in {**first["losses"], **first["auc"]}:
            cells = [
                cell([run[kind]["losses"][corpus][measure] for run in runs]) if corpus in first["losses"] else ""
                for measure, kind in kinds
            ]
            aucs = [run["novelty"]["auc"][corpus] for run in runs if corpus in run["novelty"]["auc"]]
            lines.append(f"| {name} | {corpus} | {' | '.join(cells)} | {cell(aucs) if aucs else ''} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--draws", type=int, default=20, help="draws of little data; 0 leaves this out")
    parser.add_argument("--cost", action="store_true", help="measure only the time")
    args = parser.parse_args()
    with warnings.catch_warnings():
        # Little data is said to be little.
        warnings.filterwarnings("ignore", message=".*calibrate")
        results = measure(args)
    if args.cost:
        return
    print(table(results))
    OUTPUT.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
