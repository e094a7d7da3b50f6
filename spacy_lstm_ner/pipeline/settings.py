"""The component's settings: one list of them, with types, defaults, meanings and checks.

The signature of the factory, the component's `cfg`, the checks of saved settings and the table in the documentation
follow from `Settings`.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Dict, Optional, TypeVar

from ..annotation.chain import BLOCKED, ENTITIES, NOTHING

Function = TypeVar("Function", bound=Callable[..., Any])

CHOICES = {"annotate": ("ents", "spans", "both"), "other_labels": ("add", "outside", "missing")}


@dataclass
class Settings:
    """What the component does with its model's scores, and what it learns from.

    Attributes:
        threshold (float): Entities with a lower probability are left out.
        label_thresholds (Dict[str, float]): Thresholds of single labels, instead of `threshold`.
        annotate (str): Where entities go: `"ents"` (`doc.ents`), `"spans"` (`doc.spans`; `doc.ents` is then neither
            read nor written), or `"both"`.
        overwrite (bool): Whether entities replace those in `doc.ents` that they overlap. If not, the entities that are
            already there stay.
        spans_key (Optional[str]): The key in `doc.spans` for the entities and their probabilities. With `None`,
            probabilities are computed only if a threshold needs them.
        score_attr (Optional[str]): The name of the extension attribute with the probability of an entity,
            `ent._.score`. It reads `doc.spans[spans_key]`. With `None` there is none.
        sentence_boundaries (bool): Whether entities end at the start of a sentence, if an earlier component sets
            sentence starts.
        incorrect_spans_key (Optional[str]): The key in `doc.spans` of the reference for spans that are known to be
            wrong, in training. The label `O` says that the tokens are in some entity.
        label_weights (Dict[str, float]): By label, or `O`: how much more an error weighs in training if this is the
            right answer (softmax-margin).
        label_smoothing (float): The share of the target that training spreads evenly over all answers: legal sequences
            of tags with the CRF head, tags with the softmax head.
        other_labels (str): What an entity with an unknown label means in training: a label to `"add"`, `"outside"` (no
            entity), or `"missing"` (no annotation).
        rehearse_weight (float): What `update` adds to the loss for each nat by which the model differs from its
            teacher, a copy from before the training.
    """

    threshold: float = 0.0
    label_thresholds: Dict[str, float] = field(default_factory=dict)
    annotate: str = "both"
    overwrite: bool = False
    spans_key: Optional[str] = "lstm_ner"
    score_attr: Optional[str] = "score"
    sentence_boundaries: bool = False
    incorrect_spans_key: Optional[str] = None
    label_weights: Dict[str, float] = field(default_factory=dict)
    label_smoothing: float = 0.0
    other_labels: str = "add"
    rehearse_weight: float = 0.0

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> "Settings":
        """The settings in a component's `cfg`, which has its labels too. They are not checked."""
        return cls(**{setting.name: cfg[setting.name] for setting in fields(cls) if setting.name in cfg})

    def check(self) -> None:
        """Raise ValueError if a setting is out of range. The message does not name the component."""
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(map(repr, choices))}")
        if self.annotate == "spans" and not self.spans_key:
            raise ValueError("annotate is 'spans', so that spans_key must name a place in doc.spans")
        thresholds = {"threshold": self.threshold}
        thresholds |= {f"label_thresholds[{label!r}]": value for label, value in self.label_thresholds.items()}
        for name, value in thresholds.items():
            if not _is_number(value) or not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value!r}, but must be a probability from 0 to 1")
        for label, weight in self.label_weights.items():
            if not 0.0 < weight < float("inf"):
                raise ValueError(f"label_weights[{label!r}] is {weight}, but must be greater than 0")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing is {self.label_smoothing}, but must be at least 0 and less than 1")
        if not 0.0 <= self.rehearse_weight < float("inf"):
            raise ValueError(f"rehearse_weight is {self.rehearse_weight}, but must be at least 0 (0: off)")

    @property
    def writes_spans(self) -> bool:
        """Whether entities are written to `doc.spans`, with their scores."""
        return bool(self.spans_key) and self.annotate != "ents"

    @property
    def given(self) -> str:
        """What of `doc.ents` stays as it is, see `annotation.chain`."""
        if self.annotate == "spans":
            return NOTHING
        return BLOCKED if self.overwrite else ENTITIES


def default_settings() -> Dict[str, Any]:
    """All settings with their defaults."""
    return asdict(Settings())


def check_settings(name: str, cfg: Mapping[str, Any]) -> Settings:
    """Check a component's `cfg`.

    Args:
        name (str): the component's name, for the error.
        cfg (Mapping[str, Any]): its settings, and perhaps its labels.

    Returns:
        Settings: the settings.

    Raises:
        ValueError: if a setting is unknown or out of range.
    """
    known = [setting.name for setting in fields(Settings)]
    unknown = sorted(set(cfg) - {*known, "labels"})
    if unknown:
        raise ValueError(f"'{name}': unknown settings {', '.join(unknown)}; there are {', '.join(known)}")
    settings = Settings.of(cfg)
    try:
        settings.check()
    except ValueError as error:
        raise ValueError(f"'{name}': {error}") from None
    return settings


def read_settings(cfg: Any) -> Dict[str, Any]:
    """Read the labels and settings of a saved component. What this version does not know is left out.

    Args:
        cfg (Any): what the component's file has.

    Returns:
        Dict[str, Any]: labels and settings, as far as the file has them.

    Raises:
        ValueError: if it is not an object with values of the right types.
    """
    if not isinstance(cfg, dict):
        raise ValueError(f"expected an object of settings, found {str(cfg)[:80]}")
    labels = cfg.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) and label != "O" and label for label in labels):
        raise ValueError(f"expected labels as a list of texts, found {str(labels)[:80]}")
    if len(set(labels)) != len(labels):
        raise ValueError(f"expected every label once, found {str(sorted(labels))[:80]}")
    found = {"labels": cfg["labels"]} if "labels" in cfg else {}
    for name, default in default_settings().items():
        if name not in cfg:
            continue
        value = cfg[name]
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
        found[name] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def warn_of_unknown_labels(name: str, settings: Settings, labels: "tuple[str, ...]") -> None:
    """Warn of labels that settings name and that the component does not have. name: the component's."""
    # "O" has a weight in training, but no probability that could be compared with a threshold.
    for setting, others in {"label_thresholds": set(), "label_weights": {"O"}}.items():
        unknown = sorted(set(getattr(settings, setting)) - {*labels} - others)
        if unknown:
            warnings.warn(
                f"'{name}': {setting} names labels that the component does not have: {', '.join(unknown)}. Its "
                f"labels are {', '.join(labels) or 'none yet'}",
                stacklevel=3,
            )


def setting_meanings() -> Dict[str, str]:
    """The meaning of each setting, from the docstring of `Settings`."""
    _, _, listed = str(inspect.getdoc(Settings)).partition("Attributes:\n")
    entries = re.findall(r"^    (\w+) \(.+?\): (.+(?:\n {8}.+)*)", listed.partition("\n\n")[0], flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def takes_settings(function: Function) -> Function:
    """Decorate a function that takes `**settings`: its signature and its docstring show every one of them.

    spaCy reads the signature of a factory to check configs; `help()` shows both.
    """
    signature, defaults = inspect.signature(function), default_settings()
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    added = [
        inspect.Parameter(
            setting.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults[setting.name],
            annotation=setting.type,
        )
        for setting in fields(Settings)
    ]
    function.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    listed = "\n".join(f"    {name}: {meaning}" for name, meaning in setting_meanings().items())
    function.__doc__ = f"{inspect.getdoc(function)}\n\nSettings:\n{listed}"
    return function
