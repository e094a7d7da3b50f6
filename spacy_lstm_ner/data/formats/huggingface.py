"""The format huggingface: words with tags or their numbers, as JSON lines, Parquet, or a data set that was saved.

Data sets and Parquet files of Hugging Face name their tags. For other files with numbers, give the names in order.

    {"tokens": ["Anna", "sings"], "ner_tags": ["B-PER", "O"]}
    {"tokens": ["She", "left"], "ner_tags": ["O", "O"]}
    {"tokens": ["Olga", "came"], "ner_tags": [1, 0]}
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from ..annotated_file import AnnotatedFile, Record
from .base import Format, Head
from .json_values import field, read_values
from .tagged import TaggedWords, add_tagged, add_word

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


def _read(file: AnnotatedFile) -> Iterator[Record]:
    rows = []
    for item, number, named in read_values(file):
        word, tag = columns_of(item if isinstance(item, dict) else (), file)
        if not word or not tag:
            found = ", ".join(item) if isinstance(item, dict) else "none"
            problem = f"{named}expected words and tags, found the fields: {found}"
            raise file.error(number, f"{problem}. Name them with --columns word=NAME,tag=NAME")
        try:
            rows.append((field(item, word, list), field(item, tag, list), number))
        except ValueError as error:
            raise file.error(number, named + str(error), json.dumps(item)) from error
    yield from tagged_rows(file, rows, file.options.names)


def tagged_rows(
    file: AnnotatedFile, rows: Sequence[tuple[list[Any], list[Any], int]], names: Sequence[str]
) -> list[Record]:
    """Make records of lists of words with lists of tags, or of their numbers."""
    sentences = []
    for words, tags, number in rows:
        sentence = TaggedWords(starts_doc=False)
        if len(words) != len(tags):
            raise file.error(number, f"expected a tag for each word, found {len(words)} words and {len(tags)} tags")
        for word, tag in zip(words, tags, strict=True):
            if isinstance(tag, int) and not names:
                problem = "expected tags, found numbers without names. Name them in order with --names O,B-PER,I-PER"
                raise file.error(number, problem, str(tags))
            if isinstance(tag, int) and not -1 <= tag < len(names):
                raise file.error(number, f"expected numbers of tags below {len(names)}, found {tag}", str(tags))
            if not isinstance(word, str) or not isinstance(tag, (str, int)):
                raise file.error(number, f"expected words and tags, found {word!r:.40} and {tag!r:.40}")
            text = tag if isinstance(tag, str) else "-" if tag < 0 else names[tag]
            add_word(file, sentence, field({"word": word}, "word", str), text, number, str(words))
        if sentence.words:
            sentences.append(sentence)
    return add_tagged(file, [], sentences)


FORMAT = Format("huggingface", "JSON lines with tokens and ner_tags", _sniff, _read)
