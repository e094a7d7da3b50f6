"""A connection to Ray, the extra `ray`: to a cluster, or to processes of this machine that no other one can reach."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

_LOCAL = {"include_dashboard": False, "object_store_memory": 100 << 20}
"""For Ray on this machine. Only orders and replies are in its store, and by default it takes a third of the memory."""


@contextmanager
def connected(address: Optional[str], workers: int) -> Iterator[None]:
    """Connect to Ray, until the end of a `with` block.

    Args:
        address (Optional[str]): The address of a cluster. None for the one that this process is connected to already,
            which stays connected, or else for a new one on this machine.
        workers (int): The cores of a new one; 0 for all.

    Yields:
        None: Once.

    Raises:
        ConnectionError: If there is no cluster with this address.
        ValueError: If there is an address, and this process is connected already.
    """
    # Ray reads these when it is imported or started: no reports to its authors; an interruption interrupts at once; no
    # log files beside ours.
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        TUNE_DISABLE_SIGINT_HANDLER="1",
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    )
    if address is None:
        # Ray makes another address of 127.0.0.1, and listens to all machines, unless this variable says, on Linux too,
        # that this is no cluster.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    else:
        _check_address(address)
    import ray

    if ray.is_initialized():
        if address is not None:
            raise ValueError(f"expected no address, since this process is connected to Ray already, found {address}")
        yield
        return
    local: dict[str, Any] = {} if address else {"num_cpus": workers or None, **_LOCAL}
    ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **local)
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Say at once that nothing is there. Ray tries for many minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise ConnectionError(f"expected a Ray cluster at {address}, found none: {error}") from error
