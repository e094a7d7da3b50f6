"""From emissions to the best legal sequences of tags.

Notation as in `crf`: N tokens of all sequences laid end to end, T tags, L labels, emissions (N, T).

Every tag has two kinds of predecessors: O and the first tags of entities follow O or the best of the tags that may end
an entity; a continuing tag follows B or I of its own label. So a step costs O(T), not O(T²).
"""

from typing import NamedTuple, Optional, cast

import numpy as np

from ...arrays import row_maxima, take_rows
from ...tags import illegal_rows
from ...types import Bools, Floats, Ints
from ..packed import pack
from .blocks import Blocks, rows_at_once, same_scores, settle, ways
from .transitions import Transitions

START, BESIDE_O, OPEN = range(3)
"""Where a chain begins or ends: where its sequence does; beside a token that is O; anywhere, with all left open."""
RUN, RUN_MARGIN = 32, 8
"""Runs of tokens between those that are O for sure are mostly short. Longer ones are cut into blocks of about this
size, with these margins: a maximum forgets sooner than a sum."""
LARGEST_LEAD = 1000.0
"""A token's O counts as at most so much (in nats) ahead of its other tags, so that sums of leads stay exact."""
SLACK = 1e-6
"""What sums may be wrong by, in nats, and far more than they are."""


class _Steps(NamedTuple):
    """The moves as a table of two predecessors for each tag. The number T stands for "the best that may end".

    start (3, T), end (3, T): scores of the first and the last tag of a chain; see START, BESIDE_O and OPEN.
    ending (E,): tags that may end an entity; leave (E,).
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


def _steps(transitions: Transitions) -> _Steps:
    scheme, t, T = transitions.scheme, transitions.params, transitions.n_tags
    tags = np.arange(T)
    first, second = np.zeros(T, dtype=np.int64), np.full(T, T, dtype=np.int64)
    to_first, to_second = t.enter[0].copy(), t.enter[1].copy()
    for c, role in enumerate(scheme.continuing):
        own = scheme.columns(role)
        first[own], second[own] = tags[scheme.columns("B")], tags[scheme.columns("I")]
        to_first[own], to_second[own] = t.inside[c]
    ending = np.flatnonzero(transitions.ending)
    may_end = transitions.ending | (tags == 0)
    before_outside = np.where(tags == 0, t.enter[0, 0], t.leave + t.enter[1, 0])
    return _Steps(
        start=np.stack([*(np.where(transitions.opening, row, -np.inf) for row in (t.start, t.enter[0])), np.zeros(T)]),
        end=np.stack([*(np.where(may_end, row, -np.inf) for row in (t.end, before_outside)), np.zeros(T)]),
        ending=ending,
        leave=t.leave[ending],
        first=first,
        second=second,
        to_first=to_first,
        to_second=to_second,
    )


def decode(emissions: Floats, lengths: Ints, transitions: Transitions, allowed: Optional[Bools] = None) -> Ints:
    """The tags (N,) of the highest-scoring legal sequence of each sequence of tokens, by the Viterbi algorithm.

    emissions (N, T), -inf where a tag is out of the question; lengths (n_sequences,); allowed (N, T). O must be allowed
    everywhere, so that there is a legal sequence. Where no transition costs anything, the arg max of every token is the
    answer wherever it is legal. Between equal scores the lower tag wins.
    """
    if transitions.n_tags == 1 or not len(emissions):
        return np.zeros(len(emissions), dtype=np.int64)
    e = emissions if allowed is None else np.where(allowed, emissions, -np.inf)
    if any(array.any() for array in transitions.params):
        return _viterbi(e, lengths, transitions)
    tags: Ints = e.argmax(axis=1)
    bad = illegal_rows(tags, np.cumsum(lengths) - lengths, transitions.scheme)
    if len(bad):
        sequence = np.repeat(np.arange(len(lengths)), lengths)
        wrong = np.isin(sequence, sequence[bad])
        tags[wrong] = _viterbi(e[wrong], lengths[np.unique(sequence[bad])], transitions)
    return tags


def _viterbi(e: Floats, lengths: Ints, transitions: Transitions) -> Ints:
    """Only the runs of tokens between those that are O for sure are decoded, as chains of their own."""
    tags = np.zeros(len(e), dtype=np.int64)
    rows = np.flatnonzero(~_surely_outside(e, lengths, transitions))
    if not len(rows):
        return tags
    ends = np.cumsum(lengths)
    # Which rows are the first, and behind the last, of a sequence.
    bound = np.zeros(len(e) + 1, dtype=bool)
    bound[ends - lengths] = bound[ends] = True
    starts_run = np.diff(rows, prepend=-2) > 1
    starts_run |= bound[rows]
    first = np.flatnonzero(starts_run)
    last = np.append(first[1:], len(rows)) - 1
    kinds = np.where(bound[rows[first]], START, BESIDE_O), np.where(bound[rows[last] + 1], START, BESIDE_O)
    tags[rows] = _viterbi_chains(take_rows(np, e, rows), last - first + 1, kinds, _steps(transitions))
    return tags


def _surely_outside(e: Floats, lengths: Ints, transitions: Transitions) -> Bools:
    """(N,) The tokens that are O in the best sequence whatever the others are.

    Take any legal sequence with an entity that covers the token, and make all of the entity's tokens O: it stays
    legal. What that gains in emissions is at least the sum over these tokens of the lead of O over the best other tag,
    and what it loses in transitions is bounded. So the token is O if the sum is large enough for each stretch of tokens
    of its sequence that covers it; the least such sum is that of the best stretch to its left plus that to its right.
    """
    t, opening, ending = transitions.params, transitions.opening, transitions.ending
    entering = np.maximum(t.start - t.start[0], (t.enter - t.enter[:, :1]).max(axis=0))[1:][opening[1:]].max()
    staying = t.inside.max(initial=-np.inf) - t.enter[0, 0]
    leaving = max((t.end[ending] - t.end[0]).max(), t.leave[ending].max() + (t.enter[1] - t.enter[0])[opening].max())
    lead = np.minimum(e[:, 0].astype("float64") - row_maxima(e[:, 1:]), LARGEST_LEAD) - staying
    # A sequence ends the stretches of the one before it: nothing is worth going on to it.
    jump = np.repeat(np.arange(len(lengths)) * LARGEST_LEAD, lengths)
    behind = np.cumsum(lead) + jump
    before = behind - lead
    to_left = behind - np.maximum.accumulate(before)
    to_right = np.minimum.accumulate(behind[::-1])[::-1] - before
    return cast(Bools, to_left + to_right - lead > entering + leaving - staying + SLACK)


Kinds = tuple[Ints, Ints]


def _viterbi_chains(e: Floats, lengths: Ints, kinds: Kinds, steps: _Steps) -> Ints:
    """Long chains in blocks, see `blocks`, and so many blocks at once as fill `rows_at_once`.

    kinds: two of (n_chains,), how each begins and ends.
    """
    tags = np.empty(len(e), dtype=np.int64)
    settle(ways(lengths, RUN, RUN_MARGIN), lambda blocks: _viterbi_blocks(e, blocks, kinds, steps, tags))
    return tags


def _viterbi_blocks(e: Floats, blocks: Blocks, kinds: Kinds, steps: _Steps, tags: Ints) -> Ints:
    """Write the tags of the rows of the blocks. RETURNS the chains of which blocks do not agree where they meet."""
    # Of each block, the scores at its last row and at the row before its first, the tag at the row behind its last.
    last, before_first = (np.zeros((len(blocks), e.shape[1])) for _ in range(2))
    behind = np.zeros(len(blocks), dtype=np.int64)
    for chosen, some in blocks.some_at_a_time(rows_at_once(e.shape[1])):
        found, scores = _viterbi_run(take_rows(np, e, some.rows), some, kinds, steps)
        tags[some.own_rows] = found[some.own_places]
        all_of_them, end = np.arange(len(some)), len(some.rows) - 1
        last[chosen] = scores[some.places(all_of_them, some.end - 1)]
        before_first[chosen] = scores[np.maximum(some.places(all_of_them, some.start - 1), 0)]
        behind[chosen] = found[np.minimum(some.places(all_of_them, some.end), end)]
    meeting = blocks.meeting
    agree = same_scores(last[meeting], before_first[meeting + 1])
    return blocks.disagreeing(agree & (behind[meeting] == tags[blocks.end[meeting]]))


def _viterbi_run(e: Floats, blocks: Blocks, kinds: Kinds, steps: _Steps) -> tuple[Ints, Floats]:
    """All blocks side by side, one step for each row of the longest.

    e: the emissions of the blocks laid end to end. RETURNS for each row of it the best tag, and the score of the best
    way to each tag.
    """
    packed = pack(blocks.lengths, n_directions=1)
    sizes, offsets = packed.batch_sizes.tolist(), packed.offsets
    given, T, B = take_rows(np, e, packed.source[0]), e.shape[1], sizes[0]
    of_row = packed.sequence_of_token[packed.source[0, :B]]
    start_kind, end_kind = (kind[blocks.chain] for kind in kinds)
    start = steps.start[np.where(blocks.open_start, OPEN, start_kind)[of_row]]
    end = steps.end[np.where(blocks.open_end, OPEN, end_kind)[of_row]]
    predecessors, to_both = np.append(steps.first, steps.second), np.append(steps.to_first, steps.to_second)[:, None]
    leave = steps.leave[:, None]
    # Of each step (T + 1, b), the score of the best way to each tag, and at last to any that may end; and which tags
    # take their second predecessor. Tags come first: NumPy is slow at many short rows.
    totals: list[Floats] = []
    takes_second: list[Bools] = []
    last_tags = np.zeros(B, dtype=np.int64)
    for t, b in enumerate(sizes):
        here, total = given[offsets[t] : offsets[t] + b].T, np.empty((T + 1, b))
        if t:
            before = totals[-1][:, :b]
            ending = before.take(steps.ending, axis=0)
            ending += leave
            ending.max(axis=0, out=before[T])
            both = before.take(predecessors, axis=0)
            both += to_both
            takes_second.append(both[T:] > both[:T])
            np.maximum(both[:T], both[T:], out=total[:T])
            total[:T] += here
        else:
            np.add(here, start.T, out=total[:T])
        totals.append(total)
        still = sizes[t + 1] if t + 1 < len(sizes) else 0
        if still < b:
            last_tags[still:b] = (total[:T, still:] + end[still:b].T).argmax(axis=0)
    tags = np.empty(len(given), dtype=np.int64)
    current = last_tags[: sizes[-1]]
    for t in range(len(sizes) - 1, -1, -1):
        b = sizes[t]
        # Sequences whose last token is here join in.
        current = np.concatenate([current, last_tags[len(current) : b]])
        tags[packed.source[0, offsets[t] : offsets[t] + b]] = current
        if t:
            current = np.where(takes_second[t - 1][current, np.arange(b)], steps.second[current], steps.first[current])
            ended = np.flatnonzero(current == T)
            if len(ended):
                best = (totals[t - 1][steps.ending[:, None], ended] + leave).argmax(axis=0)
                current[ended] = steps.ending[best]
    return tags, take_rows(np, np.concatenate([total[:T].T for total in totals]), packed.target[0])


def n_best(
    emissions: Floats, transitions: Transitions, n: int, allowed: Optional[Bools] = None
) -> list[tuple[Ints, float]]:
    """The n highest-scoring legal sequences of tags of one sequence of tokens, best first, with their scores.

    emissions (N, T); allowed (N, T). Fewer than n where there are no more. Every legal sequence of tags stands for
    another set of entities. Scores are in nats; minus log Z they are log-probabilities.
    """
    e = np.asarray(emissions, dtype="float64")
    e = e if allowed is None else np.where(allowed, e, -np.inf)
    if not len(e):
        return [(np.zeros(0, dtype=np.int64), 0.0)]
    steps, T = _steps(transitions), transitions.n_tags
    total = np.full((T + 1, n), -np.inf)
    total[:T, 0] = steps.start[START] + e[0]
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
    scores, final = _top((total[:T] + steps.end[START, :, None]).ravel(), n)
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
