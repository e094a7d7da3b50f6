"""Soft annotation: what a teacher thinks of docs, kept with them, and learned."""

import random

import numpy as np
import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from support.small import TRAIN, examples_for, learned

from spacy_lstm_ner.annotation.soft import KEY, copy_soft
from spacy_lstm_ner.data.corpora import pack_docs
from spacy_lstm_ner.data.variation import create_text_variation_augmenter
from spacy_lstm_ner.pipeline.scores import write_group
from spacy_lstm_ner.teach.silver import GROUP, write_distributions


@pytest.fixture(scope="module")
def teacher():
    return learned("crf")


def soft_docs(nlp, texts, labels=None, share=0.0):
    docs = [nlp.make_doc(text) if isinstance(text, str) else text for text in texts]
    for doc in docs:
        if not doc.has_annotation("ENT_IOB"):
            doc.set_ents([])
    write_distributions(nlp, nlp.get_pipe("lstm_ner"), docs, labels or {}, share)
    return docs


def gradient(nlp, docs, **settings):
    """The gradient of the emissions of each doc."""
    ner = nlp.get_pipe("lstm_ner")
    examples = [Example(Doc(nlp.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc]), doc) for doc in docs]
    before, ner.cfg = ner.cfg, {**ner.cfg, **settings}
    try:
        return ner.get_loss(examples, ner.model.predict([example.predicted for example in examples]))[1]
    finally:
        ner.cfg = before


def test_a_model_has_nothing_to_learn_from_itself(teacher):
    docs = soft_docs(teacher, ["Uber blew through  $1 million", " ", "Who is Shaka Khan in London?", "\nKhan"])
    for own in gradient(teacher, docs):
        assert np.abs(own).max(initial=0.0) < 0.01
    hard = gradient(teacher, [Doc(teacher.vocab, ["London"], ents=["B-ORG"])])
    assert np.abs(hard[0]).max() > 0.5


def test_it_is_in_files_and_in_pieces(teacher):
    text = "I like London and Berlin. Who is Shaka Khan? Uber blew through it. " * 5
    packed = pack_docs(soft_docs(teacher, [text]), user_data=True)
    (doc,) = DocBin().from_bytes(packed).get_docs(teacher.vocab)
    whole = [np.asarray(column) for column in doc.user_data[KEY]["steps"]]
    random.seed(0)
    vary = create_text_variation_augmenter(pieces=1.0, lower=1.0)
    at, pieces = 0, list(vary(teacher, Example(teacher.make_doc(text), doc)))
    assert len(pieces) > 1
    for piece in pieces:
        rows, *others = (np.asarray(column) for column in piece.reference.user_data[KEY]["steps"])
        inside = (whole[0] >= at) & (whole[0] < at + len(piece.reference))
        np.testing.assert_array_equal(rows + at, whole[0][inside])
        for own, column in zip(others, whole[1:], strict=True):
            np.testing.assert_array_equal(own, column[inside])
        at += len(piece.reference)
    assert at == len(doc) and pieces[0].reference.text == pieces[0].reference.text.lower()
    fresh = Doc(teacher.vocab, ["London"])
    copy_soft(fresh, 0, 1, fresh)
    assert KEY not in fresh.user_data


def test_labels_are_mapped_and_dropped(teacher):
    """A student with other labels, in another order, learns what a teacher knows of them."""
    student = learned("crf")
    docs = soft_docs(teacher, ["I like London and Berlin.", "Who is Shaka Khan?"], {"LOC": "GPE", "PERSON": ""})
    assert sorted(docs[0].user_data[KEY]["labels"]) == ["", "GPE", "GPE", "ORG", "PRODUCT"]
    sgd = student.resume_training()
    sgd.learn_rate = 0.01
    for _ in range(60):
        student.update([Example(student.make_doc(doc.text), doc) for doc in docs], sgd=sgd)
    assert [(e.text, e.label_) for e in student("I like London and Berlin.").ents] == [
        ("London", "GPE"),
        ("Berlin", "GPE"),
    ]
    assert not student("Who is Shaka Khan?").ents


def test_other_tokens_or_another_scheme_leave_the_spans(teacher):
    (doc,) = soft_docs(teacher, ["I like London."])
    doc.set_ents([Span(doc, 2, 3, "ORG")])
    own = gradient(teacher, [doc])[0]
    doc.user_data[KEY] = {**doc.user_data[KEY], "scheme": "bio"}
    hard = gradient(teacher, [doc])[0]
    assert np.abs(own - hard).max() > 0.0
    del doc.user_data[KEY]
    np.testing.assert_array_equal(gradient(teacher, [doc])[0], hard)


def test_gold_is_never_outvoted(teacher):
    gold = [example.reference for example in examples_for(teacher)]
    wrong = teacher.make_doc("I like London and Berlin.")
    wrong.set_ents([Span(wrong, 2, 3, "ORG")])
    partly = teacher.make_doc("I like London and Berlin.")
    partly.set_ents([Span(partly, 2, 3, "LOC")], default="missing")
    soft_docs(teacher, [*gold, wrong, partly], share=0.5)
    assert KEY not in partly.user_data
    labels = list(wrong.user_data[KEY]["labels"])
    unit = 1 + labels.index("ORG") * 4 + 1
    rows, before, tags, p = (np.asarray(column) for column in wrong.user_data[KEY]["steps"])
    assert np.bincount(rows, weights=p) == pytest.approx(np.ones(len(wrong)), abs=1e-5)
    assert p[(rows == 2) & (tags == unit)].sum() >= 0.5
    assert p[(rows == 3) & (before == unit)].sum() >= 0.5
    assert len(gold) == len(TRAIN) and all(KEY in doc.user_data for doc in gold)


def test_annotation_is_evidence(teacher):
    """A tag that is annotated is e^(2 · score · evidence) times as probable, compared with others."""
    evidence, text = 1.75, "Pay Khan in Wonderland"

    def soft(label=None, score=None, default="outside", evidence=evidence):
        doc = teacher.make_doc(text)
        spans = [Span(doc, 3, 4, label)] if label else []
        doc.set_ents(spans, default=default)
        if score is not None:
            write_group(doc, GROUP, GROUP, spans, [score], in_ents=False)
        write_distributions(teacher, teacher.get_pipe("lstm_ner"), [doc], {}, evidence=evidence)
        return doc

    def sequences(doc):
        """The log of the probability of all sequences: a step's probability given the tag before it, multiplied."""
        rows, before, tags, p = (np.asarray(column) for column in doc.user_data[KEY]["steps"])
        found = {(): 0.0}
        for row in range(len(doc)):
            at = [(b, t, x) for r, b, t, x in zip(rows, before, tags, p, strict=True) if r == row]
            total = {b: sum(x for other, _, x in at if other == b) for b, _, _ in at}
            found = {
                (*path, t): value + np.log(x / total[b])
                for path, value in found.items()
                for b, t, x in at
                if b == (path[-1] if path else 0)
            }
        return found

    plain = sequences(soft(default="missing"))
    assert plain == pytest.approx(sequences(soft(evidence=0.0)), abs=1e-3)
    ner = teacher.get_pipe("lstm_ner")
    unit = 1 + 4 * ner.labels.index("ORG") + 1
    for doc, nats in ((soft("ORG"), evidence), (soft("ORG", 1.0), 2 * evidence), (soft("ORG", 0.0), 0.0)):
        found = sequences(doc)
        given = {path: sum(evidence for tag in path[:3] if tag == 0) + nats * (path[3] == unit) for path in plain}
        both = [path for path in plain if path in found and min(plain[path], found[path]) > np.log(0.01)]
        change = [found[path] - plain[path] - given[path] for path in both]
        assert len(both) > 1 and change == pytest.approx([change[0]] * len(both), abs=0.1)
    assert KEY not in soft("UNKNOWN").user_data


def test_what_the_model_cannot_say_is_left_out_and_the_rest_scaled_up(teacher):
    """Otherwise the loss would have no lower bound: it would fall with the scores of all tags of a token."""
    (doc,) = soft_docs(teacher, ["I like London"], {"LOC": "NEW"})
    kept = doc.user_data[KEY]
    own = gradient(teacher, [doc])[0]
    np.testing.assert_allclose(own.sum(axis=1), 0.0, atol=1e-5)
    # Nothing is left for London but what the spans say: no entity.
    rows, _, tags, _ = kept["steps"]
    certain = (rows < 2) | (tags == 1 + 4 * list(kept["labels"]).index("NEW") + 1)
    doc.user_data[KEY] = {**kept, "steps": [column[certain] for column in kept["steps"]]}
    spans = gradient(teacher, [doc])[0]
    del doc.user_data[KEY]
    np.testing.assert_array_equal(spans, gradient(teacher, [doc])[0])
    # A piece that begins within an entity.
    (doc,) = soft_docs(teacher, ["Android Pay expands"])
    piece = teacher.make_doc("Pay expands")
    piece.set_ents([])
    copy_soft(doc, 1, 3, piece)
    np.testing.assert_allclose(gradient(teacher, [piece])[0].sum(axis=1), 0.0, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: {**kept, "steps": kept["steps"][:3]},
        lambda kept: {**kept, "steps": [column[1:] if k else column for k, column in enumerate(kept["steps"])]},
        lambda kept: {**kept, "steps": [kept["steps"][0] + 9, *kept["steps"][1:]]},
        lambda kept: {**kept, "steps": [kept["steps"][0] - 1, *kept["steps"][1:]]},
        lambda kept: {**kept, "steps": [kept["steps"][0][::-1], *kept["steps"][1:]]},
        lambda kept: {**kept, "steps": [kept["steps"][0], kept["steps"][1] - 1, *kept["steps"][2:]]},
        lambda kept: {**kept, "steps": [*kept["steps"][:3], kept["steps"][3] * np.nan]},
        lambda kept: {**kept, "steps": [*kept["steps"][:3], kept["steps"][3] - 2]},
        lambda kept: {**kept, "steps": [column.reshape(1, -1) for column in kept["steps"]]},
        lambda kept: {**kept, "steps": [column.astype("float64") for column in kept["steps"]]},
        lambda kept: {**kept, "labels": kept["labels"][:1]},
        lambda kept: {**kept, "labels": None},
        lambda kept: {**kept, "scheme": "bilou"},
        lambda kept: {**kept, "scheme": []},
        lambda kept: {"steps": kept["steps"]},
        lambda kept: [1, 2],
        lambda kept: "steps",
    ],
)
def test_nothing_in_a_file_is_trusted(teacher, change):
    (doc,) = soft_docs(teacher, ["I like London and Berlin."])
    doc.user_data[KEY] = change(doc.user_data[KEY])
    with pytest.raises(ValueError, match=r"of the doc 'I like London.*Let it write silver/ again"):
        gradient(teacher, [doc])
    with pytest.raises(ValueError, match="of the doc 'I like London"):
        copy_soft(doc, 0, 2, teacher.make_doc("I like"))
