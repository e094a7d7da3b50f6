"""The format huggingface: words with tags or their numbers, as JSON lines, Parquet, or a data set that was saved.

Data sets and Parquet files of Hugging Face name their tags. For other files with numbers, give the names in order.

    {"tokens": ["Anna", "sings"], "ner_tags": ["B-PER", "O"]}
    {"tokens": ["She", "left"], "ner_tags": ["O", "O"]}
    {"tokens": ["Olga", "came"], "ner_tags": [1, 0]}
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from ..annotated_file import AnnotatedFile
from .base import Format, Head
from .json_values import field, read_values
from .tagged import MISSING_TAG, TaggedWords, add_word, tagged

WORDS = ("tokens", "words", "text_tokens")
TAGS = ("ner_tags", "ner", "tags", "labels", "ner_labels", "bio_tags")


def columns_of(names: Any, file: Optional[AnnotatedFile] = None) -> tuple[str, str]:
    """The columns of the words and of the tags; empty for what is not there."""
    wanted = (file.column("word"), file.column("tag")) if file else (None, None)
    word, tag = (
        given or next((name for name in known if name in names), "")
        for given, known in zip(wanted, (WORDS, TAGS), strict=True)
    )
    return (word if word in names else "", tag if tag in names else "")


def _sniff(head: Head) -> float:
    items = [item for item in head.items if isinstance(item, dict)]
    if not items or not all(columns_of(items[0])):
        return 0.0
    words, tags = (items[0][name] for name in columns_of(items[0]))
    fits = isinstance(words, list) and isinstance(tags, list) and len(words) == len(tags)
    return 0.96 if fits and all(isinstance(tag, (str, int)) for tag in tags) else 0.0


def _sentences(file: AnnotatedFile) -> Iterator[TaggedWords]:
    for item, number, named in read_values(file):
        word, tag = columns_of(item if isinstance(item, dict) else (), file)
        if not word or not tag:
            found = ", ".join(item) if isinstance(item, dict) else "none"
            problem = f"{named}expected words and tags, found the fields: {found}"
            raise file.error(number, f"{problem}. Name them with --columns word=NAME,tag=NAME")
        try:
            words, tags = field(item, word, list), field(item, tag, list)
        except ValueError as error:
            raise file.error(number, named + str(error), json.dumps(item)) from error
        yield tagged_row(file, words, tags, number, file.options.names)


def tagged_row(file: AnnotatedFile, words: Any, tags: Any, number: int, names: Sequence[str]) -> TaggedWords:
    """Make a sentence of a list of words with a list of tags, or of their numbers."""
    sentence = TaggedWords(starts_doc=False)
    if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
        raise file.error(number, "expected a list of words and a tag for each, found other values", f"{words} {tags}")
    for word, tag in zip(words, tags, strict=True):
        if isinstance(tag, int) and not names:
            problem = "expected tags, found numbers without names. Name them in order with --names O,B-PER,I-PER"
            raise file.error(number, problem, str(tags))
        if isinstance(tag, int) and not -1 <= tag < len(names):
            raise file.error(number, f"expected numbers of tags below {len(names)}, found {tag}", str(tags))
        if not isinstance(word, str) or not isinstance(tag, (str, int)):
            raise file.error(number, f"expected words and tags, found {word!r:.40} and {tag!r:.40}", str(tags))
        text = tag if isinstance(tag, str) else MISSING_TAG if tag < 0 else names[tag]
        add_word(file, sentence, field({"word": word}, "word", str), text, number)
    return sentence


FORMAT = Format("huggingface", "JSON lines with tokens and ner_tags", _sniff, tagged(_sentences))
