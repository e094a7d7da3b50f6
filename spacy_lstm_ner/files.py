"""Writing files so that nobody ever sees half of one."""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that no reader ever sees half of it, and a failure leaves the old one.

    path: the file; its folder is made if it is absent.
    data: what to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because only within a file system does a rename replace a file at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
