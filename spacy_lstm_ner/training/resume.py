"""Resuming a run of training: which checkpoint to take, and whether it belongs to the same run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Dict, List, Optional

from spacy.training.loop import DIR_MODEL_BEST, DIR_MODEL_LAST
from spacy.util import load_model
from thinc.api import Config, Optimizer

from ..files import flat, restore
from .checkpoints import check_checkpoint, list_checkpoints, read_progress, unpack_optimizer

DIR_CHECKPOINTS = "checkpoints"

_MAY_CHANGE = (
    "paths.",
    "initialize.",
    "training.max_steps",
    "training.patience",
    "training.logger",
    "training.optimizer.learn_rate.total_steps",
)
"""Settings that a resumed run may change. The paths of corpora may change too, since their content is compared. With
more steps in total, the learning rate rises again."""


class Resumption:
    """A checkpoint to resume from.

    Attributes:
        path (Path): The folder of the checkpoint.
        progress (Dict[str, Any]): The record of the training so far, see `read_progress`.
        nlp (Language): The pipeline of the checkpoint, with the changes of the new config.
    """

    def __init__(self, path: Path, config: Config) -> None:
        """Load a checkpoint.

        Args:
            path (Path): The folder of the checkpoint.
            config (Config): The config of the resumed run.

        Raises:
            ValueError: If the checkpoint is damaged, or settings differ that must not change.
        """
        check_checkpoint(path)
        self.path, self.progress = path, read_progress(path)
        _compare_configs(Config().from_disk(path / "config.cfg"), config, path)
        self.nlp = load_model(path / "pipeline")
        for name in ("paths", "corpora", "training"):
            _adopt(self.nlp.config[name], config.get(name, {}))

    def restore_optimizer(self, optimizer: Optimizer) -> List[str]:
        """Give the optimizer the moments, averages and counts of the checkpoint.

        Args:
            optimizer (Optimizer): The optimizer.

        Returns:
            List[str]: The names of the parameters that have a gradient, for `allocate_gradients`.

        Raises:
            ValueError: If the optimizer's memory does not fit the pipeline.
        """
        return unpack_optimizer((self.path / "optimizer.msgpack").read_bytes(), self.nlp, optimizer)


def find_resumption(output: Path, config: Config, warn: Callable[[str], None]) -> Optional[Resumption]:
    """Load the last undamaged checkpoint of a run.

    Args:
        output (Path): The output folder of the run.
        config (Config): The config of the resumed run.
        warn (Callable[[str], None]): Called with a message for each damaged checkpoint.

    Returns:
        Optional[Resumption]: The checkpoint; None if the run has none.

    Raises:
        ValueError: If all checkpoints are damaged, or settings differ that must not change.
    """
    paths = list_checkpoints(output / DIR_CHECKPOINTS)
    for path in paths:
        try:
            check_checkpoint(path)
        except ValueError as error:
            warn(f"{error}. Trying the previous one")
            continue
        return Resumption(path, config)
    if paths:
        raise ValueError(f"{output / DIR_CHECKPOINTS}: all checkpoints are damaged; remove the folder to start again")
    return None


def restore_output(output: Path) -> None:
    """Restore the pipelines in an output folder if a run was killed while it replaced them.

    Args:
        output (Path): The output folder of the run.
    """
    for name in (DIR_MODEL_BEST, DIR_MODEL_LAST):
        restore(output / name)


def _compare_configs(old: Config, new: Config, path: Path) -> None:
    """Raise ValueError if settings differ that must not change."""
    before, after = flat(old.interpolate()), flat(new.interpolate())
    changed = [
        name
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
        and not name.startswith(_MAY_CHANGE)
        and not (name.startswith("corpora.") and name.endswith((".path", ".silver", ".gold")))
    ]
    if changed:
        name = changed[0]
        raise ValueError(
            f"{path}: training was started with another config: {', '.join(changed[:5])} differ ({name} was "
            f"{before.get(name)}, and is {after.get(name)}). Resume with the same config, or start again in another "
            "folder"
        )


def _adopt(old: Dict[str, Any], new: Dict[str, Any]) -> None:
    """Change the settings that differ in a new config, and keep the others in their order."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            _adopt(old[key], value)
        elif key not in old or old[key] != value:
            old[key] = value
