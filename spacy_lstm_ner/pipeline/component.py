"""The trainable pipeline component behind the factory "lstm_ner"."""

from copy import deepcopy
from multiprocessing.context import get_spawning_popen
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
from spacy.errors import Errors
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_get_examples
from spacy.util import check_lexeme_norms
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..annotation.gold import gold_labels
from ..annotation.gold_report import GoldReport
from ..annotation.label_data import read_label_data
from ..layers.crf.head import set_head_size
from ..layers.crf.likelihood import Loss
from ..layers.embed.vocabulary import build_vocabulary
from .annotate import write_predictions
from .checks import TrainingWatch, survey
from .labels import let_be_predicted, warn_of_added_labels
from .listeners import check_listeners, explain, unheard
from .loss import tagger_loss
from .predict import Analysis, Prediction, best_analyses, find_entities, n_tags, said_of, uncertainties
from .rehearsal import RehearsingPipe, plus
from .scorer import require_picklable, score_entities
from .scores import Uncertainty, register_score_attribute
from .serialization import SavedPipe
from .settings import check_settings, default_settings, warn_of_unknown_labels, writes_spans

DEFAULT_MODEL_CONFIG = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
scheme = "biluo"

[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
occurrences = 5000

[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v1"
width = 96
attrs = ["norm", "prefix1", "prefix2", "prefix3", "suffix2", "suffix3", "suffix4", "shape"]
rows = [4000, 250, 750, 2000, 750, 2000, 2000, 750]
include_static_vectors = false
word_dropout = 0.3
affix_dropout = 0.5

[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 128
depth = 1
window = 32
context = 8
"""
DEFAULT_MODEL = Config().from_str(DEFAULT_MODEL_CONFIG)["model"]


@Language.factory(
    "lstm_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={
        "model": DEFAULT_MODEL,
        "scorer": {"@scorers": "spacy-lstm-ner.entity_scorer.v1"},
        **default_settings(),
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_lstm_ner(
    nlp: Language,
    name: str,
    model: Model[List[Doc], List[Floats2d]],
    scorer: Optional[Callable[..., Dict[str, Any]]],
    threshold: float,
    label_thresholds: Dict[str, float],
    annotate: str,
    overwrite: bool,
    spans_key: Optional[str],
    score_attr: Optional[str],
    sentence_boundaries: bool,
    incorrect_spans_key: Optional[str],
    label_weights: Dict[str, float],
    label_smoothing: float,
    other_labels: str,
    rehearse_weight: float,
) -> "LSTMEntityRecognizer":
    """Create the component for a pipeline.

    model: gives the emissions of the tags of each token; see `architectures.build_tagger`.
    scorer: scores a list of Examples.
    threshold: entities of a lower probability are left out. label_thresholds: the same for single labels.
    annotate: where entities go: "ents", "spans" (`doc.ents` then neither changes nor counts as given), or "both".
    overwrite: whether entities take the place of those in `doc.ents` that they overlap; if not, what is there stays.
    spans_key: entities and their probabilities go to `doc.spans[spans_key]` too. None: they are not computed unless a
        threshold needs them.
    score_attr: name of the extension attribute that gives an entity's probability, `ent._.score`. It reads what
        `spans_key` keeps. None: no such attribute.
    sentence_boundaries: entities do not go on across the start of a sentence, where earlier components set one.
    incorrect_spans_key: in training, `doc.spans[incorrect_spans_key]` of the reference are spans that are known to be
        wrong, as in spaCy's `ner`.
    label_weights: by label (or "O"), how much more an error weighs in training where this is the right answer.
    label_smoothing: share of the right tag's place that training gives to all tags alike.
    other_labels: what an entity of a label that the component does not have is in training: a label to "add", "outside"
        (no entity), or "missing" (no annotation).
    rehearse_weight: in `update`, what it costs to differ from the model as it was when training began on it, per nat of
        the divergence. 0: nothing. A model that is initialized anew has nothing to rehearse.
    Raises ValueError for a setting that is out of range.
    """
    settings = {
        "threshold": threshold,
        "label_thresholds": label_thresholds,
        "annotate": annotate,
        "overwrite": overwrite,
        "spans_key": spans_key,
        "score_attr": score_attr,
        "sentence_boundaries": sentence_boundaries,
        "incorrect_spans_key": incorrect_spans_key,
        "label_weights": label_weights,
        "label_smoothing": label_smoothing,
        "other_labels": other_labels,
        "rehearse_weight": rehearse_weight,
    }
    return LSTMEntityRecognizer(nlp.vocab, model, name, scorer=scorer, **settings)


class LSTMEntityRecognizer(RehearsingPipe, SavedPipe):
    """Finds named entities: the model scores tags, the best legal sequence of them becomes `doc.ents`."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model[List[Doc], List[Floats2d]],
        name: str = "lstm_ner",
        *,
        scorer: Optional[Callable[..., Dict[str, Any]]] = score_entities,
        **settings: Any,
    ) -> None:
        """Set the component up; `initialize` or `from_disk` makes it usable.

        vocab: the pipeline's vocabulary. model, settings: see `make_lstm_ner`. name: its name in the pipeline.
        """
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self._watch = TrainingWatch()
        self.cfg: Dict[str, Any] = {"labels": [], **default_settings(), **deepcopy(settings)}
        check_settings(name, self.cfg)
        self._forget_tutor(is_fresh=True)
        if writes_spans(self.cfg) and self.cfg["score_attr"]:
            register_score_attribute(self.cfg["score_attr"], self.cfg["spans_key"])

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As every object; but where a process is started with it, a scorer that cannot go there is named."""
        if get_spawning_popen() is not None:
            require_picklable(self.name, self.scorer)
        return super().__reduce_ex__(protocol)

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
        Raises ValueError if the label is no string or no valid text, is empty, or is "O", which means "no entity".
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
        if self._is_initialized() and "resize_output" not in self.model.attrs:
            raise ValueError(
                f"'{self.name}': the model has {n_tags(self.model, self.labels)} tags and no attribute "
                f"'resize_output', so the label {label!r} cannot be added. Name it in [initialize.components."
                f"{self.name}] labels, and train anew"
            )
        try:
            self.vocab.strings.add(label)
        except UnicodeEncodeError:
            raise ValueError(f"'{self.name}': the label {label!r} is no valid text (half a surrogate pair)") from None
        self.cfg["labels"] = [*self.labels, label]
        if self._is_initialized():
            self.model.attrs["resize_output"](self.model, n_tags(self.model, self.labels))
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[Any] = None,
    ) -> None:
        """Learn the labels (and the vocabulary, if the model wants one) from the examples and set the model up.

        get_examples: gives the examples anew at each call; they are not kept.
        labels: a list of labels, or the mapping that spaCy's `ner` writes as its label data, to start with in place
            of the labels of the examples. What becomes of other labels is up to the setting `other_labels`; unless that
            is "add", labels that were added before are taken as such a list.
        Warns once of each kind of thing that is wrong with the annotation, with counts.
        Raises TypeError for anything but Examples, and ValueError for labels of another form, for data without any
        annotation, and for a listener of another width than what it listens to.
        """
        validate_get_examples(get_examples, "LSTMEntityRecognizer.initialize")
        check_lexeme_norms(self.vocab, "ner")
        self._watch = TrainingWatch()
        tables = [node for node in self.model.walk() if "vocabulary" in node.attrs]
        data = survey(get_examples(), bool(tables), self.cfg["incorrect_spans_key"])
        output = self.model.get_ref("output_layer")
        data.is_trial = bool(output.has_dim("nO")) and not output.has_param("W")
        if labels is None and self.labels and self.cfg["other_labels"] != "add":
            labels = self.labels
        for label in sorted(data.labels) if labels is None else read_label_data(self.name, labels):
            self.add_label(label)
        self._watch.check_data(self.name, data, self.labels, labels, self.cfg)
        if nlp is not None and (problem := check_listeners(self.name, self.model, nlp)):
            self._watch.warn(self.name, "listener", problem)
        for table in tables:
            build_vocabulary(table, data.words)
        warn_of_unknown_labels(self.name, self.cfg)
        size = n_tags(self.model, self.labels)
        # Labels that were added to a model that has weights have put another layer in the place of the one above.
        self.model.get_ref("output_layer").set_dim("nO", size, force=True)
        set_head_size(self._head, size)
        self._head.attrs.update(unseen=[], temperature=1.0, label_temperatures=[])
        docs = [example.x for example in data.sample]
        # Of docs without tokens, no layer could tell the width of what it will get.
        self.model.initialize(X=docs if any(len(doc) for doc in docs) else [Doc(self.vocab, words=["a"])])
        self._forget_tutor(is_fresh=True)

    def _is_initialized(self) -> bool:
        output = self.model.get_ref("output_layer")
        return bool(output.has_param("W"))

    @property
    def _head(self) -> Model[Any, Any]:
        return self.model.get_ref("head")

    def _require_initialized(self) -> None:
        if not self._is_initialized():
            raise ValueError(
                f"'{self.name}' is not initialized: call nlp.initialize() or load a trained pipeline before using it"
            )

    def predict(self, docs: Iterable[Doc]) -> List[Prediction]:
        """The entities of each doc; the docs are not changed.

        Raises ValueError if the component was not initialized, or its weights give scores that are no numbers.
        """
        self._require_initialized()
        docs = _as_list(docs)
        if problem := unheard(self.name, self.model, docs):
            self._watch.warn(self.name, "unheard", problem)
        with said_of(self.name):
            return find_entities(self.model, docs, self.labels, self.cfg)

    def set_annotations(self, docs: Iterable[Doc], predictions: Sequence[Prediction]) -> None:
        """Write the predicted entities to `doc.ents`, and with their scores to `doc.spans`, as the settings say."""
        write_predictions(docs, predictions, self.cfg, self.name)

    def n_best(self, docs: Iterable[Doc], n: int = 5) -> List[List[Analysis]]:
        """The n most probable analyses of each doc, best first; the docs are not changed.

        docs: as they come to the component: earlier components have run, and this one has not, since the entities that
            a doc has count as given.
        RETURNS: for each doc up to n pairs of its entities, as (start token, end token, label), and the probability
        of exactly these. Thresholds are not applied.
        Raises ValueError if the component was not initialized, or n is not a whole number of at least 1.
        """
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
            raise ValueError(f"'{self.name}': n is {n!r}, but must be a whole number, at least 1")
        self._require_initialized()
        with said_of(self.name):
            return best_analyses(self.model, _as_list(docs), self.labels, self.cfg, int(n))

    def uncertainty(self, docs: Iterable[Doc]) -> List[Uncertainty]:
        """How unsure the model is of each doc, for choosing what to annotate next; the docs are not changed.

        docs: as they come to the component, see `n_best`.
        Raises ValueError if the component was not initialized.
        """
        self._require_initialized()
        with said_of(self.name):
            return uncertainties(self.model, _as_list(docs), self.labels, self.cfg)

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
        RETURNS: the losses. Raises TypeError for anything but Examples, ValueError for a rate out of range, if the
        loss is not a number, and if the model listens to a component that gave it nothing.
        """
        examples, losses = self._begin("update", examples, losses)
        self._require_initialized()
        self._check_rate(drop)
        self._watch.updates += 1
        self._keep_tutor()
        self._learn_labels(examples)
        self._watch.check_labels(self.name, self.labels)
        docs = [example.predicted for example in examples]
        if not any(len(doc) for doc in docs):
            return losses
        set_dropout_rate(self.model, drop)
        # The whole batch in its order: a listener gets its vectors for just these docs.
        try:
            scores, backprop = self.model.begin_update(docs)
        except ValueError as error:
            if explained := explain(self.name, self.model, error):
                raise ValueError(explained) from error
            raise
        loss = self._loss(examples, scores)
        kept = self._rehearsal_loss(examples, scores)
        if kept is not None:
            loss = plus(loss, kept, self.cfg["rehearse_weight"])
        return self._learn(loss, backprop, docs, sgd, losses)

    def _learn_labels(self, examples: Sequence[Example]) -> None:
        """Add labels that first turn up now, and let tags be predicted that now have an example."""
        present = {label for example in examples for label in gold_labels(example.reference)}
        if self.cfg["other_labels"] == "add":
            new = sorted(present.difference(self.labels))
            for label in new:
                self.add_label(label)
            warn_of_added_labels(self.name, new)
        let_be_predicted(self._head, self.labels, present)

    def get_loss(self, examples: Iterable[Example], scores: Sequence[Floats2d]) -> Tuple[float, List[Floats2d]]:
        """The loss in nats, summed over what is annotated, and its gradient, one array a doc.

        scores: the model's emissions, one array (tokens, tags) a doc.
        Tokens without annotation add nothing by themselves: a CRF sums over all their tags, the softmax head leaves
        them out.
        Raises ValueError if the loss is not a number.
        """
        examples = list(examples)
        if not examples:
            return 0.0, []
        loss, lengths = self._loss(examples, scores), [len(example.predicted) for example in examples]
        return loss.value, self.model.ops.unflatten(self.model.ops.asarray(loss.d_emissions), lengths)

    def _loss(self, examples: Sequence[Example], scores: Sequence[Floats2d]) -> Loss:
        report = GoldReport()
        loss = tagger_loss(self.model, examples, scores, self.labels, self.cfg, report)
        self._watch.check_report(self.name, report)
        if np.isposinf(loss.value) and all(np.isfinite(array).all() for array in self._parameters()):
            raise ValueError(
                f"'{self.name}': the annotation of a doc leaves no analysis: its entities, the spans in "
                f"doc.spans[{self.cfg['incorrect_spans_key']!r}] and the entities set by earlier components contradict "
                "each other"
            )
        if not np.isfinite(loss.value):
            raise ValueError(
                f"'{self.name}': the loss is {loss.value}, in update {self._watch.updates} since the component was "
                "made or initialized. Training went out of bounds: lower the learning rate, or set grad_clip in the "
                f"optimizer. ({Errors.E910.format(name=self.name)})"
            )
        return loss

    def _parameters(self) -> Iterator[Any]:
        """The parameters of dense layer and head."""
        for node in (self.model.get_ref("output_layer"), self._head):
            for name in node.param_names:
                yield self.model.ops.to_numpy(node.get_param(name))


def find_component(nlp: Language, name: Optional[str] = None) -> LSTMEntityRecognizer:
    """Find a component of this kind in a pipeline.

    Args:
        nlp (Language): the pipeline.
        name (Optional[str]): the component's name in it; None: the first one of this kind.

    Returns:
        LSTMEntityRecognizer: the component, which may be disabled.

    Raises:
        ValueError: if the pipeline has no such component.
    """
    ours = {pipe: proc for pipe, proc in nlp.components if isinstance(proc, LSTMEntityRecognizer)}
    if name is None and ours:
        return next(iter(ours.values()))
    if name not in ours:
        wanted = "lstm_ner component" if name is None else f"lstm_ner component {name!r}"
        raise ValueError(
            f"no {wanted} in the pipeline, which has {', '.join(nlp.component_names) or 'no components'}. Those made "
            f"by lstm_ner: {', '.join(ours) or 'none'}"
        )
    return ours[name]


def _as_list(docs: Union[Doc, Iterable[Doc]]) -> List[Doc]:
    return [docs] if isinstance(docs, Doc) else list(docs)
