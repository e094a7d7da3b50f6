"""The output of the command `annotate`, and a component that some texts are too much for."""

import json
from contextlib import closing

from spacy_lstm_ner.batch.inputs import open_source
from spacy_lstm_ner.batch.worker import Annotator, write_chunk

POISON = """
import os, re, time
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
    print("a component may print", doc.text[:5])
    return doc
"""


class Engine:
    """Does the chunks of a job in this process, in place of `LocalEngine`."""

    def __init__(self, job, chunks, workers, on_done):
        self.job, self.chunks, self.on_done = job, chunks, on_done

    def run(self, wait):
        annotator = Annotator(self.job.model, self.job.threshold, self.job.max_length)
        for chunk in self.chunks:
            with closing(open_source(chunk.path, self.job.kind, self.job.columns)) as source:
                self.on_done(chunk, write_chunk(self.job, annotator, source, chunk))
            wait()


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
