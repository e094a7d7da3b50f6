"""The format conll: columns, the word first and its tag last.

Columns are separated by tabs or by spaces. An empty line ends a sentence, a `-DOCSTART-` line starts a document:

    Sharon B-per
    flew O
    Miami B-geo
"""

import re
from collections.abc import Iterator, Sequence

from .annotated_file import AnnotatedFile, CorpusError, TaggedWords, add_tagged, add_word
from .tag_schemes import parse_tag


def read_columns(file: AnnotatedFile, text: str, lines: Sequence[str]) -> None:
    """Add the sentences of a file with columns."""
    add_tagged(file, lines, _sentences(file, lines))


def _sentences(file: AnnotatedFile, lines: Sequence[str]) -> Iterator[TaggedWords]:
    """Sentences of a file with columns. Notes documents and comments in `file`."""
    rows = TaggedWords(starts_doc=True)
    n_columns, first_line = 0, 0
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("-DOCSTART-"):
            if rows.words:
                yield rows
                rows = TaggedWords(starts_doc=False)
            if line.strip():
                rows.starts_doc = file.marks_documents = True
            continue
        columns = columns_of(line)
        # "#" can be a word, so a line is a comment only if it does not end in a tag.
        if line.startswith("#") and "\t" not in line and not is_tag(columns[-1]):
            file.comments += 1
            continue
        if not n_columns:
            n_columns, first_line = len(columns), number
        if n_columns < 2:
            raise CorpusError(file.path, number, "expected a word and a tag, found 1 column", line)
        if len(columns) != n_columns:
            problem = f"expected {n_columns} columns as in line {first_line}, found {len(columns)}"
            raise CorpusError(file.path, number, problem, line)
        add_word(file, rows, columns[0], columns[-1], number, line)
    if rows.words:
        yield rows


def columns_of(line: str) -> list[str]:
    """The columns of a line. If it has a tab, spaces belong to the words."""
    return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))


def is_tag(text: str) -> bool:
    try:
        parse_tag(text)
    except ValueError:
        return False
    return True
