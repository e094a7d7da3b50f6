"""Every format: small files in its published variants, with the entities in them, and files that are none of it."""

import json
import re

import pytest
import spacy
from support.data_files import read_file

from spacy_lstm_ner.data.annotated_file import CorpusError, ReadOptions
from spacy_lstm_ner.data.formats import FORMATS, WRITTEN
from spacy_lstm_ner.data.reader import ReadReport, read_docs
from spacy_lstm_ner.data.span_policy import SpanPolicy

IDA = [("Ida Moe", "PER"), ("Rome", "LOC")]
TEXT = "Ida Moe left Rome."
SPANS = [[0, 7, "PER"], [13, 17, "LOC"]]
OBJECTS = [{"start": start, "end": end, "label": label} for start, end, label in SPANS]
REGIONS = [
    {"value": {**span, "text": TEXT[span["start"] : span["end"]], "labels": [span["label"]]}} for span in OBJECTS
]
WORDS = ["Ida", "Moe", "left", "Rome"]
TAGS = ["B-PER", "I-PER", "O", "B-LOC"]
PAIRS = list(zip(WORDS, TAGS, strict=True))
VALUES = [region["value"] for region in REGIONS]
TASK = {"data": {"text": TEXT}, "annotations": [{"result": REGIONS}]}
OLD_TASK = {"data": {"body": TEXT}, "completions": [{"result": REGIONS}]}
DOCCANO = [{"start_offset": start, "end_offset": end, "label": label} for start, end, label in SPANS]
POINTS = [{"label": [label], "points": [{"start": s, "end": e - 1, "text": TEXT[s:e]}]} for s, e, label in SPANS]
OTHER = [{"begin": start, "stop": end, "type": label} for start, end, label in SPANS]
BILUO = zip([*WORDS, "."], ["B-PER", "L-PER", "O", "U-LOC", "O"], strict=True)
TOKENS = [{"orth": word, "ner": tag} for word, tag in BILUO]
CONLL_2003 = "-DOCSTART- -X- -X- O\n\nIda NNP I-NP I-PER\nMoe NNP I-NP I-PER\nleft V O O\nRome N O I-LOC\n"
OFFSETS = f"doc_id\tcontent\tbegin\tstop\ttype\n7\t{TEXT}\t0\t7\tPER\n7\t{TEXT}\t13\t17\tLOC\n"
PUBTATOR = "7|t|Ida Moe\n7|a|left Rome.\n7\t0\t7\tIda Moe\tPER\tP1\n7\t13\t17\tRome\tLOC\tL1\n7\tin\tP1\tL1\n"


def columns(tags, separator="\t", before=""):
    return before + "".join(f"{word}{separator}{tag}\n" for word, tag in zip(WORDS, tags, strict=True))


def conllu(key):
    rows = (f"{k}\t{w}\t_\tX\t_\t_\t0\troot\t_\t{key}={t}" for k, (w, t) in enumerate(zip(WORDS, TAGS, strict=True), 1))
    return "# sent_id = 1\n# text = Ida Moe left Rome\n" + "\n".join(rows) + "\n"


def rows_2012():
    cells = ["(PER*", "*)", "*", "(LOC)"]
    rows = (f"bc/x 0 {k} {w} NN * - - - - {c} -" for k, (w, c) in enumerate(zip(WORDS, cells, strict=True)))
    return "#begin document (bc/x); part 000\n" + "\n".join(rows) + "\n\n#end document\n"


def webanno(cells, header="#T_SP=webanno.custom.NamedEntity|identifier|value"):
    rows = "".join(
        f"1-{k}\t{start}-{start + len(word)}\t{word}\t{cell}\t\n"
        for k, (word, start, cell) in enumerate(zip([*WORDS, "."], [0, 4, 8, 13, 17], cells, strict=True), 1)
    )
    return f"#FORMAT=WebAnno TSV 3.2\n{header}\n\n\n#Text={TEXT}\n{rows}"


FILES = {
    "conll tabs": ("a.conll", columns(TAGS), "conll"),
    "conll-2003": ("a.txt", CONLL_2003, "conll"),
    "conll-2002": ("esp.train", "Ida NC B-PER\nMoe NC I-PER\nleft V O\nRome NP B-LOC\n", "conll"),
    "biluo": ("a.iob", columns(["B-PER", "L-PER", "O", "U-LOC"]), "conll"),
    "bmes": ("a.txt", columns(["B-PER", "E-PER", "O", "S-LOC"]), "conll"),
    "bmes, three words": ("a.txt", "Ida B-PER\nvon M-PER\nMoe E-PER\n", "conll"),
    "underscores": ("a.txt", columns(["B_PER", "I_PER", "O", "B_LOC"]), "conll"),
    "suffixes": ("a.txt", columns(["PER-B", "PER-I", "O", "LOC-B"]), "conll"),
    "suffixes, underscores": ("a.txt", columns(["PER_B", "PER_I", "O", "LOC_B"]), "conll"),
    "lower case": ("a.txt", columns(["b-PER", "i-PER", "o", "b-LOC"]), "conll"),
    "io": ("a.txt", columns(["PER", "PER", "O", "LOC"], " "), "conll"),
    "trailing tab": ("a.tsv", columns([f"{tag}\t" for tag in TAGS]), "conll"),
    "multiconer": ("a.conll", columns(TAGS, " _ _ ", "# id 4a2f\tdomain=train\n"), "conll"),
    "comment with other columns": ("a.tsv", columns(TAGS, before="#\thttp://x.org\t[2010]\n"), "conll"),
    "conllu name": ("a.conllu", conllu("name"), "conllu"),
    "conllu NER": ("a.txt", conllu("NER"), "conllu"),
    "conll-2012": ("a.gold_conll", rows_2012(), "conll2012"),
    "bars": ("a.iob", "Ida|B-PER Moe|I-PER left|O Rome|B-LOC\n", "word-tag"),
    "bars, parts of speech": ("a.txt", "Ida|NNP|B-PER Moe|NNP|I-PER left|VBD|O Rome|NNP|B-LOC\n", "word-tag"),
    "csv": ("a.csv", "Sentence #,Word,Tag\n1," + "\n1,".join(map(",".join, zip(WORDS, TAGS, strict=True))), "csv"),
    "csv, other names": ("a.csv", "sent_id;token;ner\n" + "".join(f"1;{word};{tag}\n" for word, tag in PAIRS), "csv"),
    "offsets": ("a.csv", f"text,start,end,label\n{TEXT},0,7,PER\n{TEXT},13,17,LOC\n", "csv-offsets"),
    "offsets, tabs": ("a.tsv", OFFSETS, "csv-offsets"),
    "inline": ("a.txt", "[Ida Moe](PER) left [Rome](LOC).\n", "inline"),
    "doccano label": ("a.jsonl", json.dumps({"id": 1, "text": TEXT, "label": SPANS}), "doccano"),
    "doccano labels": ("a.jsonl", json.dumps({"id": 1, "text": TEXT, "labels": SPANS}), "doccano"),
    "doccano data": ("a.jsonl", json.dumps({"id": 1, "data": TEXT, "label": SPANS}), "doccano"),
    "doccano entities": (
        "a.jsonl",
        json.dumps({"text": TEXT, "entities": DOCCANO, "relations": []}),
        "doccano",
    ),
    "prodigy": (
        "a.jsonl",
        json.dumps({"text": TEXT, "spans": OBJECTS, "answer": "accept", "_view_id": "ner_manual"}),
        "prodigy",
    ),
    "prodigy without answer": ("a.jsonl", json.dumps({"text": TEXT, "spans": OBJECTS}), "prodigy"),
    "label studio": ("a.json", json.dumps([TASK], indent=2), "label-studio"),
    "label studio, old": ("a.json", json.dumps([OLD_TASK]), "label-studio"),
    "label studio min": (
        "a.json",
        json.dumps([{"id": 1, "text": TEXT, "ner": VALUES, "annotator": 1}]),
        "label-studio",
    ),
    "dataturks": (
        "a.json",
        json.dumps({"content": TEXT, "annotation": POINTS}),
        "dataturks",
    ),
    "train data": ("a.json", json.dumps([[TEXT, {"entities": SPANS}]], indent=1), "train-data"),
    "train data, one line": ("a.json", json.dumps([[TEXT, {"entities": SPANS}]]), "train-data"),
    "train data, lines": ("a.jsonl", json.dumps([TEXT, {"entities": SPANS}]), "train-data"),
    "train data, classes": (
        "a.json",
        json.dumps({"classes": ["PER"], "annotations": [[TEXT, {"entities": SPANS}], None]}),
        "train-data",
    ),
    "train data, python": ("a.py", f"# data\nDATA = [({TEXT!r}, {{'entities': {SPANS!r}}})]\n", "train-data"),
    "spacy v2": (
        "a.json",
        json.dumps([{"id": 0, "paragraphs": [{"raw": TEXT, "sentences": [{"tokens": TOKENS}]}]}]),
        "spacy-json",
    ),
    "doc to_json": ("a.json", json.dumps({"text": TEXT, "ents": OBJECTS, "tokens": []}), "spacy-json"),
    "hugging face": ("a.jsonl", json.dumps({"tokens": WORDS, "ner_tags": TAGS}), "huggingface"),
    "other json": ("a.json", json.dumps([{"content": TEXT, "annotations": OTHER}]), "json"),
    "pubtator": ("a.txt", PUBTATOR, "pubtator"),
    "webanno": ("a.tsv", webanno(["*[1]\tPER[1]", "*[1]\tPER[1]", "_\t_", "*\tLOC", "_\t_"]), "webanno"),
    "webanno, stacked": (
        "a.tsv",
        webanno(["*[1]\tPER[1]", "*[1]|*[2]\tPER[1]|*[2]", "_\t_", "*\tLOC", "_\t_"]),
        "webanno",
    ),
}


def entities(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def read(path, **options):
    report = ReadReport()
    return list(read_docs(path, spacy.blank("en"), report=report, **options)), report


def written(folder, name, text):
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.parametrize("name", FILES)
def test_variants_are_recognized_and_read(tmp_path, name):
    file, text, format = FILES[name]
    docs, report = read(written(tmp_path, file, text))
    assert list(report.formats) == [format]
    expected = [("Ida von Moe", "PER")] if "three" in name else IDA
    assert [pair for doc in docs for pair in entities(doc)] == expected
    assert report.problems.lost() == 0


@pytest.mark.parametrize("name", FILES)
def test_variants_are_read_in_utf_16(tmp_path, name):
    file, text, _ = FILES[name]
    path = tmp_path / file
    path.write_bytes(text.encode("utf-16"))
    docs, _ = read(path)
    assert sum(len(doc.ents) for doc in docs) == (1 if "three" in name else 2)


def test_brat(tmp_path):
    written(tmp_path, "a.txt", "Ida Moe left Rome, Nord and Sud Ulm.\r\n")
    path = written(
        tmp_path,
        "a.ann",
        "T1\tPER 0 7\tIda Moe\nT2\tLOC 13 17\tRome\nT3\tLOC 19 23;32 35\tNord Ulm\nR1\tin Arg1:T1 Arg2:T2\n",
    )
    docs, report = read(tmp_path)
    assert entities(docs[0]) == IDA and report.skipped == {"annotations that are no spans": 1}
    assert report.problems.found["discontinuous"].examples == [f"{path}:1: LOC 'Nord and Sud Ulm'"]
    assert [token.text for token in docs[0] if not token.ent_iob] == ["Nord", "Ulm"]
    for policy, text in (("expand", "Nord and Sud Ulm"), ("contract", "Nord")):
        docs, report = read(tmp_path, policy=SpanPolicy(misaligned=policy))
        assert entities(docs[0]) == [*IDA, (text, "LOC")] and report.problems.lost() == 0
    with pytest.raises(ValueError, match=r"a\.ann:1: entities have gaps"):
        read(tmp_path, policy=SpanPolicy(misaligned="error"))


def test_running_numbers_need_columns(tmp_path):
    rows = zip(WORDS, TAGS, ["O", "B-LOC", "O", "O"], strict=True)
    path = written(tmp_path, "a.tsv", "".join(f"{k}\t{w}\t{a}\t{b}\n" for k, (w, a, b) in enumerate(rows, 1)))
    with pytest.raises(CorpusError, match="running numbers; the columns with tags are: 3 and 4"):
        read(path)
    docs, _ = read(path, options=ReadOptions(columns={"word": "2", "tag": "3"}))
    assert entities(docs[0]) == IDA
    docs, report = read(path, options=ReadOptions(columns={"word": "2", "tag": "3+4"}))
    assert entities(docs[0]) == IDA and report.problems.found["overlapping"].count == 1
    with pytest.raises(CorpusError, match="expected columns from 1 to 4, found word=9"):
        read(path, options=ReadOptions(columns={"word": "9"}))


def test_two_entities_at_one_word(tmp_path):
    path = written(tmp_path, "a.conll", "Ida\tB-PER|B-ORG\nMoe\tI-PER\nran\tO\n")
    (record,) = read_file(path).sentences
    assert [(span.start, span.end, span.label) for span in record.spans] == [(0, 3, "ORG"), (0, 7, "PER")]
    docs, report = read(path)
    assert entities(docs[0]) == [("Ida Moe", "PER")] and report.problems.found["overlapping"].count == 1


def test_missing_tags(tmp_path):
    docs, _ = read(written(tmp_path, "a.conll", "Ida\tB-PER\nMoe\t-\nran\tO\n"))
    assert [token.ent_iob_ for token in docs[0]] == ["B", "", "O"]


def test_conllu_spaces(tmp_path):
    rows = ["1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_", "1\tde\t_\t_\t_\t_\t_\t_\t_\tname=O|SpaceAfter=No"]
    rows += ["2\tel\t_\t_\t_\t_\t_\t_\t_\tname=O", "3\tRome\t_\t_\t_\t_\t_\t_\t_\tname=B-LOC|SpaceAfter=No"]
    rows += ["3.1\tx\t_\t_\t_\t_\t_\t_\t_\t_", "4\t.\t_\t_\t_\t_\t_\t_\t_\tname=O"]
    docs, _ = read(written(tmp_path, "a.conllu", "\n".join(rows) + "\n"))
    assert docs[0].text == "deel Rome." and entities(docs[0]) == [("Rome", "LOC")]
    with pytest.raises(CorpusError, match=r"found the keys: kind.*--columns tag=KEY"):
        read(written(tmp_path, "b.conllu", "1\tRome\t_\t_\t_\t_\t_\t_\t_\tkind=B-LOC\n"))


def test_prodigy_answers(tmp_path):
    tasks = [("accept", "ner"), ("reject", "ner"), ("ignore", "ner_manual"), ("reject", "ner_manual")]
    lines = [json.dumps({"text": TEXT, "spans": OBJECTS[1:], "answer": a, "_view_id": v}) for a, v in tasks]
    docs, report = read(written(tmp_path, "a.jsonl", "\n".join(lines)))
    assert report.skipped == {"ignored tasks": 1}
    assert [entities(doc) for doc in docs] == [[("Rome", "LOC")], [], []]
    assert {token.ent_iob_ for doc in docs for token in doc} == {"", "B"}
    assert [[(span.text, span.label_) for span in doc.spans.get("incorrect_spans", [])] for doc in docs] == [
        [],
        [("Rome", "LOC")],
        [("Rome", "LOC")],
    ]


@pytest.mark.parametrize("start", [8, 7, 6])
def test_label_studio_counts_in_several_ways(tmp_path, start):
    # UTF-16 code units; characters; and characters with a line end of one.
    value = {"start": start, "end": start + 4, "text": "Rome", "labels": ["LOC"]}
    done = [{"was_cancelled": True, "result": []}, {"result": [{"value": value}, {"type": "choices", "value": {}}]}]
    tasks = [
        {"data": {"text": "So 🎵.\r\nRome"}, "annotations": done + done[1:]},
        {"data": {"text": "x"}, "annotations": []},
    ]
    docs, report = read(written(tmp_path, "a.json", json.dumps(tasks)))
    assert [entities(doc) for doc in docs] == [[("Rome", "LOC")]]
    assert report.skipped == {
        "cancelled annotations": 1,
        "further annotations of a text": 1,
        "results that are no labels of text": 1,
        "tasks without annotation": 1,
    }


def test_numbers_of_tags_need_names(tmp_path):
    path = written(tmp_path, "a.jsonl", json.dumps({"tokens": WORDS, "ner_tags": [1, 2, 0, 3]}))
    with pytest.raises(CorpusError, match=r"numbers without names\. Name them in order with --names"):
        read(path)
    docs, _ = read(path, options=ReadOptions(names=["O", "B-PER", "I-PER", "B-LOC"]))
    assert entities(docs[0]) == IDA
    with pytest.raises(CorpusError, match="expected numbers of tags below 2, found 2"):
        read(path, options=ReadOptions(names=["O", "B-PER"]))


def test_parquet_and_data_sets(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    names = ["O", "B-PER", "I-PER", "B-LOC"]
    features = {
        "info": {"features": {"ner_tags": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}}}
    }
    table = pa.table({"tokens": [WORDS], "ner_tags": [[1, 2, 0, 3]]}).replace_schema_metadata(
        {"huggingface": json.dumps(features)}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "dataset_info.json").write_text("{}")
    (saved / "state.json").write_text("{}")
    with pa.ipc.new_stream(str(saved / "data-00000-of-00001.arrow"), table.schema) as out:
        out.write_table(table)
    pq.write_table(pa.table({"text": [TEXT], "spans": [OBJECTS]}), tmp_path / "b.parquet")
    for path in (tmp_path / "a.parquet", saved, tmp_path / "b.parquet"):
        docs, _ = read(path)
        assert [entities(doc) for doc in docs] == [IDA]
    broken = written(tmp_path, "c.parquet", "PAR1 and more")
    with pytest.raises(CorpusError, match="expected a Parquet or Arrow file"):
        read(broken)


def test_bioc(tmp_path):
    pytest.importorskip("bioc")
    from bioc import biocjson, biocxml

    def annotation(label, *limits):
        places = "".join(f'<location offset="{start}" length="{end - start}"/>' for start, end in limits)
        text = " ".join(TEXT[start:end] for start, end in limits)
        return f'<annotation id="1"><infon key="type">{label}</infon>{places}<text>{text}</text></annotation>'

    title = f"<passage><offset>0</offset><text>Ida Moe</text>{annotation('PER', (0, 7))}</passage>"
    inner = f"<sentence><offset>8</offset><text>left Rome.</text>{annotation('LOC', (13, 17))}</sentence>"
    inner += annotation("X", (0, 3), (8, 12))
    rest = f"<passage><offset>8</offset>{inner}</passage>"
    head = "<source>a</source><date>b</date><key>c</key>"
    xml = f'<?xml version="1.0"?><collection>{head}<document><id>7</id>{title}{rest}</document></collection>'
    path = written(tmp_path, "a.xml", xml)
    other = written(tmp_path, "a.json", biocjson.dumps(biocxml.loads(xml)))
    for source in (path, other):
        docs, report = read(source)
        assert (docs[0].text, entities(docs[0])) == (TEXT, IDA)
        assert report.formats == {"bioc": 1} and report.problems.found["discontinuous"].count == 1
    with pytest.raises(CorpusError, match="expected a BioC collection, found"):
        read(written(tmp_path, "b.xml", xml[:200]), format="bioc")
    with pytest.raises(CorpusError, match="expected the offset 7 or a higher one, found 6"):
        read(written(tmp_path, "b.xml", xml.replace("<offset>8<", "<offset>6<")), format="bioc")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "All of this is prose.\nNo annotation here.\n", "none comes near. Give the format with --format"),
        ("a.dat", "Ida\tPERSON\nleft\tNONE\n", "conll comes nearest"),
        ("a.json", '{"text": "Ida left.", "marks": [{"a": 0, "z": 3}]}', "json comes nearest"),
        ("a.jsonl", '{"name": "Ida"}\n', "expected annotated text in a known format"),
        ("a.txt", "T1\tPER 0 3\tIda\n", "brat comes nearest"),
    ],
)
def test_unknown_text_is_refused(tmp_path, name, text, message):
    path = written(tmp_path, name, text)
    with pytest.raises(ValueError, match="expected annotated text in a known format") as error:
        read(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_other_names_of_fields(tmp_path):
    path = written(tmp_path, "a.json", json.dumps({"body": TEXT, "marks": [{"a": 0, "z": 7, "kind": "PER"}]}))
    names = {"text": "body", "spans": "marks", "start": "a", "end": "z", "label": "kind"}
    docs, _ = read(path, format="json", options=ReadOptions(columns=names))
    assert entities(docs[0]) == IDA[:1]


BROKEN = [
    ("doccano", '{"text": "a", "label": [[0, "x", "A"]]}', "expected a whole number as the limit of a span, found 'x'"),
    ("doccano", '{"text": 3, "label": []}', "expected a field 'text' of type str, found 3"),
    ("doccano", '{"text": "a", "label": []}\n{"text"', "expected JSON"),
    ("prodigy", '{"text": "a", "answer": "maybe"}', "expected the answer accept, reject or ignore"),
    (
        "label-studio",
        '[{"data": {"text": "a"}, "annotations": [{"result": 4}]}]',
        "record 1: expected a field 'result'",
    ),
    ("train-data", '[["a", {"entities": [[0]]}]]', "expected a span as"),
    (
        "webanno",
        "#FORMAT=WebAnno TSV 3.2\n#T_SP=a.X|v\n#T_SP=a.Y|v\n\n#Text=a\n1-1\t0-1\ta\tP\tQ\n",
        "found the layers X|v, Y|v",
    ),
    ("pubtator", "1|t|a\n1\t0\t1\n", "expected the columns id, start, end, text and type"),
    ("conll2012", "#begin document (x); part 0\nx 0 0 a N * - - - - (P* -\n\n", "expected the end of the entity P"),
    ("word-tag", "a|B-X b\n", "expected a word with a tag after a bar, found b"),
    ("csv-offsets", "text,start,end\na,0,1\n", "found none for label. Name it with --columns label=NAME"),
    ("csv-offsets", "text,start,end,label\na,x,1,P\n", "expected whole numbers"),
]


@pytest.mark.parametrize(("format", "text", "problem"), BROKEN)
def test_broken_files_are_refused_with_their_place(tmp_path, format, text, problem):
    assert format in FORMATS
    path = written(tmp_path, "a", text)
    with pytest.raises(CorpusError) as error:
        read(path, format=format)
    assert problem in str(error.value) and str(error.value).startswith(f"{path}:")


def test_the_table_of_the_documentation_has_all_formats(root):
    page = (root / "docs" / "formats.md").read_text("utf-8").partition("## Columns")[0]
    rows = [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in page.splitlines() if line.startswith("| `")]
    assert {row[0].strip("`") for row in rows if row[2] == "yes"} == set(FORMATS)
    assert {row[0].strip("`") for row in rows if row[4] == "yes"} == set(WRITTEN)
