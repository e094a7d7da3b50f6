"""The forward-backward algorithm for linear chains of tags: exact log-partition, marginals and expected counts.

The model is the conditional random field of Lafferty, McCallum & Pereira 2001. A head with a log-softmax is a chain
whose transitions are all zero.

Notation
--------
N           tokens of all sequences of the batch, concatenated
T           tags, numbered as in `spacy_lstm_ner.tags`
L           labels
P           packed rows, see `packed.Packed`: the rows of all blocks, ordered by time step
e (N, T)    emissions: the score of each tag at each token, in nats; -inf forbids the tag
x (N, T)    exp(e - max e), for each token
A (T, T)    score of the transition from tag i to tag j, in nats; -inf where the scheme forbids it
α (N, T)    forward mass: α_t = x_t ⊙ (α_{t-1}·exp A), scaled to sum 1
u (N, T)    backward mass with the token's own emission: u_t = x_t ⊙ (exp A·u_{t+1}), scaled to sum 1
β (N, T)    backward mass without it: exp A·u_{t+1}
γ (N, T)    marginals: p(tag of token t | text), proportional to α ⊙ β
log Z       log-partition: the log of the summed exponential scores of all legal sequences

Both masses follow the same rule, u on the mirrored sequence. So they are computed side by side for all sequences, as
the two directions of a packed batch. A is factored, so that the sums stay linear in L, see `transitions`.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Optional, Union

import numpy as np

from ...arrays import row_maxima, take_rows
from ...threads import on_one_thread
from ...types import Bools, Floats, Ints
from ..packed import Packed, pack_on_cpu
from .blocks import Blocks, blocks_to_try, run_until_consistent, same_masses
from .transitions import TransitionParams, Transitions

LARGEST_GAP = 200.0
"""The largest difference (in nats) between an emission and the best one of its token, so that no mass underflows.

A larger difference counts as this one. Probabilities are exact, unless constraints force a tag that the model gives a
probability below e^-200.
"""
SCALED_EVERY = 4
"""The number of steps after which masses are scaled. In between, they fit a float unless scores are extreme."""
SMALLEST_TOTAL = 1e-40
"""If the sum of a mass to be scaled, or the last one, is below this or above 1 / this, every step is scaled."""

_NUMBERS_AT_ONCE = 1 << 20
"""How many probabilities of steps are computed at a time, so that memory does not grow with the square of the tags."""

TINY = float(np.finfo(float).tiny)


class Masses(NamedTuple):
    """The masses by packed row.

    Attributes:
        mass (Floats): The forward and the backward mass, not scaled at every row (2, P, T).
        total (Floats): Their sums (2, P).
        log_scale (Floats): The log of the factor by which the forward mass changes in this step (P,).
    """

    mass: Floats
    total: Floats
    log_scale: Floats


class Steps(NamedTuple):
    """Steps from tag to tag with their probabilities. Together they are a distribution over sequences of tags.

    Attributes:
        rows (Ints): The token after each step (n,), in order. The steps to one token have the sum 1.
        before (Ints): The tag before it (n,); 0 at the first token of a sequence.
        tags (Ints): Its tag (n,).
        p (Floats): The probability of the step (n,).
    """

    rows: Ints
    before: Ints
    tags: Ints
    p: Floats

    def select(self, which: Union[Ints, Bools, slice]) -> "Steps":
        """Take some steps."""
        return Steps(self.rows[which], self.before[which], self.tags[which], self.p[which])


@dataclass
class Lattice:
    """The result of a forward-backward run over a batch of sequences. Rows of α and u sum to 1.

    Attributes:
        transitions (Transitions): The transitions of the chain.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        emissions (Floats): The emissions e (N, T); -inf where a tag is not allowed.
        masses (Masses): The masses by packed row.
        packed_rows (Ints): The packed row of each token, in both directions (2, N).
        open_end (Bools): Whether each sequence continues after its last token (n_sequences,).
    """

    transitions: Transitions
    lengths: Ints
    emissions: Floats
    masses: Masses
    packed_rows: Ints
    open_end: Bools

    def alpha_at(self, rows: Ints) -> Floats:
        """(n, T) α of these tokens."""
        return self._scaled_mass(0, self.packed_rows[0, rows])

    def u_at(self, rows: Ints) -> Floats:
        """(n, T) u of these tokens."""
        return self._scaled_mass(1, self.packed_rows[1, rows])

    def _scaled_mass(self, direction: int, packed_rows: Ints) -> Floats:
        mass: Floats = take_rows(np, self.masses.mass[direction], packed_rows)
        mass /= self.masses.total[direction, packed_rows][:, None]
        return mass

    def beta_at(self, rows: Ints) -> Floats:
        """(n, T) β of these tokens, computed from u of the tokens after them."""
        beta = self.transitions.step_back(self.u_at(np.minimum(rows + 1, len(self.emissions) - 1)))
        ends = np.flatnonzero(self.is_last[rows])
        is_open = self.open_end[self.sequence[rows[ends]]]
        beta[ends] = np.where(is_open[:, None], 1.0, self.transitions.end)
        return beta

    @cached_property
    def alpha(self) -> Floats:
        """(N, T) α."""
        return self._scaled_mass(0, self.packed_rows[0])

    @cached_property
    def u(self) -> Floats:
        """(N, T) u."""
        return self._scaled_mass(1, self.packed_rows[1])

    @cached_property
    def beta(self) -> Floats:
        """(N, T) β."""
        return self.beta_at(np.arange(len(self.emissions)))

    def log_scale_at(self, rows: Ints) -> Floats:
        """(n,) The log of the forward mass of these tokens before scaling, if it was 1 at the token before."""
        return self.masses.log_scale[self.packed_rows[0, rows]]

    @cached_property
    def first(self) -> Ints:
        """The first rows of the sequences that are not empty."""
        return (np.cumsum(self.lengths) - self.lengths)[self.lengths > 0]

    @cached_property
    def last(self) -> Ints:
        """The last rows of the sequences that are not empty."""
        return (np.cumsum(self.lengths) - 1)[self.lengths > 0]

    @cached_property
    def is_last(self) -> Bools:
        """(N,) Whether a row is the last of its sequence."""
        flags = np.zeros(len(self.emissions), dtype=bool)
        flags[self.last] = True
        return flags

    @cached_property
    def sequence(self) -> Ints:
        """(N,) The number of the sequence of each row."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def peak(self) -> Floats:
        """(N,) The largest emission of each token."""
        return row_maxima(self.emissions)

    @cached_property
    @on_one_thread
    def log_partition(self) -> Floats:
        """(n_sequences,) log Z in nats; -inf where no sequence is allowed."""
        total = np.zeros(len(self.lengths))
        np.add.at(total, self.sequence, self.masses.log_scale[self.packed_rows[0]] + self.peak)
        with np.errstate(divide="ignore"):
            total[self.lengths > 0] += np.log(self.alpha_at(self.last) @ self.transitions.end)
        return total

    @cached_property
    def marginals(self) -> Floats:
        """(N, T) γ."""
        gamma = self.alpha * self.beta
        gamma /= np.maximum(gamma.sum(axis=1, keepdims=True), TINY)
        return gamma

    @cached_property
    def _transition_masses(self) -> tuple[Ints, Floats, Floats]:
        """The rows that are not the first of their sequence (n,), α before each (n, T), and u at each (n, T).

        u is scaled so that the probability of a transition is the product of α, its exponential score and u.
        """
        later = np.ones(len(self.emissions), dtype=bool)
        later[self.first] = False
        rows = np.flatnonzero(later)
        before, after = self.alpha[rows - 1], self.u[rows]
        mass = np.einsum("nt,nt->n", before, self.beta[rows - 1])
        after /= np.maximum(mass, TINY)[:, None]
        return rows, before, after

    @on_one_thread
    def expected_counts(self) -> TransitionParams:
        """Compute how often each transition is expected to be taken.

        Returns:
            TransitionParams: The expected counts, summed over all sequences.
        """
        transitions = self.transitions
        _, before, after = self._transition_masses
        leaving = before @ transitions.leave
        enter = transitions.enter * np.stack([before[:, 0] @ after, leaving @ after])
        leave = transitions.leave * ((after @ transitions.enter[1]) @ before)
        inside = np.zeros_like(transitions.inside)
        for c, role in enumerate(transitions.scheme.continuing):
            to = after[:, transitions.scheme.columns(role)]
            for source, role_before in enumerate("BI"):
                at = before[:, transitions.scheme.columns(role_before)]
                inside[c, source] = transitions.inside[c, source] * np.einsum("nl,nl->l", at, to)
        gamma = self.marginals
        return TransitionParams(gamma[self.first].sum(axis=0), gamma[self.last].sum(axis=0), enter, leave, inside)

    def steps(self, least: float) -> "Steps":
        """Find the probabilities of the steps from tag to tag.

        Args:
            least (float): Steps with a lower probability are left out. The others are scaled up for them.

        Returns:
            Steps: The steps, by row.
        """
        rows, before, after = self._transition_masses
        starts, tags = np.nonzero(self.marginals[self.first] >= least)
        found = [(self.first[starts], np.zeros_like(tags), tags, self.marginals[self.first[starts], tags])]
        size = max(1, _NUMBERS_AT_ONCE // self.transitions.n_tags**2)
        for at in range(0, len(rows), size):
            part = slice(at, at + size)
            p = before[part, :, None] * self.transitions.matrix * after[part, None, :]
            which, source, to = np.nonzero(p >= least)
            found.append((rows[part][which], source, to, p[which, source, to]))
        steps = Steps(*(np.concatenate(column) for column in zip(*found, strict=True)))
        steps = steps.select(np.argsort(steps.rows, kind="stable"))
        total = np.bincount(steps.rows, weights=steps.p, minlength=len(self.emissions))
        return steps._replace(p=steps.p / total[steps.rows])

    @on_one_thread
    def expected_transition_scores(self) -> Floats:
        """Compute the expected score of the transitions of each sequence.

        Returns:
            Floats: The scores in nats (n_sequences,).
        """
        transitions, t = self.transitions, self.transitions.params
        rows, before, after = self._transition_masses
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


@on_one_thread
def forward_backward(
    emissions: Floats,
    lengths: Ints,
    transitions: Transitions,
    allowed: Optional[Bools] = None,
    opened: Optional[tuple[Bools, Bools]] = None,
) -> Lattice:
    """Compute forward and backward masses of all sequences. Long sequences run in blocks, see `blocks`.

    Args:
        emissions (Floats): The emissions e (N, T), in nats.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        transitions (Transitions): The transitions of the chain.
        allowed (Optional[Bools]): The tags that each token may take (N, T). None: any.
        opened (Optional[tuple[Bools, Bools]]): Whether each sequence is a piece of a longer one that continues before
            its first token, and whether it continues after its last token, two arrays (n_sequences,). All tags are open
            there. None: no sequence is.

    Returns:
        Lattice: The masses, from which it computes marginals and expected counts.
    """
    e = np.asarray(emissions, dtype="float64")
    if allowed is not None:
        e = np.where(allowed, e, -np.inf)
    lengths = np.asarray(lengths)
    x = _exponentials(e)
    packed_rows, found = np.empty((2, len(e)), dtype=np.int64), list[Masses]()

    def run(blocks: Blocks) -> Ints:
        masses, own, inconsistent = _run_blocks(x, _with_open_ends(blocks, opened), transitions)
        # The rows of a later attempt replace earlier ones.
        packed_rows[:, blocks.own_rows] = own + sum(len(earlier.log_scale) for earlier in found)
        found.append(masses)
        return inconsistent

    run_until_consistent(blocks_to_try(lengths), run)
    masses = found[0] if len(found) == 1 else _concatenated(found)
    open_end = np.zeros(len(lengths), dtype=bool) if opened is None else opened[1]
    return Lattice(transitions, lengths, e, masses, packed_rows, open_end)


def _exponentials(e: Floats) -> Floats:
    """(N, T) x, with gaps of at most LARGEST_GAP, and 0 for forbidden tags."""
    x = e - row_maxima(e)[:, None] if e.size else e.copy()
    forbidden = np.isneginf(x) if np.isneginf(x.min(initial=0.0)) else None
    np.maximum(x, -LARGEST_GAP, out=x)
    np.exp(x, out=x)
    if forbidden is not None:
        x[forbidden] = 0.0
    return x


def _with_open_ends(blocks: Blocks, opened: Optional[tuple[Bools, Bools]]) -> Blocks:
    """The blocks, also open where their sequences are open; see `opened` of `forward_backward`."""
    if opened is None:
        return blocks
    before, behind = (flags[blocks.chain] for flags in opened)
    return replace(blocks, open_start=blocks.open_start | before, open_end=blocks.open_end | behind)


def _concatenated(found: list[Masses]) -> Masses:
    mass, total, log_scale = zip(*found, strict=True)
    return Masses(np.concatenate(mass, axis=1), np.concatenate(total, axis=1), np.concatenate(log_scale))


def _run_blocks(x: Floats, blocks: Blocks, transitions: Transitions) -> tuple[Masses, Ints, Ints]:
    """The masses, the packed rows (2, n) of the n rows that the blocks own, and the sequences that must run again."""
    packed = pack_on_cpu(blocks.lengths, n_directions=2)
    masses = _masses(x, blocks, packed, transitions)
    if not len(blocks.continued):
        return masses, packed.target[:, blocks.own_places], blocks.chain[:0]
    continued, ends = blocks.continued, blocks.end[blocks.continued]
    agree = np.ones(len(continued), dtype=bool)
    # The forward mass at the last row of a block, and the backward mass at the first row of the next.
    for direction, rows in enumerate((ends - 1, ends)):
        at = (packed.target[direction, blocks.places(number, rows)] for number in (continued, continued + 1))
        one, other = (masses.mass[direction, p] / masses.total[direction, p][:, None] for p in at)
        agree &= same_masses(one, other)
    return masses, packed.target[:, blocks.own_places], blocks.inconsistent_chains(agree)


class _OutOfRange(ArithmeticError):
    """Masses that come near the limits of a float between the steps at which they are scaled."""


def _masses(x: Floats, blocks: Blocks, packed: Packed, transitions: Transitions) -> Masses:
    """The masses, scaled at some steps; or at every step, if a float cannot hold the masses in between."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return _scaled_masses(x, blocks, packed, transitions, SCALED_EVERY)
    except _OutOfRange:
        return _scaled_masses(x, blocks, packed, transitions, 1)


def _scaled_masses(x: Floats, blocks: Blocks, packed: Packed, transitions: Transitions, every: int) -> Masses:
    """The masses, scaled to sum 1 every `every` steps. Raises _OutOfRange if that is not often enough."""
    mass = take_rows(np, x, blocks.rows[packed.source])
    ones = np.ones(mass.shape[2])
    scale, offsets, sizes = np.ones(mass.shape[1]), packed.offsets, packed.batch_sizes.tolist()
    arriving = np.empty((2, sizes[0] if sizes else 0, mass.shape[2]))
    for t, b in enumerate(sizes):
        here = mass[:, offsets[t] : offsets[t] + b]
        if t:
            transitions.step(mass[:, offsets[t - 1] : offsets[t - 1] + b], arriving[:, :b])
        else:
            block = packed.sequence_of_token[packed.source[0, :b]]
            arriving[0] = np.where(blocks.open_start[block, None], 1.0, transitions.start)
            arriving[1] = np.where(blocks.open_end[block, None], 1.0, transitions.end)
        np.multiply(here, arriving[:, :b], out=here)
        if t % every == 0:
            total = here @ ones
            _check_range(total, every)
            # A sum is zero only if emissions of many tokens contradict the allowed tags by hundreds of nats each.
            np.maximum(total, TINY, out=total)
            np.divide(here, total[:, :, None], out=here)
            scale[offsets[t] : offsets[t] + b] = total[0]
    total = mass @ ones
    # The steps after the last scaled one count too.
    _check_range(total, every)
    np.maximum(total, TINY, out=total)
    log_total = np.log(total[0])
    log_scale = np.log(scale) + log_total
    later = slice(offsets[1] if sizes else 0, None)
    log_scale[later] -= log_total[packed.previous[later]]
    return Masses(mass, total, log_scale)


def _check_range(totals: Floats, every: int) -> None:
    """Raise _OutOfRange if sums of masses are NaN or near the limits of a float, unless every step is scaled."""
    if every > 1 and totals.size and not (totals.min() > SMALLEST_TOTAL and totals.max() < 1.0 / SMALLEST_TOTAL):
        raise _OutOfRange


def entropy(lattice: Lattice) -> Floats:
    """Compute the entropy of the sequence of tags given the text: log Z minus the expected score.

    The chain is Markov, so this is the entropy of the first tag plus the entropy of each tag given the one before it.

    Args:
        lattice (Lattice): The masses of the sequences.

    Returns:
        Floats: The entropy of each sequence in nats (n_sequences,).
    """
    total = np.zeros(len(lattice.lengths))
    finite = np.where(np.isneginf(lattice.emissions), 0.0, lattice.emissions)
    np.add.at(total, lattice.sequence, -np.einsum("nt,nt->n", lattice.marginals, finite))
    total += lattice.log_partition - lattice.expected_transition_scores()
    return np.maximum(total, 0.0)
