"""The format conllu: CoNLL-U, with tags in the column MISC as `name=B-PER`, `NER=B-PER` or `Entity=B-PER`.

The option `tag` names another key. Ranges such as `1-2` and empty nodes such as `1.1` are no words here.

    # text = Kari bor her.
    1	Kari	Kari	PROPN	_	_	2	nsubj	_	name=B-PER
    2	bor	bo	VERB	_	_	0	root	_	name=O|SpaceAfter=No
"""

import re
from collections.abc import Iterator
from itertools import chain

from ..annotated_file import AnnotatedFile
from .base import Format, Head
from .tagged import TaggedWords, add_word, tagged

_ROW = re.compile(r"\d{1,9}(-\d{1,9}|\.\d+)?\t([^\t]*\t){8}[^\t]*")
_KEYS = ("name", "ner", "entity", "ne", "netag", "bio")


def _sniff(head: Head) -> float:
    rows = sum(_ROW.fullmatch(line) is not None for line in head.lines)
    return 1.0 if rows and 2 * rows > len(head.lines) else 0.0


def _misc(line: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in line.split("\t")[-1].split("|"))
    return {key.lower(): value for key, _, value in pairs}


def _key(file: AnnotatedFile) -> str:
    found = dict.fromkeys(key for line in file.stream() if _ROW.fullmatch(line) for key in _misc(line))
    wanted = file.column("tag")
    key = next((key for key in ([wanted.lower()] if wanted else _KEYS) if key in found), None)
    if key is None:
        others = ", ".join(key for key in found if key not in ("_", "spaceafter")) or "none"
        problem = f"expected tags in the column MISC under {wanted or ', '.join(_KEYS)}, found the keys: {others}. "
        raise file.error(1, problem + "Name the key with --columns tag=KEY")
    return key


def _sentences(file: AnnotatedFile) -> Iterator[TaggedWords]:
    key = _key(file)
    rows = TaggedWords(starts_doc=True, spaces=[])
    inside = 0
    for number, line in enumerate(chain(file.stream(), [""]), 1):
        if line.startswith("#"):
            file.comments += 1
            if line.startswith("# newdoc"):
                rows.starts_doc = file.marks_documents = True
        elif not line.strip():
            if rows.words:
                yield rows
                rows = TaggedWords(starts_doc=False, spaces=[])
            inside = 0
        elif _ROW.fullmatch(line) is None:
            raise file.error(number, "expected the ten columns of CoNLL-U")
        elif "." not in line.split("\t")[0]:
            number_column, form = line.split("\t")[:2]
            misc = _misc(line)
            spaced = misc.get("spaceafter") != "No"
            if "-" in number_column:
                # The space after a word that is cut into several ones follows the last of them.
                first, last = number_column.split("-")
                inside = int(last) if not spaced and int(last) >= int(first) else 0
                continue
            spaced = spaced and int(number_column) != inside
            add_word(file, rows, form, misc.get(key, "O"), number)
            if rows.spaces is not None:
                rows.spaces.append(spaced)


FORMAT = Format("conllu", "columns of CoNLL-U, with tags in MISC", _sniff, tagged(_sentences), suffixes=(".conllu",))
