"""Scores: precision, recall and F1 of entities, as spaCy computes them, and the accuracy of single tokens."""

import pickle
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Dict, List

import numpy as np
from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..annotation.gold import gold_tags
from ..annotation.gold_report import GoldReport
from ..tags import MISSING, OUTSIDE, Spans, spans_to_tags
from ..types import Ints
from .checks import has_other_annotation


def make_entity_scorer() -> Callable[..., Dict[str, Any]]:
    """Create the scorer "spacy-lstm-ner.entity_scorer.v1".

    Returns:
        Callable[..., Dict[str, Any]]: The scorer.
    """
    return score_entities


def score_entities(examples: Iterable[Example], **settings: Any) -> Dict[str, Any]:
    """Score predicted entities.

    Tokens without annotation do not count. A score is None if there is nothing to count. Warns if no doc has annotation
    of any kind, unless entities are in groups of spans only.

    `ents_p`, `ents_r`, `ents_f` and `ents_per_type` are the scores of spaCy's `ner`. They rate `doc.ents`, whichever
    component set the entities. `ents_token_acc` is the share of the annotated tokens with the right BIO tag, and
    `ents_token_acc_in_entities` the same over the tokens in gold entities. With `annotate` = "spans" there are none of
    these.

    `spans_KEY_p`, `spans_KEY_r`, `spans_KEY_f` and `spans_KEY_per_type`, where KEY is the setting `spans_key`, rate the
    entities of this component alone, see `score_own`. There are such scores if `annotate` is "spans", or if it is
    "both" and `other_labels` is not "add".

    Args:
        examples (Iterable[Example]): The examples, with predictions.
        **settings (Any): The settings of the component, and its `labels`.

    Returns:
        Dict[str, Any]: The scores by name, from 0 to 1.
    """
    examples = list(examples)
    scores: Dict[str, Any] = {}
    annotate, key = settings.get("annotate", "ents"), settings.get("spans_key")
    if annotate != "spans":
        _warn_if_nothing_to_score(examples)
        scores.update(get_ner_prf(examples, **settings))
        scores.update(_token_accuracy(examples))
    if key and (annotate == "spans" or (annotate == "both" and settings.get("other_labels", "add") != "add")):
        scores.update(score_own(examples, key, settings.get("labels", ())))
    return scores


def _warn_if_nothing_to_score(examples: Sequence[Example]) -> None:
    golds = [example.reference for example in examples]
    if golds and not any(doc.has_annotation("ENT_IOB") or has_other_annotation(doc) for doc in golds):
        warnings.warn(
            f"lstm_ner: none of the {len(golds)} docs to score has entity annotation, so the entity scores are None, "
            "and 0.0 in the table of spacy train. Set their entities, with doc.set_ents([]) where there are none",
            stacklevel=3,
        )


def score_own(examples: Sequence[Example], key: str, labels: Collection[str]) -> Dict[str, Any]:
    """Score `doc.spans[key]` of the predicted docs against the gold entities with some labels.

    Docs without annotation do not count, and neither do predicted spans on tokens without annotation.

    Args:
        examples (Sequence[Example]): The examples, with predictions.
        key (str): The name of the span group.
        labels (Collection[str]): The labels of the component. Entities with other labels do not count.

    Returns:
        Dict[str, Any]: `spans_KEY_p`, `spans_KEY_r`, `spans_KEY_f`, `spans_KEY_per_type`.
    """
    by_prediction = {id(example.predicted): example for example in examples}

    def spans(doc: Doc, attr: str) -> List[Span]:
        example = by_prediction.get(id(doc))
        if example is None:
            return [ent for ent in doc.ents if ent.label_ in labels]
        return [span for span in doc.spans.get(key, ()) if span.label_ in labels and _is_annotated(example, span)]

    return dict(
        Scorer.score_spans(
            examples,
            f"spans_{key}",
            getter=spans,
            has_annotation=lambda doc: id(doc) in by_prediction or doc.has_annotation("ENT_IOB"),
            allow_overlap=True,
        )
    )


def _is_annotated(example: Example, span: Span) -> bool:
    """Whether all tokens of a predicted span have entity annotation in the reference."""
    tokens = example.alignment.x2y[span.start : span.end].tolist()
    return bool(tokens) and all(token.ent_iob for token in example.reference[tokens[0] : tokens[-1] + 1])


def _token_accuracy(examples: Iterable[Example]) -> Dict[str, Any]:
    annotated = right = in_entity = right_in_entity = 0
    for example in examples:
        names = {ent.label_ for doc in (example.reference, example.predicted) for ent in doc.ents}
        numbers = {label: number for number, label in enumerate(sorted(names))}
        gold = gold_tags(example, numbers, GoldReport())
        guess = _predicted_tags(example.predicted, numbers)
        counted = gold != MISSING
        correct = (gold == guess) & counted
        annotated += int(counted.sum())
        right += int(correct.sum())
        in_entity += int((gold > OUTSIDE).sum())
        right_in_entity += int(np.count_nonzero(correct & (gold > OUTSIDE)))
    return {
        "ents_token_acc": right / annotated if annotated else None,
        "ents_token_acc_in_entities": right_in_entity / in_entity if in_entity else None,
    }


def _predicted_tags(doc: Doc, label_numbers: Dict[str, int]) -> Ints:
    """(tokens,) The BIO tags of the entities of a doc. Every other token is O."""
    spans = [(ent.start, ent.end, label_numbers[ent.label_]) for ent in doc.ents]
    starts, ends, labels = np.array(spans, dtype=np.int64).reshape(-1, 3).T
    return spans_to_tags(Spans(starts, ends, labels), len(doc))


def require_picklable(name: str, scorer: Any) -> None:
    """Check that a scorer can be sent to another process.

    Args:
        name (str): The name of the component.
        scorer (Any): The scorer.

    Raises:
        PicklingError: If it cannot be pickled.
    """
    try:
        pickle.dumps(scorer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise pickle.PicklingError(
            f"'{name}': its scorer {getattr(scorer, '__qualname__', scorer)!r} cannot be sent to another process "
            f"({error}). Define it as a function of a module, not as a lambda or within another function, and register "
            "it in spacy.registry.scorers"
        ) from error
