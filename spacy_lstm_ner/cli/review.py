"""The commands `python -m spacy lstm-ner review` and `correct`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.cli._util import setup_gpu
from spacy.tokens import Doc
from spacy.util import load_config
from thinc.api import Config
from wasabi import msg

from ..data.annotated_file import Entity, ReadOptions, Record
from ..data.corrections import correct, name_of, read_corrections
from ..data.facts import count_facts
from ..data.formats.spacy_binary import record_of
from ..data.languages import blank_pipeline
from ..data.reader import ReadReport, read_docs, read_records
from ..data.span_policy import DEFAULT_POLICY
from ..data.writers import output_format, write_annotated
from ..pipeline.component import find_component
from ..training.recipe import choose, make_config
from ..training.review import Doubt, Triple, cross_fit, review
from .app import app, exit_on_error
from .options import ColumnsOption, EncodingOption, FormatOption, TasksFormatOption, parse_columns


@app.command("review")
def review_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Annotated text: a file or a folder")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write; for brat, a folder")],
    config_path: Annotated[
        Optional[Path], typer.Option("--config", help="Training config; by default, what init-config writes")
    ] = None,
    folds: Annotated[int, typer.Option("--folds", "-k", min=2, help="Number of parts of the corpus")] = 5,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Number of places to write; 0 for all")] = 0,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the text")] = "en",
    format: FormatOption = "auto",
    encoding: EncodingOption = "",
    columns: ColumnsOption = "",
    out_format: TasksFormatOption = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="ID of the GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Find errors in the annotation of a corpus, the most probable first.

    Trains a model on all parts of the corpus but one, for each part, and compares the annotation of that part with what
    the model finds. Writes each place where they differ as a text with the suggested entities, in any format of
    convert. Review them in an annotation tool, and apply the accepted ones with `correct`.
    """
    with exit_on_error(f"Cannot review {corpus}"):
        written = output_format(output_path, out_format, "prodigy")
        setup_gpu(gpu_id)
        nlp = blank_pipeline(lang if config_path is None else load_config(config_path)["nlp"]["lang"])
        docs = list(read_docs(corpus, nlp, format, options=ReadOptions(encoding, parse_columns(columns))))
        config = _config(docs, corpus, lang) if config_path is None else load_config(config_path)
        doubts: list[Doubt] = []
        with typer.progressbar(length=folds, label="Training", file=sys.stderr) as bar:
            for trained, held_out in cross_fit(docs, config, folds):
                doubts.extend(review(trained, find_component(trained.pipeline), held_out))
                bar.update(1)
        doubts.sort(key=lambda doubt: -doubt.score)
        kept = doubts[: limit or None]
        records = (_task(docs[doubt.doc], doubt) for doubt in kept)
        model = f"review of {corpus.name}"
        write_annotated(records, output_path, written, nlp, DEFAULT_POLICY, ReadReport(), model, allow_empty=True)
    msg.good(f"{len(kept)} of {len(doubts)} places written to {output_path}")


def _config(docs: Sequence[Doc], corpus: Path, lang: str) -> Config:
    facts = count_facts(docs)
    if not facts.entities:
        raise ValueError(f"there are no entities in {facts.docs} docs. Check the data with debug-data")
    return make_config(choose(facts, False, "speed"), lang, {"train": str(corpus), "dev": None})


def _task(doc: Doc, doubt: Doubt) -> Record:
    """The doc with the suggestion in place of the annotation. Its identifier names the place."""
    start, end = doc[doubt.start].idx, doc[doubt.end - 1].idx + len(doc[doubt.end - 1])
    record = record_of(doc, f"text {doubt.doc + 1}")
    texts = {
        name: ", ".join(f"{doc[first:last].text} ({label})" for first, last, label in spans) or "no entity"
        for name, spans in (("annotated", doubt.annotated), ("suggested", doubt.suggested))
    }
    kept = [span for span in record.spans if span.end <= start or span.start >= end]
    return replace(
        record,
        spans=sorted([*kept, *_spans(doc, doubt.suggested)]),
        name=name_of(doubt.doc + 1, start, end),
        meta={"score": round(doubt.score, 6), **texts},
    )


def _spans(doc: Doc, spans: Sequence[Triple]) -> list[Entity]:
    return [Entity(doc[first].idx, doc[last - 1].idx + len(doc[last - 1]), label) for first, last, label in spans]


@app.command("correct")
def correct_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="The corpus that was reviewed")],
    reviewed: Annotated[Path, typer.Argument(metavar="REVIEWED", help="The output of review, as it was reviewed")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The corrected corpus")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Number of places to correct; 0 for all")] = 0,
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

    Reads what `review` wrote, after it was reviewed in an annotation tool. Places that were rejected or skipped stay as
    they are. If the file was not reviewed, all suggestions count as accepted.
    """
    with exit_on_error(f"Cannot correct {corpus}"):
        written = output_format(output_path, out_format)
        corrections = read_corrections(read_records(reviewed, reviewed_format), limit)
        options = ReadOptions(encoding, parse_columns(columns))
        records = correct(read_records(corpus, format, options=options), corrections)
        write_annotated(records, output_path, written, blank_pipeline(lang), DEFAULT_POLICY, ReadReport())
    msg.good(f"{sum(map(len, corrections.values()))} places corrected, and {output_path} written")
