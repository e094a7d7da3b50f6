"""Corpora at a path: which reader opens them, and what is written."""

import pytest
import spacy
from spacy.training import Corpus
from support.bad_input import entities, examples_for
from support.data_files import write_data

from spacy_lstm_ner.data.corpora import open_corpus, pack_docs, read_examples
from spacy_lstm_ner.data.reader import AnnotatedText

DATA = [("Ann met Bob", [(0, 3, "per"), (8, 11, "per")]), ("Nobody", [])]


def test_the_reader_follows_from_the_path(tmp_path):
    binary, text = tmp_path / "binary" / "deep", tmp_path / "text"
    binary.mkdir(parents=True)
    text.mkdir()
    write_data(binary / "a.spacy", DATA)
    (text / "a.txt").write_text("[Ann](per) met [Bob](per)\n\nNobody\n", "utf-8")
    for path, kind in (
        (binary / "a.spacy", Corpus),
        (binary.parent, Corpus),
        (text / "a.txt", AnnotatedText),
        (text, AnnotatedText),
    ):
        reader = open_corpus(path)
        assert type(reader) is kind
        assert [entities(example.reference) for example in reader(spacy.blank("en"))] == [
            [("Ann", "per"), ("Bob", "per")],
            [],
        ]
    with pytest.raises(FileNotFoundError, match=r"none\.txt: there is no such file or folder"):
        open_corpus(tmp_path / "none.txt")


def test_written_docs_are_read_again(tmp_path):
    nlp = spacy.blank("en")
    docs = [example.reference for example in examples_for(nlp, DATA)]
    docs[0][0].is_sent_start, docs[0][1].is_sent_start = True, True
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.spacy").write_bytes(pack_docs(iter(docs)))
    read = [example.reference for example in read_examples(nlp, tmp_path / "new")]
    assert [(doc.text, entities(doc)) for doc in read] == [(doc.text, entities(doc)) for doc in docs]
    assert [token.is_sent_start for token in read[0][:2]] == [True, True]


def test_no_examples(tmp_path):
    (tmp_path / "empty.spacy").write_bytes(pack_docs([]))
    with pytest.raises(ValueError, match=r"empty\.spacy: expected docs in \.spacy files, found none"):
        read_examples(spacy.blank("en"), tmp_path / "empty.spacy")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (tmp_path / "empty.spacy").rename(hidden / ".a.spacy")
    # spaCy's reader skips hidden files.
    with (
        pytest.warns(UserWarning, match="W090"),
        pytest.raises(ValueError, match=r"hidden: expected docs in \.spacy files, found none"),
    ):
        read_examples(spacy.blank("en"), hidden)
