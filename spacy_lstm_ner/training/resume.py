"""Going on with a run of training: which checkpoint, and whether it is one of the same run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Dict, List, Optional

from spacy.training.loop import DIR_MODEL_BEST, DIR_MODEL_LAST
from spacy.util import load_model
from thinc.api import Config, Optimizer

from ..files import restore
from .checkpoints import check_checkpoint, list_checkpoints, read_progress, unpack_optimizer

DIR_CHECKPOINTS = "checkpoints"


_MAY_CHANGE = ("paths.", "initialize.", "training.max_steps", "training.patience", "training.logger")
"""Settings that a resumed run may have otherwise; so may the paths of corpora, since their content is compared."""


class Resumption:
    """A checkpoint to go on from: its pipeline, and the record of how far training was."""

    def __init__(self, path: Path, config: Config) -> None:
        """Load a checkpoint. config: of the run that goes on.

        Raises ValueError if the checkpoint is damaged or the config says something else than that of the checkpoint.
        """
        check_checkpoint(path)
        self.path, self.progress = path, read_progress(path)
        _compare_configs(Config().from_disk(path / "config.cfg"), config, path)
        self.nlp = load_model(path / "pipeline")
        for name in ("paths", "corpora", "training"):
            _adopt(self.nlp.config[name], config.get(name, {}))

    def restore_optimizer(self, optimizer: Optimizer) -> List[str]:
        """Fill the optimizer. RETURNS: names of the parameters that have a gradient."""
        return unpack_optimizer((self.path / "optimizer.msgpack").read_bytes(), self.nlp, optimizer)


def find_resumption(output: Path, config: Config, warn: Callable[[str], None]) -> Optional[Resumption]:
    """The last checkpoint of a run that is whole; None if there is none at all.

    output: the run's output folder. warn: is told of checkpoints that were damaged.
    Raises ValueError if all of them are damaged, or the config is another.
    """
    paths = list_checkpoints(output / DIR_CHECKPOINTS)
    for path in paths:
        try:
            check_checkpoint(path)
        except ValueError as error:
            warn(f"{error}. Trying the one before")
            continue
        return Resumption(path, config)
    if paths:
        raise ValueError(f"{output / DIR_CHECKPOINTS}: no checkpoint is whole; remove the folder to start anew")
    return None


def restore_output(output: Path) -> None:
    """Undo what a run that was killed left in its output folder."""
    for name in (DIR_MODEL_BEST, DIR_MODEL_LAST):
        restore(output / name)


def _compare_configs(old: Config, new: Config, path: Path) -> None:
    before, after = _flat(old.interpolate()), _flat(new.interpolate())
    changed = [
        name
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
        and not name.startswith(_MAY_CHANGE)
        and not (name.startswith("corpora.") and name.endswith(".path"))
    ]
    if changed:
        name = changed[0]
        raise ValueError(
            f"{path}: training was started with another config: {', '.join(changed[:5])} differ ({name} was "
            f"{before.get(name)}, and is {after.get(name)}). Resume with the same config, or start anew in another "
            "folder"
        )


def _adopt(old: Dict[str, Any], new: Dict[str, Any]) -> None:
    """Change what is otherwise in a new config, and leave the rest in its order."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            _adopt(old[key], value)
        elif key not in old or old[key] != value:
            old[key] = value


def _flat(config: Any, prefix: str = "") -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        found.update(_flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value})
    return found
