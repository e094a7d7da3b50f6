"""The silver corpus: what a teacher says of raw texts, as docs to train on.

It is a folder of files in spaCy's format, so that a job that was killed goes on with the next one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.util import minibatch

from ..annotation.soft import write_soft
from ..data.annotated_file import Record
from ..data.span_policy import DEFAULT_POLICY, Problems, make_doc
from ..files import write_atomically
from ..pipeline.component import LSTMEntityRecognizer, docs_before
from ..pipeline.predict import read_chains
from ..pipeline.scores import write_group
from ..training.review import without_annotation
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
            path = folder / f"part-{number:05d}.spacy"
            if path.exists():
                continue
            docs = [self._doc(record, problems) for record in group if record.text.strip()]
            if self.teacher is not None and self.component is not None:
                for some in minibatch(docs, DOCS_AT_ONCE):
                    write_distributions(self.teacher, self.component, some, self.labels)
            attrs = ["SENT_START", "ENT_IOB", "ENT_TYPE"]
            write_atomically(path, DocBin(attrs=attrs, store_user_data=True, docs=docs).to_bytes())
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
    teacher: Language, component: LSTMEntityRecognizer, docs: Sequence[Doc], labels: Mapping[str, str]
) -> None:
    """Keep the distribution of a teacher over sequences of tags with docs, see `annotation.soft`.

    Args:
        teacher (Language): The pipeline of the teacher.
        component (LSTMEntityRecognizer): Its component.
        docs (Sequence[Doc]): The docs. They are changed.
        labels (Mapping[str, str]): The label of the student for a label of the teacher, see `trusted`.
    """
    tagger, sizes = component.tagger, np.cumsum([0, *map(len, docs)])
    chains = read_chains(tagger, docs_before(teacher, component, (without_annotation(teacher, doc) for doc in docs)))
    steps = chains.at_temperature(tagger.head.attrs["temperature"]).lattice().steps(LEAST)
    steps = steps._replace(rows=chains.tokens.rows[steps.rows])
    names = [labels.get(label, label) for label in component.labels]
    for doc, start, end in zip(docs, sizes, sizes[1:], strict=False):
        own = steps.select(slice(*np.searchsorted(steps.rows, [start, end]).tolist()))
        write_soft(doc, own._replace(rows=own.rows - start), names, tagger.scheme)


def seen_labels(records: Iterable[Record], labels: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """The label of each span of a teacher, and whether it has a score."""
    return ((span.label, span.score is not None) for record in records for span in relabeled(record.spans, labels))
