"""The report on training data."""

import json
from collections import Counter
from itertools import count

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from support.bad_input import example_of, examples_for
from support.data_files import GOOD

from spacy_lstm_ner.data.data_report import PartReport, compare, examine
from spacy_lstm_ner.data.facts import DataFacts


def test_counts_of_a_part():
    nlp = spacy.blank("en")
    examples = [
        *examples_for(nlp, [("Ann ran", [(0, 3, "per")]), ("Ann ran", [(0, 3, "per")]), ("Nobody", [])]),
        Example(nlp.make_doc("not annotated"), nlp.make_doc("not annotated")),
        example_of(nlp, ["Bo", "\n"], ["B-per", "I-per"]),
        example_of(nlp, ["\n", "x"], ["B-per", "O"]),
        example_of(nlp, ["Cy", "x", "so"], ["B-per", "O", "O"], predicted=["Cyx", "so"]),
    ]
    part = examine(iter(examples))
    assert (part.docs, part.repeated, part.without_entities) == (7, 1, 1)
    assert (part.gold.entities, part.labels) == (5, {"per": 5})
    assert [f.count for f in (part.gold.trimmed, part.gold.blank, part.gold.misaligned)] == [1, 1, 1]
    assert part.gold.docs_without_annotation == 1 and part.tokens_missing == 2
    json.dumps(part.to_dict())


def test_entities_across_sentences_presets_and_contradictions():
    nlp = spacy.blank("en")
    example = example_of(nlp, ["Ann", "Bell", "ran"], ["B-per", "I-per", "O"])
    reference = example.reference
    reference[1].is_sent_start = True
    reference.spans["wrong"] = [Span(reference, 0, 2, label="per"), Span(reference, 2, 3, label="per")]

    def ruler(doc):
        doc.ents = [Span(doc, 1, 3, label="RULER")]
        return doc

    part = examine([example], "wrong", ruler)
    assert part.across_sentences.examples == ["'AnnBell' (per) in 'AnnBellran'"]
    assert part.presets.count == part.contradictions.count == 1
    found = compare(part, part)
    assert any("1 entities are marked as incorrect in doc.spans" in error for error in found.errors)
    assert any("cross the start of a sentence" in warning for warning in found.warnings)
    assert any("overlap with entities of earlier components, which are kept" in warning for warning in found.warnings)


def test_what_follows_from_labels():
    nlp = spacy.blank("en")
    train = examine(examples_for(nlp, [*GOOD, ("Rome", [(0, 4, "geo")])]))
    dev = examine(examples_for(nlp, [("IBM", [(0, 3, "org")]), GOOD[0]]))
    found = compare(train, dev, ["per", "misc"])
    assert not found.errors and found.overlap == 1
    assert found.warnings == [
        "1 of 2 docs of dev have a text that is also in train: scores will be better than on new text",
        "labels only in dev, which cannot be learned: org",
        "labels only in train, which dev does not score: geo",
        "labels with fewer than 50 entities in train: geo (1)",
        "labels that are not among those given to initialize: geo, org",
        "labels given to initialize that have no entity in train: misc",
    ]


def test_what_nothing_can_be_learned_from():
    nlp = spacy.blank("en")
    unannotated = examine([Example(nlp.make_doc("a"), nlp.make_doc("a"))])
    no_entities = examine(examples_for(nlp, [("a", [])]))
    bad_label = examine(examples_for(nlp, [("a", [(0, 1, "!per")])]))
    assert compare(PartReport(), no_entities).errors == ["train: no docs"]
    assert compare(no_entities, PartReport(), ["per"]).errors == ["dev: no docs"]
    assert compare(unannotated, no_entities).errors == ["train: none of the 1 docs has entity annotation"]
    assert "no entities in 1 docs, and no labels given" in compare(no_entities, no_entities).errors[0]
    assert "labels that cannot be used: !per" in compare(bad_label, bad_label).errors[0]


def test_labels_that_look_wrong():
    nlp = spacy.blank("en")
    parts = [examine(examples_for(nlp, [("a", [(0, 1, label)])])) for label in ("B-per", "b-PER ")]
    found = "labels differ only in case, white space or Unicode form: 'B-per', 'b-PER '"
    assert any(message.startswith(found) for message in compare(*parts).warnings)
    tags = examine(examples_for(nlp, [("a b", [(0, 1, "B-per"), (2, 3, "I-per")])]))
    assert any(message.startswith("labels 'B-per', 'I-per' are tags") for message in compare(tags, tags).warnings)


def test_a_doc_of_the_report_is_not_changed():
    nlp = spacy.blank("en")
    reference = Doc(nlp.vocab, words=["Ann", "\n"], ents=["B-per", "I-per"])
    before = reference.to_bytes()
    examine([Example(Doc(nlp.vocab, words=["Ann", "\n"]), reference)])
    assert reference.to_bytes() == before


TEXTS = count()
"""Hashes of texts, each one once."""


def part_with(names=1.0, words=0.0, **counts):
    """A report on docs of a kind. names, words: the shares that begin with a capital."""
    facts = DataFacts(**{"docs": 100, "tokens": 2000, "sentences": 100, **counts})
    for counter, share in (facts.names, names), (facts.words, words):
        counter.update({True: round(100 * share), False: round(100 * (1 - share))})
    return PartReport(docs=1, facts=facts, texts=Counter([next(TEXTS)]))


@pytest.mark.parametrize(
    "train, dev, expected",
    [
        ({}, {}, []),
        (
            {},
            {"tokens": 20_000, "sentences": 1000},
            ["docs of train have 20 tokens in 1.0 sentences on average, and docs of dev 200 tokens in 10.0 sentences"],
        ),
        (
            {"tokens": 20_000, "sentences": 1000},
            {},
            ["docs of train have 200 tokens in 10.0 sentences on average, and docs of dev 20 tokens in 1.0 sentences"],
        ),
        # Documents without annotated sentences.
        ({}, {"tokens": 30_000}, ["docs of train have 20 tokens in 1.0 sentences on average, and docs of dev 300"]),
        # Annotated sentences only in one part, and short docs of other kinds, are no difference of this kind.
        ({}, {"sentences": 300}, []),
        ({}, {"tokens": 4000}, []),
        ({"tokens": 20_000, "sentences": 1000}, {"tokens": 50_000, "sentences": 2500}, []),
        ({}, {"names": 0.5}, ["100% of the entities of train begin with a capital, and 50% of those of dev"]),
        ({}, {"words": 0.3}, ["0% of the other words of train begin with a capital, and 30% of those of dev"]),
        ({}, {"names": 0.85, "words": 0.1}, []),
        ({}, {"docs": 0}, []),
    ],
)
def test_dev_that_looks_different(train, dev, expected):
    found = compare(part_with(**train), part_with(**dev)).warnings
    assert len(found) == len(expected)
    assert all(warning.startswith(start) for warning, start in zip(found, expected, strict=True))


def test_few_words_say_nothing_about_casing():
    few = part_with()
    few.facts.names = Counter({False: 49})
    assert not compare(part_with(), few).warnings


def test_entities_with_other_tokens():
    nlp = spacy.blank("en")
    words = ["#Rome", "Ann"]
    example = Example(Doc(nlp.vocab, words), Doc(nlp.vocab, words, ents=["B-geo", "B-per"]))
    part = examine([example], tokenizer=nlp.tokenizer)
    assert part.retokenized.count == 1
    assert any(
        warning.startswith("train: 1 of 2 entities have other tokens than the tokenizer makes of the text")
        and warning.endswith("'#Rome' (geo) becomes # | Rome")
        for warning in compare(part, part).warnings
    )
    assert part.to_dict()["retokenized"] == {"count": 1, "examples": ["'#Rome' (geo) becomes # | Rome"]}
