"""Other programs get the entities and their probabilities: the blocks of docs/tools.md, run with these programs."""

from shutil import copytree

import pytest
import spacy
from spacy.cli.package import package
from spacy.tokens import Doc
from support.doc_blocks import blocks_of
from support.small import trained

TEXT = "Sharon flew to Miami."
TRAIN = [(TEXT, [(0, 6, "per"), (15, 20, "geo")]), ("Nothing happened.", [])]
MODEL = "training/label-studio/model-best"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """The folder of a pipeline with labels of the page, and scores in its meta.json as `spacy train` writes them."""
    nlp, _ = trained("crf", steps=60, data=TRAIN)
    # Scores of 1 would say nothing of their way to other programs.
    nlp.get_pipe("lstm_ner").model.get_ref("head").attrs["temperature"] = 3.0
    nlp.meta["performance"] = {"ents_p": 0.5, "ents_r": 0.25, "ents_f": 0.375}
    folder = tmp_path_factory.mktemp("pipeline") / "model"
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def page(root, pipeline, tmp_path, monkeypatch):
    """Runs the block of the page that a reason in its fence names, beside the pipeline that it loads."""
    copytree(pipeline, tmp_path / MODEL)
    monkeypatch.chdir(tmp_path)

    def run(reason):
        (block,) = [block for block in blocks_of(root / "docs/tools.md") if block.reason == reason]
        names = {"__name__": "__main__"}
        exec(compile("\n" * block.line + block.text, str(block.page), "exec"), names)
        return names

    return run


def scores_of(doc):
    return [(ent.start_char, ent.end_char, ent.label_, ent._.lstm_ner_score) for ent in doc.ents]


def test_presidio_has_the_probabilities_as_scores(page):
    pytest.importorskip("presidio_analyzer", reason="needs the extra test-tools")
    names = page("needs presidio-analyzer")
    expected = scores_of(spacy.load(MODEL)(TEXT))
    assert [label for *_, label, _ in expected] == ["per", "geo"] and all(score < 0.999 for *_, score in expected)
    results = sorted(names["analyzer"].analyze(TEXT, language="en"), key=lambda result: result.start)
    mapping = names["engine"].ner_model_configuration.model_to_presidio_entity_mapping
    assert [(r.start, r.end, r.entity_type, r.score) for r in results] == [
        (start, end, mapping[label], score) for start, end, label, score in expected
    ]


def test_presidio_gives_its_default_score_to_entities_of_other_components(page):
    pytest.importorskip("presidio_analyzer", reason="needs the extra test-tools")
    names = page("needs presidio-analyzer")
    ruler = names["engine"].nlp["en"].add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "per", "pattern": "happened"}])
    (result,) = names["analyzer"].analyze("Nothing happened.", language="en")
    assert (result.start, result.end, result.score) == (8, 16, 0.85)


def test_a_recommender_of_inception_has_the_probabilities_as_scores(page, monkeypatch):
    server = pytest.importorskip("ariadne.server", reason="ariadne of INCEpTION is not installed").Server
    cassis = pytest.importorskip("cassis", reason="dkpro-cassis is not installed")
    monkeypatch.setattr(server, "start", lambda self, host, port: None)
    names = page("needs ariadne of INCEpTION")
    words = ["Sharon", "flew", "to", "Miami", "."]
    request, layer = prediction_request(cassis, names["TOKEN_TYPE"], words)
    answer = names["server"]._app.test_client().post("/lstm_ner/predict", json=request)
    typesystem = cassis.load_typesystem(request["typeSystem"])
    predicted = cassis.load_cas_from_xmi(answer.get_json()["document"], typesystem).select(layer)
    nlp = spacy.load(MODEL)
    expected = scores_of(nlp(Doc(nlp.vocab, words, [True, True, True, False, False])))
    assert [(p.begin, p.end, p.value, p.value_score) for p in predicted] == expected
    assert all(p.inception_internal_predicted for p in predicted) and len(expected) == 2


def prediction_request(cassis, token_type, words):
    """What INCEpTION sends for TEXT: a typesystem with the features of predictions, and a document with its tokens."""
    layer = "custom.NamedEntity"
    typesystem = cassis.TypeSystem()
    token = typesystem.create_type(token_type)
    entity = typesystem.create_type(layer)
    for name, kind in (("value", "String"), ("value_score", "Double"), ("inception_internal_predicted", "Boolean")):
        typesystem.create_feature(entity, name, f"uima.cas.{kind}")
    cas = cassis.Cas(typesystem=typesystem)
    cas.sofa_string = TEXT
    cas.sofa_mime = "text/plain"
    for word in words:
        cas.add(token(begin=TEXT.index(word), end=TEXT.index(word) + len(word)))
    document = {"xmi": cas.to_xmi(), "documentId": "1", "userId": "anna"}
    metadata = {"layer": layer, "feature": "value", "projectId": "1"}
    return {"metadata": metadata, "document": document, "typeSystem": typesystem.to_xml()}, layer


@pytest.mark.parametrize("name, tags", [("lstm_ner", ["spacy"]), ("ner", ["spacy", "token-classification"])])
def test_the_card_of_the_hub_has_scores_and_tags(name, tags, pipeline, tmp_path):
    push = pytest.importorskip("spacy_huggingface_hub.push", reason="spacy-huggingface-hub is not installed")
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    nlp = spacy.load(pipeline)
    if name != "lstm_ner":
        nlp.rename_pipe("lstm_ner", name)
    nlp.to_disk(tmp_path / "model")
    package(tmp_path / "model", tmp_path, name="my_ner", version="0.1.0", create_sdist=False)
    folder = tmp_path / "en_my_ner-0.1.0/en_my_ner/en_my_ner-0.1.0"
    card = yaml.safe_load(push._create_model_card("en_my_ner", folder))
    assert card["tags"] == tags and card["language"] == ["en"]
    (result,) = card["model-index"][0]["results"]
    assert result["task"] == {"name": "NER", "type": "token-classification"}
    assert [metric["value"] for metric in result["metrics"]] == [0.5, 0.25, 0.375]
    # The page loads the repository itself, whose files are those of this folder.
    assert scores_of(spacy.load(folder)(TEXT)) == scores_of(nlp(TEXT)) != []


def test_a_component_with_the_name_ner_keeps_its_scores(pipeline, tmp_path):
    """What the page says of the name."""
    nlp = spacy.load(pipeline)
    before = scores_of(nlp(TEXT))
    nlp.rename_pipe("lstm_ner", "ner")
    nlp.to_disk(tmp_path / "model")
    assert scores_of(spacy.load(tmp_path / "model")(TEXT)) == before and before
