"""``python -m spacy lstm-ner evaluate``"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.training import Corpus
from spacy.util import load_model
from wasabi import msg

from ..files import write_atomically
from .app import app

_OVERALL_SCORES = {
    "Entity precision": "ents_p",
    "Entity recall": "ents_r",
    "Entity F": "ents_f",
    "Token accuracy": "ents_token_acc",
    "Token accuracy in entities": "ents_token_acc_in_entities",
}


@app.command("evaluate")
def evaluate_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Pipeline package or folder")],
    data_path: Annotated[Path, typer.Argument(metavar="DATA", help="File or folder in spaCy's binary format")],
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="JSON file for the scores")] = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Score a pipeline: entities, tokens, speed, and each entity type."""
    if not data_path.exists():
        msg.fail(f"Cannot find the data {data_path}", exits=1)
    setup_gpu(gpu_id)
    try:
        nlp = load_model(model)
        scores = evaluate(nlp, data_path)
    except (ValueError, OSError) as error:
        msg.fail(f"Cannot evaluate {model} on {data_path}", error, exits=1)
    msg.table(overall_rows(scores), title="Scores")
    per_type = scores.get("ents_per_type") or {}
    if per_type:
        header = ("Type", "P", "R", "F")
        msg.table(type_rows(per_type), header=header, aligns=("l", "r", "r", "r"), title="Entities by type")
    if output is not None:
        write_atomically(output, json.dumps(scores, indent=2).encode("utf-8"))
        msg.good(f"Scores written to {output}")


def evaluate(nlp: Language, data_path: Path) -> dict[str, Any]:
    """Scores of a pipeline on data in spaCy's binary format, with its speed in words per second.

    nlp: the pipeline.
    data_path: a ``.spacy`` file, or a folder of them.
    Raises ValueError if there is nothing to evaluate on.
    """
    examples = list(Corpus(data_path)(nlp))
    if not examples:
        raise ValueError(f"{data_path}: expected docs in .spacy files, found none")
    return nlp.evaluate(examples)


def overall_rows(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of the table of scores; a score that the pipeline does not give is a dash."""
    speed = scores.get("speed")
    return [
        *((name, _percent(scores.get(key))) for name, key in _OVERALL_SCORES.items()),
        *own_rows(scores),
        ("Words per second", "-" if speed is None else f"{speed:,.0f}"),
    ]


def own_rows(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of what single components keep in doc.spans, where they report it."""
    keys = [key[len("spans_") : -len("_f")] for key in scores if key.startswith("spans_") and key.endswith("_f")]
    names = {"precision": "p", "recall": "r", "F": "f"}
    return [(f"{key}: {name}", _percent(scores[f"spans_{key}_{part}"])) for key in keys for name, part in names.items()]


def type_rows(per_type: Mapping[str, Mapping[str, Optional[float]]]) -> list[tuple[str, ...]]:
    """The rows of the table of scores by entity type, ordered by type."""
    return [(label, *(_percent(per_type[label].get(key)) for key in "prf")) for label in sorted(per_type)]


def _percent(score: Optional[float]) -> str:
    return "-" if score is None else f"{100 * score:.2f}"
