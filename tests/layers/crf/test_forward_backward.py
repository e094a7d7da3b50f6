"""The chain against the enumeration of all sequences of tags."""

import itertools

import numpy as np
import pytest
from support.chains import CASES, assert_numeric, log_sum, paths, random_case, random_transitions, spans_of, split

from spacy_lstm_ner.layers.crf.forbidden_spans import without_spans
from spacy_lstm_ner.layers.crf.forward_backward import entropy, forward_backward
from spacy_lstm_ner.layers.crf.likelihood import Gold, chain_loss, cross_entropy
from spacy_lstm_ner.layers.crf.transitions import TransitionParams, Transitions, zero_transitions
from spacy_lstm_ner.layers.crf.viterbi import decode, n_best
from spacy_lstm_ner.tags import BILUO, BIO, MISSING, SCHEMES, Spans, tags_to_spans


@pytest.mark.parametrize("dense_tags", [0, 100])
@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_sums_over_all_sequences(scheme_name, seed, dense_tags, monkeypatch):
    """Log-partition, marginals, expected counts and entropy, by the matrix and by the factored sums."""
    monkeypatch.setattr("spacy_lstm_ner.layers.crf.transitions.DENSE_TAGS", dense_tags)
    _, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    lattice = forward_backward(e, lengths, Transitions(scheme, params), allowed)
    entropies = entropy(lattice)
    expected = 0.0
    for k, (own_e, own_allowed, gamma) in enumerate(split(lengths, e, allowed, lattice.marginals)):
        found = paths(scheme, params, own_e, own_allowed)
        log_z = log_sum(found.values())
        assert lattice.log_partition[k] == pytest.approx(log_z, abs=1e-9)
        probs = {tags: np.exp(score - log_z) for tags, score in found.items()}
        marginals = np.zeros_like(own_e)
        for tags, p in probs.items():
            marginals[np.arange(len(tags)), list(tags)] += p
        np.testing.assert_allclose(gamma, marginals, atol=1e-9)
        assert entropies[k] == pytest.approx(-sum(p * np.log(p) for p in probs.values()), abs=1e-9)
        finite = np.where(own_allowed, own_e, 0.0)
        expected += sum(p * (found[tags] - sum(finite[t, x] for t, x in enumerate(tags))) for tags, p in probs.items())
    counts = lattice.expected_counts()
    ours = sum((a * b).sum() for a, b in zip(counts, params, strict=True))
    assert ours == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_best_sequences(scheme_name, seed):
    _, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    transitions = Transitions(scheme, params)
    tags = decode(e, lengths, transitions, allowed)
    for own_e, own_allowed, own_tags in split(lengths, e, allowed, tags):
        found = sorted(paths(scheme, params, own_e, own_allowed).items(), key=lambda item: -item[1])
        assert tuple(own_tags.tolist()) == found[0][0]
        for n in (1, 3, 50):
            best = n_best(own_e, transitions, n, own_allowed)
            assert [tuple(t.tolist()) for t, _ in best] == [t for t, _ in found[:n]]
            np.testing.assert_allclose([score for _, score in best], [score for _, score in found[:n]], atol=1e-9)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_decoding_without_transitions(scheme_name, seed, ties):
    """The arg max of each token leads to the best legal sequence too, alone and in a batch."""
    rng, scheme, lengths, e, _, allowed = random_case(scheme_name, seed)
    if ties:
        e = rng.integers(0, 3, size=e.shape).astype(float)
    free = zero_transitions(scheme, scheme.n_labels(e.shape[1]))
    given = e.copy()
    tags = decode(e, lengths, Transitions(scheme, free), allowed)
    np.testing.assert_array_equal(e, given)
    for own_e, own_allowed, own_tags in split(lengths, e, allowed, tags):
        found = paths(scheme, free, own_e, own_allowed)
        assert found[tuple(own_tags.tolist())] == pytest.approx(max(found.values()), abs=1e-9)
        alone = decode(own_e, np.array([len(own_e)]), Transitions(scheme, free), own_allowed)
        assert alone.tolist() == own_tags.tolist()


@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_sequences_without_forbidden_spans(scheme_name, seed):
    rng, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    n_labels = scheme.n_labels(e.shape[1])
    forbidden = random_spans(rng, lengths, n_labels)
    transitions = Transitions(scheme, params)
    chain = without_spans(e, lengths, transitions, allowed, as_spans(forbidden))
    gamma = chain.marginals()
    counts, expected = chain.expected_counts(), 0.0
    for k, (first, (own_e, own_allowed, own_gamma)) in enumerate(
        zip(np.cumsum(lengths) - lengths, split(lengths, e, allowed, gamma), strict=True)
    ):
        own = [(s - first, t - first, label) for s, t, label in forbidden]
        found = paths(scheme, params, own_e, own_allowed, own)
        log_z = log_sum(found.values())
        assert chain.lattice.log_partition[k] == pytest.approx(log_z, abs=1e-9)
        marginals, finite = np.zeros_like(own_e), np.where(own_allowed, own_e, 0.0)
        for tags, score in found.items():
            marginals[np.arange(len(tags)), list(tags)] += np.exp(score - log_z)
            expected += np.exp(score - log_z) * (score - sum(finite[t, x] for t, x in enumerate(tags)))
        np.testing.assert_allclose(own_gamma, marginals, atol=1e-9)
    ours = sum((a * b).sum() for a, b in zip(counts, params, strict=True))
    assert ours == pytest.approx(expected, abs=1e-9)


def random_spans(rng, lengths, n_labels, n=4):
    found = set()
    for first, length in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
        for _ in range(n if length else 0):
            start, end = sorted(rng.integers(0, length + 1, size=2).tolist())
            if start < end:
                found.add((int(first) + start, int(first) + end, int(rng.integers(n_labels))))
    return sorted(found)


def as_spans(rows):
    return Spans(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


def random_gold(rng, scheme, lengths, n_labels, share_missing):
    """Legal tags, some of them missing."""
    tags = []
    for length in lengths:
        e = rng.normal(size=(length, scheme.n_tags(n_labels)))
        tags.append(decode(e, np.array([length]), Transitions(scheme, zero_transitions(scheme, n_labels))))
    tags = np.concatenate(tags)
    # Whole entities lose their annotation, because the rest of an entity is none.
    spans = tags_to_spans(tags, np.cumsum(lengths) - lengths, scheme)
    for start, end, _ in zip(*spans, strict=True):
        if rng.uniform() < share_missing:
            tags[start:end] = MISSING
    tags[(tags == 0) & (rng.uniform(size=len(tags)) < share_missing)] = MISSING
    return tags


def agrees(scheme, gold, tags):
    """Whether tags agree with gold annotation: the same at annotated tokens, and entities end where they end."""
    known = spans_of(scheme, np.where(np.array(gold) == MISSING, 0, gold).tolist())
    same = all(g in (MISSING, tag) for g, tag in zip(gold, tags, strict=True))
    return same and known <= spans_of(scheme, tags)


@pytest.mark.parametrize("share_missing", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("scheme_name, seed", CASES)
def test_loss_of_partial_annotation(scheme_name, seed, share_missing):
    rng, scheme, lengths, e, params, _ = random_case(scheme_name, seed)
    n_labels = scheme.n_labels(e.shape[1])
    gold = random_gold(rng, scheme, lengths, n_labels, share_missing)
    negative = [s for s in random_spans(rng, lengths, n_labels, 2) if (gold[s[0] : s[1]] == MISSING).all()]
    forbidden = as_spans(negative) if seed % 2 else None
    transitions = Transitions(scheme, params)
    result = chain_loss(e, lengths, Gold(gold, None, forbidden), transitions)
    expected = 0.0
    for first, (own_e, own_gold) in zip(np.cumsum(lengths) - lengths, split(lengths, e, gold), strict=True):
        own = [(s - first, t - first, label) for s, t, label in negative] if seed % 2 else []
        found = paths(scheme, params, own_e)
        left = [
            score
            for tags, score in found.items()
            if agrees(scheme, own_gold.tolist(), tags) and not spans_of(scheme, tags) & set(own)
        ]
        expected += log_sum(found.values()) - log_sum(left)
    assert result.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("share_missing", [0.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scheme_name, seed", [(scheme, seed) for scheme in SCHEMES for seed in range(8)])
def test_gradient_is_numeric(scheme_name, seed, weighted, share_missing):
    rng, scheme, lengths, e, params, allowed = random_case(scheme_name, seed)
    n_labels = scheme.n_labels(e.shape[1])
    tags = random_gold(rng, scheme, lengths, n_labels, share_missing)
    missing = tags == MISSING
    allowed[~missing] |= True
    negative = [s for s in random_spans(rng, lengths, n_labels, 2) if missing[s[0] : s[1]].all()]
    gold = Gold(tags, allowed, as_spans(negative) if share_missing else None)
    options = {"weights": rng.uniform(0.5, 3.0, size=e.shape[1]), "smoothing": 0.1} if weighted else {}

    def loss():
        return chain_loss(e, lengths, gold, Transitions(scheme, params), **options).value

    result = chain_loss(e, lengths, gold, Transitions(scheme, params), **options)
    assert_numeric(loss, [e, *params], [result.d_emissions, *result.d_transitions], every_entry=seed < 2)


def test_wrong_spans_of_one_sequence_leave_the_others():
    """Sequences of every kind in one batch: the loss is the sum of their losses, in any order."""
    rng = np.random.default_rng(0)
    params = random_transitions(rng, BIO, 2)
    transitions = Transitions(BIO, params)
    whole = rng.normal(size=(4, 5)), np.array([0, 1, 2, 0]), [(0, 1, 1), (1, 2, 0)]
    partial = rng.normal(size=(3, 5)), np.array([MISSING, 3, MISSING]), []
    negative = rng.normal(size=(2, 5)), np.array([MISSING, MISSING]), [(0, 2, 0)]
    for order in itertools.permutations([whole, partial, negative]):
        lengths, first, spans, alone = np.array([len(e) for e, _, _ in order]), 0, [], 0.0
        for e, tags, own in order:
            spans += [(s + first, t + first, k) for s, t, k in own]
            alone += chain_loss(e, np.array([len(e)]), Gold(tags, None, as_spans(own)), transitions).value
            first += len(e)
        emissions, gold = np.concatenate([e for e, _, _ in order]), np.concatenate([tags for _, tags, _ in order])
        together = chain_loss(emissions, lengths, Gold(gold, None, as_spans(spans)), transitions)
        assert together.value == pytest.approx(alone, abs=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_smoothing_has_a_minimum(scheme):
    """Gradient descent on emissions and transitions converges."""
    lengths, gold = np.array([3]), Gold(np.zeros(3, dtype=np.int64))
    e, params = np.zeros((3, scheme.n_tags(1))), zero_transitions(scheme, 1)
    losses = []
    for _ in range(600):
        loss = chain_loss(e, lengths, gold, Transitions(scheme, params), smoothing=0.1)
        e = e - loss.d_emissions
        params = TransitionParams(*(x - d for x, d in zip(params, loss.d_transitions, strict=True)))
        losses.append(loss.value)
    assert losses[-1] > 0.0 and losses[-100] - losses[-1] < 1e-3


def test_extreme_emissions_stay_finite():
    """Scores thousands of nats apart: probabilities of 0 and 1, and no NaN."""
    rng = np.random.default_rng(0)
    lengths = np.array([30, 7])
    e = rng.normal(size=(37, 5)) * 1e4
    transitions = Transitions(BIO, random_transitions(rng, BIO, 2))
    lattice = forward_backward(e, lengths, transitions)
    assert np.isfinite(lattice.log_partition).all()
    np.testing.assert_allclose(lattice.marginals.sum(axis=1), 1.0)
    assert np.isfinite(entropy(lattice)).all()


def test_no_tokens_and_no_labels():
    for lengths in ([], [0, 0], [2, 0, 1]):
        lengths = np.array(lengths, dtype=np.int64)
        for n_labels in (0, 2):
            e = np.zeros((int(lengths.sum()), 2 * n_labels + 1))
            transitions = Transitions(BIO, zero_transitions(BIO, n_labels))
            lattice = forward_backward(e, lengths, transitions)
            assert lattice.log_partition.shape == lattice.lengths.shape
            assert decode(e, lengths, transitions).tolist() == [0] * len(e)
            result = chain_loss(e, lengths, Gold(np.zeros(len(e), dtype=np.int64)), transitions)
            assert result.value >= 0.0 and result.d_emissions.shape == e.shape
    assert n_best(np.zeros((2, 1)), Transitions(BILUO, zero_transitions(BILUO, 0)), 3)[0][0].tolist() == [0, 0]


def test_a_thousand_labels_take_the_factored_way():
    rng = np.random.default_rng(0)
    e, lengths = rng.normal(size=(40, 2001)), np.array([25, 15])
    transitions = Transitions(BIO, random_transitions(rng, BIO, 1000))
    lattice = forward_backward(e, lengths, transitions)
    assert "matrix" not in vars(transitions) and "_both_matrices" not in vars(transitions)
    np.testing.assert_allclose(lattice.marginals.sum(axis=1), 1.0)
    assert len(decode(e, lengths, transitions)) == 40


def test_a_batch_gives_what_its_sequences_give():
    rng = np.random.default_rng(0)
    lengths = np.array([3, 0, 12, 1, 5])
    e = rng.normal(size=(21, 9))
    transitions = Transitions(BIO, random_transitions(rng, BIO, 4))
    together = forward_backward(e, lengths, transitions)
    for k, (own_e, gamma) in enumerate(split(lengths, e, together.marginals)):
        alone = forward_backward(own_e, lengths[k : k + 1], transitions)
        np.testing.assert_allclose(alone.marginals, gamma, atol=1e-12)
        np.testing.assert_allclose(alone.log_partition, together.log_partition[k], atol=1e-12)


def test_cross_entropy_gradient():
    rng = np.random.default_rng(0)
    for weights, smoothing in ((None, 0.0), (np.array([1.0, 2.0, 0.5]), 0.1)):
        log_probs, tags = np.log(rng.dirichlet(np.ones(3), size=5)), np.array([0, 2, MISSING, 1, MISSING])
        gradient = cross_entropy(log_probs, tags, weights, smoothing).d_emissions
        numeric = np.zeros_like(log_probs)
        for at in np.ndindex(log_probs.shape):
            kept = log_probs[at]
            log_probs[at] = kept + 1e-6
            upper = cross_entropy(log_probs, tags, weights, smoothing).value
            log_probs[at] = kept - 1e-6
            numeric[at] = (upper - cross_entropy(log_probs, tags, weights, smoothing).value) / 2e-6
            log_probs[at] = kept
        np.testing.assert_allclose(gradient, numeric, atol=1e-8)
        assert not gradient[tags == MISSING].any()


def test_against_pytorch_crf():
    """Likelihood, gradient and best path are those of another library."""
    torch = pytest.importorskip("torch", reason="needs the extra test-torch")
    torchcrf = pytest.importorskip("torchcrf", reason="needs the extra test-torch")
    rng, lengths = np.random.default_rng(0), np.array([7, 4, 1])
    n_labels = 3
    e = rng.normal(size=(12, 2 * n_labels + 1))
    params = random_transitions(rng, BIO, n_labels)
    transitions = Transitions(BIO, params)
    tags = random_gold(rng, BIO, lengths, n_labels, 0.0)
    ours = chain_loss(e, lengths, Gold(tags), transitions)

    crf = torchcrf.CRF(e.shape[1], batch_first=True).double()
    impossible = -1e4
    with torch.no_grad(), np.errstate(divide="ignore"):
        crf.transitions.copy_(torch.tensor(np.maximum(np.log(transitions.matrix), impossible)))
        crf.start_transitions.copy_(torch.tensor(np.maximum(np.log(transitions.start), impossible)))
        crf.end_transitions.copy_(torch.tensor(params.end))
    shape = (len(lengths), int(lengths.max()))
    mask = np.arange(shape[1]) < lengths[:, None]
    padded, padded_tags = np.zeros((*shape, e.shape[1])), np.zeros(shape, dtype=np.int64)
    padded[mask], padded_tags[mask] = e, tags
    emissions = torch.tensor(padded, requires_grad=True)
    loss = -crf(emissions, torch.tensor(padded_tags), torch.tensor(mask))
    loss.backward()
    assert ours.value == pytest.approx(loss.item(), rel=1e-5)
    np.testing.assert_allclose(ours.d_emissions, emissions.grad.numpy()[mask], atol=1e-5)
    best = crf.decode(emissions, torch.tensor(mask))
    assert decode(e, lengths, transitions).tolist() == [tag for path in best for tag in path]
    np.testing.assert_allclose(ours.d_transitions.end, crf.end_transitions.grad.numpy(), atol=1e-5)
