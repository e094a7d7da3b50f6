"""The exact probability of an entity, and what a temperature does to it. Notation as in `crf`."""

from typing import Optional, cast

import numpy as np

from ...arrays import take_rows
from ...tags import Spans
from ...types import Bools, Floats, Ints
from .blocks import Blocks, cut_outside, rows_at_once, same_masses, settle, ways_with
from .forward_backward import LARGEST_GAP, Lattice, forward_backward
from .transitions import Transitions

PART_MARGINS = 64, 1024
"""Margins of the parts of a long sequence, of the first try and of the second; at most a quarter of a part's rows."""


def span_probabilities(lattice: Lattice, spans: Spans) -> Floats:
    """(n,) P(span, label | text): the summed probability of all legal sequences of tags that contain each entity.

    Constrained forward-backward (Culotta & McCallum 2004): the mass that arrives at the entity's first tag, times the
    transitions and emissions inside it, times the mass that goes on from its last tag to
    anything but more of the entity.

    spans: rows and labels, none empty, none across sequences.
    """
    if not len(spans.starts):
        return np.zeros(0)
    transitions, scheme = lattice.transitions, lattice.transitions.scheme
    sizes, last_rows = spans.ends - spans.starts, spans.ends - 1
    rows = np.repeat(spans.starts - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))
    label, is_last = np.repeat(spans.labels, sizes), np.zeros(len(rows), dtype=bool)
    is_last[np.cumsum(sizes) - 1] = True
    roles = np.full(len(rows), scheme.roles.index("I"))
    if "L" in scheme.roles:
        roles[is_last] = scheme.roles.index("L")
    first_of = np.cumsum(sizes) - sizes
    roles[first_of] = scheme.roles.index("B")
    if "U" in scheme.roles:
        roles[first_of[sizes == 1]] = scheme.roles.index("U")
    tags = 1 + len(scheme.roles) * label + roles
    log_p = np.zeros(len(rows))
    with np.errstate(divide="ignore"):
        alpha = lattice.alpha_at(spans.starts)
        log_p[first_of] = np.log(alpha[np.arange(len(alpha)), tags[first_of]])
        later = np.ones(len(rows), dtype=bool)
        later[first_of] = False
        at = np.flatnonzero(later)
        gap = np.maximum(lattice.emissions[rows[at], tags[at]] - lattice.peak[rows[at]], -LARGEST_GAP)
        gap[np.isneginf(lattice.emissions[rows[at], tags[at]])] = -np.inf
        log_p[at] = gap - lattice.log_scale_at(rows[at])
        for c, role in enumerate(scheme.continuing):
            own = at[roles[at] == scheme.roles.index(role)]
            source = (roles[own - 1] == scheme.roles.index("I")).astype(int)
            log_p[own] += transitions.params.inside[c, source, label[own]]
        leaving = _leaving(lattice, last_rows, tags[np.cumsum(sizes) - 1])
        total = np.einsum("nt,nt->n", lattice.alpha_at(last_rows), lattice.beta_at(last_rows))
        log_p[first_of] += np.log(leaving) - np.log(total)
    return cast(Floats, np.clip(np.exp(np.add.reduceat(log_p, first_of)), 0.0, 1.0))


def probabilities(
    emissions: Floats, lengths: Ints, transitions: Transitions, allowed: Optional[Bools], spans: Spans
) -> Floats:
    """(n,) The probability of each span; sequences without any are skipped, the others run in bounded memory.

    emissions (N, T); lengths (n_sequences,); allowed (N, T) or None. A sequence that is longer than what is run at once
    runs in parts that are checked where they meet, see `blocks`; it would run whole, in memory that grows with it, only
    if the model remembered for all of PART_MARGINS.
    """
    scores = np.zeros(len(spans.starts))
    if not len(scores):
        return scores
    lengths = np.asarray(lengths)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    size, with_spans = rows_at_once(emissions.shape[1]), sequence[spans.starts]
    margins = (min(margin, size // 4) for margin in PART_MARGINS)
    tries = ways_with(lengths, margins, lambda margin: cut_outside(lengths, spans.starts, spans.ends, size, margin))
    chosen = (blocks.some(np.isin(blocks.chain, with_spans)) for blocks in tries)
    settle(chosen, lambda blocks: _score_parts(emissions, transitions, allowed, spans, blocks, scores))
    return scores


def _score_parts(
    emissions: Floats, transitions: Transitions, allowed: Optional[Bools], spans: Spans, parts: Blocks, scores: Floats
) -> Ints:
    """Write the scores of the spans in the parts. RETURNS the sequences of which parts do not agree where they meet."""
    # Forward masses at the row before the first and at the last; backward masses at the first and behind the last.
    before, last, first, behind = (np.zeros((len(parts), emissions.shape[1])) for _ in range(4))
    own = np.searchsorted(parts.start, spans.starts, side="right") - 1
    own[spans.starts >= parts.end[own]] = -1
    for chosen, some in parts.some_at_a_time(rows_at_once(emissions.shape[1])):
        mine = np.flatnonzero(np.isin(own, chosen))
        mask = None if allowed is None else allowed[some.rows]
        opened = some.open_start, some.open_end
        lattice = forward_backward(take_rows(np, emissions, some.rows), some.lengths, transitions, mask, opened)
        shift = (some.offsets - some.begin)[own[mine] - chosen[0]]
        shifted = Spans(spans.starts[mine] + shift, spans.ends[mine] + shift, spans.labels[mine])
        scores[mine] = span_probabilities(lattice, shifted)
        numbers, end = np.arange(len(some)), len(some.rows) - 1
        last[chosen] = lattice.alpha_at(some.places(numbers, some.end - 1))
        before[chosen] = lattice.alpha_at(np.maximum(some.places(numbers, some.start - 1), 0))
        first[chosen] = lattice.u_at(some.places(numbers, some.start))
        behind[chosen] = lattice.u_at(np.minimum(some.places(numbers, some.end), end))
    meeting = parts.meeting
    agree = same_masses(last[meeting], before[meeting + 1]) & same_masses(behind[meeting], first[meeting + 1])
    return parts.disagreeing(agree)


def _leaving(lattice: Lattice, rows: Ints, tags: Ints) -> Floats:
    """The part of β that ends the entity at its last row: all moves but those to a continuing tag."""
    transitions = lattice.transitions
    following = np.minimum(rows + 1, len(lattice.emissions) - 1)
    onward = transitions.leave[tags] * (lattice.u_at(following) @ transitions.enter[1])
    return cast(Floats, np.where(lattice.is_last[rows], transitions.end[tags], onward))


def soften(probabilities: Floats, temperatures: Floats) -> Floats:
    """(n,) Probabilities whose log odds are divided by a temperature each."""
    clipped = np.clip(probabilities, 1e-12, 1.0 - 1e-12)
    odds = np.log(clipped) - np.log1p(-clipped)
    return cast(Floats, 1.0 / (1.0 + np.exp(-odds / temperatures)))
