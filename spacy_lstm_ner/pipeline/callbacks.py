"""Changes to a pipeline that a config can ask for."""

from typing import Any, Callable, Dict

from spacy.language import Language

from .component import find_component
from .settings import check_settings


def create_settings_callback(component: str, settings: Dict[str, Any]) -> Callable[[Language], Language]:
    """The callback "spacy-lstm-ner.ComponentSettings.v1": other settings for a component that comes from `source`.

    component: its name in the pipeline. settings: those of its settings that change, by name.
    The callback raises ValueError if the pipeline has no such component, or a setting is unknown or out of range.
    """

    def change(nlp: Language) -> Language:
        pipe = find_component(nlp, component)
        changed = {**pipe.cfg, **settings}
        check_settings(component, changed)
        pipe.cfg.update(settings)
        return nlp

    return change
