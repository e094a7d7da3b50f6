"""From predictions to documents: entities in `doc.ents`, and with their scores in `doc.spans`."""

from functools import cache
from typing import Any, Dict, Iterable, Sequence

from spacy.strings import StringStore
from spacy.tokens import Doc, Span

from .annotations import write_entities
from .confidence import register_score_attribute, write_scores
from .inference import Prediction
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
