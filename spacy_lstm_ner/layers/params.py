"""Parameters at initialization: the shapes that a layer declares, and parameters that depend on the training data."""

from typing import Any, Dict, Tuple

from thinc.api import Model

from ..types import Array


def declared_shapes(model: Model[Any, Any]) -> Dict[str, Tuple[int, ...]]:
    """The shapes that a layer declares for its parameters, see `ParamShapes`, for the sizes that it has.

    Args:
        model (Model): a layer with `attrs["param_shapes"]`.

    Returns:
        Dict[str, Tuple[int, ...]]: the shape of each parameter.

    Raises:
        ValueError: if a dimension of the layer is not set.
    """
    dims = {name: model.get_dim(name) for name in model.dim_names}
    return model.attrs["param_shapes"]({**model.attrs, **dims})


def init_param(model: Model[Any, Any], name: str, value: Array) -> None:
    """Give a parameter whose shape depends on the training data its first value.

    A gradient of an earlier training may have another shape, so it is reset.

    Args:
        model (Model): the layer.
        name (str): the name of the parameter.
        value (Array): the parameter, on the device of the layer.
    """
    model.set_param(name, value)
    if model.has_grad(name):
        model.set_grad(name, model.ops.xp.zeros_like(value))
