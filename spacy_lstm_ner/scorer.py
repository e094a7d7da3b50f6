"""Scores: spaCy's entity precision, recall and F, and the accuracy of single tokens."""

import pickle
from collections.abc import Callable, Iterable
from typing import Any, Dict

import numpy as np
from spacy.scorer import get_ner_prf
from spacy.training import Example

from .annotations import doc_tags, gold_tags
from .gold_report import GoldReport
from .tags import MISSING, OUTSIDE


def make_entity_scorer() -> Callable[..., Dict[str, Any]]:
    """The scorer "spacy-lstm-ner.entity_scorer.v1"."""
    return score_entities


def score_entities(examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
    """Score predicted entities.

    RETURNS: `ents_p`, `ents_r`, `ents_f`, `ents_per_type` as spaCy's `ner` has them, and
    `ents_token_acc`: the share of annotated tokens with the right BIO tag;
    `ents_token_acc_in_entities`: the same over the tokens that are in a gold entity.
    Tokens without annotation, and padding, count in neither. A score is None where there is nothing to count.
    """
    examples = list(examples)
    scores: Dict[str, Any] = dict(get_ner_prf(examples, **kwargs))
    annotated = right = in_entity = right_in_entity = 0
    for example in examples:
        names = {ent.label_ for doc in (example.reference, example.predicted) for ent in doc.ents}
        numbers = {label: number for number, label in enumerate(sorted(names))}
        gold = gold_tags(example, numbers, GoldReport())
        guess = doc_tags(example.predicted, numbers)
        counted = gold != MISSING
        correct = (gold == guess) & counted
        annotated += int(counted.sum())
        right += int(correct.sum())
        in_entity += int((gold > OUTSIDE).sum())
        right_in_entity += int(np.count_nonzero(correct & (gold > OUTSIDE)))
    scores["ents_token_acc"] = right / annotated if annotated else None
    scores["ents_token_acc_in_entities"] = right_in_entity / in_entity if in_entity else None
    return scores


def require_picklable(name: str, scorer: Any) -> None:
    """Raise PicklingError if a scorer cannot go to another process. name: that of the component that has it."""
    try:
        pickle.dumps(scorer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise pickle.PicklingError(
            f"'{name}': its scorer {getattr(scorer, '__qualname__', scorer)!r} cannot be sent to another process "
            f"({error}). Define it as a function of a module, not as a lambda or within another function, and register "
            "it in spacy.registry.scorers"
        ) from error
