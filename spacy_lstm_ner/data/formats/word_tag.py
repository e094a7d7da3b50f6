"""The format word-tag: a sentence a line, each word with its tag after a bar, as spaCy's `convert -c iob` reads it.

There may be a part-of-speech tag between them.

    Anna|B-PER sings|O in|O Oslo|B-LOC
    She|PRP|O left|VBD|O
    .|O
"""

from collections.abc import Iterator

from ..annotated_file import AnnotatedFile
from .base import Format, Head
from .conll import is_tag
from .tagged import TaggedWords, add_word, tagged


def _sniff(head: Head) -> float:
    words = [word for line in head.lines for word in line.split()]
    fitting = sum("|" in word and is_tag(word.rpartition("|")[2]) for word in words)
    return 0.95 if fitting and 10 * fitting > 9 * len(words) and not any("\t" in line for line in head.lines) else 0.0


def _sentences(file: AnnotatedFile) -> Iterator[TaggedWords]:
    for number, line in enumerate(file.stream(), 1):
        rows = TaggedWords(starts_doc=True)
        for item in line.split():
            parts = item.split("|")
            # A bar can be a word.
            if len(parts) < 2:
                raise file.error(number, f"expected a word with a tag after a bar, found {item}")
            word = parts[0] or "|" * (len(parts) - 1)
            add_word(file, rows, word, parts[-1], number)
        if rows.words:
            yield rows


FORMAT = Format("word-tag", "words with tags after a bar, such as Anna|B-PER", _sniff, tagged(_sentences))
