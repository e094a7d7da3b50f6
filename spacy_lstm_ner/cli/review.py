"""The commands `python -m spacy lstm-ner review` and `correct`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.util import load_config
from wasabi import msg

from ..data.annotated_file import ReadOptions, Record
from ..data.corrections import correct, read_corrections
from ..data.formats.spacy_binary import record_of
from ..data.languages import blank_pipeline
from ..data.reader import ReadReport, read_docs, read_records
from ..data.span_policy import DEFAULT_POLICY, make_doc
from ..data.writers import check_target, output_format, write_annotated
from ..pipeline.component import find_component
from ..training.review import Review, config_for, cross_fit, review
from .app import app, exit_on_error, warn_of_losses
from .options import ColumnsOption, EncodingOption, FormatOption, TasksFormatOption, parse_columns
from .progress import progress

_TASKS = ("prodigy", "label-studio")
"""The formats that keep the identifiers of the places."""
_LOW_F1 = 0.7


@app.command("review")
def review_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Annotated text: a file or a folder")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write")],
    config_path: Annotated[
        Optional[Path], typer.Option("--config", help="Training config; by default, what init-config writes")
    ] = None,
    folds: Annotated[int, typer.Option("--folds", "-k", min=2, help="Number of parts of the corpus")] = 5,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Number of places to write; 0 for all")] = 0,
    pipe: Annotated[
        Optional[str], typer.Option("--pipe", "-p", help="Name of the component; by default, the first lstm_ner")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the text, unless --config names it")] = "en",
    format: FormatOption = "auto",
    encoding: EncodingOption = "",
    columns: ColumnsOption = "",
    out_format: TasksFormatOption = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="ID of the GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Find errors in the annotation of a corpus, the most probable first.

    Trains a model on all parts of the corpus but one, for each part, and compares the annotation of that part with what
    the model finds. Writes each place where they differ as a text with the suggested entities, in the format prodigy or
    label-studio. Review them in an annotation tool, and apply the accepted ones with `correct`.
    """
    report, result = ReadReport(), Review()
    with exit_on_error(f"Cannot review {corpus}"):
        written = output_format(output_path, out_format, "prodigy")
        if written not in _TASKS:
            raise ValueError(
                f"expected the output format {' or '.join(_TASKS)}, which `correct` reads, found {written}"
            )
        check_target(output_path, written)
        setup_gpu(gpu_id)
        config = None if config_path is None else load_config(config_path)
        nlp = blank_pipeline(lang if config is None else config.get("nlp", {}).get("lang") or lang)
        options = ReadOptions(encoding, parse_columns(columns))
        with progress("Reading", read_docs(corpus, nlp, format, report=report, options=options), unit="docs") as read:
            docs = list(read)
        config = config_for(docs, lang) if config is None else config
        with progress("Training", cross_fit(docs, config, folds), folds, "folds") as bar:
            for trained, held_out in bar:
                result += review(trained, find_component(trained.pipeline, pipe), held_out)
        result.doubts.sort(key=lambda doubt: -doubt.score)
        kept = result.doubts[: limit or None]
        records = (doubt.task(docs[doubt.doc]) for doubt in kept)
        model = f"review of {corpus.name}"
        write_annotated(records, output_path, written, nlp, DEFAULT_POLICY, ReadReport(), model, allow_empty=True)
    warn_of_losses(report)
    msg.good(f"{len(kept)} of {len(result.doubts)} places written to {output_path}")
    agreement = f"Annotation and models agree with an F1 of {result.f1:.2f}"
    if result.f1 < _LOW_F1:
        msg.warn(agreement, "So many suggestions will be wrong. More data, or more --folds, makes better models")
    else:
        msg.info(agreement)


@app.command("correct")
def correct_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="The corpus that was reviewed")],
    reviewed: Annotated[Path, typer.Argument(metavar="REVIEWED", help="The output of review, as it was reviewed")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The corrected corpus")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Number of places to read; 0 for all")] = 0,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the text, for the tokenizer")] = "en",
    format: FormatOption = "auto",
    encoding: EncodingOption = "",
    columns: ColumnsOption = "",
    reviewed_format: Annotated[
        str, typer.Option("--reviewed-format", "-r", help="Format of REVIEWED, or auto to recognize it")
    ] = "auto",
    out_format: Annotated[
        Optional[str], typer.Option("--output-format", "-o", help="Format to write; by default by the suffix")
    ] = None,
) -> None:
    """Apply reviewed corrections to a corpus.

    Reads what `review` wrote, after it was reviewed in an annotation tool. All changes in the accepted texts are
    applied. Rejected, ignored and skipped places stay as they are. If entities are lost, the exit code is 1.
    """
    report, changes = ReadReport(), Counter[str]()
    with exit_on_error(f"Cannot correct {corpus}"):
        written = output_format(output_path, out_format)
        check_target(output_path, written)
        corrections = read_corrections(read_records(reviewed, reviewed_format), limit)
        options, nlp = ReadOptions(encoding, parse_columns(columns)), blank_pipeline(lang)
        records = correct(_as_reviewed(nlp, corpus, format, options, report), corrections, changes)
        write_annotated(records, output_path, written, nlp, DEFAULT_POLICY, report, allow_empty=True)
    accepted = sum(map(len, corrections.values()))
    warn_of_losses(report)
    msg.good(
        f"{accepted} accepted places: {changes['removed']} entities removed, {changes['added']} added, and "
        f"{output_path} written"
    )
    if lost := report.problems.lost():
        msg.fail(f"{lost} entities were lost", exits=1)


def _as_reviewed(
    nlp: Language, corpus: Path, format: str, options: ReadOptions, report: ReadReport
) -> Iterator[Record]:
    """The texts of a corpus with the entities that `review` saw."""
    for record in read_records(corpus, format, options=options):
        doc = make_doc(nlp, record, DEFAULT_POLICY, report.problems)
        yield replace(record_of(doc, record.place), name=record.name, meta=record.meta)
