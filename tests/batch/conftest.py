import json

import pytest
import spacy
from support.batch_jobs import run_in_process
from support.small import TRAIN, examples_for, learned_folder

from spacy_lstm_ner.batch.job import ENGINES
from spacy_lstm_ner.pipeline.calibration import calibrate

TEXTS = [f"{text} {number}" for number in range(60) for text, _ in TRAIN]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The folder of a pipeline that knows the examples of support.small."""
    return learned_folder(tmp_path_factory)


@pytest.fixture(scope="session")
def calibrated(model, tmp_path_factory):
    """The folder of the same pipeline, calibrated with its training texts, so that it has a doubt about texts."""
    nlp, folder = spacy.load(model), tmp_path_factory.mktemp("calibrated")
    training = [example.reference for example in examples_for(nlp)]
    wrong = [("Uber of Berlin", [(0, 4, "PERSON")])]
    calibrate(nlp.get_pipe("lstm_ner").tagger, examples_for(nlp, 20 * TRAIN + 20 * wrong), training)
    nlp.to_disk(folder)
    return folder


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
def in_process(monkeypatch):
    """Do the chunks of a job in this process, which is much faster than to start others."""
    monkeypatch.setitem(ENGINES, "local", run_in_process)
