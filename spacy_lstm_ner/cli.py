"""The commands ``python -m spacy lstm-ner ...``."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import spacy
import typer
from spacy.cli._util import app as spacy_app
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from spacy.util import load_model, minibatch
from wasabi import msg

from .calibration import Reliability, reliability
from .calibration import fit as fit_temperatures
from .calibration import score as score_calibration
from .component import LSTMEntityRecognizer
from .confidence import Uncertainty, as_task
from .corpus import ReadReport, read_docs

HELP = "Named entity recognition with recurrent networks: data, evaluation, confidence."

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
    """Named entity recognition with recurrent networks: data, evaluation, confidence."""


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


@app.command("calibrate")
def calibrate_cli(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained pipeline")],
    data_path: Annotated[Path, typer.Argument(metavar="DEV", help="Held-out data in spaCy's binary format")],
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", help="Folder for the calibrated pipeline; default: MODEL")
    ] = None,
    report: Annotated[Optional[Path], typer.Option("--report", "-r", help="JSON file for the figures")] = None,
    pipe: Annotated[str, typer.Option("--pipe", "-p", help="Name of the component")] = "lstm_ner",
) -> None:
    """Fit temperatures to held-out data, so that the scores of entities are what their names say.

    Reported are the expected calibration error and the Brier score of predicted entities before and after. "After" is
    measured on each half of the docs with the temperatures of the other half; those that are kept come from all.
    """
    try:
        nlp = load_model(model)
        component = find_component(nlp, pipe)
        before, after = calibrate(nlp, component, data_path)
        if output is None:
            write_atomically(model / pipe / "model", component.model.to_bytes())
        else:
            nlp.to_disk(output)
    except (ValueError, OSError) as error:
        msg.fail(f"Cannot calibrate {model} on {data_path}", error, exits=1)
    attrs = component.model.get_ref("head").attrs
    msg.table(
        [
            ("Expected calibration error", f"{before.ece:.4f}", f"{after.ece:.4f}"),
            ("Brier score", f"{before.brier:.4f}", f"{after.brier:.4f}"),
        ],
        header=("", "Before", "After"),
        aligns=("l", "r", "r"),
    )
    rows = [(f"{b.confidence:.3f}", f"{b.precision:.3f}", str(b.entities)) for b in after.bins]
    msg.table(rows, header=("Confidence", "Precision", "Entities"), aligns=("r", "r", "r"), title="After, by bin")
    temperatures = zip(component.labels, attrs["label_temperatures"], strict=True)
    own = ", ".join(f"{label} {value:.2f}" for label, value in temperatures if value != 1.0)
    msg.good(f"Temperature {attrs['temperature']:.2f}" + (f", by label: {own}" if own else ""))
    if report is not None:
        figures = {"before": before._asdict(), "after": after._asdict(), "temperature": attrs["temperature"]}
        figures["label_temperatures"] = dict(zip(component.labels, attrs["label_temperatures"], strict=True))
        write_atomically(report, json.dumps(figures, indent=2).encode("utf-8"))


def calibrate(nlp: Language, component: LSTMEntityRecognizer, data_path: Path) -> tuple[Reliability, Reliability]:
    """Calibrate a component of a pipeline on held-out data; see `calibration`.

    RETURNS: reliability before, and after by two-fold cross-fitting.
    Raises ValueError if there is nothing to fit to.
    """
    examples = list(Corpus(data_path)(nlp))
    for example in examples:
        for _, proc in nlp.pipeline[: nlp.pipe_names.index(component.name)]:
            example.predicted = proc(example.predicted)
    given = component.model, component.labels, component.cfg
    first = score_calibration(given[0], examples, *given[1:])
    scores, right = [], []
    for k in (0, 1):
        fit_temperatures(given[0], examples[1 - k :: 2], *given[1:])
        held_out = score_calibration(given[0], examples[k::2], *given[1:])
        scores.append(held_out.scores)
        right.append(held_out.right)
    fit_temperatures(given[0], examples, *given[1:])
    return reliability(first.scores, first.right), reliability(np.concatenate(scores), np.concatenate(right))


def find_component(nlp: Language, name: str) -> LSTMEntityRecognizer:
    """The named component of a pipeline. Raises ValueError if there is none of that name, or it is of another kind."""
    component = nlp.get_pipe(name) if name in nlp.pipe_names else None
    if not isinstance(component, LSTMEntityRecognizer):
        ours = [pipe for pipe, proc in nlp.pipeline if isinstance(proc, LSTMEntityRecognizer)]
        raise ValueError(
            f"No lstm_ner component {name!r} in the pipeline; choose one with --pipe: "
            f"{', '.join(ours) or 'there is none'}"
        )
    return component


@app.command("uncertainty")
def uncertainty_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Pipeline package or folder")],
    input_path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Texts: .jsonl with a field text, or .txt with one a line")
    ],
    output_path: Annotated[Path, typer.Argument(metavar="OUTPUT", help="JSONL file to write")],
    by: Annotated[str, typer.Option("--by", help="least_confidence, margin or entropy")] = "least_confidence",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Texts to keep; 0: all")] = 0,
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


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a .jsonl file (field "text") or of the lines of any other file; empty lines are left out.

    Raises ValueError that names the line for a line of another form.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if path.suffix != ".jsonl":
                yield line.rstrip("\n")
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number}: expected JSON, found {line.strip()[:80]!r} ({error})") from error
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise ValueError(
                    f'{path}:{number}: expected an object with a string "text", found {line.strip()[:80]!r}'
                )
            yield record["text"]


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
