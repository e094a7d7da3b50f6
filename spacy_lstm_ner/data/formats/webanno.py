r"""The format webanno: WebAnno TSV 3, as INCEpTION and WebAnno write it.

The layer of named entities is read, or the only span layer; the option `tag` names another one as `Layer|feature`. A
token has its limits in UTF-16 code units; entities of several tokens have a number: `PER[1]`.

    #T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value
    #Text=Anna Roe sings.
    1-1	0-4	Anna	*[1]	PER[1]
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

from ..annotated_file import AnnotatedFile, Entity, Record
from .base import Format, Head

_ROW = re.compile(r"(?P<sentence>\d+)-\d+(?P<sub>\.\d+)?\t(?P<start>\d+)-(?P<end>\d+)\t")
_Row = tuple[int, int, str, bool]
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r"}


def _sniff(head: Head) -> float:
    return 1.0 if head.text.startswith("#FORMAT=WebAnno TSV 3") else 0.0


def _read(file: AnnotatedFile) -> Iterator[Record]:
    layers: list[tuple[str, list[str], int]] = []
    column, width, text, starts_doc = -1, 3, "", True
    rows: list[_Row] = []
    for number, line in enumerate([*file.lines(), ""], 1):
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
                raise file.error(number, f"expected at least {column + 1} columns, found {len(fields)}", line)
            # A part of a token has a row of its own after that of the token.
            rows.append((int(match["start"]), int(match["end"]), fields[column], bool(match["sub"])))
        elif line.strip() and not line.startswith("#"):
            raise file.error(number, "expected a token with its limits", line)
        elif not line.strip():
            if rows:
                yield _record(file, _unescape(text), rows, number - len(rows), starts_doc)
                starts_doc = False
            text, rows = "", []


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


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)


def _record(file: AnnotatedFile, text: str, rows: Sequence[_Row], line: int, starts: bool) -> Record:
    """A sentence. Limits count from the start of the document."""
    units = list(accumulate((1 + (ord(char) > 0xFFFF) for char in text), initial=0))
    at = {unit: k for k, unit in enumerate(units)}
    first = rows[0][0]
    spans: list[Entity] = []
    numbered: dict[tuple[str, str], int] = {}
    tokens = []
    for start, end, cell, is_part in rows:
        if start - first not in at or end - first not in at:
            raise file.error(line, f"expected a token within the text, found the limits {start}-{end}", text)
        begin, stop = at[start - first], at[end - first]
        if not is_part:
            tokens.append((begin, stop))
        for value in [] if cell == "_" else re.split(r"(?<!\\)\|", cell):
            label, number = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", value, re.S).groups()  # type: ignore[union-attr]
            label = "" if label in ("*", "_") else _unescape(label)
            if not label:
                file.skipped["entities without a label"] += 1
            elif number and (label, number) in numbered:
                k = numbered[label, number]
                spans[k] = spans[k]._replace(end=stop)
            else:
                numbered[label, number or f"{start}"] = len(spans)
                spans.append(Entity(begin, stop, label))
    words = [text[begin:stop] for begin, stop in tokens]
    spaces = [text[stop : stop + 1] == " " for _, stop in tokens]
    limits = [*tokens[1:], (len(text), len(text))]
    fits = all(stop + space == after for (_, stop), (after, _), space in zip(tokens, limits, spaces, strict=True))
    known = fits and tokens[0][0] == 0 and all(words)
    return Record(
        text, spans, f"{file.path}:{line}", words if known else None, spaces if known else None, [0], starts_doc=starts
    )


FORMAT = Format("webanno", "WebAnno TSV 3", _sniff, _read)
