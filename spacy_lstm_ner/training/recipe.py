"""A training config that fits the data, with the reason for each choice.

The figures behind the rules are in docs/benchmarks/robustness.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple, Optional

from spacy.language import Language
from spacy.util import load_config_from_str
from thinc.api import Config

from ..data.facts import FEW_SENTENCES, DataFacts
from ..pipeline.component import DEFAULT_MODEL, find_component
from ..pipeline.start import require_no_listener

_FRAME = """
[paths]
train = null
dev = null
vectors = null

[system]
seed = 0
gpu_allocator = null

[nlp]
lang = "en"
pipeline = ["lstm_ner"]
batch_size = 256

[components]

[components.lstm_ner]
factory = "lstm_ner"
decoding = "expected_f"

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.train.augmenter]
@augmenters = "spacy-lstm-ner.TextVariation.v1"

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
seed = ${system.seed}
gpu_allocator = ${system.gpu_allocator}
dropout = 0.0
accumulate_gradient = 1
patience = 0
max_epochs = 0

[training.before_to_disk]
@callbacks = "spacy-lstm-ner.CalibrateOnDev.v1"

[training.batcher]
@batchers = "spacy.batch_by_words.v1"
tolerance = 0.2
discard_oversize = false

[training.batcher.size]
@schedules = "compounding.v1"
start = 100
compound = 1.003

[training.optimizer]
@optimizers = "Adam.v1"
beta1 = 0.9
beta2 = 0.999
L2_is_weight_decay = true
L2 = 0.01
grad_clip = 1.0
use_averages = true
eps = 0.00000001

[training.optimizer.learn_rate]
@schedules = "spacy-lstm-ner.warmup_linear.v1"
initial_rate = 0.003
total_steps = ${training.max_steps}

[training.score_weights]
ents_f = 1.0
ents_p = 0.0
ents_r = 0.0
ents_per_type = null
ents_token_acc = 0.0
ents_token_acc_in_entities = 0.0

[initialize]
vectors = ${paths.vectors}
"""

_TAGGER = "components.lstm_ner.model"
_EMBED, _ENCODE = f"{_TAGGER}.tok2vec.embed", f"{_TAGGER}.tok2vec.encode"
_AUGMENTER = "corpora.train.augmenter"

LITTLE_CASE = 0.3
"""Share of the tokens with a case, below which the script is taken to have none."""
MANY_CAPITALS = 0.2
"""Share of the words outside of entities with a capital, above which capitals do not mark names, as in German."""
MANY_LABELS = 60
"""Labels, above which the tag scheme is BIO."""
LONG_TOKENS = 5.0
"""Characters per token, above which longer suffixes are used."""
SMALL = 20_000
"""Tokens, below which batches stay small."""


class Choice(NamedTuple):
    """A setting that depends on the data.

    Attributes:
        setting (str): The dotted name of the setting, or of a block.
        value (Any): The value.
        reason (str): Why it has this value, in one line.
    """

    setting: str
    value: Any
    reason: str


def choose(facts: DataFacts, has_vectors: bool, optimize: str) -> list[Choice]:
    """Choose the settings that depend on the data.

    Args:
        facts (DataFacts): What the training data looks like.
        has_vectors (bool): Whether there are word vectors.
        optimize (str): "speed", or "accuracy" for characters and two wider layers.

    Returns:
        list[Choice]: The settings.
    """
    return [*_model(facts, has_vectors, optimize), *_variation(facts), *_training(facts)]


def choose_from_start(facts: DataFacts, start: Language, path: str) -> list[Choice]:
    """Choose the settings of a training that starts from another pipeline.

    Args:
        facts (DataFacts): What the training data looks like.
        start (Language): The other pipeline.
        path (str): Its folder, or the name of its package.

    Returns:
        list[Choice]: The settings.

    Raises:
        ValueError: If the pipeline has no lstm_ner component, or this listens to another component.
    """
    component = find_component(start.components)
    require_no_listener(component.model)
    name = component.name
    model = deepcopy(start.get_pipe_config(name)["model"])
    steps = int(round(n_steps(facts.tokens) / 3, -2))
    settings = {"start": path, "start_component": name}
    hidden = Choice(f"{_EMBED}.word_dropout", 0.8, "Most words are hidden, as new names are new to the start too.")
    return [
        Choice(_TAGGER, model, "The architecture of the pipeline to start from."),
        # Other embeddings do not hide words.
        *([hidden] if "word_dropout" in model["tok2vec"].get("embed", {}) else []),
        Choice("initialize.components", {"lstm_ner": settings}, ""),
        Choice(f"{_AUGMENTER}.lower", 0.0, "The start has seen other casings, if its own training varied them."),
        Choice("training.max_steps", steps, f"For {facts.tokens:,} tokens, after a start. The learning rate follows."),
        Choice("training.eval_frequency", max(20, steps // 20), ""),
        Choice("training.batcher.size", 500, "Batches in words."),
        Choice(
            "training.optimizer.learn_rate.initial_rate",
            0.002,
            "Low, since the weights are not new.",
        ),
        Choice("training.optimizer.learn_rate.warmup", 0.1, ""),
    ]


def _model(facts: DataFacts, has_vectors: bool, optimize: str) -> Iterator[Choice]:
    n_labels = len(facts.labels)
    if n_labels > MANY_LABELS:
        yield Choice(f"{_TAGGER}.scheme", "bio", f"{n_labels} labels: BIO has half as many tags as BILUO.")
    if facts.characters_per_token > LONG_TOKENS:
        embed = DEFAULT_MODEL["tok2vec"]["embed"]
        why = f"{facts.characters_per_token:.1f} characters per token: longer suffixes help with long words."
        yield Choice(f"{_EMBED}.attrs", [*embed["attrs"], "lsuffix5", "lsuffix6"], why)
        yield Choice(f"{_EMBED}.rows", [*embed["rows"], 2000, 2000], "")
    if has_vectors:
        yield Choice(f"{_EMBED}.include_static_vectors", True, "The vectors of [initialize].")
    if optimize == "accuracy":
        chars = {"@architectures": "spacy-lstm-ner.CharCNN.v1", "width": 30, "char_width": 25, "max_chars": 30}
        yield Choice(f"{_EMBED}.chars", chars, "For accuracy: a vector of the characters of each word.")
        yield Choice(f"{_ENCODE}.width", 200, "For accuracy: two wider layers.")
        yield Choice(f"{_ENCODE}.depth", 2, "")
        yield Choice(f"{_ENCODE}.residual", True, "")


def _variation(facts: DataFacts) -> Iterator[Choice]:
    per_doc = facts.sentences_per_doc
    if per_doc >= FEW_SENTENCES:
        why = f"{per_doc:.0f} sentences per doc: most docs are cut, so that single sentences work too."
        yield Choice(f"{_AUGMENTER}.pieces", 0.85, why)
    else:
        yield Choice(f"{_AUGMENTER}.pieces", 0.0, f"{per_doc:.1f} sentences per doc: nothing to cut.")
        yield Choice(f"{_EMBED}.word_dropout", 0.6, "Single sentences: the context of a name matters more.")
    if facts.cased < LITTLE_CASE:
        why = f"{facts.cased:.0%} of the tokens have a case: casing is left as it is."
        shares = (0.0, 0.0, 0.0)
    elif facts.capital_words > MANY_CAPITALS:
        why = f"{facts.capital_words:.0%} of the words outside of entities have a capital: the casing varies little."
        shares = (0.03, 0.02, 0.0)
    else:
        why = f"{facts.capital_names:.0%} of the entities begin with a capital: training varies the casing."
        shares = (0.08, 0.04, 0.02)
    for name, share in zip(("lower", "upper", "title"), shares, strict=True):
        yield Choice(f"{_AUGMENTER}.{name}", share, why if name == "lower" else "")


def _training(facts: DataFacts) -> Iterator[Choice]:
    steps = n_steps(facts.tokens)
    yield Choice("training.max_steps", steps, f"For {facts.tokens:,} tokens. The learning rate follows.")
    yield Choice("training.eval_frequency", max(20, steps // 20), "")
    small = facts.tokens < SMALL
    yield Choice(
        "training.batcher.size.stop",
        500 if small else 2000,
        "Batches in words. Little data: small batches." if small else "Batches in words.",
    )


def n_steps(tokens: int) -> int:
    """The number of training steps for a number of training tokens: 2,400 for 200,000, and ten times as many for a
    hundred times as many tokens.
    """
    steps = 2400 * (max(tokens, 1) / 200_000) ** 0.5
    return int(min(max(round(steps, -2), 1000), 30_000))


def make_config(choices: Iterable[Choice], lang: str, paths: Mapping[str, Optional[str]]) -> Config:
    """Make a config of the choices.

    Args:
        choices (Iterable[Choice]): The settings that depend on the data.
        lang (str): The code of the language.
        paths (Mapping[str, Optional[str]]): The settings of [paths] that are known.

    Returns:
        Config: The config, for `spacy train`.
    """
    config = load_config_from_str(_FRAME)
    config["components"]["lstm_ner"]["model"] = deepcopy(DEFAULT_MODEL)
    config["nlp"]["lang"] = lang
    config["paths"].update(paths)
    for choice in choices:
        section, _, name = choice.setting.rpartition(".")
        block = config
        for part in section.split("."):
            block = block.setdefault(part, {})
        block[name] = deepcopy(choice.value)
    return config


def put_reader(config: Config, part: str, reader: dict[str, Any]) -> None:
    """Replace the reader of a corpus of a config. Its augmenter stays.

    Args:
        config (Config): The config. It is changed.
        part (str): "train" or "dev".
        reader (dict[str, Any]): The block of the reader.

    Raises:
        ValueError: If the corpus has no block of its own.
    """
    place = config["training"].get(f"{part}_corpus", f"corpora.{part}")
    section, _, corpus = place.rpartition(".")
    if section != "corpora" or corpus not in config.get("corpora", {}):
        raise ValueError(
            f"the config has {part}_corpus = {place!r} in [training]; expected a block of [corpora], such as "
            f"corpora.{part}"
        )
    if augmenter := config["corpora"][corpus].get("augmenter"):
        reader["augmenter"] = augmenter
    config["corpora"][corpus] = reader


def render(config: Config, choices: Iterable[Choice]) -> str:
    """Write a config with the reason for each choice as a comment above it.

    Args:
        config (Config): The config.
        choices (Iterable[Choice]): The choices.

    Returns:
        str: The text of the file. Each block comes before the blocks inside it.
    """
    reasons = {choice.setting: choice.reason for choice in choices if choice.reason}
    blocks = [block.splitlines() for block in config.to_str(interpolate=False).strip().split("\n\n")]
    place = {block[0].strip("[]"): number for number, block in enumerate(blocks)}
    path = {name: [place[".".join(name.split(".")[:n])] for n in range(1, name.count(".") + 2)] for name in place}
    text = ""
    for name in sorted(place, key=path.__getitem__):
        for line in blocks[place[name]]:
            setting = name if line.startswith("[") else f"{name}.{line.partition(' = ')[0]}"
            text += f"# {reasons[setting]}\n{line}\n" if setting in reasons else f"{line}\n"
        text += "\n"
    return text.rstrip("\n") + "\n"
