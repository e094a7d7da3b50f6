"""Our LSTM layer on a GPU beside cuDNN, through `torch.nn.LSTM`; called by `python benchmarks/layers.py --gpu`.

Both get a batch that is on the device already, take turns, and are timed by wall time from an idle device to an idle
device; the median counts. PyTorch gets its PackedSequence, made beforehand; ours does its packing on the clock. A
forward is without gradients; training is a forward and a backward, with the gradients of all parameters and the input.
Both compute in float32: PyTorch's use of TF32 is switched off, as it is in CuPy.
"""

import time
from collections.abc import Sequence
from typing import Any

from thinc.api import CupyOps, set_current_ops
from thinc.compat import has_cupy_gpu

from layer_runs import medians, ours, store, torchs, with_target

TARGETS = {("training", "256 documents"): 1.0}


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


def clock() -> float:
    """Wall time, once all that was asked of the device is done."""
    import cupy
    import torch

    cupy.cuda.runtime.deviceSynchronize()
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(
    batches: dict[str, list[int]], shapes: Sequence[tuple[int, int]], repetitions: int, seconds: float
) -> list[dict[str, Any]]:
    rows = []
    for width, H in shapes:
        for name, lengths in batches.items():
            runs = {"ours": ours(lengths, width, H), "cuDNN": torchs(lengths, width, H, "cuda")}
            for kind in ("forward", "training"):
                # The first runs compile and allocate.
                found = medians(runs, kind, repetitions, seconds, clock, warm_up=3)
                row = {"shape": f"{width} → 2×{H}", "batch": name, "kind": kind, "tokens": sum(lengths)}
                row |= {"steps": max(lengths), "milliseconds": {who: 1000 * value for who, value in found.items()}}
                row |= {"ratio": round(found["cuDNN"] / found["ours"], 2), "target": TARGETS.get((kind, name))}
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    rate = row["tokens"] / row["milliseconds"]["ours"] * 1000
    ratio = with_target(row["ratio"], row["target"])
    return f"{row['shape']}  {row['batch']:15} {row['kind']:9} {rate:11,.0f} tokens/s | × cuDNN {ratio}"


def table(rows: list[dict[str, Any]], device: str) -> str:
    lines = [f"Measured on {device}.", "", "| | steps | tokens/s | × cuDNN |", "|---|---:|---:|---:|"]
    for row in rows:
        rate = row["tokens"] / row["milliseconds"]["ours"] * 1000
        target = f" (≥ {row['target']})" if row["target"] else ""
        label = f"{row['shape']}, {row['batch']}, {row['kind']}"
        lines.append(f"| {label} | {row['steps']} | {rate:,.0f} | {row['ratio']}{target} |")
    return "\n".join(lines)


def run(
    batches: dict[str, list[int]],
    shapes: Sequence[tuple[int, int]],
    repetitions: int,
    seconds: float,
    write: bool,
) -> None:
    """Measure, print, and if `write`, store the figures where `layer_runs.store` puts them."""
    torch = require_gpu()
    import cupy

    device = torch.cuda.get_device_name(0)
    print(device)
    set_current_ops(CupyOps())
    rows = measure(batches, shapes, repetitions, seconds)
    if not write:
        return
    about = {
        "device": device,
        "cupy": cupy.__version__,
        "cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
    }
    store("layers_gpu", about, rows, table(rows, device))
