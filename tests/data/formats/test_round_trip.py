"""Any spans over any text are the same after they are written and read, or a loss is counted and named."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.training import Corpus
from support.data_files import read_file
from support.plain_english import make_whole_english

from spacy_lstm_ner.data import writers
from spacy_lstm_ner.data.annotated_file import Entity, Record
from spacy_lstm_ner.data.formats import FORMATS, REGISTRY, WRITTEN
from spacy_lstm_ner.data.reader import ReadReport, read_docs
from spacy_lstm_ner.data.span_policy import SpanPolicy, make_doc
from spacy_lstm_ner.data.writers import output_format, write_annotated

NLP = make_whole_english()
SUFFIXES = {"csv-offsets": ".csv", "conll": ".conll", "parquet": ".parquet", "spacy": ".spacy"}
HELD = ("doccano", "prodigy", "label-studio", "csv-offsets", "parquet")
"""The formats that hold all spans of a text, whether they overlap or not."""
# Letters, emoji beyond the first plane, combining marks, line ends, right-to-left text and its marks.
PIECES = [
    "a",
    "b.",
    "can't",
    " ",
    "\t",
    "\r\n",
    "\r",
    "\n",
    "🎵",
    "👩\u200d👩\u200d👧",
    "é",
    "e\u0301",
    "אב",
    "\u200fمرحبا",
    "\u2028",
]
PIECES += ["\x85", "高", '"', "',;", "|", "\\", "[]", "#", "_*->"]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=16).map("".join) | st.text(min_size=1)
LABELS = st.sampled_from(["PER", "LOC", "a b", "Ü|x", "B-x", "_", "x[1]", "\\"])


@st.composite
def records(draw):
    # A file in UTF-8 cannot hold half of a surrogate pair.
    text = draw(TEXTS).encode("utf-8", "replace").decode("utf-8")
    spans = []
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        spans.append(Entity(start, end, draw(LABELS)))
    return Record(text, spans, "x:1")


def write(found, path, format, **options):
    report = ReadReport()
    write_annotated(iter(found), path, format, NLP, SpanPolicy(), report, allow_empty=True, **options)
    return report


def spans_of(record):
    return sorted((span.start, span.end, span.label) for span in record.spans)


@pytest.mark.parametrize("format", HELD)
@settings(max_examples=150, deadline=None)
@given(found=st.lists(records(), min_size=1, max_size=3))
@example(found=[Record("🎵 Zoë\r\n", [Entity(2, 5, "PER"), Entity(2, 5, "LOC")], "x:1")])
def test_formats_with_spans_keep_them_all(format, found):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    expected = [(record.text, [span for span in spans_of(record) if span[0] < span[1]]) for record in found]
    empty = sum(span.start == span.end for record in found for span in record.spans)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{SUFFIXES.get(format, '.jsonl')}"
        report = write(found, path, format)
        assert [(record.text, spans_of(record)) for record in read_file(path, format).sentences] == expected
    assert report.problems.lost() == empty


@settings(max_examples=150, deadline=None)
@given(found=records())
def test_brat_keeps_all_spans_with_text(found):
    # A part of a span ends where the line ends.
    limits = [(span, found.text[span[0] : span[1]]) for span in spans_of(found)]
    expected = [
        (start + len(text) - len(text.lstrip("\r\n")), end - len(text) + len(text.rstrip("\r\n")), label)
        for (start, end, label), text in limits
        if text.strip("\r\n")
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus"
        report = write([found], path, "brat")
        (record,) = read_file(path / "000001.ann", "brat").sentences
    assert record.text == found.text
    assert report.problems.lost() == len(found.spans) - len(expected)
    assert len(record.spans) == len(expected)
    renamed = report.problems.found["labels with white space"].count
    if not renamed:
        assert spans_of(record) == sorted(expected)


@settings(max_examples=150, deadline=None)
@given(found=records(), sentences=st.booleans())
@example(
    found=Record("🎵 Zoë\r\n[x]_ b", [Entity(2, 4, "_"), Entity(0, 9, "a\\"), Entity(2, 5, "a\\")], "x:1"),
    sentences=True,
)
def test_webanno_keeps_all_spans_with_words(found, sentences):
    doc = NLP(found.text)
    if sentences:
        found = replace(found, sents=[token.idx for token in doc if token.i % 2 == 0])
    words = [(token.idx, token.idx + len(token)) for token in doc if token.text.strip()]
    expected = []
    for start, end, label in spans_of(found):
        touched = [
            (max(start, first), min(end, last)) for first, last in words if first < end and start < last and start < end
        ]
        # White space at the limits of a span is in no word.
        expected += [(touched[0][0], touched[-1][1], label)] if touched else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus"
        report = write([found], path, "webanno")
        assert report.problems.lost() == len(found.spans) - len(expected)
        if not words:
            return
        (record,) = read_file(path / "000001.tsv").sentences
    assert record.text == found.text
    assert spans_of(record) == sorted(expected)


def test_halves_of_surrogate_pairs_keep_their_place(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "\\ud83c \\ud83c\\udfb5 Ida", "label": [[4, 7, "P\\udc00"]]}\n{"text": "b", "label": []}\n', "utf-8"
    )
    (first, _) = read_file(path).sentences
    assert (first.text, spans_of(first)) == ("\ufffd 🎵 Ida", [(4, 7, "P\ufffd")])
    for format in HELD:
        if format != "parquet":
            write([first], tmp_path / "out", format)


@pytest.mark.parametrize("format", ["conll", "spacy"])
@settings(max_examples=100, deadline=None)
@given(found=records())
def test_formats_with_tokens_keep_entities_or_count_them(format, found):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{SUFFIXES[format]}"
        report = write([found], path, format)
        kept = report.entities.total()
        problems = report.problems.found
        unwritten = problems["unwritten"].count
        assert kept + report.problems.lost() - unwritten + problems["repeated"].count == len(found.spans)
        words = [token.text for token in make_doc(NLP, found, SpanPolicy(), ReadReport().problems)]
        if not any(word.strip() for word in words):
            return
        docs = list(read_docs(path, NLP, format))
    unwritten += problems["labels with white space or |"].count
    if not unwritten and format == "spacy":
        assert sum(len(doc.ents) for doc in docs) == kept and docs[0].text == found.text
    elif not unwritten:
        assert sum(len(doc.ents) for doc in docs) == kept


def test_what_is_known_of_a_text_is_kept(tmp_path):
    text = "Ida left Rome"
    found = [
        Record(text, [Entity(0, 3, "PER")], "x:1", missing=[(9, 13)]),
        Record(text, [Entity(0, 3, "PER")], "x:2", complete=False, rejected=[Entity(9, 13, "PER")]),
    ]
    write(found, tmp_path / "a.spacy", "spacy")
    docs = list(read_docs(tmp_path / "a.spacy", NLP))
    assert [[token.ent_iob_ for token in doc] for doc in docs] == [["B", "O", ""], ["B", "", ""]]
    assert [span.text for span in docs[1].spans["incorrect_spans"]] == ["Rome"]
    report = write(found, tmp_path / "a.conll", "conll")
    again = list(read_docs(tmp_path / "a.conll", NLP))
    assert [[token.ent_iob_ for token in doc] for doc in again] == [["B", "O", ""], ["B", "", ""]]
    assert report.problems.found["spans that are known to be wrong"].count == 1
    write(found[1:], tmp_path / "a.jsonl", "prodigy")
    accepted, rejected = read_file(tmp_path / "a.jsonl").sentences
    assert (accepted.complete, spans_of(accepted), rejected.rejected) == (
        False,
        [(0, 3, "PER")],
        [Entity(9, 13, "PER")],
    )
    report = write(found, tmp_path / "b.jsonl", "doccano")
    assert report.problems.found["parts without annotation, which look annotated now"].count == 2


def test_predictions_have_scores_and_a_version(tmp_path):
    found = [Record("Ida left", [Entity(0, 3, "PER", 0.75)], "x:1", ["Ida", "left"], [True, False])]
    write(found, tmp_path / "a.json", "label-studio", model="en_ner 1.0")
    (task,) = json.loads((tmp_path / "a.json").read_text("utf-8"))
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("en_ner 1.0", 0.75)
    assert prediction["result"][0]["score"] == 0.75 and "annotations" not in task
    with pytest.raises(ValueError, match=r"1 tasks without annotation \(predictions are not read\)"):
        read_file(tmp_path / "a.json")
    write(found, tmp_path / "a.csv", "csv-offsets")
    assert next(iter(read_file(tmp_path / "a.csv").sentences)).spans[0].score == 0.75


def test_large_data_is_written_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "_TOKENS_IN_PART", 4)
    found = [Record("Ida left", [Entity(0, 3, "PER")], "x:1")] * 5
    for name in ("parts", "large.spacy"):
        write(found, tmp_path / name, "spacy")
        names = sorted(path.name for path in (tmp_path / name).iterdir())
        assert names == ["0001.spacy", "0002.spacy", "0003.spacy"]
        assert len(list(read_docs(tmp_path / name, NLP))) == len(list(Corpus(tmp_path / name)(NLP))) == 5
    write(found[:1], tmp_path / "large.spacy", "spacy")
    assert [path.name for path in (tmp_path / "large.spacy").iterdir()] == ["0001.spacy"]
    write(found[:2], tmp_path / "small.spacy", "spacy")
    assert (tmp_path / "small.spacy").is_file()
    with pytest.raises(NotADirectoryError, match=r"small\.spacy: expected a folder, found a file"):
        write(found, tmp_path / "small.spacy", "spacy")
    with pytest.raises(ValueError, match=r"expected a new folder, or one with \.txt and \.ann files, found"):
        write([], tmp_path / "parts", "brat")


def test_formats_to_write():
    assert set(WRITTEN) == {*HELD, "brat", "webanno", "conll", "spacy"} <= set(FORMATS) == set(REGISTRY)
    assert output_format(Path("a.conll"), None) == "conll" and output_format(Path("a.json"), "doccano") == "doccano"
    with pytest.raises(ValueError, match=r"ends in \.spacy, or a format with --output-format"):
        output_format(Path("a.json"), None)
    with pytest.raises(ValueError, match="expected an output format among"):
        output_format(Path("a.json"), "conllu")
