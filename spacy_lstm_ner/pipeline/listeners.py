"""Checks of a model that listens to another component: whether it gets its vectors from there."""

from collections.abc import Sequence
from typing import Any, Dict, List, Optional, Tuple

from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Model

_NO_INPUT = ("[E203]", "[E954]")
"""spaCy's errors about a listener without input."""


def listeners(model: Model[Any, Any]) -> List[Any]:
    """List the layers that get their output from another component: a tok2vec, a transformer, or another one."""
    return [node for node in model.walk() if hasattr(node, "verify_inputs")]


def tok2vec_listeners(model: Model[Any, Any]) -> List[Tok2VecListener]:
    """List the layers that listen to a tok2vec component."""
    return [node for node in model.walk() if isinstance(node, Tok2VecListener)]


def sender(name: str, listener: Tok2VecListener, nlp: Language) -> Optional[Tuple[str, Any]]:
    """Find the component that sends to a listener of the component `name`: its name and itself; None if none does."""
    found = [(other, pipe) for other, pipe in nlp.components if listener in _map_of(pipe).get(name, [])]
    return found[-1] if found else None


def _map_of(pipe: Any) -> Dict[str, List[Any]]:
    return getattr(pipe, "listener_map", {})


def check_listeners(name: str, model: Model[Any, Any], nlp: Language) -> Optional[str]:
    """Compare each listener of a model with the component that it listens to.

    Args:
        name (str): The name of the model's component.
        model (Model): The model.
        nlp (Language): The pipeline.

    Returns:
        Optional[str]: A message if no component sends to a listener, else None.

    Raises:
        ValueError: If a listener expects vectors of another width than it will get.
    """
    for listener in tok2vec_listeners(model):
        found = sender(name, listener, nlp)
        if found is None:
            return _hint(name, listener)
        other, pipe = found
        expected, width = listener.maybe_get_dim("nO"), pipe.model.maybe_get_dim("nO")
        if None not in (expected, width) and expected != width:
            raise ValueError(
                f"'{name}': its Tok2VecListener expects vectors of width {expected}, but '{other}' gives vectors of "
                f"width {width}. Set width = {width} in [components.{name}.model.tok2vec]"
            )
    return None


def explain_missing_input(name: str, model: Model[Any, Any], error: ValueError) -> Optional[str]:
    """Add a remedy to spaCy's error about a listener without input. Returns None for other errors."""
    listener = next(iter(tok2vec_listeners(model)), None)
    if listener is None or not str(error).startswith(_NO_INPUT):
        return None
    return f"{error}. {_hint(name, listener)}; if it is frozen, it must be an annotating component"


def docs_without_vectors(name: str, model: Model[Any, Any], docs: Sequence[Doc]) -> Optional[str]:
    """Return a message if the model listens and a doc has no vectors, so that spaCy uses zeros; else None."""
    listener = model.get_ref("tok2vec")
    if not isinstance(listener, Tok2VecListener) or all(doc.tensor.size or not len(doc) for doc in docs):
        return None
    return f"docs do not have the vectors that the model needs, so zeros are used: {_hint(name, listener)}"


def _hint(name: str, listener: Tok2VecListener) -> str:
    wanted = "a tok2vec component" if listener.upstream_name == "*" else f"the component '{listener.upstream_name}'"
    return f"'{name}' listens to {wanted}, which must be in the pipeline, enabled, and before '{name}' itself"
