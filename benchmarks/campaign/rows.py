"""Which trainings there are: rows in groups, the systems of each row, and the changes to their configs.

The path of a setting is its dotted name, as on the command line of `spacy train`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from training import shorten

from .augmenters import SWAP_FIRST

Settings = dict[str, Any]
# The config of each system, or a function of the row and the seed where it depends on the training data.
Configs = Mapping[str, Settings | Callable[["Row", int], Settings]]
Change = Callable[[Settings], None]

SPACY = "spacy"
GLOVE = "-glove"
SHARES = (1, 5, 10, 25, 50, 100)
SMALL_SIZES = (25, 50, 100, 200)
TAGGER = "components.lstm_ner.model"
TOK2VEC = f"{TAGGER}.tok2vec"
SPACY_EMBED = "components.tok2vec.model.embed"


def _section(config: Settings, path: str) -> Settings:
    for name in path.split("."):
        config = config[name]
    return config


def put(path: str, value: Any) -> Change:
    """A change that sets a setting or a block."""

    def change(config: Settings) -> None:
        section, _, name = path.rpartition(".")
        _section(config, section)[name] = deepcopy(value)

    return change


def all_of(*changes: Change) -> Change:
    """A change that makes several changes."""

    def change(config: Settings) -> None:
        for single in changes:
            single(config)

    return change


def without_attrs(*beginnings: str) -> Change:
    """A change that removes the hashed features whose names begin like this."""

    def change(config: Settings) -> None:
        embed = _section(config, f"{TOK2VEC}.embed")
        kept = [k for k, attr in enumerate(embed["attrs"]) if not attr.startswith(beginnings)]
        embed["attrs"], embed["rows"] = ([embed[name][k] for k in kept] for name in ("attrs", "rows"))

    return change


def unset(path: str) -> Change:
    """A change that removes a setting or block, so that its default holds."""

    def change(config: Settings) -> None:
        section, _, name = path.rpartition(".")
        _section(config, section).pop(name, None)

    return change


def cased_affixes(config: Settings) -> None:
    """A change to prefixes and suffixes of words as they are written, not of lower-cased words."""
    embed = _section(config, f"{TOK2VEC}.embed")
    embed["attrs"] = [re.sub("^l(?=prefix|suffix)", "", attr) for attr in embed["attrs"]]


def swapped_entities(config: Settings) -> None:
    """A change that replaces entities in training, before the augmenter of the config."""
    train = _section(config, "corpora.train")
    train["augmenter"] = {"@augmenters": SWAP_FIRST, "level": 0.3, "share": 0.5, "then": train["augmenter"]}


def chars(architecture: str, width: int) -> Change:
    """A change that adds character vectors by this architecture."""
    block = {"@architectures": f"spacy-lstm-ner.{architecture}.v1", "width": width}
    return put(f"{TOK2VEC}.embed.chars", block | {"char_width": 25, "max_chars": 30})


def encoder(architecture: str, **settings: Any) -> Change:
    """A change to another encoder with the same settings."""

    def change(config: Settings) -> None:
        _section(config, f"{TOK2VEC}.encode").update(
            {"@architectures": f"spacy-lstm-ner.{architecture}.v1", **settings}
        )

    return change


def steady_batches(config: Settings) -> None:
    """A change to batches of the largest size from the start."""
    batcher = _section(config, "training.batcher")
    batcher["size"] = batcher["size"]["stop"]


def trained_for(steps: int) -> Change:
    """A change of the number of steps, over which the learning rate falls to 0."""
    return all_of(put("training.max_steps", steps), put("training.optimizer.learn_rate.total_steps", steps))


def sentences(config: Settings) -> None:
    """A change to training and scoring on annotated sentences instead of whole documents."""
    for part in ("train", "dev"):
        put(f"corpora.{part}.gold_preproc", True)(config)


LOCKED, WORD, AFFIX = "training.dropout", f"{TOK2VEC}.embed.word_dropout", f"{TOK2VEC}.embed.affix_dropout"
RECURRENT, WINDOW = f"{TOK2VEC}.encode.recurrent_dropout", f"{TOK2VEC}.encode.window"

# One factor at a time. A variant that changes nothing in the base config has the base's results.
ABLATION: dict[str, dict[str, Change]] = {
    "characters": {
        "none": unset(f"{TOK2VEC}.embed.chars"),
        "CharCNN": chars("CharCNN", 30),
        "CharLSTM": chars("CharLSTM", 50),
    },
    "affixes": {
        "none": without_attrs("lprefix", "lsuffix"),
        "none, CharCNN": all_of(without_attrs("lprefix", "lsuffix"), chars("CharCNN", 30)),
    },
    "shape": {"none": without_attrs("shape")},
    "vectors": {
        "none": put(f"{TOK2VEC}.embed.include_static_vectors", False),
        "frozen, as they are": put(f"{TOK2VEC}.embed.map_vectors", False),
        "tuned": put(f"{TOK2VEC}.embed.tune_vectors", True),
    },
    "head": {"CRF": put(f"{TAGGER}.head", "crf"), "log-softmax": put(f"{TAGGER}.head", "softmax")},
    "scheme": {"BILUO": put(f"{TAGGER}.scheme", "biluo"), "BIO": put(f"{TAGGER}.scheme", "bio")},
    "averaging": {"none": put("training.optimizer.use_averages", False)},
    "dropout": {
        "none": all_of(put(LOCKED, 0.0), put(WORD, 0.0)),
        "locked 0.3": all_of(put(LOCKED, 0.3), put(WORD, 0.0)),
        "words": put(LOCKED, 0.0),
        "words, locked 0.1": put(LOCKED, 0.1),
        "words, locked 0.3": put(LOCKED, 0.3),
        "words but not their affixes": put(AFFIX, 0.0),
        "words, recurrent 0.2": put(RECURRENT, 0.2),
    },
    "batches": {"of one size": steady_batches},
    "steps": {"1,800": trained_for(1800), "3,600": trained_for(3600)},
    "unit of context": {
        "window 16": put(WINDOW, 16),
        "window 32": put(WINDOW, 32),
        "window 64": put(WINDOW, 64),
        "whole document": all_of(put(WINDOW, 0), put(f"{TOK2VEC}.encode.context", 0)),
        "sentence": sentences,
    },
    "occurrences": {"none": put(f"{TOK2VEC}.occurrences", 0), "5000": put(f"{TOK2VEC}.occurrences", 5000)},
    "cell": {
        "GRU": encoder("GRUEncoder"),
        "simple GRU": encoder("GRUEncoder", simple=True),
        "RNN": encoder("RNNEncoder"),
        "identity RNN": encoder("RNNEncoder", identity=True),
    },
    "layers": {
        "1": all_of(put(f"{TOK2VEC}.encode.depth", 1), unset(f"{TOK2VEC}.encode.residual")),
        "2": all_of(put(f"{TOK2VEC}.encode.depth", 2), put(f"{TOK2VEC}.encode.residual", True)),
    },
}
# The configs that a factor is changed in, if not only default.cfg.
ABLATED = {
    "characters": ("default", "accuracy"),
    "vectors": ("vectors", "accuracy"),
    "steps": ("default", "accuracy"),
    "layers": ("default", "accuracy"),
    "cell": ("default", "vectors"),
}


@dataclass(frozen=True)
class Row:
    """One row of a table: which systems are trained on which data.

    Attributes:
        group (str): The table.
        name (str): Name of the row in its group.
        data (str): The data set. Its train part is for training, and its dev part chooses the model.
        systems (tuple[str, ...]): Names of our configs, and "spacy" for spaCy's `ner`.
        scored (str): The part that is scored: "dev" or "eval".
        share (int): Percent of the training documents.
        n_docs (int | None): Number of training documents, in place of a share.
        lang (str): Language code of the pipeline.
        with_vectors (bool): Whether spaCy's `ner` gets static vectors, as our configs of this row do.
        change (Change | None): A change to our configs.
    """

    group: str
    name: str
    data: str
    systems: tuple[str, ...]
    scored: str = "dev"
    share: int = 100
    n_docs: int | None = None
    lang: str = "en"
    with_vectors: bool = False
    change: Change | None = None

    @property
    def part(self) -> int | str:
        """The part of the training documents, for names."""
        return self.share if self.n_docs is None else f"{self.n_docs}-docs"


@dataclass(frozen=True)
class Run:
    """One training. `config` has all its settings but paths and seed."""

    row: Row
    system: str
    seed: int
    config: Settings

    @property
    def id(self) -> str:
        return f"{self.row.group}/{self.row.name}/{self.system}/{self.seed}"

    @property
    def fingerprint(self) -> str:
        """A hash of all that defines the training. Rows that train the same have the same."""
        what = [self.row.data, self.row.scored, self.row.part, self.seed, self.config]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def on_sentences(self) -> bool:
        return bool(self.config["corpora"]["dev"].get("gold_preproc"))


def rows() -> list[Row]:
    """All rows, in the order in which they are trained and shown."""
    plain, glove = ("default", SPACY), ("vectors", "accuracy", SPACY)
    found = []
    for data in ("conll03", "wnut17", "gmb"):
        # The textbook model of classic.cfg is trained on GMB only.
        found.append(Row("main", data, data, ("default", "classic", SPACY) if data == "gmb" else plain))
        found.append(Row("main", data + GLOVE, data, glove, with_vectors=True))
    found.append(Row("main", "embedded", "embedded", plain, scored="eval"))
    for share in SHARES:
        found.append(Row("curve", f"{share}", "conll03", plain, share=share))
        found.append(Row("curve", f"{share}{GLOVE}", "conll03", glove, share=share, with_vectors=True))
    found.append(Row("ablation", "base", "conll03", ("default", "vectors", "accuracy")))
    for factor, values in ABLATION.items():
        for value, change in values.items():
            systems = ABLATED.get(factor, ("default",))
            found.append(Row("ablation", f"{factor}: {value}", "conll03", systems, change=change))
    return found


# Other domains and languages: the files NAME-train.iob and NAME-dev.iob, and the language of the pipeline.
DOMAINS = {
    "crossner-politics": "en",
    "crossner-music": "en",
    "bc5cdr": "en",
    "btc": "en",
    "lener": "pt",
    "germeval": "de",
    "masakha-yor": "xx",
    "resume-zh": "zh",
}


AUGMENTER = "corpora.train.augmenter"
# Training without calibration, and the entities of the best sequence.
UNCALIBRATED = all_of(unset("components.lstm_ner.decoding"), unset("training.before_to_disk"))
# What is left out of the training recipe without calibration, or added to it.
PARTS: dict[str, Change] = {
    "base": all_of(),
    "no pieces": put(f"{AUGMENTER}.pieces", 0.0),
    "no other casing": all_of(*(put(f"{AUGMENTER}.{casing}", 0.0) for casing in ("lower", "upper", "title"))),
    "affixes with their casing": cased_affixes,
    "swapped entities too": swapped_entities,
}
# The pipeline that rows with a start stand on.
START = Row("conll03", "glove", "conll03", ("accuracy", SPACY), with_vectors=True)
# The corpora of these rows of `rows` are neither CoNLL-2003 nor a domain.
OTHERS = ("wnut17", "wnut17-glove", "gmb", "gmb-glove", "embedded")


def robustness_rows() -> list[Row]:
    """The rows of `robustness.py`, in the order in which they are trained and shown."""
    found = [Row("conll03", "none", "conll03", ("default", SPACY)), START]
    for name, lang in DOMAINS.items():
        found.append(Row("domains", name, f"domains/{name}", ("fitted", SPACY), lang=lang))
    for name in (name for name, lang in DOMAINS.items() if lang == "en"):
        row = Row("domains", name + GLOVE, f"domains/{name}", ("fitted-vectors", SPACY), with_vectors=True)
        found.append(row)
        if name.startswith("crossner"):
            found.append(replace(row, group="start", systems=("started", SPACY)))
    for row in rows():
        if row.group == "main" and row.name in OTHERS:
            ours = "accuracy" if row.with_vectors else "default"
            found.append(replace(row, systems=(ours, SPACY)))
    for name in ("crossner-politics", "bc5cdr"):
        for size in SMALL_SIZES:
            data, systems = f"domains/{name}", ("fitted", SPACY)
            found.append(Row("small", f"{name}, {size}", data, systems, n_docs=size, change=UNCALIBRATED))
    for name in ("conll03", "crossner-politics", "btc"):
        data, system = (name, "default") if name == "conll03" else (f"domains/{name}", "fitted")
        for part, change in PARTS.items():
            change = all_of(UNCALIBRATED, change)
            found.append(Row("ablation", f"{name}: {part}", data, (system,), change=change))
        found.append(Row("ablation", f"{name}: calibration", data, (system,)))
    data, lang = "domains/masakha-yor", DOMAINS["masakha-yor"]
    yoruba = Row("ablation", "masakha-yor: base", data, ("fitted",), lang=lang, change=UNCALIBRATED)
    letters = all_of(UNCALIBRATED, put(f"{TOK2VEC}.embed.graphemes", False))
    return [*found, yoruba, replace(yoruba, name="masakha-yor: no graphemes", change=letters)]


def configured(row: Row, system: str, base: Settings, steps: int | None = None) -> Settings:
    """The settings of a training.

    Args:
        row (Row): The row.
        system (str): The system.
        base (Settings): Its config, which stays as it is.
        steps (int | None): Number of training steps in place of the config's, for a trial.

    Returns:
        Settings: A changed copy of the config.
    """
    config = deepcopy(base)
    if row.change is not None and system != SPACY:
        row.change(config)
    if system == SPACY and row.with_vectors:
        put(f"{SPACY_EMBED}.include_static_vectors", True)(config)
    if steps is not None:
        shorten(config["training"], steps)
    return config


def has_vectors(config: Any) -> bool:
    """Whether any part of a config takes static vectors."""
    if not isinstance(config, dict):
        return False
    return bool(config.get("include_static_vectors")) or any(has_vectors(value) for value in config.values())


def plan(
    wanted: Iterable[Row],
    configs: Configs,
    seeds: Iterable[int],
    systems: Iterable[str] | None = None,
    steps: int | None = None,
) -> Iterator[Run]:
    """The trainings of rows, seed by seed. One that two rows share comes once, in its first row.

    Args:
        wanted (Iterable[Row]): The rows.
        configs (Configs): The config of each system.
        seeds (Iterable[int]): The seeds.
        systems (Iterable[str] | None): Only these systems. None means all.
        steps (int | None): Number of steps of a trial, see `configured`.

    Yields:
        Run: The trainings.
    """
    seen: set[str] = set()
    for seed in seeds:
        for row in wanted:
            for system in row.systems:
                if systems is not None and system not in systems:
                    continue
                config = configs[system]
                base = config(row, seed) if callable(config) else config
                run = Run(row, system, seed, configured(row, system, base, steps))
                if run.fingerprint not in seen:
                    seen.add(run.fingerprint)
                    yield run
