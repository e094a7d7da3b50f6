"""Read gold annotation into arrays: the tags of tokens, and spans that are known to be wrong.

Notation as in `chain`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Optional

import numpy as np
from spacy.attrs import ENT_IOB, ORTH, SPACY
from spacy.errors import Errors
from spacy.tokens import Doc
from spacy.training import Example, biluo_tags_to_spans

from ..tags import BIO, MISSING, OUTSIDE, Scheme, Spans, spans_to_tags, tags_to_spans
from ..types import Bools, Ints
from .chain import IOB_OUTSIDE, ChainTokens
from .gold_report import GoldReport

Entity = tuple[int, int, str]
"""First token, token after the last, label."""


def gold_labels(doc: Doc) -> Counter[str]:
    """Count the entities of a gold doc by label."""
    return Counter(ent.label_ for ent in doc.ents if ent.label_)


def inspect_gold(example: Example, report: GoldReport) -> Ints:
    """Count the annotation of an example, and its problems.

    Args:
        example (Example): The example.
        report (GoldReport): Takes the counts.

    Returns:
        Ints: (tokens,) OUTSIDE, MISSING, or a tag greater than 0, for each token of the predicted doc.
    """
    labels = gold_labels(example.reference)
    report.labels.update(labels)
    return gold_tags(example, dict.fromkeys(labels, 0), report)


def gold_tags(
    example: Example, label_numbers: Mapping[str, int], report: GoldReport, own_labels: Optional[Sequence[str]] = None
) -> Ints:
    """Read the gold tags of the predicted doc's tokens.

    Entities lose white space at their ends. An entity that does not start and end where tokens do becomes MISSING.

    Args:
        example (Example): The example.
        label_numbers (Mapping[str, int]): The number of each label. An entity with another label is MISSING.
        own_labels (Optional[Sequence[str]]): If given, an entity whose label is not among them is OUTSIDE.
        report (GoldReport): Counts the docs, the entities and their problems.

    Returns:
        Ints: (tokens,) The BIO tags; MISSING where there is no annotation.
    """
    report.docs += 1
    predicted, reference = example.predicted, example.reference
    if not reference.has_annotation("ENT_IOB"):
        report.docs_without_annotation += len(predicted) > 0
        return np.full(len(predicted), MISSING, dtype=np.int64)
    if have_same_tokens(predicted, reference):
        iob = reference.to_array(ENT_IOB)
        tags = np.where(iob == IOB_OUTSIDE, OUTSIDE, MISSING).astype(np.int64)
        entities = [(ent.start, ent.end, ent.label_) for ent in reference.ents]
    else:
        tags, entities = _align(example, report)
    report.entities += len(reference.ents)
    kept = []
    for start, end, label in entities:
        first, last = _trim(predicted, start, end)
        if first == last:
            report.blank.add_entity(predicted, predicted[start:end].text, label)
            tags[start:end] = MISSING
            continue
        if (first, last) != (start, end):
            report.trimmed.add_entity(predicted, predicted[start:end].text, label)
            tags[start:end] = OUTSIDE
        if label in label_numbers:
            kept.append((first, last, label_numbers[label]))
        else:
            tags[first:last] = MISSING if own_labels is None or label in own_labels else OUTSIDE
    if kept:
        starts, ends, labels = (np.array(column, dtype=np.int64) for column in zip(*kept, strict=True))
        entity_tags = spans_to_tags(Spans(starts, ends, labels), len(predicted), MISSING)
        tags = np.where(entity_tags == MISSING, tags, entity_tags)
    return tags


def have_same_tokens(predicted: Doc, reference: Doc) -> bool:
    """Whether two docs have the same tokens, with the same spaces after them."""
    if len(predicted) != len(reference):
        return False
    return np.array_equal(predicted.to_array([ORTH, SPACY]), reference.to_array([ORTH, SPACY]))


def _align(example: Example, report: GoldReport) -> tuple[Ints, list[Entity]]:
    """Tags and entities of the reference, in tokens of the predicted doc."""
    _, biluo = example.get_aligned_ents_and_ner()
    tags = np.array([OUTSIDE if tag == "O" else MISSING for tag in biluo], dtype=np.int64)
    spans = biluo_tags_to_spans(example.predicted, [tag or "-" for tag in biluo])
    entities = [(span.start, span.end, span.label_) for span in spans if span.label_]
    lost = len(example.reference.ents) - len(entities)
    if lost > 0:
        found = Counter((example.predicted[start:end].text, label) for start, end, label in entities)
        named = Counter((ent.text, ent.label_) for ent in example.reference.ents) - found
        for text, label in islice(named.elements(), lost):
            report.misaligned.add_entity(example.reference, text, label)
    return tags, entities


def _trim(doc: Doc, start: int, end: int) -> tuple[int, int]:
    while start < end and doc[start].is_space:
        start += 1
    while end > start and doc[end - 1].is_space:
        end -= 1
    return start, end


def chain_gold(
    tags: Ints,
    tokens: ChainTokens,
    scheme: Scheme,
    docs: Sequence[Doc] = (),
    report: Optional[GoldReport] = None,
) -> Ints:
    """Turn the gold tags of all tokens into the gold tags of the chain.

    An entity that the constraints do not allow becomes MISSING, as do tokens that can only be O.

    Args:
        tags (Ints): (N,) BIO tags of all tokens, from `gold_tags`.
        tokens (ChainTokens): The tokens of the chain.
        scheme (Scheme): The tag scheme of the result.
        docs (Sequence[Doc]): The docs of the tokens. Only the report needs them.
        report (Optional[GoldReport]): Counts the entities that are not allowed.

    Returns:
        Ints: (M,) The gold tags.
    """
    own = tags[tokens.rows]
    spans = tags_to_spans(own, tokens.starts, BIO)
    taken = np.cumsum(np.concatenate([[0], tokens.outside]))
    separated = np.cumsum(np.concatenate([[0], tokens.separate]))
    free = taken[spans.ends] == taken[spans.starts]
    whole = separated[spans.ends] == separated[spans.starts + 1]
    fits = free & whole
    if report is not None and not fits.all():
        lost = Spans(*(column[~fits] for column in spans))
        _report_lost(tokens.rows[lost.starts], tokens.rows[lost.ends - 1] + 1, free[~fits], docs, report)
    as_tags = spans_to_tags(Spans(*(column[fits] for column in spans)), len(own), MISSING, scheme)
    return np.where((own == OUTSIDE) & ~tokens.outside, OUTSIDE, as_tags)


def _report_lost(starts: Ints, ends: Ints, free: Bools, docs: Sequence[Doc], report: GoldReport) -> None:
    """Count entities that the constraints do not allow. free: whether an entity overlaps with nothing that is given."""
    first_tokens = np.cumsum([0, *(len(doc) for doc in docs)])
    of_doc = np.searchsorted(first_tokens, starts, side="right") - 1
    for start, end, k, is_free in zip(starts.tolist(), ends.tolist(), of_doc.tolist(), free.tolist(), strict=True):
        span = docs[k][start - int(first_tokens[k]) : end - int(first_tokens[k])]
        crosses = is_free and any(token.is_sent_start for token in span[1:])
        (report.across_sentences if crosses else report.overlapping).add_entity(docs[k], span.text)


def incorrect_spans(
    examples: Sequence[Example], key: str, label_numbers: Mapping[str, int], tokens: ChainTokens, gold: Spans
) -> tuple[Spans, Ints]:
    """Read the spans that are known to be wrong.

    Args:
        examples (Sequence[Example]): The examples.
        key (str): The key of these spans in `doc.spans` of the references. A span with the label "O" says that its
            tokens are in some entity. Spans with labels that the component does not have are ignored.
        label_numbers (Mapping[str, int]): The number of each label.
        tokens (ChainTokens): The tokens of the chain.
        gold (Spans): The gold entities, in rows of the chain.

    Returns:
        Tuple[Spans, Ints]: The wrong spans, and the tokens that are in some entity, both in rows of the chain.

    Raises:
        ValueError: If a wrong span is a gold entity as well (spaCy's E868).
    """
    found: list[tuple[int, int, int]] = []
    not_outside: list[int] = []
    entities = set(zip(*(column.tolist() for column in gold), strict=True))
    first_token = 0
    for example in examples:
        for span in example.get_aligned_spans_y2x(example.reference.spans.get(key, []), allow_overlap=True):
            # Rows without white space, so that a span with white space at its end is the same span.
            bounds = np.searchsorted(tokens.rows, [first_token + span.start, first_token + span.end]).tolist()
            wrong = (bounds[0], bounds[1], label_numbers.get(span.label_, MISSING))
            if wrong in entities:
                conflict = Errors.E868.format(span=(span.start_char, span.end_char, span.label_))
                raise ValueError(f"{conflict} It is {span.text!r} ({span.label_}), also in doc.spans[{key!r}]")
            if span.label_ == "O":
                not_outside.extend(range(*bounds))
            elif wrong[2] != MISSING and bounds[0] < bounds[1]:
                found.append(wrong)
        first_token += len(example.predicted)
    columns = np.array(found, dtype=np.int64).reshape(-1, 3).T
    return Spans(*columns), np.array(not_outside, dtype=np.int64)
