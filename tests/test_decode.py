"""Decoding against all legal tag sequences."""

import numpy as np
import pytest

from spacy_lstm_ner.layers.decode import Constraints, decode


def legal_sequences(n_labels, begin, inside, end):
    """All legal tag sequences, written down from the definition."""
    found = [[]]
    for t in range(len(begin)):
        grown = []
        for tags in found:
            last = tags[-1] if tags else 0
            for tag in range(2 * n_labels + 1):
                if tag % 2 == 1 and not begin[t]:
                    continue
                if tag and tag % 2 == 0 and (not inside[t] or last not in (tag, tag - 1)):
                    continue
                continues = tag > 0 and tag % 2 == 0
                if last and not continues and not end[t - 1]:
                    continue
                grown.append([*tags, tag])
        found = grown
    return [tags for tags in found if not tags or tags[-1] == 0 or end[-1]]


def total(scores, tags):
    return sum(scores[t, tag] for t, tag in enumerate(tags))


def free(n):
    return Constraints(*(np.ones(n, dtype=bool) for _ in range(3)))


def random_case(rng, with_ties):
    lengths = rng.integers(0, 5, size=rng.integers(0, 5))
    n, n_labels = int(lengths.sum()), int(rng.integers(1, 4))
    scores = rng.normal(size=(n, 2 * n_labels + 1))
    if with_ties:
        scores = rng.integers(0, 3, size=scores.shape).astype(float)
    share = rng.choice([0.5, 0.8, 1.0])
    return scores, lengths, Constraints(*(rng.uniform(size=n) < share for _ in range(3)))


@pytest.mark.parametrize("with_ties", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_best_of_all_legal_sequences(seed, with_ties):
    scores, lengths, allowed = random_case(np.random.default_rng(seed), with_ties)
    given = scores.copy()
    tags = decode(scores, lengths, allowed)
    assert tags.shape == (len(scores),)
    np.testing.assert_array_equal(scores, given)
    for last, length in zip(np.cumsum(lengths), lengths, strict=True):
        own = slice(last - length, last)
        candidates = legal_sequences((scores.shape[1] - 1) // 2, *(mask[own] for mask in allowed))
        assert tags[own].tolist() in candidates
        best = max(total(scores[own], candidate) for candidate in candidates)
        assert total(scores[own], tags[own].tolist()) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_batch_is_as_one_by_one(seed):
    scores, lengths, allowed = random_case(np.random.default_rng(1000 + seed), seed % 2 == 0)
    together = decode(scores, lengths, allowed)
    alone = [
        decode(
            scores[last - n : last],
            np.array([n]),
            Constraints(*(mask[last - n : last] for mask in allowed)),
        )
        for last, n in zip(np.cumsum(lengths), lengths, strict=True)
    ]
    assert together.tolist() == [tag for tags in alone for tag in tags.tolist()]


def test_ties_give_o():
    lengths = np.array([3, 2])
    assert decode(np.zeros((5, 5)), lengths, free(5)).tolist() == [0] * 5
    # An illegal arg max sends the first sequence to Viterbi, where all legal sequences are equally good.
    scores = np.zeros((5, 5))
    scores[0, 2] = 1.0
    assert decode(scores, lengths, free(5)).tolist() == [0] * 5


def test_unseen_tags_are_never_chosen():
    """Tags of log-probability -inf, with an arg max that is illegal."""
    scores = np.full((3, 5), -np.inf)
    scores[:, 0], scores[:, 2] = -2.0, -0.5
    assert decode(scores, np.array([3]), free(3)).tolist() == [0, 0, 0]


def test_no_labels_and_no_tokens():
    assert decode(np.zeros((3, 1)), np.array([1, 2]), free(3)).tolist() == [0, 0, 0]
    assert decode(np.zeros((0, 5)), np.array([0, 0]), free(0)).tolist() == []
    assert decode(np.zeros((0, 5)), np.zeros(0, dtype=int), free(0)).tolist() == []


def test_a_long_sequence_of_float32_scores():
    """Sums over many tokens do not lose what a token adds."""
    scores = np.full((20000, 3), -9.0, dtype="float32")
    scores[:, 0] = -8.0
    scores[-2:, 1] = -7.9999
    scores[-2:, 2] = -7.999
    scores[0, 2] = 0.0  # illegal: sends it to Viterbi
    tags = decode(scores, np.array([20000]), free(20000))
    assert tags[:-2].tolist() == [0] * 19998 and tags[-2:].tolist() == [1, 2]
