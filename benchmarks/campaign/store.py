"""The stored results of trainings: a file of JSON lines, one line for each training.

A line has the run's `key` (its fingerprint), its `id` for the reader, `scores` on the row's data, `parts` (scores by
type and so on), times of the `training` with its evaluations on dev, and the `versions` and `machine` it was made with.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spacy_lstm_ner.files import write_atomically


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Read the results.

    Args:
        path (Path): The file. It may be absent.

    Returns:
        dict[str, dict[str, Any]]: Results by key, in the order of the file.

    Raises:
        ValueError: If a line is not a result.
    """
    found = {}
    for number, line in enumerate(path.read_text("utf8").splitlines() if path.exists() else (), 1):
        try:
            result = json.loads(line)
            found[result["key"]] = result
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: expected a JSON object with a key, found {line[:60]!r}") from error
    return found


def add(path: Path, result: Mapping[str, Any]) -> None:
    """Add a result as the last line. It takes the line of an earlier result with the same key.

    Several processes can do this at once, and readers see the old file or the new one.

    Args:
        path (Path): The file, which is made if it is absent.
        result (Mapping[str, Any]): What `json` can write, with a `key`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        results = {**read(path), result["key"]: result}
        lines = (json.dumps(each, sort_keys=True, separators=(",", ":")) for each in results.values())
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process has the folder's lock, which ends with the process. Windows has none."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
