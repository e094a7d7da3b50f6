"""``python -m spacy lstm-ner calibrate`` and ``uncertainty``"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Corpus
from spacy.util import load_model, minibatch
from wasabi import msg

from ..calibration import Reliability, reliability
from ..calibration import fit as fit_temperatures
from ..calibration import score as score_calibration
from ..component import LSTMEntityRecognizer
from ..confidence import Uncertainty, as_task
from ..files import save_pipeline, write_atomically
from .app import app


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
            component.to_disk(model / pipe, exclude=["vocab"])
        else:
            save_pipeline(nlp, output)
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
    Raises ValueError if there is nothing to fit to, or to measure on.
    """
    examples = list(Corpus(data_path)(nlp))
    annotated = [example for example in examples if example.reference.has_annotation("ENT_IOB")]
    if len(annotated) < 2:
        raise ValueError(f"{data_path}: expected at least two docs with entity annotation, found {len(annotated)}")
    examples = annotated
    if not all(any(example.reference.ents for example in examples[k::2]) for k in (0, 1)):
        raise ValueError(
            f"{data_path}: expected entities in both halves, of every other doc each, found "
            f"{sum(len(example.reference.ents) for example in examples)} entities in {len(examples)} docs"
        )
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
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Texts to keep; 0: all")] = 0,
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
    with path.open(encoding="utf-8-sig") as lines:
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
