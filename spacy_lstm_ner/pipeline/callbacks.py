"""Callbacks that change a pipeline, for configs."""

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Dict, List

from spacy.language import Language
from spacy.training import Example
from spacy.util import resolve_dot_names

from .calibration import LEAST_ENTITIES, Annotated, annotated_chains, fit_temperatures, has_entities
from .component import LSTMEntityRecognizer, docs_before, find_component
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
    the best F1. The scores in `nlp.meta` become those of the calibrated pipeline.

    Returns:
        Callable[[Language], Language]: The callback, for `[training.before_to_disk]`. It reads `dev_corpus` of the
            config. If it fails, it warns, and the pipeline is saved as it is.
    """
    readers: List[Any] = []

    def calibrate(nlp: Language) -> Language:
        config = nlp.config.interpolate()
        try:
            if not readers:
                readers.extend(resolve_dot_names(config, [config["training"]["dev_corpus"]]))
            _calibrate_all(nlp, config, list(readers[0](nlp)))
        except Exception as error:  # Whatever is wrong with the dev data, the trained weights must not be lost.
            problem = f"{type(error).__name__}: {error}"
            warnings.warn(f"CalibrateOnDev: the pipeline is saved without calibration. {problem}", stacklevel=2)
        return nlp

    return calibrate


def _calibrate_all(nlp: Language, config: Mapping[str, Any], examples: Sequence[Example]) -> None:
    annotated = [example for example in examples if example.reference.has_annotation("ENT_IOB")]
    # A corpus may be sorted.
    random.Random(0).shuffle(annotated)
    calibrated = False
    for name, component in nlp.pipeline:
        if isinstance(component, LSTMEntityRecognizer) and name not in config["training"]["frozen_components"]:
            # Copies, since a reader may keep its examples.
            docs = docs_before(nlp, component, [example.predicted.copy() for example in annotated])
            own = [Example(doc, example.reference) for doc, example in zip(docs, annotated, strict=True)]
            calibrated |= _calibrate(component, own, bool(config["components"][name].get("threshold")))
    performance = nlp.meta.get("performance", {})
    if calibrated and performance:
        scores = nlp.evaluate(examples)
        performance.update({key: scores[key] for key in performance if key in scores})


def _calibrate(component: LSTMEntityRecognizer, examples: Sequence[Example], keep_threshold: bool) -> bool:
    """Whether there was something to fit. keep_threshold: the config sets one."""
    batches = annotated_chains(component.tagger, examples)
    some = list(_first(batches, TOKENS))
    some = some if has_entities(some) else batches
    if not has_entities(some):
        return False
    fit_temperatures(component.tagger, some)
    settings = component.tagger.settings
    if settings.decoding == "expected_f" and not (settings.guarantees or keep_threshold):
        judged = judge_chains(component.tagger, batches)
        enough = judged.gold.sum() >= LEAST_ENTITIES and judged.right.any()
        # With few entities, the best threshold is best by chance. 0 is for the usual one.
        best = fit_threshold(judged, by_label=own_thresholds(component.tagger)) if enough else 0.0
        component.cfg["threshold"] = best
    return True


def _first(batches: Sequence[Annotated], n_tokens: int) -> Iterator[Annotated]:
    """The first batches with so many tokens."""
    for batch in batches:
        yield batch
        n_tokens -= len(batch[0].emissions)
        if n_tokens <= 0:
            return
