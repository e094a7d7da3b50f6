"""A program for tests/test_threads.py: train and predict, and print what the number of BLAS threads was where.

Usage: python tests/support/blas_threads.py
The keys of the JSON: `inside`, for each function of the package with a matrix product, the numbers at its calls;
`thread` and `spawned`, the same in another thread and in a spawned process; `between`, the numbers at the user's own
products; `error`, the number after a product that failed.
"""

import dis
import json
import multiprocessing
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import spacy
from spacy.training import Example
from thinc.api import Config, fix_random_seed

from spacy_lstm_ner.layers.rnn.single_layer import project_inputs
from spacy_lstm_ner.threads import ONE_THREAD
from support.small import TRAIN, examples_for

MANY = 4
CHARS = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
occurrences = 5000
[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v2"
width = 16
attrs = ["norm"]
rows = [100]
[model.tok2vec.embed.chars]
@architectures = "spacy-lstm-ner.CharCNN.v1"
width = 8
[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 16
depth = 2
"""


def has_product(code):
    return "matmul" in code.co_names or any(
        step.opname == "BINARY_MATRIX_MULTIPLY" or (step.opname == "BINARY_OP" and "@" in step.argrepr)
        for step in dis.get_instructions(code)
    )


class Watch:
    """Within the block: the number of threads at each call of a function of the package that has a product."""

    def __init__(self):
        self.seen, self.codes = {}, {}

    def __call__(self, frame, event, argument):
        code = frame.f_code
        if event != "call" or "spacy_lstm_ner" not in code.co_filename:
            return
        if code not in self.codes:
            self.codes[code] = has_product(code)
        if self.codes[code]:
            self.seen.setdefault(code.co_qualname if sys.version_info >= (3, 11) else code.co_name, set()).add(
                ONE_THREAD.blas.get()
            )

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *error):
        sys.setprofile(None)

    def found(self):
        return {name: sorted(numbers) for name, numbers in self.seen.items()}


def choose_many():
    """As on a machine with several cores where nobody chose a number."""
    ONE_THREAD.blas.default = MANY
    ONE_THREAD.blas.set(MANY)


def trained(config):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner", config=config)
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    return nlp


def in_spawned_process(data, queue):
    choose_many()
    nlp = spacy.blank("en")
    nlp.add_pipe("lstm_ner")
    nlp.from_bytes(data)
    with Watch() as watch:
        list(nlp.pipe([text for text, _ in TRAIN]))
    queue.put([watch.found(), ONE_THREAD.blas.get()])


def main():
    choose_many()
    between = []
    with Watch() as watch:
        for config in ({}, Config().from_str(CHARS), {"rehearse_weight": 1.0}):
            nlp = trained(config)
            between.append(ONE_THREAD.blas.get())
            component = nlp.get_pipe("lstm_ner")
            docs = [nlp.make_doc(text) for text, _ in TRAIN]
            component.uncertainty(docs)
            component.n_best(docs)
            list(nlp.pipe(docs))
            optimizer = nlp.resume_training()
            examples = [Example.from_dict(nlp.make_doc(text), {"entities": spans}) for text, spans in TRAIN]
            nlp.update(examples, sgd=optimizer)
            nlp.rehearse(examples, sgd=optimizer)
            between.append(ONE_THREAD.blas.get())
    nlp = trained({})
    in_thread = {}

    def run():
        with Watch() as own:
            list(nlp.pipe([text for text, _ in TRAIN]))
        in_thread.update(own.found())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=in_spawned_process, args=(nlp.to_bytes(), queue))
    process.start()
    spawned, after = queue.get()
    process.join()
    between += [ONE_THREAD.blas.get(), after]
    layer = next(node for node in nlp.get_pipe("lstm_ner").model.walk() if node.name == "lstm")
    try:
        project_inputs(layer, np.zeros((1, 1), dtype="f4"))
    except ValueError:
        error = ONE_THREAD.blas.get()
    print(
        json.dumps(
            {"inside": watch.found(), "thread": in_thread, "spawned": spawned, "between": between, "error": error}
        )
    )


if __name__ == "__main__":
    main()
