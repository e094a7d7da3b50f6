"""Where the real corpora are: in the folder that the environment variable LSTM_NER_DATA names.

The folder has `conll03/eng.train` and `eng.testa`, `wnut17/wnut17train.conll` and `emerging.dev.conll`,
`gmb/ner_dataset.csv`, and `domains/NAME-train.iob` and `NAME-dev.iob` for each NAME of `DOMAINS` in `campaign/rows.py`.
Not a benchmark itself.
"""

import os
import sys
from pathlib import Path

VARIABLE = "LSTM_NER_DATA"


def real(name: str) -> Path | None:
    """Path of a corpus or one of its files, or None if it is not there."""
    folder = os.environ.get(VARIABLE)
    path = Path(folder, name) if folder else None
    return path if path is not None and path.exists() else None


def needed(name: str) -> Path:
    """Path of a corpus or one of its files. Ends the program with a message if it is not there."""
    path = real(name)
    if path is None:
        sys.exit(without(name))
    return path


def without(*names: str) -> str:
    """Say that corpora are missing, and what to do."""
    folder = os.environ.get(VARIABLE)
    state = f"not in the folder {folder} that {VARIABLE} names" if folder else f"not found, since {VARIABLE} is not set"
    return f"{', '.join(names)}: {state}. Set it to the folder that has the corpora."
