"""The commands `review` and `correct`."""

import json

import pytest
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from support.commands import run_command
from support.small import SMALL
from thinc.api import Config

TEXTS = [f"[{name}](PER) met number {k} in [Oslo](LOC)." for k in range(8) for name in ("Anna", "Bob", "Carl")]
RIGHT = [[(("Anna", "Bob", "Carl")[k % 3], "PER"), ("Oslo", "LOC")] for k in range(24)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus with two errors, in the third and the sixth line, and its review with a config that trains quickly."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = list(TEXTS)
    lines[2], lines[5] = lines[2].replace("(PER)", "(LOC)"), lines[5].replace("[Oslo](LOC)", "Oslo")
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n", "utf8")
    said, code = run_command("init-config", folder / "my.cfg", "--train", folder / "corpus.txt")
    assert code == 0, said
    config = Config().from_disk(folder / "my.cfg", interpolate=False)
    config["components"]["lstm_ner"]["model"] = SMALL["crf"]["model"]
    config["training"]["max_steps"] = 60
    config.to_disk(folder / "my.cfg")
    options = ("--config", folder / "my.cfg", "--folds", "3", "--limit", "2")
    said, code = run_command("review", folder / "corpus.txt", folder / "doubts.jsonl", *options)
    assert code == 0 and "2 of" in said and "agree with an F1 of" in said, said
    return folder


def tasks_of(corpus):
    return [json.loads(line) for line in (corpus / "doubts.jsonl").read_text("utf8").splitlines()]


def corrected(corpus, reviewed):
    """Correct the corpus. Returns its lines, and what the command says."""
    output = corpus / f"{reviewed}.spacy"
    said, code = run_command("correct", corpus / "corpus.txt", corpus / reviewed, output)
    assert code == 0, said
    docs = DocBin().from_disk(output).get_docs(Vocab())
    return [[(ent.text, ent.label_) for ent in doc.ents] for doc in docs], said


def test_errors_are_found_and_corrected(corpus):
    tasks = {task["meta"]["id"]: task for task in tasks_of(corpus)}
    assert set(tasks) == {"3:0-4", "6:21-25"}
    first = tasks["3:0-4"]
    assert (first["meta"]["annotated"], first["meta"]["suggested"]) == ("Carl (LOC)", "Carl (PER)")
    assert [(span["start"], span["label"]) for span in first["spans"]] == [(0, "PER"), (21, "LOC")]
    assert tasks["6:21-25"]["meta"]["annotated"] == "no entity" and first["meta"]["score"] > 0.5
    found, said = corrected(corpus, "doubts.jsonl")
    assert found == RIGHT and "2 accepted places: 1 entities removed, 2 added" in said


def test_rejected_suggestions_stay(corpus):
    tasks = tasks_of(corpus)
    for task in tasks:
        task["answer"] = "reject" if task["meta"]["id"] == "3:0-4" else "accept"
    (corpus / "answers.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks), "utf8")
    found, said = corrected(corpus, "answers.jsonl")
    assert (
        found[2][0] == ("Carl", "LOC")
        and found[3:] == RIGHT[3:]
        and "1 accepted places: 0 entities removed, 1 added" in said
    )


def test_label_studio_gives_the_identifiers_back(corpus):
    command = ("convert", corpus / "doubts.jsonl", corpus / "export.json", "--output-format", "label-studio")
    assert run_command(*command)[1] == 0
    assert corrected(corpus, "export.json")[0] == RIGHT


def test_errors(corpus):
    (corpus / "none.txt").write_text("Nothing here.\nOr here.\n", "utf8")
    said, code = run_command("review", corpus / "none.txt", corpus / "out.jsonl", "--format", "inline")
    assert code == 1 and "no entities in 2 docs" in said and not (corpus / "out.jsonl").exists()
    for target, message in (corpus, "found a folder"), (corpus / "out.spacy", "expected the output format prodigy or"):
        said, code = run_command("review", corpus / "corpus.txt", target, "--config", corpus / "my.cfg")
        assert code == 1 and message in said
    said, code = run_command("correct", corpus / "corpus.txt", corpus / "corpus.txt", corpus / "out.spacy")
    assert code == 1 and "expected an identifier such as 12:45-60" in said and not (corpus / "out.spacy").exists()


def test_binary_answers_and_lost_entities(corpus):
    tasks = tasks_of(corpus)
    for task in tasks:
        task.update(answer="accept", _view_id="ner")
    # The reviewer marks a part of a word.
    tasks[0]["spans"][0]["end"] -= 1
    (corpus / "binary.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks), "utf8")
    said, code = run_command("correct", corpus / "corpus.txt", corpus / "binary.jsonl", corpus / "binary.spacy")
    assert code == 1 and "1 entities were lost" in said and "2 accepted places" in said
