"""The learning rate during training."""

from collections.abc import Iterator
from itertools import repeat
from typing import Union

_NAME = "spacy-lstm-ner.warmup_linear.v1"


def warmup_linear(initial_rate: float, total_steps: Union[int, str], warmup: float = 0.5) -> Iterator[float]:
    """Create the schedule `spacy-lstm-ner.warmup_linear.v1`: the rate rises from 0, and then falls to 0.

    It differs from Thinc's `warmup_linear.v1` in that the warm-up is a share of all steps. So a config that gives
    `${training.max_steps}` as `total_steps` needs no other change when it trains for more or fewer steps.

    Args:
        initial_rate (float): The highest rate, greater than 0.
        total_steps (Union[int, str]): The step from which on the rate is 0, at least 1. If it is a variable that is not
            filled in, the rate is always `initial_rate`: `nlp.resume_training` and `nlp.create_optimizer` read only the
            block of the optimizer.
        warmup (float): The share of the steps in which the rate rises, from 0 to 1.

    Returns:
        Iterator[float]: The rate of each step.

    Raises:
        ValueError: If a value is out of range.
    """
    if not initial_rate > 0:
        raise ValueError(f"{_NAME}: initial_rate is {initial_rate}, but must be greater than 0")
    if not 0.0 <= warmup <= 1.0:
        raise ValueError(f"{_NAME}: warmup is {warmup}, but must be from 0 to 1")
    if isinstance(total_steps, str) and total_steps.startswith("${"):
        return repeat(initial_rate)
    if isinstance(total_steps, str) or total_steps < 1:
        raise ValueError(
            f"{_NAME}: total_steps is {total_steps!r}, but must be a number, at least 1. If it follows "
            "training.max_steps, and that is 0 for no limit, give a number"
        )
    return _rates(initial_rate, total_steps, max(1, round(warmup * total_steps)))


def _rates(highest: float, total_steps: int, peak: int) -> Iterator[float]:
    for step in range(total_steps):
        rising, falling = step / peak, (total_steps - step) / max(1, total_steps - peak)
        yield highest * min(rising, falling)
    yield from repeat(0.0)
