r"""The format webanno: WebAnno TSV 3, as INCEpTION and WebAnno write it. A file is a document.

The layer of named entities is read, or the only span layer; the option `tag` names another one as `Layer|feature`. A
token has its limits in UTF-16 code units; entities of several tokens have a number: `PER[1]`.

    #T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value
    #Text=Anna Roe sings.
    1-1	0-4	Anna	*[1]	PER[1]
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

from ..annotated_file import AnnotatedFile, Entity, Record, text_of
from .base import Format, Head, Writing, named, utf16_offsets

_ROW = re.compile(r"\d+-\d+(?P<sub>\.\d+)?\t(?P<start>\d{1,9})-(?P<end>\d{1,9})\t")
_Row = tuple[int, int, str, bool]
_Sentence = tuple[str, list[_Row], int]
_LONGEST_GAP = 100_000
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r"}
_ESCAPES = {char: f"\\{letter}" for letter, char in _ESCAPED.items()}
_HEADER = "#FORMAT=WebAnno TSV 3.3\n#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value\n\n"


def _sniff(head: Head) -> float:
    return 1.0 if head.text.startswith("#FORMAT=WebAnno TSV 3") else 0.0


def _read(file: AnnotatedFile) -> Iterator[Record]:
    file.marks_documents = True
    layers: list[tuple[str, list[str], int]] = []
    column, width, text = -1, 3, ""
    rows: list[_Row] = []
    sentences: list[_Sentence] = []
    for number, line in enumerate(chain(file.stream(), [""]), 1):
        if line.startswith(("#T_SP=", "#T_CH=", "#T_RL=")):
            name, *features = line[6:].split("|")
            if line.startswith("#T_SP="):
                layers.append((name, features, width))
            # A relation has a column more, and a layer without features has one.
            width += max(len(features), 1) + line.startswith("#T_RL=") * (not any("->" in f for f in features))
        elif line.startswith("#Text="):
            text += ("\n" if text else "") + line[6:]
        elif match := _ROW.match(line):
            if column < 0:
                column = _column(file, layers, number)
            fields = line.split("\t")
            if len(fields) <= column:
                raise file.error(number, f"expected at least {column + 1} columns, found {len(fields)}")
            # A part of a token has a row of its own after that of the token.
            rows.append((int(match["start"]), int(match["end"]), fields[column], bool(match["sub"])))
        elif line.strip() and not line.startswith("#"):
            raise file.error(number, "expected a token with its limits")
        elif not line.strip():
            if rows:
                sentences.append((_unescape(text), rows, number - len(rows)))
            text, rows = "", []
    if sentences:
        yield _record(file, sentences)


def _column(file: AnnotatedFile, layers: Sequence[tuple[str, list[str], int]], number: int) -> int:
    """The column of the feature with the labels."""
    wanted, _, feature = (file.column("tag") or "NamedEntity").partition("|")
    found = [layer for layer in layers if layer[0].endswith(wanted)]
    if not found and not file.column("tag") and len(layers) == 1:
        found = list(layers)
    if len(found) != 1:
        names = ", ".join("|".join([name.rpartition(".")[2], *features]) for name, features, _ in layers) or "none"
        problem = f"expected one layer of entities named {wanted}, found the layers {names}"
        raise file.error(number, f"{problem}. Name it with --columns 'tag=Layer|feature'")
    _, features, first = found[0]
    feature = feature or ("value" if "value" in features else features[-1] if features else "")
    if features and feature not in features:
        raise file.error(number, f"expected one of the features {', '.join(features)}, found {feature}")
    return first + (features.index(feature) if features else 0)


def _record(file: AnnotatedFile, sentences: Sequence[_Sentence]) -> Record:
    """The document. Limits of tokens count from its start, and the text between sentences is not in the file."""
    text, units = "", 0
    tokens: list[tuple[int, int]] = []
    sents: list[int] = []
    spans: list[Entity] = []
    numbered: dict[tuple[str, str], int] = {}
    for sentence, rows, line in sentences:
        offsets = utf16_offsets(sentence)
        first = rows[0][0] - offsets[len(sentence) - len(sentence.lstrip())]
        gap = first - units if text else 0
        if not 0 <= gap <= _LONGEST_GAP:
            raise file.error(line, f"expected a sentence after the one before, which ends at {units}")
        text, units = text + " " * gap, first + offsets[-1]
        places = {first + offset: len(text) + k for k, offset in enumerate(offsets)}
        sents.append(len(text))
        text += sentence
        for k, (start, end, cell, is_part) in enumerate(rows):
            if start not in places or end not in places:
                raise file.error(line + k, f"expected a token within the text, found the limits {start}-{end}")
            begin, stop = places[start], places[end]
            if not is_part:
                tokens.append((begin, stop))
            for value in [] if cell == "_" else re.findall(r"(?:\\.|[^\\|])+", cell):
                label, number = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", value, re.S).groups()  # type: ignore[union-attr]
                if label in ("*", "_"):
                    file.skipped["entities without a label"] += 1
                elif number and (label, number) in numbered:
                    known = numbered[label, number]
                    spans[known] = spans[known]._replace(end=stop)
                else:
                    numbered[label, number or f"{start}"] = len(spans)
                    spans.append(Entity(begin, stop, _unescape(label)))
    spaces = [text[stop : stop + 1] == " " for _, stop in tokens]
    nexts = [start for start, _ in tokens[1:]] + [len(text)]
    exact = all(stop + space == after for (_, stop), space, after in zip(tokens, spaces, nexts, strict=True))
    words = [text[start:stop] for start, stop in tokens] if exact and not tokens[0][0] else None
    place = f"{file.path}:{sentences[0][2]}"
    return Record(text, spans, place, words, spaces if words else None, sents, name=file.path.stem)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[1]), text)


def _escape(text: str, reserved: str) -> str:
    return "".join(_ESCAPES.get(char) or ("\\" * (char in reserved) + char) for char in text)


def _write(records: Iterable[Record], path: Path, writing: Writing) -> None:
    for name, record in named(records):
        writing.note(record)
        with (path / f"{name}.tsv").open("w", encoding="utf-8", newline="\n") as out:
            out.write(_HEADER)
            out.writelines(_lines(record, writing))


def _lines(record: Record, writing: Writing) -> Iterator[str]:
    words = record.words or []
    _, starts = text_of(words, record.spaces)
    tokens = [(start, start + len(word)) for start, word in zip(starts, words, strict=True) if word.strip()]
    units = utf16_offsets(record.text)
    kept: list[tuple[Entity, str]] = []
    for span in record.spans:
        if any(start < span.end and span.start < stop for start, stop in tokens):
            kept.append((span, f"[{len(kept) + 1}]"))
        else:
            writing.lost("unwritten", f"{record.place}: {span.label}")

    def row(number: str, start: int, stop: int, found: Sequence[tuple[Entity, str]]) -> str:
        identifiers = "|".join("*" + mark for _, mark in found) or "_"
        labels = "|".join(_escape(span.label, "\\[]|_*->;") + mark for span, mark in found) or "_"
        text = _escape(record.text[start:stop], "\\")
        return f"{number}\t{units[start]}-{units[stop]}\t{text}\t{identifiers}\t{labels}\t\n"

    firsts = [start for start in record.sents or () if any(start <= first for first, _ in tokens)][1:]
    limits = [0, *firsts, len(record.text)]
    for sentence, (begin, end) in enumerate(pairwise(limits), 1):
        yield f"\n#Text={_escape(record.text[begin:end], chr(92))}\n"
        own = [(start, stop) for start, stop in tokens if begin <= start < end]
        for k, (start, stop) in enumerate(own, 1):
            touching = [pair for pair in kept if pair[0].start < stop and start < pair[0].end]
            whole = [pair for pair in touching if pair[0].start <= start and stop <= pair[0].end]
            yield row(f"{sentence}-{k}", start, stop, whole)
            parts = [pair for pair in touching if pair not in whole]
            for m, (span, mark) in enumerate(parts, 1):
                first, last = max(start, span.start), min(stop, span.end)
                yield row(f"{sentence}-{k}.{m}", first, last, [(span, mark)])


FORMAT = Format("webanno", "WebAnno TSV 3", _sniff, _read, _write, folder=(".tsv",), tokens=True)
