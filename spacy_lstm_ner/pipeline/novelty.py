"""How new a text is to the model, and what that means for the probabilities of its entities.

`calibrate` counts words, pairs of words and entities of the training texts in one table of hashes. A token is
surprising if two small models of language give it a low probability (a bigram model with additive backoff):

words    a lower-case word is itself; of every other token, only the shape counts ("Xxxxx", "dd.d")
phrases  a frequent word is itself; of every other token, only the shape counts

The doubt about a text compares its means with those of texts like the training data (`doubts`). An entity is new if the
training data has no entity of these words, in any casing. The log odds z of an entity become

    a z + b - w_new new - w_odd new ln(1 + min(max(0, s - ORDINARY), MOST))        with w_new, w_odd >= 0

where s is the surprise of the tokens around the entity, in standard deviations above the mean. So novelty only lowers a
probability.

Notation: M tokens of all chains of the batch, n entities.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model

from ..annotation.chain import ChainTokens, chain_tokens
from ..arrays import ranges, row_maxima, take_rows
from ..layers.crf.head import NOVELTY
from ..layers.crf.span_probability import log_odds
from ..tags import Spans
from ..types import Array, Bools, Floats, Hashes, Ints

AROUND = 20
"""The number of tokens on either side of an entity whose surprise counts."""
ORDINARY, MOST = 0.7, 3.0
"""Surprise up to so many standard deviations above the mean is no news, so that ordinary texts keep their scores.
More than MOST beyond that counts as MOST."""
BACKOFF = 5.0
"""The weight of the unigram probability in a bigram probability, as a number of tokens."""
UNKNOWN_WORDS = 10_000
"""About how many words the training texts have not shown, for the probability of a word."""
FREQUENT = 1 / 2000
"""The share of the tokens from which on a word is frequent."""
USUAL = 5
"""The number of lower-case words from which on their shape counts as one of lower case: more than other entries in the
same place usually have."""
ROOM = 8
"""The table has at least so many places for each of its entries, so that few entries share one."""
SMALLEST, LARGEST = 10, 24
"""The binary logarithms of the sizes that the table can have."""
LEVELS = np.arange(1, 100) / 100.0
"""The quantiles of the doubt that are kept."""
WEIGHTS = ("slope", "offset", "new entity", "odd surroundings")
"""What users see as the names of a, b, w_new and w_odd."""

_STEPS = 8
"""The steps of the logarithm of a count between two powers of e."""
_COUNTS = np.concatenate([[0.0], np.exp(np.arange(255) / _STEPS)]).astype("float32")
"""The count that a value of the table stands for. 0: the training texts do not have this entry."""
_MIX, _PREVIOUS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
# Odd numbers. Each kind of entry has its own, so that equal hashes of different kinds have different places.
_SALTS = {
    name: np.uint64(salt)
    for name, salt in (
        ("word", 0xFF51AFD7ED558CCD),
        ("entity", 0xC4CEB9FE1A85EC53),
        ("entity again", 0x8EBC6AF09C88C6E3),
        ("lower-case shape", 0xB492B66FBE98F273),
        ("words", 0x9FB21C651E98DF25),
        ("words, pairs", 0xD6E8FEB86659FD93),
        ("phrases", 0xA0761D6478BD642F),
        ("phrases, pairs", 0xE7037ED1A0B428DB),
    )
}


class Novelty(NamedTuple):
    """What the training texts have, and what novelty means. The head of the tagger keeps the fields as a dict.

    Attributes:
        table (NDArray[np.uint8]): (2^k,) The logarithm of a count, by hash.
        tokens (int): The number of tokens of the training texts.
        reference (Floats): (2, 4) The mean and the standard deviation of the figures of texts (`text_figures`).
        spread (Floats): (2,) The variance of the mean surprise of texts of t tokens is spread[0] + spread[1] / t.
        quantiles (Floats): (99,) The quantiles of that, divided by its standard deviation.
        weights (Floats): (4,) a, b, w_new and w_odd.
    """

    table: NDArray[np.uint8]
    tokens: int
    reference: Floats = np.array([[0.0] * 4, [1.0] * 4])
    spread: Floats = np.array([1.0, 0.0])
    quantiles: Floats = np.zeros(len(LEVELS))
    weights: Floats = np.array([1.0, 0.0, 0.0, 0.0])


def novelty_of(head: Model[Any, Any]) -> Optional[Novelty]:
    """Get what the head of a tagger knows about novelty; None if `calibrate` had no training texts."""
    found = head.attrs.get(NOVELTY)
    return None if found is None else Novelty(**found)


def check_novelty(found: Any) -> bool:
    """Whether a value from a file has the form of `Novelty._asdict`."""
    if not isinstance(found, dict) or set(found) != set(Novelty._fields):
        return False
    table, shapes = found["table"], {"reference": (2, 4), "spread": (2,), "quantiles": (len(LEVELS),), "weights": (4,)}
    sizes = {2**k for k in range(SMALLEST, LARGEST + 1)}
    arrays = all(
        isinstance(found[name], np.ndarray)
        and found[name].dtype == np.float64
        and found[name].shape == shape
        and bool(np.isfinite(found[name]).all())
        for name, shape in shapes.items()
    )
    is_table = isinstance(table, np.ndarray) and table.dtype == np.uint8 and table.ndim == 1 and len(table) in sizes
    if not arrays or not is_table or type(found["tokens"]) is not int or not 0 < found["tokens"] < 2**53:
        return False
    positive = (found["reference"][1] > 0).all() and found["spread"].min() >= 0 and found["spread"].sum() > 0
    ordered = (np.diff(found["quantiles"]) >= 0).all()
    return bool(positive and ordered and found["weights"][0] > 0 and found["weights"][2:].min() >= 0)


def read_training(docs: Iterable[Doc]) -> Novelty:
    """Count the words, pairs and entities of the training texts.

    Args:
        docs (Iterable[Doc]): The annotated texts.

    Returns:
        Novelty: The table. Its other fields say nothing yet.

    Raises:
        ValueError: If there are no entities.
    """
    docs = [doc for doc in docs if len(doc)]
    rows = [_words_and_entities(doc) for doc in docs]
    tokens = sum(len(hashes) for hashes, _ in rows)
    if not any(len(ents) for _, ents in rows):
        raise ValueError(f"the training data ({len(docs)} docs with tokens) has no annotated entity, so all seem new")
    words = Counter[int]()
    for hashes, _ in rows:
        words.update(hashes[:, 0].tolist())
    # By the counts that the table keeps, as at prediction.
    often = _codes([*words.values()]) >= _code_from(tokens * FREQUENT)
    frequent = np.array([*words], dtype=np.uint64)[often]
    counts: Dict[str, Counter[int]] = {name: Counter() for name in _SALTS}
    counts["word"] = words
    # Whether a word is in lower case shows in its shape, which takes less time to read than another attribute.
    counts["lower-case shape"].update(token.shape for doc in docs for token in doc if token.is_lower)
    usual = (shape for shape, count in counts["lower-case shape"].items() if count >= USUAL)
    lower_case = np.array(sorted(usual), dtype=np.uint64)
    for hashes, ents in rows:
        is_lower, is_frequent = np.isin(hashes[:, 1], lower_case), np.isin(hashes[:, 0], frequent)
        for name, tags in _classes(hashes, is_lower, is_frequent).items():
            counts[name].update(tags.tolist())
            counts[f"{name}, pairs"].update(_pairs(tags)[1:].tolist())
        counts["entity"].update(_entity_hashes(hashes[:, 2], *ents.T).tolist())
    # In two places, so that few other entities are taken for known ones.
    counts["entity again"] = counts["entity"]
    entries = _leave_out_rare_pairs(counts)
    table = np.zeros(2 ** min(max(int(np.ceil(np.log2(entries * ROOM))), SMALLEST), LARGEST), dtype=np.uint8)
    for name, found in counts.items():
        keys = np.array([*found], dtype=np.uint64)
        np.maximum.at(table, _places(table, name, keys), _codes([*found.values()]))
    return Novelty(table, tokens)


def _leave_out_rare_pairs(counts: Dict[str, Counter[int]]) -> int:
    """Leave pairs out of counts if the largest table has no room for all, so that it stays sparse: the rarest first.

    Returns the number of entries.
    """
    least, pairs = 1, [name for name in counts if name.endswith("pairs")]
    while sum(map(len, counts.values())) * ROOM > 2**LARGEST and any(counts[name] for name in pairs):
        least += 1
        for name in pairs:
            counts[name] = Counter({pair: count for pair, count in counts[name].items() if count >= least})
    return sum(map(len, counts.values()))


def _words_and_entities(doc: Doc) -> Tuple[Hashes, Ints]:
    """The hashes of the tokens of a training text (see `ChainTokens`) and its entities (n, 2), without white space."""
    tokens = chain_tokens([doc], with_words=True)
    spans = np.array([(ent.start, ent.end) for ent in doc.ents], dtype=np.int64).reshape(-1, 2)
    ents = np.searchsorted(tokens.rows, spans)
    return _words(tokens), ents[ents[:, 0] < ents[:, 1]]


def _words(tokens: ChainTokens) -> Hashes:
    if tokens.words is None:
        raise ValueError("novelty needs the hashes of the words: call chain_tokens with with_words=True")
    return tokens.words


def _codes(counts: Sequence[int]) -> NDArray[np.uint8]:
    """What the table has for counts of at least 1."""
    return np.minimum(1 + np.round(_STEPS * np.log(np.array(counts, dtype="float64"))), 255).astype(np.uint8)


def _code_from(count: float) -> int:
    """The first value of the table that stands for so many or more."""
    return int(np.searchsorted(_COUNTS, count))


def token_surprise(novelty: Novelty, tokens: ChainTokens) -> Floats:
    """Compute how surprising each token is.

    Args:
        novelty (Novelty): What the training texts have.
        tokens (ChainTokens): The tokens that get tags, with the hashes of their words.

    Returns:
        Floats: (M, 3) The surprise of the word, of the word after the one before it, and of the word as part of a
            phrase, in nats.
    """
    hashes = _words(tokens)
    first = tokens.starts[tokens.lengths > 0]
    found = np.empty((3, len(hashes)), dtype="float32")
    is_frequent = _look_up(novelty, "word", hashes[:, 0]) >= _code_from(novelty.tokens * FREQUENT)
    is_lower = _look_up(novelty, "lower-case shape", hashes[:, 1]) >= _code_from(USUAL - 0.5)
    unigram = ((_COUNTS + 0.5) / (novelty.tokens + UNKNOWN_WORDS)).astype("float32")
    for name, tags in _classes(hashes, is_lower, is_frequent).items():
        codes = _look_up(novelty, name, tags)
        p, before = take_rows(np, unigram, codes), np.empty(len(codes), dtype="float32")
        before[1:] = take_rows(np, _COUNTS, codes[:-1])
        together = take_rows(np, _COUNTS, _look_up(novelty, f"{name}, pairs", _pairs(tags)))
        # There is no word before the first one.
        before[first] = together[first] = 0.0
        if name == "words":
            take_rows(np, np.log(unigram), codes, out=found[0])
        # Entries that share a place can make a pair seem more frequent than its first word.
        p *= np.float32(BACKOFF)
        p += together
        p /= np.maximum(before, together) + np.float32(BACKOFF)
        np.log(p, out=found[1 if name == "words" else 2])
    np.negative(found, out=found)
    return found.T


def _classes(hashes: Hashes, is_lower: Bools, is_frequent: Bools) -> Dict[str, Hashes]:
    """(M,) What each token is to the two models of language."""
    word, shape = hashes[:, 0], hashes[:, 1]
    return {"words": np.where(is_lower, word, shape), "phrases": np.where(is_frequent, word, shape)}


def _pairs(tags: Hashes) -> Hashes:
    """(M,) The hash of each token with the one before it."""
    found: Hashes = tags * _MIX
    found[1:] += tags[:-1] * _PREVIOUS
    return found


def _places(table: NDArray[np.uint8], name: str, keys: Hashes) -> Hashes:
    """The places of entries of a kind in the table."""
    return (keys * _SALTS[name]) >> np.uint64(65 - len(table).bit_length())


def _look_up(novelty: Novelty, name: str, keys: Hashes) -> Array:
    """What the table has for entries of a kind, see `_codes`."""
    return take_rows(np, novelty.table, _places(novelty.table, name, keys))


def _entity_hashes(lower: Hashes, starts: Ints, ends: Ints) -> Hashes:
    """(n,) A hash of the words of each entity, in their order."""
    if not len(starts):
        return np.zeros(0, dtype=np.uint64)
    rows, sizes = ranges(starts, ends), ends - starts
    first = np.cumsum(sizes) - sizes
    nth = (np.arange(len(rows)) - np.repeat(first, sizes)).astype(np.uint64)
    mixed = (lower[rows] ^ (lower[rows] >> np.uint64(31))) * (_MIX + nth * np.uint64(2) * _PREVIOUS)
    return np.add.reduceat(mixed, first)


def text_figures(surprise: Floats, emissions: Floats, tokens: ChainTokens) -> Floats:
    """Compute the figures of texts that tell how new they are.

    Args:
        surprise (Floats): (M, 3) From `token_surprise`.
        emissions (Floats): (M, T) The score of each tag at each token.
        tokens (ChainTokens): The tokens.

    Returns:
        Floats: (n_docs, 4) Means over the tokens of a doc: its surprise, and the negative of the best score. A score is
            lower where the model sees little that it knows. Zeros for docs without tokens.
    """
    found, full = np.zeros((len(tokens.lengths), 4)), tokens.lengths > 0
    if full.any():
        for k, column in enumerate((*surprise.T, -row_maxima(emissions))):
            found[full, k] = np.add.reduceat(column, tokens.starts[full]) / tokens.lengths[full]
    return found


def text_scores(novelty: Novelty, figures: Floats) -> Floats:
    """(n_docs,) The mean of the four figures of texts, in standard deviations."""
    mean, sd = novelty.reference
    scores: Floats = ((figures - mean) / sd).mean(axis=1)
    return scores


def doubts(novelty: Novelty, figures: Floats, lengths: Ints) -> Floats:
    """Compute how far texts are from the training data.

    Args:
        novelty (Novelty): What the training texts have, with the quantiles of texts like them.
        figures (Floats): (n_docs, 4) From `text_figures`.
        lengths (Ints): (n_docs,) The number of tokens of each doc.

    Returns:
        Floats: (n_docs,) The share of texts of this length like those that `calibrate` had that are less new, from 0
            to 1. 0 for a doc without tokens.
    """
    at = text_scores(novelty, figures) / np.sqrt(novelty.spread[0] + novelty.spread[1] / np.maximum(lengths, 1))
    found = np.interp(at, novelty.quantiles, LEVELS)
    # Beyond the last quantile: an exponential tail through the last tenth.
    tenth, last = novelty.quantiles[[89, 98]]
    beyond = np.maximum(at - last, 0.0) * np.log(10.0) / max(last - tenth, 1e-6)
    found = np.where(at > last, 1.0 - 0.01 * np.exp(-beyond), found)
    return np.where(lengths > 0, found, 0.0)


def entity_novelty(novelty: Novelty, surprise: Floats, tokens: ChainTokens, spans: Spans) -> Floats:
    """Compute how new entities are.

    Args:
        novelty (Novelty): What the training texts have.
        surprise (Floats): (M, 3) From `token_surprise`.
        tokens (ChainTokens): The tokens, with the hashes of their words.
        spans (Spans): n entities, in rows of the chains.

    Returns:
        Floats: (n, 2) 1 if the training data has no such entity, else 0; and the logarithm in the notes of the module
            for such an entity, else 0.
    """
    mean, sd = novelty.reference[:, 1:3]
    total = np.concatenate([[0.0], np.cumsum((surprise[:, 1:] - mean) @ (0.5 / sd))])
    ends = np.cumsum(tokens.lengths)
    doc = np.searchsorted(ends, spans.starts, side="right")
    left = np.maximum(spans.starts - AROUND, tokens.starts[doc])
    right = np.minimum(spans.ends + AROUND, ends[doc])
    around = np.maximum((total[right] - total[left]) / np.maximum(right - left, 1) - ORDINARY, 0.0)
    hashes = _entity_hashes(_words(tokens)[:, 2], spans.starts, spans.ends)
    new = (_look_up(novelty, "entity", hashes) == 0) | (_look_up(novelty, "entity again", hashes) == 0)
    return np.stack([new, new * np.log1p(np.minimum(around, MOST))], axis=1).astype("float64")


def recalibrated(weights: Floats, probabilities: Floats, features: Floats) -> Floats:
    """Correct the probabilities of entities by how new they are.

    Args:
        weights (Floats): (4,) a, b, w_new and w_odd, see the notes of the module.
        probabilities (Floats): (n,) The probabilities.
        features (Floats): (n, 2) From `entity_novelty`.

    Returns:
        Floats: (n,) The corrected probabilities.
    """
    odds = weights[0] * log_odds(probabilities) + weights[1] - features @ weights[2:]
    return 1.0 / (1.0 + np.exp(-odds))


class Newness(NamedTuple):
    """How new the texts of a batch are.

    Attributes:
        novelty (Novelty): What the training texts have.
        surprise (Floats): (M, 3) From `token_surprise`.
        figures (Floats): (n_docs, 4) From `text_figures`.
    """

    novelty: Novelty
    surprise: Floats
    figures: Floats

    def features(self, tokens: ChainTokens, spans: Spans) -> Floats:
        """See `entity_novelty`."""
        return entity_novelty(self.novelty, self.surprise, tokens, spans)

    def recalibrated(self, probabilities: Floats, tokens: ChainTokens, spans: Spans) -> Floats:
        """See `recalibrated`."""
        return recalibrated(self.novelty.weights, probabilities, self.features(tokens, spans))

    def least(self, thresholds: Floats) -> Floats:
        """(n,) The smallest probabilities by the chain of tags that can reach thresholds: those of known entities."""
        slope, offset = self.novelty.weights[:2]
        return 1.0 / (1.0 + np.exp((offset - log_odds(thresholds)) / slope))

    def doubts(self, tokens: ChainTokens) -> Floats:
        """See `doubts`."""
        return doubts(self.novelty, self.figures, tokens.lengths)


def newness_of(novelty: Optional[Novelty], tokens: ChainTokens, emissions: Floats) -> Optional[Newness]:
    """Compute how new texts are.

    Args:
        novelty (Optional[Novelty]): What the training texts have, if that is known.
        tokens (ChainTokens): The tokens that get tags, with the hashes of their words if novelty is known.
        emissions (Floats): (M, T) The score of each tag at each token.

    Returns:
        Optional[Newness]: How new they are; None if nothing is known about the training texts.
    """
    if novelty is None:
        return None
    surprise = token_surprise(novelty, tokens)
    return Newness(novelty, surprise, text_figures(surprise, emissions, tokens))
