"""The command `python -m spacy lstm-ner vectors`."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from wasabi import msg

from ..data.vector_files import read_vectors, write_vectors
from ..files import check_output
from .app import app, exit_on_error
from .progress import progress


@app.command("vectors")
def vectors_cli(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="Text file (may be .gz or .zip), .npy matrix, or pipeline (a folder or a package)"
        ),
    ],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder to write")],
    index: Annotated[
        Optional[Path],
        typer.Option("--index", "-i", help="Words of a .npy matrix: a text file with one word a line, or .parquet"),
    ] = None,
    prune: Annotated[
        Optional[int], typer.Option("--prune", "-p", help="Number of vectors to keep, from the start of the input")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the words")] = "en",
) -> None:
    """Convert word vectors to a pipeline folder to train with.

    Reads the text format of GloVe, word2vec and fastText, NumPy matrices, and the vectors of other pipelines. To train
    with the vectors, pass the folder as --paths.vectors. An existing folder is replaced only when the new one is
    complete.
    """
    with exit_on_error("Cannot convert", not_found="Cannot find the input"):
        check_output(output_path)
        path = Path(source)
        with progress("Reading", total=path.stat().st_size if path.is_file() else None, unit="B") as bar:
            table = read_vectors(source, index, prune, bar.update)
        with progress("Writing", total=len(table.words), unit="words") as bar:
            write_vectors(table, output_path, lang, bar.update)
    rows, width = table.data.shape
    msg.good(f"{len(table.words)} words with {rows} vectors of {width} dimensions written to {output_path}")
    if table.duplicates:
        msg.warn(f"{table.duplicates} repeated words were skipped; the first vector of a word counts")
    msg.info(f"To train with them: --paths.vectors {output_path}")
