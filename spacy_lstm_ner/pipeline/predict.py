"""Analyse documents with the model: entities and their probabilities, other analyses, and uncertainty.

Notation as in `layers.crf.forward_backward` and `annotation.chain`: M tokens that get tags, T tags.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import List, NamedTuple, Optional, Tuple, TypeVar, Union

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model

from ..annotation.chain import ChainTokens, chain_tokens
from ..layers.crf.forward_backward import Lattice, entropy, forward_backward
from ..layers.crf.head import head_transitions
from ..layers.crf.likely_spans import best_set, likely_spans
from ..layers.crf.span_probability import probabilities, soften
from ..layers.crf.transitions import Transitions, at_temperature
from ..layers.crf.viterbi import decode, n_best
from ..tags import OUTSIDE, Spans, tags_to_spans
from ..types import Bools, Floats, Ints
from .bound_tagger import BoundTagger
from .novelty import Newness, newness_of, novelty_of

TOKENS_AT_ONCE = 20_000
"""About how many tokens are analysed at a time. That is enough for fast steps. The allocator can keep the memory for
the next docs, even if the batch is large."""

Item = TypeVar("Item")
Analysis = Tuple[List[Tuple[int, int, str]], float]
"""Entities (start token, end token, label), and the probability that these are the entities of the doc."""


class Prediction(NamedTuple):
    """The entities of one doc.

    Attributes:
        starts (List[int]): The first token of each entity.
        ends (List[int]): The token after its last token.
        labels (List[str]): Its label.
        scores (Optional[List[float]]): Its probability; None if the settings need no probabilities.
        doubt (Optional[float]): How far the text is from the training data, see `novelty.doubts`; None if this is not
            known or not wanted.
    """

    starts: List[int]
    ends: List[int]
    labels: List[str]
    scores: Optional[List[float]]
    doubt: Optional[float] = None


class Uncertainty(NamedTuple):
    """How unsure the model is of a document. All measures are 0 if it has no doubt.

    Attributes:
        least_confidence (float): 1 minus the probability of the best analysis.
        margin (float): 1 minus the difference between the probabilities of the best two analyses.
        entropy (float): The entropy of the distribution over all analyses, in nats.
    """

    least_confidence: float
    margin: float
    entropy: float


class Chains(NamedTuple):
    """The chains of tags of a batch of docs.

    Attributes:
        tokens (ChainTokens): The tokens.
        emissions (Floats): (M, T) The score of each tag at each token.
        allowed (Optional[Bools]): (M, T) The tags that each token may take. None: any.
        transitions (Transitions): The scores of the transitions.
        newness (Optional[Newness]): How new the texts are, if the model was calibrated with its training texts.
    """

    tokens: ChainTokens
    emissions: Floats
    allowed: Optional[Bools]
    transitions: Transitions
    newness: Optional[Newness] = None

    def lattice(self) -> Lattice:
        """Run the forward-backward algorithm over all chains."""
        return forward_backward(self.emissions, self.tokens.lengths, self.transitions, self.allowed)

    def at_temperature(self, temperature: float) -> "Chains":
        """Divide all scores by a temperature."""
        if temperature == 1.0:
            return self
        transitions = at_temperature(self.transitions, temperature)
        return self._replace(emissions=self.emissions / temperature, transitions=transitions)


def read_chains(tagger: BoundTagger, docs: List[Doc], with_newness: bool = True) -> Chains:
    """Compute the emissions of docs, and everything else that the chains of tags need.

    Args:
        tagger (BoundTagger): The model, initialized.
        docs (List[Doc]): The docs.
        with_newness (bool): Whether to look how new the texts are, which scores and doubts need.

    Returns:
        Chains: One chain for each doc.

    Raises:
        ValueError: If the model gives scores that are not numbers.
    """
    model = tagger.model
    novelty = novelty_of(tagger.head) if with_newness else None
    tokens = chain_tokens(docs, tagger.settings.sentence_boundaries, tagger.settings.given, novelty is not None)
    if len(tokens.rows):
        flat = model.ops.to_numpy(model.ops.flatten(model.predict(docs)))
        emissions = flat if len(flat) == len(tokens.rows) else flat[tokens.rows]
    else:
        emissions = np.zeros((0, tagger.n_tags), dtype="float32")
    size = tagger.n_tags
    transitions = head_transitions(tagger.head, size)
    # The maximum is NaN if a score is NaN. Tags that training has not shown yet have the score -inf.
    if not emissions.max(initial=-np.inf) < np.inf or not transitions.are_finite:
        raise ValueError(
            f"'{tagger.name}': the model gives scores that are infinite or not numbers. Its weights are damaged, or "
            "training diverged: load an earlier checkpoint, or train anew"
        )
    newness = newness_of(novelty, tokens, emissions)
    return Chains(tokens, emissions, tokens.allowed(transitions.scheme, size), transitions, newness)


def _tempered_chains(tagger: BoundTagger, docs: List[Doc]) -> Chains:
    """The chains at the temperature of the head, for what is about tags and not about entities."""
    return read_chains(tagger, docs, with_newness=False).at_temperature(tagger.head.attrs["temperature"])


def find_spans(chains: Chains) -> Spans:
    """Find the entities of the best legal sequences of tags.

    Args:
        chains (Chains): The chains.

    Returns:
        Spans: The entities, in rows of the chains.
    """
    tags = decode(chains.emissions, chains.tokens.lengths, chains.transitions, chains.allowed)
    return tags_to_spans(tags, chains.tokens.starts, chains.transitions.scheme)


def span_scores(chains: Chains, spans: Spans, head: "Model[Floats, Floats]") -> Floats:
    """Compute the probabilities of entities, with the temperatures of the head, and corrected by how new they are.

    Args:
        chains (Chains): The chains. Without `newness`, the probabilities are those of the chain of tags.
        spans (Spans): n entities, in rows of the chains.
        head (Model[Floats, Floats]): The head of the tagger.

    Returns:
        Floats: (n,) The probabilities.
    """
    tempered = chains.at_temperature(head.attrs["temperature"])
    scores = probabilities(tempered.emissions, tempered.tokens.lengths, tempered.transitions, tempered.allowed, spans)
    return _corrected(scores, chains, spans, head)


def _corrected(scores: Floats, chains: Chains, spans: Spans, head: "Model[Floats, Floats]") -> Floats:
    """Correct probabilities of the chain of tags by the temperatures of labels, and by how new the entities are."""
    scores = calibrated(scores, spans.labels, head)
    return scores if chains.newness is None else chains.newness.recalibrated(scores, chains.tokens, spans)


def calibrated(scores: Floats, labels: Ints, head: "Model[Floats, Floats]", inverse: bool = False) -> Floats:
    """Correct probabilities of entities by the temperatures of their labels.

    Args:
        scores (Floats): The probabilities by the chain of tags at the temperature of the head (n,).
        labels (Ints): The label numbers of the entities (n,).
        head (Model[Floats, Floats]): The head of the tagger.
        inverse (bool): Whether to compute the probabilities by the chain from corrected ones instead.

    Returns:
        Floats: The corrected probabilities (n,).
    """
    by_label = head.attrs["label_temperatures"]
    if not by_label:
        return scores
    # Labels that were added after calibration have no temperature.
    padded = np.ones(max(len(by_label), int(labels.max(initial=0)) + 1))
    padded[: len(by_label)] = by_label
    return soften(scores, 1.0 / padded[labels] if inverse else padded[labels])


def likely_entities(chains: Chains, head: "Model[Floats, Floats]", thresholds: Floats) -> Tuple[Spans, Floats]:
    """Find all entities that reach a threshold, with their corrected probabilities, see `span_scores`.

    Args:
        chains (Chains): The chains.
        head (Model[Floats, Floats]): The head of the tagger.
        thresholds (Floats): The smallest probability for each label (n_labels,).

    Returns:
        Tuple[Spans, Floats]: n entities in rows of the chains, which may overlap, and their probabilities (n,).
    """
    tempered, numbers = chains.at_temperature(head.attrs["temperature"]), np.arange(len(thresholds))
    least = thresholds if chains.newness is None else chains.newness.least(thresholds)
    # A little lower, so that rounding loses nothing.
    bounds = calibrated(least, numbers, head, inverse=True) * (1.0 - 1e-9)
    lengths, transitions, allowed = tempered.tokens.lengths, tempered.transitions, tempered.allowed
    spans, scores = likely_spans(tempered.emissions, lengths, transitions, allowed, bounds)
    scores = _corrected(scores, chains, spans, head)
    return select(spans, scores, scores >= thresholds[spans.labels])


def candidates(chains: Chains, head: "Model[Floats, Floats]", least: Optional[Floats]) -> Tuple[Spans, Floats]:
    """Find the entities that thresholds choose from: those of the best sequences, or all likely ones.

    Args:
        chains (Chains): The chains.
        head (Model[Floats, Floats]): The head of the tagger.
        least (Optional[Floats]): The smallest probability for each label (n_labels,). None: the best sequences.

    Returns:
        Tuple[Spans, Floats]: n entities in rows of the chains, and their probabilities (n,).
    """
    if least is not None:
        return likely_entities(chains, head, least)
    spans = find_spans(chains)
    return spans, span_scores(chains, spans, head)


def select(spans: Spans, scores: Floats, chosen: Union[Bools, Ints]) -> Tuple[Spans, Floats]:
    """Choose entities and their scores by number or mask."""
    return Spans(*(column[chosen] for column in spans)), scores[chosen]


def score_spans(
    tagger: BoundTagger, docs: List[Doc], spans: Sequence[Sequence[Tuple[int, int, str]]], exact: bool = False
) -> List[List[float]]:
    """Compute the probabilities of any spans, whether they are predicted or not.

    Args:
        tagger (BoundTagger): The model, initialized.
        docs (List[Doc]): The docs.
        spans (Sequence[Sequence[Tuple[int, int, str]]]): Spans of each doc (start token, end token, label). They may
            overlap.
        exact (bool): Whether to leave out the correction by how new the spans are, so that the probabilities are those
            of the chain of tags.

    Returns:
        List[List[float]]: The probability of each span. It is 0 for labels that the model does not know, and for spans
            that start or end with white space.
    """
    chains, first_token, places = read_chains(tagger, docs, with_newness=not exact), 0, []
    row_of = dict(zip(chains.tokens.rows.tolist(), range(len(chains.tokens.rows)), strict=True))
    numbers = {label: number for number, label in enumerate(tagger.labels)}
    for doc, own in zip(docs, spans, strict=True):
        for start, end, label in own:
            first, last = row_of.get(first_token + start, -1), row_of.get(first_token + end - 1, -1)
            places.append((first, last + 1, numbers.get(label, -1)))
        first_token += len(doc)
    table = np.array(places, dtype=np.int64).reshape(-1, 3)
    order = np.argsort(table[:, 0], kind="stable")
    order = order[((table[order] >= 0) & (table[order, 1:2] > 0)).all(axis=1)]
    scores = np.zeros(len(table))
    scores[order] = span_scores(chains, Spans(*table[order].T), tagger.head)
    found = iter(scores.tolist())
    return [[next(found) for _ in own] for own in spans]


def outside_probabilities(tagger: BoundTagger, docs: List[Doc]) -> List[Floats]:
    """Compute the probability of each token to be in no entity.

    Args:
        tagger (BoundTagger): The model, initialized.
        docs (List[Doc]): The docs.

    Returns:
        List[Floats]: (n_tokens,) The probabilities for each doc; 1 for white space.
    """
    chains = _tempered_chains(tagger, docs)
    lengths = [len(doc) for doc in docs]
    outside = np.ones(sum(lengths))
    outside[chains.tokens.rows] = chains.lattice().marginals[:, OUTSIDE]
    return np.split(outside, np.cumsum(lengths)[:-1])


def find_entities(tagger: BoundTagger, docs: List[Doc]) -> List[Prediction]:
    """Find the entities of each doc that reach their thresholds.

    Args:
        tagger (BoundTagger): The model, initialized.
        docs (List[Doc]): The docs.

    Returns:
        List[Prediction]: The entities of each doc, with probabilities if the settings need them.
    """
    return [found for part in in_parts(tagger, docs) for found in _find_entities(tagger, part)]


def in_parts(tagger: BoundTagger, docs: List[Doc]) -> Iterator[List[Doc]]:
    """Divide docs into parts that are analysed one after the other, in bounded memory.

    Args:
        tagger (BoundTagger): The model.
        docs (List[Doc]): The docs.

    Returns:
        Iterator[List[Doc]]: Parts of about TOKENS_AT_ONCE. If a listener may need the whole batch, there is one part.
    """
    if "predict_in_batches" not in tagger.model.get_ref("tok2vec").attrs:
        yield docs
        return
    yield from divided(docs, len)


def divided(items: Sequence[Item], length: Callable[[Item], int], most: Optional[int] = None) -> Iterator[List[Item]]:
    """Divide docs or examples into parts of about TOKENS_AT_ONCE.

    Args:
        items (Sequence[Item]): The docs or examples.
        length (Callable[[Item], int]): The number of tokens of one.
        most (Optional[int]): The largest number of them in a part; None for any.

    Returns:
        Iterator[List[Item]]: The parts; without items, one that is empty.
    """
    first, n_tokens = 0, 0
    for k, item in enumerate(items):
        if k > first and (k - first == most or n_tokens + length(item) > TOKENS_AT_ONCE):
            yield list(items[first:k])
            first, n_tokens = k, 0
        n_tokens += length(item)
    yield list(items[first:])


def _find_entities(tagger: BoundTagger, docs: List[Doc]) -> List[Prediction]:
    settings = tagger.settings
    chains = read_chains(tagger, docs, settings.uses_scores or bool(settings.doubt_attr))
    predictions = _by_doc(tagger, docs, chains.tokens, *_chosen(tagger, chains))
    if chains.newness is None or not settings.doubt_attr:
        return predictions
    doubts = chains.newness.doubts(chains.tokens).tolist()
    return [found._replace(doubt=doubt) for found, doubt in zip(predictions, doubts, strict=True)]


def _chosen(tagger: BoundTagger, chains: Chains) -> Tuple[Spans, Optional[Floats]]:
    """The entities by the settings, and their scores if the settings need them."""
    settings = tagger.settings
    thresholds = np.array(settings.thresholds(tagger.labels), dtype="float64")
    if settings.decoding == "expected_f":
        spans, scores = likely_entities(chains, tagger.head, thresholds)
        return select(spans, scores, best_set(spans, scores - thresholds[spans.labels]))
    spans = find_spans(chains)
    if not settings.uses_scores:
        return spans, None
    scores = span_scores(chains, spans, tagger.head)
    return select(spans, scores, scores >= thresholds[spans.labels])


def _by_doc(
    tagger: BoundTagger, docs: List[Doc], tokens: ChainTokens, spans: Spans, scores: Optional[Floats]
) -> List[Prediction]:
    """Turn spans of rows of the chains into spans of tokens of each doc."""
    bounds = np.searchsorted(spans.starts, tokens.lengths.cumsum()).tolist()
    starts, ends = tokens.rows[spans.starts].tolist(), (tokens.rows[spans.ends - 1] + 1).tolist()
    labels = [tagger.labels[number] for number in spans.labels.tolist()]
    numbers = None if scores is None else scores.tolist()
    first, first_token, predictions = 0, 0, []
    for doc, last in zip(docs, bounds, strict=True):
        predictions.append(
            Prediction(
                [start - first_token for start in starts[first:last]],
                [end - first_token for end in ends[first:last]],
                labels[first:last],
                None if numbers is None else numbers[first:last],
            )
        )
        first, first_token = last, first_token + len(doc)
    return predictions


def best_analyses(tagger: BoundTagger, docs: List[Doc], n: int) -> List[List[Analysis]]:
    """Find the most probable analyses of each doc.

    Args:
        tagger (BoundTagger): The model, initialized.
        docs (List[Doc]): The docs.
        n (int): The number of analyses.

    Returns:
        List[List[Analysis]]: Up to n analyses of each doc, the most probable first.
    """
    chains = _tempered_chains(tagger, docs)
    return _best_analyses(tagger, chains, docs, n, chains.lattice())


def _best_analyses(
    tagger: BoundTagger, chains: Chains, docs: List[Doc], n: int, lattice: Lattice
) -> List[List[Analysis]]:
    ends, first_token, found = np.cumsum(chains.tokens.lengths), 0, []
    for k, length in enumerate(chains.tokens.lengths.tolist()):
        own = slice(ends[k] - length, ends[k])
        rows = chains.tokens.rows[own] - first_token
        allowed = None if chains.allowed is None else chains.allowed[own]
        analyses: List[Analysis] = []
        for tags, score in n_best(chains.emissions[own], chains.transitions, n, allowed):
            spans = tags_to_spans(tags, np.zeros(1, dtype=np.int64), chains.transitions.scheme)
            names = [tagger.labels[number] for number in spans.labels.tolist()]
            starts, stops = rows[spans.starts].tolist(), (rows[spans.ends - 1] + 1).tolist()
            probability = float(np.exp(min(score - lattice.log_partition[k], 0.0)))
            analyses.append((list(zip(starts, stops, names, strict=True)), probability))
        found.append(analyses)
        first_token += len(docs[k])
    return found


def uncertainties(tagger: BoundTagger, docs: List[Doc]) -> List[Uncertainty]:
    """Measure how unsure the model is of each doc.

    Args:
        tagger (BoundTagger): The model, initialized.
        docs (List[Doc]): The docs.

    Returns:
        List[Uncertainty]: Three measures for each doc.
    """
    chains = _tempered_chains(tagger, docs)
    lattice = chains.lattice()
    best_two = _best_analyses(tagger, chains, docs, 2, lattice)
    found = []
    for value, analyses in zip(entropy(lattice).tolist(), best_two, strict=True):
        best, second = [*(probability for _, probability in analyses), 0.0][:2]
        found.append(Uncertainty(1.0 - best, 1.0 - (best - second), value))
    return found
