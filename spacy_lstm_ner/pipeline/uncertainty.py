"""Sort texts by the uncertainty of the model, to choose what to annotate next."""

from collections.abc import Iterable
from typing import Dict, List, Optional, Tuple

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from .component import LSTMEntityRecognizer
from .predict import Uncertainty
from .scores import entity_score

DOCS_AT_ONCE = 256


def rank_by_uncertainty(
    nlp: Language, component: LSTMEntityRecognizer, texts: Iterable[str], by: str
) -> List[Tuple[Doc, Uncertainty]]:
    """Annotate texts, and sort them so that the most uncertain come first.

    Args:
        nlp (Language): The pipeline.
        component (LSTMEntityRecognizer): The component whose uncertainty counts.
        texts (Iterable[str]): The texts.
        by (str): The measure, a field of `Uncertainty`.

    Returns:
        List[Tuple[Doc, Uncertainty]]: The annotated docs, each with its uncertainty.
    """
    before = nlp.pipe_names[: nlp.pipe_names.index(component.name)]
    found: List[Tuple[Doc, Uncertainty]] = []
    for docs in minibatch(nlp.pipe(texts), DOCS_AT_ONCE):
        annotated = list(docs)
        # The component must not see its own entities, since they would constrain it.
        with nlp.select_pipes(enable=before):
            fresh = list(nlp.pipe(nlp.make_doc(doc.text) for doc in annotated))
        found.extend(zip(annotated, component.uncertainty(fresh), strict=True))
    return sorted(found, key=lambda pair: -float(getattr(pair[1], by)))


def as_task(doc: Doc, uncertainty: Uncertainty, score_attr: Optional[str]) -> Dict[str, object]:
    """Turn a document into an annotation task, which tools like Prodigy read from a line of JSONL.

    Args:
        doc (Doc): The annotated document.
        uncertainty (Uncertainty): Its uncertainty.
        score_attr (Optional[str]): The setting of the component.

    Returns:
        Dict[str, object]: The text, the tokens, the entities with their scores as spans, and the uncertainty in `meta`.
    """
    tokens: List[Dict[str, object]] = [
        {
            "text": token.text,
            "start": token.idx,
            "end": token.idx + len(token),
            "id": token.i,
            "ws": bool(token.whitespace_),
        }
        for token in doc
    ]
    spans = []
    for ent in doc.ents:
        span: Dict[str, object] = {
            "start": ent.start_char,
            "end": ent.end_char,
            "token_start": ent.start,
            "token_end": ent.end - 1,
            "label": ent.label_,
        }
        score = entity_score(score_attr, ent) if score_attr else None
        if score is not None:
            span["score"] = round(score, 6)
        spans.append(span)
    meta = {name: round(value, 6) for name, value in uncertainty._asdict().items()}
    return {"text": doc.text, "tokens": tokens, "spans": spans, "meta": meta}
