"""The scores of entities: keep them with a document, read them as `ent._.lstm_ner_score`, and write span groups.

`doc.user_data` has one number for each entity, under a key of the form that spaCy has for attributes of spans:
`("._.", name, start character, end character)`. So it goes where spaCy takes such attributes, and costs little to send.
The name ends in the entity's label, because other components may change the label.
"""

import warnings
from functools import partial
from typing import Any, List, Sequence, Tuple

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

SCORES, SOURCE = "scores", "lstm_ner"
"""Attributes of a span group: the scores, as spaCy's span categorizer has them, and the name of the component."""


def keep_scores(doc: Doc, attr: str, spans: Sequence[Span], scores: Sequence[float]) -> None:
    """Keep the scores of entities in `doc.user_data`.

    Args:
        doc (Doc): The doc. It is changed.
        attr (str): The name of the extension attribute that reads them.
        spans (Sequence[Span]): The entities.
        scores (Sequence[float]): The probability of each entity.
    """
    for span, score in zip(spans, scores, strict=True):
        doc.user_data[_key(f"{attr}.{span.label_}", span)] = score


def keep_doubt(doc: Doc, attr: str, doubt: float) -> None:
    """Keep the doubt about a text where `doc._.NAME` finds it, which is faster than to write to the attribute.

    Args:
        doc (Doc): The doc. It is changed.
        attr (str): The name of the extension attribute.
        doubt (float): The doubt.
    """
    key: Any = ("._.", attr, None, None)
    doc.user_data[key] = doubt


def entity_score(attr: str, span: Span) -> Any:
    """Look up the probability of an entity.

    Args:
        attr (str): The name of the extension attribute.
        span (Span): The entity.

    Returns:
        Any: What was written to the attribute of this span. If nothing was: P(span, label | text) if a component of
            this package found this entity, else None.
    """
    data, written = span.doc.user_data, _key(attr, span)
    return data[written] if written in data else data.get(_key(f"{attr}.{span.label_}", span))


def _set_score(attr: str, span: Span, value: Any) -> None:
    span.doc.user_data[_key(attr, span)] = value


def _key(name: str, span: Span) -> Any:
    # Characters, because tokens may be merged or split. spaCy has these keys, but its types only know texts as keys.
    return "._.", name, span.start_char, span.end_char


def register_score_attribute(name: str) -> None:
    """Register the extension attribute `span._.NAME`, which reads the scores of entities.

    If another package has registered an attribute with this name, it stays, and there is a warning.

    Args:
        name (str): The name of the attribute.
    """
    if not Span.has_extension(name):
        Span.set_extension(name, getter=partial(entity_score, name), setter=partial(_set_score, name))
    elif getattr(Span.get_extension(name)[2], "func", None) is not entity_score:
        warnings.warn(
            f"lstm_ner: Span has an extension attribute {name!r} already, which stays as it is. To get the scores of "
            "entities as an attribute too, set score_attr to another name in the component's config",
            stacklevel=2,
        )


def register_doubt_attribute(name: str) -> None:
    """Register the extension attribute `doc._.NAME`, which is None until a calibrated component has seen the doc.

    Args:
        name (str): The name of the attribute.
    """
    if not Doc.has_extension(name):
        Doc.set_extension(name, default=None)


def write_group(
    doc: Doc, key: str, source: str, spans: Sequence[Span], scores: Sequence[float], in_ents: bool = True
) -> None:
    """Write entities and their scores to `doc.spans[key]`.

    Entities that an `lstm_ner` wrote under this key before stay if they are still in `doc.ents`.

    Args:
        doc (Doc): The doc. It is changed.
        key (str): The name of the span group.
        source (str): The name of the component.
        spans (Sequence[Span]): The entities.
        scores (Sequence[float]): The probability of each entity.
        in_ents (bool): Whether the entities are in `doc.ents`. If not, earlier entities stay if a component of another
            name wrote them.
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


def _bounds(span: Span) -> Tuple[int, int, int]:
    # In characters, because a group keeps its token numbers when tokens are merged. They may be another entity's then.
    return span.start_char, span.end_char, span.label
