"""The command `python -m spacy lstm-ner annotate`."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from wasabi import msg

from .app import app, exit_on_error
from .options import parse_columns

BAD_ROWS = 3
"""The exit code if some rows could not be annotated."""


@app.command("annotate")
def annotate_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder or an installed package")],
    input: Annotated[str, typer.Argument(metavar="INPUT", help="A file, a folder, or a pattern in quotes")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for the rows; to resume, that of the job")],
    engine: Annotated[str, typer.Option("--engine", help="What runs the workers: local, ray or spark")] = "local",
    address: Annotated[
        Optional[str], typer.Option("--address", "--master", help="Cluster of Ray or Spark; by default this machine")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=0, help="Processes; 0: one on each core")] = 0,
    format: Annotated[
        str,
        typer.Option("--format", "-f", help="Format of the input: jsonl, csv, text or parquet; auto: by the suffix"),
    ] = "auto",
    output_format: Annotated[str, typer.Option("--output-format", "-o", help="jsonl or parquet")] = "jsonl",
    columns: Annotated[
        str, typer.Option("--columns", "-c", help="Columns or fields by their meaning, such as text=body,id=key")
    ] = "",
    text: Annotated[bool, typer.Option("--text", "-t", help="Write the texts too")] = False,
    n_best: Annotated[int, typer.Option("--n-best", min=0, help="Most probable analyses to write too")] = 0,
    doubt: Annotated[
        bool, typer.Option("--doubt", help="Write the doubt about each text too, see calibrate --train")
    ] = False,
    docbin: Annotated[bool, typer.Option("--docbin", help="Write the docs too, as docs-*.spacy")] = False,
    threshold: Annotated[
        Optional[float], typer.Option("--threshold", min=0.0, max=1.0, help="Replaces the thresholds of the components")
    ] = None,
    max_length: Annotated[int, typer.Option("--max-length", min=1, help="Most characters of a text")] = 1_000_000,
    timeout: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds for a document")] = 60.0,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", min=1, help="Most rows of a batch")] = 256,
    part_rows: Annotated[int, typer.Option("--part-rows", min=1, help="Rows of a part of the output")] = 2000,
    code: Annotated[
        Optional[Path], typer.Option("--code", help="Python file with functions that the pipeline needs")
    ] = None,
) -> None:
    """Annotate many documents on all cores: from files of texts to rows with an id and entities.

    Killed and started again, it does only what is missing. Rows that cannot be annotated are in OUTPUT/bad-*.jsonl with
    their place and the reason; the exit code is 3 if there are any.
    """
    with exit_on_error(f"Cannot annotate {input}"):
        from ..batch.job import annotate, terminal

        try:
            summary = annotate(
                input,
                model,
                output,
                engine=engine,
                address=address,
                workers=workers,
                format=format,
                output_format=output_format,
                columns=parse_columns(columns),
                text=text,
                n_best=n_best,
                doubt=doubt,
                docbin=docbin,
                threshold=threshold,
                max_length=max_length,
                timeout=timeout,
                batch_size=batch_size,
                part_rows=part_rows,
                code=code,
                progress=terminal(),
            )
        except RuntimeError as error:
            raise ValueError(f"{error}. What is done stays: start the command again to go on") from error
        except KeyboardInterrupt:
            msg.warn("Interrupted: what is done stays. Start the command again to go on", exits=130)
    bad = sum(summary.bad.values())
    msg.good(
        f"{output}: {summary.rows - bad:,} rows annotated in {summary.parts:,} parts"
        + (f", {summary.resumed:,} rows of them by earlier runs" if summary.resumed else "")
    )
    if bad:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in summary.bad.most_common())
        msg.warn(f"{bad:,} rows were not annotated, see {output}/bad-*.jsonl: {kinds}")
        raise typer.Exit(BAD_ROWS)
