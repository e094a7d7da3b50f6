"""Pipelines of a language whose tokenizer may be missing."""

from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc


def blank_pipeline(lang: str) -> Language:
    """Make a blank pipeline. Data that gives its own tokens needs no tokenizer, so one that is missing is no error yet.

    Args:
        lang (str): The language.

    Returns:
        Language: The pipeline. If a package that the tokenizer needs is not installed, as SudachiPy for Japanese, the
            tokenizer raises spaCy's ImportError when it is called.

    Raises:
        ImportError: If spaCy has no such language.
    """
    try:
        return spacy.blank(lang)
    except ImportError as error:
        nlp = spacy.blank(lang, config={"nlp": {"tokenizer": {"@tokenizers": "spacy.Tokenizer.v1"}}})
        nlp.tokenizer = _MissingTokenizer(error)
        return nlp


class _MissingTokenizer:
    """Stands for a tokenizer that cannot be made."""

    def __init__(self, error: ImportError) -> None:
        self._error = error

    def __call__(self, text: Any) -> Doc:
        raise self._error
