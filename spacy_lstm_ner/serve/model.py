"""A pipeline that answers: the entities of texts, entities that it doubts, and its best analyses, as JSON values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model

from ..data.annotated_file import Record
from ..data.formats.spacy_binary import record_of
from ..data.writers import name_and_version
from ..pipeline.annotate import entity_score_attribute
from ..pipeline.component import LSTMEntityRecognizer, docs_before, find_component
from ..pipeline.predict import score_spans
from ..pipeline.settings import default_settings

_SCORE = default_settings()["score_attr"]
LEARNED = "lstm_ner_annotations"
"""The field of a pipeline's meta.json with the number of submitted annotations that it has learned."""


@dataclass(frozen=True)
class Served:
    """A pipeline that requests are answered with.

    Attributes:
        nlp (Language): The pipeline.
        component (LSTMEntityRecognizer): Its component.
        version (str): Its name and version, and how many annotations it has learned.
        threshold (float): The threshold that it was saved with.
    """

    nlp: Language
    component: LSTMEntityRecognizer
    version: str
    threshold: float

    @classmethod
    def load(cls, place: Union[str, Path], pipe: Optional[str] = None) -> "Served":
        """Load a pipeline.

        Args:
            place (Union[str, Path]): A folder, or the name of an installed package.
            pipe (Optional[str]): The name of the component; None for the first `lstm_ner`.

        Returns:
            Served: The pipeline.

        Raises:
            ValueError: If the pipeline has no such component, or its entities are not in `doc.ents`.
        """
        nlp = load_model(place)
        component = find_component(nlp.pipeline, pipe)
        entity_score_attribute(place, component.name, component.cfg)
        learned = nlp.meta.get(LEARNED, 0)
        version = name_and_version(nlp) + (f"+{learned}" if learned else "")
        return cls(nlp, component, version, component.cfg["threshold"])

    def before(self, texts: Sequence[str]) -> list[Doc]:
        """Docs as the component gets them."""
        return docs_before(self.nlp, self.component, texts)

    def records(self, texts: Sequence[str], threshold: Optional[float] = None) -> list[Record]:
        """Annotate texts.

        Args:
            texts (Sequence[str]): The texts.
            threshold (Optional[float]): A threshold in place of those of the component; None for its own.

        Returns:
            list[Record]: The texts with the entities of the pipeline and their probabilities.
        """
        cfg = self.component.cfg
        own = {name: cfg[name] for name in ("threshold", "label_thresholds", "score_attr")}
        cfg["score_attr"] = cfg["score_attr"] or _SCORE
        if threshold is not None:
            cfg.update(threshold=threshold, label_thresholds={})
        try:
            return [record_of(doc, "request", cfg["score_attr"]) for doc in self.nlp.pipe(texts)]
        finally:
            cfg.update(own)

    def annotate(self, texts: Sequence[str], threshold: Optional[float], n: int) -> list[dict[str, Any]]:
        """Answer `/annotate`: the entities of each text and, if n is not 0, its n best analyses.

        `candidates` are all entities of these analyses with their probabilities, from the most probable on. They may
        overlap, and no threshold applies to them.
        """
        answers: list[dict[str, Any]] = [
            {"entities": [_entity(record.text, *span[:4]) for span in record.spans]}
            for record in self.records(texts, threshold)
        ]
        if not n or not texts:
            return answers
        docs = self.before(texts)
        best = self.component.n_best(docs, n)
        likely = [sorted({entity for entities, _ in analyses for entity in entities}) for analyses in best]
        scores = score_spans(self.component.tagger, docs, likely)
        for doc, answer, analyses, spans, values in zip(docs, answers, best, likely, scores, strict=True):
            by_score = sorted(zip(spans, values, strict=True), key=lambda pair: -pair[1])
            answer["candidates"] = [_token_entity(doc, *span, score) for span, score in by_score]
            answer["alternatives"] = [
                {"entities": [_token_entity(doc, *span) for span in entities], "probability": probability}
                for entities, probability in analyses
            ]
        return answers

    def best_probabilities(self, texts: Sequence[str]) -> list[float]:
        """The probability of the best analysis of each text: how sure the model is of the whole text."""
        return [analyses[0][1] for analyses in self.component.n_best(self.before(texts), 1)]


def _token_entity(doc: Doc, start: int, end: int, label: str, score: Optional[float] = None) -> dict[str, Any]:
    span = doc[start:end]
    return _entity(doc.text, span.start_char, span.end_char, label, score)


def _entity(text: str, start: int, end: int, label: str, score: Optional[float]) -> dict[str, Any]:
    entity = {"start": start, "end": end, "label": label, "text": text[start:end]}
    return entity if score is None else {**entity, "score": score}
