"""Checkpoints: everything that another process needs to continue a run of training.

A checkpoint is a folder `step-N`, where N is the number of completed steps. It appears when all of it is written.

pipeline/          The pipeline with the current weights (`model-last` has averaged weights).
optimizer.msgpack  Moments, averages and numbers of updates, by component, layer and parameter.
progress.json      Steps, losses, results of evaluations, and states of the random number generators.
config.cfg         The config that training was started with.
manifest.json      The SHA-256 of every other file.
"""

import hashlib
import json
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
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
"""The number of checkpoints to keep. If the last one is damaged, training resumes from the one before."""

_NAME = re.compile(r"step-(\d+)")
_MOMENTS = ("mom1", "mom2", "averages")
_COUNTS = ("nr_update", "last_seen")
Key = Tuple[int, str]
"""The optimizer's key of a parameter: the ID of its node or shim, and its name."""
State = Dict[str, Any]
"""A record that JSON or MessagePack can hold."""


# Random numbers


def random_state(frameworks: bool = True) -> State:
    """Read the states of the global random number generators of Python and NumPy.

    Args:
        frameworks (bool): Whether to include PyTorch's, if it is loaded.

    Returns:
        State: The states, in a form that JSON can hold.
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
    """Set the states of the global random number generators.

    Args:
        state (State): What `random_state` returned.
    """
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
    """Serialize what an optimizer remembers of the parameters of a pipeline. Schedules are not part of it.

    Args:
        nlp (Language): The pipeline.
        optimizer (Optimizer): The optimizer.

    Returns:
        bytes: Moments, averages and counts, by names that another process can find again.
    """
    names = _names(nlp)
    found: State = {}
    for field in _MOMENTS:
        kept = getattr(optimizer, field) or {}
        found[field] = {names(key): _numpy(array) for key, array in kept.items() if names(key) is not None}
    for field in _COUNTS:
        kept = getattr(optimizer, field)
        found[field] = {names(key): int(count) for key, count in kept.items() if names(key) is not None}
    # An update skips a parameter without a gradient, but not one with a gradient of zero.
    found["gradients"] = [
        names((node.id, name)) for _, _, node in _layers(nlp) for name in node.param_names if node.has_grad(name)
    ]
    return bytes(srsly.msgpack_dumps(found))


def unpack_optimizer(data: bytes, nlp: Language, optimizer: Optimizer) -> List[str]:
    """Give an optimizer what `pack_optimizer` serialized.

    Args:
        data (bytes): The serialized memory.
        nlp (Language): The pipeline.
        optimizer (Optimizer): The optimizer.

    Returns:
        List[str]: The names of the parameters that have a gradient, for `allocate_gradients`.

    Raises:
        ValueError: If the memory does not fit the pipeline.
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
    """Give parameters a gradient of zero, as after an update.

    Args:
        nlp (Language): The pipeline.
        names (List[str]): The parameters, as `unpack_optimizer` returned them.
    """
    chosen = set(names)
    name_of = _names(nlp)
    for _, _, node in _layers(nlp):
        for name in node.param_names:
            if name_of((node.id, name)) in chosen:
                node.set_grad(name, node.ops.xp.zeros_like(node.get_param(name)))


def _layers(nlp: Language) -> Iterator[Tuple[str, int, Model[Any, Any]]]:
    """The layers of all models of a pipeline, each with the name of its component and its number there."""
    for pipe, component in nlp.components:
        model = getattr(component, "model", None)
        if isinstance(model, Model):
            for k, node in enumerate(model.walk()):
                yield pipe, k, node


def _names(nlp: Language) -> Callable[[Key], Optional[str]]:
    """Map a key of the optimizer to a name that another process can find again, or to None."""
    places: Dict[Any, List[Any]] = {}
    for pipe, k, node in _layers(nlp):
        for name in node.param_names:
            places.setdefault((node.id, name), [pipe, k, None])
        for j, shim in enumerate(node.shims):
            places.setdefault(shim.id, [pipe, k, j])

    def name_of(key: Key) -> Optional[str]:
        # A shim wraps a model of another framework, which alone knows its parameters.
        place = places.get(key, places.get(key[0]))
        return None if place is None else json.dumps([*place, key[1]])

    return name_of


def _keys(nlp: Language) -> Callable[[str], Tuple[Key, Any]]:
    """Map such a name to the key of the optimizer, and to the parameter if it is one of Thinc's."""
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
    """Copy an array to the device of a parameter."""
    like = np.empty_like if isinstance(parameter, np.ndarray) else sys.modules["cupy"].empty_like
    copy = like(parameter, shape=array.shape, dtype=array.dtype)
    copy[...] = array if isinstance(parameter, np.ndarray) else sys.modules["cupy"].asarray(array)
    return copy


# Folders


def write_checkpoint(folder: Path, nlp: Language, optimizer: Optimizer, config: Config, progress: State) -> Path:
    """Write a checkpoint, and remove old checkpoints.

    Args:
        folder (Path): The folder of the checkpoints.
        nlp (Language): The pipeline.
        optimizer (Optimizer): The optimizer.
        config (Config): The config that training was started with.
        progress (State): The record of the training so far, with the number of completed steps as "steps".

    Returns:
        Path: The new checkpoint.
    """
    path = folder / f"step-{progress['steps']}"
    with replaced_folder(path) as new:
        nlp.to_disk(new / "pipeline")
        (new / "optimizer.msgpack").write_bytes(pack_optimizer(nlp, optimizer))
        (new / "progress.json").write_text(json.dumps(progress, default=_plain), encoding="utf-8")
        config.to_disk(new / "config.cfg")
        (new / "manifest.json").write_text(json.dumps({"sha256": _hashes(new)}, indent=2), encoding="utf-8")
    for older in list_checkpoints(folder)[KEPT:]:
        # It is renamed first, so that a half-removed folder is not taken for a checkpoint.
        gone = older.with_name(f".{older.name}.gone")
        older.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    return path


def list_checkpoints(folder: Path) -> List[Path]:
    """List checkpoints, and clean up after a run that was killed while it wrote or removed one.

    Args:
        folder (Path): The folder of the checkpoints.

    Returns:
        List[Path]: The checkpoints, the last one first.
    """
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
    """Compare a checkpoint with its manifest.

    Args:
        path (Path): The checkpoint.

    Raises:
        ValueError: If a file is missing, added or changed. The message names it.
    """
    try:
        expected = json.loads((path / "manifest.json").read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected a checkpoint with a manifest.json, found none ({error})") from None
    found = _hashes(path)
    changed = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if changed:
        raise ValueError(f"{path}: {', '.join(changed[:3])} differs from the manifest; the checkpoint is damaged")


def read_progress(path: Path) -> State:
    """Read the record of the training up to a checkpoint.

    Args:
        path (Path): The checkpoint.

    Returns:
        State: Steps, losses, results of evaluations, and states of the random number generators.
    """
    return dict(json.loads((path / "progress.json").read_bytes()))


def _hashes(folder: Path) -> Dict[str, str]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names if name != "manifest.json"}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored in a checkpoint: {value!r}")
