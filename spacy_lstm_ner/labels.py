"""Which labels a component has, and what it makes of entities with others."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, List

import numpy as np
from thinc.api import Model

from .layers.head import head_scheme

OTHER_LABELS = ("add", "outside", "missing")
"""What an entity of a label that the component does not have is in training: a reason to add the label, no entity, or
nothing known."""


def label_list(name: str, labels: Any) -> List[str]:
    """Labels as `initialize` takes them, as a list.

    name: the component's. labels: a list of strings, or {action: {label: count}} as spaCy's `ner` writes.
    Raises ValueError for anything else.
    """
    if isinstance(labels, dict) and all(isinstance(value, dict) for value in labels.values()):
        labels = sorted({label for action in labels.values() for label in action if label})
    if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) for label in labels):
        raise ValueError(
            f"'{name}': labels must be a list of strings, as `spacy init labels` writes them, but got "
            f"{str(labels)[:80]!r}"
        )
    return list(labels)


def warn_of_other_labels(name: str, found: Counter[str], labels: Sequence[str], other_labels: str) -> None:
    """Say once how many entities of the data are not the component's. found: the entities of each label."""
    others = {label: count for label, count in sorted(found.items()) if label not in labels}
    if others:
        listed = ", ".join(f"{label} ({count})" for label, count in others.items())
        meaning = {"outside": "no entities", "missing": "unannotated"}[other_labels]
        warnings.warn(
            f"'{name}': the data has {sum(others.values())} entities of labels that the component does not have: "
            f"{listed}. Since other_labels is {other_labels!r}, their tokens count as {meaning}. To learn them, add "
            'the labels, or set other_labels to "add"',
            stacklevel=3,
        )


def warn_of_added_labels(name: str, added: Sequence[str]) -> None:
    """Say that labels turned up in update. added: those, in order."""
    if added:
        warnings.warn(
            f"'{name}': labels {', '.join(added)} first seen in update were added. To have them from the "
            "start, give them to initialize, in its examples or in its list of labels",
            stacklevel=4,
        )


def let_be_predicted(head: Model[Any, Any], labels: Sequence[str], present: set[str]) -> None:
    """Let the tags of a label be predicted once it has an example. present: the labels of the examples."""
    waiting = head.attrs["unseen"]
    if waiting:
        known = {number for number, label in enumerate(labels) if label in present}
        of_label = head_scheme(head).label_of(np.array(waiting)).tolist()
        head.attrs["unseen"] = [tag for tag, number in zip(waiting, of_label, strict=True) if number not in known]
