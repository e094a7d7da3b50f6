"""The divergence of two chains of tags against the enumeration of all sequences."""

import numpy as np
import pytest
from support.chains import CASES, assert_numeric, log_sum, paths, random_case, random_transitions

from spacy_lstm_ner.layers.crf.divergence import chain_divergence
from spacy_lstm_ner.layers.crf.forward_backward import forward_backward
from spacy_lstm_ner.layers.crf.transitions import Transitions
from spacy_lstm_ner.tags import SCHEMES


def grown_case(scheme_name, seed):
    """An earlier chain, and one with one more label, which some tokens may take."""
    rng, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    n_new = scheme.n_labels(e.shape[1]) + 1
    emissions = rng.normal(size=(len(e), scheme.n_tags(n_new))) * 2
    wider = rng.uniform(size=emissions.shape) < 0.5
    wider[:, : e.shape[1]] = allowed
    earlier = forward_backward(e, lengths, Transitions(scheme, params), allowed)
    return scheme, lengths, (e, params, allowed), earlier, emissions, random_transitions(rng, scheme, n_new), wider


@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_divergence_against_enumeration(scheme_name, seed):
    scheme, lengths, (e, old, allowed), earlier, emissions, new, wider = grown_case(scheme_name, seed)
    ours = chain_divergence(earlier, emissions, Transitions(scheme, new), wider).value
    expected, first = 0.0, 0
    for n in lengths.tolist():
        rows = slice(first, first + n)
        q, p = paths(scheme, old, e[rows], allowed[rows]), paths(scheme, new, emissions[rows], wider[rows])
        log_zq, log_zp = log_sum(q.values()), log_sum(p.values())
        expected += sum(np.exp(score - log_zq) * (score - log_zq - (p[tags] - log_zp)) for tags, score in q.items())
        first += n
    assert ours == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("scheme_name, seed", [(scheme, seed) for scheme in SCHEMES for seed in range(8)])
def test_gradient_is_numeric(scheme_name, seed):
    scheme, _, _, earlier, emissions, new, wider = grown_case(scheme_name, seed)

    def value():
        return chain_divergence(earlier, emissions, Transitions(scheme, new), wider).value

    loss = chain_divergence(earlier, emissions, Transitions(scheme, new), wider)
    assert_numeric(value, [emissions, *new], [loss.d_emissions, *loss.d_transitions], every_entry=seed < 2)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_divergence_from_itself(scheme):
    _, codec, lengths, e, params, allowed = random_case(scheme, 3)
    transitions = Transitions(codec, params)
    loss = chain_divergence(forward_backward(e, lengths, transitions, allowed), e, transitions, allowed)
    assert loss.value == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(loss.d_emissions, 0.0, atol=1e-12)
    for gradient in loss.d_transitions:
        np.testing.assert_allclose(gradient, 0.0, atol=1e-12)
