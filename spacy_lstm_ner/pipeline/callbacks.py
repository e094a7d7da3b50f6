"""Changes to a pipeline that a config can ask for."""

from typing import Any, Callable, Dict

from spacy.language import Language

from .component import LSTMEntityRecognizer
from .settings import check_settings


def create_settings_callback(component: str, settings: Dict[str, Any]) -> Callable[[Language], Language]:
    """The callback "spacy-lstm-ner.ComponentSettings.v1": other settings for a component that comes from `source`.

    component: its name in the pipeline. settings: those of its settings that change, by name.
    The callback raises ValueError if the pipeline has no such component, or a setting is unknown or out of range.
    """

    def change(nlp: Language) -> Language:
        pipe = nlp.get_pipe(component) if component in nlp.component_names else None
        if not isinstance(pipe, LSTMEntityRecognizer):
            raise ValueError(
                f"ComponentSettings: component is {component!r}, but must be an lstm_ner of the pipeline, which has "
                f"{', '.join(nlp.component_names) or 'no components'}"
            )
        changed = {**pipe.cfg, **settings}
        check_settings(component, changed)
        pipe.cfg.update(settings)
        return nlp

    return change
