"""Teachers: a pipeline, or a file with what one has found."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from spacy.tokens import Doc

from ..batch.worker import Annotator
from ..data.annotated_file import Entity
from ..data.reader import read_records
from ..training.review import without_annotation
from .limits import relabeled


class Found(NamedTuple):
    """What a pipeline finds in annotated docs.

    Attributes:
        spans (list[Optional[list[Entity]]]): The entities of each doc; None where it says nothing of the doc.
        words (int): The number of tokens.
        seconds (float): How long it took; 0 if it is not known.
        failed (int): Docs on which it raised an error.
    """

    spans: list[Optional[list[Entity]]]
    words: int
    seconds: float = 0.0
    failed: int = 0

    def judged(self, docs: Sequence[Doc]) -> Iterator[tuple[Optional[float], bool, bool]]:
        """The score of each entity, and what `limits.Judged` says. Those on tokens without annotation are left out."""
        for doc, own in zip(docs, self.spans, strict=True):
            gold = {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
            unknown = [(token.idx, token.idx + len(token)) for token in doc if not token.ent_iob]
            for span in own or ():
                if not any(start < span.end and span.start < end for start, end in unknown):
                    is_none = not any(start < span.end and span.start < end for start, end, _ in gold)
                    yield span.score, span[:3] in gold, is_none

    def f1(self, docs: Sequence[Doc]) -> Optional[float]:
        """F1 over the docs that it says something of; None if there are none."""
        of = [doc for doc, own in zip(docs, self.spans, strict=True) if own is not None]
        right = [is_right for _, is_right, _ in self.judged(docs)]
        return 2 * sum(right) / max(len(right) + sum(len(doc.ents) for doc in of), 1) if of else None


def find(annotator: Annotator, docs: Sequence[Doc], labels: Mapping[str, str] = {}) -> Found:
    """Find the entities of annotated docs with a pipeline.

    Args:
        annotator (Annotator): The pipeline.
        docs (Sequence[Doc]): The docs. Those without known spaces keep their tokens.
        labels (Mapping[str, str]): See `limits.trusted`.

    Returns:
        Found: The entities.
    """
    nlp = annotator.nlp

    def fresh(doc: Doc) -> Doc:
        return without_annotation(nlp, doc) if doc.has_unknown_spaces else nlp.make_doc(doc.text)

    for _ in nlp.pipe([nlp.make_doc("A first text sets things up.")]):
        pass
    start = time.perf_counter()
    found = tolerant(lambda some: nlp.pipe([fresh(doc) for doc in some]), docs)
    seconds = time.perf_counter() - start
    spans = [
        [] if doc is None else relabeled([Entity(**ent) for ent in annotator.entities(doc)], labels) for doc in found
    ]
    return Found([*spans], sum(map(len, docs)), seconds, sum(doc is None for doc in found))


def tolerant(process: Callable[[Sequence[Doc]], Iterable[Doc]], docs: Sequence[Doc]) -> list[Optional[Doc]]:
    """Process docs, and give None for those on which a pipeline raises an error."""
    try:
        return [*process(docs)]
    except Exception:  # A component may raise anything. One after the other, only some docs are lost.
        return [None] if len(docs) == 1 else [found for doc in docs for found in tolerant(process, [doc])]


def look_up(path: Path, docs: Sequence[Doc], labels: Mapping[str, str]) -> Found:
    """Find the entities of annotated docs in a file of what a teacher has found, by their texts. See `find`."""
    texts = {doc.text.rstrip() for doc in docs}
    records = {key: record.spans for record in read_records(path) if (key := record.text.rstrip()) in texts}
    spans = [records.get(doc.text.rstrip()) for doc in docs]
    return Found([own and relabeled(own, labels) for own in spans], sum(map(len, docs)))
