"""Whole pipelines side by side: speed, where the time goes, growth, processes, start, training.

Usage: python benchmarks/pipeline.py [--parts speed stages growth processes startup training] [--work FOLDER]

speed      words a second on CoNLL-2003 testa of our configs and of others (see pipeline_parts/contestants.py), each
           in its library's own way, from texts and from tokens; `spacy benchmark speed`; F1 of the trained ones
stages     where our time goes, and how far the recurrence is from the machine's matrix products
growth     time and memory of 10^3 to 10^6 tokens, in many docs and in one
processes  n_process=2 against 1
startup    how long `spacy.load` takes, and size on disk
training   wall time until the best F1 of spaCy's `ner`

Contestants take turns, each turn in a fresh process of one thread, and medians count. The data are those of
LSTM_NER_DATA (default ../shared/data), read by `spacy lstm-ner convert`. Trained pipelines are kept in the work folder
and used again; delete it to train anew. Flair and Stanza come with the extra `benchmark-peers`.

Each part updates its own entry in benchmarks/results/pipeline.json, and the tables in README.md and docs/benchmarks/speed.md, and
docs/images/speed.svg and docs/images/growth.svg. `--tiny` runs everything on next to nothing, untrained, to see that it runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline_parts import growth, processes, report, speed, stages, startup, training
from pipeline_parts.common import ENV, ROOT, Record, Work, machine
from pipeline_parts.contestants import CONTESTANTS

DATA = Path(os.environ.get("LSTM_NER_DATA", ROOT.parent / "shared" / "data")) / "conll03"
PARTS = ("speed", "stages", "growth", "processes", "startup", "training")


def corpus(folder: Path, tiny: bool) -> tuple[Path, Path]:
    """The data in spaCy's format; of a tiny run, the first hundredth."""
    found = []
    for part, name in (("train", "eng.train"), ("dev", "eng.testa")):
        target = folder / f"{part}{'-tiny' if tiny else ''}.spacy"
        if not target.exists():
            if not (DATA / name).exists():
                sys.exit(f"{DATA / name} is not there: set LSTM_NER_DATA to the folder that has conll03/{name}")
            command = [sys.executable, "-m", "spacy", "lstm-ner", "convert", str(DATA / name), str(target)]
            command += ["--to", "0.01"] if tiny else []
            subprocess.run(command, env=ENV, check=True, stdout=subprocess.DEVNULL)
        found.append(target)
    return found[0], found[1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="of `speed`")
    parser.add_argument("--work", type=Path, help="keep data and trained pipelines here (default: a temporary folder)")
    parser.add_argument("--vectors", type=Path, help="static vectors for configs/accuracy.cfg (default: random ones)")
    parser.add_argument("--untrained", action="store_true", help="initialise pipelines instead of training them")
    parser.add_argument("--steps", type=int, help="train for so many steps at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs", type=int, default=0, help="so many docs of the dev data (default: all)")
    parser.add_argument("--words", type=int, default=1_000_000, help="of `processes`, and the most of `growth`")
    parser.add_argument("--target", type=Path, default=ROOT, help="write results and documents below this folder")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if args.tiny:
        args.rounds, args.docs, args.words, args.steps = 1, 1, 3000, args.steps or 5
        args.untrained = "training" not in args.parts
        if args.target == ROOT:
            args.target = None
    return args


def main() -> None:
    args = arguments()
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
            "startup": lambda: startup.measure(work, args.rounds),
            "training": lambda: training.measure(work),
        }
        for part in args.parts:
            print(f"\n{part}", flush=True)
            about = {**machine(), "tiny": args.tiny, "untrained": args.untrained, "vectors": _vectors(args)}
            result = {"machine": about, **measures[part]()}
            print(report.TABLES[part](result), flush=True)
            if args.target:
                report.write(args.target, part, result)
            else:
                print(json.dumps(result, indent=1))


def _vectors(args: argparse.Namespace) -> str:
    return args.vectors.name if args.vectors else "random"


if __name__ == "__main__":
    main()
