"""Bad input: annotated files and corpora."""

import json

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from spacy.training.batchers import configure_minibatch
from spacy.training.loop import create_evaluation_callback, create_train_batches
from support.bad_input import blank, examples_for, trained
from support.commands import run_command

from spacy_lstm_ner.data.annotated_file import CorpusError
from spacy_lstm_ner.data.reader import ReadReport, read_docs


def written(folder, text, name="data.conll"):
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def read(path):
    report = ReadReport()
    return list(read_docs(path, spacy.blank("en"), report=report)), report


def convert(path):
    return run_command("convert", path, path.with_suffix(".spacy"))


def test_inside_without_begin(tmp_path):
    iob1, report = read(written(tmp_path, "Ann I-per\nBell I-per\nBo B-per\nYork I-geo\nran O\n"))
    assert [(ent.text, ent.label_) for ent in iob1[0].ents] == [("Ann Bell", "per"), ("Bo", "per"), ("York", "geo")]
    assert report.schemes == {"IOB1": 1} and not report.repaired.count
    path = written(tmp_path, "Ann B-per\nBell I-per\nran O\n\nYork I-geo\nBo B-per\nCy B-per\nran O\n")
    iob2, report = read(path)
    assert [(ent.text, ent.label_) for ent in iob2[1].ents] == [("York", "geo"), ("Bo", "per"), ("Cy", "per")]
    assert report.repaired.examples == [f"{path}:5: I-geo"]
    said, code = convert(path)
    assert code == 0 and "Repaired tags 1" in said and ":5: I-geo" in said


def test_last_without_begin(tmp_path):
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match=r"E067.*starting with L without a preceding 'B'.*\s.*L-per"):
        Example.from_dict(nlp.make_doc("so Ann"), {"entities": ["O", "L-per"]})
    with pytest.raises(ValueError, match=r"E093.*I without B"):
        list(Doc(nlp.vocab, words=["a", "b"], ents=["I-per", "O"]).ents)
    path = written(tmp_path, "Ann U-per\nso O\nBell E-per\n".replace("E-", "L-"))
    docs, report = read(path)
    assert [ent.text for ent in docs[0].ents] == ["Ann", "Bell"]
    assert report.repaired.examples == [f"{path}:3: L-per"]


def test_mixed_schemes(tmp_path):
    path = written(tmp_path, "Ann S-per\nran O\n\nBo U-per\n")
    with pytest.raises(CorpusError, match=r"data\.conll:1: .* found those of IOBES \(S-\) and of BILUO \(U-\)"):
        read(path)
    said, code = convert(path)
    assert code == 1 and "IOBES (S-) and of BILUO (U-)" in said and not path.with_suffix(".spacy").exists()
    docs, report = read(written(tmp_path, "Ann B-per\nBell E-per\nBo S-per\n"))
    assert [ent.text for ent in docs[0].ents] == ["Ann Bell", "Bo"] and report.schemes == {"IOBES": 1}
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match=r"E068.*'S-per'"):
        Example.from_dict(Doc(nlp.vocab, words=["Bo"]), {"entities": ["S-per"]})


def test_an_empty_dev_set():
    nlp = trained()
    scores = nlp.evaluate([])
    assert all(scores[key] is None for key in ("ents_f", "ents_p", "ents_r", "ents_per_type", "ents_token_acc"))
    score, _ = create_evaluation_callback(nlp, lambda nlp: iter(()), {"ents_f": 1.0, "ents_per_type": None})()
    assert score == 0.0


def test_training_data_that_is_not_there(tmp_path):
    nlp = blank()
    batcher = configure_minibatch(2)
    with pytest.raises(ValueError, match="E913"):
        spacy.registry.readers.get("spacy.Corpus.v1")(None, gold_preproc=False)
    with pytest.warns(UserWarning, match=r"W090.*\.spacy"), pytest.raises(ValueError, match="E986"):
        list(create_train_batches(nlp, Corpus(tmp_path), batcher, 1))
    with pytest.raises(FileNotFoundError, match=r"none\.spacy"):
        list(Corpus(tmp_path / "none.spacy")(nlp))
    json_data = [{"id": 0, "paragraphs": [{"raw": "Ann", "sentences": []}]}]
    path = written(tmp_path, json.dumps(json_data), "old.spacy")
    with pytest.raises(ValueError, match=r"E1014.*spacy convert"):
        list(Corpus(path)(nlp))


def test_what_max_length_leaves_out(tmp_path):
    nlp = spacy.blank("en")
    docs = [example.reference for example in examples_for(nlp, [("a b c d e f g", []), ("Ann ran", [(0, 3, "per")])])]
    sentences = nlp.make_doc("one two three four. five six")
    for token in sentences:
        token.is_sent_start = token.i in (0, 5)
    sentences.set_ents([], default="outside")
    path = tmp_path / "train.spacy"
    DocBin(docs=[*docs, sentences]).to_disk(path)
    assert len(list(Corpus(path, max_length=5)(nlp))) == 2
    config = tmp_path / "config.cfg"
    blank().config.to_disk(config)
    arguments = ["debug-data", config, "--paths.train", path, "--paths.dev", path]
    said, _ = run_command(*arguments, "--corpora.train.max_length", 5)
    assert "train: 2 docs or sentences are skipped, because they have max_length (5) tokens or more" in said
    assert "doc of 7 tokens without sentences, 'a b c d e f g'; sentence of 5 tokens, 'one two three four.'" in said


BROKEN = {
    "column count": ("Ann NNP B-per\nran O\n", 2, "expected 3 columns as in line 1, found 2: 'ran O'"),
    "tabs and spaces": ("Ann Bell\tB-per\nran off O\n", 2, "expected 2 columns as in line 1, found 3: 'ran off O'"),
    "one column": ("Ann\nran\n", 1, "expected a word and a tag, found 1 column: 'Ann'"),
    "no tag": ("Ann B-per\nran VBD\n", 2, "expected the tag O, or one of B- I- L- U- E- S- with a label, found 'VBD'"),
    "empty label": ("Ann B-\n", 1, "expected a label after the prefix of a tag, found 'B-'"),
    "tag alone": ("Ann\tB-per\n\tO\n", 2, "expected a word in the first column, found none"),
    "nothing": ("\n\n", 1, "expected at least one sentence, found none"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_columns_are_named_with_their_line(tmp_path, name):
    text, line, message = BROKEN[name]
    path = written(tmp_path, text)
    with pytest.raises(CorpusError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}:{line}: ") and message in str(error.value)
    said, code = convert(path)
    assert code == 1 and "Cannot convert" in said


@pytest.mark.parametrize(
    "text",
    [
        "Ann B-per\r\nran O\r\n\r\nBo B-per\r\n",
        "\ufeffAnn B-per\nran O\n\nBo B-per\n",
        "-DOCSTART- -X- O O\n\nAnn B-per\nran O\n\n-DOCSTART-\nBo B-per\n",
        "-DOCSTART- (1)\tO\nAnn\tB-per\nran\tO\n\nBo\tB-per\n",
    ],
    ids=["CRLF", "BOM", "DOCSTART", "DOCSTART with tabs"],
)
def test_variants_of_columns_are_read(tmp_path, text):
    docs, _ = read(written(tmp_path, text))
    assert [(ent.text, ent.label_) for doc in docs for ent in doc.ents] == [("Ann", "per"), ("Bo", "per")]
    assert [token.text for doc in docs for token in doc] == ["Ann", "ran", "Bo"]
