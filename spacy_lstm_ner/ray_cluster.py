"""A connection to Ray, the extra `ray`: to a cluster, or to processes of this machine that no other one can reach."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Optional

_LOCAL = {"include_dashboard": False, "object_store_memory": 100 << 20}
"""For Ray on this machine. Only orders and replies are in its store, and by default it takes a third of the memory."""
_CLUSTER = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


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
    if address is not None:
        check_address(address, "a Ray cluster")
    import ray

    if ray.is_initialized():
        if address is not None:
            raise ValueError(f"expected no address, since this process is connected to Ray already, found {address}")
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with _on_loopback() if address is None else nullcontext():
        if address is None:
            ray.init("local", num_cpus=workers or None, **_LOCAL, **quiet)
        else:
            ray.init(address, **quiet)
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Keep Ray from listening to other machines.

    It makes another address of 127.0.0.1 unless a variable says, on Linux too, that this is no cluster. Its processes
    read the variable. This one may have imported Ray before.
    """
    from ray._private import ray_constants

    before = os.environ.get(_CLUSTER), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_CLUSTER], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before[1]
        os.environ.pop(_CLUSTER)
        if before[0] is not None:
            os.environ[_CLUSTER] = before[0]


def check_address(address: str, what: str) -> None:
    """Say at once that nothing is there. Ray tries for many minutes, and Spark for one.

    Args:
        address (str): HOST:PORT, or several with commas between. Other addresses are not checked.
        what (str): What is expected there.

    Raises:
        ConnectionError: If none of them answers.
    """
    found = ""
    for one in address.split(","):
        host, _, port = one.rpartition(":")
        if not port.isdigit() or "/" in host:
            return
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
            return
        except (OSError, OverflowError) as error:
            found = str(error)
    raise ConnectionError(f"expected {what} at {address}, found none: {found}")
