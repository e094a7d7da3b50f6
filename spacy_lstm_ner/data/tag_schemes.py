"""The tags of annotated files: how to recognize the scheme of a file, and which entities its tags mark.

IOB1   I-x marks every token of an entity. B-x marks the first token only if an entity of the same label ends before it.
IOB2   B-x marks the first token of an entity, I-x the others.
BILUO  B-x marks the first token, I-x those in between, L-x the last one. U-x marks an entity of one token.
IOBES  Like BILUO, with E-x for the last token and S-x for an entity of one token.

The tags that a model predicts are numbers; their codec is `spacy_lstm_ner.tags`.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Literal, NamedTuple

FileScheme = Literal["IOB1", "IOB2", "BILUO", "IOBES"]
"""The name of a tag scheme that a file may use."""


_PREFIXES: dict[FileScheme, str] = {"IOB1": "BI", "IOB2": "BI", "BILUO": "BILU", "IOBES": "BIES"}
# IOBES is BILUO with two other letters, and `read_tags` knows only those of BILUO.
_AS_BILUO = {"E": "L", "S": "U"}


class FileTag(NamedTuple):
    """A tag of a file in two parts.

    Attributes:
        prefix (str): "O", or one of the letters B, I, L, U, E and S.
        label (str): The label of the entity; empty for O.
    """

    prefix: str
    label: str


class LabelSpan(NamedTuple):
    """An entity of a file.

    Attributes:
        start (int): The first token of the sentence, or the first character of its text.
        end (int): The token or character after the last one.
        label (str): The label.
    """

    start: int
    end: int
    label: str


O_TAG = FileTag("O", "")


# A file has few different tags and many tokens.
@lru_cache(maxsize=4096)
def parse_tag(text: str) -> FileTag:
    """Split a tag into its prefix and its label.

    Args:
        text (str): A tag as it is written in a file: `O` or `B-PER`. A label may contain further hyphens.

    Returns:
        FileTag: The two parts.

    Raises:
        ValueError: If the prefix is unknown or the label is empty. The message has the tag, but not its place, which
            only the reader of the file knows.
    """
    if text == "O":
        return O_TAG
    prefix, hyphen, label = text.partition("-")
    if not hyphen or prefix not in {"B", "I", "L", "U", "E", "S"}:
        raise ValueError(f"expected the tag O, or one of B- I- L- U- E- S- with a label, found {text!r}")
    if not label.strip():
        raise ValueError(f"expected a label after the prefix of a tag, found {text!r}")
    return FileTag(prefix, label)


def recognize_scheme(sentences: Iterable[Sequence[FileTag]]) -> FileScheme:
    """Find out which scheme the tags of a file follow.

    Whether it is IOB1 or IOB2 is decided by the majority: entities that start with I-, which only IOB1 allows, against
    entities that start with a B- that IOB1 does not need. So a stray tag in a large file (eng.train of CoNLL-2003 has
    some) counts as one irregular tag and does not make all the others irregular. A file without entities is IOB2.

    Args:
        sentences (Iterable[Sequence[FileTag]]): The tags of all sentences of the file. A single sentence often fits two
            schemes.

    Returns:
        FileScheme: The scheme.

    Raises:
        ValueError: If the file has tags that only IOBES has and tags that only BILUO has.
    """
    prefixes: set[str] = set()
    inside_starts = needless_begins = 0
    for tags in sentences:
        for tag, previous in zip(tags, chain([O_TAG], tags), strict=False):
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


def read_tags(tags: Sequence[FileTag], scheme: FileScheme) -> tuple[list[LabelSpan], list[int]]:
    """Read the tags of one sentence into entities, and repair tags that break the scheme.

    Repairs never lose a tagged token. An I- that continues no entity starts one. An L- or E- that ends no entity is an
    entity of one token. An entity that BILUO or IOBES leaves open ends with the last token of its label. A B- that
    IOB1 does not need starts an entity.

    Args:
        tags (Sequence[FileTag]): The tags of the sentence, one for each token.
        scheme (FileScheme): The scheme of the file.

    Returns:
        tuple[list[LabelSpan], list[int]]: The entities in tokens, and the numbers of the tokens whose tags broke the
            scheme.

    Raises:
        ValueError: If the scheme does not have the prefix of a tag. The message has the position in the sentence.
    """
    must_close = scheme in ("BILUO", "IOBES")
    spans: list[LabelSpan] = []
    repaired: set[int] = set()
    start, label = -1, ""

    def close(end: int, regular: bool) -> None:
        nonlocal start
        if start >= 0:
            spans.append(LabelSpan(start, end, label))
            if must_close and not regular:
                repaired.add(end - 1)
        start = -1

    for token, tag in enumerate(tags):
        if tag.prefix != "O" and tag.prefix not in _PREFIXES[scheme]:
            raise ValueError(f"token {token + 1}: expected a tag of {scheme}, found {tag.prefix}-{tag.label}")
        prefix = _AS_BILUO.get(tag.prefix, tag.prefix)
        if prefix in "IL" and start >= 0 and tag.label == label:
            if prefix == "L":
                close(token + 1, regular=True)
            continue
        follows_own_label = start >= 0 and tag.label == label
        close(token, regular=False)
        if prefix == "O":
            continue
        if prefix == "B" and scheme == "IOB1" and not follows_own_label:
            repaired.add(token)
        if prefix == "L" or (prefix == "I" and scheme != "IOB1"):
            repaired.add(token)
        start, label = token, tag.label
        if prefix in "LU":
            close(token + 1, regular=True)
    close(len(tags), regular=False)
    return spans, sorted(repaired)
