"""The command `teach`."""

import json

import numpy as np
import pytest
import spacy
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from support.batch_jobs import poisoned, rows_of, run_in_process
from support.commands import run_command
from support.data_files import write_data
from support.small import TRAIN, blank, learned
from thinc.api import Config

from spacy_lstm_ner.annotation.soft import KEY
from spacy_lstm_ner.batch.job import ENGINES
from spacy_lstm_ner.data.taught import create_taught_corpus_reader
from spacy_lstm_ner.files import locked
from spacy_lstm_ner.teach.job import shorten
from spacy_lstm_ner.training.loop import train

TEXTS = [f"{text} {number}" for number in range(6) for text, _ in TRAIN]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a teacher, raw texts, gold and dev data, and a config for a short training."""
    folder = tmp_path_factory.mktemp("teach")
    learned("crf").to_disk(folder / "teacher")
    rows = [json.dumps({"id": k, "text": text}) for k, text in enumerate(TEXTS)]
    (folder / "texts.jsonl").write_text("\n".join(rows), "utf8")
    write_data(folder / "gold.spacy", TRAIN)
    write_data(folder / "dev.spacy", TRAIN)
    config = blank("crf").config
    config["training"] |= {"max_steps": 40, "eval_frequency": 20, "max_epochs": 0}
    config["training"]["optimizer"]["learn_rate"] = 0.01
    config.to_disk(folder / "config.cfg")
    return folder


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    monkeypatch.setitem(ENGINES, "local", run_in_process)


def teach(place, out, teacher="teacher", texts="texts.jsonl", **options):
    named = {"dev": place / "dev.spacy", "gold": place / "gold.spacy", "config": place / "config.cfg", **options}
    given = [part for name, value in named.items() if value is not None for part in (f"--{name}", value)]
    given = [part for part in given if part is not True]
    return run_command("teach", place / teacher, *([] if texts is None else [place / texts]), out, *given)


def silver(out):
    return [doc for path in sorted((out / "silver").iterdir()) for doc in DocBin().from_disk(path).get_docs(Vocab())]


def write_spans(path, rows):
    path.write_text("".join(json.dumps({"text": text, "spans": spans}) + "\n" for text, spans in rows), "utf8")
    return path


def span(start, end, label, score=None):
    return {"start": start, "end": end, "label": label, **({} if score is None else {"score": score})}


def test_a_student_learns_the_distribution_of_a_teacher(place, tmp_path, monkeypatch):
    out = tmp_path / "out"
    printed, code = teach(place, out)
    assert code == 0 and "student from gold alone" in printed and str(out / "student" / "model-best") in printed
    figures = json.loads((out / "figures.json").read_text("utf8"))
    assert figures["teacher"]["f1"] == 1.0 and figures["student"]["f1"] > 0.5 and figures["student"]["speed"] > 0
    docs = silver(out)
    assert [doc.text for doc in docs] == TEXTS
    assert all(list(doc.user_data[KEY]["labels"]) == ["GPE", "LOC", "ORG", "PERSON", "PRODUCT"] for doc in docs)
    groups = [doc.spans["teacher"] for doc in docs]
    assert sum(map(len, groups)) > 30 and all(len(group) == len(group.attrs["scores"]) for group in groups)
    # The config is all that `spacy train` needs.
    config = spacy.util.load_config(out / "student" / "config.cfg")
    assert config["corpora"]["train"]["@readers"] == "spacy-lstm-ner.TaughtCorpus.v1"
    monkeypatch.setitem(ENGINES, "local", lambda *job: pytest.fail("asked the teacher again"))
    again, code = teach(place, out)
    assert code == 0 and "student from gold alone" in again and "LOSS" not in again
    monkeypatch.setenv("SPACY_CONFIG_OVERRIDES", "--training.max_steps 20")
    other, code = teach(place, out)
    assert code == 1 and "overrides training.max_steps" in other and "changed" in other
    monkeypatch.delenv("SPACY_CONFIG_OVERRIDES")
    with locked(out):
        assert "another job with this folder runs" in teach(place, out)[0]
    other, code = teach(place, out, level=0.8)
    assert code == 1 and "level changed" in other


def test_killed_and_started_again_it_goes_on(place, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:

        def killed(*args, **kwargs):
            raise OSError("killed here")

        patched.setattr("spacy_lstm_ner.teach.job.train", killed)
        assert "killed here" in teach(place, out)[0]
    parts = {path: path.stat().st_mtime_ns for path in (*(out / "rows").iterdir(), *(out / "silver").iterdir())}
    monkeypatch.setitem(ENGINES, "local", lambda *job: pytest.fail("asked the teacher again"))
    printed, code = teach(place, out)
    assert code == 0, printed
    assert all(path.stat().st_mtime_ns == at for path, at in parts.items() if path.name.startswith("part"))


def test_a_file_of_spans_with_scores(place, tmp_path):
    text = "I like London and Berlin and Khan"
    rows = [(f"{text} {k}", [span(7, 13, "city", 0.9), span(18, 24, "city", 0.4)]) for k in range(30)]
    rows += [(text, [span(s, e, label.replace("LOC", "city"), 0.95) for s, e, label in found]) for text, found in TRAIN]
    file = write_spans(tmp_path / "silver.jsonl", rows)
    out = tmp_path / "out"
    printed, code = teach(place, out, file, None, labels="city=LOC")
    assert code == 0, printed
    assert "The teacher has 6 spans with scores on gold, which are too few: the trust limits are 0.2 and 0.7" in printed
    assert "30 of " in printed and "in doubt" in printed
    docs = silver(out)
    # The texts of dev, which are those of gold here, are held out.
    assert len(docs) == 30
    doc = docs[0]
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("London", "LOC")] and not doc[4].ent_iob and doc[6].ent_iob
    assert KEY not in doc.user_data
    # The file has the texts of dev as well, so that the teacher can be compared.
    assert json.loads((out / "figures.json").read_text("utf8"))["teacher"] == {"f1": 1.0, "speed": None}


def test_students_correct_wrong_annotation(place, tmp_path, monkeypatch):
    """Killed after the first of them, and started again."""
    rows = [(f"{text} {k}", [span(*entity) for entity in found]) for k in range(12) for text, found in TRAIN]
    wrong = TRAIN[2][0] + " 5"
    rows[5 * len(TRAIN) + 2] = (wrong, [span(7, 13, "ORG", 0.3)])
    file, out = write_spans(tmp_path / "silver.jsonl", rows), tmp_path / "out"
    monkeypatch.setenv("SPACY_CONFIG_OVERRIDES", "--training.max_steps 100")
    trained = []

    def counted(nlp, folder, config, **options):
        trained.append((folder.name, config["training"]["max_steps"]))
        if len(trained) == 2:
            raise OSError("killed here")
        train(nlp, folder, config, **options)

    monkeypatch.setattr("spacy_lstm_ner.teach.job.train", counted)
    assert "killed here" in teach(place, out, file, None, gold=None, noisy=True)[0]
    printed, code = teach(place, out, file, None, gold=None, noisy=True)
    assert code == 0, printed
    assert trained == [("judge-0", 40), ("judge-1", 40), ("judge-1", 40), ("student", 100)]
    docs = [doc for path in sorted((out / "corrected").iterdir()) for doc in DocBin().from_disk(path).get_docs(Vocab())]
    assert sorted(doc.text for doc in docs) == sorted(text for text, _ in rows)
    assert spacy.util.load_config(out / "student" / "config.cfg")["corpora"]["train"]["silver"] == str(
        out / "corrected"
    )
    (doc,) = (doc for doc in docs if doc.text == wrong)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("London", "ORG")]
    numbers, (places, _, tags, p) = doc.user_data[KEY]["labels"], map(np.asarray, doc.user_data[KEY]["steps"])
    assert p[(places == 2) & (tags == 2 + 4 * list(numbers).index("LOC"))].sum() > 0.5
    assert p[(places == 4) & (tags == 2 + 4 * list(numbers).index("LOC"))].sum() > 0.5


def test_one_text_has_no_halves(place, tmp_path):
    file = write_spans(tmp_path / "silver.jsonl", [("I like London", [span(7, 13, "LOC")])])
    printed, code = teach(place, tmp_path / "out", file, None, noisy=True)
    assert code == 1 and "one has none. Give more texts" in printed


def test_no_judge_is_asked_about_gold(place, tmp_path):
    text = "I like London"
    file = write_spans(tmp_path / "silver.jsonl", [(text, [span(7, 13, "LOC")])])
    gold = write_data(tmp_path / "gold.spacy", [(text, [(7, 13, "LOC")])])
    printed, code = teach(place, tmp_path / "out", file, None, gold=gold, noisy=True)
    assert code == 1 and "all texts are in --dev or --gold too" in printed


def test_judges_have_the_tokens_of_silver(place, tmp_path):
    config = blank("crf").config
    config["nlp"]["tokenizer"] = {"@tokenizers": "spacy.zh.ChineseTokenizer", "segmenter": "char"}
    config.to_disk(tmp_path / "char.cfg")
    rows = [(f"I like London {k}", [span(7, 13, "LOC")]) for k in range(9)]
    file = write_spans(tmp_path / "silver.jsonl", rows)
    printed, code = teach(place, tmp_path / "out", file, None, gold=None, config=tmp_path / "char.cfg", noisy=True)
    assert code == 1 and "--noisy needs the tokenizer of spacy.blank('en')" in printed


@pytest.mark.parametrize(
    ("settings", "shortened"),
    [
        ("max_steps = 100\neval_frequency = 20", (40, 20)),
        ("max_steps = ${vars.steps}\neval_frequency = 20", (120, 20)),
        ("", (8000, 200)),
        # The last evaluation would be that of the first step.
        ("max_steps = 300\neval_frequency = 200", (120, 120)),
        # No steps would be no limit.
        ("max_steps = 1\neval_frequency = 20", (1, 1)),
        ("max_steps = 0\neval_frequency = 20", (0, 20)),
    ],
)
def test_a_judge_learns_for_a_part_of_the_steps(settings, shortened):
    config = Config().from_str(f"[vars]\nsteps = 300\n[training]\n{settings}", interpolate=False)
    shorten(config, 0.4)
    assert (config["training"]["max_steps"], config["training"]["eval_frequency"]) == shortened


def test_only_this_component_corrects_annotation(place, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    nlp.config.to_disk(tmp_path / "other.cfg")
    file = write_spans(tmp_path / "silver.jsonl", [("I like London", [span(7, 13, "LOC")])])
    printed, code = teach(place, tmp_path / "out", file, None, config=tmp_path / "other.cfg", noisy=True)
    assert code == 1 and '--noisy needs a component with factory = "lstm_ner", found ner' in printed


def test_a_teacher_without_scores(place, tmp_path):
    rows = [(f"I like London {k}", [span(7, 13, "LOC")]) for k in range(30)]
    file = write_spans(tmp_path / "silver.jsonl", rows)
    printed, code = teach(place, tmp_path / "out", file, None, gold=None)
    assert code == 0 and "gives no scores" in printed and "from gold alone" not in printed
    assert all(token.ent_iob for doc in silver(tmp_path / "out") for token in doc)


def test_a_teacher_that_does_not_know_all_labels(place, tmp_path):
    file = write_spans(tmp_path / "silver.jsonl", [("I like London", [span(7, 13, "LOC")])])
    printed, code = teach(place, tmp_path / "out", file, None)
    assert code == 0 and "does not find GPE, ORG, PERSON, PRODUCT" in printed
    assert [token.ent_iob_ for token in silver(tmp_path / "out")[0]] == ["", "", "B"]


def test_a_teacher_that_raises_on_some_texts(place, tmp_path):
    model, _ = poisoned(place / "teacher", tmp_path)
    texts = tmp_path / "texts.jsonl"
    texts.write_text("\n".join(json.dumps({"text": text}) for text in [*TEXTS, "please raise here"]), "utf8")
    dev = write_data(tmp_path / "dev.spacy", [*TRAIN, ("Uber may raise prices", [(0, 4, "ORG")])])
    out = tmp_path / "out"
    printed, code = teach(place, out, model, texts, dev=dev, gold=dev)
    assert code == 0 and f"1 of {len(TEXTS) + 1} texts were not annotated" in printed
    assert "raised an error on 1 of 6 annotated docs" in printed
    _, bad = rows_of(out / "rows")
    assert "does not like this" in bad[0]["reason"] and len(silver(out)) == len(TEXTS)


@pytest.mark.parametrize(
    "rows, options, message",
    [
        ([("Nothing here", [])], {}, "finds no entity in the texts"),
        ([("I like London", [span(7, 13, "LOC")])], {"labels": "LOC="}, "--labels does not drop all"),
        ([("I like London", [span(7, 13, "city")])], {}, "labels that gold does not have: city; those of gold are GPE"),
        ([("I like London", [span(7, 13, "LOC", 0.5)])], {"limits": "0.9,0.1"}, "expected --limits LOW,HIGH"),
        ([("I like London", [span(7, 13, "LOC", 0.5)])], {"labels": "LOC"}, "expected --labels such as"),
        ([("I like London", [span(7, 13, "LOC", 0.5)])], {"limits": "nan,nan"}, "expected --limits LOW,HIGH"),
        ([("I like London", [span(7, 13, "LOC", 0.5)])], {"labels": "LOC=GPE,LOC="}, "each label once"),
        ([("I like London", [span(7, 13, "LOC", 95)])], {}, "silver.jsonl:1: expected scores from 0 to 1, found 95"),
        ([("I like London", [span(7, 13, "LOC")])], {"config": "no.cfg"}, "expected a training config, found no [nlp]"),
        ([("I like London", [span(7, 13, "LOC")])], {"config": "named.cfg"}, "expected a block of [corpora]"),
        ([("I like London", [{"start": 7, "end": 13}])], {}, "silver.jsonl:1: expected a field for the label"),
    ],
)
def test_errors_say_what_to_do(place, tmp_path, rows, options, message):
    file = write_spans(tmp_path / "silver.jsonl", rows)
    out = tmp_path / "out"
    (tmp_path / "no.cfg").write_text("[paths]\ntrain = null\n", "utf8")
    named = (place / "config.cfg").read_text("utf8").replace('"corpora.train"', '"elsewhere"')
    (tmp_path / "named.cfg").write_text(named, "utf8")
    options = {**options, **({"config": tmp_path / options["config"]} if "config" in options else {})}
    printed, code = teach(place, out, file, None, **options)
    assert message in printed and code == 1
    # Nothing is there yet that another try could collide with.
    assert not out.exists() or [path.name for path in out.iterdir()] in ([], [".lock"])


@pytest.mark.filterwarnings("ignore:.*the data has no entities with the labels")
def test_a_label_may_be_in_doubt_everywhere(place, tmp_path):
    """The spans do not tell the label then, but the student has to know it."""
    out = tmp_path / "out"
    for _ in range(2):  # The second time, all is there.
        printed, code = teach(place, out, gold=None, limits="0.0,1.0")
        assert code == 0 and "it has no labels" not in printed
    assert not any(doc.ents for doc in silver(out))
    assert json.loads((out / "figures.json").read_text("utf8"))["student"]["f1"] > 0.5


def test_texts_of_dev_are_no_texts_to_learn_from(place, tmp_path):
    file = write_spans(tmp_path / "silver.jsonl", [(TRAIN[2][0], [span(7, 13, "LOC")])])
    printed, code = teach(place, tmp_path / "out", file, None)
    assert code == 1 and "all texts are in --dev too" in printed


def test_nothing_else_is_in_the_folder(place, tmp_path):
    """Training would replace what is there."""
    (tmp_path / "student" / "model-best").mkdir(parents=True)
    printed, code = teach(place, tmp_path)
    assert code == 1 and "found other files in it" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student"]


def test_labels_that_the_teacher_does_not_have_are_named(place, tmp_path):
    file = write_spans(tmp_path / "silver.jsonl", [("I like London", [span(7, 13, "LOC")])])
    printed, code = teach(place, tmp_path / "out", file, None, labels="LCO=GPE,DATE=")
    assert code == 0 and "The teacher has no DATE, LCO of --labels; it has LOC" in printed


def test_texts_are_needed_for_a_pipeline_only(place, tmp_path):
    for teacher, texts in (("teacher", None), ("texts.jsonl", "texts.jsonl")):
        printed, code = teach(place, tmp_path / "out", teacher, texts)
        assert code == 1 and "expected TEACHER TEXTS OUT" in printed


def test_a_text_of_gold_is_not_read_from_silver(tmp_path):
    nlp = spacy.blank("en")
    text, (found, *_) = TRAIN[0]
    gold = write_data(tmp_path / "gold.spacy", TRAIN)
    silver_path = write_data(
        tmp_path / "silver.spacy", [(text, [(*found[:2], "WRONG")]), ("Khan left", [(0, 4, "PERSON")])]
    )
    read = create_taught_corpus_reader(silver_path, gold, 2)
    first = [example.reference.text for example in read(nlp)]
    assert sorted(first) == sorted([*(text for text, _ in TRAIN), *(text for text, _ in TRAIN), "Khan left"])
    assert "WRONG" not in {ent.label_ for example in read(nlp) for ent in example.reference.ents}
    assert any([example.reference.text for example in read(nlp)] != first for _ in range(9)), "always the same order"


def test_the_reader_needs_a_path():
    with pytest.raises(ValueError, match="expected the path of silver or of gold"):
        create_taught_corpus_reader()
    with pytest.raises(ValueError, match="gold_weight of at least 1"):
        create_taught_corpus_reader("silver", gold_weight=0)
