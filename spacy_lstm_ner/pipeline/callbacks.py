"""Callbacks that change a pipeline, for configs."""

from typing import Any, Callable, Dict

from spacy.language import Language

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
