"""The parts of the benchmark of accuracy that need no training."""

import multiprocessing
import sys

import pytest
import spacy
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from thinc.api import Config

import corpora
from campaign import command, report, runs, store, summary
from campaign.entities import Entity, by_familiarity, by_type, gold_entities, out_of_domain, score
from campaign.rows import ABLATION, SPACY, Row, Run, has_vectors, plan, rows
from documents import fill
from training import SCORES, LogReader, seconds_until, shorten, train

RESULTS = "accuracy.jsonl"
OURS = ("default", "vectors", "accuracy", "classic")


@pytest.fixture(scope="module")
def configs(root):
    """The configs of all systems; for spaCy's only what is read of it here."""
    found = {name: dict(Config().from_disk(root / "configs" / f"{name}.cfg", interpolate=False)) for name in OURS}
    embed = {"include_static_vectors": False}
    found[SPACY] = {
        "components": {"tok2vec": {"model": {"embed": embed}}},
        "corpora": {"dev": {"gold_preproc": False}},
        "training": {"max_steps": 20000, "eval_frequency": 200, "optimizer": {"learn_rate": 0.001}},
    }
    return found


def entity(start, label, text, doc=0):
    return Entity(doc, start, start + len(text.split()), label, text)


# The log of `spacy train`


def test_evaluations_are_found_in_the_log_of_either_system():
    ours = "E    #       LOSS LSTM_NER  ENTS_F  ENTS_P  ENTS_TOKEN...  SCORE \n---  ------  ---\n"
    ours += "  0       0        3351.80    0.00    1.00    83.25    0.00\n"
    ours += "  1     100        113395.42   48.07   3.00  9.0    0.48\n"
    theirs = "E    #       LOSS TOK2VEC  LOSS NER  ENTS_F  ENTS_P  ENTS_R  SCORE \n"
    theirs += "  0     200        1.30   2262.34   41.50    2.00    3.00    0.41\nsaved 3 4 5 6 7 8 9\n"
    for log, expected in ((ours, [(0, 0.0), (100, 48.07)]), (theirs, [(200, 41.5)])):
        reader = LogReader()
        assert [found for line in log.splitlines() if (found := reader.read(line)) is not None] == expected


def test_nothing_is_an_evaluation_before_the_header():
    assert LogReader().read("  0     200     1.30   2262.34   41.50    2.00    3.00    0.41") is None


def test_seconds_until():
    evaluations = [(1.0, 10.0), (2.0, 30.0), (3.0, 20.0)]
    assert [seconds_until(f, evaluations) for f in (5.0, 20.0, 31.0)] == [1.0, 2.0, None]


def test_failed_training_shows_its_log(tmp_path):
    with pytest.raises(RuntimeError, match=r"nothing\.cfg"):
        train(tmp_path / "nothing.cfg", tmp_path / "output", {}, echo=False)


# Rows and runs


def test_each_training_is_planned_once_and_seed_by_seed(configs):
    planned = list(plan(rows(), configs, range(2)))
    assert len({run.fingerprint for run in planned}) == len(planned)
    assert [run.seed for run in planned] == sorted(run.seed for run in planned)
    ids = {run.id for run in planned}
    assert {
        "main/conll03/default/0",
        "main/gmb/classic/1",
        "curve/1-glove/spacy/0",
        "ablation/cell: GRU/default/1",
    } <= ids
    # The whole curve, the base, and values that the base has already, are rows above under another name.
    assert not [name for name in ids if name.startswith(("curve/100", "ablation/base", "ablation/layers: 1/default"))]


@pytest.mark.parametrize("factor", ABLATION)
def test_variants_of_the_ablation_are_configs_that_can_be_built(factor, configs):
    """And every factor changes something in every base."""
    variants = [row for row in rows() if row.group == "ablation" and row.name.startswith(f"{factor}: ")]
    assert len(variants) == len(ABLATION[factor])
    changed = set()
    for run in plan(variants, configs, [0]):
        spacy.registry.resolve({"model": Config(run.config["components"]["lstm_ner"]["model"])})
        if run.config != configs[run.system]:
            changed.add(run.system)
    assert changed == set(variants[0].systems)


def test_names_of_only():
    named = command.chosen(rows(), ["main/conll03", "ablation/cell"])
    assert {row.group for row in named} == {"main", "ablation"} and len(named) == 5
    assert len(command.chosen(rows(), ["curve"])) == 12 and command.chosen(rows(), None) == rows()
    with pytest.raises(ValueError, match="--only main/conll04: there is no such row"):
        command.chosen(rows(), ["main", "main/conll04"])


def test_vectors_are_asked_for_where_the_config_has_some(configs):
    glove = next(row for row in rows() if row.name == "conll03-glove")
    assert all(has_vectors(run.config) for run in plan([glove], configs, [0]))
    without = [row for row in rows() if row.name in ("conll03", "vectors: none")]
    assert len(without) == 2 and not any(has_vectors(run.config) for run in plan(without, configs, [0]))
    assert not configs[SPACY]["components"]["tok2vec"]["model"]["embed"]["include_static_vectors"]


def test_short_trials_are_runs_of_their_own(configs):
    row = rows()[:1]
    short, full = next(plan(row, configs, [0], steps=5)), next(plan(row, configs, [0]))
    assert short.fingerprint != full.fingerprint and short.id == full.id
    training = Config(short.config).interpolate()["training"]
    assert training["max_steps"] == training["eval_frequency"] == 5
    assert training["optimizer"]["learn_rate"]["total_steps"] == 5
    theirs = {"max_steps": 20000, "eval_frequency": 200, "optimizer": {"learn_rate": {}}}
    theirs["optimizer"]["learn_rate"] = {"warmup_steps": 250, "total_steps": 20000, "initial_rate": 5e-5}
    shorten(theirs, 400)
    assert theirs["optimizer"]["learn_rate"] == {"warmup_steps": 5, "total_steps": 400, "initial_rate": 5e-5}
    assert full.config["training"]["max_steps"] == configs["default"]["training"]["max_steps"]


# Entities


def test_scores():
    gold = [entity(0, "PER", "A"), entity(2, "LOC", "B"), entity(5, "LOC", "C")]
    predicted = [gold[0], entity(2, "ORG", "B")]
    assert score(gold, predicted) == (1 / 2, 1 / 3, pytest.approx(2 / 5), 3)
    assert score(gold, []) == (None, 0.0, 0.0, 3)
    assert score([], predicted) == (0.0, None, None, 0)
    assert by_type(gold, predicted) == {
        "LOC": (None, 0.0, 0.0, 2),
        "ORG": (0.0, None, None, 0),
        "PER": (1.0, 1.0, 1.0, 1),
    }


def test_an_entity_is_seen_with_its_text_and_label():
    train = [entity(7, "PER", "Ann Lee"), entity(3, "LOC", "Rome")]
    gold = [entity(0, "PER", "Ann Lee"), entity(3, "ORG", "Rome"), entity(6, "LOC", "Oslo")]
    predicted = [gold[0], entity(3, "LOC", "Rome"), gold[2]]
    assert by_familiarity(gold, predicted, train) == {
        "seen": (1 / 2, 1.0, pytest.approx(2 / 3), 1),
        "unseen": (1.0, 1 / 2, pytest.approx(2 / 3), 2),
    }


def test_labels_of_the_other_domain_are_mapped_and_the_rest_left_out():
    gold = [
        entity(0, "person", "A"),
        entity(1, "corporation", "B"),
        entity(2, "group", "C"),
        entity(3, "location", "D"),
        entity(4, "product", "E"),
        entity(5, "creative-work", "F"),
    ]
    predicted = [
        entity(0, "PER", "A"),
        entity(1, "ORG", "B"),
        entity(2, "ORG", "C"),
        entity(3, "PER", "D"),
        entity(4, "MISC", "E"),
        entity(5, "LOC", "F"),
    ]
    assert out_of_domain(gold, predicted) == (3 / 5, 3 / 4, pytest.approx(2 / 3), 4)


# The file of results


def test_a_result_takes_the_line_of_an_earlier_one(tmp_path):
    path = tmp_path / "new" / RESULTS
    for key, f in (("a", 1), ("b", 2), ("a", 3)):
        store.add(path, {"key": key, "f": f})
    assert path.read_text("utf8") == '{"f":3,"key":"a"}\n{"f":2,"key":"b"}\n'
    assert store.read(path) == {"a": {"key": "a", "f": 3}, "b": {"key": "b", "f": 2}}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such lock")
def test_results_of_runs_that_end_at_once_are_all_kept(tmp_path):
    path = tmp_path / RESULTS
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=add_many, args=(path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert set(store.read(path)) == {f"{name}-{k}" for name in "abc" for k in range(20)}


def add_many(path, name):
    for k in range(20):
        store.add(path, {"key": f"{name}-{k}"})


@pytest.mark.parametrize("line", ["{", "[]", "{}", "3"])
def test_a_line_that_is_no_result_is_named(line, tmp_path):
    path = tmp_path / RESULTS
    path.write_text('{"key":"a"}\n' + line + "\n", "utf8")
    with pytest.raises(ValueError, match=rf"{RESULTS}:2: expected a JSON object with a key"):
        store.read(path)


# The report


def write_corpus(folder, words, ents):
    """The same doc as all parts of a data set."""
    nlp = spacy.blank("en")
    doc = spacy.tokens.Doc(nlp.vocab, words=words)
    doc.set_ents([spacy.tokens.Span(doc, *ent) for ent in ents])
    folder.mkdir(parents=True)
    for part in ("train", "dev", "eval"):
        DocBin(docs=[doc]).to_disk(folder / f"{part}.spacy")


def write_result(work, run, f, seconds):
    """A made-up result of a run that found the first entity of each data set."""
    found = {name: gold_entities(work / "data" / name / "dev.spacy")[:1] for name in ("conll03", "wnut17")}
    training = {"best_dev_f": 100 * f, "cpu_seconds_until_best": seconds, "cpu_seconds_in_all": 2 * seconds}
    result = {
        "key": run.fingerprint,
        "id": run.id,
        "scores": dict.fromkeys(SCORES, f),
        "parts": runs._parts(run, work, found),
        "training": training | {"evaluations": [(seconds / 2, 50.0), (seconds, 100 * f)]},
        "versions": {},
        "machine": "m",
    }
    store.add(work / RESULTS, result)
    return result


@pytest.fixture
def work(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    monkeypatch.setattr(runs, "corpus", lambda work, data: work / "data" / data)
    write_corpus(folder / "data" / "conll03", ["Ann", "in", "Rome"], [(0, 1, "PER"), (2, 3, "LOC")])
    write_corpus(folder / "data" / "wnut17", ["Bob", "on", "Foo"], [(0, 1, "person"), (2, 3, "product")])
    return folder


@pytest.fixture
def copy_of_documents(root, tmp_path):
    target = tmp_path / "root"
    (target / "docs" / "benchmarks").mkdir(parents=True)
    name = "docs/benchmarks/accuracy.md"
    (target / name).write_text((root / name).read_text("utf8"), "utf8")
    return target


def test_report_from_stored_results(work, copy_of_documents, configs):
    wanted = [row for row in rows() if (row.group, row.name) in {("main", "conll03"), ("ablation", "base")}]
    wanted += [row for row in rows() if row.name == "head: log-softmax"]
    for run in plan(wanted, configs, [0, 1]):
        if run.row.group == "main":
            ours = run.system == "default"
            write_result(work, run, (0.9 if ours else 0.8) + run.seed / 50, 10.0 if ours else 40.0)
        elif run.system == "default" and run.seed == 0:
            write_result(work, run, 0.89, 10.0)
    report.write_report(wanted, configs, work / RESULTS, copy_of_documents)
    document = (copy_of_documents / "docs" / "benchmarks" / "accuracy.md").read_text("utf8")
    assert "| CoNLL-2003, train → testa | none | `default.cfg` | 0.910 ± 0.014 |" in document
    # The difference is that of the seed that both have.
    assert "| head | log-softmax | 0.890 | -1.0 | 1 |" in document
    assert "| CoNLL-2003, train → testa | none | `default.cfg` | 10 ± 0 | 20 ± 0 | 0.25 | 0.25 | 0.25 |" in document
    assert document.count("No results yet.") == 1, "of the learning curve there are none"


def test_summary_of_stored_results(work, configs):
    wanted = rows()[:2]
    for run in plan(wanted[:1], configs, [0, 1]):
        ours = run.system == "default"
        write_result(work, run, (0.9 if ours else 0.8) + run.seed / 50, 10.0 if ours else 40.0)
    ((row, done),) = report.collect(wanted, configs, store.read(work / RESULTS), None)
    assert row is wanted[0]
    ours, theirs = summary.summarize(row, done)
    assert ours["seeds"] == [0, 1] and ours["ents_f"] == {"mean": 0.91, "sd": pytest.approx(0.014142), "n": 2}
    # 80 and 82 were first reached with the second evaluation.
    assert ours["share_of_spacy_until_its_best"]["mean"] == ours["share_of_spacy_until_best"]["mean"] == 0.25
    assert theirs["share_of_spacy_in_all"] is None
    parts = summary.parts_of(done["default"])
    assert parts["types"]["PER"]["f"]["mean"] == 1.0 and parts["types"]["LOC"]["r"]["mean"] == 0.0
    assert parts["familiarity"]["seen"]["r"]["mean"] == 0.5 and "unseen" not in parts["familiarity"]
    assert parts["out_of_domain"]["wnut17"]["gold"] == 1 and parts["out_of_domain"]["wnut17"]["r"]["mean"] == 0.0


def test_differences_are_those_of_common_seeds():
    base = {"seeds": [0, 1, 2], "ents_f_of_seeds": [0.5, 0.6, 0.9]}
    found = summary.difference({"seeds": [1, 0, 3], "ents_f_of_seeds": [0.7, 0.5, 0.1]}, base)
    assert found == {"mean": 0.05, "sd": pytest.approx(0.070711), "n": 2}
    assert summary.difference({"seeds": [3], "ents_f_of_seeds": [0.1]}, base) is None


def test_shares_of_time_where_something_is_missing(configs):
    run = next(plan(rows()[:1], configs, [0]))
    slower = {"best_dev_f": 99.0, "cpu_seconds_until_best": 1.0, "cpu_seconds_in_all": 2.0}
    ours = {"best_dev_f": 90.0, "cpu_seconds_until_best": 3.0, "cpu_seconds_in_all": None, "evaluations": []}
    peer = Run(run.row, SPACY, 0, {})
    found = summary.ratios([summary.Done(run, {"training": ours})], [summary.Done(peer, {"training": slower})])
    assert found["share_of_spacy_until_best"] == {"mean": 3.0, "sd": None, "n": 1}
    assert found["share_of_spacy_until_its_best"] is None and found["share_of_spacy_in_all"] is None


def test_report_without_results_writes_nothing(configs, copy_of_documents, tmp_path):
    document = copy_of_documents / "docs" / "benchmarks" / "accuracy.md"
    before = document.read_text("utf8")
    with pytest.raises(ValueError, match="no results"):
        report.write_report(rows()[:2], configs, tmp_path / "none.jsonl", copy_of_documents)
    assert document.read_text("utf8") == before


def test_learning_curve_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    f = {"mean": 0.5, "sd": None, "n": 1}
    points = [("1", "default"), ("100", "default"), ("1", SPACY), ("1-glove", "vectors")]
    entries = [{"row": name, "system": system, "ents_f": f, "seeds": [0]} for name, system in points]
    for name in ("a.svg", "b.svg"):
        report.draw_curve(entries, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text("utf8")
    assert ">default.cfg</text>" in drawn and drawn == (tmp_path / "b.svg").read_text("utf8")
    assert "| 1 % | 0.500 (1) | 0.500 (1) | 0.500 (1) |\n| 100 % | 0.500 (1) | - | - |" in report.curve_table(entries)


def test_fill_needs_its_markers(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("a\n<!-- x: start -->\nold\n<!-- x: end -->\nb\n", "utf8")
    fill(path, "x", r"new \1")
    assert path.read_text("utf8") == "a\n<!-- x: start -->\nnew \\1\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match="expected one pair of markers"):
        fill(path, "y", "new")


# The command


def test_done_runs_are_skipped_and_time_is_kept(root, work, configs, monkeypatch, capsys):
    performed = []

    def perform(run, folder, results):
        performed.append(run.id)
        if run.system == SPACY and len(performed) < 3:
            raise RuntimeError("broken")
        return write_result(folder, run, 0.9, 10.0)

    monkeypatch.setattr(command, "perform", perform)
    monkeypatch.setattr(command, "source", lambda data: root if data == "conll03" else None)
    monkeypatch.delenv("LSTM_NER_DATA", raising=False)
    monkeypatch.setattr(command, "ENV", {})
    monkeypatch.setattr(command, "load_configs", lambda rows, folder, steps: configs)

    folders = ["--work", str(work)]

    def call(*options):
        monkeypatch.setattr(sys, "argv", ["accuracy.py", *folders, "--seeds", "1", *options])
        command.run_campaign("help", rows(), work / RESULTS, report.write_report)
        return capsys.readouterr()

    only = ["--only", "main/conll03", "main/wnut17"]
    assert "0 minutes are over" in call(*only, "--minutes", "0").out.replace("0.0", "0") and not performed
    with pytest.raises(SystemExit, match="1 runs failed"):
        call(*only)
    assert performed == ["main/conll03/default/0", "main/conll03/spacy/0"]
    shown = call(*only, "--list").out
    assert "wnut17: not found, since LSTM_NER_DATA is not set." in shown and "2 runs, 1 of them done" in shown
    assert "done main/conll03/default/0" in shown and "left main/conll03/spacy/0" in shown
    call(*only)
    assert performed[2:] == ["main/conll03/spacy/0"]
    assert "2 runs, 2 of them done" in call(*only).out and len(performed) == 3


def test_missing_corpora_end_a_benchmark_with_a_message(tmp_path, monkeypatch):
    monkeypatch.delenv("LSTM_NER_DATA", raising=False)
    assert corpora.real("conll03") is None
    with pytest.raises(SystemExit, match=r"^conll03/eng.train: not found, since LSTM_NER_DATA is not set\. Set it to"):
        corpora.needed("conll03/eng.train")
    monkeypatch.setenv("LSTM_NER_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"gmb: not in the folder .* that LSTM_NER_DATA names\. Set it to"):
        corpora.needed("gmb")
    (tmp_path / "gmb").mkdir()
    assert corpora.needed("gmb") == corpora.real("gmb") == tmp_path / "gmb"


def test_shares_of_the_training_data_are_nested(tmp_path, monkeypatch):
    from campaign import data

    nlp, folder = spacy.blank("en"), tmp_path / "data" / "conll03"
    folder.mkdir(parents=True)
    DocBin(docs=[spacy.tokens.Doc(nlp.vocab, words=[f"w{k}"]) for k in range(40)]).to_disk(folder / "train.spacy")
    monkeypatch.setattr(data, "corpus", lambda work, name: folder)

    def words(share, seed, n_docs=None):
        row = Row("curve", "name", "conll03", ("default",), share=share, n_docs=n_docs)
        path = data.training_file(tmp_path, row, seed)
        return {doc.text for doc in DocBin().from_disk(path).get_docs(Vocab())}

    assert [len(words(share, 0)) for share in (1, 10, 50, 100)] == [1, 4, 20, 40]
    assert words(10, 0) < words(50, 0) and words(10, 0) != words(10, 1)
    assert len(words(100, 0, 7)) == 7 and words(10, 0) < words(100, 0, 7) < words(50, 0)
