"""Short runs of training with checkpoints."""

import io

import pytest
from spacy.training.initialize import init_nlp
from thinc.api import Config

import spacy_lstm_ner.training.loop as training
from spacy_lstm_ner.training.resume import find_resumption

CONFIG = """
[paths]
train = null
dev = null
[nlp]
lang = "en"
pipeline = ["lstm_ner"]
[components]
[components.lstm_ner]
factory = "lstm_ner"
[components.lstm_ner.model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
[components.lstm_ner.model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
[components.lstm_ner.model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v2"
width = 8
attrs = ["norm", "suffix3"]
rows = [50, 40]
word_dropout = 0.3
min_count = 1
[components.lstm_ner.model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 8
recurrent_dropout = 0.2
[corpora]
[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}
[corpora.train.augmenter]
@augmenters = "spacy-lstm-ner.EntitySwap.v1"
level = 0.5
share = 0.5
[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}
[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
seed = 3
gpu_allocator = null
dropout = 0.3
max_steps = 39
max_epochs = 0
eval_frequency = 10
accumulate_gradient = 2
[training.batcher]
@batchers = "spacy.batch_by_words.v1"
discard_oversize = false
tolerance = 0.2
[training.batcher.size]
@schedules = "compounding.v1"
start = 50
stop = 200
compound = 1.02
[training.optimizer]
@optimizers = "Adam.v1"
use_averages = true
L2 = 0.01
[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
warmup_steps = 10
total_steps = 60
initial_rate = 0.01
[training.logger]
@loggers = "spacy.ConsoleLogger.v3"
[training.score_weights]
ents_f = 1.0
"""


def make_config(corpus, changes=()):
    paths = {"paths.train": str(corpus / "train.spacy"), "paths.dev": str(corpus / "dev.spacy")}
    config = Config().from_str(CONFIG, interpolate=False)
    for path, value in {**paths, **dict(changes)}.items():
        *sections, key = path.split(".")
        block = config
        for section in sections:
            block = block[section]
        block[key] = value
    return config


def run(config, output, every=10, resume=False):
    """Train a pipeline. Returns the log."""
    resumption = find_resumption(output, config, pytest.fail) if resume else None
    nlp = init_nlp(config) if resumption is None else resumption.nlp
    log = io.StringIO()
    training.train(nlp, output, config, every=every, resumption=resumption, stdout=log)
    return log.getvalue()


def weights(output):
    """The content of all files of the trained pipelines."""
    found = {}
    for name in ("model-best", "model-last"):
        for path in sorted((output / name).rglob("*")):
            if path.is_file():
                found[path.relative_to(output).as_posix()] = path.read_bytes()
    return found
