"""The group of commands ``python -m spacy lstm-ner``."""

import typer
from spacy.cli._util import app as spacy_app

app = typer.Typer(
    name="lstm-ner",
    no_args_is_help=True,
    help="Named entity recognition with recurrent networks: data, evaluation, confidence.",
    rich_markup_mode=None,
)
# spaCy loads this module for its entry point; the commands appear because the module mounts them.
spacy_app.add_typer(app)


@app.callback()
def commands() -> None:
    """Named entity recognition with recurrent networks: data, evaluation, confidence."""
