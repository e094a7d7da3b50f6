"""The command `python -m spacy lstm-ner uncertainty`."""

import json
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.util import load_model
from wasabi import msg

from ..data.texts import read_texts
from ..files import write_atomically
from ..pipeline.component import find_component
from ..pipeline.predict import Uncertainty
from ..pipeline.uncertainty import as_task, rank_by_uncertainty
from .app import app, exit_on_error


@app.command("uncertainty")
def uncertainty_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder or an installed package")],
    input_path: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help='Texts: a .jsonl file with a field "text", a .csv or .tsv file with a column "text", or a file with '
            "one text a line",
        ),
    ],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="JSONL file to write")],
    by: Annotated[str, typer.Option("--by", help=f"Measure: {', '.join(Uncertainty._fields)}")] = "least_confidence",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Number of texts to write; 0 for all")] = 0,
    pipe: Annotated[
        Optional[str], typer.Option("--pipe", "-p", help="Name of the component; by default, the first lstm_ner")
    ] = None,
) -> None:
    """Sort texts for annotation, the most uncertain first.

    Each line of the output has the text, its tokens, the predicted entities with their probabilities, and the
    uncertainty, in the format that Prodigy and similar tools read.
    """
    if by not in Uncertainty._fields:
        msg.fail(f"--by is {by!r}, but must be one of {', '.join(Uncertainty._fields)}", exits=1)
    with exit_on_error(f"Cannot sort {input_path}"):
        nlp = load_model(model)
        component = find_component(nlp.pipeline, pipe)
        ranked = rank_by_uncertainty(nlp, component, read_texts(input_path), by)
    kept = ranked[: limit or None]
    score_attr = component.cfg["score_attr"]
    lines = [json.dumps(as_task(doc, uncertainty, score_attr), ensure_ascii=False) for doc, uncertainty in kept]
    write_atomically(output_path, "".join(line + "\n" for line in lines).encode("utf-8"))
    msg.good(f"{len(kept)} of {len(ranked)} texts written to {output_path}")
