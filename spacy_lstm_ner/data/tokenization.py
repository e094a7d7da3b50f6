"""Tokens of annotated data beside those that a tokenizer makes of its text."""

import warnings
from collections.abc import Callable

from spacy.tokens import Doc
from spacy.training import Example

from ..annotation.gold_report import EXAMPLES_SHOWN, Finding


def count_retokenized(example: Example, tokenizer: Callable[[str], Doc], found: Finding) -> None:
    """Count gold entities with other tokens than the tokenizer makes of the text.

    A file of columns gives tokens, and not the text between them. Its text is then the tokens with a space after each.

    Args:
        example (Example): The annotated text, with the tokens that the model sees in its predicted doc.
        tokenizer (Callable[[str], Doc]): The tokenizer of the pipeline. If it raises an ImportError, because a package
            that it needs is not installed, there is a warning, and nothing is counted.
        found (Finding): Where to count. Its examples have the tokens of the tokenizer.
    """
    reference, predicted = example.reference, example.predicted
    if not reference.ents or reference.text != predicted.text:
        return
    try:
        retokenized = tokenizer(reference.text)
    except ImportError as error:
        # Data that gives its own tokens needs no tokenizer.
        warnings.warn(
            f"entities that the tokenizer would cut are not counted, because it is missing: {error}", stacklevel=2
        )
        return
    for ent in reference.ents:
        limits = ent.start_char, ent.end_char
        own, other = (_words(doc, *limits) for doc in (predicted, retokenized))
        if own == other:
            continue
        if found.count < EXAMPLES_SHOWN:
            found.add(f"{ent.text!r} ({ent.label_}) becomes {' | '.join(other)}")
        else:
            found.count += 1


def _words(doc: Doc, start: int, end: int) -> list[str]:
    """The tokens that share a character with a part of the text."""
    span = doc.char_span(start, end, alignment_mode="expand")
    return [] if span is None else [token.text for token in span]
