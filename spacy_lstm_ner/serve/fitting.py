"""Fit on submit: learn submitted annotations in a thread of its own, while the pipeline of before answers requests.

A submission is first appended to a file. Then the pipeline on the disk is loaded, trained, and replaced in one step.
The new `meta.json` has the number of lines that it has learned. So after a kill at any moment, the pipeline is the old
one or the new one, and the lines that it has not learned are learned at the next start.
"""

import json
import logging
import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Optional

from spacy.training import Example

from ..data.annotated_file import Record
from ..data.span_policy import DEFAULT_POLICY, Problems, make_doc
from ..files import check_output, intact, save_pipeline
from ..pipeline.listeners import listeners
from .label_studio import Submission, read_submission
from .model import LEARNED, Served

logger = logging.getLogger("spacy_lstm_ner.serve")
_BATCH = 8
_MOST_TEXTS, _LONGEST_TEXT = 500, 5000


@dataclass(frozen=True)
class FitSettings:
    """How a pipeline learns submissions.

    Attributes:
        updates (int): The most updates for up to 8 submissions. A fit ends when all of them are predicted right.
        learn_rate (float): The learning rate.
        rehearse_weight (float): The weight of rehearsal, see the component's setting of this name. With 0, other texts
            are not rehearsed either.
    """

    updates: int = 30
    learn_rate: float = 0.0003
    rehearse_weight: float = 1.0


class Stopped(Exception):
    """The server ends before a fit does."""


class Fitter:
    """The submissions in a folder, and the thread that learns them.

    Args:
        model (str): The pipeline to start with, if the folder has none yet.
        folder (Path): The folder with `annotations.jsonl` and the pipeline `model`.
        pipe (Optional[str]): The name of the component; None for the first `lstm_ner`.
        settings (FitSettings): How to learn.
    """

    def __init__(self, model: str, folder: Path, pipe: Optional[str], settings: FitSettings) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._output, self._path = folder / "model", folder / "annotations.jsonl"
        check_output(intact(self._output))
        self._first, self._pipe, self._settings = model, pipe, settings
        self._changed = Condition()
        # Those that a fit failed on become None.
        self._submitted: list[Optional[Submission]] = _read(self._path)
        self._texts: dict[str, None] = {}
        self._learned, self._state, self._stopping = 0, "idle", False
        self._swap: Callable[[Served], None] = lambda served: None
        self._thread = Thread(target=self._run, name="fit", daemon=True)

    def load(self) -> Served:
        """Load the last pipeline that was fitted, or the first one if there is none.

        Raises:
            ValueError: If its component listens to another one, which is not trained here.
        """
        served, is_ours = self._load()
        if listeners(served.component.model):
            name = served.component.name
            raise ValueError(
                f"'{name}' listens to another component, so it cannot learn alone. Give it a copy: "
                f"nlp.replace_listeners('tok2vec', {name!r}, ['model.tok2vec']), and save the pipeline"
            )
        # What the first pipeline has learned is in another folder.
        self._learned = min(int(served.nlp.meta.get(LEARNED, 0)), len(self._submitted)) if is_ours else 0
        return served

    def _load(self) -> tuple[Served, bool]:
        """The pipeline to go on with, and whether it is the one in the folder."""
        place = intact(self._output)
        return Served.load(place if place.exists() else self._first, self._pipe), place.exists()

    def start(self, swap: Callable[[Served], None]) -> None:
        """Start to learn. swap: called with each new pipeline."""
        self._swap = swap
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the current update. What was not learned is learned at the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, submission: Submission) -> None:
        """Keep a submission on the disk, and then learn it."""
        line = json.dumps(submission.task, ensure_ascii=False).encode("utf-8") + b"\n"
        with self._changed:
            with self._path.open("ab", buffering=0) as file:
                end = file.tell()
                try:
                    if file.write(line) < len(line):
                        raise OSError(f"{self._path}: no space left")
                    os.fsync(file.fileno())
                except OSError:
                    # A part of a line would spoil the next one.
                    file.truncate(end)
                    raise
            self._submitted.append(submission)
            self._changed.notify()

    def see(self, texts: Iterable[str]) -> None:
        """Keep the last texts that were predicted. They show what the pipeline must not forget."""
        with self._changed:
            self._texts.update(dict.fromkeys(text for text in texts if len(text) <= _LONGEST_TEXT))
            for text in list(self._texts)[:-_MOST_TEXTS]:
                del self._texts[text]

    def status(self) -> dict[str, Any]:
        """What the thread does, and how many submissions it has learned."""
        with self._changed:
            return {"state": self._state, "submitted": len(self._submitted), "learned": self._learned}

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or len(self._submitted) > self._learned)
                if self._stopping:
                    return
                end = min(len(self._submitted), self._learned + _BATCH)
                submitted, texts, self._state = self._submitted[:end], list(self._texts), "fitting"
            state = "idle"
            try:
                self._swap(self._fit(submitted, texts))
            except Stopped:
                return
            except Exception:
                # Whatever it was, the old pipeline goes on, and these submissions are not tried again before a restart.
                logger.exception("The fit of submissions %d to %d failed", self._learned + 1, end)
                state = "failed"
            with self._changed:
                if state == "failed":
                    self._submitted[self._learned : end] = [None] * (end - self._learned)
                self._learned, self._state = end, state

    def _fit(self, submitted: Sequence[Optional[Submission]], texts: Sequence[str]) -> Served:
        served, _ = self._load()
        # The last annotation of a task wins.
        latest = {one.key: (number, one) for number, one in enumerate(submitted) if one is not None}
        new = annotation(served, [one for number, one in latest.values() if number >= self._learned])
        earlier = annotation(served, [one for number, one in latest.values() if number < self._learned])
        annotated = {one.record.text for _, one in latest.values()}
        others = [text for text in texts if text not in annotated]
        learn(served, new, earlier, others, self._settings, lambda: self._stopping)
        served.nlp.meta[LEARNED] = len(submitted)
        save_pipeline(served.nlp, self._output)
        return Served.load(self._output, self._pipe)


def learn(
    served: Served,
    new: Sequence[Record],
    earlier: Sequence[Record],
    others: Sequence[str],
    settings: FitSettings,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Train a pipeline until it predicts new annotations, without forgetting what it knew.

    Each update has all new annotations, 8 earlier ones by chance, and rehearsal on these and on 8 other texts. More
    updates than necessary, or a higher rate, would make it forget more.

    Args:
        served (Served): The pipeline. Its component is changed.
        new (Sequence[Record]): The new texts with their entities.
        earlier (Sequence[Record]): Those of before.
        others (Sequence[str]): Texts without annotation.
        settings (FitSettings): How to learn.
        stopping (Callable[[], bool]): Whether to stop.

    Raises:
        Stopped: If it was to stop.
        ValueError: If the component cannot learn them.
    """
    component, chance = served.component, random.Random(len(earlier))
    examples = _examples(served, new)
    own = component.cfg["rehearse_weight"]
    component.cfg["rehearse_weight"] = settings.rehearse_weight
    optimizer = served.nlp.resume_training()
    optimizer.learn_rate = settings.learn_rate
    for _ in range(settings.updates):
        if stopping():
            raise Stopped
        if _are_right(served, new):
            break
        old = _examples(served, chance.sample(earlier, min(_BATCH, len(earlier))))
        component.update([*examples, *old], drop=0.1)
        if settings.rehearse_weight:
            docs = served.before(chance.sample(others, min(_BATCH, len(others))))
            component.rehearse([Example(doc, doc) for doc in docs])
        component.finish_update(optimizer)
    component.cfg["rehearse_weight"] = own


def annotation(served: Served, submitted: Sequence[Submission]) -> list[Record]:
    """What submissions say. Nothing, where the pipeline finds an entity with a label that the project does not have."""
    records = []
    for one, found in zip(submitted, served.records([one.record.text for one in submitted]), strict=True):
        foreign = [
            (span.start, span.end)
            for span in found.spans
            if one.labels
            and span.label not in one.labels
            and all(span.end <= own.start or own.end <= span.start for own in one.record.spans)
        ]
        records.append(replace(one.record, missing=foreign))
    return records


def _are_right(served: Served, records: Sequence[Record]) -> bool:
    """Whether the pipeline predicts the entities of some texts, as far as tokens can be these entities."""
    for found, record in zip(served.records([record.text for record in records]), records, strict=True):
        doc = make_doc(served.nlp, record, DEFAULT_POLICY, Problems())
        gold = {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
        for start, end, _ in gold.symmetric_difference(span[:3] for span in found.spans):
            span = doc.char_span(start, end, alignment_mode="expand")
            if span is None or all(token.ent_iob for token in span):
                return False
    return True


def _examples(served: Served, records: Sequence[Record]) -> list[Example]:
    predicted = served.before([record.text for record in records])
    return [
        Example(doc, make_doc(served.nlp, record, DEFAULT_POLICY, Problems()))
        for doc, record in zip(predicted, records, strict=True)
    ]


def _read(path: Path) -> list[Optional[Submission]]:
    """Read the submissions of earlier runs. A last line without an end was not answered, and is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        logger.warning("%s: the last line is incomplete and was removed", path)
        os.truncate(path, whole)
    found: list[Optional[Submission]] = []
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
        try:
            found.append(read_submission(json.loads(line)))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: expected a submitted task as JSON, found: {error}") from error
    return found
