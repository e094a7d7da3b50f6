"""``python -m spacy lstm-ner calibrate``"""

import json
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import typer
from spacy.language import Language
from spacy.training import Corpus
from spacy.util import load_model
from wasabi import msg

from ..files import save_pipeline, write_atomically
from ..pipeline.calibration import Reliability, reliability
from ..pipeline.calibration import fit as fit_temperatures
from ..pipeline.calibration import score as score_calibration
from ..pipeline.component import LSTMEntityRecognizer, find_component
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
