"""Find all entities that are likely enough, and the best set of them.

Notation as in `forward_backward`: N tokens of all sequences of the batch, T tags, L labels.

Given the text, the tags are a Markov chain: the tag i of a token is followed by j with the probability
exp(A_ij) u_j / β_i, where u is of the next token. So the probability that an entity begins at a token and is not over
at a later one is a product of such factors. It never grows, and no entity with this beginning is more likely. So the
search starts at each likely first tag, and ends where the product is below the bound. It misses nothing.
"""

from typing import Any, NamedTuple, Optional, Union

import numpy as np

from ...tags import Spans
from ...threads import on_one_thread
from ...types import Bools, Floats, Ints
from .blocks import Blocks, blocks_with_margins, cut_outside_spans, rows_at_once, run_until_consistent
from .forward_backward import TINY, Lattice
from .span_probability import MARGINS, run_blocks
from .transitions import Transitions

LEAST_BOUND = 1e-4
"""The smallest bound. It limits the number of entities, which is at most 1 / bound for each entity that is expected."""


class _Found(NamedTuple):
    """Entities, or beginnings of entities, by rows of a lattice.

    starts, ends, labels (n,): as in `Spans`.
    probabilities (n,): of the entity, or that an entity begins like this.
    cut (n,): whether it is only a beginning, because the lattice is a piece that ends here.
    """

    starts: Ints
    ends: Ints
    labels: Ints
    probabilities: Floats
    cut: Bools


def likely_spans(
    emissions: Floats, lengths: Ints, transitions: Transitions, allowed: Optional[Bools], bounds: Floats
) -> tuple[Spans, Floats]:
    """Find all entities with at least a given probability, in bounded memory.

    Long sequences run in blocks as in `span_probability.probabilities`. If an entity crosses the end of a block, its
    sequence runs again in blocks that no such entity crosses.

    Args:
        emissions (Floats): The emissions (N, T), in nats.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        transitions (Transitions): The transitions of the chain.
        allowed (Optional[Bools]): The tags that each token may take (N, T). None: any.
        bounds (Floats): The smallest probability P(span, label | text) for each label (L,); at least LEAST_BOUND.

    Returns:
        tuple[Spans, Floats]: n entities by rows, ordered by start, which may overlap; and their probabilities (n,).
    """
    lengths, bounds = np.asarray(lengths), np.maximum(bounds, LEAST_BOUND)
    size = rows_at_once(emissions.shape[1])
    none = np.zeros(0, dtype=np.int64)
    kept, crossing = (
        [_Found(none, none, none, np.zeros(0), np.zeros(0, dtype=bool))],
        [np.zeros((2, 0), dtype=np.int64)],
    )

    def cut_with(margin: int) -> Blocks:
        starts, ends = np.concatenate(crossing, axis=1)
        return cut_outside_spans(lengths, starts, ends, size, margin)

    def run(blocks: Blocks) -> Ints:
        found = list[_Found]()

        def visit(lattice: Lattice, numbers: Ints, batch: Blocks) -> None:
            own = _likely_spans(lattice, batch.own_places, bounds)
            shift = (batch.begin - batch.offsets)[np.searchsorted(batch.offsets, own.starts, side="right") - 1]
            found.append(own._replace(starts=own.starts + shift, ends=own.ends + shift))

        again = run_blocks(emissions, transitions, allowed, blocks, visit)
        everything = _joined(found)
        block = np.searchsorted(blocks.start, everything.starts, side="right") - 1
        crosses = everything.cut | (everything.ends > blocks.end[block])
        crossing.append(np.stack([everything.starts[crosses], everything.ends[crosses]]))
        again = np.union1d(again, blocks.chain[block[crosses]])
        done = ~np.isin(blocks.chain[block], again)
        kept.append(_select(everything, done))
        return again

    if len(emissions):
        margins = (min(margin, size // 4) for margin in MARGINS)
        run_until_consistent(blocks_with_margins(lengths, margins, cut_with), run)
    everything = _joined(kept)
    everything = _select(everything, np.lexsort((everything.labels, everything.ends, everything.starts)))
    return Spans(everything.starts, everything.ends, everything.labels), everything.probabilities


@on_one_thread
def _likely_spans(lattice: Lattice, rows: Ints, bounds: Floats) -> _Found:
    """The entities that begin at these rows of a lattice. All of them grow side by side, by one token in each step."""
    scheme, marginals, first = lattice.transitions.scheme, _marginals(lattice, rows), dict[str, _Found]()
    for role in scheme.opening:
        of_role = marginals[:, scheme.columns(role)]
        at, labels = np.nonzero(of_role >= bounds)
        first[role] = _Found(rows[at], rows[at] + 1, labels, of_role[at, labels], np.zeros(len(at), dtype=bool))
    grown, role = first.pop("B"), "B"
    found = list(first.values())
    while len(grown.starts):
        ended, grown = _grow(lattice, grown, role, bounds)
        found.extend(ended)
        role = "I"
    found.append(grown)
    return _joined(found)


def _marginals(lattice: Lattice, rows: Ints) -> Floats:
    """(n, T) The marginals of some rows."""
    gamma = lattice.alpha_at(rows)
    gamma *= lattice.beta_at(rows)
    gamma /= np.maximum(gamma @ np.ones(gamma.shape[1]), TINY)[:, None]
    return gamma


def _grow(lattice: Lattice, grown: _Found, role: str, bounds: Floats) -> tuple[list[_Found], _Found]:
    """Let beginnings of entities, whose last tag has this role, end or grow by a token; what is unlikely is dropped.

    Returns the entities that end, and the beginnings that go on.
    """
    scheme, last = lattice.transitions.scheme, grown.ends - 1
    at_end = lattice.is_last[last]
    is_cut = at_end & lattice.open_end[lattice.sequence[last]]
    ended = [_select(grown._replace(cut=is_cut), is_cut)]
    going_on = grown
    following = _following(lattice, last, grown.labels, role)
    following[:, at_end] = 0.0
    stops = np.where(is_cut, 0.0, 1.0 - following.sum(axis=0))
    ended.append(_if_likely(grown, stops, bounds))
    for c, next_role in enumerate(scheme.continuing):
        longer = _if_likely(grown._replace(ends=grown.ends + 1), following[c], bounds)
        if next_role == "I":
            going_on = longer
        else:
            ended.append(longer)
    return ended, going_on


def _following(lattice: Lattice, rows: Ints, labels: Ints, role: str) -> Floats:
    """(C, n) The probability of each role that continues an entity, given that its tag at the row has this role."""
    transitions, scheme = lattice.transitions, lattice.transitions.scheme
    u = lattice.u_at(np.minimum(rows + 1, len(lattice.emissions) - 1))
    tags = 1 + len(scheme.roles) * labels
    total = transitions.leave[tags + scheme.roles.index(role)] * (u @ transitions.enter[1])
    mass = np.empty((len(scheme.continuing), len(rows)))
    for c, next_role in enumerate(scheme.continuing):
        mass[c] = u[np.arange(len(rows)), tags + scheme.roles.index(next_role)]
        mass[c] *= transitions.inside[c, "BI".index(role), labels]
        total += mass[c]
    return mass / np.maximum(total, TINY)


def _if_likely(found: _Found, factor: Floats, bounds: Floats) -> _Found:
    """Those whose probability, multiplied by a factor, still reaches the bound."""
    probabilities = found.probabilities * factor
    return _select(found._replace(probabilities=probabilities), probabilities >= bounds[found.labels])


def _select(found: _Found, chosen: Union[Bools, Ints]) -> _Found:
    columns: list[Any] = [column[chosen] for column in found]
    return _Found(*columns)


def _joined(found: list[_Found]) -> _Found:
    columns: list[Any] = [np.concatenate(column) for column in zip(*found, strict=True)]
    return _Found(*columns)


def best_set(spans: Spans, gains: Floats) -> Ints:
    """Choose the entities with the greatest sum of gains, of which no two overlap (weighted interval scheduling).

    Args:
        spans (Spans): n entities, ordered by start.
        gains (Floats): What each entity adds to the sum, not negative (n,).

    Returns:
        Ints: The numbers of the chosen entities, by increasing start.
    """
    if not len(spans.starts):
        return np.zeros(0, dtype=np.int64)
    reach = np.maximum.accumulate(spans.ends)
    overlaps = np.zeros(len(reach), dtype=bool)
    overlaps[1:] = spans.starts[1:] < reach[:-1]
    # Most entities overlap no other.
    overlaps[:-1] |= overlaps[1:]
    rest = np.flatnonzero(overlaps)
    rest = rest[np.argsort(spans.ends[rest], kind="stable")]
    before = np.searchsorted(spans.ends[rest], spans.starts[rest], side="right").tolist()
    # best[k]: the greatest sum of the first k entities, by increasing end.
    best, taken = [0.0], []
    for gain, earlier in zip(gains[rest].tolist(), before, strict=True):
        taken.append(best[earlier] + gain >= best[-1])
        best.append(max(best[earlier] + gain, best[-1]))
    chosen, k = [], len(rest)
    while k:
        if taken[k - 1]:
            chosen.append(k - 1)
            k = before[k - 1]
        else:
            k -= 1
    return np.sort(np.concatenate([np.flatnonzero(~overlaps), rest[chosen]]))
