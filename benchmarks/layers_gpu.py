"""Speed of our LSTM layer on a GPU beside cuDNN, through `torch.nn.LSTM`. Run `python benchmarks/layers.py --gpu`.

All get a batch that is on the GPU already. They take turns, and medians of wall time count, from an idle GPU to an
idle GPU. PyTorch gets its PackedSequence before the clock starts; ours packs on the clock. Documents have windows
of 50 tokens, and are run without windows too. A forward pass is without gradients. Training is a forward and a
backward pass with the gradients of all parameters and of the input. All compute in float32: PyTorch's use of TF32 is
switched off, as it is in CuPy.

The share of the peak is the number of multiplications and additions that the layer needs without windows, divided by
those of a large float32 product in the same time. The backward pass needs twice those of the forward pass.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from thinc.api import CupyOps, PyTorchLSTM, get_current_ops, set_current_ops
from thinc.compat import has_cupy_gpu

from documents import table
from layer_runs import WINDOW, medians, ours, random, thincs, torchs


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
    """Wall time when the GPU, if there is one, has finished its work."""
    if has_cupy_gpu:
        import cupy
        import torch

        cupy.cuda.runtime.deviceSynchronize()
        torch.cuda.synchronize()
    return time.perf_counter()


def peak(size: int) -> float:
    """Operations per second of a product of square float32 matrices of this size: the median of five."""
    xp = get_current_ops().xp
    A, B = (xp.asarray(random(size, size)) for _ in range(2))
    out, times = xp.empty_like(A), []
    for _ in range(6):
        start = clock()
        xp.matmul(A, B, out=out)
        times.append(clock() - start)
    return 2 * size**3 / float(np.median(times[1:]))


def measure(
    batches: dict[str, list[int]],
    shapes: Sequence[tuple[int, int]],
    repetitions: int,
    seconds: float,
    device: str,
    best: float,
) -> list[dict[str, Any]]:
    rows = []
    for width, H in shapes:
        for name, lengths in batches.items():
            runs = {"ours": ours(lengths, width, H, **(WINDOW if "document" in name else {}))}
            if "document" in name:
                runs["ours, no window"] = ours(lengths, width, H)
            runs["cuDNN"] = torchs(lengths, width, H, device)
            runs["PyTorchLSTM"] = thincs(PyTorchLSTM, lengths, width, H)
            for kind, passes in (("forward", 1), ("training", 3)):
                # The first runs compile and allocate.
                found = medians(runs, kind, repetitions, seconds, clock, warm_up=3)
                operations = passes * 2 * 2 * sum(lengths) * (width + H) * 4 * H
                row = {"shape": f"{width} → 2×{H}", "batch": name, "kind": kind, "tokens": sum(lengths)}
                row |= {"steps": max(lengths), "milliseconds": {who: 1000 * value for who, value in found.items()}}
                row["ratios"] = {who: round(found[who] / found["ours"], 2) for who in found if who != "ours"}
                row["share_of_peak"] = round(operations / found["ours"] / best, 4)
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    rate = row["tokens"] / row["milliseconds"]["ours"] * 1000
    ratios = "; ".join(f"{who} {ratio}" for who, ratio in row["ratios"].items())
    return f"{row['shape']}  {row['batch']:15} {row['kind']:9} {rate:11,.0f} tokens/s | × {ratios}"


def results_table(results: dict[str, Any]) -> str:
    names = ("cuDNN", "PyTorchLSTM", "ours, no window")
    rows = [
        [
            f"{row['shape']}, {row['batch']}, {row['kind']}",
            f"{row['tokens'] / row['milliseconds']['ours'] * 1000:,.0f}",
            *(str(row["ratios"].get(name, "")) for name in names),
            f"{row['share_of_peak']:.1%}",
        ]
        for row in results["rows"]
    ]
    header = ["layer, batch, pass", "tokens/s", *(f"× {name.removeprefix('ours, ')}" for name in names), "of the peak"]
    return f"Measured on {results['device']}.\n\n" + table(header, rows)


def run(
    batches: dict[str, list[int]],
    shapes: Sequence[tuple[int, int]],
    repetitions: int,
    seconds: float,
    is_trial: bool = False,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure on the GPU.

    Args:
        batches (dict[str, list[int]]): Lengths of the sequences of each batch, by its name.
        shapes (Sequence[tuple[int, int]]): Width of the input and of each direction.
        repetitions (int): See `layer_runs.medians`.
        seconds (float): See `layer_runs.medians`.
        is_trial (bool): Measure on the CPU, to try the benchmark out.

    Returns:
        tuple[dict[str, Any], list[dict[str, Any]]]: What it was measured with, and the rows of the table.
    """
    if is_trial:
        return {"device": "the CPU"}, measure(batches, shapes, repetitions, seconds, "cpu", peak(512))
    torch = require_gpu()
    import cupy

    set_current_ops(CupyOps())
    best = peak(8192)
    about = {
        "device": torch.cuda.get_device_name(0),
        "peak": best,
        "cupy": cupy.__version__,
        "cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
    }
    print(about)
    return about, measure(batches, shapes, repetitions, seconds, "cuda", best)
