"""The commands ``python -m spacy lstm-ner ...``, one module for each subject."""

from . import confidence, convert, debug_data, evaluate, train, vectors
from .app import app

__all__ = ["app", "confidence", "convert", "debug_data", "evaluate", "train", "vectors"]
