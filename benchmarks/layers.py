"""Our LSTM layer beside `torch.nn.LSTM`, Thinc's `PyTorchLSTM` and Thinc's own `LSTM`, in one run, one thread each.

Usage: python benchmarks/layers.py [--repetitions 9] [--seconds 6] [--quick]

Inputs are random; the lengths are those of CoNLL-2003's training data where LSTM_NER_DATA (default ../shared/data) has
it, and otherwise drawn from its stored distribution. The contestants take turns, and the median of their times counts.
PyTorch gets its PackedSequence, and Thinc its Padded data, made beforehand; ours takes Ragged data and does its
packing on the clock. A forward is without gradients; training is a forward and a backward, with the gradients of all
parameters and of the input. Times are those of the process. BENCHMARK_THREADS=2 takes more threads, and wall time.

`products` is the time of the bare float32 matrix products of a forward alone: x·W of all tokens at once, and h·R of
each time step of the batch. `one_product` is the same number of operations in two products as large as can be.

Prints ratios of tokens a second, and writes benchmarks/results/layers.json and the table in docs/layers.md.

With --gpu it compares with cuDNN on a GPU instead, see layers_gpu.py, and writes layers_gpu.json.
"""

import os

os.environ.update(
    dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), os.environ.get("BENCHMARK_THREADS", "1")
    )
)

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import LSTM as ThincLSTM
from thinc.api import PyTorchLSTM, get_current_ops

import layers_gpu
from layer_runs import ROOT, Runs, medians, ours, random, store, thinc_runs, torchs, with_target
from spacy_lstm_ner.layers.packed import pack

THREADS = os.environ["OMP_NUM_THREADS"]
DATA = Path(os.environ.get("LSTM_NER_DATA", ROOT.parent / "shared" / "data")) / "conll03" / "eng.train"
# Quantiles of the lengths of CoNLL-2003's training sentences, 0 % to 100 % in steps of 5 %.
SENTENCE_QUANTILES = (1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 13, 16, 19, 22, 26, 29, 32, 37, 113)
DOCUMENT_QUANTILES = (
    *(24, 49, 64, 78, 91, 102, 115, 126, 141, 158, 176, 190, 210, 228, 244, 263, 286, 337, 426, 594, 1335),
)
SHAPES = ((128, 100), (256, 256))
WINDOW = {"window": 50, "context": 10}
TARGETS = {
    ("forward", "torch"): {"sentences": 1.3, "documents": 1.3, "long document": 1.0},
    ("forward", "thinc LSTM"): {"sentences": 4.0, "documents": 4.0, "long document": 4.0},
    ("forward", "products"): {"sentences": 0.6, "documents": 0.6},
    ("training", "torch"): {"sentences": 4.0, "documents": 8.0},
    ("training", "thinc LSTM"): {"sentences": 3.5, "documents": 3.5},
    ("training", "PyTorchLSTM"): {"sentences": 4.0, "documents": 4.0},
}


def conll_lengths() -> tuple[list[int], list[int]]:
    """Tokens of each sentence and of each document."""
    if not DATA.exists():
        rng = np.random.default_rng(0)
        grid = np.linspace(0, 1, len(SENTENCE_QUANTILES))
        sentences, documents = (
            np.interp(rng.random(n), grid, quantiles).round().astype(int).tolist()
            for n, quantiles in ((5000, SENTENCE_QUANTILES), (500, DOCUMENT_QUANTILES))
        )
        return sentences, documents
    sentences, documents, length = [], [], 0
    for line in [*DATA.read_text("utf8").splitlines(), ""]:
        if line.startswith("-DOCSTART-"):
            documents.append(0)
        elif line.strip():
            length += 1
            documents[-1] += 1
        elif length:
            sentences.append(length)
            length = 0
    return sentences, [length for length in documents if length]


def batches(quick: bool) -> dict[str, list[int]]:
    sentences, documents = conll_lengths()
    rng = np.random.default_rng(1)

    def draw(lengths: list[int], n: int) -> list[int]:
        return rng.choice(lengths, n, replace=False).tolist()

    found = {"64 sentences": draw(sentences, 64), "256 sentences": draw(sentences, 256)}
    if not quick:
        found["1000 sentences"] = draw(sentences, 1000)
    return {**found, "32 documents": draw(documents, 32), "long document": [4000]}


def gpu_batches() -> dict[str, list[int]]:
    """Sentences and documents, few and many."""
    sentences, documents = conll_lengths()
    rng = np.random.default_rng(1)
    return {
        f"{n} {name}": rng.choice(lengths, n, replace=False).tolist()
        for name, lengths in (("sentences", sentences), ("documents", documents))
        for n in ((64, 256) if name == "sentences" else (32, 256))
    }


def thincs(builder: Any, lengths: list[int], width: int, H: int) -> Runs:
    ops = get_current_ops()
    model = builder(2 * H, width, bi=True)
    X = ops.list2padded([random(n, width) for n in lengths])
    dY = ops.list2padded([random(n, 2 * H) for n in lengths])
    model.initialize(X=X)
    return thinc_runs(model, X, dY)


def bare_products(lengths: list[int], width: int, H: int, **settings: Any) -> tuple[Runs, Runs]:
    packed = pack(np.array(lengths), n_directions=2, **settings)
    X, W, R = random(packed.n_rows, width), random(2, width, 4 * H), random(2, H, 4 * H)
    h, gates = random(2, packed.n_rows, H), np.empty((2, packed.n_rows, 4 * H), dtype="f4")
    sizes, offsets = packed.batch_sizes.tolist(), packed.offsets
    work = np.empty((2, sizes[0], 4 * H), dtype="f4")

    def by_step() -> None:
        np.matmul(X, W, out=gates)
        for start, b in zip(offsets, sizes, strict=False):
            np.matmul(h[:, start : start + b], R, out=work[:, :b])

    def at_once() -> None:
        np.matmul(X, W, out=gates)
        np.matmul(h, R, out=gates)

    return {"forward": by_step}, {"forward": at_once}


def clock() -> float:
    """Seconds of computing with one thread, so that what else the machine does counts less; else of wall time."""
    return time.process_time() if THREADS == "1" else time.perf_counter()


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for width, H in SHAPES[: 1 if args.quick else 2]:
        for name, lengths in batches(args.quick).items():
            settings = WINDOW if name == "long document" else {}
            by_step, at_once = bare_products(lengths, width, H, **settings)
            runs = {
                "ours": ours(lengths, width, H, **settings),
                "torch": torchs(lengths, width, H),
                "PyTorchLSTM": thincs(PyTorchLSTM, lengths, width, H),
                "thinc LSTM": thincs(ThincLSTM, lengths, width, H),
                "products": by_step,
                "one_product": at_once,
            }
            if name == "long document":
                runs["ours, no window"] = ours(lengths, width, H)
            if args.only_ours:
                runs = {name: run for name, run in runs.items() if name in ("ours", "torch", "products", "one_product")}
            for kind in ("forward", "training"):
                seconds = medians(runs, kind, args.repetitions, args.seconds, clock)
                rates = {who: round(sum(lengths) / value) for who, value in seconds.items()}
                row = {"shape": f"{width} → 2×{H}", "batch": name, "kind": kind, "tokens": sum(lengths), **settings}
                row |= {"tokens_per_second": rates}
                row["ratios"] = {who: round(rates["ours"] / rate, 2) for who, rate in rates.items() if who != "ours"}
                row["targets"] = targets(row) if H == 100 else {}
                rows.append(row)
                print(line(row), flush=True)
    return rows


def targets(row: dict[str, Any]) -> dict[str, float]:
    batch = next((name for name in ("sentences", "documents", "long document") if name in row["batch"]), "")
    found = {}
    for (kind, other), of_batch in TARGETS.items():
        if kind == row["kind"] and batch in of_batch:
            found[other] = of_batch[batch]
    return found


def line(row: dict[str, Any]) -> str:
    parts = [f"{who} {with_target(ratio, row['targets'].get(who))}" for who, ratio in row["ratios"].items()]
    rate = row["tokens_per_second"]["ours"]
    return f"{row['shape']}  {row['batch']:15} {row['kind']:9} {rate:7,} tokens/s | " + "; ".join(parts)


def table(rows: list[dict[str, Any]]) -> str:
    names = ["torch", "PyTorchLSTM", "thinc LSTM", "products", "one_product", "ours, no window"]
    lines = ["| | tokens/s | " + " | ".join(f"× {name}" for name in names) + " |", "|---|---:|" + "---:|" * len(names)]
    for row in rows:
        cells = []
        for name in names:
            ratio, target = row["ratios"].get(name), row["targets"].get(name)
            cells.append("" if ratio is None else f"{ratio}" + (f" (≥ {target})" if target else ""))
        label = f"{row['shape']}, {row['batch']}, {row['kind']}"
        lines.append(f"| {label} | {row['tokens_per_second']['ours']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=9, help="at least so many")
    parser.add_argument("--seconds", type=float, default=6.0, help="and at least so long, for each line")
    parser.add_argument("--quick", action="store_true", help="128 → 2×100 only, nothing is written")
    parser.add_argument("--only-ours", action="store_true", help="ours, torch and the bare products only")
    parser.add_argument("--gpu", action="store_true", help="on a GPU, beside cuDNN")
    args = parser.parse_args()
    if args.gpu:
        shapes = SHAPES[: 1 if args.quick else 2]
        layers_gpu.run(gpu_batches(), shapes, args.repetitions, args.seconds, write=not args.quick)
        return
    import torch

    torch.set_num_threads(int(THREADS))
    rows = measure(args)
    if args.quick or args.only_ours:
        return
    import thinc

    about = {
        "lengths": "CoNLL-2003" if DATA.exists() else "stored quantiles",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "thinc": thinc.__version__,
        "torch": torch.__version__,
        "threads": int(THREADS),
        "clock": "process time" if THREADS == "1" else "wall time",
    }
    store("layers", about, rows, table(rows))


if __name__ == "__main__":
    main()
