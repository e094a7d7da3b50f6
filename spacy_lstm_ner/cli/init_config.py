"""The command `python -m spacy lstm-ner init-config`."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer
from wasabi import msg

from ..data.corpora import open_corpus
from ..data.facts import DataFacts, count_facts
from ..data.languages import blank_pipeline
from ..data.reader import AnnotatedText
from ..files import write_atomically
from ..pipeline.component import find_component
from ..pipeline.start import explained_start, load_start, uses_vectors
from ..training.recipe import choose, choose_from_start, make_config, render
from .app import app, exit_on_error


class Optimize(str, Enum):
    """What the config is for."""

    speed = "speed"
    accuracy = "accuracy"


@app.command("init-config")
def init_config_cli(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Config to write")],
    train: Annotated[Path, typer.Option("--train", "-t", help="Training data: a file or a folder")],
    dev: Annotated[Optional[Path], typer.Option("--dev", "-d", help="Dev data: a file or a folder")] = None,
    lang: Annotated[
        Optional[str], typer.Option("--lang", "-l", help="Language of the data; by default that of --start, or en")
    ] = None,
    vectors: Annotated[
        Optional[str], typer.Option("--vectors", "-v", help="Folder or package of a pipeline with word vectors")
    ] = None,
    optimize: Annotated[
        Optimize, typer.Option("--optimize", "-o", help="speed, or accuracy: characters and two wider layers")
    ] = Optimize.speed,
    start: Annotated[
        Optional[str],
        typer.Option("--start", "-s", help="Folder or package of a trained pipeline to start from, with other labels"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-F", help="Replace an existing file")] = False,
) -> None:
    """Write a training config that fits the data.

    Looks at the size of the training data, the length of its docs, its casing, its labels and its tokens, and writes a
    config whose comments give the reason for each choice. Train with `spacy train` or `spacy lstm-ner train`.
    """
    if output.exists() and not force:
        msg.fail(f"{output} exists", "Use --force to replace it, or choose another name", exits=1)
    with exit_on_error("Cannot write a config", not_found="Cannot find the data"):
        # Dev data that is named later is most likely of the same kind.
        corpora = {"train": open_corpus(train), "dev": open_corpus(dev or train)}
        with explained_start("lstm_ner", start):
            origin = None if start is None else load_start(start)
        language = lang or (origin.lang if origin is not None else None) or "en"
        facts = count_facts(example.reference for example in corpora["train"](blank_pipeline(language)))
        if not facts.entities:
            raise ValueError(f"{train}: there are no entities in {facts.docs} docs. Check the data with debug-data")
        if origin is None or start is None:
            choices = choose(facts, vectors is not None, optimize.value)
        else:
            with explained_start("lstm_ner", start):
                choices = choose_from_start(facts, origin, start)
            if vectors is None and uses_vectors(find_component(origin.components).model):
                vectors = start
        paths = {"train": str(train), "dev": None if dev is None else str(dev), "vectors": vectors}
        config = make_config(choices, language, paths)
        for name, reader in corpora.items():
            if isinstance(reader, AnnotatedText):
                config["corpora"][name]["@readers"] = "spacy-lstm-ner.AnnotatedText.v1"
        write_atomically(output, render(config, choices).encode("utf-8"))
    msg.table(fact_rows(facts), divider=True, header=("Training data", str(train)))
    msg.good(f"Config written to {output}")


def fact_rows(facts: DataFacts) -> list[tuple[str, str]]:
    """List the rows of the table that the command prints.

    Args:
        facts (DataFacts): The counts.

    Returns:
        list[tuple[str, str]]: Names and values.
    """
    return [
        ("Docs", f"{facts.docs:,}"),
        ("Sentences", f"{facts.sentences:,}"),
        ("Tokens", f"{facts.tokens:,}"),
        ("Tokens per doc", f"{facts.tokens_per_doc:.1f}"),
        ("Entities", f"{facts.entities:,}"),
        ("Labels", f"{len(facts.labels):,}"),
        ("Entities with a capital", f"{facts.capital_names:.0%}"),
        ("Other words with a capital", f"{facts.capital_words:.0%}"),
    ]
