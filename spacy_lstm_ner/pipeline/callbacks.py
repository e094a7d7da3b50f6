"""Callbacks that change a pipeline, for configs."""

import random
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Dict

from spacy.language import Language
from spacy.training import Example
from spacy.util import resolve_dot_names

from .calibration import Annotated, annotated_chains, fit_temperatures, has_entities, process_before
from .component import LSTMEntityRecognizer, find_component
from .settings import check_settings
from .span_choice import fit_threshold, judge_chains, own_thresholds

TOKENS = 20_000
"""About how many tokens the temperatures are fitted to in training."""


def create_settings_callback(component: str, settings: Dict[str, Any]) -> Callable[[Language], Language]:
    """Create the callback "spacy-lstm-ner.ComponentSettings.v1", which changes settings of a sourced component.

    Args:
        component (str): The component's name in the pipeline.
        settings (Dict[str, Any]): The new values of settings, by name.

    Returns:
        Callable[[Language], Language]: The callback. It raises ValueError if the pipeline has no such component, or a
            setting is unknown or out of range.
    """

    def change(nlp: Language) -> Language:
        try:
            pipe = find_component(nlp.components, component)
        except ValueError as error:
            raise ValueError(f"ComponentSettings: {error}") from None
        check_settings(component, {**pipe.cfg, **settings})
        pipe.cfg.update(settings)
        return nlp

    return change


def create_frozen_callback() -> Callable[[Language], Language]:
    """Create the callback "spacy-lstm-ner.InitializeFrozen.v1", which loads the weights of a frozen transformer.

    spaCy initializes no frozen component, since it expects that they come from other pipelines. So a frozen transformer
    would have no weights, although the config names its folder.

    Returns:
        Callable[[Language], Language]: The callback, for `[initialize.before_init]`. A transformer that has weights
            stays as it is.
    """

    def initialize(nlp: Language) -> Language:
        for name in nlp.config.interpolate()["training"]["frozen_components"]:
            component: Any = nlp.get_pipe(name)
            # Only a transformer does not know its width before.
            if hasattr(component, "find_listeners") and component.model.has_dim("nO") is None:
                component.initialize(list, nlp=nlp)
                for _, listening in nlp.components:
                    component.find_listeners(listening)
        return nlp

    return initialize


def create_calibration_callback() -> Callable[[Language], Language]:
    """Create the callback "spacy-lstm-ner.CalibrateOnDev.v1", which calibrates a pipeline before it is saved.

    It fits the temperatures of each `lstm_ner` to the dev data and, with the decoding "expected_f", the threshold with
    the best F1, unless the component has guarantees. The next evaluation in training uses them too.

    Returns:
        Callable[[Language], Language]: The callback, for `[training.before_to_disk]`. It reads `dev_corpus` of the
            config. Frozen components stay as they are, and so does a component if the dev data has none of its labels.
    """

    def calibrate(nlp: Language) -> Language:
        config = nlp.config.interpolate()
        frozen = config["training"]["frozen_components"]
        (read,) = resolve_dot_names(config, [config["training"]["dev_corpus"]])
        for name, component in nlp.pipeline:
            if isinstance(component, LSTMEntityRecognizer) and name not in frozen:
                examples = [example for example in read(nlp) if example.reference.has_annotation("ENT_IOB")]
                for example in examples:
                    example.predicted = process_before(nlp, name, example.predicted, frozen)
                _calibrate(component, examples)
        return nlp

    return calibrate


def _calibrate(component: LSTMEntityRecognizer, examples: Sequence[Example]) -> None:
    shuffled = list(examples)
    # A corpus may be sorted.
    random.Random(0).shuffle(shuffled)
    batches = annotated_chains(component.tagger, shuffled)
    some = list(_first(batches, TOKENS))
    if not has_entities(some):
        return
    fit_temperatures(component.tagger, some)
    settings = component.tagger.settings
    if settings.decoding == "expected_f" and not settings.guarantees:
        judged = judge_chains(component.tagger, batches)
        if judged.right.any():
            component.cfg["threshold"] = fit_threshold(judged, by_label=own_thresholds(component.tagger))


def _first(batches: Sequence[Annotated], n_tokens: int) -> Iterator[Annotated]:
    """The first batches with so many tokens."""
    for batch in batches:
        yield batch
        n_tokens -= len(batch[0].emissions)
        if n_tokens <= 0:
            return
