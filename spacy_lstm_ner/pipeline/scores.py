"""Where the confidence of entities is kept in a document, and how it is read."""

import warnings
from bisect import bisect_left
from typing import Collection, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

SCORES, SOURCE = "scores", "lstm_ner"
"""Attributes of a span group: the scores, as spaCy's span categorizer has them, and the component that gave them."""


class Uncertainty(NamedTuple):
    """How unsure the model is of a document. All are 0 where there is no doubt.

    least_confidence: 1 minus the probability of the best analysis.
    margin: 1 minus the difference between the probabilities of the best two analyses.
    entropy: of the distribution over all analyses, in nats.
    """

    least_confidence: float
    margin: float
    entropy: float


def write_scores(
    doc: Doc, key: str, source: str, spans: Sequence[Span], scores: Sequence[float], in_ents: bool = True
) -> None:
    """Keep entities and their scores in `doc.spans[key]`.

    in_ents: whether the entities are in `doc.ents`. What such a component kept under the key before stays as far as
        it still is there: entities that were there before this one came, of another component or of an earlier call.
        If they are not, what a component of another name kept stays.
    """
    found = list(zip(spans, scores, strict=True))
    old = doc.spans.get(key)
    if old is not None and SOURCE in old.attrs and len(old.attrs[SCORES]) == len(old):
        new = {_bounds(span) for span in spans}
        earlier = _readable(old)
        if in_ents:
            # As they are in the doc now: their tokens may have been merged since.
            entities = {_bounds(ent): ent for ent in doc.ents}
            earlier = [(entities[_bounds(span)], score) for span, score in earlier if _bounds(span) in entities]
        elif old.attrs[SOURCE] == source:
            earlier = []
        found += [pair for pair in earlier if _bounds(pair[0]) not in new]
        found.sort(key=lambda pair: (pair[0].start, pair[0].end))
    attrs = {SCORES: np.array([score for _, score in found], dtype="float32"), SOURCE: source}
    doc.spans[key] = SpanGroup(doc, name=key, attrs=attrs, spans=[span for span, _ in found])


def _readable(group: SpanGroup) -> List[Tuple[Span, float]]:
    """The spans of a group with their scores, but for those behind the end of a doc whose tokens were merged since."""
    found = []
    for k, score in enumerate(group.attrs[SCORES].tolist()):
        try:
            found.append((group[k], score))
        except IndexError:
            continue
    return found


def entity_score(span: Span, keys: Collection[str] = ()) -> Optional[float]:
    """P(span, label | text) if a component of this package found just this entity, else None.

    keys: the span groups to look in; if the doc has none of them, all groups with such scores.
    None too where tokens were merged or split since, and spaCy can no longer read the group.
    """
    groups = span.doc.spans
    for key in [key for key in keys if key in groups] or list(groups):
        group = groups[key]
        scores = group.attrs.get(SCORES)
        if SOURCE not in group.attrs or scores is None or len(scores) != len(group):
            continue
        try:
            at = _place(group, span)
        except IndexError:
            continue
        if at is not None:
            return float(scores[at])
    return None


def _place(group: SpanGroup, span: Span) -> Optional[int]:
    """Where in the group the span is. Raises IndexError if the group has spans behind the end of the doc."""
    at = bisect_left(range(len(group)), span.start_char, key=lambda k: group[k].start_char)
    # Components that write spans alone may find several that begin here.
    while at < len(group) and group[at].start_char == span.start_char:
        if _bounds(group[at]) == _bounds(span):
            return at
        at += 1
    return None


def _bounds(span: Span) -> Tuple[int, int, int]:
    # By characters: a group keeps the token numbers of before tokens were merged, which may be another entity's now.
    return span.start_char, span.end_char, span.label


class ScoreAttribute:
    """The getter of an extension attribute with the scores of entities, `ent._.score`.

    keys: the span groups of the components that have their scores under this attribute.
    """

    def __init__(self) -> None:
        self.keys: List[str] = []

    def __call__(self, span: Span) -> Optional[float]:
        return entity_score(span, self.keys)


def register_score_attribute(name: str, key: str) -> None:
    """Make `span._.<name>` the entity's score, as `doc.spans[key]` has it.

    An extension of that name that is not ours stays, with a warning.
    """
    if not Span.has_extension(name):
        Span.set_extension(name, getter=ScoreAttribute())
    getter = Span.get_extension(name)[2]
    if not isinstance(getter, ScoreAttribute):
        warnings.warn(
            f"lstm_ner: Span has an extension attribute {name!r} already, which stays as it is. To have the scores of "
            "entities as an attribute too, give score_attr another name in the component's config",
            stacklevel=2,
        )
    elif key not in getter.keys:
        getter.keys.append(key)


def as_task(doc: Doc, uncertainty: Uncertainty) -> Dict[str, object]:
    """A document as a line of JSONL for annotation: text, tokens, the entities with their scores, and `meta`."""
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
        score = entity_score(ent)
        if score is not None:
            span["score"] = round(score, 6)
        spans.append(span)
    meta = {name: round(value, 6) for name, value in uncertainty._asdict().items()}
    return {"text": doc.text, "tokens": tokens, "spans": spans, "meta": meta}
