"""Entity F of our pipelines and of spaCy's `ner`, trained side by side on the same data, and what each part adds.

Usage: python benchmarks/accuracy.py --work DIR [--only main ablation/cell ...] [--systems default spacy ...]
                                     [--seeds 3] [--minutes 60] [--list] [--report]

Trains with `spacy train` on one thread, one run after the other, and keeps each result in benchmarks/results/accuracy.
Runs that have a result are skipped, so the whole can be done in slices, on several machines; a changed config gives
runs of its own. Dev chooses the model.

  main       CoNLL-2003 (train → testa), WNUT-17 (train → dev), GMB (first nine tenths → last tenth), each without and
             with GloVe vectors of 50 dimensions, and the embedded corpus (train → test)
  curve      1, 5, 10, 25, 50 and 100 % of the documents of CoNLL-2003's train
  ablation   one factor at a time, on CoNLL-2003

The corpora are read from LSTM_NER_DATA (default ../shared/data); rows without data are left out, and named. --report
trains nothing: it writes benchmarks/results/accuracy.json, the tables in README.md and docs/benchmarks/accuracy.md, and
docs/learning_curve.svg from the results that there are (needs matplotlib, in the extra `benchmark`).
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from campaign import store
from campaign.data import available
from campaign.report import write_report
from campaign.rows import MOST_SEEDS, Row, Run, plan, rows
from campaign.runs import load_configs, perform
from training import ENV, ROOT

RESULTS = ROOT / "benchmarks" / "results" / "accuracy.jsonl"


def chosen(all_rows: list[Row], names: list[str] | None) -> list[Row]:
    """The rows that --only names: groups, or group/beginning of the row's name (up to a ":").

    Raises ValueError for a name that fits no row.
    """
    if names is None:
        return all_rows

    def fits(row: Row, name: str) -> bool:
        return name in (row.group, f"{row.group}/{row.name}", f"{row.group}/{row.name.partition(':')[0]}")

    for name in names:
        if not any(fits(row, name) for row in all_rows):
            known = sorted({f"{row.group}/{row.name.partition(':')[0]}" for row in all_rows})
            raise ValueError(f"--only {name}: there is no such row. Rows: {', '.join(known)}")
    return [row for row in all_rows if any(fits(row, name) for name in names)]


def perform_all(runs: list[Run], work: Path, results: Path, minutes: float | None) -> int:
    """Do the runs one after the other. RETURNS how many failed; a failure is printed, and the rest goes on."""
    begun, failed = time.monotonic(), 0
    for number, run in enumerate(runs, 1):
        if minutes is not None and time.monotonic() - begun > 60 * minutes:
            print(f"{minutes} minutes are over: {len(runs) - number + 1} runs are left", flush=True)
            break
        print(f"\n[{number}/{len(runs)}] {run.id}", flush=True)
        try:
            result = perform(run, work, results)
        except (RuntimeError, ImportError, subprocess.CalledProcessError) as error:
            failed += 1
            print(error, file=sys.stderr, flush=True)
            continue
        took = result["training"]["cpu_seconds_in_all"]
        print(f"{run.id}: F {result['scores']['ents_f']:.4f} after {took} s of the processor", flush=True)
    return failed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data, vectors and what is trained")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of results, one line for each run")
    parser.add_argument("--only", nargs="+", help="groups or rows: main, main/conll03, ablation/cell, ...")
    parser.add_argument("--systems", nargs="+", help="names of configs, or spacy")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--minutes", type=float, help="start no run after so many")
    parser.add_argument("--steps", type=int, help="train no longer, to try things out; such results stand apart")
    parser.add_argument("--list", action="store_true", help="show the runs and which are done")
    parser.add_argument("--report", action="store_true", help="write tables and figure from the results")
    args = parser.parse_args()
    if not 1 <= args.seeds <= MOST_SEEDS:
        parser.error(f"--seeds {args.seeds}: expected a number from 1 to {MOST_SEEDS}")
    return args


def main() -> None:
    args = arguments()
    os.environ.update(ENV)
    try:
        wanted = chosen(rows(), args.only)
    except ValueError as error:
        sys.exit(str(error))
    missing = sorted({row.data for row in wanted if not available(row.data)})
    if missing and not args.report:
        print(f"Left out, since LSTM_NER_DATA has no such folder: {', '.join(missing)}")
        wanted = [row for row in wanted if row.data not in missing]
    configs = load_configs(wanted, args.work)
    if args.report:
        try:
            write_report(wanted, configs, args.results, ROOT, args.steps)
        except ValueError as error:
            sys.exit(str(error))
        return
    runs = list(plan(wanted, configs, range(args.seeds), args.systems, args.steps))
    done = store.read(args.results)
    left = [run for run in runs if run.fingerprint not in done]
    print(f"{len(runs)} runs, {len(runs) - len(left)} of them done")
    if args.list:
        names = {run.id for run in left}
        for run in runs:
            print("left" if run.id in names else "done", run.id)
        return
    failed = perform_all(left, args.work, args.results, args.minutes)
    if failed:
        sys.exit(f"{failed} runs failed")


if __name__ == "__main__":
    main()
