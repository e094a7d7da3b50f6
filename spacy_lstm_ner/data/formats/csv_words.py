"""The format csv: a table with a row for each word, like `ner_dataset.csv`.

It has columns for the sentence, the word and the tag, under any of the usual names, or under those that the options
`sentence`, `word` and `tag` give. The number of a sentence may be in its first row only:

    Sentence #,Word,POS,Tag
    Sentence: 1,Sharon,NNP,B-per
    ,flew,VBD,O
"""

from collections.abc import Iterator

from ..annotated_file import AnnotatedFile
from .base import Format, Head
from .tables import header_of, place_of, read_rows
from .tagged import TaggedWords, add_word, tagged

_MEANINGS = {"sentence": "Sentence #", "word": "Word", "tag": "Tag"}


def _sniff(head: Head) -> float:
    header, _ = header_of(head.all_lines[0], head.path)
    return 0.95 if len(header) > 2 and all(place_of(header, meaning) >= 0 for meaning in _MEANINGS) else 0.0


def _sentences(file: AnnotatedFile) -> Iterator[TaggedWords]:
    rows = TaggedWords(starts_doc=True)
    sentence = ""
    places: list[int] = []
    for fields, number in read_rows(file, in_one_line=True):
        if not places:
            places = [place_of(fields, meaning, file.column(meaning)) for meaning in _MEANINGS]
            if -1 in places:
                wanted = {meaning: file.column(meaning) or name for meaning, name in _MEANINGS.items()}
                meaning, absent = list(wanted.items())[places.index(-1)]
                header = f"a header with the columns {', '.join(wanted.values())}, found none named {absent}"
                raise file.error(1, f"expected --columns {meaning}=NAME or {header}")
            continue
        number_at, word_at, tag_at = places
        # Some copies of the file repeat the sentence's number in every row.
        if fields[number_at] not in ("", sentence):
            if rows.words:
                yield rows
            rows, sentence = TaggedWords(starts_doc=False), fields[number_at]
        if not sentence:
            raise file.error(number, "expected a sentence number in the first row")
        add_word(file, rows, fields[word_at], fields[tag_at], number)
    if rows.words:
        yield rows


FORMAT = Format("csv", "a table with a row for each word", _sniff, tagged(_sentences), suffixes=(".csv",))
