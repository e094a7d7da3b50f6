"""Run a pipeline on annotated docs, and keep what a report needs of each: gold and predicted entities, and their place.

Everything is in tokens of the gold doc. As in spaCy's scorer, predicted entities on tokens without annotation do not
count, and neither do docs without annotation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from spacy.language import Language
from spacy.tokens import Span
from spacy.training import Example
from spacy.util import minibatch

from ..pipeline.component import LSTMEntityRecognizer
from ..training.review import Doubt, review
from ..types import Bools, Ints

DOCS_AT_ONCE = 256


class Entity(NamedTuple):
    """An entity of a doc.

    Attributes:
        start (int): Its first token.
        end (int): The token after its last one.
        label (str): Its type.
        score (Optional[float]): Its probability, from 0 to 1, if it is predicted and the pipeline knows it.
    """

    start: int
    end: int
    label: str
    score: Optional[float] = None

    def overlap(self, other: "Entity") -> int:
        """Count the tokens that two entities share."""
        return max(0, min(self.end, other.end) - max(self.start, other.start))


@dataclass
class Judged:
    """A doc with gold and predicted entities.

    Attributes:
        number (int): Its number in the corpus, from 1.
        text (str): The text.
        limits (Ints): (tokens, 2) The first character of each token, and the one after its last.
        annotated (Bools): (tokens,) Whether a token has entity annotation.
        gold (list[Entity]): The gold entities.
        found (list[Entity]): The predicted entities.
        right (list[bool]): For each predicted entity, whether a gold one has its tokens and its type.
        met (list[bool]): For each gold entity, whether it was found.
    """

    number: int
    text: str
    limits: Ints
    annotated: Bools
    gold: list[Entity]
    found: list[Entity]
    right: list[bool] = field(init=False)
    met: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        left = {entity[:3] for entity in self.gold}
        self.right = []
        for entity in self.found:
            # Two predicted entities can have the same gold tokens. Only one of them is right.
            self.right.append(entity[:3] in left)
            left.discard(entity[:3])
        self.met = [entity[:3] not in left for entity in self.gold]

    def touching(self) -> list[list[int]]:
        """For each predicted entity, the numbers of the gold entities that share tokens with it."""
        owner = np.full(len(self.limits), -1, dtype=np.int64)
        for number, entity in enumerate(self.gold):
            owner[entity.start : entity.end] = number
        return [sorted({*owner[entity.start : entity.end].tolist()} - {-1}) for entity in self.found]

    def text_of(self, start: int, end: int) -> str:
        """The text of some tokens, with single spaces."""
        return " ".join(self.text[self.limits[start, 0] : self.limits[end - 1, 1]].split())


@dataclass
class Judgement:
    """The docs of a corpus, judged.

    Attributes:
        docs (list[Judged]): The docs with annotation.
        skipped (int): The number of docs without annotation.
        doubts (list[Doubt]): Where the gold annotation is improbable, the most improbable first. Their docs are
            numbers of `docs`.
        labels (set[str]): The types that the pipeline can find, as far as its components say.
    """

    docs: list[Judged] = field(default_factory=list)
    skipped: int = 0
    doubts: list[Doubt] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)


def judge(
    nlp: Language,
    examples: Iterable[Example],
    component: Optional[LSTMEntityRecognizer] = None,
    score_attr: Optional[str] = None,
) -> Judgement:
    """Run a pipeline on annotated docs.

    Args:
        nlp (Language): The pipeline.
        examples (Iterable[Example]): The docs. They are not kept.
        component (Optional[LSTMEntityRecognizer]): The component that reviews the gold annotation. None: nothing does.
        score_attr (Optional[str]): The attribute of `ent._` with the probability of an entity. None: there is none.

    Returns:
        Judgement: The docs.

    Raises:
        ValueError: If there is no annotation, no component that finds entities, or no attribute of this name.
    """
    if score_attr is not None and not Span.has_extension(score_attr):
        raise ValueError(
            f"--score-attr is {score_attr!r}, but entities have no attribute ent._.{score_attr}. Name one that a "
            "component of the pipeline registers, or leave the option out"
        )
    result = Judgement(labels=_known_labels(nlp))
    for batch in minibatch(examples, DOCS_AT_ONCE):
        docs = nlp.pipe([example.predicted for example in batch])
        golds = {}
        for example, doc in zip(batch, docs, strict=True):
            example.predicted = doc
            if example.reference.has_annotation("ENT_IOB"):
                golds[len(result.docs)] = example.reference
                number = len(result.docs) + result.skipped + 1
                result.docs.append(_judge(number, example, score_attr))
            else:
                result.skipped += 1
        if component is not None:
            result.doubts.extend(review(nlp, component, golds).doubts)
    if not result.docs:
        raise ValueError(
            f"none of the {result.skipped} docs has entity annotation, so there is nothing to compare with. Set their "
            "entities, with doc.set_ents([]) where there are none"
        )
    if not result.labels and not any(doc.found for doc in result.docs):
        raise ValueError(
            f"the pipeline sets no doc.ents: its components are {', '.join(nlp.pipe_names) or 'none'}. Name a pipeline "
            "that finds entities"
        )
    result.doubts.sort(key=lambda doubt: -doubt.score)
    return result


def _known_labels(nlp: Language) -> set[str]:
    pipes = [pipe for name, pipe in nlp.pipeline if "doc.ents" in nlp.get_pipe_meta(name).assigns]
    return {label for pipe in pipes for label in getattr(pipe, "labels", ())}


def _judge(number: int, example: Example, score_attr: Optional[str]) -> Judged:
    reference = example.reference
    limits = np.array([(token.idx, token.idx + len(token)) for token in reference], dtype=np.int64).reshape(-1, 2)
    annotated = np.array([token.ent_iob != 0 for token in reference], dtype=bool)
    gold = [Entity(ent.start, ent.end, ent.label_) for ent in reference.ents if ent.label_]
    found = list(_found(example, annotated, score_attr))
    return Judged(number, reference.text, limits, annotated, gold, found)


def _found(example: Example, annotated: Bools, score_attr: Optional[str]) -> Iterator[Entity]:
    """The predicted entities in tokens of the gold doc."""
    alignment = example.alignment.x2y
    for ent in example.predicted.ents:
        tokens = alignment[ent.start : ent.end]
        if len(tokens) and annotated[tokens[0] : tokens[-1] + 1].all():
            score = None if score_attr is None else getattr(ent._, score_attr)
            yield Entity(int(tokens[0]), int(tokens[-1]) + 1, ent.label_, None if score is None else float(score))


class Seen(NamedTuple):
    """The entities of training data.

    Attributes:
        texts (set[str]): Their texts, with single spaces.
        typed (set[tuple[str, str]]): Their texts, each with a type.
    """

    texts: set[str]
    typed: set[tuple[str, str]]


def read_seen(examples: Iterable[Example], path: Path) -> Seen:
    """Read the entities of training data.

    Args:
        examples (Iterable[Example]): The training data. It is not kept.
        path (Path): Where it is from, for the error.

    Returns:
        Seen: The entities.

    Raises:
        ValueError: If there are none.
    """
    ents = (ent for example in examples for ent in example.reference.ents)
    typed = {(" ".join(ent.text.split()), ent.label_) for ent in ents}
    if not typed:
        raise ValueError(f"{path}: expected training data with entities for --train, found none")
    return Seen({text for text, _ in typed}, typed)
