"""What a trained pipeline forgets when it is trained on with other labels, with and without rehearsal.

Usage: python benchmarks/forgetting.py [--steps 300] [--more-steps 250] [--seed 0] [--docs 0]

On CoNLL-2003, from the folder that LSTM_NER_DATA names. The default model learns PER and LOC from the first half of the
training documents. Then it is trained on the second half, in which only ORG and MISC are annotated, while names of
persons and places
  - have no annotation ("unannotated"), or
  - are annotated as no entities ("wrongly O").
Both are done without rehearsal, with several values of `rehearse_weight`, and with `nlp.rehearse` on texts of the first
half after each update. Measured are F1 on testa for the old and the new labels before and after, and the share of the
entities with old labels found before that are found still. Prints a table and writes
benchmarks/results/forgetting.json.
"""

import argparse
import itertools
import json
import platform
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.training.batchers import minibatch_by_words
from thinc.api import Adam, fix_random_seed

import corpora
import documents
from spacy_lstm_ner.data.reader import read_docs

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "benchmarks" / "results" / "forgetting.json"
OLD, NEW = {"PER", "LOC"}, {"ORG", "MISC"}
WEIGHTS = (0.0, 1.0, 3.0)
WORDS_A_BATCH = 1000
Found = set[tuple[int, int, int, str]]


def with_labels(docs: list[Doc], labels: set[str], others_missing: bool) -> list[Doc]:
    """Copies of docs with the entities of some labels. Tokens of other entities have no annotation, or are O."""
    made = []
    for doc in docs:
        copy = Doc(doc.vocab, words=[token.text for token in doc])
        kept = [Span(copy, ent.start, ent.end, ent.label_) for ent in doc.ents if ent.label_ in labels]
        others = [copy[ent.start : ent.end] for ent in doc.ents if ent.label_ not in labels]
        copy.set_ents(kept, missing=others if others_missing else None, default="outside")
        made.append(copy)
    return made


def examples_of(nlp: Language, docs: list[Doc]) -> list[Example]:
    words = ([token.text for token in doc] for doc in docs)
    return [Example(Doc(nlp.vocab, words=own), doc) for own, doc in zip(words, docs, strict=True)]


def batches(examples: list[Example]) -> Iterator[list[Example]]:
    while True:
        random.shuffle(examples)
        yield from minibatch_by_words(examples, WORDS_A_BATCH)


def find(nlp: Language, docs: list[Doc]) -> Found:
    copies = nlp.pipe(Doc(nlp.vocab, words=[token.text for token in doc]) for doc in docs)
    return {(k, ent.start, ent.end, ent.label_) for k, doc in enumerate(copies) for ent in doc.ents}


def f_of(gold: Found, found: Found, labels: set[str]) -> float:
    score = PRFScore()
    score.score_set({span for span in found if span[3] in labels}, {span for span in gold if span[3] in labels})
    return float(score.fscore)


def train(
    nlp: Language, examples: list[Example], steps: int, optimizer: Adam, rehearsed: list[Example] | None = None
) -> None:
    """Train, and keep the averaged weights. rehearsed: what `nlp.rehearse` gets after each update."""
    texts = batches(rehearsed) if rehearsed else None
    for step, batch in enumerate(itertools.islice(batches(examples), steps)):
        losses = nlp.update(batch, drop=0.3, sgd=optimizer)
        if texts is not None:
            nlp.rehearse(next(texts), sgd=optimizer, losses=losses)
        optimizer.step_schedules()
        if step % 20 == 0:
            print(f"  step {step}, loss {losses['lstm_ner']:.1f}", flush=True)
    with nlp.use_params(optimizer.averages):
        data = nlp.to_bytes()
    nlp.from_bytes(data)


def fresh(seed: int) -> Language:
    random.seed(seed)
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    return nlp


def optimizer(learn_rate: float) -> Any:
    return Adam(learn_rate, L2=0.01, grad_clip=1.0, use_averages=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of the first training")
    parser.add_argument("--more-steps", type=int, default=250, help="steps of the second training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", type=int, default=0, help="number of training documents (default: all)")
    args = parser.parse_args()
    data = corpora.needed("conll03")
    nlp = fresh(args.seed)
    docs = list(read_docs(data / "eng.train", nlp))
    docs = docs[: args.docs or len(docs)]
    test = list(read_docs(data / "eng.testa", nlp))
    gold = {(k, ent.start, ent.end, ent.label_) for k, doc in enumerate(test) for ent in doc.ents}
    half = len(docs) // 2
    first = examples_of(nlp, with_labels(docs[:half], OLD, others_missing=False))
    nlp.initialize(lambda: first)
    print("PER and LOC")
    train(nlp, first, args.steps, optimizer(0.003))
    before = find(nlp, test)
    old_before = {span for span in before if span[3] in OLD}
    trained = nlp.to_bytes()
    results: dict[str, Any] = {
        "data": "CoNLL-2003, train → testa",
        "python": platform.python_version(),
        "machine": platform.machine(),
        **vars(args),
        "before": {"old_f": f_of(gold, before, OLD), "new_f": f_of(gold, before, NEW)},
        "after": [],
    }
    print(results["before"])
    ways: list[tuple[str, float, bool]] = [(f"rehearse_weight = {weight:g}", weight, False) for weight in WEIGHTS]
    ways.append(("nlp.rehearse", 0.0, True))
    for annotation, others_missing in (("unannotated", True), ("wrongly O", False)):
        for way, weight, rehearse in ways:
            print(f"ORG and MISC, the others {annotation}, {way}")
            nlp = fresh(args.seed).from_bytes(trained)
            component = nlp.get_pipe("lstm_ner")
            component.cfg["rehearse_weight"] = weight
            for label in sorted(NEW):
                component.add_label(label)
            start = time.perf_counter()
            second = examples_of(nlp, with_labels(docs[half:], NEW, others_missing))
            nlp.resume_training()
            rehearsed = examples_of(nlp, with_labels(docs[:half], set(), others_missing=True)) if rehearse else None
            train(nlp, second, args.more_steps, optimizer(0.001), rehearsed)
            found = find(nlp, test)
            row = {
                "others": annotation,
                "way": way,
                "old_f": f_of(gold, found, OLD),
                "new_f": f_of(gold, found, NEW),
                "kept": len(found & old_before) / max(len(old_before), 1),
                "seconds": round(time.perf_counter() - start, 1),
            }
            results["after"].append(row)
            print(row, flush=True)
    OUTPUT.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    before = results["before"]
    rows = [["", "before", f"{before['old_f']:.3f}", f"{before['new_f']:.3f}", ""]]
    rows += [
        [row["others"], f"`{row['way']}`", *(f"{row[name]:.3f}" for name in ("old_f", "new_f", "kept"))]
        for row in results["after"]
    ]
    header = ("old labels in the new data", "rehearsal", "F1 of PER, LOC", "F1 of ORG, MISC", "old entities kept")
    return documents.table(header, rows, 2)


if __name__ == "__main__":
    main()
