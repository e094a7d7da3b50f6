"""Find errors in the annotation of a corpus: models judge texts that they were not trained on (cross-fitting).

The corpus is divided into folds. For each fold, a model is trained on the other folds, and computes the exact
probability of each annotated entity of the fold, and of each entity that it finds itself. Where the two differ, there
is a doubt: a place in a doc, with the annotation and what the model suggests.
"""

import io
import random
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from spacy.language import DEFAULT_CONFIG, Language
from spacy.tokens import Doc
from spacy.training.initialize import init_nlp
from spacy.training.loop import DIR_MODEL_BEST, DIR_MODEL_LAST, train
from spacy.util import load_model, minibatch
from thinc.api import Config

from ..data.annotated_file import Entity, Record
from ..data.corpora import pack_docs
from ..data.corrections import name_of
from ..data.facts import count_facts
from ..data.formats.spacy_binary import record_of
from ..pipeline.component import LSTMEntityRecognizer, docs_before
from ..pipeline.predict import outside_probabilities, score_spans
from ..types import Floats
from .recipe import choose, make_config, put_reader

DOCS_AT_ONCE = 256
LEAST_STEPS = 500

Triple = tuple[int, int, str]
"""A span: start token, end token, label."""


class Doubt(NamedTuple):
    """A place in a doc where the annotation is improbable.

    Attributes:
        doc (int): The number of the doc in the corpus, from 0.
        annotated (list[Triple]): The annotated entities at this place.
        suggested (list[Triple]): The entities that the model finds there.
        score (float): p / (p + √q), for the probability p of the suggestion and q of the annotation. The root is there
            because models are too sure of what they have not seen.
    """

    doc: int
    annotated: list[Triple]
    suggested: list[Triple]
    score: float

    @property
    def start(self) -> int:
        """The first token of the place."""
        return min(span[0] for span in (*self.annotated, *self.suggested))

    @property
    def end(self) -> int:
        """The token after its last one."""
        return max(span[1] for span in (*self.annotated, *self.suggested))

    def task(self, doc: Doc) -> Record:
        """What a reviewer decides on: the doc with the suggestion in place of the annotation."""
        start, end = doc[self.start].idx, doc[self.end - 1].idx + len(doc[self.end - 1])
        record = record_of(doc, f"text {self.doc + 1}")
        said = {
            name: ", ".join(f"{doc[first:last].text} ({label})" for first, last, label in spans) or "no entity"
            for name, spans in (("annotated", self.annotated), ("suggested", self.suggested))
        }
        kept = [span for span in record.spans if span.end <= start or span.start >= end]
        new = [
            Entity(doc[first].idx, doc[last - 1].idx + len(doc[last - 1]), label)
            for first, last, label in self.suggested
        ]
        return replace(
            record,
            spans=sorted([*kept, *new]),
            name=name_of(self.doc + 1, start, end),
            meta={"score": round(self.score, 6), **said},
            # The corpus has the missing and the rejected parts; the reviewer is asked about one place.
            complete=True,
            missing=[],
            rejected=[],
        )


@dataclass
class Review:
    """Doubts, and how far annotation and models agree.

    Attributes:
        doubts (list[Doubt]): The doubts.
        annotated (int): The number of annotated entities.
        found (int): The number of entities that the models find.
        both (int): The number of entities in both.
    """

    doubts: list[Doubt] = field(default_factory=list)
    annotated: int = 0
    found: int = 0
    both: int = 0

    def __add__(self, other: "Review") -> "Review":
        """The reviews of two parts of a corpus together."""
        counts = (self.annotated + other.annotated, self.found + other.found, self.both + other.both)
        return Review([*self.doubts, *other.doubts], *counts)

    @property
    def f1(self) -> float:
        """The F1 of the models on the annotation that they have not seen."""
        return 2 * self.both / max(self.annotated + self.found, 1)


def config_for(docs: Sequence[Doc], lang: str) -> Config:
    """Make the config that `init-config` writes for a corpus, with fewer training steps.

    After a third of the steps, models are less sure of what they have not seen, and rank errors better: of those that
    benchmarks/review.py puts into a corpus, cleanlab then found 0.73 instead of 0.67 in the first 5 %.

    Args:
        docs (Sequence[Doc]): The annotated docs.
        lang (str): The code of their language.

    Returns:
        Config: The config.

    Raises:
        ValueError: If there are no entities.
    """
    facts = count_facts(docs)
    if not facts.entities:
        raise ValueError(f"there are no entities in {facts.docs} docs. Check the data with debug-data")
    config = make_config(choose(facts, False, "speed"), lang, {"train": None, "dev": None})
    config["training"]["max_steps"] = max(config["training"]["max_steps"] // 3, LEAST_STEPS)
    return config


def cross_fit(docs: Sequence[Doc], config: Config, n_folds: int) -> Iterator[tuple[Language, dict[int, Doc]]]:
    """Train a model for each part of a corpus on the other parts.

    Args:
        docs (Sequence[Doc]): The annotated docs.
        config (Config): The training config. Its corpora are replaced; their augmenters stay.
        n_folds (int): The number of parts, at least 2.

    Yields:
        tuple[Language, dict[int, Doc]]: A pipeline, and the docs by their number that it was not trained on.

    Raises:
        ValueError: If there are fewer different texts than parts, or the corpora of the config have no usual place.
    """
    config = DEFAULT_CONFIG.merge(config)
    folds = _fold_of_each(docs, n_folds, config["training"]["seed"])
    for fold in range(n_folds):
        own = {number: doc for number, (doc, its) in enumerate(zip(docs, folds, strict=True)) if its == fold}
        yield _train(config, (doc for number, doc in enumerate(docs) if number not in own), own.values()), own


def _fold_of_each(docs: Sequence[Doc], n_folds: int, seed: object) -> list[int]:
    """The fold of each doc. Docs with the same text are in the same fold, so that no model has seen them."""
    texts = sorted({doc.text for doc in docs})
    if len(texts) < n_folds:
        raise ValueError(f"expected at least as many different texts as folds, found {len(texts)} and {n_folds}")
    random.Random(str(seed)).shuffle(texts)
    fold = {text: number % n_folds for number, text in enumerate(texts)}
    return [fold[doc.text] for doc in docs]


def _train(config: Config, docs: Iterable[Doc], held_out: Iterable[Doc]) -> Language:
    """Train a pipeline. The held-out docs choose no weights, unless the config leaves the end of training to them."""
    with TemporaryDirectory() as name:
        folder, config = Path(name), config.copy()
        settings = config["training"]
        for part, its in (("train", docs), ("dev", held_out)):
            path = folder / f"{part}.spacy"
            path.write_bytes(pack_docs(its))
            put_reader(config, part, {"@readers": "spacy.Corpus.v1", "path": str(path)})
        # The annotation under review must not change the model.
        settings["before_to_disk"] = None
        settings["eval_frequency"] = settings["max_steps"] or settings["eval_frequency"]
        # No table. The progress goes to stderr, if that is a terminal.
        settings["logger"] = {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": "train"}
        train(init_nlp(config), folder, stdout=io.StringIO(), stderr=sys.stderr)
        return load_model(folder / (DIR_MODEL_LAST if settings["max_steps"] else DIR_MODEL_BEST))


def review(nlp: Language, component: LSTMEntityRecognizer, docs: Mapping[int, Doc]) -> Review:
    """Review docs with a model that was not trained on them. Docs without annotation are left out.

    Args:
        nlp (Language): The pipeline.
        component (LSTMEntityRecognizer): Its component.
        docs (Mapping[int, Doc]): The docs by their number.

    Returns:
        Review: The doubts, in the order of the docs. There is none about an entity of a component before this one.
    """
    annotated = ((number, doc) for number, doc in docs.items() if doc.has_annotation("ENT_IOB"))
    result = Review()
    for part in minibatch(annotated, DOCS_AT_ONCE):
        fresh = docs_before(nlp, component, (without_annotation(nlp, doc) for _, doc in part))
        found = [list(zip(p.starts, p.ends, p.labels, strict=True)) for p in component.predict(fresh)]
        given = [_triples(doc) for doc in fresh]
        gold = [_triples(doc) for _, doc in part]
        places = [
            list(_places(doc, ours, [*theirs, *preset], component.labels, preset))
            for (_, doc), ours, theirs, preset in zip(part, gold, found, given, strict=True)
        ]
        spans = [[span for place in own for side in place for span in side] for own in places]
        scores = score_spans(component.tagger, fresh, spans)
        outside = outside_probabilities(component.tagger, fresh)
        for (number, _), own, its, values, free in zip(part, places, spans, scores, outside, strict=True):
            p = dict(zip(its, values, strict=True))
            for ours, theirs in own:
                stays, right = _probability(ours, theirs, p, free), _probability(theirs, ours, p, free)
                result.doubts.append(Doubt(number, ours, theirs, _score(stays, right)))
        for annotation, entities in zip(gold, found, strict=True):
            result.annotated += len(annotation)
            result.found += len(entities)
            result.both += len(set(annotation).intersection(entities))
    return result


def _triples(doc: Doc) -> list[Triple]:
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def without_annotation(nlp: Language, doc: Doc) -> Doc:
    """Copy a doc without its entities, for a pipeline that is to find its own.

    Args:
        nlp (Language): The pipeline.
        doc (Doc): The doc.

    Returns:
        Doc: A doc with the same tokens, and with the starts of sentences if they are known.
    """
    spaces = None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc]
    fresh = Doc(nlp.vocab, words=[token.text for token in doc], spaces=spaces)
    if doc.has_annotation("SENT_START"):
        for token, other in zip(fresh, doc, strict=True):
            token.is_sent_start = other.is_sent_start
    return fresh


def _places(
    doc: Doc, gold: list[Triple], found: list[Triple], labels: Collection[str], given: Collection[Triple] = ()
) -> Iterator[tuple[list[Triple], list[Triple]]]:
    """Groups of overlapping spans on which annotation and model do not agree: those of the annotation, and the model's.

    There is none where a token has no annotation, or where the model does not know the label (labels) or does not judge
    (given: the entities of components before it).
    """
    sides = [(span, 0) for span in gold if span not in found] + [(span, 1) for span in found if span not in gold]
    groups: list[tuple[list[Triple], list[Triple]]] = []
    end = 0
    for span, side in sorted(sides):
        if span[0] >= end:
            groups.append(([], []))
        groups[-1][side].append(span)
        end = max(end, span[1])
    for ours, theirs in groups:
        judged = all(label in labels for _, _, label in ours)
        judged = judged and not any(a < end and start < b for a, b, _ in (*ours, *theirs) for start, end, _ in given)
        if judged and all(token.ent_iob for start, stop, _ in theirs for token in doc[start:stop]):
            yield ours, theirs


def _probability(spans: list[Triple], others: list[Triple], p: Mapping[Triple, float], outside: Floats) -> float:
    """The probability of what one side says of a place: of its least probable span, or of no entity at its tokens.

    others: the spans of the other side. outside: (n_tokens,) the probability of each token to be in no entity.
    """
    if spans:
        return min(p[span] for span in spans)
    return float(min(outside[start:end].min() for start, end, _ in others))


def _score(annotation: float, suggestion: float) -> float:
    return suggestion / (suggestion + annotation**0.5) if suggestion else 0.0
