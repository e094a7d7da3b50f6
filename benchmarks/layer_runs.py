"""What layers.py and layers_gpu.py share: layers to compare, timing and results. Not a benchmark itself."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import Ragged, get_current_ops

from documents import fill
from spacy_lstm_ner.layers.rnn.stack import LSTM

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "layers.md"

WINDOW = {"window": 50, "context": 10}
"""The windows of documents, where a benchmark has some."""
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


def thincs(builder: Any, lengths: list[int], width: int, H: int) -> Runs:
    """A layer of Thinc on Padded data, which is made before the clock starts."""
    ops = get_current_ops()
    model = builder(2 * H, width, bi=True)
    X = ops.list2padded([ops.asarray(random(n, width)) for n in lengths])
    dY = ops.list2padded([ops.asarray(random(n, 2 * H)) for n in lengths])
    model.initialize(X=X)
    return thinc_runs(model, X, dY)


def torchs(lengths: list[int], width: int, H: int, device: str = "cpu") -> Runs:
    """PyTorch's LSTM on a PackedSequence, which is made before the clock starts."""
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
    """Median seconds of each contestant. They take turns, so that other programs slow all of them alike.

    Args:
        runs (dict[str, Runs]): The contestants.
        kind (str): "forward" or "training". Contestants without it are left out.
        repetitions (int): Runs of each, at least.
        seconds (float): Time of all runs together, at least; and about ten times this at most.
        clock (Callable[[], float]): The clock.
        warm_up (int): First runs of each that do not count.

    Returns:
        dict[str, float]: Seconds by name of the contestant.
    """
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


def store(name: str, about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**about, "rows": rows}, indent=1, ensure_ascii=False) + "\n", "utf8")


def report(name: str, table: Callable[[dict[str, Any]], str]) -> None:
    """Fill the table in docs/layers.md from benchmarks/results/NAME.json. Ends the program if there are no results."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        sys.exit(f"{path}: no results; run the benchmark without --report first")
    fill(DOCUMENT, name.replace("_", " "), table(json.loads(path.read_text("utf8"))))
