"""The exact probability of an entity, and a temperature for it.

Notation as in `forward_backward`: N tokens of all sequences of the batch, T tags; n spans.
"""

from collections.abc import Callable
from typing import Optional

import numpy as np

from ...arrays import ranges, take_rows
from ...tags import Spans, spans_to_tags
from ...threads import on_one_thread
from ...types import Bools, Floats, Ints
from .blocks import Blocks, blocks_with_margins, cut_outside_spans, rows_at_once, run_until_consistent, same_masses
from .forward_backward import LARGEST_GAP, Lattice, forward_backward
from .transitions import Transitions

MARGINS = 64, 1024
"""The margins of the blocks of a long sequence at the first and the second attempt, at most a quarter of a block."""


@on_one_thread
def span_probabilities(lattice: Lattice, spans: Spans) -> Floats:
    """Compute P(span, label | text): the summed probability of all legal sequences of tags that contain the entity.

    This is the constrained forward-backward algorithm of Culotta & McCallum 2004: the product of the mass that arrives
    at the first tag of the entity, the transitions and emissions inside the entity, and the mass that leaves its last
    tag without continuing the entity.

    Args:
        lattice (Lattice): The masses of the sequences.
        spans (Spans): The rows and label numbers of n spans. They may overlap. Each is in one sequence, and not empty.

    Returns:
        Floats: The probabilities (n,).
    """
    if not len(spans.starts):
        return np.zeros(0)
    # The tokens of all spans, one span after the other.
    rows, sizes = ranges(spans.starts, spans.ends), spans.ends - spans.starts
    ends = np.cumsum(sizes)
    first, last, last_rows = ends - sizes, ends - 1, spans.ends - 1
    tags = spans_to_tags(Spans(first, ends, spans.labels), len(rows), scheme=lattice.transitions.scheme)
    log_p = np.zeros(len(rows))
    with np.errstate(divide="ignore"):
        alpha = lattice.alpha_at(spans.starts)
        log_p[first] = np.log(alpha[np.arange(len(alpha)), tags[first]])
        later = np.ones(len(rows), dtype=bool)
        later[first] = False
        at = np.flatnonzero(later)
        if len(at):
            log_p[at] = _log_masses_inside(lattice, rows[at], tags[at], tags[at - 1])
        leaving = _mass_leaving(lattice, last_rows, tags[last])
        total = np.einsum("nt,nt->n", lattice.alpha_at(last_rows), lattice.beta_at(last_rows))
        log_p[first] += np.log(leaving) - np.log(total)
    return np.clip(np.exp(np.add.reduceat(log_p, first)), 0.0, 1.0)


def _log_masses_inside(lattice: Lattice, rows: Ints, tags: Ints, tags_before: Ints) -> Floats:
    """(m,) The log of the factor by which an entity's part of the forward mass changes at each of its later tokens."""
    transitions, scheme = lattice.transitions, lattice.transitions.scheme
    emissions = lattice.emissions[rows, tags]
    gap = np.maximum(emissions - lattice.peak[rows], -LARGEST_GAP)
    gap[np.isneginf(emissions)] = -np.inf
    log_mass = gap - lattice.log_scale_at(rows)
    for c, role in enumerate(scheme.continuing):
        own = np.flatnonzero(scheme.is_role(tags, role))
        source = scheme.is_role(tags_before[own], "I").astype(int)
        log_mass[own] += transitions.params.inside[c, source, scheme.label_of(tags[own])]
    return log_mass


def _mass_leaving(lattice: Lattice, rows: Ints, tags: Ints) -> Floats:
    """(n,) The part of β that ends an entity at its last row: all transitions except those that continue it."""
    transitions = lattice.transitions
    following = np.minimum(rows + 1, len(lattice.emissions) - 1)
    onward = transitions.leave[tags] * (lattice.u_at(following) @ transitions.enter[1])
    return np.where(lattice.is_last[rows], transitions.end[tags], onward)


def probabilities(
    emissions: Floats, lengths: Ints, transitions: Transitions, allowed: Optional[Bools], spans: Spans
) -> Floats:
    """Compute the probabilities of spans in bounded memory. Sequences without spans are skipped.

    Long sequences run in blocks that are compared at the rows where they meet, see `blocks`. Only if a sequence does
    not forget its start within the widest of MARGINS, it runs as a whole, in memory that grows with its length.

    Args:
        emissions (Floats): The emissions (N, T), in nats.
        lengths (Ints): The number of tokens in each sequence (n_sequences,).
        transitions (Transitions): The transitions of the chain.
        allowed (Optional[Bools]): The tags that each token may take (N, T). None: any.
        spans (Spans): The rows and label numbers of n spans, see `span_probabilities`.

    Returns:
        Floats: The probability P(span, label | text) of each span (n,).
    """
    scores = np.zeros(len(spans.starts))
    if not len(scores):
        return scores
    lengths = np.asarray(lengths)
    size, has_spans = rows_at_once(emissions.shape[1]), np.zeros(len(lengths), dtype=bool)
    has_spans[np.searchsorted(np.cumsum(lengths), spans.starts, side="right")] = True
    margins = (min(margin, size // 4) for margin in MARGINS)
    attempts = blocks_with_margins(
        lengths, margins, lambda margin: cut_outside_spans(lengths, spans.starts, spans.ends, size, margin)
    )
    chosen = (blocks if has_spans.all() else blocks.select(has_spans[blocks.chain]) for blocks in attempts)
    run_until_consistent(chosen, lambda blocks: _score_blocks(emissions, transitions, allowed, spans, blocks, scores))
    return scores


def _score_blocks(
    emissions: Floats, transitions: Transitions, allowed: Optional[Bools], spans: Spans, blocks: Blocks, scores: Floats
) -> Ints:
    """Write the scores of the spans in the blocks, and return the sequences whose blocks do not agree."""
    block_of = np.searchsorted(blocks.start, spans.starts, side="right") - 1
    block_of[spans.starts >= blocks.end[block_of]] = -1

    def visit(lattice: Lattice, numbers: Ints, batch: Blocks) -> None:
        own = np.flatnonzero((block_of >= numbers[0]) & (block_of <= numbers[-1]))
        shift = (batch.offsets - batch.begin)[block_of[own] - numbers[0]]
        shifted = Spans(spans.starts[own] + shift, spans.ends[own] + shift, spans.labels[own])
        scores[own] = span_probabilities(lattice, shifted)

    return run_blocks(emissions, transitions, allowed, blocks, visit)


def run_blocks(
    emissions: Floats,
    transitions: Transitions,
    allowed: Optional[Bools],
    blocks: Blocks,
    visit: Callable[[Lattice, Ints, Blocks], None],
) -> Ints:
    """Run the forward-backward algorithm over blocks in bounded memory, and compare the masses where they meet.

    Args:
        emissions (Floats): The emissions (N, T), in nats.
        transitions (Transitions): The transitions of the chain.
        allowed (Optional[Bools]): The tags that each token may take (N, T). None: any.
        blocks (Blocks): The blocks.
        visit (Callable[[Lattice, Ints, Blocks], None]): Called for each batch of blocks, with the masses of their rows,
            the numbers of the blocks, and the blocks.

    Returns:
        Ints: The sequences whose blocks do not agree.
    """
    continued = blocks.continued
    # For each block, α at the row before its first and at its last, and u at its first and at the row after its last.
    before, last, first, behind = (np.zeros((len(blocks), emissions.shape[1])) for _ in range(4))
    for numbers, batch in blocks.batches(rows_at_once(emissions.shape[1])):
        mask = None if allowed is None else allowed[batch.rows]
        opened = (batch.open_start, batch.open_end) if len(continued) else None
        lattice = forward_backward(take_rows(np, emissions, batch.rows), batch.lengths, transitions, mask, opened)
        visit(lattice, numbers, batch)
        if not len(continued):
            continue
        places, final = np.arange(len(batch)), len(batch.rows) - 1
        last[numbers] = lattice.alpha_at(batch.places(places, batch.end - 1))
        before[numbers] = lattice.alpha_at(np.maximum(batch.places(places, batch.start - 1), 0))
        first[numbers] = lattice.u_at(batch.places(places, batch.start))
        behind[numbers] = lattice.u_at(np.minimum(batch.places(places, batch.end), final))
    if not len(continued):
        return blocks.chain[:0]
    agree = same_masses(last[continued], before[continued + 1]) & same_masses(behind[continued], first[continued + 1])
    return blocks.inconsistent_chains(agree)


def soften(probabilities: Floats, temperatures: Floats) -> Floats:
    """Divide the log odds of probabilities by temperatures (temperature scaling, Guo et al. 2017).

    Args:
        probabilities (Floats): The probabilities (n,).
        temperatures (Floats): A temperature for each probability, greater than 0 (n,). With 1, only probabilities
            within 1e-12 of 0 or 1 change.

    Returns:
        Floats: The new probabilities (n,).
    """
    return 1.0 / (1.0 + np.exp(-log_odds(probabilities) / temperatures))


def log_odds(probabilities: Floats) -> Floats:
    """The log odds of probabilities, within 1e-12 of 0 and 1."""
    clipped = np.clip(probabilities, 1e-12, 1.0 - 1e-12)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds
