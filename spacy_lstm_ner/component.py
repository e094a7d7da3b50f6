"""The trainable pipeline component behind the factory "lstm_ner"."""

import warnings
from collections import Counter
from itertools import islice
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline.trainable_pipe import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.util import check_lexeme_norms
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from .annotations import GoldReport, gold_labels, gold_tags, token_constraints, word_counts, write_entities
from .layers.decode import decode
from .layers.embed import build_vocabulary
from .layers.head import cross_entropy
from .scorer import score_entities
from .tags import n_tags, tags_to_spans

DEFAULT_MODEL_CONFIG = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"

[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"

[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v1"
width = 96
attrs = ["norm", "prefix1", "prefix2", "prefix3", "suffix2", "suffix3", "suffix4", "shape"]
rows = [5000, 500, 1000, 2500, 1000, 2500, 2500, 1000]
include_static_vectors = false
word_dropout = 0.1

[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 200
depth = 2
residual = true
window = 32
context = 8
"""
DEFAULT_MODEL = Config().from_str(DEFAULT_MODEL_CONFIG)["model"]


class Prediction(NamedTuple):
    """The entities of one doc: token numbers and labels."""

    starts: List[int]
    ends: List[int]
    labels: List[str]


@Language.factory(
    "lstm_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={"model": DEFAULT_MODEL, "scorer": {"@scorers": "spacy-lstm-ner.entity_scorer.v1"}},
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_lstm_ner(
    nlp: Language,
    name: str,
    model: Model[List[Doc], List[Floats2d]],
    scorer: Optional[Callable[..., Dict[str, Any]]],
) -> "LSTMEntityRecognizer":
    """Create the component for a pipeline.

    model: gives the log-probabilities of the BIO tags of each token; see `architectures.build_tagger`.
    scorer: scores a list of Examples.
    """
    return LSTMEntityRecognizer(nlp.vocab, model, name, scorer=scorer)


class LSTMEntityRecognizer(TrainablePipe):
    """Finds named entities: the model scores BIO tags, the best legal sequence of them becomes `doc.ents`."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model[List[Doc], List[Floats2d]],
        name: str = "lstm_ner",
        *,
        scorer: Optional[Callable[..., Dict[str, Any]]] = score_entities,
    ) -> None:
        """Set the component up; `initialize` or `from_disk` makes it usable.

        vocab: the pipeline's vocabulary. model: see `make_lstm_ner`. name: its name in the pipeline.
        """
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {"labels": []}

    @property
    def labels(self) -> Tuple[str, ...]:
        """The entity labels, in the order of their numbers."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> Tuple[str, ...]:
        """The labels as `spacy init labels` writes them and `initialize` takes them."""
        return self.labels

    def add_label(self, label: str) -> int:
        """Add an entity label. RETURNS 1 if it is new, else 0.

        A label that is added to a trained model is not predicted until it is trained.
        Raises ValueError if the label is no string, is empty, or is "O", which means "no entity".
        """
        if not isinstance(label, str):
            raise ValueError(Errors.E187)
        if label in self.labels:
            return 0
        if not label or label == "O":
            raise ValueError(
                f"'{self.name}': {label!r} cannot be an entity label, since a token without entity is tagged O"
            )
        if label.startswith("!"):
            raise ValueError(Errors.E869.format(label=label))
        self.cfg["labels"] = [*self.labels, label]
        self.vocab.strings.add(label)
        if self._is_initialized():
            self.model.attrs["resize_output"](self.model, n_tags(len(self.labels)))
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[Any] = None,
    ) -> None:
        """Learn the labels (and the vocabulary, if the model wants one) from the examples and set the model up.

        get_examples: gives the examples anew at each call; they are read once and not kept.
        labels: a list of labels, or the mapping that spaCy's `ner` writes as its label data, to start with in place
            of the labels of the examples; `update` adds what else it sees.
        Raises TypeError for anything but Examples, and ValueError for labels of another form.
        """
        validate_get_examples(get_examples, "LSTMEntityRecognizer.initialize")
        check_lexeme_norms(self.vocab, "ner")
        tables = [node for node in self.model.walk() if "vocabulary" in node.attrs]
        found: Counter[str] = Counter()
        counts: Counter[int] = Counter()
        sample: List[Example] = list(islice(get_examples(), 10))
        if labels is None or tables:
            for example in get_examples():
                found.update(gold_labels(example.reference))
                if tables:
                    counts.update(word_counts([example.predicted]))
        for label in sorted(found) if labels is None else self._label_list(labels):
            self.add_label(label)
        for table in tables:
            build_vocabulary(table, counts)
        output = self.model.get_ref("output_layer")
        output.set_dim("nO", n_tags(len(self.labels)), force=True)
        self.model.get_ref("log_softmax").attrs["unseen"] = []
        self.model.initialize(X=[example.x for example in sample])

    def _label_list(self, labels: Any) -> List[str]:
        if isinstance(labels, dict) and all(isinstance(value, dict) for value in labels.values()):
            # spaCy's ner writes {action: {label: count}}.
            labels = sorted({label for action in labels.values() for label in action if label})
        if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) for label in labels):
            raise ValueError(
                f"'{self.name}': labels must be a list of strings, as `spacy init labels` writes them, but got "
                f"{str(labels)[:80]!r}"
            )
        return list(labels)

    def _is_initialized(self) -> bool:
        output = self.model.get_ref("output_layer")
        return bool(output.has_param("W"))

    def _require_initialized(self) -> None:
        if not self._is_initialized():
            raise ValueError(
                f"'{self.name}' is not initialized: call nlp.initialize() or load a trained pipeline before using it"
            )

    def predict(self, docs: Iterable[Doc]) -> List[Prediction]:
        """The entities of each doc; the docs are not changed.

        Raises ValueError if the component was not initialized.
        """
        self._require_initialized()
        docs = [docs] if isinstance(docs, Doc) else list(docs)
        lengths = np.array([len(doc) for doc in docs], dtype=np.int64)
        if not lengths.any():
            return [Prediction([], [], []) for _ in docs]
        scores = self.model.ops.to_numpy(self.model.ops.flatten(self.model.predict(docs)))
        tags = decode(scores, lengths, token_constraints(docs))
        first_tokens = np.cumsum(lengths) - lengths
        spans = tags_to_spans(tags, first_tokens)
        bounds = np.searchsorted(spans.starts, [*first_tokens, len(tags)]).tolist()
        predictions = []
        for k, first in enumerate(first_tokens.tolist()):
            own = slice(bounds[k], bounds[k + 1])
            names = [self.labels[number] for number in spans.labels[own].tolist()]
            predictions.append(
                Prediction((spans.starts[own] - first).tolist(), (spans.ends[own] - first).tolist(), names)
            )
        return predictions

    def set_annotations(self, docs: Iterable[Doc], predictions: Sequence[Prediction]) -> None:
        """Add the predicted entities to `doc.ents`. Entities that were there before stay."""
        for doc, prediction in zip(docs, predictions, strict=True):
            write_entities(doc, *prediction)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn from a batch of examples.

        drop: the dropout rate. sgd: the optimizer; without one, gradients only accumulate.
        losses: a record to which the loss is added under the component's name.
        RETURNS: the losses. Raises TypeError for anything but Examples, ValueError if the loss is not a number.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "LSTMEntityRecognizer.update")
        self._require_initialized()
        self._learn_labels(examples)
        if not any(len(example.predicted) for example in examples):
            return losses
        set_dropout_rate(self.model, drop)
        # The whole batch in its order: a listener gets its vectors for just these docs.
        scores, backprop = self.model.begin_update([example.predicted for example in examples])
        loss, d_scores = self.get_loss(examples, scores)
        backprop(d_scores)
        if sgd not in (None, False):
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

    def _learn_labels(self, examples: Sequence[Example]) -> None:
        """Add labels that first turn up now, and let tags be predicted that now have an example."""
        unseen = self.model.get_ref("log_softmax").attrs["unseen"]
        present = {label for example in examples for label in gold_labels(example.reference)}
        new = sorted(present.difference(self.labels))
        for label in new:
            self.add_label(label)
        if new:
            warnings.warn(
                f"'{self.name}': labels {', '.join(new)} first seen in update were added. To have them from the "
                "start, give them to initialize, in its examples or in its list of labels",
                stacklevel=3,
            )
        if unseen or new:
            softmax = self.model.get_ref("log_softmax")
            waiting = set(softmax.attrs["unseen"])
            for number, label in enumerate(self.labels):
                if label in present:
                    waiting -= {2 * number + 1, 2 * number + 2}
            softmax.attrs["unseen"] = sorted(waiting)

    def get_loss(self, examples: Iterable[Example], scores: Sequence[Floats2d]) -> Tuple[float, List[Floats2d]]:
        """The cross entropy summed over the annotated tokens, and its gradient, one array a doc.

        scores: the model's log-probabilities of the tags, one array (tokens, tags) a doc.
        Raises ValueError if the loss is not a number.
        """
        numbers = {label: number for number, label in enumerate(self.labels)}
        report = GoldReport()
        gold = [gold_tags(example, numbers, report) for example in examples]
        ops = self.model.ops
        flat = ops.flatten(list(scores))
        loss, gradient = cross_entropy(ops, flat, ops.xp.asarray(np.concatenate(gold)))
        if not np.isfinite(loss):
            raise ValueError(
                f"'{self.name}': the loss is {loss}. Training went out of bounds: lower the learning rate, or set "
                f"grad_clip in the optimizer. ({Errors.E910.format(name=self.name)})"
            )
        return loss, ops.unflatten(gradient, [len(tags) for tags in gold])
