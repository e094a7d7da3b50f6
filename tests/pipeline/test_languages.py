"""Texts that are not English: combining marks, one-character tokens, scripts without capitals, right to left."""

import json
from unicodedata import normalize

import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from support.commands import run_command
from support.small import entities
from thinc.api import Config, fix_random_seed

MODEL = """
[model]
@architectures = "spacy-lstm-ner.LSTMTagger.v1"
[model.tok2vec]
@architectures = "spacy-lstm-ner.LexemeTok2Vec.v1"
occurrences = 5000
[model.tok2vec.embed]
@architectures = "spacy-lstm-ner.LexemeEmbed.v2"
width = 32
attrs = ["norm", "prefix1", "suffix2", "shape"]
rows = [500, 200, 200, 200]
min_count = 1
graphemes = true
[model.tok2vec.embed.chars]
@architectures = "spacy-lstm-ner.CharCNN.v1"
[model.tok2vec.encode]
@architectures = "spacy-lstm-ner.LSTMEncoder.v1"
width = 32
"""
TEXTS = {
    "xx": ["Ọbásanjọ́ lọ sí Èkó ní ọdún 1999", "Bọ́lá ràn Ṣọlá lọ́wọ́ ní Ọ̀yọ́"],
    "de": ["Jürgen Müller fuhr nach Köln", "In Österreich schneit es"],
    "zh": ["王小明住在北京", "他去了上海"],
    "ar": ["سافر محمّد إلى القاهرة", "وصلت فاطمة أمس"],
    "hi": ["मोहन दिल्ली गया", "राम मुंबई में है"],
}
NAMES = {
    "xx": ["Ọbásanjọ́", "Èkó", "Bọ́lá", "Ṣọlá", "Ọ̀yọ́"],
    "de": ["Jürgen Müller", "Köln", "Österreich"],
    "zh": ["王小明", "北京", "上海"],
    "ar": ["محمّد", "القاهرة", "فاطمة"],
    "hi": ["मोहन", "दिल्ली", "राम", "मुंबई"],
}


def annotated(lang):
    """The texts with their names, in composed form."""
    for text in (normalize("NFC", text) for text in TEXTS[lang]):
        names = [normalize("NFC", name) for name in NAMES[lang]]
        found = [(text.find(name), text.find(name) + len(name), "NAME") for name in names if name in text]
        yield text, {"entities": found}


def in_form(form, doc):
    return Doc(doc.vocab, words=[normalize(form, token.text) for token in doc])


def by_token(doc):
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


@pytest.mark.parametrize("lang", TEXTS)
def test_both_unicode_forms_have_the_same_entities(lang, tmp_path):
    fix_random_seed(0)
    nlp = spacy.blank(lang)
    nlp.add_pipe("lstm_ner", config=Config().from_str(MODEL))
    examples = [Example.from_dict(nlp.make_doc(text), annotation) for text, annotation in annotated(lang)]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    for example in examples:
        assert entities(nlp(example.reference.text)) == entities(example.reference) != []
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    texts = [normalize(form, text) for text in TEXTS[lang] for form in ("NFC", "NFD")]
    expected = [by_token(example.reference) for example in examples for _ in range(2)]
    for pipeline in (nlp, loaded):
        made = [pipeline.make_doc(text) for text in texts]
        docs = [in_form(form, made[2 * (k // 2)]) for k, form in enumerate(["NFC", "NFD"] * len(examples))]
        assert [by_token(pipeline(doc.copy())) for doc in docs] == expected
        assert [by_token(doc) for doc in pipeline.pipe(doc.copy() for doc in docs)] == expected


@pytest.mark.slow
def test_commands_take_the_language_xx(tmp_path, root):
    """`xx` is the language for any text in spaCy."""
    lines = ("".join(f"[{name}](name) wà ní [Èkó](place) .\n" for name in NAMES["xx"])) * 4
    (tmp_path / "in.txt").write_text(lines, "utf8")
    (tmp_path / "texts.txt").write_text(f"{TEXTS['xx'][0]}\n", "utf8")
    corpus, model = tmp_path / "corpus.spacy", tmp_path / "out" / "model-best"
    data = ("--nlp.lang", "xx", "--paths.train", corpus, "--paths.dev", corpus)
    config = root / "configs" / "default.cfg"
    short = ("--training.max_steps", 2, "--training.eval_frequency", 1)
    for command in (
        ("convert", tmp_path / "in.txt", corpus, "--lang", "xx"),
        ("debug-data", config, *data),
        ("debug-data", corpus, corpus, "--lang", "xx"),
        ("train", config, "-o", tmp_path / "out", *data, *short),
        ("evaluate", model, corpus),
        ("uncertainty", model, tmp_path / "texts.txt", tmp_path / "sorted.jsonl"),
    ):
        said, code = run_command(*command)
        assert code == 0, said
    with pytest.warns(UserWarning, match="calibrate"):
        said, code = run_command("calibrate", model, corpus, "-o", tmp_path / "calibrated")
    assert code == 0, said
    assert spacy.load(tmp_path / "calibrated").lang == "xx"
    assert json.loads((tmp_path / "sorted.jsonl").read_text("utf8"))["text"] == TEXTS["xx"][0]
