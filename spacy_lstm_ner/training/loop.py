"""spaCy's training loop with checkpoints. A run that is interrupted and resumed gives the same as an uninterrupted one.

The loop itself is spaCy's `train_while_improving`. A resumed run replays the steps before the checkpoint: the loop gets
empty batches and the recorded scores, so that its schedules, its patience and its results are as they were. Then the
weights, the optimizer and the random numbers come from the checkpoint. The data is read with random numbers of its own,
so that the batches do not depend on how many random numbers the model draws.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Optional, Tuple

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training import Example
from spacy.training.loop import (
    DIR_MODEL_BEST,
    DIR_MODEL_LAST,
    create_before_to_disk_callback,
    create_evaluation_callback,
    create_train_batches,
    train_while_improving,
    update_meta,
)
from spacy.util import registry, resolve_dot_names
from thinc.api import Config, Optimizer, fix_random_seed, set_gpu_allocator

from ..files import remove_folder, replaced_folder, save_pipeline
from .checkpoints import State, allocate_gradients, random_state, set_random_state, write_checkpoint
from .logger import CURVES, LOG, logger_of_run
from .resume import DIR_CHECKPOINTS, Resumption


class Batches:
    """Batches for spaCy's loop. Those that a checkpoint already covers are empty.

    Attributes:
        count (int): The number of batches so far.
        fingerprint (str): The SHA-256 of the texts and entities in these batches.
    """

    def __init__(self, batches: Iterator[Tuple[int, List[Example]]], done: int, expected: str, state: State) -> None:
        """Wrap batches; none is read yet.

        Args:
            batches (Iterator[Tuple[int, List[Example]]]): Epochs and batches, from spaCy's `create_train_batches`.
            done (int): The number of batches to replace with empty ones.
            expected (str): The fingerprint that these batches must have.
            state (State): The state of the random numbers that the data is read with.
        """
        self._batches, self._done, self._expected, self._state = batches, done, expected, state
        self._hash = hashlib.sha256()
        self.count = 0

    @property
    def fingerprint(self) -> str:
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[Tuple[int, List[Example]]]:
        while (found := self._next()) is not None:
            epoch, batch = found
            for example in batch:
                self._hash.update(example.reference.text.encode("utf-8", "surrogatepass") + b"\xff")
                self._hash.update(example.reference.to_array(["ENT_IOB", "ENT_TYPE"]).tobytes())
            self.count += 1
            if self.count == self._done and self.fingerprint != self._expected:
                raise ValueError(
                    "the training data is not that of the checkpoint: resume with the same corpus, or start again in "
                    "another folder"
                )
            yield epoch, batch if self.count > self._done else []

    def _next(self) -> Optional[Tuple[int, List[Example]]]:
        """Read the next batch with the random numbers of the data."""
        outer = random_state(frameworks=False)
        set_random_state(self._state)
        try:
            found = next(self._batches, None)
            return None if found is None else (found[0], list(found[1]))
        finally:
            self._state = random_state(frameworks=False)
            set_random_state(outer)


def train(
    nlp: Language,
    output: Path,
    config: Config,
    *,
    every: int,
    resumption: Optional[Resumption] = None,
    use_gpu: int = -1,
    stdout: IO[str] = sys.stdout,
    stderr: IO[str] = sys.stderr,
) -> None:
    """Train a pipeline as `spacy train` does, and write checkpoints during training and at its end.

    Where the config has spaCy's console logger, the results of the evaluations and their curves are written too, see
    `logger_of_run`.

    Args:
        nlp (Language): The initialized pipeline, or that of the resumption.
        output (Path): The folder for model-best, model-last, the checkpoints, and the log.
        config (Config): The user's config. It is stored with the checkpoints, to be compared when training is resumed.
        every (int): The number of steps between two checkpoints.
        resumption (Optional[Resumption]): The checkpoint to resume from; None to start from the beginning.
        use_gpu (int): The ID of the GPU; -1 for the CPU.
        stdout (IO[str]): Where the logger prints its table.
        stderr (IO[str]): Where the logger prints its progress.

    Raises:
        ValueError: If the training data, or settings that end training, do not fit the resumption; or if a component
            has a `rehearse_weight`, since checkpoints do not have the teacher that it rehearses with.
    """
    _refuse_rehearsal(nlp)
    run = _Run(nlp, output, config, resumption, use_gpu)
    if resumption is None:
        for name in (DIR_MODEL_BEST, DIR_MODEL_LAST):
            remove_folder(output / name)
        if run.has_own_log:
            for name in (LOG, CURVES):
                (output / name).unlink(missing_ok=True)
    with nlp.select_pipes(disable=run.settings["frozen_components"]):
        log_step, finish_log = run.settings["logger"](nlp, stdout, stderr)
    info, is_best = None, None
    try:
        for _, info, is_best in run.steps():
            log_step(run.finish_step(info, is_best))
            if (info["step"] + 1) % every == 0:
                run.write_checkpoint(info, is_best)
        run.require_replayed()
        if info is not None:
            run.write_checkpoint(info, is_best)
    finally:
        try:
            finish_log()
        finally:  # Even if the curves cannot be drawn.
            if run.is_replayed:
                run.save(is_best=False)


def _refuse_rehearsal(nlp: Language) -> None:
    for name, pipe in nlp.pipeline:
        weight = (getattr(pipe, "cfg", None) or {}).get("rehearse_weight")
        if weight:
            raise ValueError(
                f"'{name}': rehearse_weight is {weight}, but checkpoints do not have the teacher that the component "
                "rehearses with, so a resumed run would differ. Use `spacy train`, or set rehearse_weight to 0"
            )


class _Run:
    """A run of training: spaCy's loop, the replay of steps that a checkpoint covers, and what is saved."""

    def __init__(
        self, nlp: Language, output: Path, config: Config, resumption: Optional[Resumption], use_gpu: int
    ) -> None:
        self.nlp, self.output, self.config = nlp, output, config
        self._progress: State = {} if resumption is None else resumption.progress
        self._done: int = self._progress.get("steps", 0)
        interpolated = nlp.config.interpolate()
        _seed_and_allocate(interpolated["training"], use_gpu)
        # Not in the config of the pipeline, so that it is the one that `spacy train` saves.
        logger = logger_of_run(interpolated["training"]["logger"], output)
        self.has_own_log = logger != interpolated["training"]["logger"]
        interpolated["training"]["logger"] = logger
        if resumption is not None:
            _move_log(logger, self._done)
        self.settings: Dict[str, Any] = registry.resolve(interpolated["training"], schema=ConfigSchemaTraining)
        corpora = [self.settings["train_corpus"], self.settings["dev_corpus"]]
        train_corpus, self._dev_corpus = resolve_dot_names(interpolated, corpora)
        self.optimizer: Optimizer = self.settings["optimizer"]
        self._gradients = [] if resumption is None else resumption.restore_optimizer(self.optimizer)
        self._before_to_disk = create_before_to_disk_callback(self.settings["before_to_disk"])
        self._evaluations: Dict[int, State] = {row["step"]: row for row in self._progress.get("evaluations", [])}
        # The state at the start: a resumed run reads the data from its beginning.
        self._data_state = self._progress.get("data_random") or random_state(frameworks=False)
        self._batches = Batches(
            create_train_batches(nlp, train_corpus, self.settings["batcher"], self.settings["max_epochs"]),
            self._done,
            self._progress.get("fingerprint", ""),
            self._data_state,
        )
        self._written = self._done
        self.is_replayed = not self._done

    def steps(self) -> Iterator[Tuple[Any, Dict[str, Any], Optional[bool]]]:
        """Start spaCy's loop."""
        settings = self.settings
        return train_while_improving(
            self.nlp,
            self.optimizer,
            self._batches,
            self._create_evaluation(),
            dropout=settings["dropout"],
            accumulate_gradient=settings["accumulate_gradient"],
            patience=settings["patience"],
            max_steps=settings["max_steps"],
            eval_frequency=settings["eval_frequency"],
            exclude=settings["frozen_components"],
            annotating_components=settings["annotating_components"],
            before_update=self._before_update if settings["before_update"] else None,
        )

    def _create_evaluation(self) -> Callable[[], Tuple[float, Dict[str, float]]]:
        """Create the callback that evaluates, or gives the recorded scores of a replayed step."""
        evaluate = create_evaluation_callback(self.nlp, self._dev_corpus, self.settings["score_weights"])

        def evaluate_or_replay() -> Tuple[float, Dict[str, float]]:
            if self._batches.count > self._done:
                return evaluate()
            row = self._evaluations[self._batches.count - 1]
            return row["score"], row["other_scores"]

        return evaluate_or_replay

    def _before_update(self, nlp: Language, args: Dict[str, Any]) -> None:
        if args["step"] >= self._done:
            self.settings["before_update"](nlp, args)

    def finish_step(self, info: Dict[str, Any], is_best: Optional[bool]) -> Optional[Dict[str, Any]]:
        """Record a step, or replay it. Gives what to log: the results if the step was evaluated, else None."""
        is_evaluated = is_best is not None
        if info["step"] < self._done:
            if info["step"] == self._done - 1:
                self._restore_state(info, is_evaluated)
            return self._evaluations[info["step"]] if is_evaluated else None
        info["words"] += self._progress.get("words", 0)
        info["seconds"] += self._progress.get("seconds", 0)
        if is_best is None:
            return None
        self._record(info, is_best)
        return info

    def _restore_state(self, info: Dict[str, Any], is_evaluated: bool) -> None:
        """Put training into the state that it had at the checkpoint."""
        if not is_evaluated:
            # The dict is the loop's own, and the loop continues to add to it.
            info["losses"].update(self._progress["losses"])
        allocate_gradients(self.nlp, self._gradients)
        set_random_state(self._progress["random"])
        self.is_replayed = True

    def require_replayed(self) -> None:
        """Raise ValueError if training ended before the step of the checkpoint."""
        if not self.is_replayed:
            raise ValueError(
                f"the checkpoint has {self._done} steps, but with these settings and this data training ends earlier; "
                "set max_steps and patience to their old values, or to larger ones"
            )

    def _record(self, info: Dict[str, Any], is_best: bool) -> None:
        """Keep the results of an evaluation, and save the pipeline."""
        with self.nlp.select_pipes(disable=self.settings["frozen_components"]):
            update_meta(self.settings, self.nlp, info)
        kept = {key: value for key, value in info.items() if key != "checkpoints"}
        row = {**kept, "losses": dict(info["losses"]), "checkpoints": list(info["checkpoints"])}
        self._evaluations[info["step"]] = row
        self.save(is_best)
        info["output_path"] = str(self.output / DIR_MODEL_LAST)

    def save(self, is_best: bool) -> None:
        """Save the pipeline with averaged weights as model-last, and also as model-best if it is the best one."""
        last, best = self.output / DIR_MODEL_LAST, self.output / DIR_MODEL_BEST
        with self.nlp.use_params(self.optimizer.averages):
            save_pipeline(self._before_to_disk(self.nlp), last)
        if is_best:
            with replaced_folder(best) as new:
                shutil.copytree(last, new, dirs_exist_ok=True)

    def write_checkpoint(self, info: Dict[str, Any], is_best: Optional[bool]) -> None:
        """Write a checkpoint after a step, unless a checkpoint covers it already."""
        steps = info["step"] + 1
        if steps <= self._written:
            return
        progress = {
            "steps": steps,
            "words": info["words"],
            "seconds": info["seconds"],
            # After an evaluation, the loop starts with new losses.
            "losses": dict(info["losses"]) if is_best is None else {},
            "evaluations": [self._evaluations[step] for step in sorted(self._evaluations)],
            "fingerprint": self._batches.fingerprint,
            "data_random": self._data_state,
            "random": random_state(),
        }
        write_checkpoint(self.output / DIR_CHECKPOINTS, self.nlp, self.optimizer, self.config, progress)
        self._written = steps


def _seed_and_allocate(training: Dict[str, Any], use_gpu: int) -> None:
    """Seed the random numbers and set the GPU allocator, as `spacy train` does."""
    if training["seed"] is not None:
        fix_random_seed(training["seed"])
    if use_gpu >= 0 and training["gpu_allocator"]:
        set_gpu_allocator(training["gpu_allocator"])


def _move_log(logger: Dict[str, Any], steps: int) -> None:
    """Rename the log file. Loggers refuse to overwrite it, and the replay writes its rows again."""
    for inner in logger.values():
        # A logger that passes all on to several others.
        if isinstance(inner, dict):
            _move_log(inner, steps)
    name = logger.get("output_file")
    if name and os.path.exists(name):
        os.replace(name, f"{name}.until-{steps}")
