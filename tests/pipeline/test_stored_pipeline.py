"""A pipeline that the first version saved loads and predicts what it predicted then."""

import json

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from spacy_lstm_ner.pipeline.settings import default_settings


@pytest.fixture(scope="module")
def fixtures(root):
    return root / "tests" / "fixtures"


@pytest.fixture(scope="module")
def nlp(fixtures):
    return spacy.load(fixtures / "pipeline_0.1")


@pytest.fixture(scope="module")
def expected(fixtures):
    return json.loads((fixtures / "pipeline_0.1.json").read_text("utf8"))


def test_the_same_emissions(nlp, expected):
    for row in expected:
        if row["words"]:
            for name, emissions in row["emissions"].items():
                found = nlp.get_pipe(name).model.predict([Doc(nlp.vocab, words=row["words"])])[0]
                np.testing.assert_allclose(found, emissions, rtol=1e-5, atol=1e-6)


def test_the_same_entities_and_scores(nlp, expected):
    for row in expected:
        doc = Doc(nlp.vocab, words=row["words"])
        for _, pipe in nlp.pipeline:
            doc = pipe(doc)
        assert [[ent.start, ent.end, ent.label_] for ent in doc.ents] == row["ents"]
        for key, spans in row["spans"].items():
            assert [[span.start, span.end, span.label_] for span in doc.spans[key]] == [span[:3] for span in spans]
            np.testing.assert_allclose(doc.spans[key].attrs["scores"], [span[3] for span in spans], rtol=1e-5)


def test_saved_again_only_new_settings_are_added(nlp, fixtures, tmp_path):
    nlp.to_disk(tmp_path)
    for name in nlp.pipe_names:
        saved, stored = tmp_path / name, fixtures / "pipeline_0.1" / name
        assert (saved / "model").read_bytes() == (stored / "model").read_bytes()
        before = json.loads((stored / "cfg").read_text("utf8"))
        added = {setting: value for setting, value in default_settings().items() if setting not in before}
        assert set(added) == {"learn_rate_factor"}
        assert (saved / "cfg").read_text("utf8") == json.dumps({**before, **added}, indent=2)
