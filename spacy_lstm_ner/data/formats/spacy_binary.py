"""The format spacy: docs in spaCy's binary format.

doc = nlp("Anna sings in Oslo.")
doc.ents = [doc.char_span(0, 4, label="PER"), doc.char_span(14, 18, label="LOC")]
DocBin(docs=[doc]).to_disk("corpus.spacy")
"""

from collections.abc import Iterator
from typing import Optional

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..annotated_file import AnnotatedFile, Entity, Record
from .base import Format, no_text


def _read(file: AnnotatedFile) -> Iterator[Record]:
    file.marks_documents = True
    file.position = file.path.stat().st_size
    try:
        docs = DocBin().from_disk(file.path)
    except OSError:
        raise
    except Exception as error:  # What a broken archive raises depends on where it is broken.
        raise file.error(1, f"expected docs in spaCy's binary format, found: {error!r}") from error
    for number, doc in enumerate(docs.get_docs(Vocab()), 1):
        record = record_of(doc, f"{file.path}:{number}", incorrect=file.column("incorrect") or "incorrect_spans")
        if record.text.strip():
            yield record


def record_of(doc: Doc, place: str, score_attr: Optional[str] = None, incorrect: str = "incorrect_spans") -> Record:
    """Make a record of a doc.

    Args:
        doc (Doc): The doc.
        place (str): Where it is from.
        score_attr (Optional[str]): The attribute of entities with their probability.
        incorrect (str): The group of `doc.spans` with spans that are known to be wrong.

    Returns:
        Record: The record, with its tokens, and with its sentences if the doc has them.
    """
    scores = [getattr(ent._, score_attr) if score_attr else None for ent in doc.ents]
    spans = [Entity(e.start_char, e.end_char, e.label_, score) for e, score in zip(doc.ents, scores, strict=True)]
    unknown = doc.has_unknown_spaces
    rejected = [Entity(span.start_char, span.end_char, span.label_) for span in doc.spans.get(incorrect, [])]
    missing = [(token.idx, token.idx + len(token)) for token in doc if not token.ent_iob]
    return Record(
        doc.text[:-1] if unknown else doc.text,
        spans,
        place,
        [token.text for token in doc],
        None if unknown else [bool(token.whitespace_) for token in doc],
        [sent.start_char for sent in doc.sents] if doc.has_annotation("SENT_START") else None,
        complete=len(missing) < len(doc),
        missing=missing if len(missing) < len(doc) else [],
        rejected=rejected,
    )


FORMAT = Format("spacy", "docs in spaCy's binary format", no_text, _read, suffixes=(".spacy",), binary=True)
