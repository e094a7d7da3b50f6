"""What decoding and the scores of entities cost, as a share of the component's time.

Usage: OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/decoding.py DATA.spacy [--steps 60]

Trains the default model on DATA for some steps. To get more labels, each entity's label gets a random number. Then it
times, in turns, the model alone (embedding, recurrence, emissions) and the whole component on the docs as the tokenizer
leaves them, and within the component the search for the best tag sequences and the scores of entities. The rest is
reading what the docs have, and writing entities and scores. Prints medians as shares and writes
benchmarks/results/decoding.json.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.util import minibatch
from thinc.api import fix_random_seed

from documents import table
from pipeline_parts.spacy_peer import bare
from pipeline_parts.stages import Stopwatch, instrumented
from spacy_lstm_ner.pipeline.component import DEFAULT_MODEL

ROOT = Path(__file__).parent.parent
REPETITIONS = 7
STAGES = [("decoding", "function pipeline.predict:find_spans"), ("scores", "function pipeline.predict:span_scores")]
CASES = [("bio", 4), ("bio", 18), ("biluo", 4), ("biluo", 18)]


def train(docs: list[Doc], nlp: Language, steps: int) -> None:
    examples = [Example(bare(nlp.vocab, doc), doc) for doc in docs]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.003
    batches = [batch for _ in range(steps) for batch in minibatch(examples, 8)]
    for batch in batches[:steps]:
        nlp.update(batch, sgd=optimizer, drop=0.3)


def relabel(docs: list[Doc], n_labels: int) -> list[str]:
    """Give the entities n_labels labels, and return the labels."""
    rng, labels = random.Random(0), sorted({ent.label_ for doc in docs for ent in doc.ents})
    variants = [f"{label}{k}" for k in range(-(-n_labels // len(labels))) for label in labels][:n_labels]
    of_label = {label: [name for name in variants if name.startswith(label)] for label in labels}
    for doc in docs:
        doc.set_ents([Span(doc, e.start, e.end, rng.choice(of_label[e.label_])) for e in doc.ents])
    return variants


def timed(run: Callable[[list[Doc]], Any], docs: list[Doc]) -> float:
    start = time.perf_counter()
    run(docs)
    return time.perf_counter() - start


def measure(path: Path, scheme: str, n_labels: int, steps: int) -> dict[str, Any]:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner", config={"model": {**DEFAULT_MODEL, "scheme": scheme}})
    docs = list(DocBin().from_disk(path).get_docs(nlp.vocab))
    for label in relabel(docs, n_labels):
        component.add_label(label)
    train(docs, nlp, steps)

    def annotate(batch: list[Doc]) -> None:
        component.set_annotations(batch, component.predict(batch))

    seconds: dict[str, list[float]] = {"model": [], "whole": [], "decoding": [], "scores": []}
    for _ in range(REPETITIONS):
        seconds["model"].append(timed(component.model.predict, [bare(nlp.vocab, doc) for doc in docs]))
        batch, watch = [bare(nlp.vocab, doc) for doc in docs], Stopwatch(time.perf_counter)
        with instrumented(nlp, watch, STAGES):
            spent = watch.run(lambda batch=batch: annotate(batch))
        seconds["whole"].append(sum(spent.values()))
        for name, _ in STAGES:
            seconds[name].append(spent[name])
    median = {name: statistics.median(values) for name, values in seconds.items()}
    whole = median["whole"]
    return {
        "scheme": scheme,
        "tags": component.model.get_ref("output_layer").get_dim("nO"),
        "entities": sum(len(doc.ents) for doc in component.pipe(bare(nlp.vocab, doc) for doc in docs)),
        "share_of_decoding": round(median["decoding"] / whole, 3),
        "share_of_decoding_and_scores": round((median["decoding"] + median["scores"]) / whole, 3),
        "share_of_all_but_the_model": round(1.0 - median["model"] / whole, 3),
        "tokens_per_second": round(sum(map(len, docs)) / whole),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=60, help="training steps (default: 60)")
    args = parser.parse_args()
    rows = [measure(args.data, scheme, n_labels, args.steps) for scheme, n_labels in CASES]
    names = ("decoding", "decoding_and_scores", "all_but_the_model")
    cells = [
        [*(str(row[name]) for name in ("scheme", "tags", "entities")), *(f"{row[f'share_of_{n}']:.0%}" for n in names)]
        for row in rows
    ]
    header = ("scheme", "tags", "entities found", "decoding", "decoding and scores", "all but the model")
    print(table(header, cells))
    target = ROOT / "benchmarks" / "results" / "decoding.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
