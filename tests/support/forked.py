"""Processes that have imported spaCy already.

They are forked from one that has, because the import takes longer than most commands do. Where the system cannot fork,
they import it themselves.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

TESTS = Path(__file__).parent.parent
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def start(target: Callable[..., None], args: tuple, folder: Path, env: Mapping[str, str], output: Path) -> BaseProcess:
    """Call a function in a process of its own, as in a session that is started in a folder.

    Args:
        target (Callable[..., None]): The function, by its place in a module.
        args (tuple): Its arguments.
        folder (Path): The current folder.
        env (Mapping[str, str]): The environment.
        output (Path): A file that what the process prints is added to.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["spacy.cli", "spacy_lstm_ner.cli"])
        with mock.patch.dict(os.environ, ONE_THREAD):
            forkserver.ensure_running()
    process = context.Process(target=_call, args=(target, args, folder, dict(env), output))
    process.start()
    return process


def _call(target: Callable[..., None], args: tuple, folder: Path, env: dict[str, str], output: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = ["", *(path for path in sys.path if path != "" and not Path(path).is_relative_to(TESTS))]
    with open(output, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    target(*args)


def run_spacy(*words: object, folder: Path, env: Mapping[str, str], output: Path | None = None) -> tuple[str, int]:
    """Run `python -m spacy`. Returns what it prints, and the exit code.

    Args:
        *words (object): The words of the command after `spacy`.
        folder (Path): The current folder.
        env (Mapping[str, str]): The environment.
        output (Path | None): A file that the output is also added to.
    """
    with tempfile.TemporaryDirectory() as temporary:
        file = output or Path(temporary) / "output.txt"
        process = start(_run_spacy, tuple(map(str, words)), folder, env, file)
        process.join()
        return file.read_text("utf8"), process.exitcode or 0


def _run_spacy(*words: str) -> None:
    sys.argv = ["spacy", *words]
    runpy.run_module("spacy", run_name="__main__", alter_sys=True)
