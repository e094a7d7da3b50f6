"""The parts of the benchmark of robustness that need no training."""

import subprocess
import sys

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import Config

from campaign import data, robustness_report, runs, store
from campaign.augmenters import create_swap_first_augmenter
from campaign.rows import DOMAINS, PARTS, SPACY, START, Row, plan, robustness_rows, rows
from spacy_lstm_ner.data.variation import create_text_variation_augmenter
from training import SCORES

RESULTS = "robustness.jsonl"
SPACY_CONFIG = {
    "components": {"tok2vec": {"model": {"embed": {"include_static_vectors": False}}}},
    "corpora": {"dev": {"gold_preproc": False}},
    "training": {"max_steps": 20000, "eval_frequency": 200, "optimizer": {"learn_rate": 0.001}},
}


def document(vocab, n_sents):
    doc = Doc(vocab, words=["Ann", "was", "in", "Rome", "."] * n_sents, sent_starts=[True, *[False] * 4] * n_sents)
    starts = range(0, len(doc), 5)
    doc.set_ents([Span(doc, k + at, k + at + 1, label) for k in starts for at, label in ((0, "PER"), (3, "LOC"))])
    return doc


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder of work, with one small corpus in place of all."""
    folder, target = tmp_path / "corpus", tmp_path / "work"
    folder.mkdir()
    docs = [document(spacy.blank("en").vocab, n_sents) for n_sents in (1, 12)]
    for part in ("train", "dev", "eval"):
        DocBin(docs=docs).to_disk(folder / f"{part}.spacy")
    for module in (data, runs):
        monkeypatch.setattr(module, "corpus", lambda work, name: folder)
        monkeypatch.setattr(module, "source", lambda name: folder)
    (target / "configs").mkdir(parents=True)
    Config(SPACY_CONFIG).to_disk(target / "configs" / "spacy.cfg")
    return target


def named(*names):
    found = [row for row in robustness_rows() if f"{row.group}/{row.name}" in names]
    assert len(found) == len(names)
    return found


# Rows and configs


def test_every_corpus_has_its_rows(work):
    found = robustness_rows()
    names = {(row.group, row.name) for row in found}
    assert len(names) == len(found) and {("domains", name) for name in DOMAINS} <= names
    planned = {run.id for run in plan(found, runs.load_configs(found, work), [0])}
    assert {"conll03/none/default/0", "start/crossner-music-glove/started/0", "small/bc5cdr, 25/spacy/0"} <= planned
    # They are trained already for other rows.
    assert not {"ablation/conll03: calibration/default/0", "start/crossner-music-glove/spacy/0"} & planned


def test_corpora_of_the_benchmark_of_accuracy_have_its_trainings(work):
    theirs = {run.fingerprint for run in plan(rows(), runs.load_configs(rows(), work), [0])}
    shared = [row for row in robustness_rows() if row.group in ("main", "conll03")]
    ours = {run.fingerprint for run in plan(shared, runs.load_configs(shared, work), [0])}
    assert len(ours) == 14 and ours < theirs


def test_a_fitted_config_is_what_the_command_writes(work, tmp_path):
    (row,) = named("domains/crossner-politics-glove")
    output, train = tmp_path / "fitted.cfg", data.training_file(work, row, 0)
    command = [sys.executable, "-m", "spacy", "lstm-ner", "init-config", str(output), "--train", str(train)]
    subprocess.run([*command, "--vectors", "some", "--optimize", "accuracy"], check=True, capture_output=True)
    expected = Config().from_disk(output, interpolate=False)
    assert expected["paths"] == {"train": str(train), "dev": None, "vectors": "some"}
    expected["paths"] = dict.fromkeys(expected["paths"])
    assert runs.load_configs([row], work)["fitted-vectors"](row, 0) == expected


def test_a_fitted_config_depends_on_the_drawn_documents(work):
    row = Row("small", "x", "x", ("fitted",), n_docs=1)
    planned = plan([row], runs.load_configs([row], work), range(10))
    assert {run.config["corpora"]["train"]["augmenter"]["pieces"] for run in planned} == {0.0, 0.85}


def test_a_fitted_config_needs_the_data(work, monkeypatch):
    (row,) = named("domains/btc")
    monkeypatch.setattr(runs, "source", lambda name: None)
    monkeypatch.delenv("LSTM_NER_DATA", raising=False)
    with pytest.raises(
        ValueError, match=r"domains/btc depend on its data\. domains/btc: not found, since LSTM_NER_DATA"
    ):
        runs.load_configs([row], work)["fitted"](row, 0)


def test_a_start_is_part_of_the_config_and_must_be_trained(work, monkeypatch):
    (row,) = named("start/crossner-music-glove")
    configs = runs.load_configs([row, START], work)
    start = next(plan([START], configs, [0], ["accuracy"]))
    run = next(plan([row], configs, [1], ["started"]))
    assert run.config["initialize"]["components"]["lstm_ner"]["start"] == start.fingerprint
    trial = next(plan([row], runs.load_configs([row], work, steps=2), [1], ["started"], steps=2))
    assert trial.config["initialize"]["components"]["lstm_ner"]["start"] != start.fingerprint
    monkeypatch.setattr(runs, "our_vectors", lambda work: work)
    with pytest.raises(
        RuntimeError, match=f"there is no .*{start.fingerprint}. The training of conll03/glove with seed 0"
    ):
        runs.perform(run, work, work / RESULTS)


@pytest.mark.parametrize("part", [part for part in PARTS if part != "base"])
def test_each_part_changes_the_recipe_to_a_config_that_can_be_built(part, work):
    (row,) = named(f"ablation/conll03: {part}")
    configs = runs.load_configs([row], work)
    (run,) = plan([row], configs, [0])
    assert run.config != configs["default"]
    parts = {
        "model": run.config["components"]["lstm_ner"]["model"],
        "augmenter": run.config["corpora"]["train"]["augmenter"],
    }
    spacy.registry.resolve(Config(parts))


def test_entities_are_swapped_before_texts_are_cut():
    nlp, change = spacy.blank("en"), create_swap_first_augmenter(1.0, 1.0, create_text_variation_augmenter(1.0))
    for word in ("Oslo", "Rome"):
        reference = document(nlp.vocab, 12)
        reference = Doc(nlp.vocab, [word if t.text == "Rome" else t.text for t in reference]).from_array(
            ["SENT_START", "ENT_IOB", "ENT_TYPE"], reference.to_array(["SENT_START", "ENT_IOB", "ENT_TYPE"])
        )
        changed = [example.reference for example in change(nlp, Example(nlp.make_doc(reference.text), reference))]
    assert len(changed) > 1 and "Oslo" in {ent.text for doc in changed for ent in doc.ents}


# The report


def write_result(work, run, f, seconds):
    """A made-up result."""
    out = {"wnut17": (f, f, f / 2, 10)} if run.row.data == "conll03" else {}
    conditions = {name: {"ents_f": f - less} for name, less in (("sentences", 0.01), ("lower", 0.1), ("upper", 0.2))}
    training = {"best_dev_f": 100 * f, "cpu_seconds_until_best": seconds, "cpu_seconds_in_all": seconds}
    result = {
        "key": run.fingerprint,
        "id": run.id,
        "scores": dict.fromkeys(SCORES, f),
        "conditions": conditions,
        "parts": {"types": {}, "familiarity": {}, "out_of_domain": out},
        "training": training | {"evaluations": [(seconds, 100 * f)]},
        "versions": {},
        "machine": "m",
    }
    store.add(work / RESULTS, result)


@pytest.fixture
def copy_of_documents(root, tmp_path):
    target = tmp_path / "root"
    (target / "docs" / "benchmarks").mkdir(parents=True)
    for name in ("README.md", "docs/benchmarks/robustness.md"):
        (target / name).write_text((root / name).read_text("utf8"), "utf8")
    return target


def test_report_from_stored_results(work, copy_of_documents):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    wanted = named(
        *("conll03/none", "domains/btc", "domains/lener", "start/crossner-music-glove", "main/gmb", "small/bc5cdr, 50"),
        *(
            "ablation/conll03: base",
            "ablation/conll03: no pieces",
            "ablation/btc: base",
            "ablation/btc: no other casing",
        ),
    )
    configs = runs.load_configs(wanted, work)
    for run in plan(wanted, configs, [0, 1]):
        f = (0.5 if run.system == SPACY else 0.6) - run.seed / 50 - 0.3 * (": no " in run.row.name)
        write_result(work, run, f, 40.0 if run.system == SPACY else 10.0)
    robustness_report.write_report(wanted, configs, work / RESULTS, copy_of_documents)
    document = (copy_of_documents / "docs" / "benchmarks" / "robustness.md").read_text("utf8")
    sd = "± 0.014"
    f = f"0.590 {sd} | 0.580 {sd} | 0.490 {sd} | 0.390 {sd} | 0.295 ± 0.007"
    assert f"| none | `default.cfg` | {f} | 2 |" in document and "| none | spaCy's `ner` | 0.490" in document
    pair = f"0.590 {sd} | 0.490 {sd} | +10.0 ± 0.0 | 0.25"
    for start in (
        "Broad Twitter Corpus | none | `init-config`",
        "CrossNER, music | GloVe 50d | `init-config --start`",
        "GMB | none | `default.cfg`",
        "BC5CDR, biomedical: 50 sentences | none | `init-config`",
    ):
        assert f"| {start} | {pair} | 2 |" in document
    assert "| average of 2 | none | `init-config` | 0.590 | 0.490 | +10.0 | 0.25 |  |" in document
    assert f"| CoNLL-2003 | base | {f} | 2 |" in document
    less = " | ".join(["-30.0 ± 0.0"] * 4)
    assert f"| CoNLL-2003 | no pieces | {less} | -15.0 ± 0.0 | 2 |" in document
    assert f"| Broad Twitter Corpus | no other casing | {less} | - | 2 |" in document
    assert "small_data.svg" in document and "No results yet." not in document
    readme = (copy_of_documents / "README.md").read_text("utf8")
    assert f"| CoNLL-2003 | lower case | 0.490 {sd} | 0.390 {sd} |  |  |" in readme
    assert f"| GMB | last tenth | 0.590 {sd} | 0.490 {sd} |  |  |" in readme
    assert "| other corpora | dev, average of 2 | 0.590 | 0.490 |  |  |" in readme
    drawn = (copy_of_documents / "docs" / "images" / "small_data.svg").read_text("utf8")
    assert ">BC5CDR, biomedical: spaCy ner</text>" in drawn


def test_report_where_only_one_system_has_results(work, copy_of_documents):
    wanted = named("conll03/none", "domains/btc", "main/wnut17-glove")
    configs = runs.load_configs(wanted, work)
    for run in plan(wanted, configs, [0]):
        if (run.row.group == "main") == (run.system == SPACY):
            write_result(work, run, 0.5, 10.0)
    robustness_report.write_report(wanted, configs, work / RESULTS, copy_of_documents)
    document = (copy_of_documents / "docs" / "benchmarks" / "robustness.md").read_text("utf8")
    assert "| Broad Twitter Corpus | none | `init-config` | 0.500 | - | - | - | 1 |" in document
    assert "average" not in document.partition("<!-- domains: end -->")[0].partition("<!-- domains: start -->")[2]
    assert document.count("No results yet.") == 4
    readme = (copy_of_documents / "README.md").read_text("utf8")
    assert "| CoNLL-2003 | documents | 0.500 | - |  |  |" in readme and "| WNUT-17 | dev |" not in readme


def test_report_without_results_writes_nothing(work, copy_of_documents):
    before = (copy_of_documents / "README.md").read_text("utf8")
    wanted = named("main/embedded")
    with pytest.raises(ValueError, match="no results"):
        robustness_report.write_report(wanted, runs.load_configs(wanted, work), work / RESULTS, copy_of_documents)
    assert (copy_of_documents / "README.md").read_text("utf8") == before


def test_the_pipeline_to_start_from_is_kept(work, monkeypatch):
    def train(config, folder, overrides):
        (folder / "model-best").mkdir(parents=True)
        return dict.fromkeys(("best_dev_f", *runs.TIMES), 1.0) | {"evaluations": []}

    monkeypatch.setattr(runs, "train", train)
    monkeypatch.setattr(runs, "our_vectors", lambda work: work)
    monkeypatch.setattr(runs, "_predict", lambda *_: {"scores": {}, "conditions": {}, "entities": {"conll03": []}})
    for run in plan([START], runs.load_configs([START], work), [0, 1], ["accuracy"]):
        runs.perform(run, work, work / RESULTS)
        assert (work / "start" / run.fingerprint).exists() == (run.seed == 0)
    assert not list((work / "training").iterdir())
