"""Docs with gold and predicted entities for tests of the report, and what other packages count in them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_ner.report.judge import Entity, Judged

VOCAB = Vocab()
LABELS = ["LOC", "ORG", "PER"]


def judged(words, gold=(), found=()):
    """A doc. Entities are tuples (start, end, label) or (start, end, label, score)."""
    ends = np.cumsum([len(word) + 1 for word in words])
    limits = np.stack([ends - [len(word) + 1 for word in words], ends - 1], axis=1)
    sides = ([Entity(*span) for span in side] for side in (gold, found))
    return Judged(1, " ".join(words), limits, np.ones(len(words), dtype=bool), *sides)


@st.composite
def spans(draw, length):
    """Some entities that do not overlap, in order."""
    limits = sorted(draw(st.sets(st.integers(0, length))))
    pairs = pairwise(limits)
    return [(start, end, draw(st.sampled_from(LABELS))) for start, end in pairs if draw(st.booleans())]


@st.composite
def corpora(draw):
    """Some docs with random entities."""
    docs = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1, 12))
        docs.append(judged(["w"] * length, draw(spans(length)), draw(spans(length))))
    return docs


def spoil(doc, random):
    """The doc with predicted entities that are the gold ones with errors: other types, limits, missed and spurious."""
    found, end = [], 0
    for start, stop, label, _ in doc.gold:
        kind = random.random()
        if kind < 0.05:
            continue
        if kind < 0.15:
            label = random.choice(sorted({label, *LABELS}))
        elif kind < 0.25:
            start, stop = max(end, start - random.randint(0, 1)), min(len(doc.limits), stop + random.randint(0, 2))
        if end <= start < stop:
            found.append(Entity(start, stop, label, random.random()))
            end = stop
        if kind > 0.95 and end + 2 < len(doc.limits):
            found.append(Entity(end, end + 1, random.choice(LABELS), random.random()))
            end += 1
    return replace(doc, found=found)


def examples_of(docs):
    """The docs as spaCy's examples."""
    for doc in docs:
        sides = []
        for entities in (doc.found, doc.gold):
            words = [f"{k}" for k in range(len(doc.limits))]
            sides.append(Doc(VOCAB, words=words))
            sides[-1].set_ents([Span(sides[-1], *entity[:3]) for entity in entities], default="outside")
        yield Example(*sides)


def nervaluate_counts(docs):
    """For each way of matching, the counts, precision and recall of nervaluate."""
    nervaluate = pytest.importorskip("nervaluate", reason="nervaluate is not installed")
    sides = [
        [[{"label": e.label, "start": e.start, "end": e.end - 1} for e in entities] for entities in side]
        for side in ([doc.gold for doc in docs], [doc.found for doc in docs])
    ]
    labels = sorted({entity["label"] for side in sides for doc in side for entity in doc})
    overall = nervaluate.Evaluator(*sides, tags=labels, loader="dict").evaluate()["overall"]
    names = ("correct", "incorrect", "partial", "missed", "spurious", "precision", "recall", "f1")
    ways = {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}
    return {way: {name: getattr(overall[theirs], name) for name in names} for way, theirs in ways.items()}


def seqscore_counts(docs):
    """The counts of seqscore by type (and "All"), and its accuracy of labels."""
    scoring = pytest.importorskip("seqscore.scoring", reason="seqscore is not installed")
    sides = []
    for side in ([doc.found for doc in docs], [doc.gold for doc in docs]):
        sides.append([])
        for doc, entities in zip(docs, side, strict=True):
            tags = ["O"] * len(doc.limits)
            for entity in entities:
                tags[entity.start : entity.end] = [f"I-{entity.label}"] * (entity.end - entity.start)
                tags[entity.start] = f"B-{entity.label}"
            sides[-1].append(tags)
    scores, accuracy = scoring.score_label_sequences(*sides, "BIO", repair=None)
    counts = {"All": scores, **scores.type_scores}
    return {name: (own.true_pos, own.false_pos, own.false_neg) for name, own in counts.items()}, accuracy.accuracy
