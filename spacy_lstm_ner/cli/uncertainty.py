"""The command `python -m spacy lstm-ner uncertainty`."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.util import load_model
from wasabi import msg

from ..data.annotated_file import ReadOptions
from ..data.formats.spacy_binary import record_of
from ..data.reader import ReadReport, read_records, read_texts
from ..data.span_policy import DEFAULT_POLICY
from ..data.writers import name_and_version, output_format, write_annotated
from ..pipeline.component import find_component
from ..pipeline.predict import Uncertainty
from ..pipeline.uncertainty import choose_diverse, rank_by_uncertainty
from .app import app, exit_on_error
from .options import (
    ColumnsOption,
    EncodingOption,
    FormatOption,
    TasksFormatOption,
    parse_columns,
)
from .progress import progress


@app.command("uncertainty")
def uncertainty_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder or an installed package")],
    input_path: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help='Texts: a .jsonl file with a field "text", a .csv or .tsv file with a column "text", a file with one '
            "text a line, or any format of convert",
        ),
    ],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write; for brat, a folder")],
    by: Annotated[str, typer.Option("--by", help=f"Measure: {', '.join(Uncertainty._fields)}")] = "least_confidence",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Number of texts to write; 0 for all")] = 0,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Of uncertain texts, choose --limit that are different, and not too long")
    ] = False,
    annotated: Annotated[
        Optional[Path],
        typer.Option("--annotated", "-a", help="Texts that are annotated already and are left out: a file or a folder"),
    ] = None,
    pipe: Annotated[
        Optional[str], typer.Option("--pipe", "-p", help="Name of the component; by default, the first lstm_ner")
    ] = None,
    format: FormatOption = "auto",
    encoding: EncodingOption = "",
    columns: ColumnsOption = "",
    out_format: TasksFormatOption = None,
) -> None:
    """Choose texts for annotation, the most uncertain first.

    Writes each text with the predicted entities. The formats prodigy, doccano and label-studio also hold the
    uncertainty, and all but doccano, brat, conll, webanno and spacy hold the probabilities of the entities.
    """
    if by not in Uncertainty._fields:
        msg.fail(f"--by is {by!r}, but must be one of {', '.join(Uncertainty._fields)}", exits=1)
    if diverse and not limit:
        msg.fail("--diverse needs the number of texts to choose: add --limit", exits=1)
    with exit_on_error(f"Cannot sort {input_path}"):
        written = output_format(output_path, out_format, "prodigy")
        nlp = load_model(model)
        component = find_component(nlp.pipeline, pipe)
        options = ReadOptions(encoding, parse_columns(columns))
        with progress("Reading", read_texts(input_path, format, options=options), unit="texts") as read:
            texts = list(read)
        known = set() if annotated is None else {_words(text) for text in _texts_and_sentences(annotated)}
        new = [text for text in texts if _words(text) not in known]
        with progress("Predicting", new, unit="texts") as shown:
            ranked = rank_by_uncertainty(nlp, component, shown, by)
        kept = choose_diverse(component, ranked, by, limit) if diverse else ranked[: limit or None]
        records = (
            replace(record_of(doc, f"{output_path}:{k}", component.cfg["score_attr"]), meta=_rounded(doubt))
            for k, (doc, doubt) in enumerate(kept, 1)
        )
        version = name_and_version(nlp)
        write_annotated(records, output_path, written, nlp, DEFAULT_POLICY, ReadReport(), version, allow_empty=True)
    msg.good(f"{len(kept)} of {len(ranked)} texts written to {output_path}")
    if annotated is not None:
        msg.info(f"{len(texts) - len(ranked)} texts of {input_path} are annotated in {annotated}, and were left out")


def _texts_and_sentences(path: Path) -> Iterator[str]:
    """The texts of an annotated corpus, and their sentences if they are known."""
    for record in read_records(path):
        yield record.text
        for start, end in pairwise([*(record.sents or ()), len(record.text)]):
            yield record.text[start:end]


def _words(text: str) -> str:
    """A text without its white space, which files with a word a line do not keep."""
    return "".join(text.split())


def _rounded(doubt: Uncertainty) -> dict[str, object]:
    """The measures with six digits."""
    return {name: round(value, 6) for name, value in doubt._asdict().items()}
