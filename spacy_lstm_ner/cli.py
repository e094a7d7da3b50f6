"""The commands ``python -m spacy lstm-ner convert``, ``evaluate`` and ``vectors``."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import spacy
import typer
from spacy.cli._util import app as spacy_app
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from spacy.util import load_model
from wasabi import msg

from .corpus import ReadReport, read_docs
from .vector_files import check_output, read_vectors, write_vectors

HELP = "Named entity recognition with recurrent networks: data and evaluation."

_ATTRIBUTES = ["SENT_START", "ENT_IOB", "ENT_TYPE"]
_OVERALL_SCORES = {
    "Entity precision": "ents_p",
    "Entity recall": "ents_r",
    "Entity F": "ents_f",
    "Token accuracy": "ents_token_acc",
    "Token accuracy in entities": "ents_token_acc_in_entities",
}

app = typer.Typer(name="lstm-ner", no_args_is_help=True, help=HELP, rich_markup_mode=None)
# spaCy loads this module for its entry point; the commands appear because the module mounts them.
spacy_app.add_typer(app)


@app.callback()
def commands() -> None:
    """Named entity recognition with recurrent networks: data and evaluation."""


@app.command("convert")
def convert_cli(
    input_path: Annotated[Path, typer.Argument(metavar="INPUT", help="Annotated file, or a folder of them")],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write, ending in .spacy")],
    format: Annotated[str, typer.Option("--format", "-f", help="conll, csv, inline, or auto")] = "auto",
    n_sents: Annotated[
        int, typer.Option("--n-sents", "-n", help="Sentences per doc; 0: whole documents if marked")
    ] = 0,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the text, for the tokenizer")] = "en",
    start: Annotated[float, typer.Option("--from", help="Begin at this fraction of a file's sentences")] = 0.0,
    stop: Annotated[float, typer.Option("--to", help="Stop at this fraction of a file's sentences")] = 1.0,
) -> None:
    """Turn annotated text into spaCy's binary format, and say what was read.

    The output replaces an older file only when all of it is written.
    """
    if output_path.suffix != ".spacy":
        msg.fail(f"Expected an output file that ends in .spacy, found {output_path}", exits=1)
    report = ReadReport()
    try:
        nlp = spacy.blank(lang)
        docs = read_docs(input_path, nlp, format, n_sents, (start, stop), report)
        data = DocBin(attrs=_ATTRIBUTES, store_user_data=False, docs=_with_progress(docs))
        if not report.docs:
            raise ValueError(f"{input_path}: expected sentences from {start} to {stop}, found none")
        write_atomically(output_path, data.to_bytes())
    except FileNotFoundError as error:
        msg.fail("Cannot find the input", error, exits=1)
    except (ValueError, OSError, ImportError) as error:
        msg.fail("Cannot convert", error, exits=1)
    msg.good(f"{report.docs} docs written to {output_path}")
    msg.table(report_rows(report), divider=True, header=("Read", str(input_path)))


@app.command("evaluate")
def evaluate_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Pipeline package or folder")],
    data_path: Annotated[Path, typer.Argument(metavar="DATA", help="File or folder in spaCy's binary format")],
    output: Annotated[Optional[Path], typer.Option("--output", "-o", help="JSON file for the scores")] = None,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Score a pipeline: entities, tokens, speed, and each entity type."""
    if not data_path.exists():
        msg.fail(f"Cannot find the data {data_path}", exits=1)
    setup_gpu(gpu_id)
    try:
        nlp = load_model(model)
        scores = evaluate(nlp, data_path)
    except (ValueError, OSError) as error:
        msg.fail(f"Cannot evaluate {model} on {data_path}", error, exits=1)
    msg.table(overall_rows(scores), title="Scores")
    per_type = scores.get("ents_per_type") or {}
    if per_type:
        header = ("Type", "P", "R", "F")
        msg.table(type_rows(per_type), header=header, aligns=("l", "r", "r", "r"), title="Entities by type")
    if output is not None:
        write_atomically(output, json.dumps(scores, indent=2).encode("utf-8"))
        msg.good(f"Scores written to {output}")


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


def evaluate(nlp: Language, data_path: Path) -> dict[str, Any]:
    """Scores of a pipeline on data in spaCy's binary format, with its speed in words per second.

    nlp: the pipeline.
    data_path: a ``.spacy`` file, or a folder of them.
    Raises ValueError if there is nothing to evaluate on.
    """
    examples = list(Corpus(data_path)(nlp))
    if not examples:
        raise ValueError(f"{data_path}: expected docs in .spacy files, found none")
    return nlp.evaluate(examples)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that no reader ever sees half of it, and a failure leaves the old one.

    path: the file; its folder is made if it is absent.
    data: what to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because only within a file system does a rename replace a file at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def report_rows(report: ReadReport) -> list[tuple[str, str]]:
    """The rows of the table that `convert` prints."""
    entities = report.entities.most_common()
    return [
        ("Files", str(report.files)),
        ("Format", _names(report.formats)),
        ("Encoding", _names(report.encodings)),
        ("Scheme", _names(report.schemes)),
        ("Documents", str(report.documents)),
        ("Sentences", str(report.sentences)),
        ("Tokens", str(report.tokens)),
        ("Entities", str(report.entities.total())),
        *((f"  {label}", str(count)) for label, count in entities),
        ("Docs without entities", str(report.docs_without_entities)),
        ("Comment lines", str(report.comments)),
        ("Repaired tags", str(report.repaired)),
        *(("", place) for place in report.repaired_places),
        ("Misaligned entities", str(report.misaligned)),
        *(("", place) for place in report.misaligned_places),
    ]


def overall_rows(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of the table of scores; a score that the pipeline does not give is a dash."""
    speed = scores.get("speed")
    return [
        *((name, _percent(scores.get(key))) for name, key in _OVERALL_SCORES.items()),
        ("Words per second", "-" if speed is None else f"{speed:,.0f}"),
    ]


def type_rows(per_type: Mapping[str, Mapping[str, Optional[float]]]) -> list[tuple[str, ...]]:
    """The rows of the table of scores by entity type, ordered by type."""
    return [(label, *(_percent(per_type[label].get(key)) for key in "prf")) for label in sorted(per_type)]


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(sorted(counts))


def _percent(score: Optional[float]) -> str:
    return "-" if score is None else f"{100 * score:.2f}"


def _with_progress(docs: Iterable[Doc]) -> Iterator[Doc]:
    """Pass docs on, and show how many went by; on standard error, so that the report can be piped."""
    with typer.progressbar(docs, label="Reading", show_pos=True, file=sys.stderr) as passing:
        yield from passing
