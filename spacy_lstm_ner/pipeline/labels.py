"""New labels: what is none, and those that training meets for the first time."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from spacy.errors import Errors
from thinc.api import Model

from ..layers.crf.head import head_scheme


def check_label(name: str, label: Any) -> None:
    """Check a label that is to be added.

    Args:
        name (str): The component's name, for the error.
        label (Any): The label.

    Raises:
        ValueError: If the label is not a string or not valid text, is empty, begins with "!", which is how spaCy marks
            spans that are wrong, or is "O".
    """
    if not isinstance(label, str):
        raise ValueError(Errors.E187)
    if not label or label == "O":
        raise ValueError(f"'{name}': {label!r} cannot be an entity label, since a token without entity is tagged O")
    if label.startswith("!"):
        raise ValueError(Errors.E869.format(label=label))
    try:
        label.encode("utf8")
    except UnicodeEncodeError:
        raise ValueError(f"'{name}': the label {label!r} is no valid text (half a surrogate pair)") from None


def warn_of_added_labels(name: str, added: Sequence[str]) -> None:
    """Warn that `update` has added labels. name: the component's name."""
    if added:
        warnings.warn(
            f"'{name}': labels {', '.join(added)} were added when update first met them. To have them from the start, "
            "give them to initialize, in its examples or in its list of labels",
            stacklevel=4,
        )


def allow_labels(head: Model[Any, Any], labels: Sequence[str], present: set[str]) -> None:
    """Allow labels to be predicted, once training has shown an example of them.

    Args:
        head (Model): The tagger's head.
        labels (Sequence[str]): The component's labels, in the order of their numbers.
        present (set[str]): The labels of the examples.
    """
    waiting = head.attrs["unseen"]
    if waiting:
        known = {number for number, label in enumerate(labels) if label in present}
        of_label = head_scheme(head).label_of(np.array(waiting)).tolist()
        head.attrs["unseen"] = [tag for tag, number in zip(waiting, of_label, strict=True) if number not in known]
