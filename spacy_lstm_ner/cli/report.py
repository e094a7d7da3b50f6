"""The command `python -m spacy lstm-ner report`."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.util import load_model
from wasabi import msg

from ..data.corpora import open_corpus, stream_examples
from ..data.writers import name_and_version
from ..pipeline.component import LSTMEntityRecognizer, find_component
from ..pipeline.guarantee import stored_promises
from ..report.judge import Judgement, Seen, judge, read_seen
from ..training.logger import LOG, read_log
from .app import app, exit_on_error, needs_extra
from .progress import progress


@app.command("report")
def report_cli(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Trained pipeline: a folder or an installed package")],
    data_path: Annotated[Path, typer.Argument(metavar="DATA", help="Annotated data: a file or a folder")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for report.html, report.md and report.json")],
    train: Annotated[
        Optional[Path], typer.Option("--train", "-t", help="Training data, to tell seen from unseen entities")
    ] = None,
    other: Annotated[Optional[str], typer.Option("--other", help="Another pipeline to compare with")] = None,
    other_data: Annotated[
        Optional[Path], typer.Option("--other-data", help="Other annotated data to compare with")
    ] = None,
    pipe: Annotated[
        Optional[str], typer.Option("--pipe", "-p", help="Name of the component; by default, the first lstm_ner")
    ] = None,
    score_attr: Annotated[
        Optional[str], typer.Option("--score-attr", help="Attribute of ent._ with probabilities of other components")
    ] = None,
    from_text: Annotated[
        bool, typer.Option("--from-text", help="Use the tokens of the pipeline, also where the data gives its own")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Number of examples in each list")] = 20,
    samples: Annotated[int, typer.Option("--samples", min=100, help="Number of samples of the bootstrap")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap")] = 0,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="ID of the GPU to use; -1 for the CPU")] = -1,
) -> None:
    """Report on a pipeline: scores with intervals, errors, confidence and suspect annotation, on one page.

    Runs the pipeline on annotated data, and writes what it gets right and wrong to a folder: report.html, which needs
    no network, and the same as report.md and report.json. Any pipeline that sets doc.ents can be reported on;
    probabilities and suspect annotation need an lstm_ner.
    """
    with exit_on_error(f"Cannot report on {model}"):
        with needs_extra("report"):
            from ..report.figures import compare, compare_data, compute, training_curves
            from ..report.write import write_report
        if output.exists() and not output.is_dir():
            raise ValueError(f"{output}: expected a folder to write to, found a file. Name another folder")
        setup_gpu(gpu_id)
        nlp, theirs = load_model(model), None if other is None else load_model(other)
        for path in (data_path, train, other_data):
            if path is not None and not path.exists():
                raise FileNotFoundError(f"{path}: there is no such file or folder")
        component = _component(nlp, pipe)
        if score_attr is None and component is not None:
            score_attr = component.cfg["score_attr"]
        seen = None if train is None else _read_seen(nlp, train)
        judgement = _judge(nlp, component, data_path, from_text, score_attr, "Predicting")
        figures = compute(judgement, seen, limit, samples, seed)
        figures = {"model": name_and_version(nlp), "data": data_path.name, **figures, "other": None}
        figures["guarantees"] = {} if component is None else component.cfg["guarantees"]
        figures["reviewed"], figures["notes"] = component is not None, _notes(judgement, figures)
        for text, _, is_set in () if component is None else stored_promises(component.cfg):
            if not is_set:
                figures["notes"].append(
                    f"The threshold for {text} was changed since, so that is not promised any more."
                )
        figures["training"] = training_curves(_training_log(nlp, figures["notes"]))
        if theirs is not None:
            second = _judge(theirs, None, data_path, from_text, None, "Predicting with the other")
            names = {"first": model, "second": other}
            figures["other"] = {**names, **compare(judgement, second, limit, samples, seed)}
        if other_data is not None:
            second = _judge(nlp, None, other_data, from_text, score_attr, "Predicting the other data")
            own = compare_data(judgement, second, seen, samples, seed)
            figures["other_data"] = {"data": other_data.name, **own, "notes": _notes(second, own)}
        write_report(output, figures)
    others = figures["other_data"]["notes"] if other_data is not None else []
    for note in [*figures["notes"], *(f"The other data: {note}" for note in others)]:
        msg.warn(note)
    f = figures["overall"]["f"]
    msg.good(f"Entity F {'-' if f is None else f'{100 * f:.2f}'}; the report is {output / 'report.html'}")


def _component(nlp: Language, name: Optional[str]) -> Optional[LSTMEntityRecognizer]:
    """The component that gives probabilities. None if the pipeline has none and no name was given."""
    if name is None and not any(isinstance(pipe, LSTMEntityRecognizer) for _, pipe in nlp.pipeline):
        return None
    return find_component(nlp.pipeline, name)


def _read_seen(nlp: Language, path: Path) -> Seen:
    with progress("Reading", open_corpus(path)(nlp), unit="docs") as examples:
        return read_seen(examples, path)


def _training_log(nlp: Language, notes: list[str]) -> list[dict[str, Any]]:
    """The log of training beside the pipeline. If there is none, it is empty; if it cannot be used, a note says why."""
    path = None if nlp.path is None else nlp.path.parent / LOG
    if path is None or not path.is_file():
        return []
    try:
        rows = read_log(path)
    except ValueError as error:
        notes.append(f"There are no curves of training: {error}.")
        return []
    reached = nlp.meta.get("performance", {}).get("ents_f")
    if reached is None or any(abs((row["scores"].get("ents_f") or 0.0) - reached) < 1e-6 for row in rows):
        return rows
    notes.append(f"There are no curves of training: no evaluation in {path} has the scores of the pipeline.")
    return []


def _judge(
    nlp: Language,
    component: Optional[LSTMEntityRecognizer],
    path: Path,
    from_text: bool,
    score_attr: Optional[str],
    label: str,
) -> Judgement:
    try:
        with progress(label, stream_examples(nlp, path, from_text), unit="docs") as examples:
            return judge(nlp, examples, component, score_attr)
    except ValueError as error:
        raise ValueError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error


def _notes(judgement: Judgement, figures: dict[str, Any]) -> list[str]:
    """What is special about the data and limits what the figures say."""
    notes = []
    if judgement.skipped:
        named = "1 document has" if judgement.skipped == 1 else f"{judgement.skipped} documents have"
        notes.append(f"{named} no entity annotation. It does not count in any figure.")
    if not any(doc.gold for doc in judgement.docs):
        notes.append("The data has no entity, so there is no recall: each found entity is wrong.")
    elif not any(doc.found for doc in judgement.docs):
        notes.append("The pipeline finds no entity, so there is no precision.")
    if len(judgement.docs) == 1:
        notes.append("The data is one document, so there are no intervals. Divide it into several, with convert.")
    if unknown := figures["unknown_labels"]:
        names = ", ".join(f"{label} ({n})" for label, n in unknown.items())
        known = ", ".join(sorted(judgement.labels))
        notes.append(
            f"The pipeline does not know these types of the data, and cannot find them: {names}. It knows {known}."
        )
    return notes
