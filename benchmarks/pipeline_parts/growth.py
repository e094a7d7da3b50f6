"""Time and memory by number of tokens, in many docs and in one."""

import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pipeline_parts.common import Record, Work, call, in_turn, median
from pipeline_parts.contestants import path_of

SMALLEST = 1000
FORMS = ("many", "one")
MODES = ("load", "docs", "all")


def measure(work: Work, rounds: int, most: int) -> Record:
    """Seconds and MiB of the component for each size and form, and MiB of the Docs.

    A process of its own only makes the Docs, and its time and memory are subtracted.

    Args:
        work (Work): Data and settings.
        rounds (int): Turns of each case. Three at most.
        most (int): Tokens, at most.

    Returns:
        Record: One row for each size and form.
    """
    path, data = path_of("default", work), work.train.with_suffix(".json")
    if not data.exists():
        call("growth:write_sentences", source=work.train, target=data)
    sizes = [SMALLEST]
    while sizes[-1] * 10 <= most:
        sizes.append(sizes[-1] * 10)
    cases = {f"{form} {size} {mode}": (form, size, mode) for size in sizes for form in FORMS for mode in MODES}

    def turn(name: str) -> Record:
        form, size, mode = cases[name]
        result: Record = call("growth:turn", path=path, data=data, form=form, n_tokens=size, mode=mode)
        return result

    found = in_turn(cases, min(rounds, 3), turn)
    rows = []
    for size in sizes:
        for form in FORMS:
            loaded, docs, whole = (found[f"{form} {size} {mode}"] for mode in MODES)
            rows.append(
                {
                    "form": form,
                    "tokens": size,
                    "seconds": median(whole, "seconds") - median(docs, "seconds"),
                    "mib": round(median(whole, "peak_mib") - median(docs, "peak_mib"), 1),
                    "mib_of_docs": round(median(docs, "peak_mib") - median(loaded, "peak_mib"), 1),
                }
            )
    return {"rounds": min(rounds, 3), "mib_of_loaded_pipeline": median(loaded, "peak_mib"), "rows": rows}


# These functions run in processes of their own.


def write_sentences(source: str, target: str) -> None:
    """Write the words of the data's sentences as JSON, which takes little memory to read."""
    import spacy
    from spacy.tokens import DocBin

    sents = (sent for doc in DocBin().from_disk(source).get_docs(spacy.blank("en").vocab) for sent in doc.sents)
    Path(target).write_text(json.dumps([[token.text for token in sent] for sent in sents]))


def turn(path: str, data: str, form: str, n_tokens: int, mode: str) -> Record:
    """Load a pipeline and measure what it needs for Docs, which are not kept.

    Args:
        path (str): The pipeline.
        data (str): The file that `write_sentences` wrote.
        form (str): "many" for docs that are the sentences of the data, repeated; "one" for one doc with their words.
        n_tokens (int): Number of tokens.
        mode (str): "load" to do nothing after loading, "docs" to make Docs, "all" to annotate them too.

    Returns:
        Record: CPU time since the warm-up, and the peak memory of the process.
    """
    # Thinc imports PyTorch if it is installed. The pipeline does not need it.
    sys.modules["torch"] = None  # type: ignore[assignment]
    import resource

    import spacy
    from spacy.util import minibatch

    nlp, sentences = spacy.load(path), json.loads(Path(data).read_text())
    for _ in nlp.pipe(made(nlp.vocab, sentences, "many", SMALLEST)):
        pass
    start = time.process_time()
    docs = iter(()) if mode == "load" else made(nlp.vocab, sentences, form, n_tokens)
    annotated = nlp.pipe(docs) if mode == "all" else (doc for batch in minibatch(docs, nlp.batch_size) for doc in batch)
    tokens = sum(len(doc) for doc in annotated)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, KiB elsewhere.
    return {"tokens": tokens, "seconds": seconds, "peak_mib": peak / (2**20 if sys.platform == "darwin" else 2**10)}


def made(vocab: Any, sentences: list[list[str]], form: str, n_tokens: int) -> Iterator[Any]:
    """Docs with this number of tokens in all, in the given form."""
    from spacy.tokens import Doc

    if form == "one":
        yield Doc(vocab, words=list(islice((word for words in cycle(sentences) for word in words), n_tokens)))
        return
    left = n_tokens
    for words in cycle(sentences):
        if not left:
            return
        yield Doc(vocab, words=words[:left])
        left -= len(words[:left])
