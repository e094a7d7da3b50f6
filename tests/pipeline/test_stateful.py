"""Random sequences of calls on random documents: only the documented errors, and every prediction as it must be.

By default a few sequences; with --slow 20,000, in several settings. The number that ran is printed (`pytest -s`).
"""

import pickle
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pytest
import spacy
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from spacy.tokens import Doc
from spacy.training import Example
from support.random_docs import GIANT, LABELS, MODELS, SETTINGS, WORDS, WRONG_LABELS, WRONG_SPANS, examples, given_docs
from support.stateful_checks import (
    annotation,
    check_analyses,
    check_doubt,
    check_prediction,
    check_same_alone,
    check_written,
    copy_of,
)
from thinc.api import Adam, fix_random_seed

NLP = spacy.blank("en")
VOCAB = NLP.vocab
NO_VOCAB = ["vocab"]
TEXTS = [Doc(VOCAB, words=["Sharon", "flew", "to", "\n", "Miami", "."]), Doc(VOCAB, words=["A1", " ", "👍🏽"])]
RAN = Counter()

given = st.lists(given_docs(VOCAB), max_size=4)
batches = st.lists(examples(VOCAB), max_size=3)


class Calls(RuleBasedStateMachine):
    """One component, and everything that can be done with it."""

    models = tuple(MODELS)

    @initialize(data=st.data(), changes=SETTINGS, seed=st.integers(0, 99))
    def make(self, data, changes, seed):
        RAN["sequences"] += 1
        fix_random_seed(seed)
        warnings.simplefilter("ignore")
        if NLP.has_pipe("lstm_ner"):
            NLP.remove_pipe("lstm_ner")
        self.config = {"model": MODELS[data.draw(st.sampled_from(self.models))], **changes}
        self.ner = NLP.add_pipe("lstm_ner", config=self.config)
        self.labels, self.ready = [], False
        self.optimizer, self.saved = Adam(0.05), None

    def teardown(self):
        RAN["calls"] += getattr(self, "calls", 0)

    def count(self):
        self.calls = getattr(self, "calls", 0) + 1

    def state(self):
        """Everything that is saved, and faster to compare than `to_bytes`."""
        return repr(self.ner.cfg), self.weights()

    def weights(self):
        nodes = list(self.ner.model.walk())
        values = [node.get_param(name).tobytes() for node in nodes for name in node.param_names if node.has_param(name)]
        head = self.ner.model.get_ref("head").attrs
        return values, [str(node.attrs.get("vocabulary")) for node in nodes], str(head)

    def results(self):
        return [self.ner.predict([doc])[0] for doc in TEXTS] if self.ready else None

    def refuses(self, call):
        """Whether a component that is not ready yet refuses a call, as it must."""
        self.count()
        if self.ready:
            return False
        with pytest.raises(ValueError, match="not initialized"):
            call()
        return True

    # Labels, training

    @rule(label=st.sampled_from(LABELS))
    def add_label(self, label):
        self.count()
        before = self.results()
        assert self.ner.add_label(label) == (label not in self.labels)
        self.labels += [label] if label not in self.labels else []
        assert list(self.ner.labels) == self.labels
        if before is not None:
            assert [found[:3] for found in self.results()] == [found[:3] for found in before]

    @rule(label=st.sampled_from(WRONG_LABELS))
    def add_wrong_label(self, label):
        self.count()
        with pytest.raises(ValueError, match=r"E187|E869|cannot be an entity label"):
            self.ner.add_label(label)
        assert list(self.ner.labels) == self.labels

    @rule(batch=batches, labels=st.none() | st.lists(st.sampled_from(LABELS), unique=True))
    def initialize(self, batch, labels):
        self.count()
        if not batch:
            with pytest.raises(TypeError, match="E930"):
                self.ner.initialize(lambda: batch, nlp=NLP, labels=labels)
            return
        try:
            self.ner.initialize(lambda: batch, nlp=NLP, labels=labels)
        except ValueError as error:
            assert "has entity annotation" in str(error)
            assert not labels and not self.labels
            assert not any(example.reference.has_annotation("ENT_IOB") for example in batch)
            return
        self.ready, self.labels, self.optimizer = True, list(self.ner.labels), Adam(0.05)

    @rule(batch=batches, drop=st.sampled_from([0.0, 0.3]), finish=st.booleans())
    def update(self, batch, drop, finish):
        sgd = self.optimizer if finish else None
        if self.refuses(lambda: self.ner.update(batch, drop=drop, sgd=sgd)):
            return
        before = self.weights()[0]
        try:
            losses = self.ner.update(batch, drop=drop, sgd=sgd)
        except ValueError as error:
            # Annotation that contradicts itself or what was there; the weights are as they were.
            assert "E868" in str(error) or "leaves no analysis" in str(error)
            assert self.config.get("incorrect_spans_key") and any(eg.reference.spans[WRONG_SPANS] for eg in batch)
            if self.labels == list(self.ner.labels):
                assert self.weights()[0] == before
        else:
            assert losses["lstm_ner"] >= -1e-3
        added = set(self.ner.labels) - set(self.labels)
        seen = {ent.label_ for eg in batch for ent in eg.reference.ents}
        assert added <= seen and (not added or self.ner.cfg["other_labels"] == "add")
        self.labels = list(self.ner.labels)

    def new(self):
        other = NLP.create_pipe("lstm_ner", config=self.config)
        if self.ready and any("vocabulary" in node.attrs for node in self.ner.model.walk()):
            other.initialize(lambda: [Example(doc, doc) for doc in TEXTS], labels=["one of its own"])
        return other

    @rule(drop=st.sampled_from([-0.1, 1.0]), batch=batches)
    def update_with_wrong_rate(self, drop, batch):
        if self.refuses(lambda: self.ner.update(batch, drop=drop)):
            return
        with pytest.raises(ValueError, match=f"drop is {drop}"):
            self.ner.update(batch, drop=drop)

    @rule()
    def resume_training(self):
        self.count()
        self.optimizer = NLP.resume_training()
        self.optimizer.learn_rate = 0.05

    @rule(batch=batches, drop=st.sampled_from([0.0, 0.3]))
    def rehearse(self, batch, drop):
        self.count()
        losses = self.ner.rehearse(batch, drop=drop, sgd=self.optimizer)
        assert losses["lstm_ner"] >= -1e-3
        assert list(self.ner.labels) == self.labels

    # Prediction

    @rule(batch=given)
    def predict(self, batch):
        if self.refuses(lambda: self.ner.predict(batch)):
            return
        before, docs_before = self.state(), [annotation(doc) for doc in batch]
        found = self.ner.predict(batch)
        assert len(found) == len(batch)
        for doc, prediction in zip(batch, found, strict=True):
            check_prediction(doc, prediction, self.ner.cfg)
        check_same_alone(self.ner, batch, found)
        assert [annotation(doc) for doc in batch] == docs_before and self.state() == before

    @rule(batch=given, batch_size=st.sampled_from([1, 2, 100]), singly=st.booleans())
    def annotate(self, batch, batch_size, singly):
        if self.refuses(lambda: self.ner(copy_of(TEXTS[0]))):
            return
        before, copies, found = self.state(), [copy_of(doc) for doc in batch], self.ner.predict(batch)
        if singly:
            found = [self.ner.predict([doc])[0] for doc in batch]
            after = [self.ner(doc) for doc in batch]
        else:
            after = list(self.ner.pipe(iter(batch), batch_size=batch_size))
            if batch_size < len(batch):
                own = [copies[k : k + batch_size] for k in range(0, len(copies), batch_size)]
                found = [prediction for part in own for prediction in self.ner.predict(part)]
        assert all(one is other for one, other in zip(after, batch, strict=True))
        for old, doc, prediction in zip(copies, batch, found, strict=True):
            check_written(old, doc, prediction, self.ner.cfg, self.ner.name)
        assert self.state() == before

    @rule(number=st.integers(20, 60), length=st.integers(100, 300), words=st.permutations(WORDS))
    def annotate_many_and_long(self, number, length, words):
        """Many short docs, and one that is longer than windows, sections and caches are here."""
        batch = [Doc(VOCAB, words=words[: k % 4]) for k in range(number)]
        batch.append(Doc(VOCAB, words=[*words, GIANT, *(words * 20)[:length]]))
        if self.refuses(lambda: self.ner.predict(batch)):
            return
        found = self.ner.predict(batch)
        for doc, prediction in zip(batch, found, strict=True):
            check_prediction(doc, prediction, self.ner.cfg)
        check_same_alone(self.ner, batch[-5:], found[-5:])
        copies = [copy_of(doc) for doc in batch]
        for old, doc, prediction in zip(copies, self.ner.pipe(batch, batch_size=len(batch)), found, strict=True):
            check_written(old, doc, prediction, self.ner.cfg, self.ner.name)

    @rule()
    def annotate_surrogates(self):
        self.count()
        with pytest.raises(UnicodeEncodeError):
            NLP("a \ud800 b")

    @rule(batch=given, n=st.integers(-1, 6))
    def n_best(self, batch, n):
        if n < 1:
            self.count()
            with pytest.raises(ValueError, match=f"n is {n}"):
                self.ner.n_best(batch, n)
            return
        if self.refuses(lambda: self.ner.n_best(batch, n)):
            return
        before = [annotation(doc) for doc in batch]
        for doc, analyses in zip(batch, self.ner.n_best(batch, n), strict=True):
            check_analyses(doc, analyses, n, self.labels)
        assert [annotation(doc) for doc in batch] == before

    @rule(batch=given)
    def uncertainty(self, batch):
        if self.refuses(lambda: self.ner.uncertainty(batch)):
            return
        for doubt in self.ner.uncertainty(batch):
            check_doubt(doubt)

    @rule(batch=batches)
    def loss_alone(self, batch):
        if not self.ready or self.config.get("incorrect_spans_key"):
            return
        self.count()
        before = self.state()
        known = [eg for eg in batch if {ent.label_ for ent in eg.reference.ents} <= set(self.labels)]
        scores = self.ner.model.predict([eg.predicted for eg in known])
        loss, gradients = self.ner.get_loss(known, scores)
        assert loss >= -1e-3 and [len(d) for d in gradients] == [len(eg.predicted) for eg in known]
        assert self.state() == before

    # Settings

    @rule(
        threshold=st.sampled_from([0.0, 0.2, 0.9, 1.0]),
        of_label=st.dictionaries(st.sampled_from(LABELS), st.floats(0, 1)),
    )
    def set_thresholds(self, threshold, of_label):
        self.count()
        self.ner.cfg.update(threshold=threshold, label_thresholds=of_label)

    @rule(how=st.sampled_from(["ents", "spans", "both"]), overwrite=st.booleans())
    def set_places(self, how, overwrite):
        self.count()
        self.ner.cfg.update(annotate=how, overwrite=overwrite)

    # Saving, copying

    def check_reloaded(self, other, before):
        assert list(other.labels) == self.labels and other.cfg == self.ner.cfg
        assert [other.predict([doc])[0] for doc in TEXTS] == before if self.ready else not before

    @rule(to_self=st.booleans())
    def bytes_and_back(self, to_self):
        self.count()
        before, data = self.results(), self.ner.to_bytes(exclude=NO_VOCAB)
        other = self.ner if to_self else self.new()
        other.from_bytes(data, exclude=NO_VOCAB)
        assert other.to_bytes(exclude=NO_VOCAB) == data
        self.check_reloaded(other, before)

    @rule()
    def disk_and_back(self):
        self.count()
        before = self.results()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ner"
            self.ner.to_disk(path, exclude=NO_VOCAB)
            other = self.new().from_disk(path, exclude=NO_VOCAB)
        self.check_reloaded(other, before)

    @rule()
    def keep(self):
        """Remember a state, to go back to it later."""
        self.count()
        self.saved = (self.ner.to_bytes(exclude=NO_VOCAB), list(self.labels), self.results(), self.ready)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def go_back(self):
        self.count()
        data, labels, results, ready = self.saved
        if self.ready and not ready:
            # Weights are never taken away: there is a component that has none, for that.
            return
        self.ner.from_bytes(data, exclude=NO_VOCAB)
        self.labels, self.ready = list(labels), ready
        assert list(self.ner.labels) == labels and self.results() == results

    @rule(where=st.floats(0, 0.999), flip=st.integers(0, 255))
    def damaged_bytes(self, where, flip):
        self.count()
        before, data = self.state(), self.ner.to_bytes(exclude=NO_VOCAB)
        at = int(where * len(data))
        damaged = data[:at] if not flip else data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
        try:
            self.ner.from_bytes(damaged, exclude=NO_VOCAB)
        except ValueError as error:
            assert "cannot load these bytes" in str(error)
            assert self.state() == before
        self.labels, self.ready = list(self.ner.labels), self.ner._is_initialized()

    @rule(whole=st.booleans())
    def pickled(self, whole):
        self.count()
        before = self.results()
        other = pickle.loads(pickle.dumps(self.ner))
        self.check_reloaded(other, before)
        if whole:
            NLP.remove_pipe("lstm_ner")
            # A pickled component has a vocabulary of its own; the documents here are of the pipeline's.
            other.vocab = VOCAB
            NLP.add_pipe("lstm_ner", config=self.config)
            NLP._components[-1] = ("lstm_ner", other)
            self.ner = other

    @rule()
    def averages(self):
        """Other weights for a while: predictions within are of these, those after it of the old ones."""
        self.count()
        before, data = self.results(), self.state()
        with NLP.use_params(self.optimizer.averages):
            self.results()
        assert self.results() == before and self.state() == data


class Recurrent(Calls):
    models = ("crf", "softmax", "small cache")


class Vocabularies(Calls):
    models = ("vocabulary", "textbook", "softmax, characters")


PLANS = [
    pytest.param(Recurrent, 40, 8, id="recurrent"),
    pytest.param(Vocabularies, 40, 8, id="vocabularies"),
    pytest.param(Calls, 10_000, 5, id="many short", marks=pytest.mark.slow),
    pytest.param(Recurrent, 8_000, 8, id="many recurrent", marks=pytest.mark.slow),
    pytest.param(Vocabularies, 2_000, 20, id="many long", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("machine", "sequences", "calls"), PLANS)
def test_any_sequence_of_calls(machine, sequences, calls):
    RAN.clear()
    quick = settings(
        max_examples=sequences,
        stateful_step_count=calls,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=sequences < 1000,
        print_blob=True,
    )
    with warnings.catch_warnings():
        run_state_machine_as_test(machine, settings=quick)
    print(f"{RAN['sequences']} sequences, {RAN['calls']} calls")
    assert RAN["sequences"] >= sequences


# What the sequences found


def test_settings_are_saved_without_rounding():
    ner = NLP.create_pipe("lstm_ner", config={"model": MODELS["crf"]})
    ner.cfg.update(threshold=0.1234567890123456, label_thresholds={"PER": 1e-12})
    other = NLP.create_pipe("lstm_ner", config={"model": MODELS["crf"]})
    other.from_bytes(ner.to_bytes(exclude=NO_VOCAB), exclude=NO_VOCAB)
    assert other.cfg == ner.cfg


@pytest.mark.filterwarnings("ignore:.*have no entity annotation")
@pytest.mark.parametrize("name", MODELS)
def test_a_component_with_weights_is_initialized_anew_with_more_labels(name):
    ner = NLP.create_pipe("lstm_ner", config={"model": MODELS[name]})
    for labels in (["PER"], ["PER", "geo", "org"]):
        ner.initialize(lambda: [Example(doc, doc) for doc in TEXTS], labels=labels)
        assert ner.labels == tuple(labels)
        ner.predict(TEXTS)
        ner.update([Example(doc, doc) for doc in TEXTS], sgd=Adam(0.01))


@pytest.mark.filterwarnings("ignore:.*have no entity annotation")
@pytest.mark.parametrize("name", MODELS)
def test_a_component_is_initialized_with_a_document_without_tokens(name):
    ner, empty = NLP.create_pipe("lstm_ner", config={"model": MODELS[name]}), Doc(VOCAB, words=[])
    ner.initialize(lambda: [Example(empty, empty)], labels=["PER"])
    assert [len(found.starts) for found in ner.predict([empty, *TEXTS])] == [0, 0, 0]
    ner.update([Example(doc, doc) for doc in [empty, *TEXTS]], sgd=Adam(0.01))


@pytest.mark.filterwarnings("ignore:.*have no entity annotation")
@pytest.mark.parametrize("name", MODELS)
def test_no_documents_at_all(name):
    ner = NLP.create_pipe("lstm_ner", config={"model": MODELS[name]})
    ner.initialize(lambda: [Example(doc, doc) for doc in TEXTS], labels=["PER"])
    assert ner.model.predict([]) == [] and ner.predict([]) == []
    scores, backprop = ner.model.begin_update([])
    assert scores == [] and backprop([]) == []
