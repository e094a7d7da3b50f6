"""Our default pipeline and spaCy's `ner` trained side by side, one after the other, on the same data.

Usage: python benchmarks/main_job.py NAME TRAIN.spacy DEV.spacy [--configs default classic] [--without-spacy]

For each of our configs, and for spaCy's efficiency config (`spacy init config -p ner -o efficiency`), trains with
`spacy train` on one thread, then evaluates with `spacy lstm-ner evaluate` on whole documents. Prints the scores, the
wall time of the training command and the wall time until the best dev score was first reached, and writes
benchmarks/results/main_job_NAME.json.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ENV = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
LOG_ROW = re.compile(r"^\s*\d+\s+(\d+)\s.*\s(\d+\.\d+)\s*$")


def train(config: Path, output: Path, data: tuple[Path, Path]) -> dict[str, Any]:
    """Run `spacy train`; note when each evaluation was printed."""
    command = [sys.executable, "-m", "spacy", "train", str(config), "-o", str(output)]
    command += ["--paths.train", str(data[0]), "--paths.dev", str(data[1])]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, text=True)
    rows = []
    for line in process.stdout or ():
        print(line, end="", flush=True)
        columns = line.split()
        if LOG_ROW.match(line):
            # Columns: epoch, step, loss of each component, ENTS_F, ...
            scores = [float(column) for column in columns[2:]]
            losses = 2 if "tok2vec" in config.read_text() and "lstm_ner" not in config.read_text() else 1
            rows.append((scores[losses], int(columns[1]), time.perf_counter() - start))
    if process.wait():
        sys.exit(f"{config}: training failed")
    best = max(rows, key=lambda row: row[0])
    return {
        "best_dev_f": best[0],
        "best_step": best[1],
        "seconds_until_best": round(best[2], 1),
        "seconds_in_all": round(time.perf_counter() - start, 1),
        "evaluations": [{"f": f, "step": step, "seconds": round(seconds, 1)} for f, step, seconds in rows],
    }


def seconds_until(f: float, result: dict[str, Any]) -> float | None:
    """Wall time of the training until an evaluation first reached f; None if none did."""
    reached = [row["seconds"] for row in result["evaluations"] if row["f"] >= f]
    return reached[0] if reached else None


def evaluate(model: Path, data: Path, output: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "spacy", "lstm-ner", "evaluate", str(model), str(data), "--output", str(output)]
    subprocess.run(command, env=ENV, check=True, stdout=subprocess.DEVNULL)
    scores = json.loads(output.read_text())
    wanted = ("ents_p", "ents_r", "ents_f", "ents_token_acc", "ents_token_acc_in_entities")
    return {name: scores[name] for name in wanted if name in scores}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--configs", nargs="*", default=["default"])
    parser.add_argument("--without-spacy", action="store_true")
    args = parser.parse_args()
    results: dict[str, Any] = {"data": args.name, "python": platform.python_version(), "machine": platform.machine()}
    with tempfile.TemporaryDirectory() as folder:
        configs = {name: ROOT / "configs" / f"{name}.cfg" for name in args.configs}
        if not args.without_spacy:
            configs["spacy_ner"] = Path(folder) / "spacy_ner.cfg"
            command = [sys.executable, "-m", "spacy", "init", "config", str(configs["spacy_ner"])]
            subprocess.run([*command, "-p", "ner", "-o", "efficiency"], check=True, env=ENV)
        for name, config in configs.items():
            print(f"\n{name}")
            output = Path(folder) / name
            results[name] = train(config, output, (args.train, args.dev))
            results[name] |= evaluate(output / "model-best", args.dev, Path(folder) / "scores.json")
            print(json.dumps({k: v for k, v in results[name].items() if k != "evaluations"}, indent=2), flush=True)
        if not args.without_spacy:
            peer = results["spacy_ner"]
            for name in args.configs:
                ours = seconds_until(peer["best_dev_f"], results[name])
                share = None if ours is None else round(ours / peer["seconds_until_best"], 3)
                results[name]["seconds_until_best_of_spacy_ner"] = ours
                results[name]["share_of_its_time"] = share
                print(f"{name} reached the best F of spaCy's ner after {ours} s, {share} of the time it took")
    target = ROOT / "benchmarks" / "results" / f"main_job_{args.name}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
