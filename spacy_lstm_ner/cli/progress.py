"""The progress bars of the commands."""

import sys
from collections.abc import Iterable
from typing import Any, Optional

from tqdm import tqdm

_WITH_TOTAL = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt}{unit} [{elapsed}<{remaining}{postfix}]"
_WITHOUT = "{desc}: {n_fmt}{unit} [{elapsed}]"


def progress(
    label: str, items: Optional[Iterable[Any]] = None, total: Optional[int] = None, unit: str = "steps"
) -> Any:
    """Make a progress bar on stderr, so that the output can be piped. If stderr is no terminal, nothing is shown.

    Use it as the context of a `with` statement, so that it is gone before an error is printed.

    Args:
        label (str): What is done.
        items (Optional[Iterable[Any]]): What to iterate over; the bar gives them one after the other. None: the
            method `update(n)` says that n more are done.
        total (Optional[int]): The number of items, if it is known and `items` has no length.
        unit (str): What is counted, such as "docs"; "B" for bytes.

    Returns:
        Any: The bar, of tqdm, as in spaCy's training.
    """
    is_bytes, has_total = unit == "B", total is not None or hasattr(items, "__len__")
    return tqdm(
        items,
        label,
        total,
        leave=False,
        file=sys.stderr,
        disable=None,
        unit=unit if is_bytes else f" {unit}",
        unit_scale=is_bytes,
        bar_format=_WITH_TOTAL if has_total else _WITHOUT,
        dynamic_ncols=True,
    )
