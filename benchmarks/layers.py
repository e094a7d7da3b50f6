"""Speed of our LSTM layer beside `torch.nn.LSTM`, Thinc's `PyTorchLSTM` and Thinc's own `LSTM`, on one thread each.

Usage: python benchmarks/layers.py [--repetitions 9] [--seconds 6] [--quick] [--gpu [--trial]] [--report]

Inputs are random. Their lengths are those of CoNLL-2003's training data if the folder that LSTM_NER_DATA names has it,
and otherwise drawn from quantiles of these lengths. The contestants take turns, and medians count. PyTorch gets its
PackedSequence and Thinc its Padded data before the clock starts; ours takes Ragged data and packs it on the clock. A
forward pass is without gradients. Training is a forward and a backward pass with the gradients of all parameters and
of the input. Times are CPU time of the process. With BENCHMARK_THREADS=2 there are more threads, and wall time counts.

`products` is the time of only the float32 matrix products of a forward pass: x·W of all tokens at once, and h·R of
each time step of the batch. `one_product` is the same number of operations in two products that are as large as
possible.

Writes benchmarks/results/layers.json and the table in docs/layers.md. --gpu compares with cuDNN on a GPU instead (see
layers_gpu.py) and writes layers_gpu.json and its table. --trial does that on the CPU and writes nothing. --report only
writes the table from the stored results.
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
from typing import Any

import numpy as np
from thinc.api import LSTM as ThincLSTM
from thinc.api import PyTorchLSTM

import corpora
import layers_gpu
from documents import table
from layer_runs import WINDOW, Runs, medians, ours, random, report, store, thincs, torchs
from spacy_lstm_ner.layers.packed import pack

THREADS = os.environ["OMP_NUM_THREADS"]
DATA = corpora.real("conll03/eng.train")
# Lengths of CoNLL-2003's training sentences and documents: quantiles from 0 % to 100 % in steps of 5 %.
SENTENCE_QUANTILES = (1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 13, 16, 19, 22, 26, 29, 32, 37, 113)
DOCUMENT_QUANTILES = (
    *(24, 49, 64, 78, 91, 102, 115, 126, 141, 158, 176, 190, 210, 228, 244, 263, 286, 337, 426, 594, 1335),
)
SHAPES = ((128, 100), (256, 256))


def conll_lengths() -> tuple[list[int], list[int]]:
    """Tokens of each sentence and of each document."""
    if DATA is None:
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
    """CPU time with one thread, which other programs change little; wall time with more."""
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
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    parts = [f"{who} {ratio}" for who, ratio in row["ratios"].items()]
    rate = row["tokens_per_second"]["ours"]
    return f"{row['shape']}  {row['batch']:15} {row['kind']:9} {rate:7,} tokens/s | × " + "; ".join(parts)


def results_table(results: dict[str, Any]) -> str:
    names = ["torch", "PyTorchLSTM", "thinc LSTM", "products", "one_product", "ours, no window"]
    rows = [
        [
            f"{row['shape']}, {row['batch']}, {row['kind']}",
            f"{row['tokens_per_second']['ours']:,}",
            *(str(row["ratios"].get(name, "")) for name in names),
        ]
        for row in results["rows"]
    ]
    return table(["layer, batch, pass", "tokens/s", *(f"× {name.removeprefix('ours, ')}" for name in names)], rows)


def run(args: argparse.Namespace) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure on the CPU.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        tuple[dict[str, Any], list[dict[str, Any]]]: What it was measured with, and the rows of the table.
    """
    import torch

    torch.set_num_threads(int(THREADS))
    rows = measure(args)
    import thinc

    about = {
        "lengths": "CoNLL-2003" if DATA else "stored quantiles",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "thinc": thinc.__version__,
        "torch": torch.__version__,
        "threads": int(THREADS),
        "clock": "process time" if THREADS == "1" else "wall time",
    }
    return about, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=9, help="runs of each contestant in each line, at least")
    parser.add_argument("--seconds", type=float, default=6.0, help="time of each line, at least")
    parser.add_argument("--quick", action="store_true", help="measure 128 → 2×100 only, and write nothing")
    parser.add_argument("--only-ours", action="store_true", help="only ours, torch and the products; write nothing")
    parser.add_argument("--gpu", action="store_true", help="compare with cuDNN on a GPU")
    parser.add_argument("--trial", action="store_true", help="with --gpu: run on the CPU, and write nothing")
    parser.add_argument("--report", action="store_true", help="write the table from the stored results")
    args = parser.parse_args()
    if args.trial and not args.gpu:
        parser.error("--trial is for --gpu")
    name, to_table = ("layers_gpu", layers_gpu.results_table) if args.gpu else ("layers", results_table)
    if args.report:
        report(name, to_table)
        return
    if args.gpu:
        shapes = SHAPES[: 1 if args.quick else 2]
        about, rows = layers_gpu.run(batches(args.quick), shapes, args.repetitions, args.seconds, args.trial)
    else:
        about, rows = run(args)
    if not (args.quick or args.only_ours or args.trial):
        store(name, about, rows)
        report(name, to_table)


if __name__ == "__main__":
    main()
