"""Our default pipeline and spaCy's `ner` trained side by side, one after the other, on the same data.

Usage: python benchmarks/main_job.py NAME TRAIN.spacy DEV.spacy [--configs default classic] [--without-spacy]

For each of our configs, and for spaCy's efficiency config (`spacy init config -p ner -o efficiency`), trains with
`spacy train` on one thread, then evaluates with `spacy lstm-ner evaluate` on whole documents. Prints the scores, the
wall time of the training command and the wall time until the best dev score was first reached, and writes
benchmarks/results/main_job_NAME.json.
"""

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

from training import ROOT, evaluate, seconds_until, train, write_spacy_config


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
            write_spacy_config(configs["spacy_ner"])
        for name, config in configs.items():
            print(f"\n{name}")
            output = Path(folder) / name
            results[name] = train(config, output, {"paths.train": args.train, "paths.dev": args.dev})
            results[name] |= evaluate(output / "model-best", args.dev, Path(folder) / "scores.json")
            print(json.dumps({k: v for k, v in results[name].items() if k != "evaluations"}, indent=2), flush=True)
        if not args.without_spacy:
            peer = results["spacy_ner"]
            for name in args.configs:
                ours = seconds_until(peer["best_dev_f"], results[name]["evaluations"])
                share = None if ours is None else round(ours / peer["seconds_until_best"], 3)
                results[name]["seconds_until_best_of_spacy_ner"] = ours
                results[name]["share_of_its_time"] = share
                print(f"{name} reached the best F of spaCy's ner after {ours} s, {share} of the time it took")
    target = ROOT / "benchmarks" / "results" / f"main_job_{args.name}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
