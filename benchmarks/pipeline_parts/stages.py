"""Where the time of our pipelines goes, and how their recurrence compares with the machine's matrix products."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from pipeline_parts.common import Record, Work, call
from pipeline_parts.contestants import path_of

STAGES = (
    # Stages, and the function that each row times:
    #   nlp NAME              a method of the pipeline
    #   function MODULE:NAME  a function, in the module that calls it
    #   node NAME/K           the K-th child of a layer of the model, or the layer itself
    #   ref NAME              a reference of the model
    # A row's time is without that of other rows inside it. Pipelines need not have rows with "?".
    ("tokenizer", "nlp make_doc"),
    ("distinct words", "function layers.tok2vec:read_tokens"),
    ("distinct words", "function layers.tok2vec:lexemes_of"),
    ("embedding", "node per_lexeme/0"),
    ("features", "node lexeme_features"),
    ("characters", "node char_cnn?"),
    ("static vectors", "node lexeme_vectors?"),
    ("gather and recurrence", "function layers.tok2vec:encode_distinct"),
    ("occurrences", "function layers.tok2vec:group_occurrences"),
    ("occurrences", "function layers.tok2vec:with_maxima"),
    ("head", "function layers.tagger:product"),
    ("head", "ref head"),
    ("reading tokens", "function pipeline.predict:chain_tokens"),
    ("decoding", "function pipeline.predict:find_spans"),
    ("scores", "function pipeline.predict:span_scores"),
    ("scores", "function pipeline.annotate:keep_scores"),
    ("writing entities", "function pipeline.annotate:write_entities"),
)
RECURRENCE = "gather and recurrence"
REST = "the rest"
PACKAGE = "spacy_lstm_ner"
COMPONENT = "lstm_ner"


class Stopwatch:
    """CPU time by stage. While an inner stage runs, the outer one stands still."""

    def __init__(self, clock: Callable[[], float] = time.process_time):
        self.clock = clock
        self.seconds: Counter[str] = Counter()
        self._running = [REST]
        self._since = clock()

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._charge()
            self._running.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._charge()
                self._running.pop()

        return timed

    def run(self, function: Callable[[], Any]) -> dict[str, float]:
        """Call the function, and return the seconds of each stage."""
        self.seconds.clear()
        self._since = self.clock()
        function()
        self._charge()
        return dict(self.seconds)

    def _charge(self) -> None:
        now = self.clock()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now


def places(nlp: Any, selector: str) -> list[tuple[Any, str]]:
    """What a selector of STAGES names.

    Args:
        nlp (Any): The pipeline.
        selector (str): The second column of STAGES.

    Returns:
        list[tuple[Any, str]]: Objects and attributes that hold the functions.

    Raises:
        LookupError: If there are none, unless the selector ends with "?".
    """
    kind, _, rest = selector.rstrip("?").partition(" ")
    name, _, inner = rest.partition("/" if kind == "node" else ":")
    model = nlp.get_pipe(COMPONENT).model
    found: list[tuple[Any, str]] = []
    if kind == "nlp":
        found = [(nlp, name)]
    elif kind == "function":
        module = import_module(f"{PACKAGE}.{name}")
        found = [(module, inner)] if hasattr(module, inner) else []
    elif kind == "ref":
        found = [(model.get_ref(name), "_func")] if name in model.ref_names else []
    elif kind == "node":
        nodes = [node for node in model.walk() if node.name == name]
        found = [(node.layers[int(inner)] if inner else node, "_func") for node in nodes]
    if not found and not selector.endswith("?"):
        raise LookupError(f"{selector!r} names nothing in this version of {PACKAGE}: adapt the table STAGES")
    return found


@contextmanager
def instrumented(nlp: Any, watch: Stopwatch, stages: Sequence[tuple[str, str]] = STAGES) -> Iterator[None]:
    """Time the functions of the stages within the block. stages: rows as in STAGES."""
    before = [(*place, getattr(*place)) for _, selector in stages for place in places(nlp, selector)]
    try:
        for stage, selector in stages:
            for owner, name in places(nlp, selector):
                setattr(owner, name, watch.wrap(stage, getattr(owner, name)))
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def measure(work: Work, rounds: int, docs: int) -> Record:
    found = {}
    for name in ("default", "accuracy"):
        path = path_of(name, work)
        found[name] = call("stages:profile", path=path, dev=work.dev, rounds=rounds, n_docs=docs)
    return {"rounds": rounds, "pipelines": found}


# This runs in a process of its own.


def profile(path: str, dev: str, rounds: int, n_docs: int) -> Record:
    """Median seconds of each stage, on texts that the pipeline has seen, and of the matrix products alone."""
    import spacy
    from spacy.tokens import DocBin

    nlp = spacy.load(path)
    docs = list(DocBin().from_disk(dev).get_docs(nlp.vocab))[: n_docs or None]
    texts, watch = [doc.text for doc in docs], Stopwatch()

    def run() -> None:
        for _ in nlp.pipe(texts):
            pass

    by_step, at_once, flops = bare_products(nlp, texts)
    run()
    stages, plain, steps, once = [], [], [], []
    for _ in range(rounds):
        plain.append(seconds(run))
        with instrumented(nlp, watch):
            stages.append(watch.run(run))
        steps.append(seconds(by_step))
        once.append(seconds(at_once))
    names = list(dict.fromkeys([name for name, _ in STAGES] + [REST]))
    of_stage = {name: float(np.median([row.get(name, 0.0) for row in stages])) for name in names}
    whole = float(np.median(plain))
    return {
        "words": sum(map(len, docs)),
        "seconds": whole,
        "seconds_instrumented": float(np.median([sum(row.values()) for row in stages])),
        "stages": {name: value for name, value in of_stage.items() if value},
        "products_by_step": float(np.median(steps)),
        "products_at_once": float(np.median(once)),
        "gflops": round(flops / 1e9 / of_stage[RECURRENCE], 1) if of_stage[RECURRENCE] else None,
        "gflops_of_machine": round(machine_gflops(), 1),
    }


def seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def bare_products(nlp: Any, texts: list[str]) -> tuple[Callable[[], None], Callable[[], None], float]:
    """The matrix products of the recurrence alone, for batches of `nlp.batch_size` docs.

    These are h·R of all rows, and x·W of all rows in the layers above the first.

    Args:
        nlp (Any): The pipeline.
        texts (list[str]): The texts.

    Returns:
        tuple[Callable[[], None], Callable[[], None], float]: A function that computes h·R for each time step of a
            batch, a function that computes it at once, and the number of operations of each.
    """
    from spacy.util import minibatch

    from spacy_lstm_ner.layers.packed import pack

    model = nlp.get_pipe(COMPONENT).model
    stack = next(node for node in model.walk() if node.name.startswith("recurrent("))
    D, H = stack.attrs["n_directions"], stack.layers[0].get_dim("nO")
    rng, work, flops = np.random.default_rng(0), [], 0.0
    weights = [(array(rng, D, layer.get_dim("nI"), 4 * H), array(rng, D, H, 4 * H)) for layer in stack.layers]
    for docs in minibatch((nlp.make_doc(text) for text in texts), nlp.batch_size):
        settings = {"window": stack.attrs["window"], "context": stack.attrs["context"]}
        packed = pack(np.array([len(doc) for doc in docs]), n_directions=D, **settings)
        n, sizes = packed.n_rows, packed.batch_sizes.tolist()
        starts = (np.cumsum(sizes) - sizes).tolist()
        for k, (W, _) in enumerate(weights):
            # The first layer keeps x·W of words that it has seen.
            rows = 0 if k == 0 else n
            work.append((array(rng, rows, W.shape[1]), array(rng, D, n, H), k, list(zip(starts, sizes, strict=True))))
            flops += 2.0 * D * 4 * H * (rows * W.shape[1] + n * H)
    buffer = np.empty((D, max(max(len(x), h.shape[1]) for x, h, _, _ in work), 4 * H), dtype="f4")

    def by_step() -> None:
        for x, h, k, steps in work:
            W, R = weights[k]
            np.matmul(x, W, out=buffer[:, : len(x)])
            for start, b in steps:
                np.matmul(h[:, start : start + b], R, out=buffer[:, :b])

    def at_once() -> None:
        for x, h, k, _ in work:
            W, R = weights[k]
            np.matmul(x, W, out=buffer[:, : len(x)])
            np.matmul(h, R, out=buffer[:, : h.shape[1]])

    return by_step, at_once, flops


def machine_gflops(n: int = 1024, repetitions: int = 5) -> float:
    """Operations a second of a large float32 product."""
    A = array(np.random.default_rng(0), n, n)
    return 2.0 * n**3 / 1e9 / min(seconds(lambda: A @ A) for _ in range(repetitions))


def array(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape).astype("f4")
