"""The engines `ray` and `spark`: the same output as `local`, also if processes die; columns for their data sets."""

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.batch_jobs import POISON_ROWS, entities_of, poisoned, rows_of, write_rows
from support.commands import run_command

from spacy_lstm_ner.batch.job import annotate
from spacy_lstm_ner.ray_cluster import connected
from spacy_lstm_ner.threads import ONE_THREAD_ENV


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, once for all tests."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    with connected(None, 2):
        yield ray


@pytest.fixture(scope="module")
def spark():
    """Spark on this machine, once for all tests."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Java is not installed")
    os.environ.update(SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=sys.executable, **ONE_THREAD_ENV)
    session = sql.SparkSession.builder.master("local[1,4]").config("spark.ui.enabled", "false").getOrCreate()
    yield session
    session.stop()


@pytest.mark.parametrize("engine", ["ray", "spark"])
def test_poison_and_a_process_that_is_killed(model, texts, expected, tmp_path, engine, request):
    request.getfixturevalue(engine)
    folder, code = poisoned(model, tmp_path)
    good = [json.loads(line) for line in texts.open(encoding="utf8")]
    # The process of the engine that has this text is killed, the first time. The row is good.
    good.append({"id": 300, "text": f"parent {tmp_path / 'killed'}"})
    # Time limits are a matter of the worker, which is that of the engine `local`.
    poison = [own for own in POISON_ROWS if own[0] != "out of time"]
    rows = [*good, good[0], *(row for _, row in poison)]
    path = write_rows(tmp_path / "in.jsonl", rows)
    options = {"workers": 1, "part_rows": 160, "batch_size": 7}
    with ThreadPoolExecutor(1) as thread:  # The session of Spark is that of another thread.
        job = thread.submit(annotate, path, folder, tmp_path / "out", engine=engine, code=code, **options)
        summary = job.result()
    assert (tmp_path / "killed").exists()
    found, bad = rows_of(tmp_path / "out")
    assert [row["id"] for row in found] == [*range(301), 0]
    assert [entities_of(row) for row in [*found[:300], found[301]]] == [*expected, expected[0]]
    assert [row["reason"].partition(":")[0] for row in bad] == [kind for kind, _ in poison]
    assert (summary.rows, summary.parts, sum(summary.bad.values())) == (len(rows), 2, len(poison))


MIXED = ["I like London and Berlin.", None, "Who is Shaka Khan?", "raise", "", "😀 Canada"]


def check_rows(rows, model):
    import spacy

    rows = sorted(rows, key=lambda row: row["key"])
    assert [row["body"] for row in rows] == MIXED
    problems = [(row["problem"] or "").partition(":")[0] for row in rows]
    assert problems == ["", "null", "", "error", "", ""]
    nlp = spacy.load(model)
    for row in rows:
        if row["problem"] is None:
            doc = nlp(row["body"])
            assert entities_of(row) == [
                (e.start_char, e.end_char, e.label_, pytest.approx(e._.lstm_ner_score, abs=1e-5)) for e in doc.ents
            ]
            assert row["doubt"] == pytest.approx(doc._.lstm_ner_doubt, abs=1e-5)
            assert row["alternatives"][0]["probability"] > 0 and row["model"] == "en_pipeline 0.0.0"
        else:
            assert row["entities"] is None and row["doubt"] is None


OPTIONS = {"columns": {"text": "body"}, "batch_size": 2, "n_best": 2, "doubt": True}
ROWS = [{"key": key, "body": text} for key, text in enumerate(MIXED)]


def test_a_data_set_of_ray(calibrated, tmp_path, ray):
    pytest.importorskip("ray.data")
    folder, code = poisoned(calibrated, tmp_path)
    data = ray.data.from_items(ROWS, override_num_blocks=2)
    check_rows(annotate(data, folder, code=code, workers=1, **OPTIONS).take_all(), calibrated)


def test_weights_from_rays_store_are_read_only(model, ray):
    import spacy

    nlp = spacy.load(model)
    shared = ray.get(ray.put(nlp))
    nodes = shared.get_pipe("lstm_ner").model.walk()
    weights = [node.get_param(name) for node in nodes for name in node.param_names]
    assert sum(not values.flags.writeable for values in weights) > len(weights) / 2
    docs = [one("I like London and Berlin.") for one in (nlp, shared)]
    assert docs[0].to_json() == docs[1].to_json() and len(docs[0].ents) == 2


def test_more_workers_than_a_cluster_has(model, texts, tmp_path, ray):
    with pytest.raises(ValueError, match="expected at most 2 workers, as many as the cluster has cores, found 3"):
        annotate(texts, model, tmp_path, engine="ray", workers=3)


def test_a_cluster_without_cores(model, texts, tmp_path, ray, monkeypatch):
    monkeypatch.setattr(ray, "cluster_resources", dict)
    with pytest.raises(ValueError, match="expected at most 0 workers, as many as the cluster has cores, found 1"):
        annotate(texts, model, tmp_path, engine="ray")


def test_ray_listens_to_this_machine_only(ray):
    assert ray.util.get_node_ip_address() == "127.0.0.1" and ray.cluster_resources()["CPU"] == 2
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in os.environ


def test_another_address_than_that_of_the_connection(model, texts, tmp_path, ray):
    with pytest.raises(ValueError, match="this process is connected to Ray already, found auto"):
        annotate(texts, model, tmp_path, engine="ray", address="auto")


def test_a_data_frame_of_spark(calibrated, tmp_path, spark):
    folder, code = poisoned(calibrated, tmp_path)
    frame = spark.createDataFrame(ROWS, "key int, body string").coalesce(1)
    found = annotate(frame, folder, code=str(code), **OPTIONS)
    check_rows([row.asDict(recursive=True) for row in found.collect()], calibrated)


def test_another_master_than_that_of_the_session(model, texts, tmp_path, spark):
    with pytest.raises(ValueError, match=r"expected local\[3\], found a session with the master local\[1,4\]"):
        annotate(texts, model, tmp_path, engine="spark", address="local[3]")
    assert spark.range(1).count() == 1


@pytest.mark.parametrize(
    "engine, address, error",
    [
        ("ray", "localhost:1", "expected a Ray cluster at localhost:1, found none"),
        ("ray", "localhost:99999999999", "found none"),
        (
            "spark",
            "spark://localhost:1,localhost:2",
            "master of Spark at localhost:1,localhost:2, found none",
        ),
        ("spark", "localhost:7077", "expected a master of Spark such as spark://HOST:7077, found 'localhost:7077'"),
    ],
)
def test_a_wrong_address(engine, address, error, model, texts, tmp_path):
    pytest.importorskip({"ray": "ray", "spark": "pyspark"}[engine])
    output, code = run_command("annotate", model, texts, tmp_path / "out", "--engine", engine, "--address", address)
    assert code == 1 and error in output
