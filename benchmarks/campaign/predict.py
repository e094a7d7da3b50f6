"""Scores and entities of a trained pipeline. `runs.py` runs this as a program of its own.

Usage: PYTHONPATH=benchmarks python -m campaign.predict MODEL OUTPUT.json DATA.spacy [DATA.spacy ...] [--on-sentences]

Scores are those of the first file, also under other conditions: on its annotated sentences alone, in lower case, and in
capitals. Our scorer also scores spaCy's pipelines, since it has the token accuracy.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Corpus, Example

from spacy_lstm_ner.files import write_atomically
from spacy_lstm_ner.pipeline.scorer import score_entities
from training import SCORES

from .entities import entities_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--on-sentences", action="store_true", help="predict single sentences, as annotated")
    args = parser.parse_args()
    nlp = spacy.load(args.model)
    parts = [predicted(nlp, Corpus(path, gold_preproc=args.on_sentences)(nlp)) for path in args.data]
    found = {
        "scores": scores_of(parts[0]),
        "conditions": {
            "sentences": scores_of(predicted(nlp, Corpus(args.data[0], gold_preproc=True)(nlp))),
            "lower": scores_of(predicted(nlp, recased(parts[0], str.lower))),
            "upper": scores_of(predicted(nlp, recased(parts[0], str.upper))),
        },
        "entities": [entities_of(example.predicted for example in examples) for examples in parts],
    }
    write_atomically(args.output, json.dumps(found).encode())


def predicted(nlp: Language, examples: Iterable[Example]) -> list[Example]:
    """The examples with predictions."""
    found = list(examples)
    for example, doc in zip(found, nlp.pipe([example.predicted for example in found]), strict=True):
        example.predicted = doc
    return found


def scores_of(examples: Iterable[Example]) -> dict[str, Any]:
    """The scores that are stored."""
    scores = score_entities(examples)
    return {name: scores[name] for name in SCORES}


def recased(examples: Iterable[Example], change: Callable[[str], str]) -> Iterator[Example]:
    """Examples with the same tokens in another casing, and nothing predicted."""
    for example in examples:
        gold = example.reference
        words, spaces = [change(token.text) for token in gold], [bool(token.whitespace_) for token in gold]
        reference = Doc(gold.vocab, words, spaces)
        reference.ents = [Span(reference, ent.start, ent.end, ent.label_) for ent in gold.ents]
        yield Example(Doc(gold.vocab, words, spaces), reference)


if __name__ == "__main__":
    main()
