"""Learn from held-out data what novelty means: the doubt about texts, and the correction of probabilities.

The held-out texts are like the training data. What happens with other texts is learned from copies that are made to be
new, with another letter in place of each letter.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, List

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.tokens import Doc
from spacy.training import Example

from ..layers.crf.span_probability import log_odds
from ..types import Bools, Floats, Ints
from .bound_tagger import BoundTagger
from .novelty import LEVELS, Novelty, text_scores
from .predict import read_chains

PIECES = (8, 32, 128)
"""The least numbers of tokens of the pieces of texts from which the spread of the doubt is learned."""
REFERENCE_PIECE = 32
"""The size of the pieces that the doubt is measured by."""
LEAST_PIECES = 20
DOCS_AT_ONCE = 256
CENTRE, SD = np.array([1.0, 0.0, 0.0, 0.0]), np.full(4, 0.3)
"""The prior of the weights, see `novelty.recalibrated`. It is narrow, so that a single document does no harm."""
LEAST_WEIGHTS = np.array([0.05, -np.inf, 0.0, 0.0])
"""A weight of novelty is never less than 0."""
STEPS = 100


def fit_doubt(
    tagger: BoundTagger, novelty: Novelty, references: Sequence[Doc], prepare: Callable[[Doc], Doc]
) -> Novelty:
    """Learn the doubt about texts of any length from pieces of texts like the training data.

    Args:
        tagger (BoundTagger): The model. Its head has `novelty`.
        novelty (Novelty): What the training texts have.
        references (Sequence[Doc]): Held-out texts, with their sentence starts if those are known.
        prepare (Callable[[Doc], Doc]): Processes a piece with the components before this one.

    Returns:
        Novelty: The same, with the reference, the spread and the quantiles.
    """
    parts = {size: [prepare(piece) for doc in references for piece in _pieces(doc, size)] for size in PIECES}
    # Only the smallest pieces, if there are few texts.
    parts = {size: pieces for size, pieces in parts.items() if size == PIECES[0] or len(pieces) >= LEAST_PIECES}
    figures = {size: _figures(tagger, pieces) for size, pieces in parts.items()}
    own = figures.get(REFERENCE_PIECE, figures[PIECES[0]])
    novelty = novelty._replace(reference=np.stack([own.mean(axis=0), np.maximum(own.std(axis=0), 1e-3)]))
    scores = {size: text_scores(novelty, found) for size, found in figures.items()}
    variance = np.array([np.mean(found**2) for found in scores.values()]) + 1e-6
    tokens = [np.mean([len(piece) for piece in pieces]) for pieces in parts.values()]
    # The variance is a + b / t for texts of t tokens, with a, b >= 0.
    columns = np.stack([np.ones(len(tokens)), 1.0 / np.array(tokens)], axis=1)
    spread = np.linalg.lstsq(columns / variance[:, None], np.ones(len(tokens)), rcond=None)[0]
    spread = np.maximum(spread, 0.0) + np.array([1e-6, 0.0])
    levels = [
        np.quantile(found / np.sqrt(spread[0] + spread[1] / [len(piece) for piece in parts[size]]), LEVELS)
        for size, found in scores.items()
    ]
    return novelty._replace(spread=spread, quantiles=np.mean(levels, axis=0))


def _pieces(reference: Doc, size: int) -> Iterator[Doc]:
    """Cut a text into pieces of at least so many tokens, at the starts of sentences if they are known.

    The smallest pieces include the rest of a text, however short it is, unless it is white space.
    """
    is_start = [token.is_sent_start is not False for token in reference]
    start, last = 0, len(reference)
    for end in range(1, last + 1):
        if (end - start >= size and (end == last or is_start[end])) or (end == last and size == PIECES[0]):
            if not reference[start:end].text.isspace():
                yield _with_words(reference, [token.text for token in reference[start:end]], start)
            start = end


def _figures(tagger: BoundTagger, docs: Sequence[Doc]) -> Floats:
    """(n_docs, 4) The figures of texts."""
    found: List[Floats] = [np.zeros((0, 4))]
    for k in range(0, len(docs), DOCS_AT_ONCE):
        newness = read_chains(tagger, list(docs[k : k + DOCS_AT_ONCE])).newness
        if newness is not None:
            found.append(newness.figures)
    return np.concatenate(found)


def novel_copies(examples: Sequence[Example], prepare: Callable[[Doc], Doc]) -> List[Example]:
    """Copy annotated examples with other letters. The entities stay where they are.

    Args:
        examples (Sequence[Example]): The examples.
        prepare (Callable[[Doc], Doc]): Processes the new texts with the components before this one.

    Returns:
        List[Example]: A copy of each example.
    """
    rng, following = random.Random(0), defaultdict(list)
    for word in (token.lower_ for example in examples for token in example.reference if token.is_alpha):
        for before, letter in pairwise(["", *word]):
            following[before].append(letter)

    def other(word: str) -> str:
        """A word of this shape, with letters in an order that the texts have, so that it could be a word."""
        letters, before = [], ""
        for c in word:
            before = rng.choice(following.get(before) or following[""]) if c.isalpha() and following else ""
            letters.append((before.upper() if c.isupper() else before) or c)
        return "".join(letters)

    copies = []
    for reference in (example.reference for example in examples):
        gold = _with_words(reference, [other(token.text) for token in reference])
        annotation: Any = reference.to_array([ENT_IOB, ENT_TYPE])
        gold.from_array([ENT_IOB, ENT_TYPE], annotation)
        copies.append(Example(prepare(_with_words(reference, [token.text for token in gold])), gold))
    return copies


def _with_words(reference: Doc, words: List[str], start: int = 0) -> Doc:
    """A doc with these words, and the spaces of a reference from a token on."""
    return Doc(reference.vocab, words, [bool(t.whitespace_) for t in reference[start : start + len(words)]])


def fit_weights(scores: Floats, features: Floats, right: Bools, is_copy: Bools) -> Floats:
    """Fit the correction of probabilities by maximum likelihood with a prior.

    All weights are fitted to all entities. Then all but w_odd, about which only the copies say much, are fitted again
    to those that are no copies, so that probabilities hold best for texts like the held-out ones.

    Args:
        scores (Floats): (n,) The probabilities of predicted entities.
        features (Floats): (n, 2) How new they are, from `novelty.entity_novelty`.
        right (Bools): (n,) Whether they are right.
        is_copy (Bools): (n,) Whether they are of copies.

    Returns:
        Floats: (4,) The weights, see `novelty.recalibrated`.
    """
    columns = np.column_stack([log_odds(scores), np.ones(len(scores)), -features])
    weights = _minimize(columns, right, CENTRE, SD, LEAST_WEIGHTS)
    own = ~is_copy
    # A narrow prior keeps w_odd as it is.
    centre, sd = np.concatenate([CENTRE[:2], weights[2:]]), np.concatenate([SD[:3], [1e-6]])
    return _minimize(columns[own], right[own], centre, sd, LEAST_WEIGHTS)


def _minimize(columns: Floats, right: Bools, centre: Floats, sd: Floats, least: Floats) -> Floats:
    """Logistic regression with a normal prior and lower bounds, by Newton's method with an active set."""
    weights = centre.copy()

    def loss(at: Floats) -> float:
        odds = columns @ at
        return float(np.logaddexp(0.0, odds).sum() - odds[right].sum() + (((at - centre) / sd) ** 2).sum() / 2.0)

    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(columns @ weights, -500.0, 500.0)))
        gradient = columns.T @ (p - right) + (weights - centre) / sd**2
        hessian = (columns * (p * (1.0 - p))[:, None]).T @ columns + np.diag(1.0 / sd**2)
        free: Ints = np.flatnonzero((weights > least) | (gradient < 0))
        step, before = np.zeros(len(weights)), loss(weights)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        size = 1.0
        while size > 1e-6 and loss(np.maximum(weights - size * step, least)) > before:
            size /= 2.0
        new = np.maximum(weights - size * step, least)
        if np.abs(new - weights).max() < 1e-8:
            break
        weights = new
    return weights
