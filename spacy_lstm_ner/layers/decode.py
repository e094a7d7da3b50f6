"""From the scores of tags to the best legal sequence of tags.

Notation
--------
N       tokens of all sequences of the batch, laid end to end
L       labels; tags are numbered as in `spacy_lstm_ner.tags`: O, B-0, I-0, B-1, ...
scores  (N, 2L+1) the log-probability of each tag at each token
"""

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..tags import Bools, Ints, illegal_rows, is_begin, is_inside
from .packed import pack

Scores = NDArray[np.floating[Any]]


class Constraints(NamedTuple):
    """What each of N tokens may be. O is always allowed, so that there is always a legal sequence.

    begin: the first token of an entity. inside: a later one. end: the last one (B or I).
    """

    begin: Bools
    inside: Bools
    end: Bools


def decode(scores: Scores, lengths: Ints, allowed: Constraints) -> Ints:
    """The most probable legal tags (N,) of every sequence.

    Legal: an I-k only after B-k or I-k of the same sequence, and what `allowed` says. The arg max of every token is
    the answer wherever it is legal; the sequences where it is not are solved by the Viterbi algorithm. Between
    equal scores the lower tag wins.
    """
    scores = scores.copy()
    n_tokens = len(scores)
    scores[~allowed.begin, 1::2] = -np.inf
    scores[~allowed.inside, 2::2] = -np.inf
    tags = cast(Ints, scores.argmax(axis=1)) if n_tokens else np.zeros(0, dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    bad = np.zeros(n_tokens, dtype=bool)
    bad[illegal_rows(tags, starts)] = True
    bad |= _ends(tags, starts) & ~allowed.end
    if not bad.any():
        return tags
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    wrong = np.isin(sequence, sequence[bad])
    tags[wrong] = _viterbi(scores[wrong], lengths[np.unique(sequence[bad])], allowed.end[wrong])
    return tags


def _ends(tags: Ints, starts: Ints) -> Bools:
    """True at the last token of every entity of (nearly) legal tags."""
    continued = np.zeros(len(tags) + 1, dtype=bool)
    continued[:-1] = is_inside(tags)
    continued[starts] = False
    return (is_begin(tags) | is_inside(tags)) & ~continued[1:]


def _viterbi(scores: Scores, lengths: Ints, may_end: Bools) -> Ints:
    """Viterbi over B, I and O with free transitions, in time N·L: I-k has two predecessors, all else the best one."""
    packed = pack(lengths, n_directions=1)
    rows, offsets = packed.source[0], packed.offsets
    packed_scores, packed_end = scores[rows].astype("float64"), may_end[rows]
    n_labels = (scores.shape[1] - 1) // 2
    # For O and B: the best tag of the token before that may be followed by them. For I-k: whether I-k came before.
    best_before = np.zeros(len(rows), dtype=np.int64)
    from_inside = np.zeros((len(rows), n_labels), dtype=bool)
    best_last = np.zeros(len(rows), dtype=np.int64)
    total = np.zeros(0)
    for t, b in enumerate(packed.batch_sizes.tolist()):
        now = slice(offsets[t], offsets[t] + b)
        total_now = packed_scores[now].copy()
        if t == 0:
            total_now[:, 2::2] = -np.inf
        else:
            total = total[:b]
            before = slice(offsets[t - 1], offsets[t - 1] + b)
            best_before[now] = best_last[before]
            inside_wins = total[:, 2::2] > total[:, 1::2]
            from_inside[now] = inside_wins
            free = total[np.arange(b), best_last[before]]
            total_now[:, 0] += free
            total_now[:, 1::2] += free[:, None]
            total_now[:, 2::2] += np.where(inside_wins, total[:, 2::2], total[:, 1::2])
        total = total_now
        leaving = np.where(packed_end[now, None], total, -np.inf)
        leaving[:, 0] = total[:, 0]
        best_last[now] = leaving.argmax(axis=1)
    return _trace_back(packed.batch_sizes, offsets, rows, best_last, best_before, from_inside)


def _trace_back(
    batch_sizes: Ints, offsets: list[int], rows: Ints, best_last: Ints, best_before: Ints, from_inside: Bools
) -> Ints:
    tags = np.empty(len(rows), dtype=np.int64)
    current = np.zeros(0, dtype=np.int64)
    for t in range(len(batch_sizes) - 1, -1, -1):
        b = offsets[t + 1] - offsets[t]
        now = slice(offsets[t], offsets[t] + b)
        # Sequences whose last token is here start from their own best tag.
        current = np.concatenate([current, best_last[offsets[t] + len(current) : offsets[t] + b]])
        tags[rows[now]] = current
        inside = is_inside(current)
        label = np.maximum((current + 1) // 2 - 1, 0)
        stays = from_inside[now][np.arange(b), label] if from_inside.shape[1] else inside
        within = np.where(stays, current, current - 1)
        current = np.where(inside, within, best_before[now])
    return tags
