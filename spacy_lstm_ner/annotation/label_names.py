"""Labels that are probably not what the user meant."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

_TAG = re.compile("[BILUES][-_](.+)", re.IGNORECASE)


def label_problems(labels: Iterable[str]) -> Iterator[str]:
    """Find labels that are tags, and labels that differ only in ways that are easily overlooked.

    Args:
        labels (Iterable[str]): The labels.

    Yields:
        str: A message for each kind of problem.
    """
    names = sorted(set(labels))
    tags = {name: match[1] for name in names if (match := _TAG.fullmatch(name))}
    # A label may begin like a tag: E-mail. These are tags if two of them have one type, or if there is nothing else.
    if len(tags) > 1 and (len(set(tags.values())) < len(tags) or len(tags) == len(names)):
        yield (
            f"labels {_quoted(tags)} are tags of tokens: the data has an entity for each token. Read the tags as "
            "entities, for example with `spacy lstm-ner convert`"
        )
    alike = defaultdict(list)
    for name in names:
        alike[_plain(name)].append(name)
    groups = [group for group in alike.values() if len(group) > 1]
    if groups:
        yield (
            f"labels differ only in case, white space or Unicode form: {'; '.join(map(_quoted, groups))}. If these are "
            "one label, write it in one way"
        )
    padded = [name for name in names if name != name.strip() and len(alike[_plain(name)]) == 1]
    if padded:
        yield f"labels {_quoted(padded)} begin or end with white space. Remove it from the annotation"


def _plain(label: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _quoted(labels: Iterable[str]) -> str:
    return ", ".join(map(repr, labels))
