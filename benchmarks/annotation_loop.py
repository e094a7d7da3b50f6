"""Which sentences to annotate next: by uncertainty, by uncertainty with diversity, or at random.

Usage: python benchmarks/annotation_loop.py [--seeds 5] [--rounds 60] [--goal 0.95] [--strategies random diverse ...]
       python benchmarks/annotation_loop.py --report

A model starts with 50 sentences of CoNLL-2003 train. In each round it learns for 150 updates from the annotated
sentences, its entity F1 on the sentences of testa is measured, and 50 more sentences are annotated:
  random       any
  uncertain    those with the greatest entropy over all analyses
  diverse      those of `spacy lstm-ner uncertainty --by entropy --diverse`
The loop ends when F1 reaches --goal of the F1 of the same model after as many updates on all sentences as 60 rounds
have, or after --rounds. The weights are averages over the updates.

Writes benchmarks/results/annotation_loop.jsonl when a loop ends, and goes on with the loops that are not there yet.
--report writes the table in docs/benchmarks/annotation.md and docs/images/annotation_loop.svg, from the stored results.
It needs the folder that LSTM_NER_DATA names, and matplotlib for the figure.
"""

import argparse
import json
import random
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, Optimizer, fix_random_seed

import corpora
import documents
import figures
from spacy_lstm_ner.data.reader import read_docs
from spacy_lstm_ner.pipeline.uncertainty import choose_diverse
from spacy_lstm_ner.training.review import without_annotation
from training import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "annotation_loop.jsonl"
DOCUMENT, FIGURE = ROOT / "docs" / "benchmarks" / "annotation.md", ROOT / "docs" / "images" / "annotation_loop.svg"
STRATEGIES = ("random", "uncertain", "diverse")
BATCH, UPDATES, WORDS, FULL_ROUNDS = 50, 150, 400, 60


def sentences(nlp: Language, name: str) -> list[Doc]:
    return [doc for doc in read_docs(corpora.needed(f"conll03/{name}"), nlp, n_sents=1) if doc.text != "-DOCSTART-"]


class Loop:
    """A model, the sentences that are annotated, and those that are not."""

    def __init__(self, seed: int, all_at_once: bool = False) -> None:
        fix_random_seed(seed)
        self.nlp = spacy.blank("en")
        self.component = self.nlp.add_pipe("lstm_ner", config={"score_attr": None})
        self.train, self.dev = sentences(self.nlp, "eng.train"), sentences(self.nlp, "eng.testa")
        self.nlp.initialize(lambda: [self.example(doc) for doc in self.train[:3000]])
        self.optimizer: Optimizer = Adam(0.003, L2=0.01, grad_clip=1.0, use_averages=True, L2_is_weight_decay=True)
        self.rng, order = random.Random(seed), list(range(len(self.train)))
        self.rng.shuffle(order)
        first = len(order) if all_at_once else BATCH
        self.annotated, self.pool = order[:first], order[first:]

    def example(self, doc: Doc) -> Example:
        return Example(without_annotation(self.nlp, doc), doc)

    def learn(self) -> None:
        for _ in range(UPDATES):
            batch: list[Doc] = []
            while sum(map(len, batch)) < WORDS:
                batch.append(self.train[self.rng.choice(self.annotated)])
            self.nlp.update([self.example(doc) for doc in batch], sgd=self.optimizer)

    def f1(self) -> float:
        f: float = self.nlp.evaluate([self.example(doc) for doc in self.dev], batch_size=2000)["ents_f"]
        return f

    def choose(self, strategy: str) -> list[int]:
        if strategy == "random":
            return self.pool[:BATCH]
        docs = [without_annotation(self.nlp, self.train[k]) for k in self.pool]
        doubts = self.component.uncertainty(docs)
        if strategy == "diverse":
            numbers = {id(doc): k for doc, k in zip(docs, self.pool, strict=True)}
            ranked = list(zip(docs, doubts, strict=True))
            return [numbers[id(doc)] for doc, _ in choose_diverse(self.component, ranked, "entropy", BATCH)]
        worth = [doubt.entropy for doubt in doubts]
        return [self.pool[k] for k in np.argsort(-np.array(worth), kind="stable")[:BATCH]]

    def annotate(self, chosen: Sequence[int]) -> None:
        self.annotated += chosen
        self.pool = [k for k in self.pool if k not in set(chosen)]


def full_f1(seed: int) -> float:
    """F1 after as many updates on all sentences as the most rounds of a loop have."""
    loop = Loop(seed, all_at_once=True)
    for _ in range(FULL_ROUNDS):
        loop.learn()
    with loop.nlp.use_params(loop.optimizer.averages):
        return loop.f1()


def run(strategy: str, seed: int, rounds: int, goal: float) -> Iterator[dict[str, Any]]:
    """Yield the tokens that are annotated and F1 of each round, until the goal is reached."""
    loop = Loop(seed)
    for number in range(rounds):
        loop.learn()
        with loop.nlp.use_params(loop.optimizer.averages):
            f1 = loop.f1()
            tokens = sum(len(loop.train[k]) for k in loop.annotated)
            yield {"sentences": len(loop.annotated), "tokens": tokens, "f1": round(f1, 4)}
            if f1 >= goal or number == rounds - 1:
                return
            chosen = loop.choose(strategy)
        loop.annotate(chosen)


def stored() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text("utf8").splitlines()] if RESULTS.exists() else []


def store(entry: dict[str, Any]) -> None:
    with RESULTS.open("a", encoding="utf8") as file:
        file.write(json.dumps(entry) + "\n")


def tokens_to(entry: dict[str, Any], f1: float) -> int | None:
    """The number of tokens annotated when F1 was first reached; None if it never was."""
    return next((point["tokens"] for point in entry["rounds"] if point["f1"] >= f1), None)


def report() -> None:
    """Write the table and the figure."""
    loops = [entry for entry in stored() if "rounds" in entry]
    full = {entry["seed"]: entry["full"] for entry in stored() if "full" in entry}
    rows = []
    for share in (0.8, 0.85, 0.9, 0.95):
        means = {}
        for strategy in STRATEGIES:
            needed = [tokens_to(loop, share * full[loop["seed"]]) for loop in loops if loop["strategy"] == strategy]
            known = [tokens for tokens in needed if tokens is not None]
            means[strategy] = statistics.mean(known) if known and len(known) == len(needed) else None
        cells = [f"{share:.0%} of the full F1"]
        for mean in means.values():
            of_random = f" ({mean / means['random']:.0%})" if mean and means["random"] else ""
            cells.append(f"{mean:,.0f}{of_random}" if mean else "–")
        rows.append(cells)
    documents.fill(DOCUMENT, "loop", documents.table(["tokens to reach", *STRATEGIES], rows))
    figure, axes = figures.pyplot().subplots(figsize=(6, 3.6))
    colors = (figures.GRAY, figures.ORANGE, figures.BLUE)
    for strategy, color in zip(STRATEGIES, colors, strict=True):
        for loop in loops:
            if loop["strategy"] == strategy:
                points = loop["rounds"]
                label = strategy if loop["seed"] == 0 else None
                axes.plot([p["tokens"] for p in points], [p["f1"] for p in points], color=color, label=label, lw=1)
    axes.set_xlabel("annotated tokens")
    axes.set_ylabel("entity F1")
    axes.legend(frameon=False)
    figures.save(figure, FIGURE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=150, help="the most rounds of a loop")
    parser.add_argument("--goal", type=float, default=0.95, help="share of the full F1 at which a loop ends")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--report", action="store_true", help="write the table and the figure of the stored results")
    args = parser.parse_args()
    if args.report:
        report()
        return
    for seed in range(args.seeds):
        full = {entry["seed"]: entry["full"] for entry in stored() if "full" in entry}
        if seed not in full:
            full[seed] = round(full_f1(seed), 4)
            store({"seed": seed, "full": full[seed]})
        for strategy in args.strategies:
            if any((e["seed"], e.get("strategy")) == (seed, strategy) for e in stored()):
                continue
            rounds = []
            for point in run(strategy, seed, args.rounds, args.goal * full[seed]):
                rounds.append(point)
                print(seed, strategy, point, flush=True)
            store({"seed": seed, "strategy": strategy, "rounds": rounds})


if __name__ == "__main__":
    main()
