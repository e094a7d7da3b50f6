"""What the stateful tests draw: tiny models, documents of every kind, and annotation of parts of them."""

from functools import cache

from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

LABELS = ["PER", "geo", "Größe 1", "B-X"]
WRONG_LABELS = ["", "O", "!PER", 9, None, b"PER"]
KEY, WRONG_SPANS = "lstm_ner", "wrong"
WORDS = [
    *["Sharon", "Miami", "flew", "to", ".", "a", "A1", "x"],
    *[" ", "\n", "\n\n ", "\t", "\u00a0", "\u2028"],
    *["👩‍👩‍👧", "👍🏽", "🏴", "שלום", "مرحبا", "\u202eb\u202c"],
    *["e\u0301", "\u200b", "\ufeff", "\0", "a\x01", "\U0010ffff"],
]
GIANT = "Ab9é" * 2_500

FLAT = {"width": 8, "attrs": ["norm", "shape"], "rows": [50, 50], "word_dropout": 0.3}
CHARS = {"@architectures": "spacy-lstm-ner.CharCNN.v1", "width": 4, "char_width": 4, "rows": 32, "max_chars": 12}
ENCODE = {"width": 8, "window": 0, "context": 0}


def model(head, scheme, occurrences, embed=FLAT, encode=ENCODE, **tok2vec):
    """The part of a component's config that differs from the default model's."""
    tok2vec |= {"occurrences": occurrences, "embed": embed, "encode": encode}
    return {"head": head, "scheme": scheme, "tok2vec": tok2vec}


MODELS = {
    "crf": model("crf", "biluo", 40, encode={**ENCODE, "window": 8, "context": 2}),
    "small cache": model("crf", "bio", 0, cache=5),
    "softmax": model("softmax", "bio", 5000),
    "softmax, characters": model("softmax", "biluo", 0, embed={**FLAT, "chars": CHARS}),
    "vocabulary": model("crf", "bio", 0, embed={**FLAT, "min_count": 2}, cache=0),
    "textbook": {
        "head": "softmax",
        "scheme": "bio",
        "tok2vec": {
            "@architectures": "spacy.Tok2Vec.v2",
            "embed": {"@architectures": "spacy-lstm-ner.WordEmbed.v1", "width": 8},
            "encode": {"@architectures": "spacy-lstm-ner.GRUEncoder.v1", "width": 8, "depth": 2, "residual": True},
        },
    },
}
MEASURED = {"measured": 0.9, "entities": 500.0, "documents": 50.0}
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "annotate": st.sampled_from(["ents", "spans", "both"]),
        "overwrite": st.booleans(),
        "sentence_boundaries": st.booleans(),
        "incorrect_spans_key": st.just(WRONG_SPANS),
        "label_weights": st.just({"PER": 2.0, "O": 0.5}),
        "label_smoothing": st.just(0.1),
        "other_labels": st.sampled_from(["add", "outside", "missing"]),
        "rehearse_weight": st.just(1.0),
        "learn_rate_factor": st.just(10.0),
        "decoding": st.sampled_from(["best_sequence", "expected_f"]),
        "doubt_attr": st.none(),
        "guarantees": st.just({"recall >= 0.8 at 0.9": {"threshold": 0.0, **MEASURED}}),
    },
)


@cache
def word_strategy():
    return st.one_of(st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4))


# Runs of tokens with one kind of annotation: (number of tokens, kind); the last kind goes on to the end.
MARKS = ["O", "missing", "blocked", *LABELS, "other"]
RUNS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(MARKS)), max_size=5)


@st.composite
def docs(draw, vocab, max_words=10):
    """A doc without entities; some have sentences."""
    words = draw(st.lists(word_strategy(), max_size=max_words))
    if not draw(st.integers(0, 30)):
        words.append(GIANT)
    spaces = [bool(draw(st.integers(0, 2)))] * len(words)
    starts = None
    if words and draw(st.booleans()):
        first = draw(st.integers(0, len(words) - 1))
        starts = [k in (0, first) for k in range(len(words))]
    return Doc(vocab, words=words, spaces=spaces, sent_starts=starts)


def annotate(doc, runs):
    """Set what is said of entities: of every kind, or nothing, with white space where it happens to be."""
    found = {kind: [] for kind in ("entities", "outside", "blocked", "missing")}
    start = 0
    for length, kind in runs:
        end = min(start + length, len(doc))
        if start < end:
            is_label = kind not in found and kind != "O"
            place = "entities" if is_label else {"O": "outside"}.get(kind, kind)
            found[place].append(Span(doc, start, end, label=kind if is_label else ""))
        start = end
    if runs:
        doc.set_ents(**found, default="missing")
    return doc


@st.composite
def given_docs(draw, vocab, max_words=10):
    """A doc as it may come to the component: in part annotated by others."""
    doc = draw(docs(vocab, max_words))
    return annotate(doc, draw(RUNS)) if draw(st.booleans()) else doc


@st.composite
def examples(draw, vocab):
    """An example with entities, part of them missing; spans that are wrong; and presets on the predicted side."""
    reference = annotate(draw(docs(vocab)), draw(RUNS))
    words, spaces = [token.text for token in reference], [bool(token.whitespace_) for token in reference]
    if len(words) > 1 and draw(st.integers(0, 4)) == 0 and not spaces[0]:
        # Other tokens on the other side.
        words, spaces = [words[0] + words[1], *words[2:]], spaces[1:]
    predicted = Doc(vocab, words=words, spaces=spaces)
    if draw(st.integers(0, 3)) == 0:
        annotate(predicted, draw(RUNS))
    wrong = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3), st.sampled_from([*LABELS, "O"])), max_size=2))
    reference.spans[WRONG_SPANS] = [
        Span(reference, start, min(start + length, len(reference)), label=label)
        for start, length, label in wrong
        if start < len(reference)
    ]
    return Example(predicted, reference)
