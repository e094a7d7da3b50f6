"""Short texts: one text a call, and 6,000 of them with two processes."""

import statistics
import time

from pipeline_parts.common import Record, Work, call, in_turn, median
from pipeline_parts.contestants import path_of

NAMES = ("default", "spacy_ner")
LENGTHS = (7, 15, 30, 60, 130, 300)
"""Tokens of a text, for one text a call."""
CALLS = 300
"""Texts of each length, at most."""
TEXTS, TOKENS = 6000, 7
"""Number and tokens of the texts for two processes."""
NUMBERS = (1, 2)
WARM_UP = 100


def measure(work: Work, rounds: int, n_texts: int = TEXTS) -> Record:
    """Processor time of a call by tokens of its text, and wall time of `nlp.pipe` with n_process=1 and 2."""
    paths = {name: path_of(name, work) for name in NAMES}
    by_call = in_turn(["calls"], rounds, lambda _: call("short:calls", paths=paths, data=work.dev))["calls"]
    cases = {f"{name} {number}": (name, number) for name in NAMES for number in NUMBERS}

    def turn(case: str) -> Record:
        name, number = cases[case]
        result: Record = call("short:pipe", path=paths[name], data=work.train, n_texts=n_texts, n_process=number)
        return result

    found = in_turn(cases, rounds, turn)
    seconds = {case: round(median(results, "seconds"), 3) for case, results in found.items()}
    ratios = {n: round(seconds[f"default {n}"] / seconds[f"spacy_ner {n}"], 2) for n in NUMBERS}
    calls = []
    for length in LENGTHS:
        times = {name: statistics.median(row[name][str(length)] for row in by_call) for name in NAMES}
        ratio = statistics.median(row["default"][str(length)] / row["spacy_ner"][str(length)] for row in by_call)
        calls.append({"tokens": length, "milliseconds": times, "ratio": round(ratio, 2)})
    return {
        "rounds": rounds,
        "calls": calls,
        "texts": n_texts,
        "tokens_of_text": TOKENS,
        "seconds": seconds,
        "ratios": {str(number): ratio for number, ratio in ratios.items()},
    }


# These run in a process of their own.


def texts_of(data: str, length: int, n: int) -> list[str]:
    """Texts of `length` tokens each, from consecutive tokens of the docs; n of them at most."""
    import spacy
    from spacy.tokens import DocBin

    docs = DocBin().from_disk(data).get_docs(spacy.blank("en").vocab)
    starts = ((doc, start) for doc in docs for start in range(0, len(doc) - length + 1, length))
    return [doc[start : start + length].text for (doc, start), _ in zip(starts, range(n), strict=False)]


def calls(paths: dict[str, str], data: str) -> Record:
    """Median milliseconds of `nlp(text)` by pipeline and length. The pipelines take turns at each text."""
    import spacy

    pipelines = {name: spacy.load(path) for name, path in paths.items()}
    found: Record = {name: {} for name in pipelines}
    for length in LENGTHS:
        texts = texts_of(data, length, CALLS)
        seconds: dict[str, list[float]] = {name: [] for name in pipelines}
        for is_timed in (False, True):
            for text in texts:
                for name, nlp in pipelines.items():
                    start = time.process_time()
                    nlp(text)
                    if is_timed:
                        seconds[name].append(time.process_time() - start)
        for name, times in seconds.items():
            found[name][length] = round(1000 * statistics.median(times or [0.0]), 4)
    return found


def pipe(path: str, data: str, n_texts: int, n_process: int) -> Record:
    """Wall time of `nlp.pipe` over short texts. It includes the start of the processes."""
    import spacy

    nlp = spacy.load(path)
    texts = texts_of(data, TOKENS, n_texts)
    for _ in nlp.pipe(texts[:WARM_UP]):
        pass
    start = time.perf_counter()
    entities = sum(len(doc.ents) for doc in nlp.pipe(texts, n_process=n_process))
    return {"seconds": time.perf_counter() - start, "entities": entities}
