"""Callbacks for configs: changes to a pipeline."""

from typing import Any, Callable, Dict

from spacy.language import Language

from .component import find_component
from .settings import check_settings


def create_settings_callback(component: str, settings: Dict[str, Any]) -> Callable[[Language], Language]:
    """Create the callback "spacy-lstm-ner.ComponentSettings.v1", which changes settings of a sourced component.

    Args:
        component (str): the component's name in the pipeline.
        settings (Dict[str, Any]): the settings that change, by name.

    Returns:
        Callable[[Language], Language]: the callback. It raises ValueError if the pipeline has no such component, or a
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
