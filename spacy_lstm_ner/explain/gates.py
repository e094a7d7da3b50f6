"""Gates and states of a recurrent layer, by token.

Notation as in `packed` and `cells`: D directions, H hidden units, K blocks; G gates, the first blocks.
"""

from typing import Any, Dict, List

import numpy as np

from ..types import Array, Floats
from .observed import LayerRun


def gates_by_token(layer: LayerRun) -> Floats:
    """Read the gates of a layer. A token in the context of a window counts in its own window only.

    Args:
        layer (LayerRun): What the layer computed.

    Returns:
        Floats: (D, n_tokens, G, H) The activations of the gates, between 0 and 1, in the order of `Cell.blocks`.
    """
    gates = layer.run.activations(layer.packed)[:, : layer.cell.sigmoids]
    return np.stack([gates[rows, :, direction] for direction, rows in enumerate(layer.packed.target)])


def state_norms(layer: LayerRun) -> Floats:
    """Compute how large the state of a layer is.

    Args:
        layer (LayerRun): What the layer computed.

    Returns:
        Floats: (D, n_tokens) The Euclidean norm of the cell state or, if the cell has none, of the hidden state.
    """
    states: Array = layer.run.kept if layer.cell.carries else layer.run.h
    own = [states[rows, direction] for direction, rows in enumerate(layer.packed.target)]
    return np.linalg.norm(np.stack(own), axis=-1)


def window_starts(layer: LayerRun) -> List[List[int]]:
    """Find where windows start.

    Args:
        layer (LayerRun): What the layer computed, for one text.

    Returns:
        List[List[int]]: For each direction, the first token of each window after its context, in reading order.
    """
    found = []
    for direction, rows in enumerate(layer.packed.target):
        tokens = np.arange(len(rows))[:: -1 if direction else 1]
        before = layer.packed.previous_or_start[rows[tokens]]
        starts = np.ones(len(tokens), dtype=bool)
        starts[1:] = before[1:] != rows[tokens[:-1]]
        found.append(tokens[starts].tolist())
    return found


def describe_layer(layer: LayerRun) -> Dict[str, Any]:
    """Describe a layer with JSON values: the mean of each gate over the units, and the norm of the state.

    Args:
        layer (LayerRun): What the layer computed.

    Returns:
        Dict[str, Any]: The name of the cell, which state it is, and for each direction its gates and norms by token,
            and where windows start.
    """
    directions: List[Dict[str, Any]] = []
    names = layer.cell.blocks[: layer.cell.sigmoids]
    found = zip(gates_by_token(layer), state_norms(layer), window_starts(layer), strict=True)
    for reads, (gates, norms, starts) in zip(("left to right", "right to left"), found, strict=False):
        means = dict(zip(names, gates.mean(axis=-1).T.tolist(), strict=True))
        directions.append({"reads": reads, "gates": means, "state_norm": norms.tolist(), "window_starts": starts})
    state = "cell state" if layer.cell.carries else "hidden state"
    return {"cell": layer.cell.name, "state": state, "directions": directions}
