"""The scores of entities: write them to `doc.spans`, and read them as `ent._.score`."""

import warnings
from bisect import bisect_left
from typing import Collection, List, Optional, Sequence, Tuple

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

SCORES, SOURCE = "scores", "lstm_ner"
"""Attributes of a span group: the scores, as spaCy's span categorizer has them, and the name of the component."""


def write_scores(
    doc: Doc, key: str, source: str, spans: Sequence[Span], scores: Sequence[float], in_ents: bool = True
) -> None:
    """Keep entities and their scores in `doc.spans[key]`.

    Entities that an `lstm_ner` kept under this key before stay if they are still in `doc.ents`.

    Args:
        doc (Doc): The doc. It is changed.
        key (str): The name of the span group.
        source (str): The name of the component.
        spans (Sequence[Span]): The entities.
        scores (Sequence[float]): The probability of each entity.
        in_ents (bool): Whether the entities are in `doc.ents`. If not, earlier entities stay if a component of another
            name kept them.
    """
    found = list(zip(spans, scores, strict=True))
    old = doc.spans.get(key)
    if old is not None and SOURCE in old.attrs and len(old.attrs[SCORES]) == len(old):
        new = {_bounds(span) for span in spans}
        earlier = _readable(old)
        if in_ents:
            # The entities of the doc: their tokens may have been merged since.
            entities = {_bounds(ent): ent for ent in doc.ents}
            earlier = [(entities[_bounds(span)], score) for span, score in earlier if _bounds(span) in entities]
        elif old.attrs[SOURCE] == source:
            earlier = []
        found += [pair for pair in earlier if _bounds(pair[0]) not in new]
        found.sort(key=lambda pair: (pair[0].start, pair[0].end))
    attrs = {SCORES: np.array([score for _, score in found], dtype="float32"), SOURCE: source}
    doc.spans[key] = SpanGroup(doc, name=key, attrs=attrs, spans=[span for span, _ in found])


def _readable(group: SpanGroup) -> List[Tuple[Span, float]]:
    """The spans of a group with their scores, without spans after the end of a doc whose tokens were merged."""
    found = []
    for k, score in enumerate(group.attrs[SCORES].tolist()):
        try:
            found.append((group[k], score))
        except IndexError:
            continue
    return found


def entity_score(span: Span, keys: Collection[str] = ()) -> Optional[float]:
    """Look up the probability of an entity.

    Args:
        span (Span): The entity.
        keys (Collection[str]): The span groups to look in. If the doc has none of them, all groups with scores.

    Returns:
        Optional[float]: P(span, label | text) if a component of this package found this entity, else None. It is also
            None if tokens were merged or split since, so that spaCy can no longer read the group.
    """
    groups = span.doc.spans
    for key in [key for key in keys if key in groups] or list(groups):
        group = groups[key]
        scores = group.attrs.get(SCORES)
        if SOURCE not in group.attrs or scores is None or len(scores) != len(group):
            continue
        try:
            place = _find(group, span)
        except IndexError:
            continue
        if place is not None:
            return float(scores[place])
    return None


def _find(group: SpanGroup, span: Span) -> Optional[int]:
    """The place of the span in the group. Raises IndexError if the group has spans after the end of the doc."""
    place = bisect_left(range(len(group)), span.start_char, key=lambda k: group[k].start_char)
    # Groups of several components may have several spans that start here.
    while place < len(group) and group[place].start_char == span.start_char:
        if _bounds(group[place]) == _bounds(span):
            return place
        place += 1
    return None


def _bounds(span: Span) -> Tuple[int, int, int]:
    # In characters, because a group keeps its token numbers when tokens are merged. They may be another entity's then.
    return span.start_char, span.end_char, span.label


class ScoreAttribute:
    """The getter of the extension attribute with the scores of entities, `ent._.score`.

    Attributes:
        keys (List[str]): The span groups of the components that use this attribute.
    """

    def __init__(self) -> None:
        self.keys: List[str] = []

    def __call__(self, span: Span) -> Optional[float]:
        return entity_score(span, self.keys)


def register_score_attribute(name: str, key: str) -> None:
    """Register the extension attribute `span._.NAME`, which reads scores from a group in `doc.spans`.

    If another package has registered an attribute with this name, it stays, and there is a warning.

    Args:
        name (str): The name of the attribute.
        key (str): The name of the span group.
    """
    if not Span.has_extension(name):
        Span.set_extension(name, getter=ScoreAttribute())
    getter = Span.get_extension(name)[2]
    if not isinstance(getter, ScoreAttribute):
        warnings.warn(
            f"lstm_ner: Span has an extension attribute {name!r} already, which stays as it is. To get the scores of "
            "entities as an attribute too, set score_attr to another name in the component's config",
            stacklevel=2,
        )
    elif key not in getter.keys:
        getter.keys.append(key)
