"""A start from another pipeline: the weights of its embedding and its encoder, under other labels.

The functions raise a ValueError that says what does not fit, and what to do. `explained_start` adds the component and
the pipeline.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np
import spacy
from spacy.language import Language
from spacy.util import dict_to_dot
from spacy.vectors import Vectors
from thinc.api import Model, get_current_ops

from ..layers.embed.vocabulary import TABLES, merge_vocabulary
from ..types import Array
from .listeners import listeners
from .rehearsal import is_trained
from .weights import is_text

_SHOWN = 3


@contextmanager
def explained_start(name: str, path: Optional[Union[str, Path]]) -> Iterator[None]:
    """Add the component's name and the pipeline to an error."""
    try:
        yield
    except ValueError as error:
        place = f"in [initialize.components.{name}] start"
        raise ValueError(f"'{name}': cannot start from {str(path)!r}, {place}: {error}") from error


def load_start(path: Union[str, Path]) -> Language:
    """Load the pipeline to start from.

    Args:
        path (Union[str, Path]): Its folder, or the name of its package.

    Returns:
        Language: The pipeline.

    Raises:
        ValueError: If it cannot be loaded.
    """
    try:
        return spacy.load(path)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"no pipeline can be loaded from there. {error}") from error


def check_start(model: Model[Any, Any], vectors: Vectors, other: Model[Any, Any], other_vectors: Vectors) -> None:
    """Check that a model can start from another one, as far as this is known before it is initialized.

    Args:
        model (Model): The tagger.
        vectors (Vectors): The static vectors of its pipeline.
        other (Model): The tagger to start from.
        other_vectors (Vectors): The static vectors of that pipeline.

    Raises:
        ValueError: If one of the models listens to another component, the other model is not trained, or the models use
            vectors and these differ.
    """
    if listeners(model):
        raise ValueError(
            "the component listens to another one, which has the embedding and the encoder. Take that one from the "
            "pipeline, with source in its block in [components], and remove start"
        )
    require_no_listener(other)
    if not is_trained(other):
        raise ValueError("its lstm_ner is not trained. Train it first, or name another pipeline")
    if uses_vectors(model) and not _same_vectors(vectors, other_vectors):
        raise ValueError(
            f"it has other vectors: {_described(other_vectors)}, and here {_described(vectors)}. Train with the same "
            "ones: set vectors in [initialize] to the vectors of that pipeline, or to the pipeline itself"
        )


def require_no_listener(other: Model[Any, Any]) -> None:
    """Check that a tagger has an embedding and an encoder to start from.

    Args:
        other (Model): The tagger to start from.

    Raises:
        ValueError: If it listens to another component.
    """
    if listeners(other):
        raise ValueError(
            "its lstm_ner listens to another component, which has the embedding and the encoder. Give it a copy, by "
            "nlp.replace_listeners(..., ['model.tok2vec']), and save the pipeline"
        )


def uses_vectors(model: Model[Any, Any]) -> bool:
    """Whether the embedding of a tagger has static vectors."""
    # Layers with static vectors, spaCy's included, know the width of the table.
    return any("nM" in node.dim_names for node in model.get_ref("tok2vec").walk())


def _same_vectors(one: Vectors, other: Vectors) -> bool:
    if one.shape != other.shape or one.mode != other.mode or one.key2row != other.key2row:
        return False
    to_numpy = get_current_ops().to_numpy
    # Floret vectors depend on settings too.
    return one._get_cfg() == other._get_cfg() and np.array_equal(to_numpy(one.data), to_numpy(other.data))


def _described(vectors: Vectors) -> str:
    return f"{vectors.n_keys} words, table of shape {vectors.shape}" if vectors.size else "none"


def copy_weights(
    model: Model[Any, Any], other: Model[Any, Any], configs: Tuple[Dict[str, Any], Dict[str, Any]]
) -> None:
    """Copy the weights of the embedding and the encoder from another tagger. Vocabularies are merged.

    Args:
        model (Model): The tagger, initialized.
        other (Model): The tagger to start from.
        configs (Tuple[Dict[str, Any], Dict[str, Any]]): The settings of both, see `settings_of`, for messages.

    Raises:
        ValueError: If the architectures differ. The model then stays as it was.
    """
    pairs = list(zip_longest(model.get_ref("tok2vec").walk(), other.get_ref("tok2vec").walk()))
    for k, (node, origin) in enumerate(pairs):
        own, theirs = _form(node), _form(origin)
        if own != theirs:
            raise ValueError(
                f"it has another architecture. Layer {k} is {theirs}, and here {own}. {_differences(*configs)}Use the "
                "same [model.tok2vec]. Only settings without weights may differ: dropout, window, context, "
                "occurrences, cache"
            )
    for node, origin in pairs:
        if "vocabulary" in node.attrs:
            merge_vocabulary(node, origin)
        for name in node.param_names:
            if origin.has_param(name) and not _is_table(node, name):
                value: Array = node.ops.asarray(origin.ops.to_numpy(origin.get_param(name)))
                node.set_param(name, value.copy())
        for shim, state in zip(node.shims, origin.shims, strict=True):
            shim.from_bytes(state.to_bytes())


def _form(node: Optional[Model[Any, Any]]) -> str:
    """What two layers have in common if the weights of one fit the other: name, kind, and the shapes of parameters."""
    if node is None:
        return "missing"
    kinds = {name: value for name, value in node.attrs.items() if is_text(value) or isinstance(value, bool)}
    # The rows of a vocabulary are those of its words.
    shapes = {
        name: node.get_param(name).shape[_is_table(node, name) :] for name in node.param_names if node.has_param(name)
    }
    return " ".join([node.name[:40], *(f"{name} = {value}" for name, value in (kinds | shapes).items())])


def _is_table(node: Model[Any, Any], name: str) -> bool:
    return "vocabulary" in node.attrs and name in TABLES


def settings_of(nlp: Optional[Language], component: Any) -> Dict[str, Any]:
    """Look up the settings of a component's embedding and encoder, by dotted name. Empty if they are not known."""
    names = [name for name, pipe in nlp.components if pipe is component] if nlp is not None else []
    return dict_to_dot(nlp.get_pipe_config(names[0])["model"].get("tok2vec", {})) if nlp is not None and names else {}


def _differences(own: Dict[str, Any], theirs: Dict[str, Any]) -> str:
    changed = [name for name in sorted({*own, *theirs}) if own.get(name) != theirs.get(name) and "dropout" not in name]
    listed = [f"{name} is {theirs.get(name)}, and here {own.get(name)}" for name in changed[:_SHOWN]]
    return f"In [model.tok2vec], {'; '.join(listed)}. " if own and theirs and listed else ""
