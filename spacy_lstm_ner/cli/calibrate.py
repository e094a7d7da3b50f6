"""The command `python -m spacy lstm-ner calibrate`."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model
from wasabi import msg

from ..data.corpora import open_corpus
from ..files import save_pipeline
from ..pipeline.calibration import Reliability, calibrate
from ..pipeline.component import LSTMEntityRecognizer, find_component
from ..pipeline.novelty import WEIGHTS, novelty_of
from .app import app, exit_on_error, print_numbers, write_json


@app.command("calibrate")
def calibrate_cli(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder")],
    data_path: Annotated[Path, typer.Argument(metavar="DEV", help="Held-out data: a file or a folder")],
    train: Annotated[
        Optional[Path],
        typer.Option(
            "--train", "-t", help="The training data: a file or a folder. With it, new texts lower confidence"
        ),
    ] = None,
    output: Annotated[
        Optional[Path],
        typer.Option("--output", "-o", help="Folder for the calibrated pipeline; by default, MODEL is changed"),
    ] = None,
    report: Annotated[Optional[Path], typer.Option("--report", "-r", help="JSON file to write the figures to")] = None,
    pipe: Annotated[
        Optional[str], typer.Option("--pipe", "-p", help="Name of the component; by default, the first lstm_ner")
    ] = None,
) -> None:
    """Calibrate the probabilities of entities on held-out data.

    Of the entities with a probability of 0.8, eight in ten should be right. Prints the expected calibration error and
    the Brier score of the predicted entities before and after. The figures after calibration are cross-fitted: each
    half of the docs is scored with temperatures that were fitted to the other half.

    With --train, entities that the training data does not have get lower probabilities, by how unlike it the words
    around them are, and each text gets a doubt: `doc._.lstm_ner_doubt`.
    """
    with exit_on_error(f"Cannot calibrate {model} on {data_path}"):
        nlp = load_model(model)
        component = find_component(nlp.pipeline, pipe)
        before, after = _calibrate(nlp, component, data_path, train)
        if output is None:
            component.to_disk(model / component.name, exclude=["vocab"])
        else:
            save_pipeline(nlp, output)
    _print(before, after)
    attrs = component.model.get_ref("head").attrs
    by_label = dict(zip(component.labels, attrs["label_temperatures"], strict=True))
    own = ", ".join(f"{label} {value:.2f}" for label, value in by_label.items() if value != 1.0)
    msg.good(f"'{component.name}': temperature {attrs['temperature']:.2f}" + (f", by label: {own}" if own else ""))
    novelty = novelty_of(component.model.get_ref("head"))
    if novelty is not None:
        weights = dict(zip(WEIGHTS, novelty.weights.tolist(), strict=True))
        msg.good("Novelty: " + ", ".join(f"{name} {value:.2f}" for name, value in weights.items()))
    if report is not None:
        figures = {"before": before._asdict(), "after": after._asdict(), "temperature": attrs["temperature"]}
        figures["label_temperatures"] = by_label
        if novelty is not None:
            figures["novelty"] = weights
        write_json(report, figures)


def _calibrate(
    nlp: Language, component: LSTMEntityRecognizer, data_path: Path, train: Optional[Path]
) -> tuple[Reliability, Reliability]:
    def prepare(doc: Doc) -> Doc:
        for _, earlier in nlp.pipeline[: nlp.pipe_names.index(component.name)]:
            doc = earlier(doc)
        return doc

    examples = list(open_corpus(data_path)(nlp))
    for example in examples:
        example.predicted = prepare(example.predicted)
    training = None if train is None else (example.reference for example in open_corpus(train)(nlp))
    try:
        return calibrate(component.tagger, examples, training, prepare)
    except ValueError as error:
        raise ValueError(f"{data_path}: {error}") from error


def _print(before: Reliability, after: Reliability) -> None:
    rows = [
        ("Expected calibration error", f"{before.ece:.4f}", f"{after.ece:.4f}"),
        ("Brier score", f"{before.brier:.4f}", f"{after.brier:.4f}"),
    ]
    print_numbers(rows, ("", "Before", "After"), "Calibration")
    bins = [(f"{b.confidence:.3f}", f"{b.precision:.3f}", str(b.entities)) for b in after.bins]
    print_numbers(bins, ("Confidence", "Precision", "Entities"), "After, by bin")
