"""The command `python -m spacy lstm-ner calibrate`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model
from wasabi import msg

from ..data.corpora import open_corpus
from ..files import save_pipeline
from ..pipeline.calibration import STAGES, Reliability, calibrate
from ..pipeline.component import LSTMEntityRecognizer, find_component
from ..pipeline.guarantee import guarantee, parse_promise, without_promises
from ..pipeline.novelty import WEIGHTS, novelty_of
from ..pipeline.settings import check_settings
from ..pipeline.span_choice import fit_threshold, judge, own_thresholds
from .app import app, exit_on_error, print_numbers, write_json
from .progress import progress


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
    decoding: Annotated[
        Optional[str], typer.Option("--decoding", "-d", help="Set how entities are chosen: best_sequence or expected_f")
    ] = None,
    beta: Annotated[
        float, typer.Option("--beta", "-b", help="Weight of recall in the F-beta that expected_f maximizes")
    ] = 1.0,
    promised: Annotated[
        Optional[list[str]],
        typer.Option(
            "--guarantee", "-g", help='A promise to keep, such as "precision PER >= 0.95 at 0.9"; may be repeated'
        ),
    ] = None,
) -> None:
    """Calibrate the probabilities of entities on held-out data.

    Of the entities with a probability of 0.8, eight in ten should be right. Prints the expected calibration error and
    the Brier score of the predicted entities before and after. The figures after calibration are cross-fitted: each
    half of the docs is scored with temperatures that were fitted to the other half.

    With --train, entities that the training data does not have get lower probabilities, by how unlike it the words
    around them are, and each text gets a doubt: `doc._.lstm_ner_doubt`.

    With the decoding expected_f, also finds the threshold with the best F-beta, and stores it in the settings. With
    guarantees, finds thresholds that keep them on texts like the data, or fails if there is too little data.
    """
    with exit_on_error(f"Cannot calibrate {model} on {data_path}"):
        nlp = load_model(model)
        component = find_component(nlp.pipeline, pipe)
        if not 0.0 < beta < float("inf"):
            raise ValueError(f"--beta is {beta:g}, but must be greater than 0")
        decoding = decoding or component.cfg["decoding"]
        check_settings(component.name, {**component.cfg, "decoding": decoding})
        if beta != 1.0 and decoding != "expected_f":
            raise ValueError(f"--beta is for the decoding expected_f, but it is {decoding}. Add --decoding expected_f")
        promises = [parse_promise(text, component.labels) for text in promised or []]
        prepare = partial(_prepare, nlp, component)
        examples = _read(nlp, prepare, data_path)
        # The threshold of another decoding means something else.
        reset = {} if decoding == component.cfg["decoding"] else {"threshold": 0.0}
        component.cfg.update(without_promises(component.cfg) | reset, decoding=decoding)
        training = None if train is None else (example.reference for example in open_corpus(train)(nlp))
        with progress("Calibrating", total=STAGES) as bar:
            before, after = calibrate(component.tagger, examples, training, prepare, bar.update)
        if decoding == "expected_f" or promises:
            judged = judge(component.tagger, examples)
            if decoding == "expected_f":
                component.cfg["threshold"] = fit_threshold(judged, beta, own_thresholds(component.tagger))
            component.cfg.update(guarantee(judged, component.labels, component.cfg, promises))
        if output is None:
            component.to_disk(model / component.name, exclude=["vocab"])
        else:
            save_pipeline(nlp, output, model / "vocab")
    _print(before, after)
    attrs = component.model.get_ref("head").attrs
    temperatures = dict(zip(component.labels, attrs["label_temperatures"], strict=True))
    own = ", ".join(f"{label} {value:.2f}" for label, value in temperatures.items() if value != 1.0)
    msg.good(f"'{component.name}': temperature {attrs['temperature']:.2f}" + (f", by label: {own}" if own else ""))
    novelty = novelty_of(component.model.get_ref("head"))
    weights = {} if novelty is None else dict(zip(WEIGHTS, novelty.weights.tolist(), strict=True))
    if weights:
        msg.good("Novelty: " + ", ".join(f"{name} {value:.2f}" for name, value in weights.items()))
    if component.cfg["threshold"]:
        msg.good(f"'{component.name}': threshold {component.cfg['threshold']:g} for {decoding}")
    for promise, outcome in component.cfg["guarantees"].items():
        msg.good(
            f"'{component.name}': {promise} by the threshold {outcome['threshold']:g}. On this data, it is "
            f"{outcome['measured']:.3f}, of {outcome['entities']:.0f} entities in {outcome['documents']:.0f} documents"
        )
    if report is not None:
        figures = {"before": before._asdict(), "after": after._asdict(), "temperature": attrs["temperature"]}
        figures |= {"label_temperatures": temperatures, "novelty": weights, "threshold": component.cfg["threshold"]}
        figures["guarantees"] = component.cfg["guarantees"]
        write_json(report, figures)


def _prepare(nlp: Language, component: LSTMEntityRecognizer, doc: Doc) -> Doc:
    """Process a doc with the components before this one."""
    for _, earlier in nlp.pipeline[: nlp.pipe_names.index(component.name)]:
        doc = earlier(doc)
    return doc


def _read(nlp: Language, prepare: Callable[[Doc], Doc], data_path: Path) -> list[Example]:
    """The annotated examples, with the docs as the component gets them."""
    examples = []
    with progress("Reading", open_corpus(data_path)(nlp), unit="docs") as bar:
        for example in bar:
            if example.reference.has_annotation("ENT_IOB"):
                example.predicted = prepare(example.predicted)
                examples.append(example)
    return examples


def _print(before: Reliability, after: Reliability) -> None:
    rows = [
        ("Expected calibration error", f"{before.ece:.4f}", f"{after.ece:.4f}"),
        ("Brier score", f"{before.brier:.4f}", f"{after.brier:.4f}"),
    ]
    print_numbers(rows, ("", "Before", "After"), "Calibration")
    bins = [(f"{b.confidence:.3f}", f"{b.precision:.3f}", str(b.entities)) for b in after.bins]
    print_numbers(bins, ("Confidence", "Precision", "Entities"), "After, by bin")
