"""Write predictions to documents: entities to `doc.ents` or `doc.spans`, and their scores."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.strings import StringStore
from spacy.tokens import Doc, Span

from ..annotation.chain import BLOCKED, is_given, is_taken
from ..types import Bools
from .predict import Prediction
from .scores import keep_doubt, keep_scores, register_doubt_attribute, register_score_attribute, write_group
from .settings import Settings, default_settings


def entity_score_attribute(place: object, name: str, cfg: Mapping[str, Any]) -> str:
    """Find the attribute of the entities in `doc.ents` that has their probability, and register it.

    Args:
        place (object): Where the pipeline is from, for the error.
        name (str): The component's name.
        cfg (Mapping[str, Any]): Its settings.

    Returns:
        str: The name of the attribute: that of the settings, or else the default one.

    Raises:
        ValueError: If the component writes no `doc.ents`.
    """
    if cfg["annotate"] == "spans":
        raise ValueError(f"{place}: '{name}' writes no doc.ents, because annotate is 'spans'. Set it to 'both'")
    attr: str = cfg["score_attr"] or default_settings()["score_attr"]
    register_score_attribute(attr)
    return attr


def write_predictions(docs: Iterable[Doc], predictions: Sequence[Prediction], settings: Settings, name: str) -> None:
    """Write the predicted entities of each doc, and their scores, where the settings say.

    Args:
        docs (Iterable[Doc]): The docs. They are changed.
        predictions (Sequence[Prediction]): The entities of each doc.
        settings (Settings): The component's settings.
        name (str): The component's name. It is kept with groups in `doc.spans`.
    """
    key, in_ents = settings.spans_key if settings.writes_spans else None, settings.annotate != "spans"
    attr = settings.score_attr
    if attr and not Span.has_extension(attr):
        # The component was unpickled in a process that has no such attribute yet.
        register_score_attribute(attr)
    if settings.doubt_attr:
        register_doubt_attribute(settings.doubt_attr)
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
        if settings.doubt_attr and prediction.doubt is not None:
            keep_doubt(doc, settings.doubt_attr, prediction.doubt)
        if attr and prediction.scores is not None:
            keep_scores(doc, attr, spans, prediction.scores)
        if key is not None and prediction.scores is not None:
            write_group(doc, key, name, spans, prediction.scores, in_ents)


def write_entities(doc: Doc, entities: list[Span]) -> None:
    """Add entities to `doc.ents`. They replace the entities that they overlap with.

    Other entities and blocked tokens stay. Every other token becomes O.

    Args:
        doc (Doc): The doc. It is changed.
        entities (list[Span]): The new entities.
    """
    iob = doc.to_array(ENT_IOB)
    if not is_taken(iob).any():
        doc.set_ents(entities)
        return
    written = np.zeros(len(doc), dtype=bool)
    for span in entities:
        written[span.start : span.end] = True
    free = ~written & ~is_given(iob, doc.to_array(ENT_TYPE), BLOCKED)
    for ent in doc.ents:
        if not written[ent.start : ent.end].any():
            free[ent.start : ent.end] = False
    doc.set_ents(entities, outside=[Span(doc, *bounds) for bounds in _bounds_of_true(free)], default="unmodified")


def _bounds_of_true(mask: Bools) -> list[tuple[int, int]]:
    """Start and end of each run of consecutive True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
