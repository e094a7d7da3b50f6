"""Sort texts by the uncertainty of the model, to choose what to annotate next."""

from collections.abc import Iterable, Sequence
from typing import List, Tuple

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from ..types import Floats
from .component import LSTMEntityRecognizer, docs_before
from .predict import Uncertainty

DOCS_AT_ONCE = 256
LEAST_CANDIDATES, CANDIDATES_PER_DOC = 1000, 20
"""The number of docs to choose from: the most uncertain ones, at least so many, and so many for each chosen one."""


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
    found: List[Tuple[Doc, Uncertainty]] = []
    for docs in minibatch(nlp.pipe(texts), DOCS_AT_ONCE):
        annotated = list(docs)
        fresh = docs_before(nlp, component, (nlp.make_doc(doc.text) for doc in annotated))
        found.extend(zip(annotated, component.uncertainty(fresh), strict=True))
    return sorted(found, key=lambda pair: -float(getattr(pair[1], by)))


def choose_diverse(
    component: LSTMEntityRecognizer, ranked: Sequence[Tuple[Doc, Uncertainty]], by: str, n: int
) -> List[Tuple[Doc, Uncertainty]]:
    """Choose docs that are uncertain and different from each other, and worth the tokens to be annotated.

    The next doc is the one with the greatest u·d/√t: u is its uncertainty, t its number of tokens, and d its cosine
    distance to the nearest doc that is chosen already. Docs are compared by the mean of their hidden states (the output
    of the encoder). Uncertainty grows with length; the root keeps long docs from being chosen for their length alone.

    Args:
        component (LSTMEntityRecognizer): The component.
        ranked (Sequence[Tuple[Doc, Uncertainty]]): The docs with their uncertainty.
        by (str): The measure, a field of `Uncertainty`.
        n (int): The number of docs to choose.

    Returns:
        List[Tuple[Doc, Uncertainty]]: The docs in the order in which they were chosen, one of those with the same text.
    """
    different = {doc.text: (doc, doubt) for doc, doubt in reversed(ranked) if len(doc)}
    ranked = list(reversed(different.values()))
    if not ranked:
        return []
    worth = np.array([getattr(doubt, by) / len(doc) ** 0.5 for doc, doubt in ranked])
    order = np.argsort(-worth, kind="stable")[: max(LEAST_CANDIDATES, CANDIDATES_PER_DOC * n)]
    candidates, worth = [ranked[k] for k in order], worth[order]
    directions = _directions(component, [doc for doc, _ in candidates])
    chosen: List[int] = []
    distance = np.ones(len(candidates))
    while len(chosen) < n and (distance > 0).any():
        chosen.append(int(np.argmax(np.where(distance > 0, worth * distance, -1.0))))
        distance = np.minimum(distance, 1.0 - directions @ directions[chosen[-1]])
        distance[chosen[-1]] = 0.0
    return [candidates[k] for k in chosen]


def _directions(component: LSTMEntityRecognizer, docs: List[Doc]) -> Floats:
    """(n_docs, width) The direction of each doc's mean hidden state from the mean over all docs, as a unit vector."""
    ops, tok2vec = component.model.ops, component.model.get_ref("tok2vec")
    states = (rows for part in minibatch(docs, DOCS_AT_ONCE) for rows in tok2vec.predict(list(part)))
    means = np.array([ops.to_numpy(rows).mean(axis=0) for rows in states])
    means = means - means.mean(axis=0)
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
