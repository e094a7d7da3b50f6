"""The linear chain over tags: log-partition, marginals and likelihood, exactly, by the forward-backward algorithm.

Lafferty et al. 2001; with tokens that carry no annotation summed over, the partial CRF of Tsuboi et al. 2008. The
head with log-softmax is the same chain with all transitions zero.

Notation
--------
N           tokens of all sequences of the batch, laid end to end
T           tags, numbered as in `spacy_lstm_ner.tags`; L labels
e (N, T)    emissions: the score of each tag at each token; -inf forbids it
x (N, T)    exp(e - max e) per token
A (T, T)    score of the move from tag i to tag j; -inf where the scheme forbids it
α (N, T)    forward mass: α_t = x_t ⊙ (α_{t-1}·exp A), scaled to sum 1
u (N, T)    backward mass with the token's own emission: u_t = x_t ⊙ (exp A·u_{t+1}), scaled to sum 1
β (N, T)    exp A·u_{t+1}, the backward mass without it
γ (N, T)    marginals: p(tag of token t | text), in proportion to α ⊙ β

Both masses obey the same rule, the second on the mirrored sequence. They are therefore computed side by side, all
sequences at once, as the two directions of a packed batch. Sums stay linear in L for many labels, since A is factored:
any entity may be followed by O or by the begin of any other, at a cost for leaving and one for entering.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Optional, cast

import numpy as np

from ...arrays import row_maxima, take_rows
from ...tags import MISSING, Scheme
from ...types import Bools, Floats, Ints
from ..packed import Packed, pack
from .blocks import Blocks, same_masses, settle, ways
from .transitions import TransitionParams, Transitions

LARGEST_GAP = 200.0
"""A tag's emission counts as at most so much (in nats) below the best of its token, so that no mass underflows.

Probabilities are exact as long as no emission that matters lies further below: only where constraints force a tag that
the model holds for less likely than e^-200 are they not.
"""
SCALED_EVERY = 4
"""Masses are scaled every so many steps: a float holds what they are in between, unless scores are extreme."""
SMALLEST_TOTAL = 1e-40
"""Where a mass is smaller in sum than this (or larger than 1 / this) when it is to be scaled, or at the end, every step
is scaled."""


class Masses(NamedTuple):
    """By packed row. mass (2, P, T): both masses, not all of them scaled. total (2, P): their sums.

    log_scale (P,): log of the factor by which the forward mass changes in this step.
    """

    mass: Floats
    total: Floats
    log_scale: Floats


@dataclass
class Lattice:
    """What the forward-backward run leaves. Rows of α and u, given in token order, sum to 1.

    emissions (N, T): -inf where a tag is not allowed. target (2, N): the packed row of each token, in both directions.
    open_end (n_sequences,): those that go on behind their last token.
    """

    transitions: Transitions
    lengths: Ints
    emissions: Floats
    masses: Masses
    target: Ints
    open_end: Bools

    def alpha_at(self, rows: Ints) -> Floats:
        """(n, T) α of these tokens."""
        return self._at(0, self.target[0, rows])

    def u_at(self, rows: Ints) -> Floats:
        """(n, T) u of these tokens."""
        return self._at(1, self.target[1, rows])

    def _at(self, direction: int, packed_rows: Ints) -> Floats:
        found = take_rows(np, self.masses.mass[direction], packed_rows)
        found /= self.masses.total[direction, packed_rows][:, None]
        return cast(Floats, found)

    def beta_at(self, rows: Ints) -> Floats:
        """(n, T) β of these tokens, as it comes from u of the tokens behind them."""
        found = self.transitions.back(self.u_at(np.minimum(rows + 1, len(self.emissions) - 1)))
        ends = np.flatnonzero(self.is_last[rows])
        opened = self.open_end[self.sequence[rows[ends]]]
        found[ends] = np.where(opened[:, None], 1.0, self.transitions.end)
        return found

    @cached_property
    def alpha(self) -> Floats:
        """(N, T)"""
        return self._at(0, self.target[0])

    @cached_property
    def u(self) -> Floats:
        """(N, T)"""
        return self._at(1, self.target[1])

    @cached_property
    def beta(self) -> Floats:
        """(N, T)"""
        return self.beta_at(np.arange(len(self.emissions)))

    def log_scale_at(self, rows: Ints) -> Floats:
        """(n,) log of what the forward mass comes to at these tokens from 1 at the token before."""
        return cast(Floats, self.masses.log_scale[self.target[0, rows]])

    @cached_property
    def first(self) -> Ints:
        """First rows of the sequences that are not empty."""
        return (np.cumsum(self.lengths) - self.lengths)[self.lengths > 0]

    @cached_property
    def last(self) -> Ints:
        """Last rows of the sequences that are not empty."""
        return (np.cumsum(self.lengths) - 1)[self.lengths > 0]

    @cached_property
    def is_last(self) -> Bools:
        """(N,) Whether a row is the last of its sequence."""
        flags = np.zeros(len(self.emissions), dtype=bool)
        flags[self.last] = True
        return flags

    @cached_property
    def sequence(self) -> Ints:
        """(N,) The sequence of each row."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def peak(self) -> Floats:
        """(N,) The largest emission of each token."""
        return row_maxima(self.emissions)

    @cached_property
    def log_partition(self) -> Floats:
        """(n_sequences,) log Z: the log of the summed exponential scores of all legal sequences."""
        total = np.zeros(len(self.lengths))
        np.add.at(total, self.sequence, self.masses.log_scale[self.target[0]] + self.peak)
        with np.errstate(divide="ignore"):
            # -inf where constraints leave no sequence.
            total[self.lengths > 0] += np.log(self.alpha_at(self.last) @ self.transitions.end)
        return total

    @cached_property
    def marginals(self) -> Floats:
        """(N, T) γ."""
        gamma = self.alpha * self.beta
        gamma /= np.maximum(gamma.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        return gamma

    @cached_property
    def _moved(self) -> tuple[Ints, Floats, Floats]:
        """The rows that have one before them, α before each, and u at each, so scaled that a move's probability is the
        product of its two ends and its exponential score.
        """
        later = np.ones(len(self.emissions), dtype=bool)
        later[self.first] = False
        rows = np.flatnonzero(later)
        before, after = self.alpha[rows - 1], self.u[rows]
        mass = np.einsum("nt,nt->n", before, self.beta[rows - 1])
        after /= np.maximum(mass, np.finfo(float).tiny)[:, None]
        return rows, before, after

    def expected_counts(self) -> TransitionParams:
        """How often each transition is expected, summed over all sequences."""
        transitions = self.transitions
        _, before, after = self._moved
        gone = before @ transitions.leave
        enter = transitions.enter * np.stack([before[:, 0] @ after, gone @ after])
        leave = transitions.leave * ((after @ transitions.enter[1]) @ before)
        inside = np.zeros_like(transitions.inside)
        for c, role in enumerate(transitions.scheme.continuing):
            to = after[:, transitions.scheme.columns(role)]
            for source, role_before in enumerate("BI"):
                at = before[:, transitions.scheme.columns(role_before)]
                inside[c, source] = transitions.inside[c, source] * np.einsum("nl,nl->l", at, to)
        gamma = self.marginals
        return TransitionParams(gamma[self.first].sum(axis=0), gamma[self.last].sum(axis=0), enter, leave, inside)

    def expected_move_scores(self) -> Floats:
        """(n_sequences,) The score of each sequence's transitions that is expected."""
        transitions, t = self.transitions, self.transitions.params
        rows, before, after = self._moved
        scores = before[:, 0] * (after @ (transitions.enter[0] * t.enter[0]))
        scores += (before @ transitions.leave) * (after @ (transitions.enter[1] * t.enter[1]))
        scores += (before @ (transitions.leave * t.leave)) * (after @ transitions.enter[1])
        for c, role in enumerate(transitions.scheme.continuing):
            to = after[:, transitions.scheme.columns(role)]
            for source, role_before in enumerate("BI"):
                at = before[:, transitions.scheme.columns(role_before)]
                scores += np.einsum("nl,nl,l->n", at, to, transitions.inside[c, source] * t.inside[c, source])
        total = np.zeros(len(self.lengths))
        np.add.at(total, self.sequence[rows], scores)
        total[self.lengths > 0] += self.marginals[self.first] @ t.start + self.marginals[self.last] @ t.end
        return total


def forward_backward(
    emissions: Floats,
    lengths: Ints,
    transitions: Transitions,
    allowed: Optional[Bools] = None,
    opened: Optional[tuple[Bools, Bools]] = None,
) -> Lattice:
    """Run both masses through all sequences; long ones in blocks, see `blocks`.

    emissions (N, T); lengths (n_sequences,): tokens of each sequence; allowed (N, T): tags that may be taken.
    opened: two of (n_sequences,), the sequences that are a part of a longer one, which goes on in front, or behind.
    """
    e = np.asarray(emissions, dtype="float64")
    if allowed is not None:
        e = np.where(allowed, e, -np.inf)
    lengths = np.asarray(lengths)
    x = _exponentials(e)
    target, found = np.empty((2, len(e)), dtype=np.int64), list[Masses]()

    def run(blocks: Blocks) -> Ints:
        masses, own, uncut = _run_blocks(x, _opened(blocks, opened), transitions)
        target[:, blocks.own_rows] = own + sum(len(earlier.log_scale) for earlier in found)
        found.append(masses)
        return uncut

    settle(ways(lengths), run)
    masses = found[0] if len(found) == 1 else _joined(found)
    open_end = np.zeros(len(lengths), dtype=bool) if opened is None else opened[1]
    return Lattice(transitions, lengths, e, masses, target, open_end)


def _exponentials(e: Floats) -> Floats:
    """(N, T) x."""
    x = e - row_maxima(e)[:, None] if e.size else e.copy()
    forbidden = np.isneginf(x) if np.isneginf(x.min(initial=0.0)) else None
    np.maximum(x, -LARGEST_GAP, out=x)
    np.exp(x, out=x)
    if forbidden is not None:
        x[forbidden] = 0.0
    return x


def _opened(blocks: Blocks, opened: Optional[tuple[Bools, Bools]]) -> Blocks:
    if opened is None:
        return blocks
    before, behind = (flags[blocks.chain] for flags in opened)
    return replace(blocks, open_start=blocks.open_start | before, open_end=blocks.open_end | behind)


def _joined(parts: list[Masses]) -> Masses:
    mass, total, log_scale = zip(*parts, strict=True)
    return Masses(np.concatenate(mass, axis=1), np.concatenate(total, axis=1), np.concatenate(log_scale))


def _run_blocks(x: Floats, blocks: Blocks, transitions: Transitions) -> tuple[Masses, Ints, Ints]:
    """RETURNS the masses, the packed rows (2, n) of the rows that the blocks own, and the sequences to be run again."""
    packed = pack(blocks.lengths, n_directions=2)
    masses = _run(x, blocks, packed, transitions, SCALED_EVERY)
    if masses is None:
        masses = cast(Masses, _run(x, blocks, packed, transitions, 1))
    meeting, ends = blocks.meeting, blocks.end[blocks.meeting]
    agree = np.ones(len(meeting), dtype=bool)
    # The forward mass at the last row of one block, and the backward mass at the first row of the next.
    for direction, rows in enumerate((ends - 1, ends)):
        at = (packed.target[direction, blocks.places(number, rows)] for number in (meeting, meeting + 1))
        one, other = (masses.mass[direction, p] / masses.total[direction, p][:, None] for p in at)
        agree &= same_masses(one, other)
    return masses, packed.target[:, blocks.own_places], blocks.disagreeing(agree)


def _run(x: Floats, blocks: Blocks, packed: Packed, transitions: Transitions, every: int) -> Optional[Masses]:
    """Both masses, scaled to sum 1 every so many steps. None if they come near what a float holds in between."""
    mass = take_rows(np, x, blocks.rows[packed.source])
    tiny, ones = np.finfo(float).tiny, np.ones(mass.shape[2])
    scale, offsets, sizes = np.ones(mass.shape[1]), packed.offsets, packed.batch_sizes.tolist()
    arriving = np.empty((2, sizes[0] if sizes else 0, mass.shape[2]))
    for t, b in enumerate(sizes):
        here = mass[:, offsets[t] : offsets[t] + b]
        if t:
            transitions.step(mass[:, offsets[t - 1] : offsets[t - 1] + b], arriving[:, :b])
        else:
            of_row = packed.sequence_of_token[packed.source[0, :b]]
            arriving[0] = np.where(blocks.open_start[of_row, None], 1.0, transitions.start)
            arriving[1] = np.where(blocks.open_end[of_row, None], 1.0, transitions.end)
        np.multiply(here, arriving[:, :b], out=here)
        if t % every == 0:
            total = here @ ones
            if every > 1 and not _are_held(total):
                return None
            # Zero only where emissions of many tokens contradict what is allowed by hundreds of nats each.
            np.maximum(total, tiny, out=total)
            np.divide(here, total[:, :, None], out=here)
            scale[offsets[t] : offsets[t] + b] = total[0]
    total = mass @ ones
    if every > 1 and not _are_held(total):
        # Of the steps behind the last scaled one, too.
        return None
    np.maximum(total, tiny, out=total)
    log_total = np.log(total[0])
    log_scale = np.log(scale) + log_total
    later = slice(offsets[1] if sizes else 0, None)
    log_scale[later] -= log_total[packed.previous[later]]
    return Masses(mass, total, log_scale)


def _are_held(totals: Floats) -> bool:
    """Whether masses with these sums are far from what a float does not hold. NaN is not."""
    return not totals.size or bool(totals.min() > SMALLEST_TOTAL and totals.max() < 1.0 / SMALLEST_TOTAL)


def entropy(lattice: Lattice) -> Floats:
    """(n_sequences,) The entropy of the tag sequence given the text, in nats: log Z minus the expected score.

    The chain is Markov, so that it is the entropy of the first tag plus that of each tag given the one before.
    """
    total = np.zeros(len(lattice.lengths))
    finite = np.where(np.isneginf(lattice.emissions), 0.0, lattice.emissions)
    np.add.at(total, lattice.sequence, -np.einsum("nt,nt->n", lattice.marginals, finite))
    total += lattice.log_partition - lattice.expected_move_scores()
    return np.maximum(total, 0.0)


def known_mask(tags: Ints, lengths: Ints, scheme: Scheme, n_tags: int) -> Bools:
    """(N, T) The tags that gold annotation allows: its own at annotated tokens, any at tokens without annotation.

    An annotated entity ends where it ends: a token without annotation behind it cannot continue it.
    """
    missing = tags == MISSING
    allowed = np.zeros((len(tags), n_tags), dtype=bool)
    allowed[missing] = True
    allowed[np.flatnonzero(~missing), tags[~missing]] = True
    continuing = scheme.is_role(np.arange(n_tags), scheme.continuing)
    behind = np.flatnonzero(missing[1:] & (tags[:-1] > 0)) + 1
    allowed[behind[:, None], np.flatnonzero(continuing)] = False
    return allowed
