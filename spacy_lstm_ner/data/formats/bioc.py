"""The format bioc: collections in BioC XML or BioC JSON (needs the extra `bioc`). Relations are not read.

Passages, or their sentences, are put at their offsets in the text of a document. The label is the infon `type`; the
option `label` names another one.

    <passage><offset>0</offset><text>Anna sings.</text>
      <annotation id="1"><infon key="type">PER</infon><location offset="0" length="4"/><text>Anna</text></annotation>
    </passage>
"""

from collections.abc import Iterator
from typing import Any

from ..annotated_file import AnnotatedFile, Entity, Record
from .base import Format, Head

_LONGEST_GAP = 100_000


def _sniff(head: Head) -> float:
    if head.items and isinstance(head.items[0], dict):
        return 1.0 * ("documents" in head.items[0] and "infons" in head.items[0])
    return 1.0 if "<collection>" in head.text and "<document>" in head.text else 0.0


def _read(file: AnnotatedFile) -> Iterator[Record]:
    try:
        from bioc import biocjson, biocxml
    except ImportError as error:
        raise ImportError(f"{file.path}: install bioc: pip install 'spacy-lstm-ner[bioc]'") from error
    file.marks_documents = True
    text = file.text()
    try:
        collection = biocjson.loads(text) if text.lstrip()[:1] == "{" else biocxml.loads(text)
        records = [_record(file, document) for document in collection.documents]
    except Exception as error:  # What the parsers raise depends on where a file is broken.
        raise file.error(1, f"expected a BioC collection, found: {error!r}") from error
    yield from records


def _record(file: AnnotatedFile, document: Any) -> Record:
    record = Record("", [], f"{file.path} (document {document.id})", name=str(document.id))
    for passage in document.passages:
        for part in [passage] if passage.text else passage.sentences:
            gap = part.offset - len(record.text)
            if not 0 <= gap <= _LONGEST_GAP:
                raise ValueError(f"expected the offset {len(record.text)} or a higher one, found {part.offset}")
            record.text += " " * gap + (part.text or "")
    passages = [part for passage in document.passages for part in (passage, *passage.sentences)]
    for annotation in [one for part in (document, *passages) for one in part.annotations]:
        limits = sorted((place.offset, place.offset + place.length) for place in annotation.locations)
        label = str(annotation.infons[file.column("label") or "type"])
        parts = tuple(limits) if len(limits) > 1 else ()
        record.spans.append(Entity(limits[0][0], limits[-1][1], label, None, annotation.text, parts))
    file.skipped["relations"] += len(document.relations)
    return record


FORMAT = Format("bioc", "a BioC collection in XML or JSON", _sniff, _read)
