"""The settings of the component that are no part of its model: defaults and checks."""

import warnings
from copy import deepcopy
from typing import Any, Dict

from .labels import OTHER_LABELS

_DEFAULTS: Dict[str, Any] = {
    "threshold": 0.0,
    "label_thresholds": {},
    "annotate": "both",
    "overwrite": False,
    "spans_key": "lstm_ner",
    "score_attr": "score",
    "sentence_boundaries": False,
    "incorrect_spans_key": None,
    "label_weights": {},
    "label_smoothing": 0.0,
    "other_labels": "add",
    "rehearse_weight": 0.0,
}
_CHOICES = {"annotate": ("ents", "spans", "both"), "other_labels": OTHER_LABELS}


def default_settings() -> Dict[str, Any]:
    """The defaults, a copy for each caller."""
    return deepcopy(_DEFAULTS)


def check_settings(name: str, cfg: Dict[str, Any]) -> None:
    """Raise ValueError for a setting that is unknown or out of range. name: the component's. cfg: its settings."""
    unknown = sorted(set(cfg) - set(_DEFAULTS) - {"labels"})
    if unknown:
        raise ValueError(f"'{name}': unknown settings {', '.join(unknown)}; there are {', '.join(_DEFAULTS)}")
    for setting, choices in _CHOICES.items():
        if cfg[setting] not in choices:
            raise ValueError(
                f"'{name}': {setting} is {cfg[setting]!r}, but must be one of {', '.join(map(repr, choices))}"
            )
    if cfg["annotate"] == "spans" and not cfg["spans_key"]:
        raise ValueError(f"'{name}': annotate is 'spans', so that spans_key must name a place in doc.spans")
    thresholds = {"threshold": cfg["threshold"]}
    thresholds |= {f"label_thresholds[{label!r}]": value for label, value in cfg["label_thresholds"].items()}
    for setting, value in thresholds.items():
        if not _is_number(value) or not 0.0 <= value <= 1.0:
            raise ValueError(f"'{name}': {setting} is {value!r}, but must be a probability from 0 to 1")
    for label, weight in cfg["label_weights"].items():
        if not 0.0 < weight < float("inf"):
            raise ValueError(f"'{name}': label_weights[{label!r}] is {weight}, but must be greater than 0")
    if not 0.0 <= cfg["label_smoothing"] < 1.0:
        raise ValueError(
            f"'{name}': label_smoothing is {cfg['label_smoothing']}, but must be at least 0 and less than 1"
        )
    if not 0.0 <= cfg["rehearse_weight"] < float("inf"):
        raise ValueError(f"'{name}': rehearse_weight is {cfg['rehearse_weight']}, but must be at least 0 (0: off)")


def writes_spans(cfg: Dict[str, Any]) -> bool:
    """Whether entities go to `doc.spans` with their scores."""
    return bool(cfg["spans_key"]) and cfg["annotate"] != "ents"


def read_settings(cfg: Any) -> Dict[str, Any]:
    """The labels and settings of a saved component; what this version does not know is left out.

    cfg: what its file has. Raises ValueError for anything but an object with values of the right types.
    """
    if not isinstance(cfg, dict):
        raise ValueError(f"expected an object of settings, found {str(cfg)[:80]}")
    labels = cfg.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) and label != "O" and label for label in labels):
        raise ValueError(f"expected labels as a list of texts, found {str(labels)[:80]}")
    if len(set(labels)) != len(labels):
        raise ValueError(f"expected every label once, found {str(sorted(labels))[:80]}")
    found = {name: cfg[name] for name in ("labels", *_DEFAULTS) if name in cfg}
    for name, default in _DEFAULTS.items():
        value = found.get(name, default)
        if isinstance(default, dict):
            right = isinstance(value, dict) and all(map(_is_number, value.values()))
        elif isinstance(default, bool):
            right = isinstance(value, bool)
        elif isinstance(default, float):
            right = _is_number(value)
        else:
            right = value is None or isinstance(value, str)
        if not right:
            raise ValueError(f"expected for the setting {name} a value like {default!r}, found {str(value)[:80]}")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def warn_of_unknown_labels(name: str, cfg: Dict[str, Any]) -> None:
    """Warn once of labels that settings name and the component does not have."""
    # What is outside entities has a weight in training, but no probability that a threshold could be held against.
    for setting, others in {"label_thresholds": set(), "label_weights": {"O"}}.items():
        unknown = sorted(set(cfg[setting]) - {*cfg["labels"]} - others)
        if unknown:
            warnings.warn(
                f"'{name}': {setting} names labels that the component does not have: {', '.join(unknown)}. Its "
                f"labels are {', '.join(cfg['labels']) or 'none yet'}",
                stacklevel=3,
            )
