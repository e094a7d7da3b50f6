"""Speed of whole pipelines side by side, where the time goes, growth, processes, loading and training.

Usage: python benchmarks/pipeline.py [--parts speed short threads ...] [--work FOLDER] [--report]

speed      words a second on CoNLL-2003's testa, of our configs and of other systems (pipeline_parts/contestants.py),
           each used in its library's own way, from texts and from tokens; `spacy benchmark speed`; F1 of trained ones
stages     where our time goes, and how the recurrence compares with the machine's matrix products
growth     time and memory for 1,000 to 1,000,000 tokens, as many docs and as one
processes  n_process=2 beside n_process=1
short      one short text a call, and 6,000 short texts with n_process=2, beside spaCy's `ner`
threads    training and prediction without the environment variables for threads, on idle and on busy cores
startup    time of `spacy.load`, and size on disk
training   wall time until the best F1 of spaCy's `ner`

Contestants take turns, each turn is a new process of one thread, and medians count. LSTM_NER_DATA names the folder with
conll03/. The work folder keeps data and trained pipelines, and later runs use them; delete it to train again. Flair and
Stanza are in the extra `benchmark-peers`.

Each part writes its entry of benchmarks/results/pipeline.json, its table in docs/benchmarks/speed.md and, where it has
one, its chart in docs/images. --report measures nothing and writes tables and charts from the stored results. --tiny
runs everything on very little data without training, to see that it runs, and writes nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import corpora
from pipeline_parts import growth, processes, report, short, speed, stages, startup, threads, training
from pipeline_parts.common import ENV, ROOT, Record, Work, machine
from pipeline_parts.contestants import CONTESTANTS

PARTS = ("speed", "stages", "growth", "processes", "short", "threads", "startup", "training")


def corpus(folder: Path, tiny: bool) -> tuple[Path, Path]:
    """Training and dev data in spaCy's format. tiny: only the first hundredth."""
    found = []
    for part, name in (("train", "eng.train"), ("dev", "eng.testa")):
        target = folder / f"{part}{'-tiny' if tiny else ''}.spacy"
        if not target.exists():
            source = corpora.needed(f"conll03/{name}")
            command = [sys.executable, "-m", "spacy", "lstm-ner", "convert", str(source), str(target)]
            command += ["--to", "0.01"] if tiny else []
            subprocess.run(command, env=ENV, check=True, stdout=subprocess.DEVNULL)
        found.append(target)
    return found[0], found[1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="for `speed`")
    parser.add_argument("--work", type=Path, help="folder for data and trained pipelines (default: a temporary one)")
    parser.add_argument("--vectors", type=Path, help="static vectors for configs/accuracy.cfg (default: random ones)")
    parser.add_argument("--untrained", action="store_true", help="initialize pipelines instead of training them")
    parser.add_argument("--steps", type=int, help="train for this number of steps, at most")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant (default: 5)")
    parser.add_argument("--docs", type=int, default=0, help="number of docs of the dev data (default: all)")
    parser.add_argument("--words", type=int, default=1_000_000, help="words for `processes` and, at most, for `growth`")
    parser.add_argument("--target", type=Path, default=ROOT, help="write results and documents below this folder")
    parser.add_argument("--report", action="store_true", help="write tables and charts from the stored results")
    parser.add_argument("--tiny", action="store_true", help="try everything on very little data")
    args = parser.parse_args()
    if args.tiny:
        args.rounds, args.docs, args.words, args.steps = 1, 1, 3000, args.steps or 5
        args.untrained = "training" not in args.parts
        if args.target == ROOT:
            args.target = None
    return args


def main() -> None:
    args = arguments()
    if args.report:
        for part in report.stored(args.target):
            if part in args.parts:
                report.write_documents(args.target, part)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        train, dev = corpus(folder, args.tiny)
        work = Work(folder.absolute(), train, dev, args.vectors and args.vectors.absolute(), args.untrained, args.steps)
        measures: dict[str, Callable[[], Record]] = {
            "speed": lambda: speed.measure(work, args.contestants, args.rounds, args.docs),
            "stages": lambda: stages.measure(work, args.rounds, args.docs),
            "growth": lambda: growth.measure(work, args.rounds, args.words),
            "processes": lambda: processes.measure(work, args.rounds, args.words),
            "short": lambda: short.measure(work, args.rounds, *([20] if args.tiny else [])),
            "threads": lambda: threads.measure(work, args.rounds),
            "startup": lambda: startup.measure(work, args.rounds),
            "training": lambda: training.measure(work),
        }
        for part in args.parts:
            print(f"\n{part}", flush=True)
            about = {**machine(), "tiny": args.tiny, "untrained": args.untrained, "vectors": _vectors(args)}
            result = {"machine": about, **measures[part]()}
            print(report.TABLES[part](result), flush=True)
            if args.target:
                report.store(args.target, part, result)
                report.write_documents(args.target, part)
            else:
                print(json.dumps(result, indent=1))


def _vectors(args: argparse.Namespace) -> str:
    return args.vectors.name if args.vectors else "random"


if __name__ == "__main__":
    main()
