"""Speed of our LSTM layer on a GPU beside cuDNN, through `torch.nn.LSTM`. Run `python benchmarks/layers.py --gpu`.

Both get a batch that is on the GPU already. They take turns, and medians of wall time count, from an idle GPU to an
idle GPU. PyTorch gets its PackedSequence before the clock starts; ours packs on the clock. A forward pass is without
gradients. Training is a forward and a backward pass with the gradients of all parameters and of the input. Both compute
in float32: PyTorch's use of TF32 is switched off, as it is in CuPy.
"""

import time
from collections.abc import Sequence
from typing import Any

from thinc.api import CupyOps, set_current_ops
from thinc.compat import has_cupy_gpu

from documents import table
from layer_runs import medians, ours, torchs


def require_gpu() -> Any:
    """PyTorch, if both PyTorch and CuPy find a GPU. Ends the program with a message if not."""
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
    """Wall time when the GPU has finished its work."""
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
                row["ratio"] = round(found["cuDNN"] / found["ours"], 2)
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    rate = row["tokens"] / row["milliseconds"]["ours"] * 1000
    return f"{row['shape']}  {row['batch']:15} {row['kind']:9} {rate:11,.0f} tokens/s | × cuDNN {row['ratio']}"


def results_table(results: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['shape']}, {row['batch']}, {row['kind']}",
            str(row["steps"]),
            f"{row['tokens'] / row['milliseconds']['ours'] * 1000:,.0f}",
            str(row["ratio"]),
        ]
        for row in results["rows"]
    ]
    return f"Measured on {results['device']}.\n\n" + table(["layer, batch, pass", "steps", "tokens/s", "× cuDNN"], rows)


def run(
    batches: dict[str, list[int]], shapes: Sequence[tuple[int, int]], repetitions: int, seconds: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure on the GPU.

    Args:
        batches (dict[str, list[int]]): Lengths of the sequences of each batch, by its name.
        shapes (Sequence[tuple[int, int]]): Width of the input and of each direction.
        repetitions (int): See `layer_runs.medians`.
        seconds (float): See `layer_runs.medians`.

    Returns:
        tuple[dict[str, Any], list[dict[str, Any]]]: What it was measured with, and the rows of the table.
    """
    torch = require_gpu()
    import cupy

    device = torch.cuda.get_device_name(0)
    print(device)
    set_current_ops(CupyOps())
    rows = measure(batches, shapes, repetitions, seconds)
    about = {
        "device": device,
        "cupy": cupy.__version__,
        "cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
    }
    return about, rows
