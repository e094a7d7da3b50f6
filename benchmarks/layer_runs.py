"""What layers.py and layers_gpu.py share: the contestants both have, how they are timed, and where figures go.

No benchmark by itself.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import numpy as np
from thinc.api import Ragged, get_current_ops

from documents import fill
from spacy_lstm_ner.layers.rnn.stack import LSTM

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "layers.md"

Runs = dict[str, Callable[[], Any]]


def random(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("f4")


def thinc_runs(model: Any, X: Any, dY: Any) -> Runs:
    def train() -> None:
        _, backprop = model.begin_update(X)
        backprop(dY)

    return {"forward": lambda: model.predict(X), "training": train}


def ours(lengths: list[int], width: int, H: int, **settings: Any) -> Runs:
    """Our LSTM on Ragged data, on the device of Thinc's current ops."""
    ops = get_current_ops()
    model = LSTM(2 * H, width, **settings)
    model.initialize()
    X = Ragged(ops.asarray(random(sum(lengths), width)), ops.asarray1i(lengths))
    dY = Ragged(ops.asarray(random(sum(lengths), 2 * H)), X.lengths)
    return thinc_runs(model, X, dY)


def torchs(lengths: list[int], width: int, H: int, device: str = "cpu") -> Runs:
    """PyTorch's LSTM on a PackedSequence that is made beforehand."""
    import torch

    model = torch.nn.LSTM(width, H, bidirectional=True).to(device)
    rows = torch.split(torch.from_numpy(random(sum(lengths), width)).to(device), lengths)
    packed = torch.nn.utils.rnn.pack_sequence(list(rows), enforce_sorted=False)
    data = packed.data.clone().requires_grad_()
    dY = torch.from_numpy(random(sum(lengths), 2 * H)).to(device)

    def inputs(data: Any) -> Any:
        return torch.nn.utils.rnn.PackedSequence(data, packed.batch_sizes, packed.sorted_indices)

    def forward() -> None:
        with torch.no_grad():
            model(inputs(packed.data))

    def train() -> None:
        model.zero_grad(set_to_none=True)
        data.grad = None
        model(inputs(data))[0].data.backward(dY)

    return {"forward": forward, "training": train}


def medians(
    runs: dict[str, Runs], kind: str, repetitions: int, seconds: float, clock: Callable[[], float], warm_up: int = 1
) -> dict[str, float]:
    """Median seconds by `clock` of each contestant, who take turns. The first `warm_up` runs of each do not count."""
    contestants = {name: run[kind] for name, run in runs.items() if kind in run}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        for _ in range(warm_up):
            run()
    spent = 0.0
    while len(next(iter(times.values()))) < repetitions or spent < seconds:
        for name, run in contestants.items():
            start = clock()
            run()
            times[name].append(clock() - start)
            spent += times[name][-1]
        if spent > 10 * seconds:
            break
    return {name: float(np.median(values)) for name, values in times.items()}


def with_target(ratio: float, target: Optional[float]) -> str:
    return f"{ratio}" if target is None else f"{ratio} (≥ {target}: {'yes' if ratio >= target else 'NO'})"


def store(name: str, about: dict[str, Any], rows: list[dict[str, Any]], table: str) -> None:
    """The figures to benchmarks/results/NAME.json, and the table to docs/layers.md."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**about, "rows": rows}, indent=1, ensure_ascii=False) + "\n")
    fill(DOCUMENT, name.replace("_", " "), table)
