"""Augmentation: entities are replaced by other entities with the same label."""

import random

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Corpus, Example

from spacy_lstm_ner.data.augment import Mention, create_entity_swap_augmenter, swap_entities

TEXTS = [
    ("Sharon flew to Miami.", [(0, 6, "PER"), (15, 20, "LOC")]),
    ("In New York, Ann Lee said no.", [(3, 11, "LOC"), (13, 20, "PER")]),
    ("Nothing happened.", []),
    ("Rome is old. He left Rio de Janeiro", [(0, 4, "LOC"), (21, 35, "LOC")]),
]


def make_examples(nlp):
    return [Example.from_dict(nlp.make_doc(text), {"entities": ents}) for text, ents in TEXTS]


def entities(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


POOL = {(text[start:end], label) for text, ents in TEXTS for start, end, label in ents}


def test_entities_become_others_of_their_type():
    nlp, random_state = spacy.blank("en"), random.getstate()
    random.seed(0)
    augment = create_entity_swap_augmenter(level=1.0, share=1.0)
    seen, n_changed = set(), 0
    for _ in range(20):
        for example in make_examples(nlp):
            before = entities(example.reference)
            (variant,) = augment(nlp, example)
            assert entities(example.reference) == before, "the example itself stays"
            after = entities(variant.reference)
            assert [label for _, label in after] == [label for _, label in before]
            assert set(after) <= POOL
            assert variant.reference.text == variant.predicted.text
            assert variant.get_aligned_ner() is not None
            aligned = variant.get_aligned_spans_y2x(variant.reference.ents)
            assert [(span.text, span.label_) for span in aligned] == after
            seen.update(after)
            n_changed += after != before
            outside = [token.text for token in variant.reference if not token.ent_type]
            assert outside == [token.text for token in example.reference if not token.ent_type]
    assert seen == POOL and n_changed > 30
    random.setstate(random_state)


@pytest.mark.parametrize("settings", [{"level": 0.0}, {"level": 1.0, "share": 0.0}])
def test_nothing_is_changed(settings):
    nlp = spacy.blank("en")
    augment = create_entity_swap_augmenter(**settings)
    for example in make_examples(nlp):
        assert list(augment(nlp, example)) == [example]


def test_level_is_the_share_of_examples():
    nlp = spacy.blank("en")
    random.seed(0)
    augment = create_entity_swap_augmenter(level=0.3, share=1.0)
    examples = make_examples(nlp)
    for example in examples:
        list(augment(nlp, example))
    changed = [next(augment(nlp, examples[3])) is not examples[3] for _ in range(500)]
    assert 0.2 < sum(changed) / 500 < 0.35


@pytest.mark.parametrize("name", ["level", "share"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_settings(name, value):
    with pytest.raises(ValueError, match=name):
        create_entity_swap_augmenter(**{"level": 0.5, name: value})


def test_the_rest_of_the_annotation_stays():
    nlp = spacy.blank("en")
    words = ["Ann", "Lee", "met", "Bo", ".", "Who", "is", "Cy", "?", "x"]
    doc = Doc(nlp.vocab, words, spaces=[True] * 10, sent_starts=[True, *[False] * 4, True, *[False] * 4])
    doc.set_ents(
        [Span(doc, 0, 2, "PER"), Span(doc, 3, 4, "PER"), Span(doc, 7, 8, "PER")],
        missing=[doc[9:10]],
        blocked=[doc[6:7]],
        default="outside",
    )
    new = swap_entities(doc, {0: Mention(("Di",), (False,)), 7: Mention(("Mr", ".", "Z"), (False, True, False))})
    assert new.text == "Di met Bo . Who is Mr. Z ? x "
    assert entities(new) == [("Di", "PER"), ("Bo", "PER"), ("Mr. Z", "PER")]
    assert [sent.text for sent in new.sents] == ["Di met Bo .", "Who is Mr. Z ? x"]
    codes = {token.text: (token.ent_iob_, token.ent_type_) for token in new}
    assert codes["x"] == ("", "") and codes["is"] == ("B", "") and codes["met"] == ("O", "")
    assert doc.text.startswith("Ann Lee met Bo")


def test_unknown_spaces_and_sentences_stay_unknown():
    nlp = spacy.blank("en")
    reference = Doc(nlp.vocab, ["don't", "see", "Rome"], ents=["O", "O", "B-LOC"])
    assert reference.has_unknown_spaces
    other = Doc(nlp.vocab, ["U.S."], ents=["B-LOC"])
    augment = create_entity_swap_augmenter(1.0, 1.0)
    for doc in (other, reference):
        list(augment(nlp, Example(Doc(nlp.vocab, [token.text for token in doc]), doc)))
    random.seed(1)
    variants = [next(augment(nlp, Example(Doc(nlp.vocab, ["don't", "see", "Rome"]), reference))) for _ in range(10)]
    (variant, *_) = [variant for variant in variants if entities(variant.reference) == [("U.S.", "LOC")]]
    assert [token.text for token in variant.predicted] == ["don't", "see", "U.S."]
    assert variant.reference.has_unknown_spaces and not variant.reference.has_annotation("SENT_START")


def test_in_spacys_corpus_and_a_training(tmp_path):
    nlp = spacy.blank("en")
    DocBin(docs=[example.reference for example in make_examples(nlp)]).to_disk(tmp_path / "train.spacy")
    augmenter = spacy.registry.augmenters.get("spacy-lstm-ner.EntitySwap.v1")(level=1.0)
    corpus = Corpus(tmp_path / "train.spacy", augmenter=augmenter)
    nlp.add_pipe("lstm_ner")
    optimizer = nlp.initialize(lambda: corpus(nlp))
    texts = set()
    for _ in range(5):
        examples = list(corpus(nlp))
        texts.update(example.reference.text for example in examples)
        assert nlp.update(examples, sgd=optimizer)["lstm_ner"] > 0
    assert len(texts) > len(TEXTS)
