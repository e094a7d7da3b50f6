"""Sort texts by the uncertainty of the model, to choose what to annotate next."""

from collections.abc import Iterable
from typing import List, Tuple

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from .component import LSTMEntityRecognizer
from .predict import Uncertainty

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
