"""Where the data of a report comes from: the corpora of a config, or files; read with what their readers say."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Optional

import spacy
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc
from spacy.training import Corpus, Example
from spacy.training.corpus import FILE_TYPE, walk_corpus
from spacy.util import get_sourced_components, load_config, load_model_from_config, registry, resolve_dot_names
from thinc.api import Config

from ..annotation.label_data import read_label_data
from ..data.data_report import DataReport, PartReport, compare, examine, skipped_by_corpus
from ..data.reader import AnnotatedText
from ..pipeline.component import find_component

Reader = Callable[[Language], Iterable[Example]]


@dataclass
class Sources:
    """Two readers, and what their data is for.

    nlp: the pipeline, or a blank one of the language. incorrect_spans_key: see the component. labels: those given to
    `initialize`, if any. annotate: what earlier components do to a predicted doc, if they do anything in training.
    """

    nlp: Language
    train: Reader
    dev: Reader
    incorrect_spans_key: Optional[str] = None
    labels: Optional[list[str]] = None
    annotate: Optional[Callable[[Doc], Doc]] = None


def from_files(train: Path, dev: Path, lang: str) -> Sources:
    """Files in spaCy's binary format or annotated text, or folders of them. lang: the language of the tokenizer."""
    return Sources(spacy.blank(lang), _reader(train), _reader(dev))


def _reader(path: Path) -> Reader:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    binary = next(path.rglob(f"*{FILE_TYPE}"), None) is not None if path.is_dir() else path.suffix == FILE_TYPE
    return Corpus(path) if binary else AnnotatedText(path, "auto", 0)


def from_config(path: Path, overrides: dict[str, Any], component: Optional[str] = None) -> Sources:
    """The corpora that a config trains and evaluates on.

    overrides: settings by dotted name. component: the recognizer that they are for; None: the first of the pipeline.
    Raises ValueError if the config is not valid or has no such component, OSError if a file is missing.
    """
    raw = load_config(path, overrides=overrides)
    nlp = load_model_from_config(raw, auto_fill=True)
    config = nlp.config.interpolate()
    training = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    train, dev = resolve_dot_names(config, [training["train_corpus"], training["dev_corpus"]])
    pipe = find_component(nlp, component)
    name = pipe.name
    labels = _settings(config, name).get("labels")
    return Sources(
        nlp,
        train,
        dev,
        pipe.cfg["incorrect_spans_key"],
        None if labels is None else read_label_data(name, labels),
        _annotate(nlp, config, name, training["annotating_components"], get_sourced_components(raw)),
    )


def _settings(config: Config, name: str) -> dict[str, Any]:
    """The settings of a component in [initialize.components]."""
    settings = config["initialize"]["components"].get(name, {})
    return dict(registry.resolve({"settings": settings})["settings"])


def _annotate(
    nlp: Language, config: Config, name: str, annotating: Iterable[str], sourced: Iterable[str]
) -> Optional[Callable[[Doc], Doc]]:
    """What the annotating components before the recognizer do, as far as they work without being trained first."""
    pipes = []
    for other in nlp.pipe_names[: nlp.pipe_names.index(name)]:
        pipe: Any = nlp.get_pipe(other)
        trainable = getattr(pipe, "is_trainable", False)
        if other not in annotating or (trainable and other not in sourced):
            continue
        if hasattr(pipe, "initialize") and other not in sourced:
            pipe.initialize(lambda: [], nlp=nlp, **_settings(config, other))
        pipes.append(pipe)
    return (lambda doc: reduce(lambda done, pipe: pipe(done), pipes, doc)) if pipes else None


def report(sources: Sources) -> DataReport:
    """Read both parts once, and say what they hold. What stops a reader is an error of the report."""
    train, dev = _part(sources, sources.train), _part(sources, sources.dev)
    return compare(train, dev, sources.labels)


def _part(sources: Sources, reader: Reader) -> PartReport:
    part = PartReport()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if isinstance(reader, Corpus):
                files = walk_corpus(reader.path, FILE_TYPE)
                part.max_length = reader.max_length
                part.skipped = skipped_by_corpus(reader, reader.read_docbin(sources.nlp.vocab, files))
                # Else a warning about the files would come twice.
                caught.clear()
            examine(reader(sources.nlp), sources.incorrect_spans_key, sources.annotate, part)
        except (ValueError, OSError) as error:
            part.errors.append(f"reading stopped after {part.docs} docs: {error}")
    part.warnings += list(dict.fromkeys(str(warning.message) for warning in caught))
    return part
