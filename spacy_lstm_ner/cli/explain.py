"""The command `python -m spacy lstm-ner explain`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.util import load_model
from wasabi import msg

from ..explain.analysis import explain_text
from ..explain.page import write_explanation
from ..pipeline.component import find_component
from .app import app, exit_on_error


@app.command("explain")
def explain_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder or an installed package")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text, best one sentence, in quotation marks")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder to write to")],
    pipe: Annotated[
        Optional[str], typer.Option("--pipe", "-p", help="Name of the component; by default, the first lstm_ner")
    ] = None,
) -> None:
    """Show what a component does with a text: gates, paths, and how far the influence of tokens reaches.

    Writes explain.html, explain.json with all numbers, and the figures as SVG and PNG.
    """
    with exit_on_error(f"Cannot explain what {model} does"):
        if find_spec("matplotlib") is None:
            raise ImportError("matplotlib is missing; install the extra: pip install 'spacy-lstm-ner[report]'")
        nlp = load_model(model)
        explanation = explain_text(nlp, find_component(nlp.pipeline, pipe), text)
        files = write_explanation(explanation, output_path)
    for note in explanation["notes"]:
        msg.warn(note)
    msg.good(f"{len(files)} files written to {output_path}; open {files[0]}")
