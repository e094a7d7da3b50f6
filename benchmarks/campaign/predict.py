"""Scores and entities of a trained pipeline. `runs.py` runs this as a program of its own.

Usage: PYTHONPATH=benchmarks python -m campaign.predict MODEL OUTPUT.json DATA.spacy [DATA.spacy ...] [--on-sentences]

Scores are those of the first file. Our scorer also scores spaCy's pipelines, since it has the token accuracy.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import spacy
from spacy.training import Corpus

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
    found: dict[str, Any] = {"scores": None, "entities": []}
    for path in args.data:
        examples = list(Corpus(path, gold_preproc=args.on_sentences)(nlp))
        docs = nlp.pipe([example.predicted for example in examples])
        for example, doc in zip(examples, docs, strict=True):
            example.predicted = doc
        if found["scores"] is None:
            scores = score_entities(examples)
            found["scores"] = {name: scores[name] for name in SCORES}
        found["entities"].append(entities_of(example.predicted for example in examples))
    write_atomically(args.output, json.dumps(found).encode())


if __name__ == "__main__":
    main()
