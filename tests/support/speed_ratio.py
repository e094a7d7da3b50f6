"""How long prediction takes, in units of a fixed float32 matrix product measured in the same process.

Usage: OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python tests/support/speed_ratio.py [--times 1] [--store]

A pipeline with random weights annotates made-up documents; in turn with it runs a batch of products of the size of the
recurrence's. Times are those of computing, and the least of each counts: other work on the machine only ever adds.
--times: annotate everything so many times, to see that a slow-down is noticed.
--store: write the ratio to tests/reference/speed_ratio.json, after a change that was meant to change it.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed

REFERENCE = Path(__file__).parent.parent / "reference" / "speed_ratio.json"
REPETITIONS = 10
PRODUCTS = 1000
WORDS, DOCS, LENGTH = 2000, 40, 100


def documents(vocab: Any) -> list[Doc]:
    """Words of random letters, the first ones more frequent."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(WORDS)]
    words = [word.title() if rng.random() < 0.3 else word for word in words]
    numbers = (WORDS * rng.random((DOCS, LENGTH)) ** 3).astype(int)
    return [Doc(vocab, words=[words[k] for k in row]) for row in numbers.tolist()]


def seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(times: int = 1) -> float:
    """The least time of a prediction over the least time of the products."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    component: Any = nlp.add_pipe("lstm_ner")
    gold = Doc(nlp.vocab, words=["a", "b"])
    gold.set_ents([Span(gold, k, k + 1, label) for k, label in enumerate("PQ")])
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=["a", "b"]), gold)])
    # An untrained layer says O throughout; with these weights there are entities to score and to write.
    output = component.model.get_ref("output_layer")
    output.set_param("W", np.random.default_rng(1).normal(size=output.get_param("W").shape).astype("f4"))
    h, R = (np.random.default_rng(2).normal(size=size).astype("f4") for size in ((96, 64), (64, 256)))
    out = np.empty((96, 256), dtype="f4")

    def products() -> None:
        for _ in range(PRODUCTS):
            np.matmul(h, R, out=out)

    least = [float("inf"), float("inf")]
    for _ in range(REPETITIONS):
        docs = [documents(nlp.vocab) for _ in range(times)]
        annotate = seconds(lambda docs=docs: [list(component.pipe(batch)) for batch in docs])  # type: ignore[misc]
        least = [min(old, new) for old, new in zip(least, (annotate, seconds(products)), strict=True)]
    if not any(doc.ents for doc in docs[0]):
        raise ValueError("the pipeline found no entities, so that what is measured is not all of the prediction")
    return least[0] / least[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--store", action="store_true")
    args = parser.parse_args()
    ratio = measure(args.times)
    print(ratio)
    if args.store:
        REFERENCE.write_text(json.dumps({"ratio": round(ratio, 3)}) + "\n")


if __name__ == "__main__":
    main()
