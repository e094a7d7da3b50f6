"""The command `annotate`: what it writes, whatever the workers, the batches and the format."""

import bz2
import csv
import gzip
import io
import json
import shutil
import sys
from contextlib import closing
from itertools import count

import pytest
import spacy
from spacy.tokens import DocBin
from support.batch_jobs import entities_of, rows_of, write_rows
from support.commands import run_command

from spacy_lstm_ner.batch import job, worker
from spacy_lstm_ner.batch.inputs import Chunk, open_source
from spacy_lstm_ner.batch.job import ENGINES, annotate
from spacy_lstm_ner.batch.worker import Annotator, Job, write_chunk


@pytest.mark.parametrize("workers, batch_size, part_rows", [(0, 256, 2000), (0, 1, 41), (2, 7, 50)])
def test_the_entities_are_those_of_one_process(
    model, texts, expected, tmp_path, workers, batch_size, part_rows, request
):
    if not workers:
        request.getfixturevalue("in_process")
    summary = annotate(texts, model, tmp_path, workers=workers, batch_size=batch_size, part_rows=part_rows)
    rows, bad = rows_of(tmp_path)
    assert [row["id"] for row in rows] == list(range(300)) and not bad
    assert [entities_of(row) for row in rows] == expected
    assert {row["model"] for row in rows} == {"en_pipeline 0.0.0"} and "text" not in rows[0]
    assert (summary.rows, summary.parts) == (300, -(-300 // part_rows)) and not summary.bad


def as_csv(path, texts):
    with path.open("w", newline="", encoding="utf8") as out:
        table = csv.writer(out)
        table.writerow(["key", "body"])
        table.writerows((f"k{number}", text) for number, text in enumerate(texts))


def as_tsv_gz(path, texts):
    with gzip.open(path, "wt", newline="", encoding="utf8") as out:
        table = csv.writer(out, delimiter="\t")
        table.writerow(["body", "key"])
        table.writerows((text, f"k{number}") for number, text in enumerate(texts))


def as_jsonl(path, texts, opened=open):
    with opened(path, "wt", encoding="utf8") as out:
        for number, text in enumerate(texts):
            out.write(json.dumps({"key": f"k{number}", "body": text}) + "\n" * (1 + number % 3))


def as_parquet(path, texts):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    table = pa.table({"key": [f"k{number}" for number in range(len(texts))], "body": texts, "other": [1] * len(texts)})
    pa.parquet.write_table(table, path, row_group_size=11)


WRITERS = {
    "a.csv": as_csv,
    "a.tsv.gz": as_tsv_gz,
    "a.jsonl": as_jsonl,
    "a.jsonl.gz": lambda path, texts: as_jsonl(path, texts, gzip.open),
    "a.ndjson.bz2": lambda path, texts: as_jsonl(path, texts, bz2.open),
    "a.parquet": as_parquet,
}
MIXED = ["I like London and Berlin.", 'two\nlines, "quoted"', "", "😀 Canada", "Who is Shaka Khan?"] * 5


@pytest.mark.parametrize("name", WRITERS)
def test_formats(model, tmp_path, name, in_process):
    WRITERS[name](tmp_path / name, MIXED)
    output = tmp_path / "out"
    options = {"columns": {"text": "body", "id": "key"}, "text": True, "workers": 1, "part_rows": 4}
    assert annotate(tmp_path / name, model, output, **options).rows == 25
    rows, bad = rows_of(output)
    assert [(row["id"], row["text"]) for row in rows] == [(f"k{n}", text) for n, text in enumerate(MIXED)] and not bad
    assert [row["text"][e["start"] : e["end"]] for row in rows[:1] for e in row["entities"]] == ["London", "Berlin"]


def test_a_folder_of_texts(model, tmp_path, in_process):
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "2.txt").write_bytes(b"I like London and Berlin.\r\n\nthe last")
    with gzip.open(folder / "1.txt.gz", "wb") as out:
        out.write("\ufeffWho is Shaka Khan?\n".encode())
    (folder / "_SUCCESS").touch()
    annotate([folder], model, tmp_path / "out", workers=1, text=True)
    rows, _ = rows_of(tmp_path / "out")
    assert [(row["id"], row["text"]) for row in rows] == [
        (f"{folder}/1.txt.gz:1", "Who is Shaka Khan?"),
        (f"{folder}/b/2.txt:1", "I like London and Berlin."),
        (f"{folder}/b/2.txt:2", ""),
        (f"{folder}/b/2.txt:3", "the last"),
    ]
    pattern = tmp_path / "by_pattern"
    annotate(str(folder / "**" / "*.txt"), model, pattern, workers=1)
    assert len(rows_of(pattern)[0]) == 3


def test_parquet_is_written(model, texts, expected, tmp_path, in_process):
    parquet = pytest.importorskip("pyarrow.parquet")
    annotate(texts, model, tmp_path, workers=1, output_format="parquet", text=True, part_rows=120)
    rows = [row for part in sorted(tmp_path.glob("part-*.parquet")) for row in parquet.read_table(part).to_pylist()]
    assert [entities_of(row) for row in rows] == expected
    assert rows[7]["id"] == "7" and rows[7]["text"] == "I like London and Berlin. 1"


def test_a_threshold_replaces_that_of_the_component(model, texts, tmp_path, in_process):
    annotate(texts, model, tmp_path, workers=1, threshold=1.0)
    assert not [entity for row in rows_of(tmp_path)[0] for entity in row["entities"] if entity["score"] < 1.0]


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_the_best_analyses_and_the_docs_are_written(model, texts, tmp_path, in_process, output_format):
    nlp = spacy.load(model)
    options = {"output_format": output_format, "n_best": 3, "docbin": True, "part_rows": 200}
    if output_format == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    annotate(texts, model, tmp_path, **options)
    if output_format == "parquet":
        parts = sorted(tmp_path.glob("part-*"))
        rows = [row for part in parts for row in parquet.read_table(part).to_pylist()]
    else:
        rows = rows_of(tmp_path)[0]
    docs = [
        doc for path in sorted(tmp_path.glob("docs-*.spacy")) for doc in DocBin().from_disk(path).get_docs(nlp.vocab)
    ]
    for row, doc in zip(rows, docs, strict=True):
        assert str(doc.user_data["id"]) == str(row["id"])
        assert entities_of(row) == [(e.start_char, e.end_char, e.label_, e._.lstm_ner_score) for e in doc.ents]
    for row, doc in zip(rows[:7], docs, strict=False):
        best = nlp.get_pipe("lstm_ner").n_best([nlp.make_doc(doc.text)], 3)[0]
        spans = [[(doc[a:b].start_char, doc[a:b].end_char, label) for a, b, label in ents] for ents, _ in best]
        found = row["alternatives"]
        assert [[(e["start"], e["end"], e["label"]) for e in one["entities"]] for one in found] == spans
        assert [one["probability"] for one in found] == [pytest.approx(p, abs=1e-5) for _, p in best]


@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_the_doubt_about_each_text_is_written(calibrated, tmp_path, in_process, output_format):
    path, nlp = write_rows(tmp_path / "in.jsonl", [{"text": text} for text in MIXED]), spacy.load(calibrated)
    options = {"output_format": output_format, "doubt": True, "batch_size": 7}
    if output_format == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    annotate(path, calibrated, tmp_path / "out", **options)
    rows = rows_of(tmp_path / "out")[0] or parquet.read_table(tmp_path / "out" / "part-0000000.parquet").to_pylist()
    found = [row["doubt"] for row in rows]
    assert found == [pytest.approx(doc._.lstm_ner_doubt, abs=1e-5) for doc in nlp.pipe(MIXED)]
    assert len(set(found)) > 3 and found[2] == 0.0


def test_the_doubt_needs_a_pipeline_that_was_calibrated_for_it(model, texts, tmp_path):
    output, code = run_command("annotate", model, texts, tmp_path / "out", "-w", 1, "--doubt")
    assert code == 1 and "with its training texts, found 0. Calibrate it" in " ".join(output.split())


def test_the_doubt_is_that_of_one_component(calibrated, tmp_path):
    nlp = spacy.load(calibrated)
    second = nlp.add_pipe("lstm_ner", name="second", source=spacy.load(calibrated))
    nlp.to_disk(tmp_path / "two")
    with pytest.raises(ValueError, match=r"found 2\. Set doubt_attr to null in the others, or leave out"):
        Annotator(Job(str(tmp_path / "two"), doubt=True))
    second.cfg["doubt_attr"] = None
    nlp.to_disk(tmp_path / "one")
    assert Annotator(Job(str(tmp_path / "one"), doubt=True)).doubt_attr == "lstm_ner_doubt"


def test_n_best_needs_one_component(model, texts, tmp_path):
    folder = tmp_path / "pipeline"
    spacy.blank("en").to_disk(folder)
    with pytest.raises(RuntimeError, match="expected one lstm_ner for n-best, found 0"):
        annotate(texts, folder, tmp_path / "out", workers=1, n_best=2)


def test_a_second_job_in_the_folder_is_refused(model, texts, tmp_path, monkeypatch):
    def second(*job):
        with pytest.raises(ValueError, match="another job with this folder runs"):
            annotate(texts, model, tmp_path)
        yield {"rows": 300, "words": 0, "bad": {}}

    monkeypatch.setitem(ENGINES, "local", second)
    assert annotate(texts, model, tmp_path).rows == 300


def test_a_table_of_arrow(model):
    pa = pytest.importorskip("pyarrow")
    annotator = Annotator(Job(str(model)))
    texts = pa.array(["I like London and Berlin.", None, "Canada"]).dictionary_encode()
    table = annotator.annotate_arrow(pa.table({"text": texts, "n": [1, 2, 3]}))
    assert table.column_names == ["text", "n", "entities", "model", "problem"]
    assert [row["entities"] and len(row["entities"]) for row in table.to_pylist()] == [2, None, 1]
    with pytest.raises(ValueError, match="expected no column 'entities' yet"):
        annotator.annotate_arrow(table)
    with pytest.raises(ValueError, match="expected a column 'text', found n"):
        annotator.annotate_arrow(table.select(["n"]))


@pytest.mark.parametrize("most, is_kept", [(-1, False), (50_000, True)])
def test_a_worker_that_knows_many_words_forgets_new_ones(model, tmp_path, monkeypatch, most, is_kept):
    monkeypatch.setattr(worker, "_WORDS", most)
    path = write_rows(tmp_path / "in.jsonl", [{"text": "Zzyzx"}])
    annotator = Annotator(Job(str(model), str(tmp_path), "jsonl"))
    with closing(open_source(str(path), "jsonl", {})) as source:
        assert write_chunk(annotator.job, annotator, source, Chunk(0, str(path), 0, 1, 1))["words"] == 1
    assert ("Zzyzx" in annotator.nlp.vocab.strings) == is_kept


def test_the_output_is_the_same_with_memory_zones(calibrated, tmp_path, in_process, monkeypatch):
    path = write_rows(tmp_path / "in.jsonl", [{"text": f"{text} {number}"} for number, text in enumerate(MIXED)])
    found = []
    for most in (50_000, -1):
        monkeypatch.setattr(worker, "_WORDS", most)
        output = tmp_path / str(most)
        annotate(path, calibrated, output, part_rows=4, n_best=2, doubt=True, docbin=True)
        docs = [DocBin().from_disk(name).get_docs(spacy.blank("en").vocab) for name in sorted(output.glob("docs-*"))]
        found.append((rows_of(output)[0], [doc.text for part in docs for doc in part]))
    assert found[0] == found[1] and len(found[0][1]) == 25


def test_data_of_another_kind_is_named(model):
    with pytest.raises(TypeError, match="expected a data set of Ray or a data frame of Spark, found str"):
        annotate("texts.jsonl", model)


@pytest.mark.parametrize("engine, package", [("ray", "ray"), ("spark", "pyspark")])
def test_an_engine_that_is_not_installed_is_named(model, texts, tmp_path, monkeypatch, engine, package):
    monkeypatch.setitem(sys.modules, package, None)
    output, code = run_command("annotate", model, texts, tmp_path / "out", "--engine", engine)
    assert (
        code == 1 and f"{package} is not installed; install the extra: pip install 'spacy-lstm-ner[{engine}]'" in output
    )


def test_the_command(model, texts, tmp_path):
    output, code = run_command("annotate", model, texts, tmp_path / "out", "-w", 1)
    assert code == 0 and "300 rows annotated in 1 parts" in output
    output, code = run_command("annotate", model, texts, tmp_path / "out", "-w", 1)
    assert code == 0 and "300 rows of them by earlier runs" in output


def test_an_interruption(model, texts, tmp_path, monkeypatch):
    def interrupted(*job):
        raise KeyboardInterrupt
        yield

    monkeypatch.setitem(ENGINES, "local", interrupted)
    output, code = run_command("annotate", model, texts, tmp_path / "out")
    assert code == 130 and "Interrupted: what is done stays" in output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["no-model", "{texts}", "out"], "no-model: expected the folder of a pipeline"),
        (["{model}", "no.jsonl", "out"], "no.jsonl: expected a file, a folder with files, or a pattern"),
        (["{model}", "empty.jsonl", "out"], "empty.jsonl: expected rows, found none"),
        (["{model}", "mixed", "out"], "expected files of one format, found csv"),
        (["{model}", "a.doc", "out"], "a.doc: expected a file that ends in .jsonl"),
        (["{model}", "a.csv", "out"], "a.csv: expected a column 'text', found a, b"),
        (["{model}", "broken.jsonl.gz", "out"], "broken.jsonl.gz: expected a whole compressed file"),
        (["{model}", "broken.parquet", "out"], "broken.parquet: expected a Parquet file"),
        (["{model}", "utf16.txt", "out"], "utf16.txt: expected a file in UTF-8, found UTF-16"),
        (["{model}", "{texts}", "mixed"], "mixed: expected a new folder, or one of this job, found other files"),
        (["{model}", "{texts}", "a.csv"], "a.csv: expected a folder for the output, found a file"),
        (["{model}", "mixed", "mixed", "-f", "csv"], "expected a folder for the output that no input is in"),
        (["{model}", "{texts}", "out", "--engine", "no"], "expected an engine among local, ray, spark, found 'no'"),
        (["{model}", "{texts}", "out", "-c", "words=a"], "expected columns for text and id, found one for 'words'"),
        (["{model}", "{texts}", "out", "-o", "xml"], "expected an output format among jsonl, parquet, found 'xml'"),
        (["{model}", "{texts}", "out", "-f", "xml"], "expected a format among auto"),
    ],
)
def test_wrong_use_is_named(arguments, message, model, texts, tmp_path, monkeypatch):
    if "broken.parquet" in arguments:
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixed").mkdir()
    for name in ("empty.jsonl", "mixed/a.csv", "mixed/a.jsonl", "a.doc"):
        (tmp_path / name).touch()
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", "utf8")
    (tmp_path / "broken.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n' * 9)[:-12])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "utf16.txt").write_text("Canada", "utf-16")
    output, code = run_command("annotate", *(a.format(model=model, texts=texts) for a in arguments))
    assert code == 1 and message in output and "Traceback" not in output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def package(model, tmp_path, monkeypatch):
    """The name of an installed package with a pipeline, as `spacy package` makes it."""
    meta = json.loads((model / "meta.json").read_text("utf8"))
    name = f"{meta['lang']}_{meta['name']}"
    folder, info = tmp_path / "site" / name, tmp_path / "site" / f"{name}-{meta['version']}.dist-info"
    shutil.copytree(model, folder / f"{name}-{meta['version']}")
    shutil.copy(model / "meta.json", folder)
    load = "from spacy.util import load_model_from_init_py\ndef load(**options):\n"
    (folder / "__init__.py").write_text(f"{load}    return load_model_from_init_py(__file__, **options)\n", "utf8")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {meta['version']}\n", "utf8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield name
    sys.modules.pop(name, None)


def test_an_installed_package(package, texts, expected, tmp_path):
    annotate(texts, package, tmp_path / "out", workers=1)
    assert [entities_of(row) for row in rows_of(tmp_path / "out")[0]] == expected
    pa = pytest.importorskip("pyarrow")
    annotated = Annotator(Job(package)).annotate_arrow(pa.table({"text": ["Canada"]}))
    assert annotated.num_rows == 1
    with pytest.raises(FileNotFoundError, match="spacy: expected the folder of a pipeline"):
        annotate(texts, "spacy", tmp_path / "no")


def test_identifiers_of_any_kind_are_in_the_docs(model, tmp_path, in_process):
    names = ["a", 7, 10**30, -(2**63), "\ud800", [1, {"a": 10**30}], 0.5, True]
    path = write_rows(tmp_path / "in.jsonl", [{"id": name, "text": "Canada"} for name in names])
    annotate(path, model, tmp_path / "out", docbin=True)
    docs = DocBin().from_disk(tmp_path / "out" / "docs-0000000.spacy").get_docs(spacy.blank("en").vocab)
    expected = ["a", 7, "1" + "0" * 30, -(2**63), r"\ud800", f'[1, {{"a": {10**30}}}]', 0.5, True]
    assert [doc.user_data["id"] for doc in docs] == expected
    assert [row["id"] for row in rows_of(tmp_path / "out")[0]] == names


def test_an_output_in_a_folder_of_the_input_is_refused_at_once(model, tmp_path, in_process):
    write_rows(tmp_path / "in.jsonl", [{"text": "Canada"}])
    with pytest.raises(ValueError, match="that is in no folder of the input"):
        annotate(tmp_path, model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_engine_that_leaves_chunks_out_is_an_error(model, texts, tmp_path, monkeypatch):
    done = {"rows": 100, "words": 0, "bad": {}}
    monkeypatch.setitem(ENGINES, "local", lambda *job: (done for _ in range(1)))
    with pytest.raises(RuntimeError, match="the engine ended after 100 of 300 rows"):
        annotate(texts, model, tmp_path, part_rows=100)


def test_the_progress(model, texts, tmp_path, monkeypatch):
    seconds = count(0, 60 * 60 * 12)
    monkeypatch.setattr(job.time, "monotonic", lambda: next(seconds))
    said = io.StringIO()
    done = {"rows": 100, "words": 43_200, "bad": {}}
    monkeypatch.setitem(ENGINES, "local", lambda *job: (dict(done) for _ in range(3)))
    annotate(texts, model, tmp_path, part_rows=100, progress=said)
    shown = [line.strip() for line in said.getvalue().split("\r") if line.strip()]
    assert shown == [
        "Reading the input, to cut it into parts",
        "100 of 300 rows, 1 words/s, 0 bad, 1 day, 0:00:00 left",
        "200 of 300 rows, 1 words/s, 0 bad, 12:00:00 left",
        "300 of 300 rows, 1 words/s, 0 bad, 0:00:00 left",
    ]
    assert {len(line) for line in said.getvalue().split("\r")} == {0, 78}
