"""The settings that all recurrent layers share."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RecurrentOptions:
    """The settings of a stack of recurrent layers with any cell. They are checked when they are created.

    Attributes:
        name (str): The registered name of the layer, such as "LSTM" or "LSTMEncoder", for errors.
        bidirectional (bool): Whether to read each sequence in both directions.
        depth (int): The number of layers on top of each other.
        dropout (float): The rate of locked dropout on each layer's input and on the output, from 0 to below 1.
        recurrent_dropout (float): The rate of dropout on the recurrent weights, from 0 to below 1.
        residual (bool): Whether to add a layer's input to its output where their widths agree.
        learn_initial_state (bool): Whether to learn the states that sequences start from, instead of zeros.
        window (int): The number of tokens in a window. Longer sequences are cut into windows. 0: never.
        context (int): The number of tokens before each window that the recurrence runs through first.

    Raises:
        ValueError: If a setting is out of range.
    """

    name: str
    bidirectional: bool = True
    depth: int = 1
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    residual: bool = False
    learn_initial_state: bool = False
    window: int = 0
    context: int = 0

    def __post_init__(self) -> None:
        _check_whole(self.name, depth=self.depth, window=self.window, context=self.context)
        if self.depth < 1:
            raise ValueError(f"{self.name}: depth is {self.depth}, but must be at least 1")
        for rate in ("dropout", "recurrent_dropout"):
            value = getattr(self, rate)
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{self.name}: {rate} is {value}, but must be at least 0 and less than 1")
        for tokens in ("window", "context"):
            value = getattr(self, tokens)
            if value < 0:
                raise ValueError(f"{self.name}: {tokens} is {value} tokens, but must be at least 0 (0: off)")

    @property
    def n_directions(self) -> int:
        """1 or 2."""
        return 2 if self.bidirectional else 1


def hidden_width(name: str, width: int, n_directions: int) -> int:
    """Compute the width of one direction.

    Args:
        name (str): The name of the layer, for errors.
        width (int): The width of the output, all directions together.
        n_directions (int): 1 or 2.

    Returns:
        int: The width divided by the number of directions.

    Raises:
        ValueError: If the width is not a whole number, is too small, or is odd for two directions.
    """
    _check_whole(name, width=width)
    if width < n_directions or width % n_directions:
        even = "an even number of at least 2 (it is shared by two directions)"
        raise ValueError(f"{name}: width is {width}, but must be {even if n_directions == 2 else 'at least 1'}")
    return width // n_directions


def _check_whole(name: str, **settings: int) -> None:
    for setting, value in settings.items():
        if not isinstance(value, (int, np.integer)):
            raise ValueError(f"{name}: {setting} is {value!r}, but must be a whole number")
