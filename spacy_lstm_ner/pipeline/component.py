"""The trainable pipeline component that the factory "lstm_ner" creates."""

from copy import deepcopy
from functools import partial
from multiprocessing.context import get_spawning_popen
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union, cast

import numpy as np
from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline.trainable_pipe import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.util import check_lexeme_norms
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d, Ints1d

from ..annotation.gold import gold_labels
from ..annotation.gold_report import GoldReport
from ..annotation.label_data import read_label_data
from ..layers.crf.head import NOVELTY, set_head_size
from ..layers.crf.likelihood import Loss
from ..layers.embed.vocabulary import build_vocabulary
from . import serialization
from .annotate import write_predictions
from .bound_tagger import BoundTagger, require_tagger
from .checks import TrainingChecks, survey, unread_vectors
from .guarantee import without_promises
from .labels import allow_labels, check_label, warn_of_added_labels
from .listeners import check_listeners, docs_without_vectors, explain_missing_input, listeners
from .loss import check_loss, plus, tagger_loss
from .memory import PREDICTION, TRAINING, explained_memory_error
from .predict import Analysis, Prediction, Uncertainty, best_analyses, find_entities, uncertainties
from .rehearsal import disable_dropout, in_gold_entities, is_trained, make_teacher, rehearsal_loss
from .scorer import require_picklable, score_entities
from .scores import register_doubt_attribute, register_score_attribute
from .settings import Settings, check_settings, default_settings, takes_settings, warn_of_unknown_labels
from .span_choice import expected_threshold
from .start import check_start, copy_weights, explained_start, load_start, settings_of

DEFAULT_MODEL_CONFIG = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
head = "crf"
scheme = "biluo"

[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
occurrences = 5000

[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v2"
width = 96
attrs = ["norm", "lprefix1", "lprefix2", "lprefix3", "lsuffix2", "lsuffix3", "lsuffix4", "shape"]
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
@takes_settings
def make_lstm_ner(
    nlp: Language,
    name: str,
    model: Model[List[Doc], List[Floats2d]],
    scorer: Optional[Callable[..., Dict[str, Any]]],
    **settings: Any,
) -> "LSTMEntityRecognizer":
    """Create the component for a pipeline.

    Args:
        nlp (Language): The pipeline.
        name (str): The component's name in the pipeline.
        model (Model[List[Doc], List[Floats2d]]): The tagger, see `architectures.build_tagger`. Its output is the
            emissions of the tags, one array (tokens, tags) for each doc.
        scorer (Optional[Callable]): Scores a list of Examples.
        **settings (Any): The settings, see `Settings`.

    Returns:
        LSTMEntityRecognizer: The component.

    Raises:
        ValueError: If a setting is out of range.
    """
    component = LSTMEntityRecognizer(nlp.vocab, model, name, scorer=scorer, **settings)
    # `spacy.load` makes the pipeline with the metadata of the saved one. Other pipelines do not list the component yet.
    # `nlp.meta` would list its components anew.
    component._is_being_loaded = name in nlp._meta.get("components", [])
    return component


class LSTMEntityRecognizer(TrainablePipe):
    """A named entity recognizer: the model scores tags, and the best legal sequence of tags becomes `doc.ents`.

    Attributes:
        vocab (Vocab): The pipeline's vocabulary.
        model (Model[List[Doc], List[Floats2d]]): The tagger.
        name (str): The component's name in the pipeline.
        cfg (Dict[str, Any]): The labels and the settings, see `Settings`. You may change settings at any time.
        scorer (Optional[Callable]): Scores a list of Examples.
    """

    # Whether `spacy.load` made the component, so that `from_disk` comes next.
    _is_being_loaded = False

    @takes_settings
    def __init__(
        self,
        vocab: Vocab,
        model: Model[List[Doc], List[Floats2d]],
        name: str = "lstm_ner",
        *,
        scorer: Optional[Callable[..., Dict[str, Any]]] = score_entities,
        **settings: Any,
    ) -> None:
        """Create the component. `initialize`, `from_bytes` or `from_disk` makes it usable.

        Args:
            vocab (Vocab): The pipeline's vocabulary.
            model (Model[List[Doc], List[Floats2d]]): The tagger, see `architectures.build_tagger`. Its output is the
                emissions of the tags, one array (tokens, tags) for each doc.
            name (str): The component's name in the pipeline.
            scorer (Optional[Callable]): Scores a list of Examples.
            **settings (Any): The settings, see `Settings`.

        Raises:
            ValueError: If a setting is unknown or out of range.
        """
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        require_tagger(name, model)
        self.cfg: Dict[str, Any] = {"labels": [], **default_settings(), **deepcopy(settings)}
        checked = check_settings(name, self.cfg)
        self._checks = TrainingChecks()
        self._set_fresh(True)
        if checked.score_attr:
            register_score_attribute(checked.score_attr)
        if checked.doubt_attr:
            register_doubt_attribute(checked.doubt_attr)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if get_spawning_popen() is not None:
            # The component goes to another process, so its scorer must too.
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

    @property
    def move_names(self) -> List[str]:
        """The tags, named like the actions of spaCy's `ner`: `["O", "B-per", "I-per", ...]`."""
        roles = sorted(self.tagger.scheme.roles)
        return ["O", *(f"{role}-{label}" for label in self.labels for role in roles)]

    @property
    def tagger(self) -> BoundTagger:
        """The model with the current labels and settings."""
        return BoundTagger(self.name, self.model, self.labels, Settings.of(self.cfg))

    def add_label(self, label: str) -> int:
        """Add an entity label. A label that is added to a trained model is not predicted until it is trained.

        Args:
            label (str): The label.

        Returns:
            int: 1 if the label is new, else 0.

        Raises:
            ValueError: If the label is not a string or not valid text, is empty, or is "O", which means "no entity".
        """
        if label in self.labels:
            return 0
        check_label(self.name, label)
        if self._is_initialized() and "resize_output" not in self.model.attrs:
            raise ValueError(
                f"'{self.name}': the model has {self.tagger.n_tags} tags and no attribute 'resize_output', so the "
                f"label {label!r} cannot be added. Name it in [initialize.components.{self.name}] labels, and train "
                "anew"
            )
        self.vocab.strings.add(label)
        self.cfg["labels"] = [*self.labels, label]
        if self._is_initialized():
            self.model.attrs["resize_output"](self.model, self.tagger.n_tags)
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[Any] = None,
        start: Optional[Union[str, Path]] = None,
        start_component: Optional[str] = None,
    ) -> None:
        """Read the labels from the examples (and the vocabulary, if the model has one), and initialize the model.

        Warns once of each kind of problem with the annotation, with counts. Warns if trained weights that were loaded
        are dropped, or guarantees with their thresholds. Temperatures and what is known about novelty go too.

        Args:
            get_examples (Callable[[], Iterable[Example]]): Returns the examples, again at each call. They are not kept.
            nlp (Optional[Language]): The pipeline.
            labels (Optional[Any]): A list of labels, or the label data of spaCy's `ner`, in place of the labels of the
                examples. The setting `other_labels` decides about entities with other labels. Unless it is "add",
                labels from `add_label` count as such a list.
            start (Optional[Union[str, Path]]): A trained pipeline, by its folder or the name of its package. The
                embedding and the encoder start with the weights of its `lstm_ner`. The labels are those of the examples
                or of `labels`, and the output layer and the head are new. The pipeline is not needed later.
            start_component (Optional[str]): The name of the component in the pipeline `start`; None for its first
                `lstm_ner`.

        Raises:
            TypeError: If `get_examples` does not give Examples.
            ValueError: If `labels` has another form, the data has no annotation, a listener expects another width than
                its `tok2vec` has, or `start` cannot be loaded or has another architecture or other vectors.
        """
        validate_get_examples(get_examples, "LSTMEntityRecognizer.initialize")
        check_lexeme_norms(self.vocab, "ner")
        origin = self._load_start(start, start_component)
        self._checks = TrainingChecks()
        if not self._is_fresh and is_trained(self.model):
            self._checks.warn(
                self.name,
                "loaded_weights",
                "initialize drops the trained weights that were loaded, and training starts anew. To go on with them, "
                "call nlp.resume_training() in place of nlp.initialize() or nlp.begin_training()",
            )
        if self.cfg["guarantees"]:
            promises = ", ".join(self.cfg["guarantees"])
            self._checks.warn(
                self.name,
                "guarantees",
                f"initialize drops the guarantees of the earlier model, with their thresholds: {promises}. After "
                "training, run calibrate --guarantee again",
            )
            self.cfg.update(without_promises(self.cfg))
        settings = self.tagger.settings
        tables = [node for node in self.model.walk() if "vocabulary" in node.attrs]
        data = survey(get_examples(), bool(tables), settings.incorrect_spans_key)
        output = self.model.get_ref("output_layer")
        data.is_trial = bool(output.has_dim("nO")) and not output.has_param("W")
        if labels is None and self.labels and settings.other_labels != "add":
            labels = self.labels
        for label in sorted(data.labels) if labels is None else read_label_data(self.name, labels):
            self.add_label(label)
        self._checks.check_data(self.name, data, self.labels, labels, settings)
        if nlp is not None and (problem := check_listeners(self.name, self.model, nlp)):
            self._checks.warn(self.name, "listener", problem)
        if nlp is not None and (problem := unread_vectors(self.name, nlp)):
            self._checks.warn(self.name, "vectors", problem)
        for table in tables:
            build_vocabulary(table, data.words, self.vocab.strings)
        warn_of_unknown_labels(self.name, settings, self.labels)
        self._initialize_model([example.x for example in data.sample])
        if origin is not None:
            other_nlp, other = origin
            settings_of_both = (settings_of(nlp, self), settings_of(other_nlp, other))
            with explained_start(self.name, start):
                copy_weights(self.model, other.model, settings_of_both)
        self._set_fresh(True)

    def _load_start(
        self, start: Optional[Union[str, Path]], name: Optional[str]
    ) -> Optional[Tuple[Language, "LSTMEntityRecognizer"]]:
        """The pipeline to start from and its component, or None. name: of the component; None: the first one."""
        with explained_start(self.name, start):
            if start is None:
                if name is not None:
                    raise ValueError(f"start_component is {name!r}, but start is not set. Set it to the pipeline")
                return None
            nlp = load_start(start)
            other = find_component(nlp.components, name)
            check_start(self.model, self.vocab.vectors, other.model, nlp.vocab.vectors)
            return nlp, other

    def _initialize_model(self, docs: List[Doc]) -> None:
        size, head = self.tagger.n_tags, self.model.get_ref("head")
        # Adding labels may have replaced the output layer.
        self.model.get_ref("output_layer").set_dim("nO", size, force=True)
        set_head_size(head, size)
        head.attrs.update(unseen=[], temperature=1.0, label_temperatures=[])
        head.attrs.pop(NOVELTY, None)
        # Layers infer the width of their input from docs with tokens.
        self.model.initialize(X=docs if any(len(doc) for doc in docs) else [Doc(self.vocab, words=["a"])])

    def _is_initialized(self) -> bool:
        return bool(self.model.get_ref("output_layer").has_param("W"))

    def _require_initialized(self) -> None:
        if not self._is_initialized():
            raise ValueError(
                f"'{self.name}' is not initialized: call nlp.initialize() or load a trained pipeline before using it"
            )

    def predict(self, docs: Iterable[Doc]) -> List[Prediction]:
        """Find the entities of each doc. This does not change the docs.

        Args:
            docs (Iterable[Doc]): The docs.

        Returns:
            List[Prediction]: The entities of each doc.

        Raises:
            ValueError: If the component is not initialized, or its weights give scores that are not numbers.
            MemoryError: If the memory, or that of the GPU, is too small for the batch.
        """
        self._require_initialized()
        docs = _as_list(docs)
        if problem := docs_without_vectors(self.name, self.model, docs):
            self._checks.warn(self.name, "docs_without_vectors", problem)
        with explained_memory_error(self.name, docs, PREDICTION):
            return find_entities(self.tagger, docs)

    def set_annotations(self, docs: Iterable[Doc], predictions: Sequence[Prediction]) -> None:
        """Write predicted entities and their scores, as the settings say.

        Args:
            docs (Iterable[Doc]): The docs.
            predictions (Sequence[Prediction]): The result of `predict` for these docs.
        """
        write_predictions(docs, predictions, self.tagger.settings, self.name)

    def n_best(self, docs: Iterable[Doc], n: int = 5) -> List[List[Analysis]]:
        """Find the n most probable analyses of each doc. This does not change the docs.

        Args:
            docs (Iterable[Doc]): Docs that earlier components have processed and this one has not. Entities in a doc
                count as given.
            n (int): The number of analyses, at least 1.

        Returns:
            List[List[Analysis]]: For each doc up to n analyses, the most probable first. Each is a pair of the entities
                (start token, end token, label) and the probability that these are the doc's entities. Thresholds are
                not applied.

        Raises:
            TypeError: If the docs are not Docs.
            ValueError: If the component is not initialized, or n is not a whole number of at least 1.
        """
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
            raise ValueError(f"'{self.name}': n is {n!r}, but must be a whole number, at least 1")
        self._require_initialized()
        return best_analyses(self.tagger, _as_list(docs), int(n))

    def uncertainty(self, docs: Iterable[Doc]) -> List[Uncertainty]:
        """Measure how unsure the model is of each doc, to choose what to annotate next. This does not change the docs.

        Args:
            docs (Iterable[Doc]): Docs that earlier components have processed and this one has not.

        Returns:
            List[Uncertainty]: Three measures for each doc.

        Raises:
            ValueError: If the component is not initialized.
        """
        self._require_initialized()
        return uncertainties(self.tagger, _as_list(docs))

    def expected_threshold(self, docs: Iterable[Doc], beta: float = 1.0) -> float:
        """Find the threshold for `decoding = "expected_f"` with the largest F that the model expects of these docs.

        No annotation is needed. This changes neither the docs nor the settings.

        Args:
            docs (Iterable[Doc]): Docs that earlier components have processed and this one has not.
            beta (float): The weight of recall: 1 for F1, 2 if recall matters more, 0.5 if precision does.

        Returns:
            float: The threshold.

        Raises:
            ValueError: If the component is not initialized, beta is not greater than 0, or the docs have no likely
                entity.
        """
        if not 0.0 < beta < float("inf"):
            raise ValueError(f"'{self.name}': beta is {beta}, but must be greater than 0")
        self._require_initialized()
        return expected_threshold(self.tagger, _as_list(docs), beta)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn from a batch of examples.

        Args:
            examples (Iterable[Example]): The batch.
            drop (float): The dropout rate, at least 0 and less than 1.
            sgd (Optional[Optimizer]): The optimizer. Without one, gradients accumulate until `finish_update`.
            losses (Optional[Dict[str, float]]): A record to which the loss is added under the component's name.

        Returns:
            Dict[str, float]: The record of losses.

        Raises:
            TypeError: If the examples are not Examples.
            ValueError: If `drop` is out of range, the component is not initialized, the loss is not a number, the
                annotation of a doc contradicts itself, or the model listens to a component that has sent nothing.
            MemoryError: If the memory, or that of the GPU, is too small for the batch.
        """
        examples, losses = self._check_batch("update", examples, losses)
        self._require_initialized()
        self._check_rate(drop)
        self._checks.updates += 1
        self._keep_teacher()
        self._learn_labels(examples)
        self._checks.check_labels(self.name, self.labels)
        docs = [example.predicted for example in examples]
        if not any(len(doc) for doc in docs):
            return losses
        set_dropout_rate(self.model, drop)
        with explained_memory_error(self.name, docs, TRAINING):
            return self._learn_gold(examples, docs, sgd, losses)

    def _learn_gold(
        self, examples: List[Example], docs: List[Doc], sgd: Optional[Optimizer], losses: Dict[str, float]
    ) -> Dict[str, float]:
        """Learn the annotation and, with `rehearse_weight`, what the model found before. docs: those to predict."""
        # The whole batch in its order: a listener gets its vectors for these docs.
        try:
            emissions, backprop = self.model.begin_update(docs)
        except ValueError as error:
            if explained := explain_missing_input(self.name, self.model, error):
                raise ValueError(explained) from error
            raise
        loss = self._loss(examples, emissions)
        teacher = self._teacher() if self.cfg["rehearse_weight"] else None
        if teacher is not None:
            in_entity = in_gold_entities(self.tagger, examples)
            divergence = rehearsal_loss(self.tagger, teacher, docs, emissions, in_entity)
            loss = plus(loss, divergence, self.cfg["rehearse_weight"])
        return self._learn(loss, backprop, docs, sgd, losses)

    def finish_update(self, sgd: Optimizer) -> None:
        """Change the weights by the gradients since the last call. Warns once if the learning rate stays 0.

        Args:
            sgd (Optimizer): The optimizer. Its rate is multiplied by the setting `learn_rate_factor`.
        """
        self._checks.check_rate(self.name, getattr(sgd, "learn_rate", None))
        factor = self.cfg["learn_rate_factor"]
        super().finish_update(sgd if factor == 1.0 else cast(Optimizer, partial(sgd, lr_scale=factor)))

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn to find what the model found before its training continued. The annotation is not used.

        `nlp.resume_training()` keeps a copy of the model. Without it, nothing happens.

        Args:
            examples (Iterable[Example]): The batch.
            drop (float): The dropout rate, at least 0 and less than 1.
            sgd (Optional[Optimizer]): The optimizer. Without one, gradients accumulate until `finish_update`.
            losses (Optional[Dict[str, float]]): A record to which the loss is added under the component's name.

        Returns:
            Dict[str, float]: The record of losses.

        Raises:
            TypeError: If the examples are not Examples.
            ValueError: If `drop` is out of range, or the model listens to another component, which sends nothing here.
        """
        examples, losses = self._check_batch("rehearse", examples, losses)
        self._check_rate(drop)
        docs = [example.predicted for example in examples]
        teacher = self._teacher()
        if teacher is None or not any(len(doc) for doc in docs):
            return losses
        if listeners(self.model):
            raise ValueError(
                f"'{self.name}': rehearse needs a model that listens to no other component. Give it a copy of what it "
                f"listens to, by nlp.replace_listeners(..., {self.name!r}, ['model.tok2vec']) before resume_training, "
                "or use rehearse_weight"
            )
        set_dropout_rate(self.model, drop)
        emissions, backprop = self.model.begin_update(docs)
        loss = rehearsal_loss(self.tagger, teacher, docs, emissions)
        return self._learn(loss, backprop, docs, sgd, losses)

    def _check_batch(
        self, method: str, examples: Iterable[Example], losses: Optional[Dict[str, float]]
    ) -> Tuple[List[Example], Dict[str, float]]:
        """The examples as a list, and the record for the losses. method: "update" or "rehearse"."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        name = f"LSTMEntityRecognizer.{method}"
        if isinstance(examples, Example) or not isinstance(examples, Iterable):
            raise TypeError(Errors.E978.format(name=name, types={type(examples)}))
        examples = list(examples)
        validate_examples(examples, name)
        return examples, losses

    def _check_rate(self, drop: float) -> None:
        if not 0.0 <= drop < 1.0:
            raise ValueError(f"'{self.name}': drop is {drop}, but must be at least 0 and less than 1")

    def _learn_labels(self, examples: Sequence[Example]) -> None:
        """Add new labels, and allow the labels of these examples to be predicted."""
        present = {label for example in examples for label in gold_labels(example.reference)}
        if self.cfg["other_labels"] == "add":
            new = sorted(present.difference(self.labels))
            for label in new:
                self.add_label(label)
            warn_of_added_labels(self.name, new)
        allow_labels(self.model.get_ref("head"), self.labels, present)

    def _learn(
        self,
        loss: Loss,
        backprop: Callable[[Any], Any],
        docs: List[Doc],
        sgd: Optional[Optimizer],
        losses: Dict[str, float],
    ) -> Dict[str, float]:
        """Backpropagate a loss, update the weights if there is an optimizer, and record the loss."""
        backprop(self._by_doc(loss, docs))
        if loss.d_transitions is not None:
            head = self.model.get_ref("head")
            for name, gradient in loss.d_transitions._asdict().items():
                head.inc_grad(name, head.ops.asarray_f(cast(Any, gradient), dtype="float32"))
        # spaCy passes False as well.
        if sgd:
            self.finish_update(sgd)
        losses[self.name] += loss.value
        return losses

    def _by_doc(self, loss: Loss, docs: Sequence[Doc]) -> List[Floats2d]:
        """The gradient of the emissions, one array for each doc."""
        ops, gradient = self.model.ops, cast(Floats2d, loss.d_emissions)
        lengths = cast(Ints1d, [len(doc) for doc in docs])
        return ops.unflatten(ops.asarray2f(gradient), lengths)

    def get_loss(self, examples: Iterable[Example], scores: Sequence[Floats2d]) -> Tuple[float, List[Floats2d]]:
        """Compute the loss of a batch, and its gradient.

        A CRF sums over all tags of a token without annotation. The softmax head leaves such a token out.

        Args:
            examples (Iterable[Example]): The batch.
            scores (Sequence[Floats2d]): The model's emissions, one array (tokens, tags) for each doc.

        Returns:
            Tuple[float, List[Floats2d]]: The loss in nats, summed over the annotated tokens, and its gradient, one
                array for each doc.

        Raises:
            ValueError: If the loss is not a number.
        """
        examples = list(examples)
        if not examples:
            return 0.0, []
        loss = self._loss(examples, scores)
        return loss.value, self._by_doc(loss, [example.predicted for example in examples])

    def _loss(self, examples: Sequence[Example], emissions: Sequence[Floats2d]) -> Loss:
        report = GoldReport()
        loss = tagger_loss(self.tagger, examples, emissions, report)
        self._checks.check_report(self.name, report)
        check_loss(self.tagger, loss, self._checks.updates)
        return loss

    def _set_fresh(self, is_fresh: bool) -> None:
        """Drop the teacher, because the model is another one now.

        is_fresh: whether the model was just initialized, so that it has nothing to forget.
        """
        # spaCy's name for the teacher: `nlp.resume_training` puts a copy of the model here.
        self._rehearsal_model: Optional[Model[Any, Any]] = None
        self._is_fresh = is_fresh

    def _keep_teacher(self) -> None:
        """Make the teacher before the first update of a loaded model, if `rehearse_weight` asks for one."""
        if self.cfg["rehearse_weight"] and self._rehearsal_model is None and not self._is_fresh:
            self._rehearsal_model = make_teacher(self.model)

    def _teacher(self) -> Optional[Model[Any, Any]]:
        """The teacher; None if there is none, or it had learned nothing."""
        teacher = self._rehearsal_model
        return disable_dropout(teacher) if teacher is not None and is_trained(teacher) else None

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialize the component.

        Args:
            exclude (Iterable[str]): Parts to leave out: "cfg", "model", "manifest", "vocab".

        Returns:
            bytes: The component.
        """
        self._validate_serialization_attrs()
        return serialization.to_bytes(self, tuple(exclude))

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "LSTMEntityRecognizer":
        """Load the component from the result of `to_bytes`. Parts that are not in it stay as they are.

        Args:
            bytes_data (bytes): The serialized component.
            exclude (Iterable[str]): Parts to leave out.

        Returns:
            LSTMEntityRecognizer: The component.

        Raises:
            ValueError: If the bytes are damaged, of another architecture or of a newer version. The component then
                stays as it was.
        """
        self._validate_serialization_attrs()
        serialization.from_bytes(self, bytes_data, tuple(exclude))
        self._set_fresh(False)
        return self

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        """Save the component in a folder. The old content stays until all of the new content is written.

        Args:
            path (Union[str, Path]): The folder.
            exclude (Iterable[str]): Parts to leave out. If the folder has them already, they stay.
        """
        self._validate_serialization_attrs()
        serialization.to_disk(self, Path(path), tuple(exclude))

    def from_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> "LSTMEntityRecognizer":
        """Load the component from a folder that `to_disk` wrote.

        The saved settings replace those of the component, except settings that `spacy.load` was given in `config`.

        Args:
            path (Union[str, Path]): The folder.
            exclude (Iterable[str]): Parts to leave out.

        Returns:
            LSTMEntityRecognizer: The component.

        Raises:
            ValueError: If files are damaged, of another architecture or of a newer version. The component then stays as
                it was.
            FileNotFoundError: If a file is missing.
        """
        self._validate_serialization_attrs()
        serialization.from_disk(self, Path(path), tuple(exclude), self._is_being_loaded)
        self._is_being_loaded = False
        self._set_fresh(False)
        return self


def find_component(
    pipes: Sequence[Tuple[str, Callable[[Doc], Doc]]], name: Optional[str] = None
) -> LSTMEntityRecognizer:
    """Find an `lstm_ner` component in a pipeline.

    Args:
        pipes (Sequence[Tuple[str, Callable[[Doc], Doc]]]): Names and components: `nlp.pipeline` for those that run,
            `nlp.components` to include those that are disabled.
        name (Optional[str]): The name of the component; None for the first `lstm_ner` of the pipeline.

    Returns:
        LSTMEntityRecognizer: The component.

    Raises:
        ValueError: If the pipeline has no such component.
    """
    ours = {pipe: proc for pipe, proc in pipes if isinstance(proc, LSTMEntityRecognizer)}
    if name is None and ours:
        return next(iter(ours.values()))
    if name not in ours:
        wanted = "lstm_ner component" if name is None else f"lstm_ner component {name!r}"
        raise ValueError(
            f"no {wanted} in the pipeline, which has {', '.join(pipe for pipe, _ in pipes) or 'no components'}. Those "
            f"made by lstm_ner: {', '.join(ours) or 'none'}"
        )
    return ours[name]


def docs_before(nlp: Language, component: LSTMEntityRecognizer, docs: Iterable[Union[str, Doc]]) -> List[Doc]:
    """Process texts with the components before one of a pipeline.

    Args:
        nlp (Language): The pipeline.
        component (LSTMEntityRecognizer): The component, which must not see entities of its own, since they would
            constrain it.
        docs (Iterable[Union[str, Doc]]): Texts, or docs without its entities.

    Returns:
        List[Doc]: The docs as the component gets them.
    """
    with nlp.select_pipes(enable=nlp.pipe_names[: nlp.pipe_names.index(component.name)]):
        return list(nlp.pipe(docs))


def _as_list(docs: Union[Doc, Iterable[Doc]]) -> List[Doc]:
    docs = [docs] if isinstance(docs, Doc) else list(docs)
    for doc in docs:
        if not isinstance(doc, Doc):
            raise TypeError(f"lstm_ner: expected Docs, found {type(doc).__name__}. Make a Doc with nlp.make_doc(text)")
    return docs
