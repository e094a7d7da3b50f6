"""Training and prediction on a GPU beside the CPU: time, scores, memory, and whether both find the same.

Usage: python benchmarks/gpu.py [--steps 200] [--transformer FOLDER] [--tokens 1000000] [--output gpu.json] [--trial]

Trains configs/default.cfg for a few steps on the CPU and on the GPU and, with --transformer, also
configs/transformer.cfg. Each pipeline that was trained on the GPU then predicts the dev data on both. In the end, it
predicts one doc of a million tokens on the GPU. The data is CoNLL-2003 if the folder that LSTM_NER_DATA names has it,
else the embedded corpus. --trial takes the CPU in place of the GPU, to try the program out. scripts/gpu_check.sh runs
this and all other checks.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
from spacy.tokens import Doc, DocBin
from thinc.api import require_cpu, require_gpu
from thinc.compat import has_cupy_gpu

import corpora
from campaign.entities import Entity, entities_of
from spacy_lstm_ner.data.corpora import pack_docs
from spacy_lstm_ner.data.reader import read_docs
from spacy_lstm_ner.files import write_atomically
from spacy_lstm_ner.training.review import without_annotation
from training import ROOT, train

EMBEDDED = ROOT / "assets" / "embedded"


def write_data(folder: Path) -> Iterator[Path]:
    """Write the training data and the dev data in spaCy's format."""
    nlp = spacy.blank("en")
    for name, source in (("train", "conll03/eng.train"), ("dev", "conll03/eng.testa")):
        path = folder / f"{name}.spacy"
        path.write_bytes(pack_docs(list(read_docs(corpora.real(source) or EMBEDDED / f"{name}.txt", nlp))))
        yield path


def use(device: str) -> None:
    """Load pipelines and predict on this device from now on."""
    if device == "gpu":
        require_gpu()
    else:
        require_cpu()


def predicted(model: Path, docs: list[Doc], device: str) -> tuple[set[Entity], float]:
    """The entities, and the words per second of the second of two runs."""
    use(device)
    nlp = spacy.load(model)
    for _ in range(2):
        own, start = [without_annotation(nlp, doc) for doc in docs], time.perf_counter()
        found = list(nlp.pipe(own))
        rate = sum(map(len, docs)) / (time.perf_counter() - start)
    return set(entities_of(found)), rate


def compared(config: Path, data: tuple[Path, ...], devices: list[str], folder: Path, **settings: Any) -> dict[str, Any]:
    """Train on each device, then predict on each with the pipeline that the last one trained."""
    found: dict[str, Any] = {}
    for device in devices:
        output = folder / f"{config.stem}-{device}"
        gpu_id = 0 if device == "gpu" else -1
        overrides = {"paths.train": data[0], "paths.dev": data[1], "gpu-id": gpu_id, **settings}
        result = train(config, output, overrides, echo=False)
        found[f"trained on {device}"] = {name: result[name] for name in ("best_dev_f", "seconds_in_all")}
    docs = list(DocBin().from_disk(data[1]).get_docs(spacy.blank("en").vocab))
    entities = []
    for device in devices:
        own, rate = predicted(output / "model-best", docs, device)
        entities.append(own)
        found[f"words per second on {device}"] = round(rate)
    found |= {"entities": len(entities[0]), "entities that differ": len(entities[0] ^ entities[-1])}
    return found


def long_document(model: Path, n_tokens: int, device: str) -> dict[str, Any]:
    """Predict one doc of so many tokens, and measure the memory that CuPy took."""
    use(device)
    if device == "gpu":
        import cupy

        pool = cupy.get_default_memory_pool()
        pool.free_all_blocks()
    nlp = spacy.load(model)
    words = [f"Word{k % 5000}" for k in range(n_tokens)]
    start = time.perf_counter()
    nlp(Doc(nlp.vocab, words))
    found: dict[str, Any] = {"tokens": n_tokens, "seconds": round(time.perf_counter() - start, 2)}
    if device == "gpu":
        found["bytes per token"] = round(pool.total_bytes() / n_tokens)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--transformer", type=Path, help="a folder in the format of Hugging Face")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="length of the long document")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json")
    parser.add_argument("--trial", action="store_true", help="use the CPU in place of the GPU")
    args = parser.parse_args()
    if not (args.trial or has_cupy_gpu):
        parser.error("CuPy finds no GPU, or is not installed; --trial runs this on the CPU")
    devices = ["cpu"] if args.trial else ["cpu", "gpu"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, found = tuple(write_data(folder)), {}
        steps = {"training.max_steps": args.steps, "training.eval_frequency": max(1, args.steps // 4)}
        found["default"] = compared(ROOT / "configs" / "default.cfg", data, devices, folder, **steps)
        print(json.dumps(found["default"]), flush=True)
        if args.transformer:
            extra = steps | {"paths.transformer": args.transformer}
            found["transformer"] = compared(ROOT / "configs" / "transformer.cfg", data, devices, folder, **extra)
        model = folder / f"default-{devices[-1]}" / "model-best"
        found["long document"] = long_document(model, args.tokens, devices[-1])
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.output, json.dumps(found, indent=1).encode())
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
