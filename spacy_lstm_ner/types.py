"""Type aliases for arrays and callbacks."""

from collections.abc import Callable, Mapping
from typing import Any, Dict, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]

Array = Any
"""A NumPy or CuPy array; CuPy need not be installed."""

Backprop = Callable[[Any], Any]
"""From the gradient of a layer's output to the gradient of its input."""

ParamShapes = Callable[[Mapping[str, Any]], Dict[str, Tuple[Optional[int], ...]]]
"""The shapes of a layer's parameters by name, from the layer's sizes.

A layer has such a function as `attrs["param_shapes"]`; functions in `attrs` are not saved. It takes the layer's
attributes and dimensions in one mapping, as the layer or a file has them. An unknown size is None, in the mapping and
in the shapes.
"""
