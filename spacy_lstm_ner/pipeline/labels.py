"""Which labels a component has, and what it makes of entities with others."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from thinc.api import Model

from ..layers.crf.head import head_scheme

OTHER_LABELS = ("add", "outside", "missing")
"""What an entity of a label that the component does not have is in training: a reason to add the label, no entity, or
nothing known."""


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
