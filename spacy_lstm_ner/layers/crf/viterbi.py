"""Find the best legal sequences of tags by the Viterbi algorithm (Viterbi 1967).

Notation
--------
N      tokens of all sequences of the batch, concatenated
T      tags, numbered as in `spacy_lstm_ner.tags`
e      (N, T) emissions, in nats; -inf forbids a tag
run    a longest sequence of consecutive tokens that are not surely O. It is decoded as a chain
chain  tokens that are decoded together. Blocks are pieces of a chain, see `blocks`
P      packed rows, see `packed.Packed`: the rows of all blocks, ordered by time step
B, b   blocks that run side by side, and the ones that have a row at a step

Every tag has two kinds of predecessors. O and the first tags of entities follow O, or the best of the tags that may end
an entity; a continuing tag follows B or I of its own label. So a step costs O(T), not O(T²).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Optional

import numpy as np

from ...arrays import row_maxima, take_rows
from ...tags import illegal_rows
from ...types import Bools, Floats, Ints
from ..packed import Packed, pack_on_cpu
from .blocks import Blocks, blocks_to_try, rows_at_once, run_until_consistent, same_scores
from .transitions import Transitions

BOUNDARY, BESIDE_O, OPEN = range(3)
"""Kinds of ends of a chain: the end of its sequence; next to a token that is O; anywhere, with all tags open."""
RUN_BLOCK, RUN_MARGIN = 32, 8
"""About how many rows a block of a run and its margin have. Most runs are short, and a maximum soon forgets."""
LARGEST_LEAD = 1000.0
"""The largest lead (in nats) of O over the other tags of a token that counts, so that sums of leads stay exact."""
SLACK = 1e-6
"""A bound on the rounding error of these sums, in nats. The error is far smaller."""

EndKinds = tuple[Ints, Ints]
"""The kinds of the first and the last end of each chain, two arrays (n_chains,); see BOUNDARY, BESIDE_O and OPEN."""


class _Predecessors(NamedTuple):
    """The transitions as a table of two predecessors for each tag. The number T is "the best tag that may end".

    start (3, T), end (3, T): scores of the first and the last tag of a chain, for each kind of end.
    ending (E,), leave (E,): the tags that may end an entity, and the scores of leaving from them.
    first, second (T,): the predecessors of each tag.
    to_first, to_second (T,): the scores of the transitions from them.
    """

    start: Floats
    end: Floats
    ending: Ints
    leave: Floats
    first: Ints
    second: Ints
    to_first: Floats
    to_second: Floats


@lru_cache(maxsize=8)
def _predecessors(transitions: Transitions) -> _Predecessors:
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
    return _Predecessors(
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
    """Find the legal sequence of tags with the highest score, for each sequence of tokens.

    If all transitions are zero, the result is the best tag of each token, except in sequences where this is not legal.
    Of tags with equal scores, the one with the lowest number wins.

    Args:
        emissions (Floats): The emissions e (N, T), in nats.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        transitions (Transitions): The transitions of the chain.
        allowed (Optional[Bools]): The tags that each token may take (N, T). O must be among them everywhere, so that
            there is a legal sequence. None: any.

    Returns:
        Ints: The tag of each token (N,).
    """
    if transitions.n_tags == 1 or not len(emissions):
        return np.zeros(len(emissions), dtype=np.int64)
    e = emissions if allowed is None else np.where(allowed, emissions, -np.inf)
    if not transitions.are_zero:
        return _viterbi(e, lengths, transitions)
    tags: Ints = e.argmax(axis=1)
    bad = illegal_rows(tags, np.cumsum(lengths) - lengths, transitions.scheme)
    if len(bad):
        sequence = np.repeat(np.arange(len(lengths)), lengths)
        wrong = np.isin(sequence, sequence[bad])
        tags[wrong] = _viterbi(e[wrong], lengths[np.unique(sequence[bad])], transitions)
    return tags


def _viterbi(e: Floats, lengths: Ints, transitions: Transitions) -> Ints:
    """(N,) The best tags. Only the runs between tokens that are surely O are decoded."""
    tags = np.zeros(len(e), dtype=np.int64)
    rows = np.flatnonzero(~_surely_outside(e, lengths, transitions))
    if not len(rows):
        return tags
    ends = np.cumsum(lengths)
    # The rows that are the first of a sequence, or come after the last of one.
    boundary = np.zeros(len(e) + 1, dtype=bool)
    boundary[ends - lengths] = boundary[ends] = True
    starts_run = boundary[rows]
    starts_run[0] = True
    starts_run[1:] |= rows[1:] - rows[:-1] > 1
    first = np.flatnonzero(starts_run)
    last = np.empty_like(first)
    last[:-1], last[-1] = first[1:] - 1, len(rows) - 1
    kinds = (
        np.where(boundary[rows[first]], BOUNDARY, BESIDE_O),
        np.where(boundary[rows[last] + 1], BOUNDARY, BESIDE_O),
    )
    tags[rows] = _viterbi_chains(take_rows(np, e, rows), last - first + 1, kinds, _predecessors(transitions))
    return tags


@lru_cache(maxsize=8)
def _largest_gains(transitions: Transitions) -> tuple[float, float]:
    """What transitions gain beside those from O to O, at most: one inside an entity, and the first and last of one."""
    t, opening, ending = transitions.params, transitions.opening, transitions.ending
    entering = np.maximum(t.start - t.start[0], (t.enter - t.enter[:, :1]).max(axis=0))[1:][opening[1:]].max()
    staying = t.inside.max(initial=-np.inf) - t.enter[0, 0]
    leaving = max((t.end[ending] - t.end[0]).max(), t.leave[ending].max() + (t.enter[1] - t.enter[0])[opening].max())
    return staying, entering + leaving


def _surely_outside(e: Floats, lengths: Ints, transitions: Transitions) -> Bools:
    """(N,) Whether each token is O in the best sequence, whatever the other tokens are.

    Take any legal sequence with an entity that covers the token, and make all tokens of the entity O: the sequence
    stays legal. The emissions gain at least the sum of the leads of these tokens, where a lead is that of O over the
    best other tag. The transitions lose no more than a bound. So the token is O if this sum is greater than the bound
    for every span that covers the token. The smallest sum is the smallest over spans that end at the token, plus the
    smallest over spans that begin at the token, minus the token's own lead, which both contain.
    """
    staying, at_ends = _largest_gains(transitions)
    lead = np.minimum(e[:, 0].astype("float64") - row_maxima(e[:, 1:]), LARGEST_LEAD) - staying
    # A jump between sequences makes every span that crosses into the next one too expensive.
    jump = np.repeat(np.arange(len(lengths)) * LARGEST_LEAD, lengths)
    behind = np.cumsum(lead) + jump
    before = behind - lead
    to_left = behind - np.maximum.accumulate(before)
    to_right = np.minimum.accumulate(behind[::-1])[::-1] - before
    return to_left + to_right - lead > at_ends - staying + SLACK


def _viterbi_chains(e: Floats, lengths: Ints, kinds: EndKinds, predecessors: _Predecessors) -> Ints:
    """(N,) The best tags of chains. Long chains run in blocks, see `blocks`."""
    tags = np.empty(len(e), dtype=np.int64)
    run_until_consistent(
        blocks_to_try(lengths, RUN_BLOCK, RUN_MARGIN),
        lambda blocks: _viterbi_blocks(e, blocks, kinds, predecessors, tags),
    )
    return tags


def _viterbi_blocks(e: Floats, blocks: Blocks, kinds: EndKinds, predecessors: _Predecessors, tags: Ints) -> Ints:
    """Write the tags of the rows that the blocks own, and return the chains whose blocks do not agree."""
    if not len(blocks.continued):
        for _, batch in blocks.batches(rows_at_once(e.shape[1])):
            found, _ = _viterbi_side_by_side(take_rows(np, e, batch.rows), batch, kinds, predecessors)
            tags[batch.own_rows] = found[batch.own_places]
        return blocks.chain[:0]
    # For each block, the scores at its last row and at the row before its first, and the tag at the row after its last.
    last, before_first = (np.zeros((len(blocks), e.shape[1])) for _ in range(2))
    behind = np.zeros(len(blocks), dtype=np.int64)
    for numbers, batch in blocks.batches(rows_at_once(e.shape[1])):
        found, compute_scores = _viterbi_side_by_side(take_rows(np, e, batch.rows), batch, kinds, predecessors)
        scores = compute_scores()
        tags[batch.own_rows] = found[batch.own_places]
        all_of_them, final = np.arange(len(batch)), len(batch.rows) - 1
        last[numbers] = scores[batch.places(all_of_them, batch.end - 1)]
        before_first[numbers] = scores[np.maximum(batch.places(all_of_them, batch.start - 1), 0)]
        behind[numbers] = found[np.minimum(batch.places(all_of_them, batch.end), final)]
    continued = blocks.continued
    agree = same_scores(last[continued], before_first[continued + 1])
    return blocks.inconsistent_chains(agree & (behind[continued] == tags[blocks.end[continued]]))


class _ForwardPass(NamedTuple):
    """The forward pass through blocks that run side by side.

    Tags are the first axis of these tables, because NumPy is slow for many short rows.

    totals: for each step (T + 1, b), the score of the best path to each tag. The last row is filled by the next step:
        the score of the best path to any tag that may end an entity, with the score of leaving it.
    takes_second: for each step but the first (T, b), whether the best path to each tag takes its second predecessor.
    last_tags (B,): the best tag at the last row of each block.
    """

    totals: list[Floats]
    takes_second: list[Bools]
    last_tags: Ints


def _viterbi_side_by_side(
    e: Floats, blocks: Blocks, kinds: EndKinds, predecessors: _Predecessors
) -> tuple[Ints, Callable[[], Floats]]:
    """Run all blocks side by side, one step for each row of the longest.

    e: the emissions of the rows of the blocks, concatenated. Returns for each of these rows the best tag, and the
    scores (T,) of the best path to each tag, as a function that computes them.
    """
    packed = pack_on_cpu(blocks.lengths, n_directions=1)
    block = packed.sequence_of_token[packed.source[0, : packed.batch_sizes[0]]]
    start_kind, end_kind = (kind[blocks.chain] for kind in kinds)
    start = predecessors.start[np.where(blocks.open_start, OPEN, start_kind)[block]]
    end = predecessors.end[np.where(blocks.open_end, OPEN, end_kind)[block]]
    forward = _forward_pass(take_rows(np, e, packed.source[0]), packed, start, end, predecessors)
    tags = np.empty(len(e), dtype=np.int64)
    tags[packed.source[0]] = _trace_back(forward, packed, predecessors)

    def scores() -> Floats:
        T = e.shape[1]
        return take_rows(np, np.concatenate([total[:T].T for total in forward.totals]), packed.target[0])

    return tags, scores


def _forward_pass(e: Floats, packed: Packed, start: Floats, end: Floats, predecessors: _Predecessors) -> _ForwardPass:
    """The forward pass over e (P, T), by packed row. start, end (B, T): scores of each block's first and last tags."""
    sizes, offsets, T = packed.batch_sizes.tolist(), packed.offsets, e.shape[1]
    both_predecessors = np.append(predecessors.first, predecessors.second)
    to_both = np.append(predecessors.to_first, predecessors.to_second)[:, None]
    leave = predecessors.leave[:, None]
    totals: list[Floats] = []
    takes_second: list[Bools] = []
    last_tags = np.zeros(sizes[0], dtype=np.int64)
    for t, b in enumerate(sizes):
        here, total = e[offsets[t] : offsets[t] + b].T, np.empty((T + 1, b))
        if t:
            before = totals[-1][:, :b]
            ending = before.take(predecessors.ending, axis=0)
            ending += leave
            ending.max(axis=0, out=before[T])
            both = before.take(both_predecessors, axis=0)
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
    return _ForwardPass(totals, takes_second, last_tags)


def _trace_back(forward: _ForwardPass, packed: Packed, predecessors: _Predecessors) -> Ints:
    """(P,) The best tags by packed row, from the last step to the first."""
    if len(forward.last_tags) == 1:
        return _trace_back_one(forward, predecessors)
    sizes, offsets, T = packed.batch_sizes.tolist(), packed.offsets, len(predecessors.first)
    tags = np.empty(offsets[-1], dtype=np.int64)
    current = forward.last_tags[: sizes[-1]]
    for t in range(len(sizes) - 1, -1, -1):
        b = sizes[t]
        if len(current) < b:
            # Add the blocks whose last row is at this step.
            current = np.concatenate([current, forward.last_tags[len(current) : b]])
        tags[offsets[t] : offsets[t] + b] = current
        if t:
            takes_second = forward.takes_second[t - 1][current, np.arange(b)]
            current = np.where(takes_second, predecessors.second[current], predecessors.first[current])
            ended = np.flatnonzero(current == T)
            if len(ended):
                ending = forward.totals[t - 1][predecessors.ending[:, None], ended] + predecessors.leave[:, None]
                current[ended] = predecessors.ending[ending.argmax(axis=0)]
    return tags


def _trace_back_one(forward: _ForwardPass, predecessors: _Predecessors) -> Ints:
    """The same for a single block, with plain numbers, because NumPy's calls would take most of the time."""
    tag = int(forward.last_tags[0])
    tags = [tag]
    for total, takes_second in zip(forward.totals[-2::-1], forward.takes_second[::-1], strict=True):
        tag = int((predecessors.second if takes_second[tag, 0] else predecessors.first)[tag])
        if tag == len(predecessors.first):
            tag = int(predecessors.ending[(total[predecessors.ending, 0] + predecessors.leave).argmax()])
        tags.append(tag)
    return np.array(tags[::-1], dtype=np.int64)


def n_best(
    emissions: Floats, transitions: Transitions, n: int, allowed: Optional[Bools] = None
) -> list[tuple[Ints, float]]:
    """Find the n highest-scoring legal sequences of tags of one sequence of tokens.

    Different legal sequences of tags have different sets of entities.

    Args:
        emissions (Floats): The emissions e (N, T) of one sequence, in nats.
        transitions (Transitions): The transitions of the chain.
        n (int): The number of sequences to find.
        allowed (Optional[Bools]): The tags that each token may take (N, T). None: any.

    Returns:
        list[tuple[Ints, float]]: The tags (N,) and the score in nats of each sequence, best first; fewer than n if
            there are no more. The log-probability of a sequence is its score minus log Z.
    """
    e = np.asarray(emissions, dtype="float64")
    e = e if allowed is None else np.where(allowed, e, -np.inf)
    if not len(e):
        return [(np.zeros(0, dtype=np.int64), 0.0)]
    predecessors, T = _predecessors(transitions), transitions.n_tags
    total = np.full((T + 1, n), -np.inf)
    total[:T, 0] = predecessors.start[BOUNDARY] + e[0]
    sources = _Sources(np.zeros((len(e), T, n), dtype=np.int64), np.zeros((len(e), n), dtype=np.int64))
    for t in range(1, len(e)):
        if len(predecessors.ending):
            ending = total[predecessors.ending] + predecessors.leave[:, None]
            total[T], sources.ending[t] = _largest(ending.ravel(), n)
        first = total[predecessors.first] + predecessors.to_first[:, None]
        second = total[predecessors.second] + predecessors.to_second[:, None]
        best, sources.tags[t] = _largest(np.concatenate([first, second], axis=1), n)
        total[:T] = best + e[t][:, None]
    scores, places = _largest((total[:T] + predecessors.end[BOUNDARY, :, None]).ravel(), n)
    found = []
    for score, place in zip(scores.tolist(), places.tolist(), strict=True):
        if np.isneginf(score):
            break
        found.append((_trace_back_ranked(sources, predecessors, *divmod(place, n)), score))
    return found


class _Sources(NamedTuple):
    """The origins of the n best paths to each tag.

    tags (N, T, n): a place among the n best of the first and the n best of the second predecessor.
    ending (N, n): for the n best paths to any tag that may end an entity, a place among the n best of all such tags.
    """

    tags: Ints
    ending: Ints


def _trace_back_ranked(sources: _Sources, predecessors: _Predecessors, tag: int, rank: int) -> Ints:
    """(N,) The tags of one of the n best paths to this tag, by its rank."""
    N, T, n = sources.tags.shape
    tags = np.empty(N, dtype=np.int64)
    for t in range(N - 1, -1, -1):
        tags[t] = tag
        takes_second, rank = divmod(int(sources.tags[t, tag, rank]), n)
        tag = int(predecessors.second[tag] if takes_second else predecessors.first[tag])
        if tag == T and t:
            ending, rank = divmod(int(sources.ending[t, rank]), n)
            tag = int(predecessors.ending[ending])
    return tags


def _largest(values: Floats, n: int) -> tuple[Floats, Ints]:
    """The n largest values along the last axis, largest first, and their places; padded with -inf."""
    places = np.argsort(-values, axis=-1, kind="stable")[..., :n]
    best = np.take_along_axis(values, places, axis=-1)
    short = n - best.shape[-1]
    if short > 0:
        width = [(0, 0)] * (values.ndim - 1) + [(0, short)]
        best, places = np.pad(best, width, constant_values=-np.inf), np.pad(places, width)
    return best, places
