"""Speed with two processes beside one."""

import time
from itertools import cycle
from typing import Any

from pipeline_parts.common import Record, Work, call, in_turn, median
from pipeline_parts.contestants import path_of

# Share of the words for each. The tokenizer alone shows what it costs any pipeline to send texts and get Docs back.
NAMES = {"default": 1.0, "tokenizer": 1.0, "spacy_ner": 0.1}
NUMBERS = (1, 2)
WARM_UP = 100


def measure(work: Work, rounds: int, words: int) -> Record:
    """Wall time with n_process=1 and 2 on texts with `words` words. It includes the start of the processes."""
    paths = {name: None if name == "tokenizer" else path_of(name, work) for name in NAMES}
    sizes = {name: round(words * share) for name, share in NAMES.items()}
    cases = {f"{name} {number}": (name, number) for name in NAMES for number in NUMBERS}

    def turn(case: str) -> Record:
        name, number = cases[case]
        result: Record = call("processes:turn", path=paths[name], data=work.train, words=sizes[name], n_process=number)
        return result

    found = in_turn(cases, min(rounds, 3), turn)
    seconds = {case: median(results, "seconds") for case, results in found.items()}
    return {
        "rounds": min(rounds, 3),
        "contestants": {
            name: {
                "seconds": {str(number): seconds[f"{name} {number}"] for number in NUMBERS},
                "words": sizes[name],
                "ratio": round(seconds[f"{name} 1"] / seconds[f"{name} 2"], 2),
            }
            for name in NAMES
        },
    }


# This runs in a process of its own.


def turn(path: str | None, data: str, words: int, n_process: int) -> Record:
    """Annotate texts of the data, repeated up to `words` words. path: the pipeline, or None for a tokenizer."""
    import spacy
    from spacy.tokens import DocBin

    nlp = spacy.blank("en") if path is None else spacy.load(path)
    docs = list(DocBin().from_disk(data).get_docs(nlp.vocab))
    texts: list[Any] = []
    left = words
    for doc in cycle(docs):
        if left <= 0:
            break
        texts.append(doc.text)
        left -= len(doc)
    for _ in nlp.pipe(texts[:WARM_UP]):
        pass
    start = time.perf_counter()
    entities = sum(len(doc.ents) for doc in nlp.pipe(texts, n_process=n_process))
    return {"seconds": time.perf_counter() - start, "entities": entities}
