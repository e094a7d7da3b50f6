"""Bad input: texts that are empty, huge, or of strange characters; and threads."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.training import Example
from support.bad_input import DATA, blank, entities, examples_for, long_doc, own_warnings, trained


@pytest.fixture(scope="module")
def nlp():
    return trained(steps=40)


def everything_is_an_entity():
    """A pipeline that takes every run of tokens for one entity."""
    nlp = blank(model={"scheme": "bio"})
    nlp.get_pipe("lstm_ner").add_label("X")
    nlp.initialize()
    output = nlp.get_pipe("lstm_ner").model.get_ref("output_layer")
    output.set_param("b", np.array([0.0, 5.0, 1.0], dtype="float32"))
    return nlp


@pytest.mark.parametrize("text", ["", " ", "   ", "\n", "\n\n\t ", "\u00a0", "\u2028"])
def test_nothing_but_white_space(nlp, text):
    with own_warnings() as said:
        docs = [nlp(text), *nlp.pipe([text, text])]
    for doc in docs:
        assert not doc.ents and all(token.ent_iob_ == "O" for token in doc)
    assert not said


def test_empty_docs_beside_others(nlp):
    component = nlp.get_pipe("lstm_ner")
    texts = ["", "Sharon flew to Miami.", "", " ", "Nothing happened.", ""]
    together = [entities(doc) for doc in nlp.pipe(texts)]
    assert together == [entities(nlp(text)) for text in texts]
    assert together[1] == [("Sharon", "per"), ("Miami", "geo")]
    empty = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in ("", "")]
    before = component.model.to_bytes()
    assert component.update(empty, losses={"lstm_ner": 1.5}) == {"lstm_ner": 1.5}
    assert component.model.to_bytes() == before
    steady = trained(model={"tok2vec": {"embed": {"word_dropout": 0.0}}})
    component = steady.get_pipe("lstm_ner")
    alone = component.update(examples_for(steady))["lstm_ner"]
    empty = [Example(steady.make_doc(text), steady.make_doc(text)) for text in ("", "")]
    assert component.update([empty[0], *examples_for(steady), empty[1]])["lstm_ner"] == pytest.approx(alone, rel=1e-4)


def test_one_token_and_one_long_token(nlp):
    for text in ("a", "Miami", "x" * 10_000):
        doc = nlp(text)
        assert len(doc) == 1 and doc[0].ent_iob_ in "OB"
    chars = {"@architectures": "spacy-lstm-ner.CharLSTM.v1", "width": 8, "char_width": 8, "max_chars": 20}
    embed = {"width": 16, "attrs": ["prefix1"], "rows": [100], "chars": chars}
    with_chars = trained(model={"tok2vec": {"embed": embed, "encode": {"width": 16}}})
    start, end = "abcdefghij", "qrstuvwxyz"
    words = [start + "y" * 9_980 + end, start + end, start + "abcdefghij"]
    long, cut, other = with_chars.get_pipe("lstm_ner").model.predict([with_chars.make_doc(word) for word in words])
    # Of a word too long, the first and the last characters count.
    np.testing.assert_allclose(long, cut, atol=1e-6)
    assert np.abs(long - other).max() > 1e-4


# In a process of its own, whose peak is that of nothing else: by how many KiB it grows with docs of growing length.
# (The peak that resource.getrusage gives is at least that of the process that started this one.)
MEASURE = """
import json, re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.bad_input import long_doc, trained
nlp = trained(steps=40)
component = nlp.get_pipe("lstm_ner")
peaks = []
for n_tokens in (1_000, *map(int, sys.argv[2:])):
    doc = component(long_doc(nlp, n_tokens))
    assert doc.has_annotation("ENT_IOB") and all(doc.to_array("ENT_IOB"))
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
print(json.dumps([peak - peaks[0] for peak in peaks[1:]]))
"""


def peak_growth(*n_tokens):
    command = [sys.executable, "-c", MEASURE, str(Path(__file__).parent.parent), *map(str, n_tokens)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory as Linux gives it")
def test_memory_grows_with_the_length_of_a_doc_and_no_faster():
    short, long = peak_growth(5_000, 20_000)
    assert 0 < long < 6 * short
    assert long < 20_000 * 3


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory as Linux gives it")
def test_a_million_tokens():
    short, long = peak_growth(100_000, 1_000_000)
    assert 0 < long < 12 * short
    assert long < 1_000_000 * 3


def test_the_far_end_of_a_long_doc_changes_nothing_here():
    nlp = trained(steps=10, model={"tok2vec": {"occurrences": 0}})
    model = nlp.get_pipe("lstm_ner").model
    words = [token.text for token in long_doc(nlp, 20_000)]
    changed = [*words[:-50], *reversed(words[-50:])]
    first, second = model.predict([Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=changed)])
    np.testing.assert_allclose(first[:19_800], second[:19_800], atol=1e-5)
    assert np.abs(first[-50:] - second[-50:]).max() > 1e-3


def test_a_text_longer_than_the_pipeline_takes(nlp):
    text = "Sharon flew. " * 10
    short = trained()
    short.max_length = 100
    with pytest.raises(ValueError, match=r"E088.*Text of length 130 exceeds maximum of 100.*nlp\.max_length"):
        short(text)
    short.max_length = 1_000
    assert short(text).text == text


STRANGE = {
    "NUL": "\0 a\0b \0",
    "right to left": "שלום עולם مرحبا",
    "direction marks": "a \u202eb c\u202c d",
    "emoji": "👩‍👩‍👧 in 🏴󠁧󠁢󠁥󠁮󠁧󠁿 today 👍🏽",
    "combining marks": "e\u0301 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢ x",
    "zero width": "a\u200bb \ufeffc",
    "no characters": "\uffff \U0010ffff x",
    "control": "a\x01 \x7f b\x85c",
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_characters(name):
    nlp, text = everything_is_an_entity(), STRANGE[name]
    doc = nlp(text)
    assert doc.text == text and doc.ents
    assert [text[ent.start_char : ent.end_char] for ent in doc.ents] == [ent.text for ent in doc.ents]
    assert {token.i for ent in doc.ents for token in ent} == {token.i for token in doc if not token.is_space}


def test_surrogates_are_no_text(nlp):
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        nlp("a \ud800 b")


def test_threads_that_only_read(nlp):
    texts = [text for text, _ in DATA] * 4 + ["Sharon and Miami. " * 30]
    expected = [entities(doc) for doc in nlp.pipe(texts)]
    model = nlp.get_pipe("lstm_ner").model.to_bytes()
    found, start = {}, threading.Barrier(4)

    def read(k):
        start.wait()
        found[k] = [[entities(nlp(text)) for text in texts] for _ in range(5)]

    threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {k: [expected] * 5 for k in range(4)}
    assert nlp.get_pipe("lstm_ner").model.to_bytes() == model
