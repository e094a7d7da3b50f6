"""The data of a config or of files, read for a report as training reads it."""

import pytest
import spacy
from spacy.tokens import Span
from support.bad_input import blank, examples_for
from support.data_files import GOOD, real_corpus, write_docs, write_good_data

from spacy_lstm_ner.data.reader import read_docs
from spacy_lstm_ner.training.data_sources import report_data, sources_from_config, sources_from_files


@pytest.fixture
def good(tmp_path):
    return write_good_data(tmp_path)


def test_annotated_text_and_its_schemes(tmp_path, good):
    path = tmp_path / "train.conll"
    path.write_text("Ann B-per\nBell I-per\n\nYork I-geo\n\nCy B-per\nran O\n", "utf-8")
    found = report_data(sources_from_files(path, good[1], "en"))
    assert any("1 tags broke the scheme and were repaired, the first at" in warning for warning in found.warnings)
    path.write_text("Ann S-per\n\nBo U-per\n", "utf-8")
    (error,) = [error for error in report_data(sources_from_files(path, good[1], "en")).errors if "stopped" in error]
    assert error.startswith("train: reading stopped after 0 docs") and "IOBES (S-) and of BILUO (U-)" in error


def test_what_the_reader_warns_of_is_in_the_report(tmp_path, good):
    path = tmp_path / "train.txt"
    path.write_text("[Ann](per) is hap[py](x)ish.\n" * 2, "utf-8")
    found = report_data(sources_from_files(path, good[1], "en"))
    assert any("entities do not end where tokens end and are missing" in warning for warning in found.warnings)


def test_a_config_with_labels_and_a_ruler(tmp_path):
    nlp = blank(incorrect_spans_key="wrong")
    ruler = {"patterns": [{"label": "RULER", "pattern": "Ann met"}]}
    nlp.add_pipe("entity_ruler", before="lstm_ner")
    config = nlp.config
    config["training"]["annotating_components"] = ["entity_ruler"]
    config["initialize"]["components"] = {"entity_ruler": ruler, "lstm_ner": {"labels": ["per", "geo"]}}
    config.to_disk(tmp_path / "config.cfg")
    docs = [example.reference for example in examples_for(nlp, GOOD)]
    docs[0].spans["wrong"] = [Span(docs[0], 0, 1, label="per")]
    path = write_docs(tmp_path / "train.spacy", docs)
    overrides = {"paths.train": str(path), "paths.dev": str(path)}
    found = report_data(sources_from_config(tmp_path / "config.cfg", overrides))
    assert found.parts["train"].presets.count == 25
    assert found.errors[0].startswith("train: 1 entities are marked as incorrect in doc.spans: 'Ann' (per)")
    assert "labels given to initialize that have no entity in train: geo" in found.warnings
    without = spacy.blank("en")
    without.add_pipe("ner")
    without.config.to_disk(tmp_path / "other.cfg")
    with pytest.raises(ValueError, match="no lstm_ner component in the pipeline, which has ner"):
        sources_from_config(tmp_path / "other.cfg", overrides)


@pytest.mark.parametrize("reader", ["spacy.Corpus.v1", "spacy-lstm-ner.AnnotatedText.v1"])
def test_the_data_is_reported_without_augmentation(tmp_path, reader):
    text = tmp_path / "in.txt"
    text.write_text("[Ann](per) ran.\n[Bo](per) slept.\n\n[Cy](per) sat.\n[Di](per) stood.\n", "utf-8")
    path = text if "Annotated" in reader else tmp_path / "in.spacy"
    if path != text:
        write_docs(path, read_docs(text, spacy.blank("en")))
    config = blank().config
    augmenter = {"@augmenters": "spacy-lstm-ner.TextVariation.v1", "pieces": 1.0, "lower": 1.0}
    for part in ("train", "dev"):
        config["corpora"][part] = {"@readers": reader, "path": str(path), "augmenter": augmenter}
    config.to_disk(tmp_path / "config.cfg")
    found = report_data(sources_from_config(tmp_path / "config.cfg", {}))
    assert found.parts["train"].docs == 2 and found.overlap == 2
    facts = found.parts["train"].facts
    assert (facts.sentences_per_doc, facts.tokens_per_doc, facts.capital_names) == (2.0, 6.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "train, dev, share",
    [
        ("domains/btc-train.iob", "domains/btc-dev.iob", 0.080),
        ("domains/lener-train.iob", "domains/lener-dev.iob", 0.084),
    ],
)
def test_real_corpora_with_other_tokens(train, dev, share):
    lang = "pt" if "lener" in train else "en"
    part = report_data(sources_from_files(real_corpus(train), real_corpus(dev), lang)).parts["dev"]
    assert part.retokenized.count / part.gold.entities == pytest.approx(share, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    "train, dev, entities",
    [
        ("conll03/eng.train", "conll03/eng.testa", 5942),
        ("wnut17/wnut17train.conll", "wnut17/emerging.dev.conll", 836),
    ],
)
def test_real_corpora(train, dev, entities):
    found = report_data(sources_from_files(real_corpus(train), real_corpus(dev), "en"))
    assert not found.errors
    part = found.parts["dev"]
    assert part.gold.entities == part.labels.total() == entities
    assert part.gold.misaligned.count == part.gold.docs_without_annotation == 0
    assert set(part.labels) == set(found.parts["train"].labels)
