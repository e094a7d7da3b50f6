"""The files of the package that a call passes through, as a profile shows them."""

import inspect
import sys
from pathlib import Path

import spacy_lstm_ner

ROOT = Path(spacy_lstm_ner.__file__).parent
TRANSPARENT = {None, "threads.py"}
"""Code outside the package, and decorators, call on behalf of their caller."""


def _file(code):
    path = Path(code.co_filename)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else None


def trace(function):
    """RETURNS: the files in the order of their first call, and the pairs of files (caller, called).

    Callbacks (functions made within functions) are not among the pairs: who calls them does not know their file.
    """
    files, calls = [], set()

    def profile(frame, event, arg):
        called = _file(frame.f_code) if event == "call" else None
        if called is None:
            return
        if called not in files:
            files.append(called)
        caller = frame.f_back
        while caller is not None and _file(caller.f_code) in TRANSPARENT:
            caller = caller.f_back
        if caller is not None and not frame.f_code.co_flags & inspect.CO_NESTED:
            calls.add((_file(caller.f_code), called))

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return files, calls
