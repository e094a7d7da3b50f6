"""All figures of a report, as values that JSON can hold."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..pipeline.calibration import reliability
from ..training.logger import losses_per_word
from ..training.review import Doubt
from . import bootstrap
from .counts import (
    GROUPS,
    KINDS,
    Counts,
    Pair,
    casing,
    confusion,
    count_four_ways,
    count_groups,
    count_labels,
    count_tokens,
    doc_length,
    entity_length,
    pair_up,
    seen_before,
)
from .judge import Entity, Judged, Judgement, Seen

CONTEXT = 12
"""Tokens that are shown before and after an entity."""
GROUPS_SHOWN = 12
SUSPECT = 0.5
"""From this score on, a doubt is counted as a suspected error."""


def compute(
    judgement: Judgement, seen: Optional[Seen] = None, limit: int = 20, samples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Compute the figures of one pipeline.

    Args:
        judgement (Judgement): Its docs.
        seen (Optional[Seen]): The entities of the training data.
        limit (int): The number of examples in each list.
        samples (int): The number of samples of the bootstrap.
        seed (int): Its seed.

    Returns:
        dict[str, Any]: The figures. Those that cannot be computed are None.
    """
    docs, (labels, counts) = judgement.docs, count_labels(judgement.docs)
    pairs = pair_up(docs)
    rows = np.concatenate([counts.sum(axis=1, keepdims=True), counts], axis=1)
    figures = [
        {**Counts(*own).figures(), **its}
        for own, its in zip(rows.sum(axis=0).tolist(), bootstrap.intervals(rows, samples, seed), strict=True)
    ]
    group_of: dict[str, Callable[[Judged, Entity], str]] = {} if seen is None else {"seen": seen_before(seen)}
    group_of |= {"entity_length": entity_length, "document_length": doc_length, "casing": casing}
    groups = {name: count_groups(docs, own, GROUPS[name]) for name, own in group_of.items()}
    return {
        "documents": len(docs),
        "documents_without_annotation": judgement.skipped,
        "samples": samples if len(docs) > 1 else None,
        "unknown_labels": _unknown_labels(judgement),
        "overall": figures[0],
        "by_type": dict(zip(labels, figures[1:], strict=True)),
        "tokens": count_tokens(docs),
        "four_ways": count_four_ways(docs),
        "errors": _errors(pairs),
        "error_groups": list(_error_groups(docs, pairs)),
        "confusion": confusion(pairs),
        "groups": {name: {group: own.figures() for group, own in its.items()} for name, its in groups.items()},
        "confidence": _confidence(docs),
        **_examples(docs, pairs, limit),
        "doubts": [_doubt(docs[doubt.doc], doubt) for doubt in judgement.doubts[:limit]],
        "differences": len(judgement.doubts),
        "suspected": sum(doubt.score >= SUSPECT for doubt in judgement.doubts),
    }


def training_curves(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Take from the log of training what the report shows.

    Args:
        rows (Sequence[Mapping[str, Any]]): The lines of the log.

    Returns:
        list[dict[str, Any]]: For each evaluation `step`, `words`, `score`, the `losses` per word, and precision, recall
            and F on the dev data as `p`, `r` and `f`. What was not logged is None.
    """
    return [
        {
            **{key: row[key] for key in ("step", "words", "score")},
            "losses": losses,
            **{key: row["scores"].get(f"ents_{key}") for key in "prf"},
        }
        for row, losses in zip(rows, losses_per_word(rows), strict=True)
    ]


def _unknown_labels(judgement: Judgement) -> dict[str, int]:
    """The gold entities with types that the pipeline cannot find, by type."""
    counts = Counter(entity.label for doc in judgement.docs for entity in doc.gold)
    return {label: n for label, n in sorted(counts.items()) if judgement.labels and label not in judgement.labels}


def _errors(pairs: Sequence[Pair]) -> dict[str, int]:
    counts = Counter(pair.kind for pair in pairs)
    return {kind: counts[kind] for kind in KINDS}


def _error_groups(docs: Sequence[Judged], pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    """The largest groups of errors of one kind, with the texts that are most frequent among them."""
    texts: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for pair in pairs:
        if pair.kind != "right":
            texts[(pair.kind, *pair.labels)][docs[pair.doc].text_of(pair.start, pair.end)] += 1
    sizes = {group: sum(counts.values()) for group, counts in texts.items()}
    for group in sorted(sizes, key=lambda group: -sizes[group])[:GROUPS_SHOWN]:
        yield {
            **dict(zip(("kind", "gold", "found"), group, strict=True)),
            "count": sizes[group],
            "share": sizes[group] / sum(sizes.values()),
            "texts": dict(texts[group].most_common(5)),
        }


def _confidence(docs: Sequence[Judged]) -> Optional[dict[str, Any]]:
    """How far probabilities can be trusted, and scores by threshold. None if not all entities have a probability."""
    found = [(entity.score, right) for doc in docs for entity, right in zip(doc.found, doc.right, strict=True)]
    if not found or any(score is None for score, _ in found):
        return None
    scores, right = np.array([score for score, _ in found], dtype="float64"), np.array([hit for _, hit in found])
    n_gold, thresholds = sum(len(doc.gold) for doc in docs), []
    for k in range(100):
        kept = scores >= k / 100
        tp = int(right[kept].sum())
        own = Counts(tp, int(kept.sum()) - tp, n_gold - tp)
        thresholds.append({"threshold": k / 100, **own.scores()})
    best = max(thresholds, key=lambda row: row["f"] or 0.0)
    measured = reliability(scores, right)
    bins = [own._asdict() for own in measured.bins]
    return {"ece": measured.ece, "brier": measured.brier, "bins": bins, "thresholds": thresholds, "best": best}


def _examples(docs: Sequence[Judged], pairs: Sequence[Pair], limit: int) -> dict[str, Any]:
    """Mistakes and hits in context. Without probabilities, they come from all parts of the data."""
    found = [
        (number, entity, right)
        for number, doc in enumerate(docs)
        for entity, right in zip(doc.found, doc.right, strict=True)
    ]
    wrong = [(number, entity) for number, entity, right in found if not right]
    hits = [(number, entity) for number, entity, right in found if right and entity.score is not None]
    if all(entity.score is not None for _, entity, _ in found):
        wrong = sorted(wrong, key=lambda one: -(one[1].score or 0.0))[:limit]
    hits = sorted(hits, key=lambda one: one[1].score or 0.0)[:limit]
    missed = [(pair.doc, pair.gold) for pair in pairs if pair.gold is not None and pair.found is None]
    shown = {"mistakes": _spread(wrong, limit), "least_confident_hits": hits, "missed": _spread(missed, limit)}
    return {
        name: [in_context(docs[number], entity.start, entity.end) for number, entity in entities]
        for name, entities in shown.items()
    }


def _spread(items: Sequence[Any], limit: int) -> list[Any]:
    """Some items from all parts of a list."""
    return [items[k * len(items) // limit] for k in range(limit)] if len(items) > limit else list(items)


def in_context(
    doc: Judged,
    start: int,
    end: int,
    gold: Optional[Sequence[Entity]] = None,
    found: Optional[Sequence[Entity]] = None,
) -> dict[str, Any]:
    """Cut out a place of a doc, with the gold and the predicted entities in it.

    Args:
        doc (Judged): The doc.
        start (int): The first token.
        end (int): The token after the last one.
        gold (Optional[Sequence[Entity]]): The gold entities; None for those of the doc.
        found (Optional[Sequence[Entity]]): The predicted entities; None for those of the doc.

    Returns:
        dict[str, Any]: The number of the doc, and the parts of the text as `gold` and as `found`: each has a
            `text`, and an entity also a `label`, a `score` if its probability is known, and whether it is at the
            place that is `meant`.
    """
    first, last = max(0, start - CONTEXT), min(len(doc.limits), end + CONTEXT)
    sides = {"gold": doc.gold if gold is None else gold, "found": doc.found if found is None else found}
    return {
        "document": doc.number,
        **{name: list(_parts(doc, (first, last), (start, end), entities)) for name, entities in sides.items()},
    }


def _parts(
    doc: Judged, shown: tuple[int, int], meant: tuple[int, int], entities: Sequence[Entity]
) -> Iterator[dict[str, Any]]:
    def plain(start: int, end: int) -> Iterator[dict[str, Any]]:
        if start < end:
            yield {"text": re.sub(r"\s+", " ", doc.text[start:end])}

    first, last = shown
    at, from_char = first, int(doc.limits[first, 0])
    for entity in sorted(entities):
        start, end = max(entity.start, first), min(entity.end, last)
        if at <= start < end:
            yield from plain(from_char, int(doc.limits[start, 0]))
            score = {} if entity.score is None else {"score": entity.score}
            in_place = entity.start < meant[1] and entity.end > meant[0]
            yield {"text": doc.text_of(start, end), "label": entity.label, **score, "meant": in_place}
            at, from_char = end, int(doc.limits[end - 1, 1])
    yield from plain(from_char, int(doc.limits[last - 1, 1]))


def _doubt(doc: Judged, doubt: Doubt) -> dict[str, Any]:
    own, suggested = ([Entity(*span) for span in side] for side in (doubt.annotated, doubt.suggested))
    place = in_context(doc, doubt.start, doubt.end, own, suggested)
    return {**place, "score": doubt.score}


def compare_data(first: Judgement, second: Judgement, seen: Optional[Seen], samples: int, seed: int) -> dict[str, Any]:
    """Compare one pipeline on two data sets.

    Args:
        first (Judgement): The docs of one data set.
        second (Judgement): Those of the other.
        seen (Optional[Seen]): The entities of the training data.
        samples (int): The number of samples of the bootstrap.
        seed (int): Its seed.

    Returns:
        dict[str, Any]: The figures of the second data set, without examples, and the test of the difference in F.
    """
    figures = compute(second, seen, 0, samples, seed)
    ours, theirs = (count_labels(own.docs)[1].sum(axis=1) for own in (first, second))
    return {**figures, **bootstrap.compare_unpaired(ours, theirs, samples, seed)}


def compare(first: Judgement, second: Judgement, limit: int, samples: int, seed: int) -> dict[str, Any]:
    """Compare two pipelines on the same docs.

    Args:
        first (Judgement): The docs of one pipeline.
        second (Judgement): Those of the other.
        limit (int): The number of examples in each list.
        samples (int): The number of samples of the bootstrap.
        seed (int): Its seed.

    Returns:
        dict[str, Any]: The test of the difference, the scores of the second pipeline, and the gold entities that only
            one of them finds.

    Raises:
        ValueError: If the gold entities are not the same.
    """
    if [doc.gold for doc in first.docs] != [doc.gold for doc in second.docs]:
        raise ValueError(
            "the two pipelines divide the text into different tokens, so their entities cannot be compared. Leave out "
            "--from-text"
        )
    (_, ours), (labels, theirs) = count_labels(first.docs), count_labels(second.docs)
    result = bootstrap.compare(ours.sum(axis=1), theirs.sum(axis=1), samples, seed)
    result["f"] = [Counts(*own.sum(axis=(0, 1)).tolist()).scores()["f"] for own in (ours, theirs)]
    result["overall"] = Counts(*theirs.sum(axis=(0, 1)).tolist()).figures()
    by_label = [Counts(*own).figures() for own in theirs.sum(axis=0).tolist()]
    result["by_type"] = dict(zip(labels, by_label, strict=True))
    for name, one, other in (("only_first", first, second), ("only_second", second, first)):
        places = [
            (number, gold)
            for number, (doc, its) in enumerate(zip(one.docs, other.docs, strict=True))
            for gold, met, met_by_other in zip(doc.gold, doc.met, its.met, strict=True)
            if met and not met_by_other
        ]
        by_type = Counter(gold.label for _, gold in places)
        shown = [in_context(other.docs[number], gold.start, gold.end) for number, gold in _spread(places, limit)]
        result[name] = {"count": len(places), "by_type": dict(sorted(by_type.items())), "examples": shown}
    return result
