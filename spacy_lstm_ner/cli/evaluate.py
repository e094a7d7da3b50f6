"""The command `python -m spacy lstm-ner evaluate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from spacy.cli._util import setup_gpu
from spacy.util import load_model
from wasabi import msg

from ..annotation.gold_report import Finding
from ..data.corpora import read_examples
from ..data.tokenization import count_retokenized
from .app import app, exit_on_error, print_numbers, write_json

_OVERALL_SCORES = {
    "Entity precision": "ents_p",
    "Entity recall": "ents_r",
    "Entity F": "ents_f",
    "Token accuracy": "ents_token_acc",
    "Token accuracy in entities": "ents_token_acc_in_entities",
}


@app.command("evaluate")
def evaluate_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder or an installed package")],
    data_path: Annotated[Path, typer.Argument(metavar="DATA", help="Annotated data: a file or a folder")],
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="JSON file to write the scores to")] = None,
    from_text: Annotated[
        bool, typer.Option("--from-text", help="Use the tokens of the pipeline, also where the data gives its own")
    ] = False,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="ID of the GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Evaluate a trained pipeline and print its entity scores.

    Prints precision, recall and F-score (in percent) overall and for each entity type, the accuracy of the tokens'
    tags, and the speed in words per second. Data of columns gives its own tokens, and the pipeline is scored on these.
    With --from-text, it is scored on the tokens that its tokenizer makes of the text, as in use.
    """
    if not data_path.exists():
        msg.fail(f"Cannot find the data {data_path}", exits=1)
    setup_gpu(gpu_id)
    with exit_on_error(f"Cannot evaluate {model} on {data_path}"):
        nlp = load_model(model)
        examples = read_examples(nlp, data_path, from_text)
        scores = nlp.evaluate(examples)
        found = Finding()
        for example in examples:
            count_retokenized(example, nlp.tokenizer, found)
    msg.table(overall_rows(scores), title="Scores")
    per_type = scores.get("ents_per_type") or {}
    if per_type:
        print_numbers(type_rows(per_type), ("Type", "P", "R", "F"), "Entities by type")
    if found.count:
        n_entities = sum(len(example.reference.ents) for example in examples)
        msg.warn(
            f"{found.count} of {n_entities} entities have other tokens than the tokenizer makes of the text: {found}",
            "The scores are for the tokens of the data. For scores on raw text, use --from-text",
        )
    if output is not None:
        write_json(output, scores)
        msg.good(f"Scores written to {output}")


def overall_rows(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the rows of the table of scores. A score that the pipeline does not have is a dash.

    Args:
        scores (Mapping[str, Any]): What `nlp.evaluate` returned.

    Returns:
        list[tuple[str, str]]: A name and a value each. Scores are in percent, the speed in words per second.
    """
    speed = scores.get("speed")
    return [
        *((name, _percent(scores.get(key))) for name, key in _OVERALL_SCORES.items()),
        *_spans_rows(scores),
        ("Words per second", "-" if speed is None else f"{speed:,.0f}"),
    ]


def _spans_rows(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows for the entities that single components keep in groups of `doc.spans`, if those are scored."""
    keys = [key[len("spans_") : -len("_f")] for key in scores if key.startswith("spans_") and key.endswith("_f")]
    names = {"precision": "p", "recall": "r", "F": "f"}
    return [(f"{key}: {name}", _percent(scores[f"spans_{key}_{part}"])) for key in keys for name, part in names.items()]


def type_rows(per_type: Mapping[str, Mapping[str, Optional[float]]]) -> list[tuple[str, ...]]:
    """List the rows of the table of scores by entity type.

    Args:
        per_type (Mapping[str, Mapping[str, Optional[float]]]): The scores "p", "r" and "f" of each type, from 0 to 1.

    Returns:
        list[tuple[str, ...]]: The type and its scores in percent, ordered by type.
    """
    return [(label, *(_percent(per_type[label].get(key)) for key in "prf")) for label in sorted(per_type)]


def _percent(score: Optional[float]) -> str:
    return "-" if score is None else f"{100 * score:.2f}"
