"""The component's settings, with types, defaults, meanings and checks.

`Settings` is the only list of them. The signature of the factory, the component's `cfg`, the checks of saved settings
and the table in the documentation are made from it.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Dict, List, Optional, TypeVar, Union, get_args, get_origin

from ..annotation.chain import BLOCKED, ENTITIES, NOTHING

Function = TypeVar("Function", bound=Callable[..., Any])

CHOICES = {
    "annotate": ("ents", "spans", "both"),
    "other_labels": ("add", "outside", "missing"),
    "decoding": ("best_sequence", "expected_f"),
}
OUTCOME = {"threshold", "measured", "entities", "documents"}
"""What the setting `guarantees` has for each promise."""
EXPECTED_F_THRESHOLD = 0.4
"""The threshold of "expected_f" where none is set: half the F1 of a model that reaches 0.8."""


@dataclass
class Settings:
    """The settings of the component: how it uses the scores of its model, and how it reads annotation in training.

    Attributes:
        threshold (float): Entities with a lower probability are left out.
        label_thresholds (Dict[str, float]): Thresholds of single labels, in place of `threshold`.
        annotate (str): Where entities go: `"ents"` (`doc.ents`), `"spans"` (`doc.spans[spans_key]`; `doc.ents` is then
            neither read nor written), or `"both"`.
        overwrite (bool): Whether new entities replace the entities in `doc.ents` that they overlap. If not, the
            entities that are already there stay.
        spans_key (Optional[str]): The key in `doc.spans` for the entities and their probabilities, if `annotate` is
            `"spans"` or `"both"`.
        score_attr (Optional[str]): The name of the extension attribute with the probability of an entity,
            `ent._.lstm_ner_score`. With `None`, there is no such attribute, and probabilities are computed only for
            `doc.spans` and for thresholds.
        sentence_boundaries (bool): Whether to forbid entities that cross the start of a sentence, if an earlier
            component sets sentence starts.
        incorrect_spans_key (Optional[str]): The key in `doc.spans` of the reference for spans that are known to be
            wrong. Training uses them. The label `O` says that the tokens are in some entity.
        label_weights (Dict[str, float]): For a label, or `O`: how much more an error counts in training if this label
            is right (softmax-margin).
        label_smoothing (float): The share of the target that training spreads evenly over all answers: over legal
            sequences of tags with the CRF head, over tags with the softmax head.
        other_labels (str): How training reads an entity with an unknown label: as a label to `"add"`, as `"outside"`
            (no entity), or as `"missing"` (no annotation).
        rehearse_weight (float): The weight of rehearsal in `update`. It is added to the loss for each nat of divergence
            from the teacher, a copy of the model from before this training.
        learn_rate_factor (float): What the learning rate of the optimizer is multiplied by for the weights of this
            component. An LSTM needs a much higher rate than the transformer below it.
        decoding (str): How entities are chosen: `"best_sequence"` (those of the most probable sequence of tags that
            reach their threshold), or `"expected_f"` (of all sets of entities that do not overlap, the one with the
            greatest sum of probability minus threshold). There, a lower threshold adds entities, and a threshold of 0
            counts as not set: the default is then 0.4.
        guarantees (Dict[str, Dict[str, float]]): What `calibrate --guarantee` has promised for these thresholds, with
            what they gave on its data. It changes nothing.
        doubt_attr (Optional[str]): The name of the extension attribute with the doubt about a text,
            `doc._.lstm_ner_doubt`, if the pipeline was calibrated with its training texts. With `None`, there is none.
    """

    threshold: float = 0.0
    label_thresholds: Dict[str, float] = field(default_factory=dict)
    annotate: str = "ents"
    overwrite: bool = False
    spans_key: Optional[str] = "lstm_ner"
    score_attr: Optional[str] = "lstm_ner_score"
    sentence_boundaries: bool = False
    incorrect_spans_key: Optional[str] = None
    label_weights: Dict[str, float] = field(default_factory=dict)
    label_smoothing: float = 0.0
    other_labels: str = "add"
    rehearse_weight: float = 0.0
    learn_rate_factor: float = 1.0
    decoding: str = "best_sequence"
    guarantees: Dict[str, Dict[str, float]] = field(default_factory=dict)
    doubt_attr: Optional[str] = "lstm_ner_doubt"

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> "Settings":
        """The settings in a component's `cfg`, which has its labels too. They are not checked."""
        return cls(**{name: cfg[name] for name in cls.__dataclass_fields__ if name in cfg})

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
        for promise, outcome in self.guarantees.items():
            if not promise.startswith(("precision", "recall")) or not set(outcome) >= OUTCOME:
                raise ValueError(
                    f"guarantees[{promise!r}] is {outcome}, but only `spacy lstm-ner calibrate --guarantee` can make "
                    "promises: remove it"
                )
        for label, weight in self.label_weights.items():
            if not 0.0 < weight < float("inf"):
                raise ValueError(f"label_weights[{label!r}] is {weight}, but must be greater than 0")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing is {self.label_smoothing}, but must be at least 0 and less than 1")
        if not 0.0 <= self.rehearse_weight < float("inf"):
            raise ValueError(f"rehearse_weight is {self.rehearse_weight}, but must be at least 0 (0: off)")
        if not 0.0 < self.learn_rate_factor < float("inf"):
            raise ValueError(f"learn_rate_factor is {self.learn_rate_factor}, but must be greater than 0")

    @property
    def writes_spans(self) -> bool:
        """Whether entities are written to `doc.spans`, with their scores."""
        return bool(self.spans_key) and self.annotate != "ents"

    @property
    def uses_scores(self) -> bool:
        """Whether entities need scores."""
        by_scores = self.threshold or self.label_thresholds or self.decoding == "expected_f"
        return bool(self.score_attr or self.writes_spans or by_scores)

    def thresholds(self, labels: Sequence[str]) -> List[float]:
        """The threshold of each of these labels."""
        if self.decoding == "expected_f":
            overall = self.threshold or EXPECTED_F_THRESHOLD
            return [self.label_thresholds.get(label) or overall for label in labels]
        return [self.label_thresholds.get(label, self.threshold) for label in labels]

    @property
    def given(self) -> str:
        """The part of `doc.ents` that stays as it is, see `annotation.chain`."""
        if self.annotate == "spans":
            return NOTHING
        return BLOCKED if self.overwrite else ENTITIES


def default_settings() -> Dict[str, Any]:
    """All settings with their defaults."""
    return asdict(Settings())


def check_settings(name: str, cfg: Mapping[str, Any]) -> Settings:
    """Check a component's `cfg`.

    Args:
        name (str): The component's name, for the error.
        cfg (Mapping[str, Any]): The settings, and perhaps the labels.

    Returns:
        Settings: The settings.

    Raises:
        ValueError: If a setting is unknown or out of range.
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
    """Read the labels and settings of a saved component. Unknown settings are left out.

    Args:
        cfg (Any): The content of the component's file.

    Returns:
        Dict[str, Any]: The labels and settings that the file has.

    Raises:
        ValueError: If the content is not an object with values of the right types.
    """
    if not isinstance(cfg, dict):
        raise ValueError(f"expected an object of settings, found {str(cfg)[:80]}")
    labels = cfg.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) and label != "O" and label for label in labels):
        raise ValueError(f"expected labels as a list of texts, found {str(labels)[:80]}")
    if len(set(labels)) != len(labels):
        raise ValueError(f"expected every label once, found {str(sorted(labels))[:80]}")
    found = {"labels": cfg["labels"]} if "labels" in cfg else {}
    for setting in fields(Settings):
        if setting.name not in cfg:
            continue
        value = cfg[setting.name]
        if not _is_of(value, setting.type):
            raise ValueError(
                f"expected for the setting {setting.name} a value of the type {type_name(setting.type)}, found "
                f"{str(value)[:80]}"
            )
        found[setting.name] = value
    return found


def type_name(kind: Any) -> str:
    """A type as code has it."""
    return inspect.formatannotation(kind).replace("typing.", "")


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value from JSON is of a type: bool, int, float, str, Optional, List or Dict of these."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Union:
        return any(_is_of(value, one) for one in inner)
    if origin is dict:
        return isinstance(value, dict) and all(_is_of(item, inner[1]) for item in value.values())
    if origin is list:
        return isinstance(value, list) and all(_is_of(item, inner[0]) for item in value)
    if kind is float:
        return _is_number(value)
    return type(value) is kind


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def warn_of_unknown_labels(name: str, settings: Settings, labels: "tuple[str, ...]") -> None:
    """Warn of labels that settings name, but the component does not have. name: the component's name."""
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
    """Decorate a function that takes `**settings`, so that its signature and its docstring show every setting.

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
