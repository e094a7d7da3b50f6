"""Memory of one process that annotates millions of words, and four threads that share one pipeline.

Usage: python benchmarks/soak.py [--words 5000000] [--rounds 20] [--variants bounded zone ...]

The words are annotated in rounds. A fifth of the words of each round is made up.

bounded  The first three rounds use up all made-up words, and the others repeat them. They are more than the component's
         cache holds, so it fills and starts anew. Passes if the memory after the last round is within 2 % of that
         after the third.
zone     Made-up words are new in every round, and each round is in `nlp.memory_zone()`. Passes likewise.
growing  The same without a zone: spaCy keeps every new word in its StringStore and Vocab. Reported, not judged.

Each is also run with spaCy's tokenizer alone (`blank-...`), which shows what spaCy keeps. Each variant has a process of
its own. Words that are not made up are those of CoNLL-2003's testa if the folder that LSTM_NER_DATA names has it, and
otherwise those of the embedded corpus. In `bounded`, four threads also call one pipeline on the same texts at once, and
must find what one thread finds. Writes benchmarks/results/soak.json. Needs Linux's /proc.
"""

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import argparse
import json
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.training import Example

import corpora
from spacy_lstm_ner.data.reader import read_docs

ROOT = Path(__file__).parent.parent
DATA = corpora.real("conll03/eng.testa")
LOOPS = ("bounded", "zone", "growing")
VARIANTS = tuple(name for loop in LOOPS for name in (f"blank-{loop}", loop))
MADE_UP, SHARE, WORDS_A_TEXT, TOLERANCE = 20_000, 0.2, 200, 0.02


def rss() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pipeline() -> tuple[Language, list[str]]:
    """The default model after some training steps, and the words of real text."""
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    docs = list(read_docs(DATA or ROOT / "assets" / "embedded", nlp, n_sents=10))
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs[:32]]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(5):
        nlp.update(examples, sgd=optimizer)
    return nlp, [token.text for doc in docs for token in doc]


def texts(words: list[str], first: int, number: int, seed: int) -> list[str]:
    """Texts of about `number` words. Made-up words are numbered from `first` on."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(words), size=number).tolist()
    made_up = (first + rng.permutation(MADE_UP)).tolist()
    replaced = rng.choice(number, size=int(number * SHARE), replace=False).tolist()
    found = [words[k] for k in chosen]
    for k, place in enumerate(replaced):
        found[place] = f"New{made_up[k % MADE_UP]}"
    return [" ".join(found[k : k + WORDS_A_TEXT]) for k in range(0, number, WORDS_A_TEXT)]


def entities(nlp: Language, batch: list[str]) -> list[Any]:
    return [[(ent.start, ent.end, ent.label_, ent._.lstm_ner_score) for ent in nlp(text).ents] for text in batch]


def four_threads(nlp: Language, batch: list[str]) -> bool:
    """Whether four threads find in the texts what one thread finds."""
    expected, found = entities(nlp, batch), {}
    start = threading.Barrier(4)

    def work(k: int) -> None:
        start.wait()
        found[k] = entities(nlp, batch)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def same(theirs: list[Any]) -> bool:
        pairs = [pair for one, other in zip(expected, theirs, strict=True) for pair in zip(one, other, strict=False)]
        agree = all(a[:3] == b[:3] and abs(a[3] - b[3]) < 1e-4 for a, b in pairs)
        return agree and [len(one) for one in expected] == [len(other) for other in theirs]

    return len(found) == 4 and all(same(theirs) for theirs in found.values())


def run(variant: str, words: int, rounds: int) -> dict[str, Any]:
    """One variant, in this process."""
    nlp, known = pipeline()
    loop, is_blank = variant.removeprefix("blank-"), variant.startswith("blank-")
    if is_blank:
        nlp = spacy.blank("en")
    memory, done, start = [], 0, time.perf_counter()
    for number in range(rounds):
        first = (number % 3 if loop == "bounded" else number) * MADE_UP
        batch = texts(known, first, words // rounds, number)
        with nlp.memory_zone() if loop == "zone" else nullcontext():
            done += sum(len(doc) for doc in nlp.pipe(batch))
        del batch
        memory.append(round(rss() / 2**20, 1))
    result: dict[str, Any] = {"words": done, "rounds": rounds, "seconds": round(time.perf_counter() - start, 1)}
    result["rss_mib"], result["last_over_third"] = memory, round(memory[-1] / memory[2], 4)
    if variant == "bounded":
        result["four_threads_agree"] = four_threads(nlp, texts(known, 0, 40_000, rounds))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--target", type=Path, default=ROOT / "benchmarks" / "results" / "soak.json")
    parser.add_argument("--in-process", choices=VARIANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rounds < 3:
        parser.error(f"expected at least 3 rounds, found {args.rounds}")
    if args.in_process:
        print(json.dumps(run(args.in_process, args.words, args.rounds)))
        return
    results: dict[str, Any] = {"data": "CoNLL-2003 testa" if DATA else "embedded corpus"}
    for variant in args.variants:
        command = [sys.executable, __file__, "--in-process", variant, "--words", str(args.words)]
        command += ["--rounds", str(args.rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{variant}: {done.stderr[-2000:]}")
        results[variant] = json.loads(done.stdout.splitlines()[-1])
        print(variant, json.dumps(results[variant]), flush=True)
        args.target.write_text(json.dumps(results, indent=1) + "\n")
    judged = [results[name] for name in ("bounded", "zone") if name in results]
    grew = any(result["last_over_third"] > 1 + TOLERANCE for result in judged)
    if grew or not all(result.get("four_threads_agree", True) for result in judged):
        sys.exit("memory grew, or threads disagree")


if __name__ == "__main__":
    main()
