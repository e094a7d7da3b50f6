"""Whether a model that listens to a tok2vec component of the pipeline can hear it."""

from collections.abc import Iterator, Sequence
from typing import Any, Optional

from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Model

_NO_INPUT = ("[E203]", "[E954]")


def check_listeners(name: str, model: Model[Any, Any], nlp: Language) -> Optional[str]:
    """Compare each listener of a model with the component that it listens to.

    name: that of the model's component. nlp: the pipeline.
    RETURNS: what is wrong with the pipeline if a listener hears nobody, else None.
    Raises ValueError if a listener expects vectors of another width than it will get.
    """
    for listener in _listeners(model):
        speakers: list[tuple[str, Any]] = [
            (other, pipe)
            for other, pipe in nlp.components
            if listener in getattr(pipe, "listener_map", {}).get(name, [])
        ]
        if not speakers:
            return _hint(name, listener)
        other, pipe = speakers[-1]
        expected, found = listener.maybe_get_dim("nO"), pipe.model.maybe_get_dim("nO")
        if None not in (expected, found) and expected != found:
            raise ValueError(
                f"'{name}': its Tok2VecListener expects vectors of width {expected}, but '{other}' gives vectors of "
                f"width {found}. Set width = {found} in [components.{name}.model.tok2vec]"
            )
    return None


def explain(name: str, model: Model[Any, Any], error: ValueError) -> Optional[str]:
    """spaCy's error about a listener without input, with what to do about it; None for other errors."""
    listener = next(_listeners(model), None)
    if listener is None or not str(error).startswith(_NO_INPUT):
        return None
    return f"{error}. {_hint(name, listener)}; if it is frozen, it must be an annotating component"


def unheard(name: str, model: Model[Any, Any], docs: Sequence[Doc]) -> Optional[str]:
    """What is wrong if the model listens and a doc comes without vectors, for which spaCy puts zeros; else None."""
    listener = model.get_ref("tok2vec")
    if not isinstance(listener, Tok2VecListener) or all(doc.tensor.size or not len(doc) for doc in docs):
        return None
    return f"docs come without the vectors that the model needs, and count as zeros: {_hint(name, listener)}"


def _listeners(model: Model[Any, Any]) -> Iterator[Tok2VecListener]:
    return (node for node in model.walk() if isinstance(node, Tok2VecListener))


def _hint(name: str, listener: Tok2VecListener) -> str:
    wanted = "a tok2vec component" if listener.upstream_name == "*" else f"the component '{listener.upstream_name}'"
    return f"'{name}' listens to {wanted}, which must be in the pipeline, enabled, and before '{name}' itself"
