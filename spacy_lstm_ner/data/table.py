"""The format csv: a table like `ner_dataset.csv`.

It has the columns `Sentence #`, `Word` and `Tag`, among others. The first is filled only in the first row of a
sentence:

    Sentence #,Word,POS,Tag
    Sentence: 1,Sharon,NNP,B-per
    ,flew,VBD,O
"""

import csv
import io
from collections.abc import Iterator, Sequence

from .annotated_file import AnnotatedFile, CorpusError, TaggedWords, add_tagged, add_word

TABLE_COLUMNS = ("Sentence #", "Word", "Tag")


def read_table(file: AnnotatedFile, text: str, lines: Sequence[str]) -> None:
    """Add the sentences of a file like `ner_dataset.csv`."""
    add_tagged(file, lines, _sentences(file, text, lines))


def _sentences(file: AnnotatedFile, text: str, lines: Sequence[str]) -> Iterator[TaggedWords]:
    """Sentences of a file like `ner_dataset.csv`."""
    # Strict, since otherwise a quote that is never closed makes one word of the rest of the file.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = TaggedWords(starts_doc=True)
    sentence = ""
    header: list[str] = []
    number = 1
    try:
        for fields in reader:
            line = lines[number - 1]
            if not header:
                header = fields
                number_at, word_at, tag_at = _places_of_columns(file, header, line)
            elif fields:
                if len(fields) != len(header):
                    problem = f"expected {len(header)} columns as in the header, found {len(fields)}"
                    raise CorpusError(file.path, number, problem, line)
                if reader.line_num != number:
                    raise CorpusError(file.path, number, "expected a row in one line, found a quote left open", line)
                # Some copies of the file repeat the sentence's number in every row.
                if fields[number_at] not in ("", sentence):
                    if rows.words:
                        yield rows
                    rows, sentence = TaggedWords(starts_doc=False), fields[number_at]
                if not sentence:
                    raise CorpusError(file.path, number, "expected a sentence number in the first row", line)
                add_word(file, rows, fields[word_at], fields[tag_at], number, line)
            number = reader.line_num + 1
    except csv.Error as error:
        raise CorpusError(file.path, number, f"expected a row of CSV, found: {error}", lines[number - 1]) from error
    if rows.words:
        yield rows


def _places_of_columns(file: AnnotatedFile, header: Sequence[str], line: str) -> list[int]:
    """The places of the columns that are needed."""
    absent = [name for name in TABLE_COLUMNS if name not in header]
    if absent:
        problem = f"expected a header with the columns {', '.join(TABLE_COLUMNS)}, found none named {absent[0]}"
        raise CorpusError(file.path, 1, problem, line)
    return [header.index(name) for name in TABLE_COLUMNS]
