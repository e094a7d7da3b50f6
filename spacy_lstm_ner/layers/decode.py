"""From emissions to the best legal sequences of tags.

Notation as in `crf`: N tokens of all sequences laid end to end, T tags, L labels, emissions (N, T).

Every tag has two kinds of predecessors: O and the first tags of entities follow O or the best of the tags that may end
an entity; a continuing tag follows B or I of its own label. So a step costs O(T), not O(T²).
"""

from typing import NamedTuple, Optional

import numpy as np

from ..tags import Bools, Floats, Ints, illegal_rows
from .blocks import Blocks, cut, rows_at_once, same_scores, whole
from .crf import Moves
from .kernel import take_rows
from .packed import pack


class _Steps(NamedTuple):
    """The moves as a table of two predecessors for each tag. The number T stands for "the best that may end".

    start (T,), end (T,): scores of the first and the last tag. ending (E,): tags that may end an entity; leave (E,).
    first, second (T,): the predecessors; to_first, to_second (T,): the scores of the moves from them.
    """

    start: Floats
    end: Floats
    ending: Ints
    leave: Floats
    first: Ints
    second: Ints
    to_first: Floats
    to_second: Floats


def _steps(moves: Moves) -> _Steps:
    scheme, t, T = moves.scheme, moves.transitions, moves.n_tags
    tags = np.arange(T)
    first, second = np.zeros(T, dtype=np.int64), np.full(T, T, dtype=np.int64)
    to_first, to_second = t.enter[0].copy(), t.enter[1].copy()
    for c, role in enumerate(scheme.continuing):
        own = scheme.columns(role)
        first[own], second[own] = tags[scheme.columns("B")], tags[scheme.columns("I")]
        to_first[own], to_second[own] = t.inside[c]
    ending = np.flatnonzero(moves.ending)
    return _Steps(
        start=np.where(moves.opening, t.start, -np.inf),
        end=np.where(moves.ending | (tags == 0), t.end, -np.inf),
        ending=ending,
        leave=t.leave[ending],
        first=first,
        second=second,
        to_first=to_first,
        to_second=to_second,
    )


def decode(emissions: Floats, lengths: Ints, moves: Moves, allowed: Optional[Bools] = None) -> Ints:
    """The tags (N,) of the highest-scoring legal sequence of each sequence of tokens, by the Viterbi algorithm.

    emissions (N, T), -inf where a tag is out of the question; lengths (n_sequences,); allowed (N, T). O must be allowed
    everywhere, so that there is a legal sequence. Where no transition costs anything, the arg max of every token is the
    answer wherever it is legal. Between equal scores the lower tag wins.
    """
    if moves.n_tags == 1 or not len(emissions):
        return np.zeros(len(emissions), dtype=np.int64)
    e = emissions if allowed is None else np.where(allowed, emissions, -np.inf)
    if any(array.any() for array in moves.transitions):
        return _viterbi(e, lengths, moves)
    tags: Ints = e.argmax(axis=1)
    bad = illegal_rows(tags, np.cumsum(lengths) - lengths, moves.scheme)
    if len(bad):
        sequence = np.repeat(np.arange(len(lengths)), lengths)
        wrong = np.isin(sequence, sequence[bad])
        tags[wrong] = _viterbi(e[wrong], lengths[np.unique(sequence[bad])], moves)
    return tags


def _viterbi(e: Floats, lengths: Ints, moves: Moves) -> Ints:
    """Long sequences in blocks, see `blocks`, and so many blocks at once as fill `rows_at_once`."""
    tags, steps = np.empty(len(e), dtype=np.int64), _steps(moves)
    blocks = cut(lengths)
    uncut = _viterbi_blocks(e, blocks, steps, tags)
    if len(uncut):
        whole_ones = whole(lengths)
        _viterbi_blocks(e, whole_ones.some(np.isin(whole_ones.chain, uncut)), steps, tags)
    return tags


def _viterbi_blocks(e: Floats, blocks: Blocks, steps: _Steps, tags: Ints) -> Ints:
    """Write the tags of the rows of the blocks. RETURNS the sequences of which blocks do not agree where they meet."""
    # Of each block, the scores at its last row and at the row before its first, the tag at the row behind its last.
    last, before_first = (np.zeros((len(blocks), e.shape[1])) for _ in range(2))
    behind = np.zeros(len(blocks), dtype=np.int64)
    for chosen, some in blocks.some_at_a_time(rows_at_once(e.shape[1])):
        found, scores = _viterbi_run(take_rows(np, e, some.rows), some, steps)
        tags[some.own_rows] = found[some.own_places]
        all_of_them, end = np.arange(len(some)), len(some.rows) - 1
        last[chosen] = scores[some.places(all_of_them, some.end - 1)]
        before_first[chosen] = scores[np.maximum(some.places(all_of_them, some.start - 1), 0)]
        behind[chosen] = found[np.minimum(some.places(all_of_them, some.end), end)]
    meeting = blocks.meeting
    agree = same_scores(last[meeting], before_first[meeting + 1])
    return blocks.disagreeing(agree & (behind[meeting] == tags[blocks.end[meeting]]))


def _viterbi_run(e: Floats, blocks: Blocks, steps: _Steps) -> tuple[Ints, Floats]:
    """All blocks side by side, one step for each row of the longest.

    e: the emissions of the blocks laid end to end. RETURNS for each row of it the best tag, and the score of the best
    way to each tag.
    """
    packed = pack(blocks.lengths, n_directions=1)
    sizes, offsets = packed.batch_sizes.tolist(), packed.offsets
    T, B = e.shape[1], sizes[0]
    scores = take_rows(np, e, packed.source[0]).astype("float64")
    of_row = packed.sequence_of_token[packed.source[0, :B]]
    start = np.where(blocks.open_start[of_row, None], 0.0, steps.start)
    end = np.where(blocks.open_end[of_row, None], 0.0, steps.end)
    # For each row the best tag before it that may end an entity, and which tags take their second predecessor.
    best_end = np.zeros(len(scores), dtype=np.int64)
    takes_second = np.zeros(scores.shape, dtype=bool)
    last_tags = np.zeros(B, dtype=np.int64)
    total = np.empty((B, T + 1))
    scores[:B] += start
    total[:, :T] = scores[:B]
    for t, b in enumerate(sizes):
        now = slice(offsets[t], offsets[t] + b)
        if t:
            before = total[:b]
            ending = before[:, steps.ending] + steps.leave
            at = ending.argmax(axis=1)
            best_end[now] = steps.ending[at]
            before[:, T] = ending[np.arange(b), at]
            first = before.take(steps.first, axis=1)
            first += steps.to_first
            second = before.take(steps.second, axis=1)
            second += steps.to_second
            np.greater(second, first, out=takes_second[now])
            np.maximum(first, second, out=first)
            scores[now] += first
            before[:, :T] = scores[now]
        still = sizes[t + 1] if t + 1 < len(sizes) else 0
        if still < b:
            last_tags[still:b] = (total[still:b, :T] + end[still:b]).argmax(axis=1)
    tags = np.empty(len(scores), dtype=np.int64)
    current = last_tags[: sizes[-1]]
    for t in range(len(sizes) - 1, -1, -1):
        b, now = sizes[t], slice(offsets[t], offsets[t] + sizes[t])
        # Sequences whose last token is here join in.
        current = np.concatenate([current, last_tags[len(current) : b]])
        tags[packed.source[0][now]] = current
        taken = takes_second[now][np.arange(b), current]
        current = np.where(taken, steps.second[current], steps.first[current])
        current = np.where(current == T, best_end[now], current)
    return tags, take_rows(np, scores, packed.target[0])


def n_best(emissions: Floats, moves: Moves, n: int, allowed: Optional[Bools] = None) -> list[tuple[Ints, float]]:
    """The n highest-scoring legal sequences of tags of one sequence of tokens, best first, with their scores.

    emissions (N, T); allowed (N, T). Fewer than n where there are no more. Every legal sequence of tags stands for
    another set of entities. Scores are in nats; minus log Z they are log-probabilities.
    """
    e = np.asarray(emissions, dtype="float64")
    e = e if allowed is None else np.where(allowed, e, -np.inf)
    if not len(e):
        return [(np.zeros(0, dtype=np.int64), 0.0)]
    steps, T = _steps(moves), moves.n_tags
    total = np.full((T + 1, n), -np.inf)
    total[:T, 0] = steps.start + e[0]
    # Where each of a tag's n best comes from: a place among the n of its first and the n of its second predecessor;
    # and for the n best that may end: a place among all tags that may.
    places, end_places = np.zeros((len(e), T, n), dtype=np.int64), np.zeros((len(e), n), dtype=np.int64)
    for t in range(1, len(e)):
        if len(steps.ending):
            total[T], end_places[t] = _top((total[steps.ending] + steps.leave[:, None]).ravel(), n)
        first = total[steps.first] + steps.to_first[:, None]
        second = total[steps.second] + steps.to_second[:, None]
        best, places[t] = _top(np.concatenate([first, second], axis=1), n)
        total[:T] = best + e[t][:, None]
    scores, final = _top((total[:T] + steps.end[:, None]).ravel(), n)
    found = []
    for score, place in zip(scores.tolist(), final.tolist(), strict=True):
        if np.isneginf(score):
            break
        tag, rank = divmod(place, n)
        tags = np.empty(len(e), dtype=np.int64)
        for t in range(len(e) - 1, -1, -1):
            tags[t] = tag
            takes_second, rank = divmod(int(places[t, tag, rank]), n)
            tag = int(steps.second[tag] if takes_second else steps.first[tag])
            if tag == T and t:
                ending, rank = divmod(int(end_places[t, rank]), n)
                tag = int(steps.ending[ending])
        found.append((tags, score))
    return found


def _top(values: Floats, n: int) -> tuple[Floats, Ints]:
    """The n largest along the last axis, largest first, and their places; padded with -inf."""
    places = np.argsort(-values, axis=-1, kind="stable")[..., :n]
    best = np.take_along_axis(values, places, axis=-1)
    short = n - best.shape[-1]
    if short > 0:
        width = [(0, 0)] * (values.ndim - 1) + [(0, short)]
        best, places = np.pad(best, width, constant_values=-np.inf), np.pad(places, width)
    return best, places
