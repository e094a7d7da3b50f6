import json
from contextlib import closing

import pytest
import spacy
from support.small import TRAIN, learned

from spacy_lstm_ner.batch.inputs import open_source
from spacy_lstm_ner.batch.worker import Annotator, write_chunk

TEXTS = [f"{text} {number}" for number in range(60) for text, _ in TRAIN]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The folder of a pipeline that knows the examples of support.small."""
    path = tmp_path_factory.mktemp("batch") / "pipeline"
    learned("crf").to_disk(path)
    return path


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """JSON lines with 300 texts."""
    path = tmp_path_factory.mktemp("batch") / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": k, "text": text}) + "\n" for k, text in enumerate(TEXTS)), "utf8")
    return path


@pytest.fixture(scope="session")
def expected(model):
    """The entities of these texts in one process."""
    return [
        [(e.start_char, e.end_char, e.label_, pytest.approx(e._.lstm_ner_score, abs=1e-5)) for e in doc.ents]
        for doc in spacy.load(model).pipe(TEXTS)
    ]


@pytest.fixture
def in_process(model, monkeypatch):
    """Do the chunks of a job in this process, which is much faster than to start others."""

    class Engine:
        def __init__(self, job, chunks, workers, on_done):
            self.job, self.chunks, self.on_done = job, chunks, on_done

        def run(self, wait):
            annotator = Annotator(self.job.model, self.job.threshold, self.job.max_length)
            for chunk in self.chunks:
                with closing(open_source(chunk.path, self.job.kind, self.job.columns)) as source:
                    self.on_done(chunk, write_chunk(self.job, annotator, source, chunk))
                wait()

    monkeypatch.setattr("spacy_lstm_ner.batch.job.LocalEngine", Engine)
