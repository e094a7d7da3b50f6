"""Parameters at initialization: the shapes that a layer declares, and the gradients of an earlier training."""

from typing import Any, Dict, Tuple

from thinc.api import Model

from ..types import Array


def declared_shapes(model: Model[Any, Any]) -> Dict[str, Tuple[int, ...]]:
    """The shapes that a layer declares for its parameters, see `ParamShapes`, for the sizes that it has.

    Args:
        model (Model): A layer with `attrs["param_shapes"]`.

    Returns:
        Dict[str, Tuple[int, ...]]: The shape of each parameter.

    Raises:
        ValueError: If a dimension of the layer is not set.
    """
    dims = {name: model.get_dim(name) for name in model.dim_names}
    return model.attrs["param_shapes"]({**model.attrs, **dims})


def init_param(model: Model[Any, Any], name: str, value: Array) -> None:
    """Give a parameter its first value. If it was trained before, with another shape, its gradient is reset too.

    Args:
        model (Model): The layer.
        name (str): The name of the parameter.
        value (Array): The parameter, on the device of the layer.
    """
    model.set_param(name, value)
    if model.has_grad(name):
        model.set_grad(name, model.ops.xp.zeros_like(value))
