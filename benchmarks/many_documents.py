"""The command `annotate` on many documents: the same result from all engines, speed, memory, and jobs that are killed.

Usage: python benchmarks/many_documents.py --model DIR [--peer DIR] [--parts equality speed memory kills] [--work DIR]
                                           [--rows N] [--rounds 3] [--engines local ray spark] [--report]

The texts are the sentences of CoNLL-2003, GMB and the corpora of domains/ from the folder that LSTM_NER_DATA names,
repeated with new identifiers. --model and --peer are trained pipelines with `lstm_ner` and with spaCy's `ner`.

equality  100,000 rows with each engine, 1 and 2 workers and batches of 64 and 256, beside `nlp.pipe` in one process
speed     from texts to rows on the disk, 400,000 rows: each engine, `nlp.pipe` with one and two processes, and the
          peer. `steady` is without the first and the last tenth of the parts, `whole` the whole job with planning and
          loading. Systems take turns, each in a new process. Also the overhead of a batch, and the time for planning.
memory    resident memory of the driver and of the workers over 2,000,000 rows: the last tenth beside the second one
kills     the driver is killed at 20 random moments and started again, on `local` and `ray`; 1 % of the rows are bad.
          The rows must be those of a job that was not killed, and no process may be left. Scores may differ by their
          rounding: the model keeps what it has computed of words, and a product of one row rounds otherwise

Each part writes its entry of benchmarks/results/many_documents.json. --report writes the tables and the estimate in
docs/annotate-many.md from the stored results. Needs the extras `ray` and `spark`, and Linux's /proc.
"""

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import spacy

import corpora
import documents
from campaign.rows import DOMAINS
from spacy_lstm_ner.batch.inputs import open_source
from spacy_lstm_ner.batch.job import annotate
from spacy_lstm_ner.data.reader import read_docs
from training import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "many_documents.json"
DOCUMENT = ROOT / "docs" / "annotate-many.md"
FILES = (
    "conll03/eng.train",
    "conll03/eng.testa",
    "gmb/ner_dataset.csv",
    *(f"domains/{name}-train.iob" for name in DOMAINS),
)
PARTS = {"equality": 100_000, "speed": 400_000, "memory": 2_000_000, "kills": 100_000}
"""The parts, and their numbers of rows."""
SYSTEMS = {
    "`nlp.pipe`, one process": ("model", "pipe", 1),
    "`nlp.pipe(n_process=2)`": ("model", "pipe", 2),
    "`local`, 1 worker": ("model", "local", 1),
    "`local`, 2 workers": ("model", "local", 2),
    "`ray`, 1 worker": ("model", "ray", 1),
    "`ray`, 2 workers": ("model", "ray", 2),
    "`spark`, 2 workers": ("model", "spark", 2),
    "spaCy's `ner`, `nlp.pipe`, one process": ("peer", "pipe", 1),
    "spaCy's `ner`, `local`, 1 worker": ("peer", "local", 1),
    "spaCy's `ner`, `local`, 2 workers": ("peer", "local", 2),
}
RATIOS = (
    ("`local`, 1 worker", "`nlp.pipe`, one process", ">= 0.85"),
    ("`local`, 2 workers", "`local`, 1 worker", ">= 1.9"),
    ("`ray`, 2 workers", "`ray`, 1 worker", ">= 1.7"),
    ("`ray`, 2 workers", "`local`, 2 workers", ""),
    ("`spark`, 2 workers", "`local`, 2 workers", ""),
    ("`nlp.pipe(n_process=2)`", "`nlp.pipe`, one process", ""),
    ("spaCy's `ner`, `local`, 2 workers", "spaCy's `ner`, `local`, 1 worker", ""),
    ("`local`, 2 workers", "spaCy's `ner`, `local`, 2 workers", ""),
)
PART_ROWS, BATCH = 2000, 256
BAD = (b'{"text": null}\n', b'{"text": "\xff"}\n', b"{\n", b'{"body": "a"}\n')
KILLS = 20
MACHINES, CORES, DOCS = 100, 32, 1_000_000_000
LENGTHS = (25, 500)
"""Words of a document in the estimate: sentences and articles."""


def make_texts(path: Path, rows: int, bad: float = 0.0) -> Path:
    """Write JSON lines with sentences of the corpora, repeated with new identifiers, and a share of bad rows."""
    if path.exists():
        return path
    nlp, rng = spacy.blank("xx"), random.Random(0)
    texts = [doc.text for name in FILES for doc in read_docs(corpora.needed(name), nlp, n_sents=1)]
    with path.open("wb") as out:
        for number, text in enumerate(islice(cycle(texts), rows)):
            row = json.dumps({"id": number, "text": text}).encode() + b"\n"
            out.write(rng.choice(BAD) if rng.random() < bad else row)
    return path


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of a job in the order of the input."""
    for part in sorted(folder.glob("part-*.jsonl")):
        with part.open(encoding="utf8") as file:
            yield from map(json.loads, file)


def pipe_to_file(model: str, path: Path, output: Path, processes: int) -> tuple[int, list[float]]:
    """Annotate with `nlp.pipe` as a script would: read, annotate, write rows. Gives the words and times of parts."""
    output.mkdir(parents=True)
    nlp, words, times = spacy.load(model), 0, []
    with path.open(encoding="utf8") as rows, (output / "part-00000.jsonl").open("w", encoding="utf8") as out:
        pairs = ((row["text"], row["id"]) for row in map(json.loads, rows))
        docs = nlp.pipe(pairs, as_tuples=True, batch_size=BATCH, n_process=processes)
        for number, (doc, name) in enumerate(docs):
            entities = [
                {"start": e.start_char, "end": e.end_char, "label": e.label_, "score": e._.get("lstm_ner_score")}
                if e.has_extension("lstm_ner_score")
                else {"start": e.start_char, "end": e.end_char, "label": e.label_}
                for e in doc.ents
            ]
            out.write(json.dumps({"id": name, "entities": entities}, ensure_ascii=False) + "\n")
            words += len(doc)
            if number % PART_ROWS == PART_ROWS - 1:
                times.append(time.time())
    return words, times


def run_one(
    engine: str, workers: int, model: str, path: Path, output: Path, batch: int, part_rows: int
) -> dict[str, Any]:
    """One system, in this process. Gives rows, words, seconds of the whole job, and steady rows a second."""
    begin = time.time()
    if engine == "pipe":
        words, times = pipe_to_file(model, path, output, workers)
        rows = sum(1 for _ in path.open("rb"))
    else:
        done = annotate(path, model, output, engine=engine, workers=workers, batch_size=batch, part_rows=part_rows)
        rows, words = done.rows, done.words
        times = sorted(part.stat().st_mtime for part in output.glob("part-*"))
    seconds, planned = time.time() - begin, output / "manifest.json"
    first, last = len(times) // 10, len(times) * 9 // 10
    steady = (last - first) * part_rows / max(times[last] - times[first], 1e-9) if last > first else None
    plan = planned.stat().st_mtime - begin if planned.exists() else None
    return {"rows": rows, "words": words, "seconds": seconds, "rows_a_second": steady, "plan": plan}


def command(engine: str, workers: int, model: Path, path: Path, output: Path, batch: int, part_rows: int) -> list[str]:
    """The command that runs one system in a process of its own."""
    values = map(str, (engine, workers, model, path, output, batch, part_rows))
    return [sys.executable, __file__, "--one", *values]


def in_process(engine: str, workers: int, model: Path, path: Path, output: Path, **sizes: int) -> dict[str, Any]:
    """Run one system in a new process. Its output must not be there yet."""
    shutil.rmtree(output, ignore_errors=True)
    line = command(engine, workers, model, path, output, sizes.get("batch", BATCH), sizes.get("part_rows", PART_ROWS))
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{engine}, {workers} workers: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def equality(args: argparse.Namespace) -> dict[str, Any]:
    """Entities and scores of each engine beside those of one process."""
    path, output = make_texts(args.work / f"texts-{args.rows}.jsonl", args.rows), args.work / "equality"
    in_process("pipe", 1, args.model, path, output)
    expected, found = list(read_rows(output)), []
    for engine in args.engines:
        for workers in (1, 2):
            for batch in (64, 256):
                in_process(engine, workers, args.model, path, output, batch=batch)
                result = {"engine": engine, "workers": workers, "batch": batch, **differences(expected, output)}
                found.append(result)
                print(result, flush=True)
    return {"rows": args.rows, "entities": sum(len(row["entities"]) for row in expected), "runs": found}


def differences(expected: list[dict[str, Any]], output: Path) -> dict[str, Any]:
    """The rows with other identifiers or entities than expected, and the largest difference of a score."""
    rows, other, largest = list(read_rows(output)), 0, 0.0
    for row, wanted in zip(rows, expected, strict=False):
        pairs = list(zip(row["entities"], wanted["entities"], strict=False))
        keys = ("start", "end", "label")
        same = len(row["entities"]) == len(wanted["entities"]) and row["id"] == wanted["id"]
        if same and all(one[key] == two[key] for one, two in pairs for key in keys):
            largest = max([largest, *(abs(one["score"] - two["score"]) for one, two in pairs)])
        else:
            other += 1
    return {"other_rows": other + abs(len(rows) - len(expected)), "largest_difference": largest}


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Rows a second of each system, in turns; the overhead of a batch."""
    path, output = make_texts(args.work / f"texts-{args.rows}.jsonl", args.rows), args.work / "speed"
    runs: dict[str, list[dict[str, Any]]] = {}
    blank = args.work / "blank"
    spacy.blank("en").to_disk(blank)
    models = {"model": args.model, "peer": args.peer}
    systems = {
        name: (models[which], engine, workers)
        for name, (which, engine, workers) in SYSTEMS.items()
        if models[which] is not None and (engine in args.engines or engine == "pipe")
    }
    systems |= {f"blank, {engine}": (blank, engine, 1) for engine in ("pipe", *args.engines)}
    for _ in range(args.rounds):
        for name, (model, engine, workers) in systems.items():
            found = in_process(engine, workers, model, path, output)
            runs.setdefault(name, []).append(found)
            print(name, {key: round(value, 1) for key, value in found.items() if value is not None}, flush=True)
    plans = {length: planning(path, args.work / "plan.jsonl", length) for length in LENGTHS}
    return {"rows": args.rows, "batch": BATCH, "runs": runs, "planning": plans}


def planning(texts: Path, path: Path, length: int, rows: int = 20_000) -> dict[str, float]:
    """How fast one process cuts an input into chunks whose documents have some number of words."""
    with texts.open("rb") as file:
        words = cycle(" ".join(json.loads(line)["text"] for line in islice(file, 5000)).split())
    with path.open("w", encoding="utf8") as out:
        for number in range(rows):
            out.write(json.dumps({"id": number, "text": " ".join(islice(words, length))}) + "\n")
    times = []
    for _ in range(3):
        with closing(open_source(str(path), "jsonl", {})) as source:
            begin = time.perf_counter()
            assert sum(found for _, _, found in source.chunks(PART_ROWS)) == rows
            times.append(time.perf_counter() - begin)
    return {"rows_a_second": rows / min(times), "bytes_a_row": path.stat().st_size / rows}


def processes_of(pid: int) -> dict[int, str]:
    """The process and its descendants, with their command lines."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf8", "replace")
        except (OSError, ProcessLookupError):
            continue
    own = {pid}
    while more := {child for child, parent in parents.items() if parent in own} - own:
        own |= more
    return {pid: lines.get(pid, "") for pid in own}


def memory_of(pid: int) -> dict[str, float]:
    """Resident memory in MiB of a driver, of the processes with pipelines, and of the others below it."""
    sums = {"driver": 0.0, "workers": 0.0, "others": 0.0}
    for own, line in processes_of(pid).items():
        kind = "driver" if own == pid else "workers" if "spacy_lstm_ner.batch.worker" in line else "others"
        try:
            pages = int(Path(f"/proc/{own}/statm").read_text().split()[1])
        except (OSError, ProcessLookupError):
            continue
        sums[kind] += pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return sums


def memory(args: argparse.Namespace) -> dict[str, Any]:
    """Memory in the second and in the last tenth of a job."""
    path, found = make_texts(args.work / f"texts-{args.rows}.jsonl", args.rows), {}
    for engine in args.engines:
        output = args.work / "memory"
        shutil.rmtree(output, ignore_errors=True)
        samples = []
        with subprocess.Popen(
            command(engine, 2, args.model, path, output, BATCH, PART_ROWS), stdout=subprocess.DEVNULL
        ) as driver:
            while driver.poll() is None:
                samples.append((len(list(output.glob("part-*"))), memory_of(driver.pid)))
                time.sleep(args.every)
        parts = -(-args.rows // PART_ROWS)
        if driver.returncode or len(list(output.glob("part-*"))) != parts:
            sys.exit(f"memory: {engine} failed")
        found[engine] = {}
        for kind in ("driver", "workers", "others"):
            tenths = [[s[kind] for done, s in samples if done < parts and done * 10 // parts == k] for k in range(10)]
            # A sample in which processes have ended already is none.
            second, last = (statistics.median(tenths[k]) if tenths[k] else 0.0 for k in (1, 9))
            found[engine][kind] = {"second": second, "last": last, "ratio": last / second if second else None}
        print(engine, found[engine], flush=True)
    return {"rows": args.rows, "engines": found}


def kills(args: argparse.Namespace) -> dict[str, Any]:
    """Kill the driver at random moments, start it again, and compare the output with that of a job left alone."""
    path, rng = make_texts(args.work / f"bad-{args.rows}.jsonl", args.rows, bad=0.01), random.Random(args.seed)
    part_rows, found = max(1, args.rows // 200), {}
    wanted = args.work / "not-killed"
    in_process("local", 2, args.model, path, wanted, part_rows=part_rows)
    for engine in [name for name in args.engines if name != "spark"]:
        output, killed, below = args.work / "killed", 0, dict[int, str]()
        shutil.rmtree(output, ignore_errors=True)
        line = command(engine, 2, args.model, path, output, BATCH, part_rows)
        for _ in range(args.kills):
            driver = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            before = len(list(output.glob("part-*")))
            enough, until = before + rng.randrange(6), time.monotonic() + 120
            while driver.poll() is None and len(list(output.glob("part-*"))) < enough and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1))
            below |= processes_of(driver.pid)
            killed += driver.poll() is None
            driver.kill()
            driver.wait()
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"kills: {engine}: {done.stderr[-4000:]}")
        compared, bad = differences(list(read_rows(wanted)), output), bad_rows(output)
        found_bad = {"bad_rows": len(bad), "same_bad_rows": bad == bad_rows(wanted)}
        found[engine] = {"killed": killed, **compared, **found_bad, "processes_left": count_left(below)}
        print(engine, found[engine], flush=True)
    return {"rows": args.rows, "parts": len(list(wanted.glob("part-*"))), "engines": found}


def bad_rows(folder: Path) -> list[bytes]:
    """The bad rows of a job in the order of the input."""
    return [line for name in sorted(folder.glob("bad-*")) for line in name.read_bytes().splitlines()]


def count_left(processes: Mapping[int, str], seconds: float = 180.0) -> int:
    """How many of these processes still run after some time. Agents of Ray look for their parent for a minute."""
    until = time.monotonic() + seconds
    while True:
        alive = [pid for pid, line in processes.items() if line and _line_of(pid) == line]
        if not alive or time.monotonic() > until:
            return len(alive)
        time.sleep(0.1)


def _line_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf8", "replace")
    except OSError:
        return ""


def median(runs: list[dict[str, Any]], key: str) -> float:
    """The median of a figure; rows a second of the whole job for "whole"."""
    return statistics.median(run["rows"] / run["seconds"] if key == "whole" else run[key] for run in runs)


def ratio(runs: Mapping[str, list[dict[str, Any]]], one: str, two: str, key: str) -> str:
    """The median of the ratios of two systems, round by round, with the smallest and the largest."""
    rates = [
        [run["rows"] / run["seconds"] if key == "whole" else run[key] for run in runs.get(name, [])]
        for name in (one, two)
    ]
    ratios = [a / b for a, b in zip(*rates, strict=True)] if all(rates) else []
    if not ratios:
        return "–"
    spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{statistics.median(ratios):.2f}{spread}"


def report() -> None:
    """Write the tables and the estimate of the stored results."""
    results = json.loads(RESULTS.read_text("utf8"))
    for part, write in {"equality": _equality, "speed": _speed, "memory": _memory, "kills": _kills}.items():
        if part in results:
            documents.fill(DOCUMENT, part, write(results[part]))
    if "speed" in results:
        documents.fill(DOCUMENT, "estimate", estimate(results["speed"]))


def _equality(result: Mapping[str, Any]) -> str:
    rows = [
        [
            f"`{run['engine']}`",
            str(run["workers"]),
            str(run["batch"]),
            str(run["other_rows"]),
            f"{run['largest_difference']:.0e}",
        ]
        for run in result["runs"]
    ]
    about = f"{result['rows']:,} rows with {result['entities']:,} entities, beside `nlp.pipe` in one process:\n\n"
    header = ["engine", "workers", "rows of a batch", "rows that differ", "largest difference of a score"]
    return about + documents.table(header, rows)


def _speed(result: Mapping[str, Any]) -> str:
    runs = result["runs"]
    ratios = [
        [
            f"{one} ÷ {two}",
            ratio(runs, one, two, "rows_a_second"),
            ratio(runs, one, two, "whole"),
            wanted.replace(">=", "≥"),
        ]
        for one, two, wanted in RATIOS
    ]
    rows = []
    for name in SYSTEMS:
        if name in runs:
            words = runs[name][0]["words"] / result["rows"]
            values = [median(runs[name], key) for key in ("rows_a_second", "whole")]
            rows.append([name, *(f"{value:,.0f}" for value in values), f"{values[0] * words:,.0f}"])
    first = documents.table(["ratio of speeds", "steady", "whole job", "aim"], ratios)
    header = ["system", "rows/s, steady", "rows/s, whole job", "words/s, steady"]
    extra = {engine: overhead(result, engine) for engine in ("local", "ray", "spark") if f"blank, {engine}" in runs}
    costs = ", ".join(f"{value:.1f} ms (`{engine}`)" for engine, value in extra.items())
    return (
        f"{result['rows']:,} rows.\n\n{first}\n\n{documents.table(header, rows)}\n\n"
        f"A batch of {result['batch']} rows costs {costs} more than the same batch in `nlp.pipe`, measured with a "
        "pipeline that only tokenizes."
    )


def overhead(result: Mapping[str, Any], engine: str) -> float:
    """Milliseconds a batch that an engine needs beyond `nlp.pipe` in a script."""
    times = [result["batch"] / median(result["runs"][f"blank, {name}"], "rows_a_second") for name in (engine, "pipe")]
    return (times[0] - times[1]) * 1000


def estimate(result: Mapping[str, Any]) -> str:
    """What a billion documents would take on a cluster, from the figures of one machine."""
    runs = result["runs"]
    one, two = runs["`local`, 1 worker"], runs["`local`, 2 workers"]
    words = median(one, "rows_a_second") * one[0]["words"] / result["rows"]
    scaling = median(two, "rows_a_second") / median(one, "rows_a_second") / 2
    rows = []
    for length, plan in result["planning"].items():
        seconds, size = DOCS * int(length) / (words * scaling * MACHINES * CORES), DOCS * plan["bytes_a_row"]
        planned = DOCS / plan["rows_a_second"] / 60
        rows.append([
            length, f"{seconds / 60:,.1f} min", f"{planned:,.1f} min", f"{planned / MACHINES:,.1f} min",
            f"{size / 1e12:.2f} TB", f"{size / seconds / MACHINES / 1e6:,.0f} MB/s",
        ])  # fmt: skip
    header = [
        "words of a document", "annotating", "planning, one job", "planning, one job a machine", "input",
        "read by a machine",
    ]  # fmt: skip
    table = documents.table(header, rows)
    return f"From {words:,.0f} words a second and core, {scaling:.2f} of which stay with all cores busy:\n\n{table}"


def _memory(result: Mapping[str, Any]) -> str:
    rows = []
    for engine, kinds in result["engines"].items():
        for kind, value in kinds.items():
            if value["ratio"] is not None:
                numbers = [f"{value['second']:,.0f}", f"{value['last']:,.0f}", f"{value['ratio']:.3f}"]
                rows.append([f"`{engine}`, {kind}", *numbers])
    header = [f"MiB, {result['rows']:,} rows, 2 workers", "second tenth", "last tenth", "ratio"]
    return documents.table(header, rows)


def _kills(result: Mapping[str, Any]) -> str:
    rows = [
        [
            f"`{name}`",
            str(own["killed"]),
            str(own["other_rows"]),
            f"{own['largest_difference']:.0e}",
            f"{own['bad_rows']:,}, {'the same' if own['same_bad_rows'] else 'others'}",
            str(own["processes_left"]),
        ]
        for name, own in result["engines"].items()
    ]
    header = [
        "engine", "kills of the driver", "rows that differ", "largest difference of a score", "bad rows reported",
        "processes left",
    ]  # fmt: skip
    return f"{result['rows']:,} rows, 1 % of them bad, in {result['parts']:,} parts:\n\n{documents.table(header, rows)}"


MEASURES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "equality": equality,
    "speed": speed,
    "memory": memory,
    "kills": kills,
}


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        engine, workers, model, path, output, batch, part_rows = sys.argv[2:]
        found = run_one(engine, int(workers), model, Path(path), Path(output), int(batch), int(part_rows))
        print(json.dumps(found))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="trained pipeline with lstm_ner")
    parser.add_argument("--peer", type=Path, help="trained pipeline with spaCy's ner, for `speed`")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--engines", nargs="+", choices=("local", "ray", "spark"), default=["local", "ray", "spark"])
    parser.add_argument("--work", type=Path, help="folder for texts and output (default: a temporary one)")
    parser.add_argument("--rows", type=int, help="rows of each part (default: as above)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each system for `speed`")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0, help="when the driver is killed")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two samples of the memory")
    parser.add_argument("--target", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="write the tables of the stored results")
    args = parser.parse_args()
    if args.report:
        report()
        return
    if args.model is None:
        parser.error("expected --model")
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for part in args.parts:
            own = argparse.Namespace(**{**vars(args), "work": work.absolute(), "rows": args.rows or PARTS[part]})
            result = MEASURES[part](own)
            stored = json.loads(args.target.read_text("utf8")) if args.target.exists() else {}
            args.target.write_text(json.dumps({**stored, part: result}, indent=1) + "\n", "utf8")


if __name__ == "__main__":
    main()
