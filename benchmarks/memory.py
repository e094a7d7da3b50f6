"""How far back does each recurrent cell remember? The vanishing gradient, measured.

Usage: python benchmarks/memory.py [--updates 600] [--cells rnn rnn_identity gru lstm] [--report]

The task: a sequence starts with a cue, goes on with 5, 20, 50 or 100 random other symbols, and the label at the last
token is the cue. There are two ways to train:

mixed   16 cues, and batches that mix the distances. What a model learns over short distances helps over long ones.
alone   2 cues, and a model for each distance that sees no other: the gradient has to come all the way.

For each cell this measures the accuracy on new sequences. Before training it measures the norm of the loss's gradient
with respect to the cue's input vector, as a share of the norm with respect to the last token's. `mixed` runs with and
without residual (skip) connections around the two layers, and with and without clipping the gradient to a norm of 1.
`alone` runs without skips and with clipping.

Writes benchmarks/results/memory.json, docs/images/memory.svg and the table in docs/layers.md. --report only writes
table and figure from the stored results. The figure needs matplotlib (extra `benchmark`).
"""

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import Adam, Linear, Model, fix_random_seed

import figures
from documents import fill, table
from spacy_lstm_ner.layers.rnn.stack import GRU, LSTM, RNN

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "memory.json"
DISTANCES = (5, 20, 50, 100)
CELLS = {
    "rnn": ("tanh RNN", RNN, {}),
    "rnn_identity": ("identity RNN", RNN, {"identity": True}),
    "gru": ("GRU", GRU, {}),
    "lstm": ("LSTM", LSTM, {}),
}
WIDTH, BATCH, LEARN_RATE = 32, 32, 0.003
CUES, OTHERS = {"mixed": 16, "alone": 2}, 8


def draw(rng: np.random.Generator, distances: np.ndarray, vectors: np.ndarray) -> tuple[list[Any], Any]:
    """The input vectors and the cue of one sequence for each distance. The last `vectors` are the other symbols."""
    n_cues = len(vectors) - OTHERS
    cues = rng.integers(0, n_cues, size=len(distances))
    sequences = []
    for cue, distance in zip(cues, distances, strict=True):
        sequences.append(vectors[np.concatenate([[cue], rng.integers(n_cues, len(vectors), size=distance)])])
    return sequences, cues


def run(encoder: Model[Any, Any], output: Model[Any, Any], Xs: list[Any], cues: Any) -> tuple[Any, Any]:
    """Log-probability of each cue, and a callback that returns the mean cross-entropy's gradients of the inputs."""
    Ys, back_encoder = encoder.begin_update(Xs)
    scores, back_output = output.begin_update(np.stack([Y[-1] for Y in Ys]))
    scores = scores - scores.max(axis=1, keepdims=True)
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(cues))

    def backprop() -> list[Any]:
        d_scores = np.exp(log_probabilities)
        d_scores[rows, cues] -= 1
        d_last = back_output(d_scores / len(cues))
        dYs = [np.zeros_like(Y) for Y in Ys]
        for dY, row in zip(dYs, d_last, strict=True):
            dY[-1] = row
        return back_encoder(dYs)

    return log_probabilities[rows, cues], backprop


def gradient_share(encoder: Model[Any, Any], output: Model[Any, Any], distance: int, vectors: np.ndarray) -> float:
    """Norm of the gradient at the cue over that at the last token: the median of 64 sequences."""
    _, backprop = run(encoder, output, *draw(np.random.default_rng(7), np.full(64, distance), vectors))
    norms = [(np.linalg.norm(dX[0]), np.linalg.norm(dX[-1])) for dX in backprop()]
    for model in (encoder, output):
        for node in model.walk():
            for name in node.grad_names:
                node.set_grad(name, np.zeros_like(node.get_grad(name)))
    return float(np.median([first / max(last, 1e-30) for first, last in norms]))


def accuracy(encoder: Model[Any, Any], output: Model[Any, Any], distance: int, vectors: np.ndarray, n: int) -> float:
    Xs, cues = draw(np.random.default_rng(11), np.full(n, distance), vectors)
    scores = output.predict(np.stack([Y[-1] for Y in encoder.predict(Xs)]))
    return float((scores.argmax(axis=1) == cues).mean())


def train(
    way: str, cell: str, skip: bool, clip: bool, distances: tuple[int, ...], args: argparse.Namespace
) -> dict[str, Any]:
    """Train one model on `distances` until it gets all of 100 new sequences of each right, and measure it."""
    fix_random_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    _, builder, settings = CELLS[cell]
    encoder = builder(WIDTH, WIDTH, bi=False, depth=2, residual=skip, **settings)
    output = Linear(CUES[way], WIDTH)
    encoder.initialize()
    output.initialize()
    vectors = rng.normal(scale=0.5, size=(CUES[way] + OTHERS, WIDTH)).astype("float32")
    optimizer = Adam(LEARN_RATE, grad_clip=1.0 if clip else 0.0)
    before = [gradient_share(encoder, output, distance, vectors) for distance in distances]
    start = time.perf_counter()
    needed = None
    for update in range(1, args.updates + 1):
        _, backprop = run(encoder, output, *draw(rng, rng.choice(distances, size=BATCH), vectors))
        backprop()
        encoder.finish_update(optimizer)
        output.finish_update(optimizer)
        if update % 50 == 0 and all(accuracy(encoder, output, d, vectors, 100) == 1.0 for d in distances):
            needed = update
            break
    return {
        "accuracy": [accuracy(encoder, output, distance, vectors, 500) for distance in distances],
        "gradient_before": before,
        "gradient_after": [gradient_share(encoder, output, distance, vectors) for distance in distances],
        "updates": needed,
        "seconds": round(time.perf_counter() - start, 1),
    }


def experiment(way: str, cell: str, skip: bool, clip: bool, args: argparse.Namespace) -> dict[str, Any]:
    about = {"way": way, "cell": cell, "skip": skip, "clip": clip, "seed": args.seed}
    if way == "mixed":
        return {**about, **train(way, cell, skip, clip, DISTANCES, args)}
    results = [train(way, cell, skip, clip, (distance,), args) for distance in DISTANCES]
    joined: dict[str, Any] = {"updates": [result["updates"] for result in results]}
    for name in ("accuracy", "gradient_before", "gradient_after"):
        joined[name] = [result[name][0] for result in results]
    return {**about, **joined, "seconds": round(sum(result["seconds"] for result in results), 1)}


def results_table(results: dict[str, Any]) -> str:
    header = ["training", "cell", "skip", "clip"]
    header += [f"{name} {distance}" for name in ("accuracy", "gradient") for distance in DISTANCES]
    rows = []
    for row in results["rows"]:
        needed = row["updates"] if isinstance(row["updates"], list) else [row["updates"]]
        rows.append(
            [
                *(row["way"], CELLS[row["cell"]][0], *("yes" if row[name] else "no" for name in ("skip", "clip"))),
                *(f"{value:.2f}" for value in row["accuracy"]),
                *(f"{value:.0e}" for value in row["gradient_before"]),
                ", ".join(str(number or f"> {results['updates']}") for number in needed),
            ]
        )
    return table([*header, "updates"], rows, 4)


def draw_figure(results: dict[str, Any]) -> None:
    plots, axes = figures.pyplot().subplots(3, 1, figsize=(6.0, 10.5))
    colors = dict(zip(CELLS, (figures.RED, figures.ORANGE, figures.BLUE, figures.GREEN), strict=True))
    for row in results["rows"]:
        if not row["clip"]:
            continue
        style = {"color": colors[row["cell"]], "linestyle": "--" if row["skip"] else "-", "marker": "o"}
        label = CELLS[row["cell"]][0] + (", skip" if row["skip"] else "")
        if row["way"] == "mixed":
            axes[0].plot(DISTANCES, np.maximum(row["gradient_before"], 1e-30), label=label, **style)
        axes[1 if row["way"] == "mixed" else 2].plot(DISTANCES, row["accuracy"], **style)
    axes[0].set(yscale="log", ylabel="gradient at the cue ÷ at the last token", title="Before training")
    axes[1].set(ylabel="accuracy", ylim=(0, 1.05), title="Trained on all distances, 16 cues")
    axes[2].set(ylabel="accuracy", ylim=(0, 1.05), title="Trained on each distance alone, 2 cues")
    for axis in axes:
        axis.set_xlabel("tokens since the cue")
    axes[0].legend(frameon=False, ncols=2)
    figures.save(plots, ROOT / "docs" / "images" / "memory.svg")


def measure(args: argparse.Namespace) -> None:
    """Run all experiments and write the file of results."""
    settings = [("mixed", cell, skip, clip) for cell, skip, clip in product(args.cells, [False, True], [False, True])]
    settings += [("alone", cell, False, True) for cell in args.cells]
    rows = []
    for way, cell, skip, clip in settings:
        rows.append(experiment(way, cell, skip, clip, args))
        print(json.dumps(rows[-1]), flush=True)
    about = {"updates": args.updates, "width": WIDTH, "batch": BATCH, "distances": DISTANCES, "cues": CUES}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=600, help="updates of a training, at most")
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", action="store_true", help="write table and figure from the stored results")
    args = parser.parse_args()
    if not args.report:
        measure(args)
    results = json.loads(RESULTS.read_text("utf8"))
    fill(ROOT / "docs" / "layers.md", "memory", results_table(results))
    draw_figure(results)


if __name__ == "__main__":
    main()
