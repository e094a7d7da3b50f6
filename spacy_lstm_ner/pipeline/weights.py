"""Read the weights of a tagger from bytes. They are checked against the model before any of them is used.

The format is that of Thinc's `Model.to_bytes`: a message of four lists, one entry for each layer.

nodes   name, dimensions, and references as numbers of layers
attrs   attributes, each packed by itself
params  arrays, or None if the layer is not initialized
shims   the state of layers of other frameworks, packed by them

The functions raise a ValueError that says what was expected and what was found. The caller adds the component and the
file.
"""

from collections.abc import Sequence
from typing import Any, Dict, List, NamedTuple, Tuple, Union

import numpy as np
from srsly import msgpack
from thinc.api import Model, deserialize_attr

from ..layers.crf.head import NOVELTY, fresh_output, head_scheme, swap_output, tag_layers
from .novelty import check_novelty

Message = Dict[str, List[Any]]


LONGEST_LIST = 2**16
"""msgpack allocates lists of the length that a file claims before it reads them, so that length is limited."""

_OF_THE_ARCHITECTURE = ("n_directions", "column", "pad")
"""Attributes that follow from the architecture. A file has the same ones."""
_WHOLE_NUMBERS = (
    "window",
    "context",
    "occurrences",
    "char_width",
    "rows",
    "max_chars",
    "min_count",
    "max_size",
    "seed",
)
"""Attributes that may differ from the config, and are whole numbers. Rates may be 0 in one place and 0.3 in another."""
_LARGEST = 2**32
"""Whole numbers of a file are smaller, so that they fit the integers of NumPy and of hash functions."""

_LISTS = ("nodes", "attrs", "params", "shims")
_SHAPES_OF_THINC: Dict[str, Dict[str, Tuple[str, ...]]] = {
    "linear": {"W": ("nO", "nI"), "b": ("nO",)},
    "maxout": {"W": ("nO", "nP", "nI"), "b": ("nO", "nP")},
    "layernorm": {"G": ("nI",), "b": ("nI",)},
    "hashembed": {"E": ("nV", "nO")},
}
"""The shapes of the parameters of Thinc's own layers. Layers of this package declare them, see `types.ParamShapes`."""


class _Entry(NamedTuple):
    """The content of a file for one layer. place: names the layer in messages. attrs: unpacked."""

    place: str
    dims: Dict[str, Any]
    attrs: Dict[str, Any]
    params: Dict[str, Any]


_decode_array = msgpack.msgpack_decoders.get("numpy")


def _decode_pairs(pairs: List[Tuple[Any, Any]]) -> Any:
    return _decode_array(dict(pairs))


def unpack(data: bytes) -> Any:
    """Decode a msgpack message.

    Args:
        data (bytes): The message.

    Returns:
        Any: Its content.

    Raises:
        ValueError: If the bytes are not a msgpack message.
    """
    # Without object_pairs_hook, srsly would search the entry points of all packages for decoders, once per attribute.
    bounds = {"max_array_len": LONGEST_LIST, "max_map_len": LONGEST_LIST}
    try:
        return msgpack.unpackb(data, raw=False, object_pairs_hook=_decode_pairs, **bounds)
    except Exception as error:
        # The decoder of arrays raises any error that NumPy raises for a wrong type.
        raise ValueError(
            f"expected {len(data)} bytes of msgpack, found something else or a part of it ({_short(error)})"
        ) from None


def read_model(data: bytes, model: Model[Any, Any], n_tags: int) -> Message:
    """Check the bytes of a model against a model. The model does not change.

    Args:
        data (bytes): The bytes.
        model (Model): The tagger.
        n_tags (int): The number of tags that the output layer must have in the bytes.

    Returns:
        Message: The message, without attributes that the model does not have. Attributes that are data are unpacked, in
            an additional list "values". Those that need the reader of their own package are left in "attrs".

    Raises:
        ValueError: If the bytes are damaged or of another architecture.
    """
    message, nodes = unpack(data), list(model.walk())
    if not isinstance(message, dict) or not all(isinstance(message.get(name), list) for name in _LISTS):
        raise ValueError("expected the weights of a model, found something else")
    for name in _LISTS:
        if len(message[name]) != len(nodes):
            raise ValueError(f"expected a model of {len(nodes)} layers, found {len(message[name])}")
    values: List[Dict[str, Any]] = []
    sized, place_of = {node.id for node in tag_layers(model)}, {node.id: k for k, node in enumerate(nodes)}
    for k, node in enumerate(nodes):
        info, attrs, params, shims = (message[name][k] for name in _LISTS)
        _require(isinstance(info, dict) and isinstance(attrs, dict), f"layer {k}", "name and attributes", info)
        place = f"layer {k} ({node.name[:40]})"
        _require(info.get("name") == node.name, f"layer {k}", f"{node.name!r}", info.get("name"))
        dims = _check_dims(node, info.get("dims"), place, n_tags if node.id in sized else None)
        _check_refs(node, info.get("refs"), place, place_of)
        entry = _Entry(place, dims, _check_attrs(node, attrs, place), params)
        if node.id == model.get_ref("head").id:
            _check_head(node, entry.attrs, place, n_tags)
        _check_params(node, entry)
        # Another version may have added attributes. They have no meaning here.
        saved = [name for name in attrs if _is_saved(node, name)]
        values.append({name: entry.attrs[name] for name in saved if name in entry.attrs})
        if node.id == model.get_ref("head").id and NOVELTY in entry.attrs:
            values[k][NOVELTY] = entry.attrs[NOVELTY]
        message["attrs"][k] = {name: attrs[name] for name in saved if name not in entry.attrs}
        packed = isinstance(shims, list) and all(isinstance(shim, bytes) for shim in shims)
        _require(packed and len(shims) == len(node.shims), place, f"{len(node.shims)} states of a framework", shims)
    return {**message, "values": values}


def apply_model(model: Model[Any, Any], message: Message, n_tags: int) -> None:
    """Give a model the weights that `read_model` has checked.

    Args:
        model (Model): The tagger.
        message (Message): From `read_model`.
        n_tags (int): As for `read_model`.

    Raises:
        ValueError: If a layer of another framework cannot take its state. The model stays as it was.
    """
    _apply_shims(list(model.walk()), message["shims"])
    output = model.get_ref("output_layer")
    if output.has_param("W") and output.get_dim("nO") != n_tags:
        # New nodes, since an optimizer remembers the shape of a node's parameters by its id.
        swap_output(model, *fresh_output(model, n_tags))
    for node in tag_layers(model):
        if node.has_dim("nO"):
            node.set_dim("nO", n_tags, force=True)
    before = [(node, name, _shape(node, name)) for node in model.walk() for name in node.param_names]
    model.from_dict({**message, "shims": [[] for _ in message["shims"]]})
    for node, info, values in zip(model.walk(), message["nodes"], message["values"], strict=True):
        node.attrs.pop(NOVELTY, None)
        node.attrs.update(values)
        for name, size in info["dims"].items():
            if size is None and node.has_dim(name):
                # Thinc has no public way to make a size unknown again.
                node._dims[name] = None
    for node, name, shape in before:
        if node.has_grad(name) and node.has_param(name) and _shape(node, name) != shape:
            # A gradient of an earlier training, with another vocabulary.
            node.set_grad(name, node.ops.xp.zeros_like(node.get_param(name)))


def _apply_shims(nodes: Sequence[Model[Any, Any]], states: Sequence[List[bytes]]) -> None:
    shims = [shim for node in nodes for shim in node.shims]
    old = [shim.to_bytes() for shim in shims]
    try:
        for shim, state in zip(shims, (state for own in states for state in own), strict=True):
            shim.from_bytes(state)
    except Exception as error:
        # Other frameworks may raise anything.
        for shim, state in zip(shims, old, strict=True):
            shim.from_bytes(state)
        raise ValueError(f"a layer of another framework cannot read its state ({_short(error)})") from None


def _check_dims(node: Model[Any, Any], dims: Any, place: str, n_tags: Union[int, None]) -> Dict[str, Any]:
    _require(isinstance(dims, dict) and set(dims) == set(node.dim_names), place, f"sizes of {node.dim_names}", dims)
    for name, size in dims.items():
        if size is None:
            continue
        expected = node.get_dim(name) if node.has_dim(name) else size
        if n_tags is not None and name == "nO":
            expected = n_tags
        whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        _require(whole and size == expected, place, f"{name} = {expected}", size)
    return dict(dims)


def _check_refs(node: Model[Any, Any], refs: Any, place: str, place_of: Dict[int, int]) -> None:
    own = {name: place_of.get(node.get_ref(name).id) if node.has_ref(name) else None for name in node.ref_names}
    # A copied layer that replaces a listener has fewer references.
    same = isinstance(refs, dict) and all(
        name in own and own[name] == number and type(own[name]) is type(number) for name, number in refs.items()
    )
    _require(same, place, f"references {own}", refs)


def _is_saved(node: Model[Any, Any], name: str) -> bool:
    """Whether an attribute is saved in files. Functions and caches are not."""
    own = node.attrs.get(name)
    reader = deserialize_attr.dispatch(type(own))
    is_data = own is None or isinstance(own, (bool, int, float, str, list, dict, np.ndarray))
    return name in node.attrs and (is_data or reader is not deserialize_attr.dispatch(object))


def _check_attrs(node: Model[Any, Any], packed: Dict[Any, Any], place: str) -> Dict[str, Any]:
    """Unpack the attributes. Texts must be those of the config, since they select code; numbers may differ."""
    found = {}
    for name, value in packed.items():
        where, own = f"{place}, attribute {name!r}", node.attrs.get(name)
        _require(isinstance(name, str) and isinstance(value, bytes), where, "a packed value", value)
        if deserialize_attr.dispatch(type(own)) is not deserialize_attr.dispatch(object):
            # Its own package reads it, when the model takes it.
            continue
        unpacked = unpack(value)
        if name == NOVELTY:
            _require(check_novelty(unpacked), where, "what `calibrate` knows about novelty", "something else")
            found[name] = unpacked
        elif name in node.attrs:
            _check_attr(name, own, unpacked, where)
            found[name] = unpacked
    return found


def is_text(value: Any) -> bool:
    """Whether an attribute of a layer is a text or a list of texts, which select code."""
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
    )


def _check_attr(name: str, own: Any, value: Any, where: str) -> None:
    if is_text(own) or name in _OF_THE_ARCHITECTURE:
        _require(type(value) is type(own) and value == own, where, repr(own), value)
    elif isinstance(own, bool) or isinstance(value, bool):
        _require(type(value) is type(own), where, f"{own!r} or another truth value", value)
    elif name in _WHOLE_NUMBERS and isinstance(own, int):
        same = isinstance(value, int) and (value == own or 0 <= value < _LARGEST)
        _require(same, where, f"a whole number such as {own}", value)
    elif isinstance(own, (int, float)):
        same = isinstance(value, (int, float)) and min(0, own) <= value < float("inf")
        _require(same, where, f"a number such as {own}", value)
    elif isinstance(own, np.ndarray):
        same = isinstance(value, np.ndarray) and value.dtype == own.dtype and value.ndim == own.ndim
        _require(same, where, f"an array of {own.dtype}", value)
    elif isinstance(own, list):
        _require(isinstance(value, list), where, "a list", value)


def _check_head(head: Model[Any, Any], attrs: Dict[str, Any], place: str, n_tags: int) -> None:
    own = {**head.attrs, **attrs}
    unseen, by_label = own["unseen"], own["label_temperatures"]
    known = all(type(tag) is int and 0 < tag < n_tags for tag in unseen)
    _require(known, place, f"tags from 1 to {n_tags - 1} as unseen", unseen)
    _require(len(by_label) <= head_scheme(head).n_labels(n_tags), place, "a temperature for each label", by_label)
    for value in (own["temperature"], *by_label):
        positive = isinstance(value, (int, float)) and 0 < value < float("inf")
        _require(positive, place, "temperatures greater than 0", value)


def _check_params(node: Model[Any, Any], entry: _Entry) -> None:
    names, params = set(node.param_names), entry.params
    _require(isinstance(params, dict) and set(params) == names, entry.place, f"parameters {sorted(names)}", params)
    shapes = _expected_shapes(node, entry)
    missing = sorted(name for name, array in params.items() if array is None)
    _require(not missing or len(missing) == len(params), entry.place, "all of its parameters", f"none for {missing}")
    for name, array in params.items():
        if array is None:
            continue
        where = f"{entry.place}, parameter {name!r}"
        _require(isinstance(array, np.ndarray) and array.dtype == np.float32, where, "an array of float32", array)
        own = _shape(node, name)
        expected = shapes.get(name, array.shape if own is None else own)
        _require(array.shape == expected, where, f"the shape {expected}", array.shape)


def _expected_shapes(node: Model[Any, Any], entry: _Entry) -> Dict[str, Tuple[int, ...]]:
    """The shapes of the parameters of the layers that are known here, for the sizes that the file has."""
    if not any(array is not None for array in entry.params.values()):
        return {}
    sizes = {**node.attrs, **entry.attrs, **entry.dims}
    if "param_shapes" in node.attrs:
        declared = node.attrs["param_shapes"](sizes)
    else:
        declared = {
            name: tuple(sizes.get(size) for size in shape)
            for name, shape in _SHAPES_OF_THINC.get(node.name, {}).items()
        }
    shapes = {}
    for name, shape in declared.items():
        if name in entry.params:
            _require(None not in shape, entry.place, f"sizes for {name!r}", f"dimensions {entry.dims}")
            shapes[name] = shape
    return shapes


def _shape(node: Model[Any, Any], name: str) -> Union[Tuple[int, ...], None]:
    return tuple(node.get_param(name).shape) if node.has_param(name) else None


def _require(holds: bool, place: str, expected: str, found: Any) -> None:
    if not holds:
        raise ValueError(f"{place}: expected {expected}, found {_short(found)}")


def _short(value: Any) -> str:
    text = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else str(value)
    return text if len(text) <= 80 else text[:80] + "…"
