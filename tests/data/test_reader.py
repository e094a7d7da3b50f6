"""Reading annotated text: the formats, their errors, the docs, and the embedded corpus."""

import pickle
import warnings
from collections import Counter
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry
from support.data_files import read_file, real_corpus

from spacy_lstm_ner.data.annotated_file import CorpusError
from spacy_lstm_ner.data.formats import FORMATS, recognize
from spacy_lstm_ner.data.formats.inline import parse_inline
from spacy_lstm_ner.data.reader import ReadReport, create_annotated_text_reader, read_docs
from spacy_lstm_ner.data.tag_schemes import LabelSpan

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets" / "embedded"
LABELS = {"per", "org", "geo", "gpe", "tim", "art", "eve", "nat"}
HEADER = "Sentence #,Word,POS,Tag\r\n"


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.blank("en")


def write(folder: Path, text: str | bytes, name: str = "data.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def entities(doc: Doc) -> list[tuple[str, str]]:
    return [(entity.text, entity.label_) for entity in doc.ents]


def words(path: Path, format: str = "auto") -> list[list[str] | None]:
    return [sentence.words for sentence in read_file(path, format).sentences]


def read(path: Path, nlp: Language, **options: object) -> tuple[list[Doc], ReadReport]:
    report = ReadReport()
    return list(read_docs(path, nlp, report=report, **options)), report  # type: ignore[arg-type]


# Columns


def test_conll_documents_sentences_and_entities(tmp_path: Path, nlp: Language) -> None:
    text = (
        "-DOCSTART- -X- O\n\nEU  NNP I-ORG\nrejects VBZ O\n\nPeter NNP I-PER\nB. NNP I-PER\n"
        "-DOCSTART- -X- O\nOslo NNP I-LOC\n"
    )
    docs, report = read(write(tmp_path, text), nlp)
    assert [doc.text for doc in docs] == ["EU rejects Peter B. ", "Oslo "]
    assert [entities(doc) for doc in docs] == [[("EU", "ORG"), ("Peter B.", "PER")], [("Oslo", "LOC")]]
    assert [token.is_sent_start for token in docs[0]] == [True, False, True, False]
    assert [token.ent_iob_ for token in docs[0]] == ["B", "O", "B", "I"]
    assert (report.documents, report.docs, report.sentences, report.tokens) == (2, 2, 3, 5)
    assert (report.schemes, report.formats) == (Counter(IOB1=1), Counter(conll=1))
    assert report.entities == Counter(ORG=1, PER=1, LOC=1)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("blank", ["", "\t", " \t "])
def test_conll_line_ends_byte_order_mark_and_lone_tab(tmp_path: Path, end: str, mark: bytes, blank: str) -> None:
    text = end.join(["É\tB-x", "b\tO", blank, "c\tO", ""])
    path = write(tmp_path, mark + text.encode("utf-8"))
    assert words(path) == [["É", "b"], ["c"]]
    assert read_file(path).encoding == "utf-8"


def test_conll_without_documents_gives_a_doc_per_sentence(tmp_path: Path, nlp: Language) -> None:
    docs, report = read(write(tmp_path, "a O\n\nb O\n\nc B-x\n"), nlp)
    assert [doc.text for doc in docs] == ["a ", "b ", "c "]
    assert (report.documents, report.docs_without_entities) == (3, 2)


def test_conll_hash_is_a_comment_or_a_token(tmp_path: Path) -> None:
    path = write(tmp_path, "# newdoc id = 7\n# O\n#tag O\nb B-x\n")
    assert words(path) == [["#", "#tag", "b"]]
    assert read_file(path).comments == 1
    assert words(write(tmp_path, "#\tO\n# x\tB-y\n")) == [["#", "# x"]]


def test_conll_tab_keeps_spaces_in_words(tmp_path: Path) -> None:
    assert words(write(tmp_path, "New York\tB-geo\nnow\tO\n")) == [["New York", "now"]]


def test_conll_unusual_white_space_does_not_split_lines(tmp_path: Path) -> None:
    assert words(write(tmp_path, "a\u2028b O\nc\x85d O\n")) == [["a\u2028b", "c\x85d"]]


def test_conll_latin_1(tmp_path: Path) -> None:
    path = write(tmp_path, "Köln B-geo\n".encode("latin-1"))
    assert words(path) == [["Köln"]]
    assert read_file(path).encoding == "latin-1"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a X Y O\nb X O\n", 2, "expected 4 columns as in line 1, found 3: 'b X O'"),
        ("\na X O\nb X Y O\n", 3, "expected 3 columns as in line 2, found 4: 'b X Y O'"),
        ("a\tO\nb\n", 2, "expected 2 columns as in line 1, found 1: 'b'"),
        ("a\nb\n", 1, "expected a word and a tag, found 1 column: 'a'"),
        ("a O\nb X-PER\n", 2, "expected the tag O, or one of B- I- L- U- E- S- with a label, found 'X-PER'"),
        ("a O\nb PER\nc B-LOC\n", 2, "found 'PER': 'b PER'"),
        ("a O\nb B-\n", 2, "expected a label after the prefix of a tag, found 'B-': 'b B-'"),
        ("a\tO\nb\t\n", 2, "with a label, found ''"),
        ("a\tO\n\tO\n", 2, r"expected a word in the first column, found none: '\tO'"),
        ("a B-x\nb E-x\n\nc U-x\n", 2, "found those of IOBES (E-) and of BILUO (U-): 'b E-x'"),
        ("\n\n", 1, "expected at least one sentence, found none"),
    ],
)
def test_bad_conll_is_refused_with_its_place(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(CorpusError) as error:
        read_file(path, "conll")
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert problem in str(error.value)
    assert error.value.line == line


def test_repaired_tags_are_counted_with_their_places(tmp_path: Path, nlp: Language) -> None:
    regular = "".join(f"{word} B-z\n\n" for word in "klmn")
    path = write(tmp_path, f"a B-x\nb O\nc I-x\n\nd I-y\ne O\nf I-x\ng I-y\n\n{regular}")
    docs, report = read(path, nlp)
    assert [entities(doc) for doc in docs[:2]] == [[("a", "x"), ("c", "x")], [("d", "y"), ("f", "x"), ("g", "y")]]
    assert report.schemes == Counter(IOB2=1)
    assert report.repaired.count == 4
    assert report.repaired.examples == [f"{path}:3: I-x", f"{path}:5: I-y", f"{path}:7: I-x"]


# ner_dataset.csv


def test_csv_quotes_commas_and_sentences(tmp_path: Path, nlp: Language) -> None:
    first = 'Sentence: 1,"""",``,O\r\n,"10,000",CD,O\r\n,",",",",O\r\n'
    second = "Sentence: 2,Mali,NNP,B-geo\r\n,'s,POS,O\r\n"
    docs, report = read(write(tmp_path, HEADER + first + second, "ner.csv"), nlp)
    assert [[token.text for token in doc] for doc in docs] == [['"', "10,000", ","], ["Mali", "'s"]]
    assert entities(docs[1]) == [("Mali", "geo")]
    assert (report.sentences, report.schemes, report.formats) == (2, Counter(IOB2=1), Counter(csv=1))


def test_csv_number_may_be_repeated_in_every_row(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "1,a,X,O\n1,b,X,O\n2,c,X,O\n")
    assert words(path) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_csv_encodings(tmp_path: Path, nlp: Language, encoding: str) -> None:
    path = write(tmp_path, (HEADER + "1,São,X,B-geo\r\n,Tomé,X,I-geo\r\n").encode(encoding))
    docs, report = read(path, nlp)
    assert entities(docs[0]) == [("São Tomé", "geo")]
    assert report.encodings == Counter(["latin-1" if encoding == "latin-1" else "utf-8"])


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (HEADER + "1,a,X,O\n,b,O\n", 3, "expected 4 columns as in the header, found 3: ',b,O'"),
        (HEADER + ",a,X,O\n", 2, "expected a sentence number in the first row"),
        (HEADER + "1,,X,O\n", 2, "expected a word in the first column, found none"),
        (HEADER + "1,a,X,B-\n", 2, "expected a label after the prefix of a tag, found 'B-'"),
        (HEADER + '1,a,X,O\n,"b,X,O\n,c,X,O\n', 3, "expected a row of CSV, found: unexpected end of data"),
        (HEADER + '1,"a\nb",X,O\n', 2, "expected a row in one line, found a quote left open"),
        (
            "Word,Tag\na,O\n",
            1,
            "with the columns Sentence #, Word, Tag, found none named Sentence #: 'Word,Tag'",
        ),
    ],
)
def test_bad_csv_is_refused_with_its_place(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(CorpusError) as error:
        read_file(path, "csv")
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert problem in str(error.value)


# Inline annotation


def test_inline_documents_comments_and_entities(tmp_path: Path, nlp: Language) -> None:
    text = "# a trip\n[Sharon](per) flew to [Miami](geo).\nShe waved.\n\n\n# another\n#1 was \\[sic\\] late.\n"
    docs, report = read(write(tmp_path, text), nlp)
    assert [doc.text for doc in docs] == ["Sharon flew to Miami. She waved.", "#1 was [sic] late."]
    assert entities(docs[0]) == [("Sharon", "per"), ("Miami", "geo")]
    assert [sentence.text for sentence in docs[0].sents] == ["Sharon flew to Miami.", "She waved."]
    assert {token.ent_iob_ for token in docs[1]} == {"O"}
    assert (report.documents, report.comments, report.docs_without_entities) == (2, 2, 1)
    assert report.schemes == Counter(none=1)


def test_inline_without_blank_lines_gives_a_doc_per_sentence(tmp_path: Path, nlp: Language) -> None:
    docs, _ = read(write(tmp_path, "\n[A](x) b.\nC d.\n\n"), nlp)
    assert [doc.text for doc in docs] == ["A b.", "C d."]


def test_inline_brackets_within_an_entity() -> None:
    assert parse_inline(r"the [\[REC\]](art) tape ]") == ("the [REC] tape ]", [LabelSpan(4, 9, "art")])
    assert parse_inline("[a](x)[b](y)") == ("ab", [LabelSpan(0, 1, "x"), LabelSpan(1, 2, "y")])


PIECES = st.text(st.sampled_from("ab.[]"), min_size=1, max_size=4)


@given(st.lists(st.tuples(PIECES, st.sampled_from(["", "per", "geo"]))))
def test_inline_round_trip(pieces: list[tuple[str, str]]) -> None:
    line, text, spans = "", "", []
    for piece, label in pieces:
        escaped = piece.replace("[", r"\[").replace("]", r"\]")
        line += f"[{escaped}]({label})" if label else escaped
        if label:
            spans.append(LabelSpan(len(text), len(text) + len(piece), label))
        text += piece
    assert parse_inline(line) == (text, spans)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "fine\nsee [Oslo now\n",
            "expected ] at the end of an entity, found the end of the line: 'see [Oslo now'",
        ),
        ("fine\nsee [Oslo] now\n", "expected ](label) at the end of an entity, found ] without a label"),
        ("fine\nsee [Oslo](geo now\n", "expected ](label) at the end of an entity, found ] without a label"),
        ("fine\nsee [Oslo]() now\n", "expected a label for [Oslo], found none: 'see [Oslo]() now'"),
        (
            "fine\nsee [Old [Oslo](geo)](geo)\n",
            "expected ] before the next [, found an entity within an entity",
        ),
        ("fine\nsee Oslo](geo)\n", "expected [ before the ]( of an entity, found none"),
        ("fine\nsee [](geo)\n", "expected an entity without white space at its ends, found []"),
        ("fine\nsee [Oslo ](geo)\n", "expected an entity without white space at its ends, found [Oslo ]"),
    ],
)
def test_bad_markup_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(CorpusError) as error:
        read_file(path, "inline")
    assert str(error.value).startswith(f"{path}:2: ")
    assert problem in str(error.value)


def test_inline_must_be_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path, "fine\n[Köln](geo)\n".encode("latin-1"))
    with pytest.raises(CorpusError, match=":2: expected UTF-8, found the byte 0xf6"):
        read_file(path, "inline")


def test_misaligned_entities_become_missing_and_are_counted(tmp_path: Path, nlp: Language) -> None:
    path = write(tmp_path, "In [Lon](geo)[donderry](geo) with [Ann](per).\n")
    docs, report = read(path, nlp)
    assert entities(docs[0]) == [("Ann", "per")]
    assert [token.ent_iob_ for token in docs[0]] == ["O", "", "O", "B", "O"]
    assert report.misaligned.count == 2
    assert report.misaligned.examples == [f"{path}:1: geo 'Lon'", f"{path}:1: geo 'donderry'"]


# Docs and Examples


def test_n_sents_never_crosses_documents(tmp_path: Path, nlp: Language) -> None:
    path = write(tmp_path, "a b.\nc.\nd.\n\ne.\n")
    docs, report = read(path, nlp, format="inline", n_sents=2)
    assert [doc.text for doc in docs] == ["a b. c.", "d.", "e."]
    assert (report.documents, report.docs) == (2, 3)
    assert [len(list(doc.sents)) for doc in docs] == [2, 1, 1]


def test_n_sents_joins_sentences_where_no_documents_are_marked(tmp_path: Path, nlp: Language) -> None:
    docs, report = read(write(tmp_path, "a O\n\nb O\n\nc O\n"), nlp, n_sents=2)
    assert [doc.text for doc in docs] == ["a b ", "c "]
    assert (report.documents, report.docs) == (3, 2)


def test_parts_divide_a_file(tmp_path: Path, nlp: Language) -> None:
    path = write(tmp_path, "".join(f"w{i} O\n\n" for i in range(25)))
    whole, _ = read(path, nlp)
    first, _ = read(path, nlp, part=(0.0, 0.9))
    last, report = read(path, nlp, part=(0.9, 1.0))
    assert [doc.text for doc in first + last] == [doc.text for doc in whole]
    assert report.sentences == len(last) == 3


@pytest.mark.parametrize("part", [(0.5, 0.5), (-0.1, 1.0), (0.0, 1.5)])
def test_bad_part_is_refused(tmp_path: Path, nlp: Language, part: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected fractions with 0 <= from < to <= 1"):
        read(write(tmp_path, "a O\n"), nlp, part=part)


def test_part_without_sentences_is_refused(tmp_path: Path, nlp: Language) -> None:
    with pytest.raises(ValueError, match=r"data\.txt: expected sentences from 0\.0 to 0\.1, found none"):
        read(write(tmp_path, "a O\n"), nlp, part=(0.0, 0.1))


def test_bad_n_sents_and_format_are_refused(tmp_path: Path, nlp: Language) -> None:
    path = write(tmp_path, "a O\n")
    with pytest.raises(ValueError, match="expected n_sents of 0 or more, found -1"):
        read(path, nlp, n_sents=-1)
    with pytest.raises(ValueError, match=f"expected a format among auto, {', '.join(FORMATS)}, found 'xml'"):
        read(path, nlp, format="xml")


def test_folder_is_read_in_order_of_names(tmp_path: Path, nlp: Language) -> None:
    with pytest.raises(FileNotFoundError, match="expected annotated files in this folder"):
        read(tmp_path, nlp)
    write(tmp_path, "b B-x\n", "2.conll")
    write(tmp_path, "a U-x\n", "1.conll")
    write(tmp_path, "rubbish", ".hidden")
    docs, report = read(tmp_path, nlp)
    assert [doc.text for doc in docs] == ["a ", "b "]
    assert (report.files, report.schemes) == (2, Counter(BILUO=1, IOB2=1))


@pytest.mark.parametrize(
    ("name", "lines", "format"),
    [
        ("x.csv", ["a O"], "csv"),
        ("x.CONLL", ["[a](x)"], "conll"),
        ("x", ["Sentence #,Word,POS,Tag"], "csv"),
        ("x.txt", ["-DOCSTART- -X- O", "", "a B-x"], "conll"),
        ("x.txt", ["a O", "b BAD", "c O"], "conll"),
        (
            "x.txt",
            ["[a](x) took vitamin B-12", "Blood group O", "and left.", "Nobody came.", "We ate."],
            "inline",
        ),
        ("x.txt", [""], "inline"),
    ],
)
def test_format_is_guessed(tmp_path: Path, name: str, lines: list[str], format: str) -> None:
    assert recognize(write(tmp_path, "\n".join(lines), name)) == format


def test_reader_keeps_the_words_of_a_file_that_gives_words(tmp_path: Path, nlp: Language) -> None:
    reader = create_annotated_text_reader(write(tmp_path, "I O\ncan't O\nleave O\nOslo B-geo\n"))
    (example,) = pickle.loads(pickle.dumps(reader))(nlp)
    assert [token.text for token in example.predicted] == ["I", "can't", "leave", "Oslo"]
    assert not example.predicted.ents
    assert example.get_aligned_ner() == ["O", "O", "O", "U-geo"]


@pytest.mark.usefixtures("whole_english")
def test_reader_tokenizes_text_with_the_pipeline(tmp_path: Path) -> None:
    (example,) = create_annotated_text_reader(write(tmp_path, "I can't leave [Oslo](geo)\n"))(spacy.blank("en"))
    assert [token.text for token in example.predicted] == ["I", "ca", "n't", "leave", "Oslo"]
    assert example.get_aligned_ner() == ["O", "O", "O", "O", "U-geo"]


def test_reader_warns_of_what_it_had_to_change(tmp_path: Path, nlp: Language) -> None:
    with pytest.warns(UserWarning, match=r"1 tags broke the scheme and were repaired, the first at .*:3: I-x"):
        list(create_annotated_text_reader(write(tmp_path, "a B-x\nb O\nc I-x\n"))(nlp))
    with pytest.warns(UserWarning, match="1 entities do not end where tokens end"):
        list(create_annotated_text_reader(write(tmp_path, "[Lon](geo)don\n"))(nlp))


def test_reader_needs_a_path() -> None:
    with pytest.raises(ValueError, match="expected the path of annotated text, found none"):
        create_annotated_text_reader(None)


def test_reader_is_registered() -> None:
    assert registry.readers.get("spacy-lstm-ner.AnnotatedText.v1") is create_annotated_text_reader


def test_error_survives_pickling(tmp_path: Path) -> None:
    error = CorpusError(tmp_path, 3, "expected more", "x" * 500)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(error).endswith("x…'")


# The embedded corpus


def mentions(split: str) -> list[tuple[str, str]]:
    file = read_file(ASSETS / f"{split}.txt")
    return [(s.text[span.start : span.end], span.label) for s in file.sentences for span in s.spans]


@pytest.mark.usefixtures("whole_english")
def test_embedded_corpus_is_read_without_loss() -> None:
    nlp, sentences = spacy.blank("en"), 0
    for split in ("train", "dev", "test"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            docs, report = read(ASSETS / f"{split}.txt", nlp)
        assert report.misaligned.count == report.repaired.count == 0
        assert report.documents == report.docs
        assert set(report.entities) == LABELS
        assert sum(len(doc.ents) for doc in docs) == len(mentions(split))
        sentences += report.sentences
    assert sentences >= 900


def test_embedded_corpus_repeats_no_sentence() -> None:
    texts = Counter(
        sentence.text for split in ("train", "dev", "test") for sentence in read_file(ASSETS / f"{split}.txt").sentences
    )
    assert [text for text, count in texts.items() if count > 1] == []


def test_most_test_entities_are_new() -> None:
    known = {text.casefold() for text, _ in mentions("train")}
    unseen = [text.casefold() not in known for text, _ in mentions("test")]
    assert sum(unseen) / len(unseen) >= 0.5


@pytest.mark.usefixtures("whole_english")
def test_data_card_gives_the_counts_of_the_files() -> None:
    nlp = spacy.blank("en")
    card = (ASSETS / "README.md").read_text("utf-8")
    for split in ("train", "dev", "test"):
        _, report = read(ASSETS / f"{split}.txt", nlp)
        counts = [report.documents, report.sentences, report.tokens, report.entities.total()]
        counts += [report.entities[label] for label in ("per", "org", "geo", "gpe", "tim", "art", "eve", "nat")]
        assert f"| {split} | " + " | ".join(f"{count:,}" for count in counts) + " |" in card


# Real corpora


def test_conll_2003(nlp: Language) -> None:
    docs, report = read(real_corpus("conll03/eng.testa"), nlp)
    assert (len(docs), report.documents, report.tokens) == (216, 216, 51_362)
    assert report.entities == Counter(PER=1842, LOC=1837, ORG=1341, MISC=922)
    assert (report.schemes, report.repaired.count, report.misaligned.count) == (Counter(IOB1=1), 0, 0)


@pytest.mark.parametrize(
    ("name", "posts", "tokens"),
    [("wnut17/wnut17train.conll", 3394, 62_730), ("wnut17/emerging.dev.conll", 1009, 15_733)],
)
def test_wnut_2017(nlp: Language, name: str, posts: int, tokens: int) -> None:
    docs, report = read(real_corpus(name), nlp)
    assert (len(docs), report.tokens) == (posts, tokens)
    assert (report.schemes, report.repaired.count, report.comments) == (Counter(IOB2=1), 0, 0)


def test_groningen_meaning_bank(tmp_path: Path, nlp: Language) -> None:
    path = real_corpus("gmb/ner_dataset.csv")
    docs, report = read(path, nlp)
    assert (len(docs), report.tokens, report.entities.total()) == (7470, 163_651, 17_456)
    assert set(report.entities) == LABELS
    assert (report.schemes, report.repaired.count) == (Counter(IOB2=1), 0)
    # The copy that people download is latin-1.
    latin = write(tmp_path, path.read_bytes().decode("utf-8").encode("latin-1", "replace") + b",\xe9,NN,O\r\n", "l.csv")
    assert read_file(latin).encoding == "latin-1"
    assert len(read_file(latin).sentences) == 7470
