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

from ..tags import MISSING, Bools, Floats, Ints, Scheme
from .blocks import Blocks, cut, same_masses, whole
from .kernel import take_rows
from .packed import Packed, pack

DENSE_TAGS = 100
"""Up to so many tags a product with the full matrix is faster than the factored sums."""
LARGEST_GAP = 200.0
"""A tag's emission counts as at most so much (in nats) below the best of its token, so that no mass underflows.

Probabilities are exact as long as no emission that matters lies further below: only where constraints force a tag that
the model holds for less likely than e^-200 are they not.
"""


class Transitions(NamedTuple):
    """The parameters of the moves; also the shape of their counts and gradients.

    start (T,), end (T,): score of a tag at the first and at the last token.
    enter (2, T): score of O or of the first tag of an entity; row 0 after O, row 1 after an entity.
    leave (T,): added to row 1 of `enter` by the entity's last tag.
    inside (C, 2, L): score of continuing role c after B (0) and after I (1) of the same label.
    """

    start: Floats
    end: Floats
    enter: Floats
    leave: Floats
    inside: Floats


def no_transitions(scheme: Scheme, n_labels: int, dtype: str = "float64") -> Transitions:
    """Transitions that cost nothing; the moves that the scheme forbids stay forbidden."""
    T = scheme.n_tags(n_labels)
    shapes = (T,), (T,), (2, T), (T,), (len(scheme.continuing), 2, n_labels)
    return Transitions(*(np.zeros(shape, dtype=dtype) for shape in shapes))


class Moves:
    """Transitions made ready for the sums: their exponentials, in the form that is fastest for the number of tags."""

    def __init__(self, scheme: Scheme, transitions: Transitions) -> None:
        self.scheme = scheme
        self.transitions = Transitions(*(np.asarray(array, dtype="float64") for array in transitions))
        self.n_tags = len(transitions.start)
        tags = np.arange(self.n_tags)
        self.opening: Bools = (tags == 0) | scheme.is_role(tags, scheme.opening)
        self.ending: Bools = scheme.is_role(tags, scheme.ending)
        may_end = self.ending | (tags == 0)
        start, end, enter, leave, inside = (np.exp(array) for array in self.transitions)
        self.start: Floats = np.where(self.opening, start, 0.0)
        self.end: Floats = np.where(may_end, end, 0.0)
        self.enter: Floats = np.where(self.opening, enter, 0.0)
        self.leave: Floats = np.where(self.ending, leave, 0.0)
        self.inside: Floats = inside

    @property
    def are_finite(self) -> bool:
        """Whether sums over sequences of tags can be computed: no transition is NaN, or its exponential infinite."""
        return all(np.isfinite(a).all() for a in (self.start, self.end, self.enter, self.leave, self.inside))

    @cached_property
    def matrix(self) -> Floats:
        """(T, T) exp A."""
        A = np.outer(self.leave, self.enter[1])
        A[0] = self.enter[0]
        for c, role in enumerate(self.scheme.continuing):
            to = np.arange(self.n_tags)[self.scheme.columns(role)]
            for source, before in enumerate("BI"):
                A[np.arange(self.n_tags)[self.scheme.columns(before)], to] = self.inside[c, source]
        return A

    @cached_property
    def _both(self) -> Floats:
        return np.stack([self.matrix, self.matrix.T])

    def step(self, state: Floats, out: Floats) -> None:
        """out (2, b, T) <- state[0]·exp A and state[1]·(exp A)ᵀ: one step of both directions."""
        if self.n_tags <= DENSE_TAGS:
            np.matmul(state, self._both, out=out)
            return
        forward, backward = state
        np.multiply(forward[:, :1], self.enter[0], out=out[0])
        out[0] += (forward @ self.leave)[:, None] * self.enter[1]
        np.multiply((backward @ self.enter[1])[:, None], self.leave, out=out[1])
        out[1][:, 0] = backward @ self.enter[0]
        for c, role in enumerate(self.scheme.continuing):
            to = self.scheme.columns(role)
            for source, before in enumerate("BI"):
                at = self.scheme.columns(before)
                out[0][:, to] += forward[:, at] * self.inside[c, source]
                out[1][:, at] += backward[:, to] * self.inside[c, source]


@dataclass
class Lattice:
    """What the forward-backward run leaves, in token order. Rows of α and u sum to 1."""

    moves: Moves
    lengths: Ints
    emissions: Floats  # (N, T), -inf where a tag is not allowed
    alpha: Floats  # (N, T)
    arriving: Floats  # (N, T) the forward mass before the token's emission
    u: Floats  # (N, T)
    beta: Floats  # (N, T)
    log_scale: Floats  # (N,) log of what α was divided by

    @cached_property
    def first(self) -> Ints:
        """First rows of the sequences that are not empty."""
        return (np.cumsum(self.lengths) - self.lengths)[self.lengths > 0]

    @cached_property
    def last(self) -> Ints:
        """Last rows of the sequences that are not empty."""
        return (np.cumsum(self.lengths) - 1)[self.lengths > 0]

    @cached_property
    def peak(self) -> Floats:
        """(N,) The largest emission of each token."""
        return cast(Floats, self.emissions.max(axis=1)) if len(self.emissions) else np.zeros(0)

    @cached_property
    def log_partition(self) -> Floats:
        """(n_sequences,) log Z: the log of the summed exponential scores of all legal sequences."""
        total = np.zeros(len(self.lengths))
        sequence = np.repeat(np.arange(len(self.lengths)), self.lengths)
        np.add.at(total, sequence, self.log_scale + self.peak)
        with np.errstate(divide="ignore"):
            # -inf where constraints leave no sequence.
            total[self.lengths > 0] += np.log(self.alpha[self.last] @ self.moves.end)
        return total

    @cached_property
    def marginals(self) -> Floats:
        """(N, T) γ."""
        gamma = self.alpha * self.beta
        gamma /= np.maximum(gamma.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        return gamma

    def expected_counts(self) -> Transitions:
        """How often each transition is expected, summed over all sequences."""
        moves, later = self.moves, np.ones(len(self.alpha), dtype=bool)
        later[self.first] = False
        rows = np.flatnonzero(later)
        before, after = self.alpha[rows - 1], self.u[rows]
        mass = np.einsum("nt,nt->n", self.arriving[rows], after)
        after /= np.maximum(mass, np.finfo(float).tiny)[:, None]
        gone = before @ moves.leave
        enter = moves.enter * np.stack([before[:, 0] @ after, gone @ after])
        leave = moves.leave * ((after @ moves.enter[1]) @ before)
        inside = np.zeros_like(moves.inside)
        for c, role in enumerate(moves.scheme.continuing):
            to = after[:, moves.scheme.columns(role)]
            for source, role_before in enumerate("BI"):
                at = before[:, moves.scheme.columns(role_before)]
                inside[c, source] = moves.inside[c, source] * np.einsum("nl,nl->l", at, to)
        gamma = self.marginals
        return Transitions(gamma[self.first].sum(axis=0), gamma[self.last].sum(axis=0), enter, leave, inside)


def forward_backward(
    emissions: Floats,
    lengths: Ints,
    moves: Moves,
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
    x = np.exp(np.maximum(e - e.max(axis=1, keepdims=True, initial=-np.inf), -LARGEST_GAP)) if e.size else e
    x[np.isneginf(e)] = 0.0
    blocks = _opened(cut(lengths), opened)
    columns, uncut = _run_blocks(x, blocks, moves)
    if len(uncut):
        blocks = _opened(whole(lengths), opened)
        blocks = blocks.some(np.isin(blocks.chain, uncut))
        for column, values in zip(columns, _run_blocks(x, blocks, moves)[0], strict=True):
            column[blocks.own_rows] = values
    return Lattice(moves, lengths, e, *columns)


def _opened(blocks: Blocks, opened: Optional[tuple[Bools, Bools]]) -> Blocks:
    if opened is None:
        return blocks
    before, behind = (flags[blocks.chain] for flags in opened)
    return replace(blocks, open_start=blocks.open_start | before, open_end=blocks.open_end | behind)


def _run_blocks(x: Floats, blocks: Blocks, moves: Moves) -> tuple[list[Floats], Ints]:
    """RETURNS α, arriving, u, β and log scale at the rows that the blocks own, and the sequences to be run whole."""
    packed = pack(blocks.lengths, n_directions=2)
    before, mass, scale = _run(x, blocks, packed, moves)
    forward, backward = packed.target[:, blocks.own_places]
    columns = [
        take_rows(np, table, rows)
        for table, rows in (
            *((mass[0], forward), (before[0], forward)),
            *((mass[1], backward), (before[1], backward)),
            (scale[0], forward),
        )
    ]
    np.log(columns[-1], out=columns[-1])
    meeting, ends = blocks.meeting, blocks.end[blocks.meeting]
    agree = np.ones(len(meeting), dtype=bool)
    # The forward mass at the last row of one block, and the backward mass at the first row of the next.
    for direction, rows in enumerate((ends - 1, ends)):
        target = packed.target[direction]
        one, other = (mass[direction][target[blocks.places(number, rows)]] for number in (meeting, meeting + 1))
        agree &= same_masses(one, other)
    return columns, blocks.disagreeing(agree)


def _run(x: Floats, blocks: Blocks, packed: Packed, moves: Moves) -> tuple[Floats, Floats, Floats]:
    """Both masses by packed row: before and after the emission (2, N, T), and the scale (2, N) of the latter."""
    mass = take_rows(np, x, blocks.rows[packed.source])
    before, scale = np.empty(mass.shape), np.empty(mass.shape[:2])
    offsets = packed.offsets
    for t, b in enumerate(packed.batch_sizes.tolist()):
        now = slice(offsets[t], offsets[t] + b)
        arriving, here, total = before[:, now], mass[:, now], scale[:, now]
        if t:
            moves.step(mass[:, offsets[t - 1] : offsets[t - 1] + b], arriving)
        else:
            of_row = packed.sequence_of_token[packed.source[0, now]]
            arriving[0] = np.where(blocks.open_start[of_row, None], 1.0, moves.start)
            arriving[1] = np.where(blocks.open_end[of_row, None], 1.0, moves.end)
        np.multiply(here, arriving, out=here)
        np.add.reduce(here, axis=2, out=total)
        # Zero only where emissions of many tokens contradict what is allowed by hundreds of nats each.
        np.maximum(total, np.finfo(float).tiny, out=total)
        np.divide(here, total[:, :, None], out=here)
    return before, mass, scale


def path_counts(tags: Ints, lengths: Ints, moves: Moves) -> Transitions:
    """How often each transition is taken by legal sequences of tags (N,)."""
    scheme = moves.scheme
    counts = no_transitions(scheme, scheme.n_labels(moves.n_tags))
    full = lengths > 0
    first, last = (np.cumsum(lengths) - lengths)[full], (np.cumsum(lengths) - 1)[full]
    np.add.at(counts.start, tags[first], 1.0)
    np.add.at(counts.end, tags[last], 1.0)
    later = np.ones(len(tags), dtype=bool)
    later[first] = False
    rows = np.flatnonzero(later)
    before, after = tags[rows - 1], tags[rows]
    opens = moves.opening[after]
    np.add.at(counts.enter, ((before > 0)[opens].astype(int), after[opens]), 1.0)
    np.add.at(counts.leave, before[opens & (before > 0)], 1.0)
    for c, role in enumerate(scheme.continuing):
        own = scheme.is_role(after, role)
        source = scheme.is_role(before[own], "I").astype(int)
        np.add.at(counts.inside[c], (source, scheme.label_of(after[own])), 1.0)
    return counts


def dot(a: Transitions, b: Transitions) -> float:
    """The score of counts `a` under transitions `b`."""
    return float(sum((x * y).sum() for x, y in zip(a, b, strict=True)))


def minus(a: Transitions, b: Transitions) -> Transitions:
    """a - b."""
    return Transitions(*(x - y for x, y in zip(a, b, strict=True)))


def entropy(lattice: Lattice) -> Floats:
    """(n_sequences,) The entropy of the tag sequence given the text, in nats: log Z minus the expected score.

    The chain is Markov, so that it is the entropy of the first tag plus that of each tag given the one before.
    """
    total = np.zeros(len(lattice.lengths))
    gamma, sequence = lattice.marginals, np.repeat(np.arange(len(lattice.lengths)), lattice.lengths)
    finite = np.where(np.isneginf(lattice.emissions), 0.0, lattice.emissions)
    np.add.at(total, sequence, -np.einsum("nt,nt->n", gamma, finite))
    total += lattice.log_partition
    # The expected score of the moves, sequence by sequence: each has counts of its own.
    ends = np.cumsum(lattice.lengths)
    for k, (end, length) in enumerate(zip(ends.tolist(), lattice.lengths.tolist(), strict=True)):
        rows = slice(end - length, end)
        own = Lattice(
            lattice.moves,
            np.array([length]),
            *(
                array[rows]
                for array in (
                    lattice.emissions,
                    lattice.alpha,
                    lattice.arriving,
                    lattice.u,
                    lattice.beta,
                    lattice.log_scale,
                )
            ),
        )
        total[k] -= dot(own.expected_counts(), lattice.moves.transitions)
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
