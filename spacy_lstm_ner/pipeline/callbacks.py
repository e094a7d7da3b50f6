"""Callbacks that change a pipeline, for configs."""

from typing import Any, Callable, Dict

from spacy.language import Language
from spacy.util import get_sourced_components

from .component import find_component
from .settings import check_settings


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
    """Create the callback "spacy-lstm-ner.InitializeFrozen.v1", which initializes frozen tok2vecs and transformers.

    spaCy initializes no frozen component, since it expects that they come from other pipelines. So a frozen transformer
    would have no weights, although the config names them.

    Returns:
        Callable[[Language], Language]: The callback, for `[initialize.before_init]`. It leaves out components that come
            from other pipelines.
    """

    def initialize(nlp: Language) -> Language:
        sourced = get_sourced_components(nlp.config)
        for name in nlp.config["training"]["frozen_components"]:
            component = nlp.get_pipe(name)
            if name not in sourced and hasattr(component, "find_listeners"):
                component.initialize(list, nlp=nlp)
                for _, listening in nlp.components:
                    component.find_listeners(listening)
        return nlp

    return initialize
