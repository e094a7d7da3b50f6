"""spaCy's training loop with checkpoints: a run that is interrupted and resumed gives what one run would have given.

The loop itself is spaCy's. To go on, it is led through the steps that are done with empty batches and the scores they
got, so that schedules, patience and the records of results come out as they were; then weights, moments and random
numbers are what the checkpoint has. The data are read with random numbers of their own, so that the same batches come
whatever the model draws.
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
from .resume import DIR_CHECKPOINTS, Resumption


class Batches:
    """Batches for spaCy's loop. The first ones, which a checkpoint has behind it, come empty.

    count: batches given. fingerprint: SHA-256 of what they contained.
    """

    def __init__(self, batches: Iterator[Tuple[int, List[Example]]], done: int, expected: str, state: State) -> None:
        """batches: from `create_train_batches`. done: so many come empty, and must then have the fingerprint
        `expected`. state: of the random numbers that the data are read with.
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
                    "the training data are not those of the checkpoint: resume with the same corpus, or start anew"
                )
            yield epoch, batch if self.count > self._done else []

    def _next(self) -> Optional[Tuple[int, List[Example]]]:
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
    """Train a pipeline as `spacy train` does, with a checkpoint every so many steps, and at the end.

    nlp: the initialized pipeline, or that of the resumption. output: gets model-best, model-last, and checkpoints.
    config: what the user gave, to be compared when training is resumed. every: steps from checkpoint to checkpoint.
    Raises ValueError if the training data, or settings that end training, do not fit the resumption; and for a pipeline
    whose components rehearse, since the earlier model that they keep to is in no file.
    """
    for name, pipe in nlp.pipeline:
        weight = (getattr(pipe, "cfg", None) or {}).get("rehearse_weight")
        if weight:
            raise ValueError(
                f"'{name}': rehearse_weight is {weight}, but the earlier model that a component keeps to is not in a "
                "checkpoint, so that a resumed run would go another way. Use `spacy train`, or set it to 0"
            )
    run = _Run(nlp, output, config, every, resumption, use_gpu)
    if resumption is None:
        for name in (DIR_MODEL_BEST, DIR_MODEL_LAST):
            remove_folder(output / name)
    with nlp.select_pipes(disable=run.settings["frozen_components"]):
        log_step, finish_log = run.settings["logger"](nlp, stdout, stderr)
    info, is_best = None, None
    try:
        for _, info, is_best in run.steps():
            if run.recall(info, is_best):
                log_step(run.past[info["step"]] if is_best is not None else None)
                continue
            if is_best is not None:
                run.record(info, is_best)
            log_step(info if is_best is not None else None)
            if (info["step"] + 1) % every == 0:
                run.write_checkpoint(info, is_best)
        run.require_recalled()
        if info is not None:
            run.write_checkpoint(info, is_best)
    finally:
        finish_log()
        if run.recalled:
            run.save(is_best=False)


class _Run:
    """The state of a run of training, beside what spaCy's loop keeps to itself."""

    def __init__(
        self,
        nlp: Language,
        output: Path,
        config: Config,
        every: int,
        resumption: Optional[Resumption],
        use_gpu: int,
    ) -> None:
        self.nlp, self.output, self.config, self.every = nlp, output, config, every
        progress = {} if resumption is None else resumption.progress
        whole = nlp.config.interpolate()
        if whole["training"]["seed"] is not None:
            fix_random_seed(whole["training"]["seed"])
        if use_gpu >= 0 and whole["training"]["gpu_allocator"]:
            set_gpu_allocator(whole["training"]["gpu_allocator"])
        if resumption is not None:
            _set_log_aside(whole["training"]["logger"], progress["steps"])
        self.settings: Dict[str, Any] = registry.resolve(whole["training"], schema=ConfigSchemaTraining)
        names = [self.settings["train_corpus"], self.settings["dev_corpus"]]
        train_corpus, self._dev_corpus = resolve_dot_names(whole, names)
        self.optimizer: Optimizer = self.settings["optimizer"]
        self._gradients = [] if resumption is None else resumption.restore_optimizer(self.optimizer)
        self._before_to_disk = create_before_to_disk_callback(self.settings["before_to_disk"])
        self._progress, self._done = progress, progress.get("steps", 0)
        self.past: Dict[int, State] = {row["step"]: row for row in progress.get("evaluations", [])}
        self.recalled = not self._done
        self._data_state = progress.get("data_random") or random_state(frameworks=False)
        self._batches = Batches(
            create_train_batches(nlp, train_corpus, self.settings["batcher"], self.settings["max_epochs"]),
            self._done,
            progress.get("fingerprint", ""),
            self._data_state,
        )
        self._written = self._done

    def steps(self) -> Iterator[Tuple[Any, Dict[str, Any], Optional[bool]]]:
        """spaCy's loop."""
        settings = self.settings
        return train_while_improving(
            self.nlp,
            self.optimizer,
            self._batches,
            self._evaluation(),
            dropout=settings["dropout"],
            accumulate_gradient=settings["accumulate_gradient"],
            patience=settings["patience"],
            max_steps=settings["max_steps"],
            eval_frequency=settings["eval_frequency"],
            exclude=settings["frozen_components"],
            annotating_components=settings["annotating_components"],
            before_update=self._before_update if settings["before_update"] else None,
        )

    def _evaluation(self) -> Callable[[], Tuple[float, Dict[str, float]]]:
        evaluate = create_evaluation_callback(self.nlp, self._dev_corpus, self.settings["score_weights"])

        def evaluate_or_recall() -> Tuple[float, Dict[str, float]]:
            if self._batches.count > self._done:
                return evaluate()
            row = self.past[self._batches.count - 1]
            return row["score"], row["other_scores"]

        return evaluate_or_recall

    def _before_update(self, nlp: Language, args: Dict[str, Any]) -> None:
        if args["step"] >= self._done:
            self.settings["before_update"](nlp, args)

    def recall(self, info: Dict[str, Any], is_best: Optional[bool]) -> bool:
        """Whether a step was done before the checkpoint. After the last one of them, training is where it was."""
        if info["step"] >= self._done:
            info["words"] += self._progress.get("words", 0)
            info["seconds"] += self._progress.get("seconds", 0)
            return False
        if info["step"] == self._done - 1:
            if is_best is None:
                # The loop's own record, which it goes on to add to.
                info["losses"].update(self._progress["losses"])
            allocate_gradients(self.nlp, self._gradients)
            set_random_state(self._progress["random"])
            self.recalled = True
        return True

    def require_recalled(self) -> None:
        """Raise ValueError if training ended before the step of the checkpoint."""
        if not self.recalled:
            raise ValueError(
                f"the checkpoint has {self._done} steps, but by these settings and data training ends earlier; set "
                "max_steps and patience as they were, or larger"
            )

    def record(self, info: Dict[str, Any], is_best: bool) -> None:
        """Keep the results of an evaluation, and save the pipeline."""
        with self.nlp.select_pipes(disable=self.settings["frozen_components"]):
            update_meta(self.settings, self.nlp, info)
        kept = {key: value for key, value in info.items() if key != "checkpoints"}
        self.past[info["step"]] = {**kept, "losses": dict(info["losses"]), "checkpoints": list(info["checkpoints"])}
        self.save(is_best)
        info["output_path"] = str(self.output / DIR_MODEL_LAST)

    def save(self, is_best: bool) -> None:
        """Save the pipeline, with averaged weights, as the last one and perhaps as the best."""
        last, best = self.output / DIR_MODEL_LAST, self.output / DIR_MODEL_BEST
        with self.nlp.use_params(self.optimizer.averages):
            save_pipeline(self._before_to_disk(self.nlp), last)
        if is_best:
            with replaced_folder(best) as new:
                shutil.copytree(last, new, dirs_exist_ok=True)

    def write_checkpoint(self, info: Dict[str, Any], is_best: Optional[bool]) -> None:
        """Write a checkpoint after a step, if there is none of it."""
        steps = info["step"] + 1
        if steps == self._written:
            return
        progress = {
            "steps": steps,
            "words": info["words"],
            "seconds": info["seconds"],
            # After an evaluation the loop starts a new record.
            "losses": dict(info["losses"]) if is_best is None else {},
            "evaluations": [self.past[step] for step in sorted(self.past)],
            "fingerprint": self._batches.fingerprint,
            "data_random": self._data_state,
            "random": random_state(),
        }
        write_checkpoint(self.output / DIR_CHECKPOINTS, self.nlp, self.optimizer, self.config, progress)
        self._written = steps


def _set_log_aside(logger: Dict[str, Any], steps: int) -> None:
    """spaCy's loggers do not write over a file; what is in it comes again when training is led through its steps."""
    name = logger.get("output_file")
    if name and os.path.exists(name):
        os.replace(name, f"{name}.until-{steps}")
