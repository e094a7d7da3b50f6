"""Tagged words: what the formats with a tag for each word share.

The tags of a file are written in one of these ways, with the roles of IOB1, IOB2, BILUO, IOBES or BMES:

    B-PER   b-per   B_PER   PER-B   PER_B
    B-PER|B-LOC     (a word in two entities)
    PER             (the scheme IO: words next to each other with one label are one entity)
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from sys import intern
from typing import Optional

from ..annotated_file import AnnotatedFile, CorpusError, Entity, Record, text_of
from ..tag_schemes import O_TAG, FileScheme, FileTag, LabelSpan, parse_tag, read_tags, recognize_scheme

MISSING_TAG = "-"
"""The tag of a word without annotation, as in spaCy's files."""
_WAYS = {
    "B-PER": re.compile(r"(?P<role>[BILUESMW])-(?P<label>.*\S.*)"),
    "b-per": re.compile(r"(?P<role>[BILUESMWbiluesmw])-(?P<label>.*\S.*)"),
    "B_PER": re.compile(r"(?P<role>[BILUESMWbiluesmw])_(?P<label>.*\S.*)"),
    "PER-B": re.compile(r"(?P<label>.*\S.*)-(?P<role>[BILUESMW])"),
    "PER_B": re.compile(r"(?P<label>.*\S.*)_(?P<role>[BILUESMW])"),
}
_ROLES = {"M": "I", "W": "S"}


@dataclass
class TaggedWords:
    """The tagged words of one sentence while its file is read; lines[i] is the line of words[i]."""

    starts_doc: bool
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    spaces: Optional[list[bool]] = None
    name: str = ""


def add_word(file: AnnotatedFile, rows: TaggedWords, word: str, tag: str, number: int) -> None:
    """Add a word with its tag to a sentence. Raises CorpusError for an empty word."""
    if not word:
        raise file.error(number, "expected a word in the first column, found none")
    rows.tags.append(tag.strip())
    rows.words.append(word)
    rows.lines.append(number)


def find_way(tags: Iterable[str]) -> str:
    """Find the way in which tags are written.

    Args:
        tags (Iterable[str]): The distinct tags.

    Returns:
        str: "B-PER", "b-per", "B_PER", "PER-B", "PER_B" or "IO"; the first one that fits all of them, else "".
    """
    marked = {tag for tag in tags if tag not in ("O", "o", MISSING_TAG)}
    for way, pattern in _WAYS.items():
        if all(pattern.fullmatch(tag) for tag in marked) and (way != "B-PER" or "o" not in tags):
            return way
    prefixed = any(pattern.fullmatch(tag) for tag in marked for pattern in (_WAYS["b-per"], _WAYS["B_PER"]))
    bare = all(tag and not re.match(r"\w-|\(|.*-$|\W*$", tag) for tag in marked)
    return "IO" if bare and not prefixed and "O" in tags else ""


def _parse(way: str, tag: str) -> FileTag:
    if tag in ("O", "o", MISSING_TAG, ""):
        return O_TAG
    if way == "IO":
        return FileTag("I", tag)
    match = _WAYS[way or "B-PER"].fullmatch(tag)
    if match is None:
        return parse_tag(tag)
    role = match["role"].upper()
    return FileTag(_ROLES.get(role, role), match["label"])


def tagged(sentences: Callable[[AnnotatedFile], Iterable[TaggedWords]]) -> Callable[[AnnotatedFile], Iterator[Record]]:
    """Make the reader of a format from a function that yields its tagged sentences."""
    return lambda file: read_tagged(file, lambda: sentences(file))


def read_tagged(file: AnnotatedFile, sentences: Callable[[], Iterable[TaggedWords]]) -> Iterator[Record]:
    """Read the tags of all sentences by the scheme of the file.

    Only the tags are in memory: the sentences are read once to find the scheme, and again for the records.

    Args:
        file (AnnotatedFile): The file, whose scheme is noted.
        sentences (Callable[[], Iterable[TaggedWords]]): Reads its sentences from the start.

    Yields:
        Record: The next sentence.

    Raises:
        CorpusError: If a tag is none, or the tags have several schemes.
    """
    rows_of_tags = [tuple(map(intern, rows.tags)) for rows in sentences()]
    layered = {tag: tag.split("|") for tag in dict.fromkeys(chain.from_iterable(rows_of_tags))}
    way = find_way({layer for layers in layered.values() for layer in layers})
    parsed: dict[str, list[FileTag]] = {}
    for tag, layers in layered.items():
        try:
            parsed[tag] = [_parse(way, layer) for layer in layers] if tag else [parse_tag("")]
        except ValueError as error:
            raise _error(file, sentences(), {tag}, error) from error
    try:
        scheme = recognize_scheme([layer for tag in tags for layer in parsed[tag]] for tags in rows_of_tags)
    except ValueError as error:
        closing = {tag for tag, layers in parsed.items() if any(layer.prefix in "LUES" for layer in layers)}
        raise _error(file, sentences(), closing, error) from error
    if way == "IO":
        scheme, file.scheme = "IOB1", "IO"
    else:
        bmes = any(layer[:2] in ("M-", "M_") for layers in layered.values() for layer in layers)
        file.scheme = ("BMES" if bmes else scheme) + (f" written {way}" if way not in ("B-PER", "") else "")
    for rows in sentences():
        if rows.words:
            yield _record(file, rows, [parsed[tag] for tag in rows.tags], scheme)


def _error(file: AnnotatedFile, sentences: Iterable[TaggedWords], tags: set[str], error: Exception) -> CorpusError:
    """An error that names the line of the first word with one of some tags."""
    pairs = (pair for rows in sentences for pair in zip(rows.lines, rows.tags, strict=True))
    return file.error(next(line for line, tag in pairs if tag in tags), str(error))


def _record(file: AnnotatedFile, rows: TaggedWords, parsed: Sequence[Sequence[FileTag]], scheme: FileScheme) -> Record:
    spans: list[LabelSpan] = []
    repaired: set[int] = set()
    for tags in _layers(parsed):
        found, broken = read_tags(tags, scheme)
        spans += found
        repaired.update(broken)
    text, offsets = text_of(rows.words, rows.spaces)
    ends = [offset + len(word) for offset, word in zip(offsets, rows.words, strict=True)]
    return Record(
        text,
        [Entity(offsets[start], ends[end - 1], label) for start, end, label in sorted(spans)],
        f"{file.path}:{rows.lines[0]}",
        rows.words,
        rows.spaces,
        [0],
        rows.starts_doc,
        missing=[(offsets[k], ends[k]) for k, tag in enumerate(rows.tags) if tag == MISSING_TAG],
        repairs=[f"{file.path}:{rows.lines[k]}: {rows.tags[k]}" for k in sorted(repaired)],
        name=rows.name,
    )


def _layers(row: Sequence[Sequence[FileTag]]) -> list[list[FileTag]]:
    """One sequence of tags; or one for each label, if a word has several tags."""
    if all(len(layers) == 1 for layers in row):
        return [[layers[0] for layers in row]]
    labels = dict.fromkeys(tag.label for layers in row for tag in layers if tag.label)
    return [[next((tag for tag in layers if tag.label == label), O_TAG) for layers in row] for label in labels]
