"""``python -m spacy lstm-ner uncertainty``"""

import json
from pathlib import Path
from typing import Annotated

import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model, minibatch
from wasabi import msg

from ..data.texts import read_texts
from ..files import write_atomically
from ..pipeline.component import LSTMEntityRecognizer, find_component
from ..pipeline.scores import Uncertainty, as_task
from .app import app


@app.command("uncertainty")
def uncertainty_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Pipeline package or folder")],
    input_path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Texts: .jsonl with a field text, or .txt with one a line")
    ],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="JSONL file to write")],
    by: Annotated[str, typer.Option("--by", help="least_confidence, margin or entropy")] = "least_confidence",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Texts to keep; 0: all")] = 0,
    pipe: Annotated[str, typer.Option("--pipe", "-p", help="Name of the component")] = "lstm_ner",
) -> None:
    """Put texts in the order in which annotating them teaches most: the most uncertain first.

    The output is in the form that annotation tools such as Prodigy read: text, tokens, spans, and the scores in meta.
    """
    if by not in Uncertainty._fields:
        msg.fail(f"--by is {by!r}, but must be one of {', '.join(Uncertainty._fields)}", exits=1)
    try:
        nlp = load_model(model)
        component = find_component(nlp, pipe)
        found: list[tuple[Doc, Uncertainty]] = []
        for docs in minibatch(nlp.pipe(read_texts(input_path)), 256):
            # As the component met them: what it wrote would constrain it now.
            fresh = list(docs)
            found.extend(zip(fresh, component.uncertainty(_before(nlp, component, fresh)), strict=True))
    except (ValueError, OSError) as error:
        msg.fail(f"Cannot sort {input_path}", error, exits=1)
    found.sort(key=lambda pair: -getattr(pair[1], by))
    kept = found[: limit or None]
    lines = [json.dumps(as_task(doc, doubt), ensure_ascii=False) for doc, doubt in kept]
    write_atomically(output_path, "".join(line + "\n" for line in lines).encode("utf-8"))
    msg.good(f"{len(kept)} of {len(found)} texts written to {output_path}")


def _before(nlp: Language, component: LSTMEntityRecognizer, docs: list[Doc]) -> list[Doc]:
    """The docs as they come to the component."""
    with nlp.select_pipes(enable=nlp.pipe_names[: nlp.pipe_names.index(component.name)]):
        return list(nlp.pipe(nlp.make_doc(doc.text) for doc in docs))
