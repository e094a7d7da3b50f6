"""The data that a config trains on, or files in its place, read for a report as training reads them."""

import warnings
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Optional

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc
from spacy.training import Corpus, dont_augment
from spacy.training.corpus import FILE_TYPE, walk_corpus
from spacy.util import get_sourced_components, load_config, load_model_from_config, registry, resolve_dot_names
from thinc.api import Config

from ..annotation.label_data import read_label_data
from ..data.corpora import Reader, open_corpus
from ..data.data_report import DataReport, PartReport, compare, examine, skipped_by_corpus
from ..data.languages import blank_pipeline
from ..data.reader import AnnotatedText
from ..pipeline.component import find_component


@dataclass
class DataSources:
    """Training and dev data, with the settings of the config that concern the annotation.

    Attributes:
        nlp (Language): The pipeline of the config, or a blank one.
        train (Reader): The reader of the training data.
        dev (Reader): The reader of the dev data.
        incorrect_spans_key (Optional[str]): The component's setting: the group of `doc.spans` with spans that are known
            to be wrong.
        labels (Optional[list[str]]): The labels that the config gives to `initialize`; None if it gives none.
        annotate (Optional[Callable[[Doc], Doc]]): Applies the components that annotate docs in training before the
            recognizer does; None if there are none.
    """

    nlp: Language
    train: Reader
    dev: Reader
    incorrect_spans_key: Optional[str] = None
    labels: Optional[list[str]] = None
    annotate: Optional[Callable[[Doc], Doc]] = None


def sources_from_files(train: Path, dev: Path, lang: str) -> DataSources:
    """Use files or folders as training and dev data.

    Args:
        train (Path): Training data in spaCy's binary format, or annotated text.
        dev (Path): Dev data in one of these forms.
        lang (str): The language of the tokenizer.

    Returns:
        DataSources: The data.

    Raises:
        FileNotFoundError: If there is no such file or folder.
    """
    return DataSources(blank_pipeline(lang), open_corpus(train), open_corpus(dev))


def sources_from_config(path: Path, overrides: dict[str, Any], component: Optional[str] = None) -> DataSources:
    """Use the corpora that a config trains and evaluates on.

    Args:
        path (Path): The config.
        overrides (dict[str, Any]): Settings that replace those of the config, by dotted name.
        component (Optional[str]): The name of the recognizer to check the data for; None for the first one of the
            pipeline.

    Returns:
        DataSources: The data.

    Raises:
        ValueError: If the config is not valid, or has no such component.
        OSError: If a file is missing.
    """
    raw = load_config(path, overrides=overrides)
    nlp = load_model_from_config(raw, auto_fill=True)
    config = nlp.config.interpolate()
    training = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    train, dev = resolve_dot_names(config, [training["train_corpus"], training["dev_corpus"]])
    pipe = find_component(nlp.pipeline, component)
    name = pipe.name
    labels = _initialize_settings(config, name).get("labels")
    return DataSources(
        nlp,
        train,
        dev,
        pipe.cfg["incorrect_spans_key"],
        None if labels is None else read_label_data(name, labels),
        _annotating(nlp, config, name, training["annotating_components"], get_sourced_components(raw)),
    )


def _initialize_settings(config: Config, name: str) -> dict[str, Any]:
    """The settings of a component in [initialize.components]."""
    settings = config["initialize"]["components"].get(name, {})
    return dict(registry.resolve({"settings": settings})["settings"])


def _annotating(
    nlp: Language, config: Config, name: str, annotating: Iterable[str], sourced: Iterable[str]
) -> Optional[Callable[[Doc], Doc]]:
    """Apply the annotating components before the recognizer, except those that have to be trained first."""
    pipes = []
    for other in nlp.pipe_names[: nlp.pipe_names.index(name)]:
        pipe: Any = nlp.get_pipe(other)
        trainable = getattr(pipe, "is_trainable", False)
        if other not in annotating or (trainable and other not in sourced):
            continue
        if hasattr(pipe, "initialize") and other not in sourced:
            pipe.initialize(lambda: [], nlp=nlp, **_initialize_settings(config, other))
        pipes.append(pipe)
    return (lambda doc: reduce(lambda done, pipe: pipe(done), pipes, doc)) if pipes else None


def report_data(sources: DataSources) -> DataReport:
    """Read the training and the dev data once, and report what is in them.

    An error that stops a reader does not stop the report: it is one of the report's errors.

    Args:
        sources (DataSources): The data.

    Returns:
        DataReport: The counts, errors and warnings.
    """
    train, dev = _part(sources, sources.train), _part(sources, sources.dev)
    return compare(train, dev, sources.labels)


def _without_augmenter(reader: Reader) -> Reader:
    """The reader, or a copy that gives the data as it is: an augmenter makes pieces and other casings of it."""
    if isinstance(reader, (Corpus, AnnotatedText)):
        reader = copy(reader)
        reader.augmenter = dont_augment
    return reader


def _part(sources: DataSources, reader: Reader) -> PartReport:
    part = PartReport()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if isinstance(reader, Corpus):
                files = walk_corpus(reader.path, FILE_TYPE)
                part.max_length = reader.max_length
                part.skipped = skipped_by_corpus(reader, reader.read_docbin(sources.nlp.vocab, files))
                # The files are read again below, with the same warnings.
                caught.clear()
            examples = _without_augmenter(reader)(sources.nlp)
            examine(examples, sources.incorrect_spans_key, sources.annotate, part, sources.nlp.tokenizer)
        except (ValueError, OSError) as error:
            part.errors.append(f"reading stopped after {part.docs} docs: {error}")
    part.warnings += list(dict.fromkeys(str(warning.message) for warning in caught))
    return part
