"""What it costs not to set the environment variables for the number of BLAS threads, on idle and on busy cores."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_parts.common import ENV, VARIABLES, Record, Work, call, in_turn

UNSET = {name: value for name, value in ENV.items() if name not in VARIABLES}
PLACES = {"idle": 0, "busy": 1}
"""Programs that keep each core busy."""
KINDS = ("training", "prediction")
UPDATES, BATCH = 30, 8


def measure(work: Work, rounds: int) -> Record:
    """Wall and processor time of training and prediction with the variables unset, divided by that with one thread."""
    found: Record = {"rounds": rounds, "ratios": {}}
    for place, n_programs in PLACES.items():
        environments = {"one": ENV, "unset": UNSET}

        def turn(name: str, environments: dict[str, dict[str, str]] = environments) -> Record:
            result: Record = call("threads:turn", env=environments[name], data=work.train)
            return result

        with busy(n_programs * (os.cpu_count() or 1)):
            results = in_turn(environments, rounds, turn)
        found["ratios"][place] = {
            kind: {
                clock: round(
                    statistics.median(
                        unset[kind][clock] / one[kind][clock]
                        for unset, one in zip(results["unset"], results["one"], strict=True)
                    ),
                    2,
                )
                for clock in ("wall", "processor")
            }
            for kind in KINDS
        }
    return found


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Run so many programs that do nothing but count."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10000))"]) for _ in range(n)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


# This runs in a process of its own.


def turn(data: str) -> Record:
    """Wall and processor time of some updates of a new pipeline, and of its predictions for the same docs."""
    import spacy
    from spacy.tokens import DocBin
    from spacy.training import Example
    from thinc.api import fix_random_seed

    from pipeline_parts.spacy_peer import bare

    fix_random_seed(0)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("lstm_ner")
    docs = list(DocBin().from_disk(data).get_docs(nlp.vocab))[: UPDATES * BATCH + BATCH]
    examples = [Example(bare(nlp.vocab, doc), doc) for doc in docs]
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples[:BATCH], sgd=optimizer)
    found: Record = {}
    for kind in KINDS:
        wall, processor = time.perf_counter(), time.process_time()
        if kind == "training":
            for first in range(BATCH, len(examples), BATCH):
                nlp.update(examples[first : first + BATCH], sgd=optimizer, drop=0.1)
        else:
            for _ in range(4):
                for _ in component.pipe([bare(nlp.vocab, doc) for doc in docs], batch_size=64):
                    pass
        found[kind] = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    return found
