"""Parameters at initialization: the shapes that a layer declares, and parameters that depend on the training data."""

from typing import Any, Dict, Tuple

from thinc.api import Model

from ..types import Array


def declared_shapes(model: Model[Any, Any]) -> Dict[str, Tuple[int, ...]]:
    """Compute the shapes of the parameters that a layer declares, see `ParamShapes`, from its sizes.

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
    """Give a parameter whose shape depends on the training data its first value.

    A gradient of an earlier training may have another shape, so it is reset.

    Args:
        model (Model): The layer.
        name (str): The name of the parameter.
        value (Array): The parameter, on the device of the layer.
    """
    model.set_param(name, value)
    if model.has_grad(name):
        model.set_grad(name, model.ops.xp.zeros_like(value))
