"""Run the matrix products of this package on one thread.

A step of a recurrence is a product that takes some microseconds, and the next step waits for it. Several threads cost
more time than they save, most of all on busy cores.

NumPy's wheels for Linux and Windows multiply with OpenBLAS, which has one number of threads for the whole process. A
function with `on_one_thread` sets it to 1 and sets it back at its end, so products outside run as before. Nothing
happens if the number is the user's own choice, or with other libraries than OpenBLAS.
"""

import ctypes
import os
import re
from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Optional, ParamSpec, TypeVar

import numpy as np

VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
"""The environment variables that OpenBLAS reads, the first one that is set."""
ONE_THREAD_ENV = dict.fromkeys((*VARIABLES, "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
"""The environment of a process that is to use one thread, whatever library NumPy and Thinc multiply with."""

_PREFIXES, _SUFFIXES = ("scipy_", ""), ("64_", "", "_64")
_PTHREADS = 1
"""OpenBLAS's own threads. If it was built with OpenMP instead, other libraries share the setting."""

P = ParamSpec("P")
T = TypeVar("T")


class OpenBLAS:
    """The number of threads of an OpenBLAS library.

    Args:
        find (Callable[[str], Any]): Looks up a function of the library by its name without prefix and suffix. It raises
            AttributeError if there is none.

    Attributes:
        get (Callable[[], int]): Returns the number of threads.
        set (Callable[[int], None]): Sets it.
        default (int): The number if nobody chose one: all processors.
    """

    def __init__(self, find: Callable[[str], Any]) -> None:
        self.get: Callable[[], int] = find("get_num_threads")
        self.set: Callable[[int], None] = find("set_num_threads")
        about = find("get_config")
        about.restype = ctypes.c_char_p
        most = re.search(rb"MAX_THREADS=(\d+)", about())
        processors = find("get_num_procs")()
        self.default: int = processors if most is None else min(processors, int(most[1]))


class OneThread:
    """A block in which OpenBLAS uses one thread. Blocks may be nested, and run in several threads at once.

    A number other than the default was set on purpose, by threadpoolctl for example, and stays. So does the default if
    an environment variable asks for it.

    Args:
        blas (Optional[OpenBLAS]): The library; None if products need no setting.
    """

    def __init__(self, blas: Optional[OpenBLAS]) -> None:
        self.blas = blas
        self._lock = Lock()
        self._blocks = 0
        self._before = 0

    def __enter__(self) -> None:
        if self.blas is None:
            return
        with self._lock:
            if not self._blocks and self.blas.get() == self.blas.default > 1:
                self._before = self.blas.default
                self.blas.set(1)
            self._blocks += 1

    def __exit__(self, *error: Any) -> None:
        if self.blas is None:
            return
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._restore(self.blas)

    def after_fork(self) -> None:
        """Leave all blocks in a forked process: the threads that were in them do not exist there."""
        self._lock, self._blocks = Lock(), 0
        if self.blas is not None:
            self._restore(self.blas)

    def _restore(self, blas: OpenBLAS) -> None:
        # If it is no longer 1, somebody chose another number in the meantime.
        if self._before and blas.get() == 1:
            blas.set(self._before)
        self._before = 0


def find_openblas() -> Optional[OpenBLAS]:
    """Find the OpenBLAS that NumPy multiplies with.

    Returns:
        Optional[OpenBLAS]: The library. None if NumPy has another library, if OpenBLAS has no threads of its own, or if
            an environment variable asks for several threads.
    """
    chosen = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    number = re.match(r"\s*\d+", chosen)
    if number is not None and int(number[0]) > 1:
        return None
    for library in _libraries():
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:

                def find(name: str, library: Any = library, prefix: str = prefix, suffix: str = suffix) -> Any:
                    return getattr(library, f"{prefix}openblas_{name}{suffix}")

                try:
                    return OpenBLAS(find) if find("get_parallel")() == _PTHREADS else None
                except AttributeError:
                    continue
    return None


def _libraries() -> Iterator[Any]:
    """NumPy's extension module, through which all systems but Windows find the functions of the library it needs; then
    that library itself, where NumPy's wheels for Windows have it."""
    module = import_module("numpy._core._multiarray_umath")
    for path in (module.__file__, *(Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*")):
        try:
            # The calls take less than a microsecond, so they keep the GIL.
            yield ctypes.PyDLL(str(path))
        except OSError:
            continue


ONE_THREAD = OneThread(find_openblas())

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ONE_THREAD.after_fork)


def on_one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Run a function's matrix products on one thread.

    Args:
        function (Callable): The function.

    Returns:
        Callable: The same function, in a block of `ONE_THREAD`.
    """

    @wraps(function)
    def on_one(*args: P.args, **kwargs: P.kwargs) -> T:
        with ONE_THREAD:
            return function(*args, **kwargs)

    return on_one
