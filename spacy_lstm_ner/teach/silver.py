"""The silver corpus: what a teacher says of raw texts, as docs to train on.

It is a folder of files in spaCy's format, so that a job that was killed goes on with the next one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from ..annotation.soft import write_soft
from ..batch.worker import DIGITS
from ..data.annotated_file import Record
from ..data.corpora import pack_docs
from ..data.span_policy import DEFAULT_POLICY, Problems, make_doc
from ..files import write_atomically
from ..layers.crf.forward_backward import Steps
from ..pipeline.bound_tagger import BoundTagger
from ..pipeline.component import LSTMEntityRecognizer, docs_before
from ..pipeline.predict import in_parts, read_chains
from ..pipeline.scores import write_group
from ..tags import OUTSIDE, Scheme, Spans, spans_to_tags
from ..training.review import without_annotation
from ..types import Floats, Ints
from .limits import Limits, relabeled, trusted

DOCS_PER_FILE, DOCS_AT_ONCE = 2000, 256
GROUP = "teacher"
"""The group of `doc.spans` with all spans of the teacher, and their scores."""
LEAST = 1e-3
"""Steps from tag to tag with a lower probability are not kept."""


class Silver(NamedTuple):
    """How to make silver docs.

    Attributes:
        nlp (Language): The pipeline of the student, for its tokenizer.
        labels (Mapping[str, str]): The label of the student for a label of the teacher, see `trusted`.
        limits (Limits): The trust limits.
        is_complete (bool): Whether text outside of the teacher's spans is in no entity.
        teacher (Optional[Language]): A pipeline whose distribution over sequences of tags the student learns. None: it
            learns the spans.
        component (Optional[LSTMEntityRecognizer]): Its component.
    """

    nlp: Language
    labels: Mapping[str, str]
    limits: Limits
    is_complete: bool = True
    teacher: Optional[Language] = None
    component: Optional[LSTMEntityRecognizer] = None

    def write(self, records: Iterable[Record], folder: Path, problems: Problems) -> Counter[str]:
        """Write the files of a corpus that are not there yet.

        Args:
            records (Iterable[Record]): The texts with the teacher's spans.
            folder (Path): The folder.
            problems (Problems): Where to count spans that cannot be entities.

        Returns:
            Counter[str]: What the new files have: docs, tokens, entities, and tokens in doubt.
        """
        counts: Counter[str] = Counter()
        folder.mkdir(parents=True, exist_ok=True)
        for number, group in enumerate(minibatch(records, DOCS_PER_FILE)):
            path = folder / f"part-{number:0{DIGITS}d}.spacy"
            if path.exists():
                continue
            docs = [self._doc(record, problems) for record in group if record.text.strip()]
            if self.teacher is not None and self.component is not None:
                for some in minibatch(docs, DOCS_AT_ONCE):
                    write_distributions(self.teacher, self.component, some, self.labels)
            write_atomically(path, pack_docs(docs, user_data=True))
            for doc in docs:
                doubt = sum(not token.ent_iob for token in doc)
                counts.update(docs=1, tokens=len(doc), entities=len(doc.ents), doubt=doubt)
        return counts

    def _doc(self, record: Record, problems: Problems) -> Doc:
        doc = make_doc(self.nlp, trusted(record, self.limits, self.labels, self.is_complete), DEFAULT_POLICY, problems)
        own = [(doc.char_span(s.start, s.end, s.label), s.score) for s in relabeled(record.spans, self.labels)]
        scored = [(span, score) for span, score in own if span is not None and score is not None]
        write_group(doc, GROUP, GROUP, [span for span, _ in scored], [score for _, score in scored], in_ents=False)
        return doc


def write_distributions(
    teacher: Language,
    component: LSTMEntityRecognizer,
    docs: Sequence[Doc],
    labels: Mapping[str, str],
    share_of_gold: float = 0.0,
    evidence: float = 0.0,
) -> None:
    """Keep the distribution of a teacher over sequences of tags with docs, see `annotation.soft`.

    With evidence, it is the distribution given the annotation, which may be wrong: a tag that is annotated counts as
    e^evidence times as probable. Where the teacher is sure, it decides, and elsewhere the annotation. The exponent of
    a span with a score is 2 · score · evidence, and that of missing annotation is 0.

    Args:
        teacher (Language): The pipeline of the teacher.
        component (LSTMEntityRecognizer): Its component.
        docs (Sequence[Doc]): The docs. They are changed.
        labels (Mapping[str, str]): The label of the student for a label of the teacher, see `trusted`.
        share_of_gold (float): The share of the annotation of the docs in what is kept. If it is not 0, docs that are
            not fully annotated with labels of the teacher are left as they are.
        evidence (float): What the annotation of the docs adds to the score of its tag at each token, in nats. If it is
            not 0, docs with a label that the teacher does not have are left as they are.
    """
    tagger, names = component.tagger, [labels.get(label, label) for label in component.labels]
    if evidence or share_of_gold:
        docs = [doc for doc in docs if {ent.label_ for ent in doc.ents} <= set(names)]
    if share_of_gold:
        docs = [doc for doc in docs if all(token.ent_iob for token in doc)]
    fresh = docs_before(teacher, component, (without_annotation(teacher, doc) for doc in docs))
    said = [_evidence(doc, names, tagger.scheme, evidence) for doc in docs] if evidence else ()
    for doc, steps in zip(docs, _steps(tagger, fresh, said), strict=True):
        if share_of_gold:
            steps = _mixed(steps, doc, names, tagger.scheme, share_of_gold)
        write_soft(doc, steps, names, tagger.scheme)


def _steps(tagger: BoundTagger, docs: list[Doc], said: Sequence[tuple[Ints, Floats]] = ()) -> Iterator[Steps]:
    """The steps from tag to tag of each doc. said: see `_evidence`, for each doc; or nothing."""
    done = 0
    for part in in_parts(tagger, docs):
        chains, sizes = read_chains(tagger, part, with_newness=False), np.cumsum([0, *map(len, part)])
        chains, rows = chains.at_temperature(tagger.head.attrs["temperature"]), chains.tokens.rows
        if said:
            tags, nats = (np.concatenate(column)[rows] for column in zip(*said[done : done + len(part)], strict=True))
            emissions = chains.emissions.astype("float64")
            emissions[np.arange(len(rows)), tags] += nats
            chains = chains._replace(emissions=emissions)
        steps = chains.lattice().steps(LEAST)
        steps = steps._replace(rows=rows[steps.rows])
        for start, end in pairwise(sizes):
            own = steps.select(slice(*np.searchsorted(steps.rows, [start, end]).tolist()))
            yield own._replace(rows=own.rows - start)
        done += len(part)


def _evidence(doc: Doc, names: Sequence[str], scheme: Scheme, nats: float) -> tuple[Ints, Floats]:
    """The annotated tag of each token of a doc, and what it adds to the score of this tag."""
    added = np.where([token.ent_iob > 0 for token in doc], nats, 0.0)
    group = doc.spans.get(GROUP, ())
    scores = zip(group, group.attrs["scores"] if group else (), strict=True)
    by_span = {(span.start, span.end, span.label_): float(score) for span, score in scores}
    for ent in doc.ents:
        added[ent.start : ent.end] *= 2.0 * by_span.get((ent.start, ent.end, ent.label_), 0.5)
    return _annotated_tags(doc, names, scheme), added


def _annotated_tags(doc: Doc, names: Sequence[str], scheme: Scheme) -> Ints:
    spans = [(ent.start, ent.end, names.index(ent.label_)) for ent in doc.ents]
    return spans_to_tags(Spans(*np.array(spans, dtype=np.int64).reshape(-1, 3).T), len(doc), OUTSIDE, scheme)


def _mixed(steps: Steps, doc: Doc, names: Sequence[str], scheme: Scheme, share: float) -> Steps:
    """A mixture of the annotation of a doc and a distribution over the same tokens."""
    rows = np.unique(steps.rows)
    tags = _annotated_tags(doc, names, scheme)[rows]
    gold = Steps(rows, np.append(OUTSIDE, tags[:-1]), tags, np.full(len(rows), share))
    both = zip(gold, steps._replace(p=(1.0 - share) * steps.p), strict=True)
    mixed = Steps(*(np.concatenate(pair) for pair in both))
    return mixed.select(np.argsort(mixed.rows, kind="stable"))
