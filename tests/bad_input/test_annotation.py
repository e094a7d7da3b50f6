"""Bad input: gold annotation that cannot be learned from as it is, and entities that earlier components set."""

import re
from itertools import pairwise

import numpy as np
import pytest
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.tokens import Doc, Span
from spacy.training import Corpus, Example
from support.bad_input import blank, entities, example_of, examples_for, own_warnings, train, trained

from spacy_lstm_ner.annotation.gold import gold_tags
from spacy_lstm_ner.annotation.gold_report import GoldReport
from spacy_lstm_ner.tags import MISSING


def test_white_space_at_the_ends_of_gold_is_trimmed_with_one_warning():
    nlp = blank()
    examples = [example_of(nlp, [name, "\n", "ran"], ["B-per", "I-per", "O"]) for name in ("Ann", "Bo", "Cy", "Di")]
    with own_warnings() as said:
        train(nlp, examples, steps=40)
    assert said == [
        "'lstm_ner': 4 of 4 entities start or end with white space, which was removed: "
        r"'Ann\n' (per) in 'Ann\nran'; 'Bo\n' (per) in 'Bo\nran'; 'Cy\n' (per) in 'Cy\nran'; and 1 more"
    ]
    assert entities(nlp(Doc(nlp.vocab, words=["Ann", "\n", "ran"], spaces=[False] * 3))) == [("Ann", "per")]


def test_gold_of_white_space_alone_is_missing_with_one_warning():
    nlp = blank()
    blank_entity = example_of(nlp, ["\n", "ran"], ["B-per", "O"])
    with own_warnings() as said:
        train(nlp, [blank_entity, *examples_for(nlp)])
    assert said == [
        "'lstm_ner': 1 of 3 entities consist of white space. Their tokens count as not annotated: "
        r"'\n' (per) in '\nran'"
    ]
    assert gold_tags(blank_entity, {"per": 0}, GoldReport()).tolist() == [MISSING, 0]


def test_misaligned_gold_is_missing_with_one_warning():
    nlp = blank()
    lost = example_of(nlp, ["London", "based", "firm"], ["B-geo", "O", "O"], predicted=["Londonbased", "firm"])
    with own_warnings() as said:
        train(nlp, [lost, *examples_for(nlp)])
    assert said == [
        "'lstm_ner': 1 of 3 entities do not start and end where tokens do. Their tokens count as not annotated. Check "
        "that the pipeline uses the tokenizer of the annotation: 'London' (geo) in 'Londonbasedfirm'"
    ]
    assert gold_tags(lost, {"geo": 0}, GoldReport()).tolist() == [MISSING, 0]


def test_what_first_turns_up_in_update_is_said_once():
    nlp = trained()
    bad = example_of(nlp, ["Ann", "\n", "ran"], ["B-per", "I-per", "O"])
    with own_warnings() as said:
        nlp.update([bad])
        nlp.update([bad, bad])
    assert len(said) == 1 and said[0].startswith("'lstm_ner': 1 of 1 entities start or end with white space")
    with own_warnings() as said:
        train(nlp, [bad])
    assert len(said) == 1


def test_one_of_two_entities_of_the_same_text_may_be_lost():
    nlp = blank()
    report = GoldReport()
    example = example_of(nlp, ["Ann", "Ann", "x"], ["B-per", "B-per", "O"], predicted=["Ann", "Annx"])
    assert gold_tags(example, {"per": 0}, report).tolist() == [1, MISSING]
    assert (report.entities, report.misaligned.count) == (2, 1)


def test_overlapping_gold():
    nlp = blank()
    with pytest.raises(ValueError, match=r"E103.*conflicting doc\.ents.*\(0, 3, 'X'\).*\(2, 5, 'X'\)"):
        examples_for(nlp, [("a b c", [(0, 3, "X"), (2, 5, "X")])])
    doc = nlp.make_doc("a b c")
    with pytest.raises(ValueError, match="E1010"):
        doc.set_ents([Span(doc, 0, 2, label="X"), Span(doc, 1, 3, label="X")])


def test_a_label_for_what_is_no_entity():
    nlp = blank()
    examples = examples_for(nlp, [("a b", [(0, 1, "!ORG")])])
    with pytest.raises(ValueError, match=r"E869.*'!ORG'.*incorrect_spans_key"):
        nlp.initialize(lambda: examples)


def test_empty_labels():
    nlp = blank()
    with pytest.raises(ValueError, match=r"E177.*Ill-formed IOB input detected: B-"):
        Doc(nlp.vocab, words=["a", "b"], ents=["B-", "O"])
    table = np.array([[3, 0], [2, 0]], dtype="uint64")
    reference = Doc(nlp.vocab, words=["a", "b"]).from_array([ENT_IOB, ENT_TYPE], table)
    example = Example(Doc(nlp.vocab, words=["a", "b"]), reference)
    assert gold_tags(example, {"per": 0}, GoldReport()).tolist() == [MISSING, 0]
    train(nlp, [example, *examples_for(nlp)])
    assert nlp.get_pipe("lstm_ner").labels == ("geo", "per")


def test_docs_without_annotation_teach_nothing_with_one_warning():
    nlp = blank()
    unannotated = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in ("Nobody said it", "Or did they")]
    with own_warnings() as said:
        train(nlp, [*unannotated, *examples_for(nlp)])
    assert said == [
        "'lstm_ner': 2 of 4 docs have no entity annotation, so no entities are learned from them. "
        'If a doc has no entities, set "entities": []'
    ]
    assert nlp.update(unannotated)["lstm_ner"] == pytest.approx(0.0, abs=1e-6)


def test_no_annotation_at_all():
    nlp = blank()
    examples = [Example.from_dict(nlp.make_doc("a b"), {}) for _ in range(3)]
    message = r"'lstm_ner': none of the 3 docs .* has entity annotation, and no labels were given.*\[initialize"
    with pytest.raises(ValueError, match=message):
        nlp.initialize(lambda: examples)
    with own_warnings() as said:
        blank().initialize()
    assert not said
    given = blank()
    given.get_pipe("lstm_ner").add_label("per")
    with own_warnings() as said:
        given.initialize(lambda: examples)
    assert len(said) == 1 and "3 of 3 docs have no entity annotation" in said[0]


def test_no_docs_say_what_the_reader_wants(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "Sharon left.", "label": [[0, 6, "per"]]}\n', "utf-8")
    message = r"'lstm_ner': the training data has no docs\. .* \.spacy\. Convert .* lstm-ner convert"
    with pytest.warns(UserWarning, match="W090"), pytest.raises(ValueError, match=message):
        nlp = blank()
        nlp.initialize(lambda: Corpus(path)(nlp))


@pytest.mark.parametrize(
    "labels, message",
    [
        (["B-PER", "I-PER"], r"labels 'B-PER', 'I-PER' are tags of tokens"),
        (["I-PER", "I-LOC"], r"labels 'I-LOC', 'I-PER' are tags of tokens"),
        (["U-PER", "L-PER", "ORG"], r"labels 'L-PER', 'U-PER' are tags of tokens"),
        (["b_per", "i_per"], r"labels 'b_per', 'i_per' are tags of tokens"),
        (["PER", "Per", "PER "], r"labels differ only in case, white space or Unicode form: 'PER', 'PER ', 'Per'"),
        (["É", "E\u0301"], "labels differ only in"),
        (["PER "], r"labels 'PER ' begin or end with white space"),
        (["E-mail", "PER", "U-turn"], None),
        (["B-cell", "E-coli", "T-cell"], None),
    ],
)
def test_labels_that_look_wrong(labels, message):
    nlp = blank()
    data = [("Sharon flew to Miami", [(0, 6, label)]) for label in labels]
    with own_warnings() as said:
        train(nlp, examples_for(nlp, data))
    assert len(said) == (message is not None)
    if message:
        assert re.match(f"'lstm_ner': {message}", said[0])


def test_a_corpus_for_other_components_is_no_error():
    nlp = blank()
    examples = [Example.from_dict(nlp.make_doc("a b"), {"tags": ["X", "Y"]})]
    with own_warnings() as said:
        train(nlp, examples)
    assert len(said) == 2 and "has no labels" in said[1]


@pytest.mark.filterwarnings("ignore:.*1 of 3 docs have no entity annotation")
@pytest.mark.parametrize("offsets", [(0, 99), (-3, 2), (1, 3)])
def test_offsets_that_do_not_fit_the_text(offsets):
    nlp = blank()
    with pytest.warns(UserWarning, match=r"W030.*could not be aligned.*Sharon flew"):
        example = Example.from_dict(nlp.make_doc("Sharon flew"), {"entities": [(*offsets, "per")]})
    assert gold_tags(example, {"per": 0}, GoldReport())[0] == MISSING
    train(nlp, [example, *examples_for(nlp)])


@pytest.mark.filterwarnings("ignore:.*W030:UserWarning")
@pytest.mark.parametrize("labels", [[], ["per", "geo"]])
def test_offsets_that_lose_all_entities_of_a_label(labels):
    nlp = blank()
    for label in labels:
        nlp.get_pipe("lstm_ner").add_label(label)
    names = [(0, 6, "per")] if labels else []
    examples = examples_for(nlp, [("Sharon flew to Miami.", [*names, (14, 19, "geo")])] * 2)
    with own_warnings() as said:
        nlp.initialize(lambda: examples)
    which = " with the labels geo" if labels else ""
    assert f"the data has no entities{which}, but 2 tokens without annotation" in said[0]
    assert "W030" in said[0] and "offsets_to_biluo_tags" in said[0]


@pytest.fixture(scope="module")
def overfitted():
    nlp = trained(steps=60)
    assert entities(nlp("Sharon flew to Miami.")) == [("Sharon", "per"), ("Miami", "geo")]
    return nlp


def test_preset_entities_of_any_kind_stay(overfitted):
    doc = Doc(overfitted.vocab, words=["Sharon", "flew", "\n", "to", "Miami"], spaces=[True, True, False, True, False])
    doc[1].is_sent_start = True
    doc.ents = [Span(doc, 0, 2, label="UNKNOWN"), Span(doc, 2, 3, label="per")]
    doc = overfitted.get_pipe("lstm_ner")(doc)
    assert [(ent.start, ent.end, ent.label_) for ent in doc.ents][:2] == [(0, 2, "UNKNOWN"), (2, 3, "per")]


@pytest.mark.parametrize("start, end", [(0, 1), (0, 2), (3, 5), (0, 5)])
def test_preset_entities_win_over_ours(overfitted, start, end):
    doc = overfitted.make_doc("Sharon flew to Miami.")
    doc.ents = [Span(doc, start, end, label="RULER")]
    doc = overfitted.get_pipe("lstm_ner")(doc)
    found = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
    assert (start, end, "RULER") in found
    assert all(last <= first for (_, last, _), (first, _, _) in pairwise(found))


def test_gold_that_meets_presets_is_missing_with_one_warning():
    nlp = trained()
    example = examples_for(nlp)[0]
    example.predicted.ents = [Span(example.predicted, 0, 2, label="RULER")]
    component = nlp.get_pipe("lstm_ner")
    with own_warnings() as said:
        component.update([example])
        component.update([example])
    assert len(said) == 1
    assert "1 of 2 entities overlap with entities or blocked tokens of earlier components" in said[0]
    assert "'Sharon' in 'Sharon flew to Miami.'" in said[0]


def test_a_span_both_gold_and_wrong():
    nlp = blank(incorrect_spans_key="wrong")
    examples = examples_for(nlp)
    reference = examples[0].reference
    reference.spans["wrong"] = [Span(reference, 0, 1, label="per")]
    optimizer = nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match=r"E868.*\(0, 6, 'per'\).*'Sharon' \(per\), also in doc.spans\['wrong'\]"):
        nlp.update(examples, sgd=optimizer)


def test_wrong_spans_that_are_nowhere():
    nlp = blank(incorrect_spans_key="wrong")
    with own_warnings() as said:
        train(nlp, examples_for(nlp))
    assert len(said) == 1 and "none of the 2 docs of the training data has doc.spans['wrong']" in said[0]
    examples = examples_for(nlp)
    examples[1].reference.spans["wrong"] = [Span(examples[1].reference, 0, 1, label="per")]
    with own_warnings() as said:
        train(nlp, examples)
    assert not said


def test_gold_across_the_start_of_a_sentence():
    nlp = blank(sentence_boundaries=True)
    words, ents = ["Ann", "Bell", "ran"], ["B-per", "I-per", "O"]
    examples = [example_of(nlp, words, ents), *examples_for(nlp)]
    train(nlp, examples_for(nlp))
    component = nlp.get_pipe("lstm_ner")
    examples[0].predicted[1].is_sent_start = True
    with own_warnings() as said:
        for _ in range(3):
            component.update(examples)
    assert len(said) == 1
    assert "1 of 3 entities cross the start of a sentence, which sentence_boundaries = true forbids" in said[0]
    assert "'AnnBell' in 'AnnBellran'" in said[0]
    component.cfg["sentence_boundaries"] = False
    component.initialize(lambda: examples, nlp=nlp)
    with own_warnings() as said:
        component.update(examples)
    assert not said
