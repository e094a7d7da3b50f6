"""From predictions to documents: entities in `doc.ents`, and with their scores in `doc.spans`."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Dict

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.strings import StringStore
from spacy.tokens import Doc, Span

from ..annotation.chain import BLOCKED, _is_given, _is_taken
from ..types import Bools
from .predict import Prediction
from .scores import register_score_attribute, write_scores
from .settings import writes_spans


def write_predictions(docs: Iterable[Doc], predictions: Sequence[Prediction], cfg: Dict[str, Any], name: str) -> None:
    """Write the predicted entities of each doc where the settings say. name: of the component, kept with the scores."""
    spans_too, in_ents = writes_spans(cfg), cfg["annotate"] != "spans"
    if spans_too and cfg["score_attr"] and not Span.has_extension(cfg["score_attr"]):
        # Unpickled in a process where no component was made.
        register_score_attribute(cfg["score_attr"], cfg["spans_key"])
    # Each label is looked up once.
    number = cache(StringStore.add)
    for doc, prediction in zip(docs, predictions, strict=True):
        strings = doc.vocab.strings
        spans = [
            Span(doc, start, end, number(strings, label))
            for start, end, label in zip(prediction.starts, prediction.ends, prediction.labels, strict=True)
        ]
        if in_ents:
            write_entities(doc, spans)
        if spans_too and prediction.scores is not None:
            write_scores(doc, cfg["spans_key"], name, spans, prediction.scores, in_ents)


def write_entities(doc: Doc, entities: list[Span]) -> None:
    """Add entities to `doc.ents` in one go, in place of those that they overlap.

    Other entities and blocked tokens that were there stay; every other token is O.
    """
    iob: NDArray[Any] = doc.to_array(ENT_IOB)
    if not _is_taken(iob).any():
        doc.set_ents(entities)
        return
    written = np.zeros(len(doc), dtype=bool)
    for span in entities:
        written[span.start : span.end] = True
    free = ~written & ~_is_given(iob, doc.to_array(ENT_TYPE), BLOCKED)
    for ent in doc.ents:
        if not written[ent.start : ent.end].any():
            free[ent.start : ent.end] = False
    doc.set_ents(entities, outside=[Span(doc, *run) for run in _runs(free)], default="unmodified")


def _runs(mask: Bools) -> list[tuple[int, int]]:
    """Start and end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
