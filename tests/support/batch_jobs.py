"""The output of the command `annotate`, and a component that some texts are too much for."""

import json
from contextlib import closing

from spacy_lstm_ner.batch.inputs import open_source
from spacy_lstm_ner.batch.worker import Annotator, write_chunk

POISON = """
import os, re, signal, time
from spacy.language import Language

@Language.component("poison")
def poison(doc):
    if "raise" in doc.text:
        raise KeyError("the component does not like this")
    if "sleep" in doc.text:
        time.sleep(600)
    if "backtrack" in doc.text:
        re.match(r"(a+)+$", "a" * 60 + "b")  # One call that holds the interpreter.
    if "die" in doc.text:
        os._exit(9)
    name, _, path = doc.text.partition(" ")
    if name == "parent" and not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    print("a component may print", doc.text[:5])
    return doc
"""


POISON_ROWS = [
    ("error", {"id": "p0", "text": "raise"}),
    ("out of time", {"id": "p1", "text": "sleep"}),
    ("null", {"id": "p4", "text": None}),
    ("no text", {"id": "p5", "body": "a"}),
    ("no text", {"id": "p6", "text": 7}),
    ("too long", {"id": "p7", "text": "word " * 2_000_000}),
    ("not UTF-8", {"id": "p8", "text": "half \ud800"}),
    ("not UTF-8", b'{"id": "p9", "text": "\xff"}\n'),
    ("no JSON", b"{\n"),
    ("no text", b"[1]\n"),
]
"""Rows that cannot be annotated, with the kind of their problem. The text of 10 MB is longer than the limit."""


def write_rows(path, rows):
    """Write JSON lines. Bytes are written as they are."""
    path.write_bytes(b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows))
    return path


def run_in_process(job, chunks, workers, address):
    """Do the chunks of a job in this process, in place of the engine `local`."""
    annotator = Annotator(job)
    for chunk in chunks:
        with closing(open_source(chunk.path, job.kind, job.columns)) as source:
            yield write_chunk(job, annotator, source, chunk)


def rows_of(folder):
    """The rows of a job in order, and what is in the files of bad rows."""
    rows = [json.loads(line) for part in sorted(folder.glob("part-*.jsonl")) for line in part.open(encoding="utf8")]
    bad = [json.loads(line) for part in sorted(folder.glob("bad-*.jsonl")) for line in part.open(encoding="utf8")]
    return rows, bad


def entities_of(row):
    """The entities of a row as tuples."""
    return [(e["start"], e["end"], e["label"], e["score"]) for e in row["entities"]]


def poisoned(model, folder):
    """Save a copy of a pipeline with the component `poison`; give its folder and the file with its code."""
    import spacy
    from spacy.language import Language

    code = folder / "poison.py"
    code.write_text(POISON, "utf8")
    nlp = spacy.load(model)
    if not Language.has_factory("poison"):
        exec(POISON, {})
    nlp.add_pipe("poison", first=True)
    nlp.to_disk(folder / "poisoned")
    return folder / "poisoned", code
