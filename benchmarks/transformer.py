"""How fast configs/transformer.cfg learns beside spaCy's `transformer` and `ner` with the same transformer and batches.

Usage: python benchmarks/transformer.py --transformer FOLDER [--steps 300] [--every 50] [--words 500] [--dev 4]

On every tenth training document of CoNLL-2003, from the folder that LSTM_NER_DATA names; the dev data is every fourth
document of testa. FOLDER has a transformer in the format of Hugging Face. Each training is `spacy train` on one thread:

  lstm_ner           configs/transformer.cfg
  lstm_ner, frozen   the same with a transformer that does not change
  ner                what `spacy init config -p ner --gpu` writes
  ner, short         the same with the schedule of its learning rate shortened to --steps

All have the batcher of configs/transformer.cfg with --words padded words a batch. Prints a table and writes
benchmarks/results/transformer.json.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import spacy
from spacy.tokens import DocBin
from thinc.api import Config

import corpora
import documents
from spacy_lstm_ner.data.reader import read_docs
from training import ROOT, shorten, train, write_spacy_config

OUTPUT = ROOT / "benchmarks" / "results" / "transformer.json"
PACKAGES = ("spacy", "thinc", "numpy", "torch", "transformers", "spacy-transformers")
CONFIG = ROOT / "configs" / "transformer.cfg"
KEPT = ["transformer"]


def write_docs(path: Path, source: Path, one_in: int) -> int:
    """Write every n-th document of a file in spaCy's format, and return the number of their tokens."""
    nlp = spacy.blank("en")
    docs = list(read_docs(source, nlp))[::one_in]
    DocBin(docs=docs, store_user_data=False).to_disk(path)
    return sum(map(len, docs))


def configs(folder: Path, transformer: str, words: int, steps: int, every: int) -> dict[str, Path]:
    """Write the config of each system."""
    ours, frozen = (Config().from_disk(CONFIG, interpolate=False) for _ in range(2))
    frozen["training"].update(frozen_components=KEPT, annotating_components=KEPT)
    write_spacy_config(folder / "spacy.cfg", "--gpu")
    theirs, short = (Config().from_disk(folder / "spacy.cfg", interpolate=False) for _ in range(2))
    shorten(short["training"], steps)
    paths = {}
    for name, config in {"lstm_ner": ours, "lstm_ner, frozen": frozen, "ner": theirs, "ner, short": short}.items():
        config["components"]["transformer"]["model"]["name"] = transformer
        config["system"]["gpu_allocator"] = None
        config["training"]["batcher"] = {**ours["training"]["batcher"], "size": words}
        config["training"].update(max_steps=steps, eval_frequency=every, accumulate_gradient=1)
        paths[name] = folder / f"{name}.cfg"
        config.to_disk(paths[name])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transformer", required=True, help="the folder of the transformer")
    parser.add_argument("--steps", type=int, default=300, help="steps of each training")
    parser.add_argument("--every", type=int, default=50, help="steps between evaluations")
    parser.add_argument("--words", type=int, default=500, help="padded words of a batch")
    parser.add_argument("--dev", type=int, default=4, help="use one in so many documents of testa")
    args = parser.parse_args()
    data = corpora.needed("conll03")
    results: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: version(name) for name in PACKAGES},
        **vars(args),
        "transformer": json.loads(Path(args.transformer, "config.json").read_text("utf8")).get("_name_or_path"),
    }
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results["train_tokens"] = write_docs(folder / "train.spacy", data / "eng.train", 10)
        results["dev_tokens"] = write_docs(folder / "dev.spacy", data / "eng.testa", args.dev)
        paths = {f"paths.{part}": folder / f"{part}.spacy" for part in ("train", "dev")}
        written = configs(folder, args.transformer, args.words, args.steps, args.every)
        results["systems"] = {name: train(path, folder / name, paths) for name, path in written.items()}
    OUTPUT.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))


def table(results: dict[str, Any]) -> str:
    """The results as Markdown: F1 in percent at each evaluation, and the CPU time of the training in minutes."""
    systems = results["systems"]
    steps = [row["step"] for row in systems["ner"]["evaluations"] if row["step"]]
    rows = []
    for name, run in systems.items():
        scores = {row["step"]: f"{row['f']:.1f}" for row in run["evaluations"]}
        rows.append([name, *(scores[step] for step in steps), f"{run['cpu_seconds_in_all'] / 60:.1f}"])
    return documents.table(["steps", *map(str, steps), "minutes"], rows, 1)


if __name__ == "__main__":
    main()
