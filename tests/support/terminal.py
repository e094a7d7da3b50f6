"""What a command writes to stderr, with and without a terminal."""

import os
import struct
import sys
import threading

import pytest

from spacy_lstm_ner.cli import app


def stderr_of(*arguments, terminal):
    """Run `python -m spacy lstm-ner` with some arguments. Returns what it writes to a pseudo-terminal, or to a pipe."""
    ours, theirs = _open_terminal() if terminal else os.pipe()
    written = []
    reader = threading.Thread(target=_read, args=(ours, written))
    reader.start()
    before = sys.stderr
    with open(theirs, "w", encoding="utf-8") as sys.stderr:
        try:
            app([str(argument) for argument in arguments], standalone_mode=False)
        finally:
            sys.stderr = before
    reader.join()
    os.close(ours)
    return b"".join(written).decode("utf-8")


def _open_terminal():
    """A pseudo-terminal of 80 columns. A new one has none, so that nothing is shown."""
    fcntl, termios = (
        pytest.importorskip(name, reason="there are no pseudo-terminals") for name in ("fcntl", "termios")
    )
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    return ours, theirs


def _read(file, written):
    try:
        while part := os.read(file, 4096):
            written.append(part)
    except OSError:
        # On Linux, this is the end of what a closed terminal has.
        pass
