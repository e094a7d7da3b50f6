"""The commands `python -m spacy lstm-ner ...`, one module for each."""

from . import (
    annotate,
    calibrate,
    compare,
    convert,
    debug_data,
    evaluate,
    explain,
    init_config,
    report,
    review,
    serve,
    sweep,
    teach,
    train,
    uncertainty,
    vectors,
)
from .app import app

__all__ = [
    "annotate",
    "app",
    "calibrate",
    "compare",
    "convert",
    "debug_data",
    "evaluate",
    "explain",
    "init_config",
    "report",
    "review",
    "serve",
    "sweep",
    "teach",
    "train",
    "uncertainty",
    "vectors",
]
