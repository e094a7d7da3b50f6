"""The commands ``python -m spacy lstm-ner ...``, one module for each subject."""

from . import confidence, convert, evaluate, train, vectors
from .app import app

__all__ = ["app", "confidence", "convert", "evaluate", "train", "vectors"]
