"""What must be true of every prediction; the stateful tests call it after each step."""

from itertools import pairwise

import numpy as np
from spacy.tokens import Doc, Span

from spacy_lstm_ner.annotation.chain import BLOCKED, ENTITIES
from spacy_lstm_ner.layers.crf.transitions import dot, path_counts
from spacy_lstm_ner.pipeline.predict import read_chains
from spacy_lstm_ner.pipeline.settings import Settings
from spacy_lstm_ner.tags import Spans, spans_to_tags
from support.random_docs import KEY


def annotation(doc):
    """Everything that a component may change."""
    groups = [
        (key, [(span.start, span.end, span.label) for span in group], {k: str(v) for k, v in group.attrs.items()})
        for key, group in doc.spans.items()
    ]
    return doc.to_array(["ENT_IOB", "ENT_TYPE", "SENT_START"]).tolist(), groups, doc.text


def copy_of(doc):
    return Doc(doc.vocab).from_bytes(doc.to_bytes())


def log_weight(component, doc, prediction):
    """The score of an analysis, and of all tokens that it is made of, by another way than decoding goes."""
    chains = read_chains(component.tagger, [doc])
    numbers = [component.labels.index(label) for label in prediction.labels]
    rows = chains.tokens.rows
    starts, ends = np.searchsorted(rows, prediction.starts), np.searchsorted(rows, prediction.ends)
    spans = Spans(starts, ends, np.array(numbers, dtype=np.int64))
    tags = spans_to_tags(spans, len(rows), 0, chains.transitions.scheme)
    score = chains.emissions[np.arange(len(rows)), tags].astype("float64").sum()
    return score + dot(path_counts(tags, chains.tokens.lengths, chains.transitions), chains.transitions.params)


def check_prediction(doc, prediction, cfg):
    """Spans are within the doc, in order, apart, of known labels, not at white space and not on what is given."""
    last, given = 0, Settings.of(cfg).given
    for start, end, label in zip(prediction.starts, prediction.ends, prediction.labels, strict=True):
        assert last <= start < end <= len(doc)
        assert not doc[start].is_space and not doc[end - 1].is_space
        assert label in cfg["labels"]
        for token in doc[start:end]:
            is_blocked = token.ent_iob_ == "B" and not token.ent_type_
            assert not (given in (ENTITIES, BLOCKED) and is_blocked)
            assert not (given == ENTITIES and token.ent_type_)
        if cfg["sentence_boundaries"]:
            assert not any(token.is_sent_start for token in doc[start + 1 : end])
        last = end
    if prediction.scores is not None:
        scores = np.array(prediction.scores)
        assert len(scores) == len(prediction.starts) and np.isfinite(scores).all()
        assert (scores >= 0).all() and (scores <= 1).all()
        least = [cfg["label_thresholds"].get(label, cfg["threshold"]) for label in prediction.labels]
        assert (scores >= np.array(least)).all()


def check_same_alone(component, docs, together):
    """What a doc gets in a batch is what it gets alone; but for a tie, where rounding decides."""
    for doc, theirs in zip(docs, together, strict=True):
        own = component.predict([doc])[0]
        if own[:3] == theirs[:3]:
            if own.scores is not None:
                np.testing.assert_allclose(own.scores, theirs.scores, atol=1e-4)
        elif component.cfg["decoding"] == "best_sequence" and not (
            component.cfg["threshold"] or component.cfg["label_thresholds"]
        ):
            tie = log_weight(component, doc, own), log_weight(component, doc, theirs)
            np.testing.assert_allclose(*tie, rtol=1e-5, atol=1e-4)


def check_written(before, doc, prediction, cfg, name):
    """The doc has what was predicted, and what it had; `before` is a copy of it as it was."""
    assert doc.text == before.text
    spans = list(zip(prediction.starts, prediction.ends, prediction.labels, strict=True))
    entities = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
    if cfg["annotate"] == "spans":
        assert annotation(doc)[0] == annotation(before)[0]
    else:
        assert set(spans) <= set(entities)
        covered = {k for start, end, _ in spans for k in range(start, end)}
        for ent in before.ents:
            if covered.isdisjoint(range(ent.start, ent.end)):
                assert (ent.start, ent.end, ent.label_) in entities
            else:
                assert cfg["overwrite"]
        assert not set(entities) - set(spans) - {(ent.start, ent.end, ent.label_) for ent in before.ents}
        assert all(token.ent_iob for token in doc)
        for old, new in zip(before, doc, strict=True):
            if old.ent_iob_ == "B" and not old.ent_type_:
                assert new.ent_iob_ == "B" and not new.ent_type_
    for span, score in zip(spans, prediction.scores, strict=True):
        assert Span(doc, *span)._.lstm_ner_score == score
    if cfg["annotate"] == "ents":
        return
    group = doc.spans[KEY]
    scores = np.asarray(group.attrs["scores"])
    assert len(scores) == len(group) and np.isfinite(scores).all() and ((scores >= 0) & (scores <= 1)).all()
    of_group = {(span.start, span.end, span.label_): float(score) for span, score in zip(group, scores, strict=True)}
    for span, score in zip(spans, prediction.scores, strict=True):
        assert abs(of_group[span] - score) < 1e-6


def check_analyses(doc, analyses, n, labels):
    """Other analyses: different, ordered, each with a probability, in all no more than 1."""
    probabilities = [probability for _, probability in analyses]
    assert 1 <= len(analyses) <= n
    assert all(0.0 <= p <= 1.0 for p in probabilities) and sum(probabilities) <= 1.0 + 1e-5
    assert all(one >= other - 1e-9 for one, other in pairwise(probabilities))
    assert len({tuple(spans) for spans, _ in analyses}) == len(analyses)
    for spans, _ in analyses:
        last = 0
        for start, end, label in spans:
            assert last <= start < end <= len(doc) and label in labels
            assert not doc[start].is_space and not doc[end - 1].is_space
            last = end


def check_doubt(doubt):
    assert all(np.isfinite(value) and value >= -1e-6 for value in doubt)
    assert doubt.least_confidence <= 1.0 and doubt.margin <= 1.0
