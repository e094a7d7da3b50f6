"""Features of a token, such as its part of speech or an extension attribute, added to an embedding of its word."""

from collections.abc import Sequence
from typing import Any, List, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import IDS as ATTRIBUTES
from spacy.strings import hash_string  # type: ignore[attr-defined]
from spacy.tokens import Doc, Token
from thinc.api import Model
from thinc.types import Floats2d, Ints2d

from ...arrays import split_rows
from ...types import Array, Backprop


def with_token_features(
    embed: Model[List[Doc], List[Floats2d]], names: Sequence[str], tables: Model[Ints2d, Floats2d]
) -> Model[List[Doc], List[Floats2d]]:
    """Append vectors of token attributes to the output of an embedding.

    Args:
        embed (Model[List[Doc], List[Floats2d]]): The embedding.
        names (Sequence[str]): Attributes of spaCy's tokens ("POS", "TAG", "ENT_TYPE", "IS_TITLE", ...), and extension
            attributes of Token ("_.name"). Texts are hashed. Numbers and booleans are taken as they are. Any other
            object is converted by `str()`.
        tables (Model[Ints2d, Floats2d]): Computes vectors from the values (tokens, number of names), uint64.

    Returns:
        Model[List[Doc], List[Floats2d]]: One array (tokens, width of embed + width of tables) for each doc. Its
            forward pass raises ValueError if an extension attribute is not registered.

    Raises:
        ValueError: If spaCy does not know a name.
    """
    for name in names:
        if not name.startswith("_.") and not ATTRIBUTES.get(name):
            raise ValueError(
                f"TokenFeatures: no token attribute {name!r}; name one of spaCy's, for example 'POS', or an extension "
                "attribute as '_.name'"
            )
    return Model(
        "beside_token_features",
        _forward,
        init=_init,
        layers=[embed, tables],
        dims={"nO": None},
        attrs={"names": list(names)},
    )


def _init(model: Model[List[Doc], List[Floats2d]], X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    embed, tables = model.layers
    embed.initialize(X=X)
    values: Array = np.zeros((1, len(model.attrs["names"])), dtype="uint64")
    tables.initialize(X=model.ops.asarray(values))
    if embed.has_dim("nO"):
        model.set_dim("nO", embed.get_dim("nO") + tables.get_dim("nO"), force=True)


def _forward(
    model: Model[List[Doc], List[Floats2d]], docs: List[Doc], is_train: bool
) -> tuple[List[Floats2d], Backprop]:
    ops, (embed, tables) = model.ops, model.layers
    Xs, backprop_embed = embed(docs, is_train)
    lengths = np.array([len(doc) for doc in docs], dtype=np.int64)
    if not lengths.any():
        width = tables.get_dim("nO")
        Ys = [ops.xp.concatenate([X, ops.alloc2f(0, width)], axis=1) for X in Xs]
        return Ys, lambda dYs: backprop_embed([dY[:, :-width] for dY in dYs])
    values: Array = np.concatenate([token_values(doc, model.attrs["names"]) for doc in docs])
    features, backprop_tables = tables(ops.asarray(values), is_train)
    width = features.shape[1]

    def backprop(dYs: List[Floats2d]) -> Any:
        backprop_tables(ops.as_contig(ops.flatten(dYs)[:, -width:]))
        return backprop_embed([ops.as_contig(dY[:, :-width]) for dY in dYs])

    pairs = zip(Xs, split_rows(features, lengths), strict=True)
    return [ops.xp.concatenate(pair, axis=1) for pair in pairs], backprop


def token_values(doc: Doc, names: Sequence[str]) -> NDArray[np.uint64]:
    """Read token attributes of a doc.

    Args:
        doc (Doc): The doc.
        names (Sequence[str]): The attributes, see `with_token_features`.

    Returns:
        NDArray[np.uint64]: (tokens, number of names) The values.

    Raises:
        ValueError: If an extension attribute is not registered.
    """
    return np.stack([_values(doc, name) for name in names], axis=1)


def _values(doc: Doc, name: str) -> NDArray[np.uint64]:
    if not name.startswith("_."):
        return doc.to_array(name).astype("uint64")
    extension = name[2:]
    if not Token.has_extension(extension):
        raise ValueError(
            f"TokenFeatures: the extension attribute {name!r} is not registered. Call "
            f"Token.set_extension({extension!r}, ...), or have a component before this one do it"
        )
    return np.array([_as_number(token._.get(extension)) for token in doc], dtype="uint64")


def _as_number(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, (bool, int)):
        return int(value) % 2**64
    return hash_string(str(value))
