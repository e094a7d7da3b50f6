"""Checkpoints of training: all that a later process needs to go on as if nothing had happened.

A checkpoint is a folder ``step-N``, for N steps done, that appears when all of it is written.

pipeline/          the pipeline with the weights themselves; `model-last` has their averages
optimizer.msgpack  moments, averages and counts of updates, by component, layer and parameter
progress.json      steps, losses, results of evaluations, states of the random number generators
config.cfg         the config that training was started with
manifest.json      the SHA-256 of every other file
"""

import hashlib
import json
import random
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import srsly
from spacy.language import Language
from thinc.api import Config, Model, Optimizer

from ..files import replaced_folder, restore
from ..pipeline.weights import unpack

KEPT = 2
"""So many checkpoints are kept: were the last one damaged, there is the one before."""


_NAME = re.compile(r"step-(\d+)")
_MOMENTS = ("mom1", "mom2", "averages")
_COUNTS = ("nr_update", "last_seen")
Key = Tuple[int, str]
State = Dict[str, Any]


# Random numbers


def random_state(frameworks: bool = True) -> State:
    """The states of the global random number generators, in what JSON can hold.

    frameworks: PyTorch's too, if it is in use.
    """
    version, numbers, gauss = random.getstate()
    state = np.random.get_state(legacy=False)
    inner = state["state"]
    found: State = {
        "python": [version, list(numbers), gauss],
        "numpy": {**state, "state": {"key": inner["key"].tolist(), "pos": inner["pos"]}},
    }
    if frameworks and "torch" in sys.modules:
        found["torch"] = sys.modules["torch"].get_rng_state().tolist()
    return found


def set_random_state(state: State) -> None:
    """Put the global random number generators into a state that `random_state` gave."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    numpy_state = state["numpy"]
    key = np.array(numpy_state["state"]["key"], dtype="uint32")
    np.random.set_state({**numpy_state, "state": {**numpy_state["state"], "key": key}})
    if "torch" in state:
        torch = import_module("torch")
        torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))


# The optimizer


def pack_optimizer(nlp: Language, optimizer: Optimizer) -> bytes:
    """What an optimizer remembers of the parameters of a pipeline. Schedules are not part of it."""
    names = _names(nlp)
    found: State = {}
    for field in _MOMENTS:
        kept = getattr(optimizer, field) or {}
        found[field] = {names(key): _numpy(array) for key, array in kept.items() if names(key) is not None}
    for field in _COUNTS:
        kept = getattr(optimizer, field)
        found[field] = {names(key): int(count) for key, count in kept.items() if names(key) is not None}
    # A parameter without a gradient is left alone by an update, one with a gradient of zero is not.
    found["gradients"] = [
        names((node.id, name)) for _, _, node in _layers(nlp) for name in node.param_names if node.has_grad(name)
    ]
    return bytes(srsly.msgpack_dumps(found))


def unpack_optimizer(data: bytes, nlp: Language, optimizer: Optimizer) -> List[str]:
    """Give an optimizer what `pack_optimizer` kept. RETURNS: names of the parameters that have a gradient.

    Raises ValueError if it does not fit the pipeline.
    """
    found, keys = unpack(data), _keys(nlp)
    for field in _MOMENTS:
        kept = {}
        for name, array in found[field].items():
            key, parameter = keys(name)
            if parameter is not None and array.size != parameter.size:
                raise ValueError(f"{field} of {name}: expected {parameter.size} numbers, found {array.size}")
            kept[key] = array.copy() if parameter is None else _like(parameter, array)
        if getattr(optimizer, field) is not None:
            getattr(optimizer, field).update(kept)
    for field in _COUNTS:
        getattr(optimizer, field).update({keys(name)[0]: count for name, count in found[field].items()})
    return list(found["gradients"])


def allocate_gradients(nlp: Language, names: List[str]) -> None:
    """Give parameters a gradient of zero, as they have after an update."""
    chosen = set(names)
    name_of = _names(nlp)
    for _, _, node in _layers(nlp):
        for name in node.param_names:
            if name_of((node.id, name)) in chosen:
                node.set_grad(name, node.ops.xp.zeros_like(node.get_param(name)))


def _layers(nlp: Language) -> Iterator[Tuple[str, int, Model[Any, Any]]]:
    """Component, number and layer of all models of a pipeline."""
    for pipe, component in nlp.components:
        model = getattr(component, "model", None)
        if isinstance(model, Model):
            for k, node in enumerate(model.walk()):
                yield pipe, k, node


def _names(nlp: Language) -> Any:
    """key of an optimizer -> name that a process which loads the pipeline can find again, or None."""
    places: Dict[Any, List[Any]] = {}
    for pipe, k, node in _layers(nlp):
        for name in node.param_names:
            places.setdefault((node.id, name), [pipe, k, None])
        for j, shim in enumerate(node.shims):
            places.setdefault(shim.id, [pipe, k, j])

    def name_of(key: Key) -> Optional[str]:
        # What the layers of other frameworks call their parameters, only they know.
        place = places.get(key, places.get(key[0]))
        return None if place is None else json.dumps([*place, key[1]])

    return name_of


def _keys(nlp: Language) -> Any:
    """The way back: name -> key, and the parameter if it is one of Thinc's."""
    nodes = {(pipe, k): node for pipe, k, node in _layers(nlp)}

    def key_of(text: str) -> Tuple[Key, Any]:
        pipe, k, j, name = json.loads(text)
        node = nodes.get((pipe, k))
        if node is None or (name not in node.param_names if j is None else j >= len(node.shims)):
            raise ValueError(f"expected a parameter of the pipeline, found {text}")
        if j is None:
            return (node.id, name), node.get_param(name)
        return (node.shims[j].id, name), None

    return key_of


def _numpy(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else array


def _like(parameter: Any, array: Any) -> Any:
    """A copy of an array where the parameter is."""
    like = np.empty_like if isinstance(parameter, np.ndarray) else sys.modules["cupy"].empty_like
    copy = like(parameter, shape=array.shape, dtype=array.dtype)
    copy[...] = array if isinstance(parameter, np.ndarray) else sys.modules["cupy"].asarray(array)
    return copy


# Folders


def write_checkpoint(folder: Path, nlp: Language, optimizer: Optimizer, config: Config, progress: State) -> Path:
    """Write a checkpoint into a folder of them, and remove all but the last ones there.

    progress: has the number of steps done as "steps"; see `training`.
    RETURNS: the checkpoint.
    """
    path = folder / f"step-{progress['steps']}"
    with replaced_folder(path) as new:
        nlp.to_disk(new / "pipeline")
        (new / "optimizer.msgpack").write_bytes(pack_optimizer(nlp, optimizer))
        (new / "progress.json").write_text(json.dumps(progress, default=_plain), encoding="utf-8")
        config.to_disk(new / "config.cfg")
        (new / "manifest.json").write_text(json.dumps({"sha256": _hashes(new)}, indent=2), encoding="utf-8")
    for older in list_checkpoints(folder)[KEPT:]:
        # The name goes first: while it is being removed it is none.
        gone = older.with_name(f".{older.name}.gone")
        older.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    return path


def list_checkpoints(folder: Path) -> List[Path]:
    """The checkpoints of a folder, the last one first."""
    if not folder.is_dir():
        return []
    for left in list(folder.glob(".step-*")):
        match = re.fullmatch(r"\.(step-\d+)\.(old|gone)", left.name)
        if match and match[2] == "old":
            restore(folder / match[1])
        elif match:
            shutil.rmtree(left, ignore_errors=True)
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: -int(path.name.removeprefix("step-")))


def check_checkpoint(path: Path) -> None:
    """Raise ValueError, naming the file, if a checkpoint is not as it was written."""
    try:
        expected = json.loads((path / "manifest.json").read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected a checkpoint with a manifest.json, found none ({error})") from None
    found = _hashes(path)
    changed = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if changed:
        raise ValueError(f"{path}: {', '.join(changed[:3])} is not as it was written; the checkpoint is damaged")


def read_progress(path: Path) -> State:
    """What a checkpoint says of how far training was."""
    return dict(json.loads((path / "progress.json").read_bytes()))


def _hashes(folder: Path) -> Dict[str, str]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names if name != "manifest.json"}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in a checkpoint: {value!r}")
