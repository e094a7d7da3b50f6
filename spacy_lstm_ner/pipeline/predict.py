"""From documents to what the model believes of them: entities, their probabilities, other analyses, doubt.

Notation as in `layers.crf` and `annotations`: M tokens that get tags, T tags.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model

from ..annotation.chain import ChainTokens, chain_tokens, given_for
from ..layers.crf.forward_backward import Lattice, entropy, forward_backward
from ..layers.crf.head import head_scheme, head_transitions
from ..layers.crf.span_probability import probabilities, soften
from ..layers.crf.transitions import TransitionParams, Transitions
from ..layers.crf.viterbi import decode, n_best
from ..tags import Spans, tags_to_spans
from ..types import Bools, Floats
from .scores import Uncertainty
from .settings import writes_spans

TOKENS_AT_ONCE = 20_000
"""Entities are found in docs of about so many tokens at a time: enough for fast steps, and few enough that what a batch
of any size takes is memory which the allocator keeps for the next part, and does not give back and ask for anew."""


Analysis = Tuple[List[Tuple[int, int, str]], float]
"""Entities (start token, end token, label), and the probability that these are all and no others."""


class UnusableScores(ValueError):
    """The model's weights give scores of tags that cannot be computed with."""


@contextmanager
def said_of(name: str) -> Iterator[None]:
    """What is found to be wrong with a model's scores is said of the component of this name."""
    try:
        yield
    except UnusableScores as error:
        raise ValueError(f"'{name}': {error}") from error


class Prediction(NamedTuple):
    """The entities of one doc: token numbers, labels, and the probability of each if it was asked for."""

    starts: List[int]
    ends: List[int]
    labels: List[str]
    scores: Optional[List[float]]


class Chains(NamedTuple):
    """The chains of tags of a batch of docs. emissions (M, T); allowed (M, T) or None, see `ChainTokens`."""

    tokens: ChainTokens
    emissions: Floats
    allowed: Optional[Bools]
    transitions: Transitions

    def lattice(self) -> Lattice:
        """The forward-backward run over all of them."""
        return forward_backward(self.emissions, self.tokens.lengths, self.transitions, self.allowed)

    def at_temperature(self, temperature: float) -> "Chains":
        """The same with all scores divided by a temperature."""
        if temperature == 1.0:
            return self
        params = TransitionParams(*(array / temperature for array in self.transitions.params))
        transitions = Transitions(self.transitions.scheme, params)
        return self._replace(emissions=self.emissions / temperature, transitions=transitions)


def n_tags(model: Model[Any, Any], labels: Sequence[str]) -> int:
    """Number of tags of a tagger with these labels."""
    return head_scheme(model.get_ref("head")).n_tags(len(labels))


def read_chains(model: Model[Any, Any], docs: List[Doc], labels: Sequence[str], cfg: Dict[str, Any]) -> Chains:
    """The model's emissions, made ready for everything that is computed on chains of tags.

    Raises UnusableScores if the model's weights give scores that are no numbers.
    """
    size, head = n_tags(model, labels), model.get_ref("head")
    tokens = chain_tokens(docs, cfg["sentence_boundaries"], given_for(cfg))
    if len(tokens.rows):
        flat = model.ops.to_numpy(model.ops.flatten(model.predict(docs)))
        emissions = flat if len(flat) == len(tokens.rows) else flat[tokens.rows]
    else:
        emissions = np.zeros((0, size), dtype="float32")
    scheme = head_scheme(head)
    transitions = head_transitions(head, size)
    # The maximum is NaN if any score is; -inf is the score of tags that wait to be trained.
    if not emissions.max(initial=-np.inf) < np.inf or not transitions.are_finite:
        raise UnusableScores(
            "the model gives scores that are not numbers, or are too large for any. Its weights are damaged, or went "
            "out of bounds in training: load them from an earlier checkpoint, or train anew"
        )
    return Chains(tokens, emissions, tokens.allowed(scheme, size), transitions)


def find_spans(chains: Chains) -> Spans:
    """The entities of the best legal sequences of tags, by rows of the chains."""
    tags = decode(chains.emissions, chains.tokens.lengths, chains.transitions, chains.allowed)
    return tags_to_spans(tags, np.cumsum(chains.tokens.lengths) - chains.tokens.lengths, chains.transitions.scheme)


def span_scores(chains: Chains, spans: Spans, head: Model[Any, Any]) -> Floats:
    """(n,) The probability of each entity, with the temperatures of the head."""
    tempered = chains.at_temperature(head.attrs["temperature"])
    scores = probabilities(tempered.emissions, tempered.tokens.lengths, tempered.transitions, tempered.allowed, spans)
    by_label = head.attrs["label_temperatures"]
    if by_label:
        # A label that was added since has none.
        padded = np.ones(max(len(by_label), int(spans.labels.max(initial=0)) + 1))
        padded[: len(by_label)] = by_label
        scores = soften(scores, padded[spans.labels])
    return scores


def find_entities(
    model: Model[Any, Any], docs: List[Doc], labels: Sequence[str], cfg: Dict[str, Any]
) -> List[Prediction]:
    """The entities of each doc that reach their threshold; with scores, if a setting asks for them."""
    return [found for part in _parts(model, docs) for found in _find_entities(model, part, labels, cfg)]


def _parts(model: Model[Any, Any], docs: List[Doc]) -> Iterator[List[Doc]]:
    """The docs, as many at a time as have TOKENS_AT_ONCE; all of them where a listener may want the whole batch."""
    if model.get_ref("tok2vec").name != "lexeme_tok2vec":
        yield docs
        return
    first, n_tokens = 0, 0
    for k, doc in enumerate(docs):
        if k > first and n_tokens + len(doc) > TOKENS_AT_ONCE:
            yield docs[first:k]
            first, n_tokens = k, 0
        n_tokens += len(doc)
    yield docs[first:]


def _find_entities(
    model: Model[Any, Any], docs: List[Doc], labels: Sequence[str], cfg: Dict[str, Any]
) -> List[Prediction]:
    chains = read_chains(model, docs, labels, cfg)
    spans, tokens = find_spans(chains), chains.tokens
    scores = None
    if writes_spans(cfg) or cfg["threshold"] or cfg["label_thresholds"]:
        scores = span_scores(chains, spans, model.get_ref("head"))
        least = np.array([cfg["label_thresholds"].get(label, cfg["threshold"]) for label in labels], dtype="float64")
        chosen = scores >= least[spans.labels]
        spans, scores = Spans(*(column[chosen] for column in spans)), scores[chosen]
    bounds = np.searchsorted(spans.starts, np.cumsum([0, *tokens.lengths])).tolist()
    starts, ends = tokens.rows[spans.starts], tokens.rows[spans.ends - 1] + 1
    first_tokens = np.cumsum([0, *(len(doc) for doc in docs)]).tolist()
    predictions = []
    for k in range(len(docs)):
        own = slice(bounds[k], bounds[k + 1])
        predictions.append(
            Prediction(
                (starts[own] - first_tokens[k]).tolist(),
                (ends[own] - first_tokens[k]).tolist(),
                [labels[number] for number in spans.labels[own].tolist()],
                None if scores is None else scores[own].tolist(),
            )
        )
    return predictions


def best_analyses(
    model: Model[Any, Any], docs: List[Doc], labels: Sequence[str], cfg: Dict[str, Any], n: int
) -> List[List[Analysis]]:
    """Up to n analyses of each doc, the most probable first."""
    chains = read_chains(model, docs, labels, cfg).at_temperature(model.get_ref("head").attrs["temperature"])
    return _best_analyses(chains, docs, labels, n, chains.lattice())


def _best_analyses(
    chains: Chains, docs: List[Doc], labels: Sequence[str], n: int, lattice: Lattice
) -> List[List[Analysis]]:
    ends, first_token, found = np.cumsum(chains.tokens.lengths), 0, []
    for k, length in enumerate(chains.tokens.lengths.tolist()):
        own = slice(ends[k] - length, ends[k])
        rows = chains.tokens.rows[own] - first_token
        allowed = None if chains.allowed is None else chains.allowed[own]
        analyses: List[Analysis] = []
        for tags, score in n_best(chains.emissions[own], chains.transitions, n, allowed):
            spans = tags_to_spans(tags, np.zeros(1, dtype=np.int64), chains.transitions.scheme)
            names = [labels[number] for number in spans.labels.tolist()]
            starts, stops = rows[spans.starts].tolist(), (rows[spans.ends - 1] + 1).tolist()
            probability = float(np.exp(min(score - lattice.log_partition[k], 0.0)))
            analyses.append((list(zip(starts, stops, names, strict=True)), probability))
        found.append(analyses)
        first_token += len(docs[k])
    return found


def uncertainties(
    model: Model[Any, Any], docs: List[Doc], labels: Sequence[str], cfg: Dict[str, Any]
) -> List[Uncertainty]:
    """The doubt about each doc; see `Uncertainty`."""
    chains = read_chains(model, docs, labels, cfg).at_temperature(model.get_ref("head").attrs["temperature"])
    lattice = chains.lattice()
    found = []
    for value, analyses in zip(
        entropy(lattice).tolist(), _best_analyses(chains, docs, labels, 2, lattice), strict=True
    ):
        best, second = [*(probability for _, probability in analyses), 0.0][:2]
        found.append(Uncertainty(1.0 - best, 1.0 - (best - second), value))
    return found
