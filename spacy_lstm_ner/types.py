"""Type aliases that say what an array or a callback is."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]

Array = Any
"""A NumPy or CuPy array; CuPy need not be installed."""

Backprop = Callable[[Any], Any]
"""From the gradient of a layer's output to that of its input."""
