"""``python -m spacy lstm-ner vectors``"""

from pathlib import Path
from typing import Annotated, Optional

import typer
from wasabi import msg

from ..data.vector_files import read_vectors, write_vectors
from ..files import check_output
from .app import app


@app.command("vectors")
def vectors_cli(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="Text of GloVe's form, .npy, or a pipeline")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder to write")],
    index: Annotated[
        Optional[Path], typer.Option("--index", "-i", help="Words of a .npy file: one a line, or .parquet")
    ] = None,
    prune: Annotated[Optional[int], typer.Option("--prune", "-p", help="Keep so many vectors, the first ones")] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the words")] = "en",
) -> None:
    """Turn word vectors into a folder for the setting vectors in [initialize].

    The output replaces an older one only when all of it is written.
    """
    try:
        check_output(output_path)
        table = read_vectors(source, index, prune)
        write_vectors(table, output_path, lang)
    except FileNotFoundError as error:
        msg.fail("Cannot find the input", error, exits=1)
    except (ValueError, OSError, ImportError) as error:
        msg.fail("Cannot convert", error, exits=1)
    rows, width = table.data.shape
    msg.good(f"{len(table.words)} words with {rows} vectors of {width} dimensions written to {output_path}")
    if table.duplicates:
        msg.warn(f"{table.duplicates} words came again and were left out; the first vector of each counts")
    msg.info(f"To train with them: --paths.vectors {output_path}")
