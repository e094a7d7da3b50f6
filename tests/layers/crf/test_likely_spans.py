"""Likely entities and the best set of them, against sums over all sequences of tags and a search through all sets."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chains import CASES, log_sum, paths, random_case, spans_of, split

from spacy_lstm_ner.layers.crf import likely_spans as module
from spacy_lstm_ner.layers.crf.forward_backward import forward_backward
from spacy_lstm_ner.layers.crf.likely_spans import best_set, likely_spans
from spacy_lstm_ner.layers.crf.span_probability import probabilities
from spacy_lstm_ner.layers.crf.transitions import Transitions, zero_transitions
from spacy_lstm_ner.tags import SCHEMES, Spans


def by_enumeration(scheme, params, lengths, e, allowed):
    """P(span, label | text) of every entity, by rows of the batch."""
    found, first = {}, 0
    for own_e, own_allowed in split(lengths, e, allowed):
        scores = paths(scheme, params, own_e, own_allowed)
        total = log_sum(scores.values())
        for tags, score in scores.items():
            for start, end, label in spans_of(scheme, tags):
                key = (first + start, first + end, label)
                found[key] = found.get(key, 0.0) + np.exp(score - total)
        first += len(own_e)
    return found


def as_dict(spans, scores):
    return dict(zip(zip(*(column.tolist() for column in spans), strict=True), scores.tolist(), strict=True))


def weight(chosen, scores, threshold):
    return sum(scores[span] - threshold for span in chosen)


def all_sets(spans, first=0):
    """All sets of these entities that do not overlap, and begin at a row or later."""
    yield ()
    for span in spans:
        if span[0] >= first:
            yield from ((span, *others) for others in all_sets(spans, span[1]))


def best_of_all_sets(scores, threshold):
    """The greatest sum of probability minus threshold over all sets of entities that do not overlap."""
    useful = [span for span in scores if scores[span] >= threshold]
    return max(weight(chosen, scores, threshold) for chosen in all_sets(useful))


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_all_likely_entities_and_the_best_set(scheme_name, seed, softmax):
    rng, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    if softmax:
        params = zero_transitions(scheme, scheme.n_labels(e.shape[1]))
    expected = by_enumeration(scheme, params, lengths, e, allowed)
    for threshold in (0.03, 0.1, float(rng.uniform(0.1, 0.6))):
        bounds = np.full(scheme.n_labels(e.shape[1]), threshold)
        spans, scores = likely_spans(e, lengths, Transitions(scheme, params), allowed, bounds)
        found = as_dict(spans, scores)
        assert found == pytest.approx({s: p for s, p in expected.items() if p >= threshold}, abs=1e-9)
        assert sorted(found) == list(found)
        chosen = [list(found)[k] for k in best_set(spans, scores - threshold)]
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(chosen))
        best = 0.0
        for first, length in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
            own = {span: p for span, p in expected.items() if first <= span[0] < first + length}
            best += best_of_all_sets(own, threshold)
        assert weight(chosen, found, threshold) == pytest.approx(best, abs=1e-9)


def test_bounds_by_label():
    _, scheme, lengths, e, params, allowed = random_case("bio", 5)
    assert scheme.n_labels(e.shape[1]) == 2
    expected = by_enumeration(scheme, params, lengths, e, allowed)
    found = as_dict(*likely_spans(e, lengths, Transitions(scheme, params), allowed, np.array([0.3, 0.1])))
    assert found == pytest.approx({s: p for s, p in expected.items() if p >= (0.3, 0.1)[s[2]]}, abs=1e-9)
    assert {label for *_, label in found} == {0, 1}


@pytest.mark.parametrize("scheme_name", SCHEMES)
def test_likely_entities_that_begin_somewhere_sum_to_the_marginal(scheme_name):
    _, scheme, lengths, e, params, _ = random_case(scheme_name, 1)
    transitions, n_labels = Transitions(scheme, params), scheme.n_labels(e.shape[1])
    spans, scores = likely_spans(e, lengths, transitions, None, np.zeros(n_labels))
    marginals = forward_backward(e, lengths, transitions).marginals
    for row, label in itertools.product(range(len(e)), range(n_labels)):
        own = (spans.starts == row) & (spans.labels == label)
        tags = [1 + len(scheme.roles) * label + scheme.roles.index(role) for role in scheme.opening]
        # What is below the smallest bound is missing.
        assert scores[own].sum() == pytest.approx(marginals[row, tags].sum(), abs=len(e) * module.LEAST_BOUND)


@pytest.mark.parametrize("scheme_name", SCHEMES)
@pytest.mark.parametrize("long_entities", [False, True])
def test_long_chains_run_in_blocks(scheme_name, long_entities, monkeypatch):
    """Entities that cross the end of a block are found too, and chains that are cut in no place run as a whole."""
    scheme, rng, lengths = SCHEMES[scheme_name], np.random.default_rng(5), np.array([400, 3, 0, 130])
    e = rng.normal(size=(int(lengths.sum()), scheme.n_tags(2))) * 3
    if long_entities:
        e[100:290, 1 + scheme.roles.index("I")] += 30
    transitions = Transitions(scheme, zero_transitions(scheme, 2))
    whole = likely_spans(e, lengths, transitions, None, np.full(2, 0.05))
    monkeypatch.setattr(module, "rows_at_once", lambda n_tags: 40)
    pieces = likely_spans(e, lengths, transitions, None, np.full(2, 0.05))
    assert as_dict(*whole) == pytest.approx(as_dict(*pieces), abs=1e-9)
    assert (whole[0].ends - whole[0].starts).max() > (180 if long_entities else 1)
    np.testing.assert_allclose(probabilities(e, lengths, transitions, None, whole[0]), whole[1], atol=1e-9)


def test_no_token():
    transitions = Transitions(SCHEMES["bio"], zero_transitions(SCHEMES["bio"], 1))
    spans, scores = likely_spans(np.zeros((0, 3)), np.array([0, 0]), transitions, None, np.array([0.1]))
    assert len(spans.starts) == len(scores) == len(best_set(spans, scores)) == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(0, 3), st.floats(0, 1)), max_size=7))
def test_the_best_set_of_any_entities(drawn):
    scores = {(start, start + length, label): gain for start, length, label, gain in sorted(drawn)}
    table = np.array(sorted(scores), dtype=np.int64).reshape(-1, 3)
    chosen = [sorted(scores)[k] for k in best_set(Spans(*table.T), np.array([scores[s] for s in sorted(scores)]))]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(chosen))
    assert weight(chosen, scores, 0.0) == pytest.approx(best_of_all_sets(scores, 0.0), abs=1e-9)
