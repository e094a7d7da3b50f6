"""Soft annotation: a distribution over sequences of tags, as a teacher has it, in place of hard annotation.

It is kept in `doc.user_data`, so that files in spaCy's format have it too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from ..layers.crf.forward_backward import Steps
from ..tags import Scheme
from ..types import Ints
from .chain import ChainTokens
from .gold import have_same_tokens

KEY = "lstm_ner_steps"


def write_soft(doc: Doc, steps: Steps, labels: Sequence[str], scheme: Scheme) -> None:
    """Keep a distribution with a doc.

    Args:
        doc (Doc): The doc. It is changed.
        steps (Steps): The steps from tag to tag. Their rows are tokens of the doc.
        labels (Sequence[str]): The labels of the tags, in the order of their numbers. Several may be the same, and an
            empty one means that its entities are none.
        scheme (Scheme): The scheme of the tags.
    """
    types = ("int32", "int16", "int16", "float32")
    columns = [column.astype(kind) for column, kind in zip(steps, types, strict=True)]
    doc.user_data[KEY] = {"labels": list(labels), "scheme": scheme.name, "steps": columns}


def copy_soft(reference: Doc, start: int, end: int, doc: Doc) -> None:
    """Keep a part of the distribution of a doc with a copy of this part. Does nothing if it has none.

    Args:
        reference (Doc): The doc.
        start (int): The first token of the part.
        end (int): The token after its last one.
        doc (Doc): The copy. It is changed.
    """
    found = reference.user_data.get(KEY)
    if found is not None:
        rows = np.asarray(found["steps"][0])
        part = slice(*np.searchsorted(rows, [start, end]).tolist())
        columns = [np.asarray(column)[part] for column in found["steps"]]
        doc.user_data[KEY] = {**found, "steps": [columns[0] - start, *columns[1:]]}


def read_soft(
    examples: Sequence[Example], tokens: ChainTokens, scheme: Scheme, numbers: Mapping[str, int]
) -> Optional[Steps]:
    """Read the distributions of a batch.

    Args:
        examples (Sequence[Example]): The examples. The distribution of a reference with other tokens than the predicted
            doc, or of another scheme, is not read.
        tokens (ChainTokens): The tokens of the chain.
        scheme (Scheme): The scheme of the model.
        numbers (Mapping[str, int]): The number of each label. Steps to other labels are left out.

    Returns:
        Optional[Steps]: The steps, in rows of the chain; None if there is none.
    """
    parts: list[tuple[Ints, ...]] = []
    first_token = 0
    for example in examples:
        found: Any = example.reference.user_data.get(KEY)
        if found is not None and found["scheme"] == scheme.name and have_same_tokens(example.x, example.y):
            tags = _tags(found["labels"], scheme, numbers)
            rows, before, after, p = (np.asarray(column) for column in found["steps"])
            known = (tags[before] >= 0) & (tags[after] >= 0)
            parts.append((rows[known] + first_token, tags[before[known]], tags[after[known]], p[known]))
        first_token += len(example.predicted)
    if not parts:
        return None
    rows, before, after, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Steps(np.searchsorted(tokens.rows, rows), before, after, p.astype("float64"))


def _tags(labels: Sequence[str], scheme: Scheme, numbers: Mapping[str, int]) -> Ints:
    """The tag of the model for each tag of the distribution; -1 if its label has none."""
    size = len(scheme.roles)
    own = [numbers.get(label, -1 if label else None) for label in labels]
    tags = [0 if k is None else -1 if k < 0 else k * size + r + 1 for k in own for r in range(size)]
    return np.array([0, *tags], dtype=np.int64)
