"""Soft annotation: a distribution over sequences of tags, as a teacher has it, in place of hard annotation.

It is kept in `doc.user_data`, so that files in spaCy's format have it too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from ..layers.crf.forward_backward import Steps
from ..tags import SCHEMES, Scheme
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

    Raises:
        ValueError: If the doc has something else in place of a distribution.
    """
    found = _stored(reference)
    if found is not None:
        own = found.steps.select(slice(*np.searchsorted(found.steps.rows, [start, end]).tolist()))
        write_soft(doc, own._replace(rows=own.rows - start), found.labels, found.scheme)


def read_soft(
    examples: Sequence[Example], tokens: ChainTokens, scheme: Scheme, numbers: Mapping[str, int]
) -> Optional[Steps]:
    """Read the distributions of a batch.

    Args:
        examples (Sequence[Example]): The examples. The distribution of a reference with other tokens than the predicted
            doc, or of another scheme, is not read.
        tokens (ChainTokens): The tokens of the chain.
        scheme (Scheme): The scheme of the model.
        numbers (Mapping[str, int]): The number of each label. Steps to other labels, and those that a piece of a text
            cannot begin or end with, are left out, and the others scaled up for them. If a token has no step left, the
            distribution is not read.

    Returns:
        Optional[Steps]: The steps, in rows of the chain; None if there is none.

    Raises:
        ValueError: If a doc has something else in place of a distribution.
    """
    parts: list[Steps] = []
    first_token = first_row = 0
    for example, length in zip(examples, tokens.lengths.tolist(), strict=True):
        found = _stored(example.reference)
        if length and found and found.scheme == scheme and have_same_tokens(example.x, example.y):
            own = tokens.rows[first_row : first_row + length] - first_token
            steps = _possible(found.steps, own, scheme, _tags(found.labels, scheme, numbers))
            total = np.bincount(steps.rows, weights=steps.p, minlength=length)
            if total.all():
                parts.append(steps._replace(rows=steps.rows + first_row, p=steps.p / total[steps.rows]))
        first_token += len(example.predicted)
        first_row += length
    return Steps(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else None


class _Stored(NamedTuple):
    """What is kept with a doc, see `write_soft`."""

    labels: list[str]
    scheme: Scheme
    steps: Steps


def _stored(doc: Doc) -> Optional[_Stored]:
    """Read what is kept with a doc. It may come from any file, so all of it is checked."""
    value: Any = doc.user_data.get(KEY)
    if value is None:
        return None
    try:
        labels, scheme = [str(label) for label in value["labels"]], SCHEMES[value["scheme"]]
        columns = [np.asarray(column) for column in value["steps"]]
        rows, before, tags = (column.astype("int64", casting="safe") for column in columns[:3])
        steps = Steps(rows, before, tags, *(column.astype("float64", casting="safe") for column in columns[3:]))
        n_tags, size = scheme.n_tags(len(labels)), rows.shape
        fits = len(size) == 1 and all(column.shape == size for column in steps)
        fits = fits and bool((np.diff(rows, prepend=0, append=len(doc) - 1) >= 0).all() or not len(rows))
        fits = fits and all(((column >= 0) & (column < n_tags)).all() for column in (before, tags))
        fits = fits and bool(((steps.p >= 0.0) & (steps.p <= 1.0)).all())
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"doc.user_data[{KEY!r}] of the doc {doc.text[:40]!r}: expected steps from tag to tag at its {len(doc)} "
            "tokens, as `spacy lstm-ner teach` writes them, found something else. Let it write silver/ again, or "
            "remove this entry of the docs"
        )
    return _Stored(labels, scheme, steps)


def _possible(steps: Steps, own: Ints, scheme: Scheme, tags: Ints) -> Steps:
    """The steps that a chain can take, with its rows and tags. own: its tokens, by number in the doc."""
    rows, before, after = np.searchsorted(own, steps.rows), tags[steps.before], tags[steps.tags]
    first, last = rows == 0, rows == len(own) - 1
    known = np.isin(steps.rows, own) & (after >= 0) & ((before >= 0) | first)
    goes_on = scheme.is_role(after, scheme.continuing)
    known &= ~goes_on | (scheme.is_role(before, "BI") & (scheme.label_of(before) == scheme.label_of(after)) & ~first)
    known &= goes_on | first | (before == 0) | scheme.is_role(before, scheme.ending)
    known &= ~last | (after == 0) | scheme.is_role(after, scheme.ending)
    return Steps(rows, before, after, steps.p).select(known)


def _tags(labels: Sequence[str], scheme: Scheme, numbers: Mapping[str, int]) -> Ints:
    """The tag of the model for each tag of the distribution; -1 if its label has none."""
    size = len(scheme.roles)
    own = [numbers.get(label, -1 if label else None) for label in labels]
    tags = [0 if k is None else -1 if k < 0 else k * size + r + 1 for k in own for r in range(size)]
    return np.array([0, *tags], dtype=np.int64)
