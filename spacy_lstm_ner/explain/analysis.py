"""Everything that `explain` tells of a text, as JSON values."""

from typing import Any, Dict, List, Optional

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

from ..layers.crf.viterbi import n_best
from ..pipeline.component import LSTMEntityRecognizer, docs_before
from ..pipeline.predict import Chains, find_spans, read_chains, span_scores
from ..tags import Spans, tags_to_spans
from ..types import Array
from .gates import describe_layer
from .influence import influences, reach
from .observed import Observed, observe

MOST_TOKENS = 200
"""The largest number of tokens that figures have room for."""


def explain_text(nlp: Language, component: LSTMEntityRecognizer, text: str) -> Dict[str, Any]:
    """Explain what a component does with a text.

    Args:
        nlp (Language): The pipeline.
        component (LSTMEntityRecognizer): The component, initialized and on the CPU. It does not change.
        text (str): The text, best one sentence.

    Returns:
        Dict[str, Any]: JSON values, see `docs/explain.md`.

    Raises:
        ValueError: If the text has no words or more than MOST_TOKENS tokens, or the component is not initialized or
            on a GPU.
    """
    (doc,) = docs_before(nlp, component, [text])
    if all(token.is_space for token in doc):
        raise ValueError("the text has no words; give a sentence, in quotation marks")
    if len(doc) > MOST_TOKENS:
        raise ValueError(f"the text has {len(doc)} tokens, but figures have room for {MOST_TOKENS}: give one sentence")
    # Checks that the component is initialized and gets its vectors.
    component.predict([doc])
    return explain_doc(component, doc, observe(nlp, component.tagger))


def explain_doc(component: LSTMEntityRecognizer, doc: Doc, observed: Observed) -> Dict[str, Any]:
    """Explain what a component does with a doc; see `explain_text`.

    Args:
        component (LSTMEntityRecognizer): The component.
        doc (Doc): The doc, processed by the components before it.
        observed (Observed): The model of the component, observed.

    Returns:
        Dict[str, Any]: JSON values.
    """
    tagger = component.tagger
    temperature = tagger.head.attrs["temperature"]
    chains = read_chains(tagger, [doc])
    tempered, spans = chains.at_temperature(temperature), find_spans(chains)
    found = _entities(doc, chains, spans, tagger.labels)
    norms: List[Optional[Array]] = [None] * len(found)
    if observed.sees_inputs:
        norms = influences(observed, doc, tempered, spans, temperature)
    for entity, score, own in zip(found, span_scores(chains, spans, tagger.head).tolist(), norms, strict=True):
        entity["probability"] = score
        entity["influence"] = None if own is None else own.tolist()
        entity["reach"] = None if own is None else reach(own, entity["start"], entity["end"])
    return {
        "component": component.name,
        "text": doc.text,
        "tokens": [token.text for token in doc],
        "layers": [describe_layer(layer) for layer in observed.layers],
        "tags": list(tagger.scheme.tag_names(tagger.labels)),
        "temperature": temperature,
        "emissions": _by_token(doc, chains, chains.emissions),
        "marginals": _by_token(doc, chains, tempered.lattice().marginals),
        "paths": _paths(doc, tempered, tagger.labels),
        "entities": found,
        "notes": _notes(observed, found),
    }


def _entities(doc: Doc, chains: Chains, spans: Spans, labels: Any) -> List[Dict[str, Any]]:
    """Entities in rows of the chain, as entities in tokens of the doc."""
    rows = chains.tokens.rows
    starts, ends = rows[spans.starts].tolist(), (rows[spans.ends - 1] + 1).tolist()
    return [
        {"start": start, "end": end, "label": labels[label], "text": doc[start:end].text}
        for start, end, label in zip(starts, ends, spans.labels.tolist(), strict=True)
    ]


def _by_token(doc: Doc, chains: Chains, table: Array) -> List[Optional[List[Optional[float]]]]:
    """A table (M, T) as a list for each token. White space has None, and so has what is not a finite number."""
    rows: List[Optional[List[Optional[float]]]] = [None] * len(doc)
    for token, values in zip(chains.tokens.rows.tolist(), table.tolist(), strict=True):
        rows[token] = [value if np.isfinite(value) else None for value in values]
    return rows


def _paths(doc: Doc, tempered: Chains, labels: Any) -> List[Dict[str, Any]]:
    """The most probable sequence of tags and the runner-up, with their probabilities."""
    names, lattice, paths = tempered.transitions.scheme.tag_names(labels), tempered.lattice(), []
    for tags, score in n_best(tempered.emissions, tempered.transitions, 2, tempered.allowed):
        spans = tags_to_spans(tags, tempered.tokens.starts, tempered.transitions.scheme)
        by_token: List[Optional[str]] = [None] * len(doc)
        for token, tag in zip(tempered.tokens.rows.tolist(), tags.tolist(), strict=True):
            by_token[token] = names[tag]
        probability = float(np.exp(min(score - lattice.log_partition[0], 0.0)))
        paths.append(
            {"tags": by_token, "probability": probability, "entities": _entities(doc, tempered, spans, labels)}
        )
    return paths


def _notes(observed: Observed, entities: List[Dict[str, Any]]) -> List[str]:
    """Sentences on what is not there."""
    notes = []
    if observed.stack is None:
        notes.append("The encoder of this model is not one of LSTM, GRU and RNN, so there are no gates to show.")
    elif observed.layers and not observed.layers[0].cell.sigmoids:
        notes.append("A plain recurrent network has no gates.")
    if not entities:
        notes.append("The most probable path has no entity, so there is no influence to show.")
    elif not observed.sees_inputs:
        notes.append("The embedding of this model cannot be observed, so there is no influence to show.")
    elif any(entity["influence"] is None for entity in entities):
        notes.append("The model has no doubt about some entities: the gradient of their log-probability is 0.")
    return notes
