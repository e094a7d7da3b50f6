"""Our LSTM layer on a GPU beside cuDNN, through `torch.nn.LSTM`; called by `python benchmarks/layers.py --gpu`.

Both get a batch that is on the device already, take turns, and are timed by wall time from an idle device to an idle
device; the median counts. PyTorch gets its PackedSequence, made beforehand; ours does its packing on the clock. A
forward is without gradients; training is a forward and a backward, with the gradients of all parameters and the input.
Both compute in float32: PyTorch's use of TF32 is switched off, as it is in CuPy.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import CupyOps, Ragged, set_current_ops
from thinc.compat import has_cupy_gpu

from spacy_lstm_ner.layers.recurrent import LSTM

TARGETS = {("training", "256 documents"): 1.0}
MARKERS = ("<!-- layers gpu: start -->", "<!-- layers gpu: end -->")

Runs = dict[str, Callable[[], Any]]


def require_gpu() -> Any:
    """PyTorch, if it and CuPy both see a GPU. Exits with what is missing."""
    if not has_cupy_gpu:
        raise SystemExit("layers.py --gpu: CuPy finds no GPU (or is not installed: pip install '.[cuda12x]')")
    try:
        import torch
    except ImportError:
        raise SystemExit("layers.py --gpu: PyTorch is not installed (pip install '.[benchmark]')") from None
    if not torch.cuda.is_available():
        raise SystemExit("layers.py --gpu: this PyTorch finds no GPU; install one that was built for CUDA")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch


def ours(lengths: list[int], X: Any, dY: Any, H: int) -> Runs:
    ops = CupyOps()
    set_current_ops(ops)
    model = LSTM(2 * H, X.shape[1])
    model.initialize()
    batch = Ragged(ops.asarray(X), ops.asarray1i(lengths))
    gradient = Ragged(ops.asarray(dY), batch.lengths)

    def train() -> None:
        _, backprop = model.begin_update(batch)
        backprop(gradient)

    return {"forward": lambda: model.predict(batch), "training": train}


def cudnn(torch: Any, lengths: list[int], X: Any, dY: Any, H: int) -> Runs:
    model = torch.nn.LSTM(X.shape[1], H, bidirectional=True).cuda()
    rows = torch.split(torch.from_numpy(X).cuda(), lengths)
    packed = torch.nn.utils.rnn.pack_sequence(list(rows), enforce_sorted=False)
    data, gradient = packed.data.clone().requires_grad_(), torch.from_numpy(dY).cuda()

    def inputs(data: Any) -> Any:
        return torch.nn.utils.rnn.PackedSequence(data, packed.batch_sizes, packed.sorted_indices)

    def forward() -> None:
        with torch.no_grad():
            model(inputs(packed.data))

    def train() -> None:
        model.zero_grad(set_to_none=True)
        data.grad = None
        model(inputs(data))[0].data.backward(gradient)

    return {"forward": forward, "training": train}


def synchronize(torch: Any) -> None:
    import cupy

    cupy.cuda.runtime.deviceSynchronize()
    torch.cuda.synchronize()


def medians(torch: Any, runs: dict[str, Runs], kind: str, repetitions: int, seconds: float) -> dict[str, float]:
    """Median seconds of each contestant, who take turns. The first runs, which compile and allocate, do not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(3):
            run[kind]()
    synchronize(torch)
    spent = 0.0
    while len(next(iter(times.values()))) < repetitions or spent < seconds:
        for name, run in runs.items():
            start = time.perf_counter()
            run[kind]()
            synchronize(torch)
            times[name].append(time.perf_counter() - start)
            spent += times[name][-1]
        if spent > 10 * seconds:
            break
    return {name: float(np.median(values)) for name, values in times.items()}


def measure(
    torch: Any, batches: dict[str, list[int]], shapes: Sequence[tuple[int, int]], repetitions: int, seconds: float
) -> list[dict[str, Any]]:
    rows, rng = [], np.random.default_rng(0)
    for width, H in shapes:
        for name, lengths in batches.items():
            X, dY = (rng.normal(size=(sum(lengths), size)).astype("f4") for size in (width, 2 * H))
            runs = {"ours": ours(lengths, X, dY, H), "cuDNN": cudnn(torch, lengths, X, dY, H)}
            for kind in ("forward", "training"):
                found = medians(torch, runs, kind, repetitions, seconds)
                row = {"shape": f"{width} → 2×{H}", "batch": name, "kind": kind, "tokens": sum(lengths)}
                row |= {"steps": max(lengths), "milliseconds": {who: 1000 * value for who, value in found.items()}}
                row |= {"ratio": round(found["cuDNN"] / found["ours"], 2), "target": TARGETS.get((kind, name))}
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    verdict = (
        "" if row["target"] is None else f" (≥ {row['target']}: {'yes' if row['ratio'] >= row['target'] else 'NO'})"
    )
    rate = row["tokens"] / row["milliseconds"]["ours"] * 1000
    return f"{row['shape']}  {row['batch']:15} {row['kind']:9} {rate:11,.0f} tokens/s | × cuDNN {row['ratio']}{verdict}"


def table(rows: list[dict[str, Any]], device: str) -> str:
    lines = [f"Measured on {device}.", "", "| | steps | tokens/s | × cuDNN |", "|---|---:|---:|---:|"]
    for row in rows:
        rate = row["tokens"] / row["milliseconds"]["ours"] * 1000
        target = f" (≥ {row['target']})" if row["target"] else ""
        label = f"{row['shape']}, {row['batch']}, {row['kind']}"
        lines.append(f"| {label} | {row['steps']} | {rate:,.0f} | {row['ratio']}{target} |")
    return "\n".join(lines) + "\n"


def run(
    batches: dict[str, list[int]],
    shapes: Sequence[tuple[int, int]],
    repetitions: int,
    seconds: float,
    results: Path,
    document: Path,
    write: bool,
) -> None:
    """Measure, print, and if `write`, store the figures in `results` and between the markers of `document`."""
    torch = require_gpu()
    import cupy

    device = torch.cuda.get_device_name(0)
    print(device)
    rows = measure(torch, batches, shapes, repetitions, seconds)
    if not write:
        return
    about = {
        "device": device,
        "cupy": cupy.__version__,
        "cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
    }
    results.write_text(json.dumps({**about, "rows": rows}, indent=1, ensure_ascii=False) + "\n")
    before, _, rest = document.read_text("utf8").partition(MARKERS[0])
    _, _, after = rest.partition(MARKERS[1])
    document.write_text(f"{before}{MARKERS[0]}\n{table(rows, device)}{MARKERS[1]}{after}", "utf8")
