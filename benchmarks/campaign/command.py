"""The command line of a campaign, and its trainings one after the other."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import corpora
from training import ENV, ROOT

from . import store
from .data import source
from .rows import Configs, Row, Run, plan
from .runs import load_configs, perform

WriteReport = Callable[[list[Row], Configs, Path, Path, int | None], None]


def chosen(all_rows: list[Row], names: list[str] | None) -> list[Row]:
    """The rows that --only names.

    Args:
        all_rows (list[Row]): All rows.
        names (list[str] | None): Groups, or group/name of the row, which can end before a ":". None names all.

    Returns:
        list[Row]: The rows, in their order.

    Raises:
        ValueError: If a name fits no row.
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
    """Perform runs one after the other. A run that fails is printed, and the next one starts.

    Args:
        runs (list[Run]): The runs.
        work (Path): The folder for data, vectors and pipelines.
        results (Path): The file of results.
        minutes (float | None): Start no run after this time.

    Returns:
        int: Number of runs that failed.
    """
    begun, failed = time.monotonic(), 0
    for number, run in enumerate(runs, 1):
        if minutes is not None and time.monotonic() - begun > 60 * minutes:
            print(f"{minutes} minutes are over, {len(runs) - number + 1} runs are left", flush=True)
            break
        print(f"\n[{number}/{len(runs)}] {run.id}", flush=True)
        try:
            result = perform(run, work, results)
        except (RuntimeError, ImportError, subprocess.CalledProcessError) as error:
            failed += 1
            print(error, file=sys.stderr, flush=True)
            continue
        took = result["training"]["cpu_seconds_in_all"]
        print(f"{run.id}: F1 {result['scores']['ents_f']:.4f}, {took} s of CPU time", flush=True)
    return failed


def arguments(description: str | None, results: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data, vectors and pipelines in training")
    parser.add_argument("--results", type=Path, default=results, help="file of results, one line for each training")
    parser.add_argument(
        "--only", nargs="+", help="train or report only these groups or rows, such as conll03 or domains/btc"
    )
    parser.add_argument("--systems", nargs="+", help="train only these: names of configs, or spacy")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on (default: 3)")
    parser.add_argument("--minutes", type=float, help="start no training after this time")
    parser.add_argument("--steps", type=int, help="train for fewer steps, to try things out; results are kept apart")
    parser.add_argument("--list", action="store_true", help="list the trainings, and which are done")
    parser.add_argument("--report", action="store_true", help="write tables and figures from the stored results")
    args = parser.parse_args()
    if args.seeds < 1:
        parser.error(f"--seeds {args.seeds}: expected at least 1")
    return args


def run_campaign(description: str | None, all_rows: list[Row], results: Path, write_report: WriteReport) -> None:
    """Do what the command line asks for.

    Args:
        description (str | None): The help text.
        all_rows (list[Row]): All rows.
        results (Path): The file of results, unless --results names another one.
        write_report (WriteReport): Writes the report, see `report.write_report`.
    """
    args = arguments(description, results)
    os.environ.update(ENV)
    try:
        wanted = chosen(all_rows, args.only)
    except ValueError as error:
        sys.exit(str(error))
    configs = load_configs(wanted, args.work, args.steps)
    try:
        if args.report:
            write_report(wanted, configs, args.results, ROOT, args.steps)
            return
        done = store.read(args.results)
    except ValueError as error:
        sys.exit(str(error))
    missing = sorted({row.data for row in wanted if not source(row.data)})
    if missing:
        wanted = [row for row in wanted if row.data not in missing]
        message = corpora.without(*missing)
        if not wanted:
            sys.exit(message)
        print(f"Some rows are left out. {message}")
    runs = list(plan(wanted, configs, range(args.seeds), args.systems, args.steps))
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
