"""Tags as annotated files spell them ↔ spans: which of four schemes a file uses, and what its tags say.

IOB1   I-x marks every token of an entity; B-x only the first token of one that follows another of its type.
IOB2   B-x marks the first token, I-x the others.
BILUO  B-x first, I-x between, L-x last, U-x the only token.
IOBES  the same with E-x for the last and S-x for the only token.

Irregular sequences are never read silently: `tags_to_spans` gives the rows where it had to choose a reading.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Literal, NamedTuple

Scheme = Literal["IOB1", "IOB2", "BILUO", "IOBES"]


_PREFIXES: dict[Scheme, str] = {"IOB1": "BI", "IOB2": "BI", "BILUO": "BILU", "IOBES": "BIES"}
# IOBES is BILUO with two other letters; the decoder knows only those of BILUO.
_AS_BILUO = {"E": "L", "S": "U"}


class Tag(NamedTuple):
    """A tag in two parts: ``O`` and an empty label, or a letter of BILUES and the label of an entity."""

    prefix: str
    label: str


class Span(NamedTuple):
    """An entity: its first token, the token behind its last, its label."""

    start: int
    end: int
    label: str


OUTSIDE = Tag("O", "")


# A file has few different tags and many tokens.
@lru_cache(maxsize=4096)
def parse_tag(text: str) -> Tag:
    """The two parts of a tag; a label may hold further hyphens.

    text: a tag as a file spells it, ``O`` or ``B-PER``.
    Raises ValueError for an unknown prefix and for an empty label, with the tag but without its place, which
    only the reader of the file knows.
    """
    if text == "O":
        return OUTSIDE
    prefix, hyphen, label = text.partition("-")
    if not hyphen or prefix not in {"B", "I", "L", "U", "E", "S"}:
        raise ValueError(f"expected the tag O, or one of B- I- L- U- E- S- with a label, found {text!r}")
    if not label.strip():
        raise ValueError(f"expected a label behind the prefix of a tag, found {text!r}")
    return Tag(prefix, label)


def recognise_scheme(sentences: Iterable[Sequence[Tag]]) -> Scheme:
    """The scheme of a file.

    sentences: the tags of all its sentences, since a single sentence often fits two schemes.
    Between IOB1 and IOB2 the majority decides: entities that start with I-, against those that start with a B- that
    IOB1 has no need of. So a stray tag in a large file (eng.train of CoNLL-2003 has some) is counted as irregular,
    and not all the others. A file without any entity is IOB2.
    Raises ValueError if the tags of BILUO and IOBES come up together.
    """
    prefixes: set[str] = set()
    inside_starts = needless_begins = 0
    for tags in sentences:
        for tag, previous in zip(tags, chain([OUTSIDE], tags), strict=False):
            prefixes.add(tag.prefix)
            continued = tag.label == previous.label
            inside_starts += tag.prefix == "I" and not continued
            needless_begins += tag.prefix == "B" and not continued
    iobes, biluo = prefixes & {"S", "E"}, prefixes & {"L", "U"}
    if iobes and biluo:
        raise ValueError(
            "expected the tags of one scheme, found those of IOBES "
            f"({', '.join(f'{prefix}-' for prefix in sorted(iobes))}) and of BILUO "
            f"({', '.join(f'{prefix}-' for prefix in sorted(biluo))})"
        )
    if iobes:
        return "IOBES"
    if biluo:
        return "BILUO"
    return "IOB1" if inside_starts > needless_begins else "IOB2"


def tags_to_spans(tags: Sequence[Tag], scheme: Scheme) -> tuple[list[Span], list[int]]:
    """Entities of one sentence, and the rows at which its tags broke the scheme.

    tags: the tags of the sentence's tokens.
    scheme: how to read them.

    A broken rule is repaired so that no tagged token is lost: an I- that continues nothing starts an entity,
    an L- or E- that ends nothing is an entity of one token, and an entity that BILUO or IOBES leaves open
    ends at the last token of its type. A B- that IOB1 has no need of starts an entity all the same.
    Raises ValueError for a prefix that the scheme does not have, with its position.
    """
    must_close = scheme in ("BILUO", "IOBES")
    spans: list[Span] = []
    repaired: set[int] = set()
    start, label = -1, ""

    def close(end: int, regular: bool) -> None:
        nonlocal start
        if start >= 0:
            spans.append(Span(start, end, label))
            if must_close and not regular:
                repaired.add(end - 1)
        start = -1

    for row, tag in enumerate(tags):
        if tag.prefix != "O" and tag.prefix not in _PREFIXES[scheme]:
            raise ValueError(f"token {row + 1}: expected a tag of {scheme}, found {tag.prefix}-{tag.label}")
        prefix = _AS_BILUO.get(tag.prefix, tag.prefix)
        if prefix in "IL" and start >= 0 and tag.label == label:
            if prefix == "L":
                close(row + 1, regular=True)
            continue
        follows_own_type = start >= 0 and tag.label == label
        close(row, regular=False)
        if prefix == "O":
            continue
        if prefix == "B" and scheme == "IOB1" and not follows_own_type:
            repaired.add(row)
        if prefix == "L" or (prefix == "I" and scheme != "IOB1"):
            repaired.add(row)
        start, label = row, tag.label
        if prefix in "LU":
            close(row + 1, regular=True)
    close(len(tags), regular=False)
    return spans, sorted(repaired)
