"""Words a second of whole pipelines side by side."""

import re
import subprocess
import sys
import time
from importlib import import_module
from typing import Any

from pipeline_parts.common import ENV, ChildFailed, Record, Work, call, in_turn, median
from pipeline_parts.contestants import CONTESTANTS, OURS, prepare

WARM_UP = 100
"""Number of training docs that a new process annotates before the clock starts."""
BATCH_SIZE = 64
"""Docs in each of the 30 batches of `spacy benchmark speed`."""
PASSES = ("new_texts", "texts", "docs")
COMMAND_LINE = re.compile(r"Mean: ([\d.]+) words/s \(95% CI: (-?[\d.]+) \+(-?[\d.]+)\)")


def measure(work: Work, names: list[str], rounds: int, docs: int) -> Record:
    """Words a second of each contestant in each of PASSES, its F1, and the ratios of our speed to it.

    Args:
        work (Work): Data and settings.
        names (list[str]): The contestants.
        rounds (int): Turns of each.
        docs (int): Number of dev docs. 0 means all.

    Returns:
        Record: A record for each contestant.
    """
    found = {name: prepare(name, work) for name in names}
    for name, record in found.items():
        print(f"  {name}: {record}", flush=True)
    there = [name for name in names if "unavailable" not in found[name]]
    batch_size = min(docs or BATCH_SIZE, BATCH_SIZE)
    arguments = {"train": work.train, "dev": work.dev, "n_docs": docs}

    def one_turn(name: str) -> Record:
        kind = CONTESTANTS[name].kind
        result: Record = call("speed:turn", kind=kind, path=found[name]["path"], **arguments)
        return result

    for name, results in in_turn(there, rounds, one_turn).items():
        words = results[0]["words"]
        found[name]["words_per_second"] = {key: round(words / median(results, key)) for key in PASSES}
        found[name]["entities"] = results[0]["entities"]
    for name in there:
        if CONTESTANTS[name].kind in ("spacy", "ready"):
            found[name]["spacy_benchmark_speed"] = command(found[name]["path"], work, batch_size)
        if found[name]["trained"] and CONTESTANTS[name].kind == "spacy":
            found[name]["f"] = call("spacy_peer:f_score", path=found[name]["path"], dev=work.dev)
    add_ratios(found)
    for record in found.values():
        record.pop("path", None)
    return {"rounds": rounds, "docs": docs or "all", "contestants": found}


def add_ratios(found: dict[str, Record]) -> None:
    """Add the ratios of our words a second to each contestant's."""
    for ours in OURS:
        if "words_per_second" not in found.get(ours, {}):
            continue
        mine = found[ours]
        for record in found.values():
            if record.get("words_per_second"):
                record[f"ratio_of_{ours}"] = {
                    key: round(mine["words_per_second"][key] / record["words_per_second"][key], 2) for key in PASSES
                }
            if record.get("spacy_benchmark_speed"):
                rates = mine["spacy_benchmark_speed"]["mean"], record["spacy_benchmark_speed"]["mean"]
                record[f"ratio_of_{ours}"]["spacy_benchmark_speed"] = round(rates[0] / rates[1], 2)


def command(path: str, work: Work, batch_size: int) -> Record:
    """`spacy benchmark speed`, as a user runs it."""
    arguments = ["benchmark", "speed", path, str(work.dev), "--batches", "30", "--warmup", "1"]
    arguments += ["--batch-size", str(batch_size)]
    done = subprocess.run(
        [sys.executable, "-m", "spacy", *arguments], env=ENV, capture_output=True, text=True, check=False
    )
    match = COMMAND_LINE.search(done.stdout)
    if match is None:
        raise ChildFailed(f"spacy {' '.join(arguments)}: {(done.stderr or done.stdout)[-500:]}")
    return dict(zip(("mean", "below", "above"), map(float, match.groups()), strict=True))


# This runs in a process of its own.


def turn(kind: str, path: str, train: str, dev: str, n_docs: int) -> Record:
    """CPU time of a newly loaded pipeline for each of PASSES.

    `new_texts` are texts with words that the pipeline may not have seen, `texts` are the same texts again, and `docs`
    have tokens. The number of words is that of the data, whatever a tokenizer makes of the texts.

    Args:
        kind (str): See `Contestant`.
        path (str): The pipeline.
        train (str): Training data, for the warm-up.
        dev (str): The data to annotate.
        n_docs (int): Number of its docs. 0 means all.

    Returns:
        Record: Seconds of each pass, and numbers of words and entities.
    """
    import spacy
    from spacy.tokens import DocBin

    vocab = spacy.blank("en").vocab
    warm = list(DocBin().from_disk(train).get_docs(vocab))[:WARM_UP]
    docs = list(DocBin().from_disk(dev).get_docs(vocab))[: n_docs or None]
    peer: Any = import_module(f"pipeline_parts.{'spacy' if kind == 'ready' else kind}_peer").Peer(path)
    for form in ("texts", "docs"):
        getattr(peer, f"run_{form}")(getattr(peer, f"make_{form}")(warm))
    found: Record = {"words": sum(len(doc) for doc in docs)}
    for name in PASSES:
        form = name.removeprefix("new_")
        inputs = getattr(peer, f"make_{form}")(docs)
        start = time.process_time()
        found["entities"] = getattr(peer, f"run_{form}")(inputs)
        found[name] = time.process_time() - start
    return found
