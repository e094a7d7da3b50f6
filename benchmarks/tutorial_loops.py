"""The training loops of tutorials, beside spaCy's `ner`: few texts, the default settings, nothing tuned.

Usage: python benchmarks/tutorial_loops.py [--texts 5 20] [--rounds 30] [--drop 0.2] [--batches one] [--data conll03]
                                           [--seeds 5] [--target FILE]
       python benchmarks/tutorial_loops.py --report

Each run is a loop as tutorials write it: `spacy.blank("en")`, `nlp.add_pipe`, `nlp.initialize`, and `nlp.update` over
the shuffled texts, one by one or in batches, with the optimizer that `nlp.initialize` returns. It is done with
`lstm_ner` and with `ner`, on the same texts in the same order. The seed chooses texts, their order and the weights.

The texts come from
  - templates with the sentences of tutorials ("Who is Shaka Khan?"). One set of held-out texts has the same templates
    with other names; the other has templates that training did not see, and half of its names are other ones;
  - CoNLL-2003 and CrossNER politics: the first sentences of the training part, and 500 sentences of the other part. They
    need the folder that LSTM_NER_DATA names, and are skipped without it.

Prints a table of F1 and writes benchmarks/results/tutorial_loops.json. --report only prints the table of the stored
results.
"""

import argparse
import itertools
import json
import os
import platform
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import compounding, minibatch
from thinc.api import fix_random_seed

import corpora
import documents
from campaign.report import number
from campaign.summary import mean_and_sd
from spacy_lstm_ner.data.reader import read_docs

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "benchmarks" / "results" / "tutorial_loops.json"
FACTORIES = ("lstm_ner", "ner")
HELD_OUT_TEXTS = 200
HELD_OUT_SENTENCES = 500
Batches = Literal["one", "size 8", "compounding"]
Annotated = tuple[str, list[tuple[int, int, str]]]

# The first ones are those of spaCy's own examples. Training with n texts sees the first min(n, 20) templates.
KNOWN = (
    "Who is {PERSON}?",
    "I like {GPE} and {GPE}.",
    "{ORG} blew through {MONEY} a week",
    "{ORG} rebrands its business apps",
    "Android Pay expands to {GPE}",
    "{PERSON} moved from {GPE} to {GPE} last year.",
    "look what i found on {ORG}!",
    "{ORG} is looking at buying a startup in {GPE} for {MONEY}",
    "{PERSON} joined {ORG} as chief executive",
    "How do I get to {GPE} by train?",
    "The weather was good, so we stayed at home.",
    "{PERSON} and {PERSON} met in {GPE}.",
    "Shares of {ORG} fell after the report",
    "We paid {MONEY} for two nights",
    "She works for {ORG} in {GPE}",
    "Is it true that {PERSON} left {ORG}?",
    "Can you send me the file before noon?",
    "{ORG} sues {ORG} over patents",
    "{PERSON}, who was born in {GPE}, wrote the book.",
    "The fine of {MONEY} was paid by {ORG}.",
)
NEW = (
    "Have you ever seen {PERSON} on stage?",
    "My sister lives in {GPE}",
    "{ORG} lays off a tenth of its staff",
    "They raised {MONEY} from investors",
    "Yesterday {PERSON} flew to {GPE}.",
    "A spokesman for {ORG} declined to comment",
    "Please book a table for four",
    "The mayor of {GPE} thanked {PERSON}.",
    "{ORG} opened its first office in {GPE}",
    "The ticket was {MONEY} at the door",
)
FIRST = (
    "Shaka Anna Omar Lena Igor Maria Tom Priya Chen Fatima Jonas Aisha Pedro Yuki Nora Samuel Ingrid Kofi Elif Bruno "
    "Carla Dmitri Esther Felix Greta Hassan Irene Jamal Katya Luca"
).split()
LAST = (
    "Khan Weber Haddad Novak Petrov Silva Baker Sharma Wei Rahman Lindqvist Okafor Ramirez Tanaka Kelly Adler Berg "
    "Mensah Yilmaz Rossi Mendes Ivanov Cohen Braun Fischer Malik Murphy Carter Orlova Conti"
).split()
PLACES = (
    "London|Berlin|Paris|Madrid|New York|Tokyo|Lagos|Cairo|San Francisco|Mumbai|Oslo|Lima|Toronto|Sydney|Warsaw|Dublin|"
    "Hong Kong|Nairobi|Prague|Vienna|Chile|Norway|Japan|Buenos Aires|Kenya|Peru|Portugal|Rome|Athens|South Africa|"
    "Hamburg|Seoul|Denver|Bogota|Jakarta|Rio de Janeiro|Lyon|Geneva|Ghana|Sweden"
).split("|")
COMPANIES = (
    "Uber|Google|Apple|Amazon|Goldman Sachs|Nokia|Siemens|Toyota|Spotify|General Electric|Intel|Samsung|Airbnb|Netflix|"
    "Morgan Stanley|Philips|Reuters|Boeing|Pfizer|Royal Bank|Adidas|Ikea|Tesla|Zalando|Red Hat|Oracle|Renault|Bayer|"
    "United Airlines|Cisco|Lufthansa|Volvo|Heineken|Deutsche Telekom|Ericsson|Nestle|Vodafone|Unilever|Danone|Lego"
).split("|")


def _names(label: str, known: bool, rng: random.Random) -> str:
    """A name. known: one of those of training, else one of the others."""

    def half(names: list[str]) -> list[str]:
        return names[::2] if known else names[1::2]

    if label == "PERSON":
        return f"{rng.choice(half(FIRST))} {rng.choice(half(LAST))}"
    if label == "MONEY":
        amount = rng.choice(range(2, 100, 2)) - known
        return rng.choice([f"${amount} million", f"${amount} billion", f"${amount}00"])
    return rng.choice(half(PLACES if label == "GPE" else COMPANIES))


def fill(template: str, known: float, rng: random.Random) -> Annotated:
    """Put names into a template. known: the share of the names that are those of training."""
    text, spans, end = "", [], 0
    for slot in re.finditer(r"{(\w+)}", template):
        text += template[end : slot.start()]
        name = _names(slot[1], rng.random() < known, rng)
        spans.append((len(text), len(text) + len(name), slot[1]))
        text, end = text + name, slot.end()
    return text + template[end:], spans


def made_texts(n_texts: int, seed: int) -> tuple[list[Annotated], dict[str, list[Annotated]]]:
    """Training texts, and held-out texts by their name."""
    rng = random.Random(seed)
    known = KNOWN[: min(n_texts, len(KNOWN))]
    train = [fill(known[k % len(known)], 1.0, rng) for k in range(n_texts)]
    held_out = {
        "other names": [fill(rng.choice(known), 0.0, rng) for _ in range(HELD_OUT_TEXTS)],
        "other sentences": [fill(rng.choice(NEW), 0.5, rng) for _ in range(HELD_OUT_TEXTS)],
    }
    return train, held_out


def real_sentences(data: str, n_texts: int) -> tuple[list[Doc], dict[str, list[Doc]]]:
    """The first sentences of a corpus with an entity or without, and held-out sentences."""
    names = {
        "conll03": ("conll03/eng.train", "conll03/eng.testa"),
        "politics": ("domains/crossner-politics-train.iob", "domains/crossner-politics-dev.iob"),
    }[data]
    nlp = spacy.blank("en")
    parts = []
    for name, count in zip(names, (n_texts, HELD_OUT_SENTENCES), strict=True):
        docs = read_docs(corpora.needed(name), nlp)
        sentences = (
            span.as_doc() for doc in docs for span in (doc.sents if doc.has_annotation("SENT_START") else [doc[:]])
        )
        parts.append(list(itertools.islice((doc for doc in sentences if len(doc) > 1), count)))
    return parts[0], {"dev": parts[1]}


def example(nlp: Language, annotated: Annotated | Doc) -> Example:
    if isinstance(annotated, Doc):
        words, spaces = [token.text for token in annotated], [bool(token.whitespace_) for token in annotated]
        return Example(Doc(nlp.vocab, words=words, spaces=spaces), annotated)
    text, spans = annotated
    return Example.from_dict(nlp.make_doc(text), {"entities": spans})


def rounds_of(examples: list[Example], batches: Batches, rounds: int) -> Iterator[list[Example]]:
    for _ in range(rounds):
        random.shuffle(examples)
        if batches == "one":
            yield from ([one] for one in examples)
        else:
            yield from minibatch(examples, size=8 if batches == "size 8" else compounding(4.0, 32.0, 1.001))


def run(
    factory: str, data: str, n_texts: int, rounds: int, drop: float, batches: Batches, seed: int
) -> dict[str, float]:
    """One loop: F1 on each of the held-out sets."""
    train, held_out = made_texts(n_texts, seed) if data == "templates" else real_sentences(data, n_texts)
    random.seed(seed)
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory)
    examples = [example(nlp, annotated) for annotated in train]
    optimizer = nlp.initialize(lambda: examples)
    for batch in rounds_of(examples, batches, rounds):
        nlp.update(batch, drop=drop, sgd=optimizer)
    return {
        name: round(nlp.evaluate([example(nlp, annotated) for annotated in texts])["ents_f"] or 0.0, 4)
        for name, texts in held_out.items()
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown, one row for each loop and held-out set."""
    rows = []
    for row in results:
        for name in row["f"]["ner"][0]:
            ours, theirs = ([found[name] for found in row["f"][factory]] for factory in FACTORIES)
            more = np.subtract(ours, theirs)
            noise = more.std(ddof=1) / len(more) ** 0.5 if len(more) > 1 else 0.0
            setting = [row["data"], name, str(row["texts"]), str(row["rounds"]), f"{row['drop']:g}", row["batches"]]
            scores = [number(mean_and_sd(found), 3) for found in (ours, theirs)]
            rows.append([*setting, *scores, f"{more.mean():+.3f} ± {noise:.3f}"])
    header = ("data", "held out", "texts", "rounds", "drop", "batches", "`lstm_ner`", "`ner`", "difference")
    return documents.table(header, rows, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["templates", "conll03", "politics"])
    parser.add_argument("--texts", type=int, nargs="+", default=[5, 10, 20, 60, 200])
    parser.add_argument("--rounds", type=int, nargs="+", default=[10, 30, 50])
    parser.add_argument("--drop", type=float, nargs="+", default=[0.0, 0.2, 0.5])
    parser.add_argument("--batches", nargs="+", choices=get_args(Batches), default=list(get_args(Batches)))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", type=Path, default=OUTPUT)
    parser.add_argument("--report", action="store_true", help="print the table of the stored results")
    args = parser.parse_args()
    if args.report:
        print(table(json.loads(args.target.read_text("utf8"))["loops"]))
        return
    loops: list[dict[str, Any]] = []
    results = {"python": platform.python_version(), "machine": platform.machine(), "spacy": spacy.__version__}
    for data in args.data:
        if data != "templates" and corpora.real("conll03" if data == "conll03" else "domains") is None:
            print(f"skipped: {corpora.without(data)}")
            continue
        for setting in itertools.product(args.texts, args.rounds, args.drop, args.batches):
            row = {"data": data, **dict(zip(("texts", "rounds", "drop", "batches"), setting, strict=True))}
            row["f"] = {name: [run(name, data, *setting, seed) for seed in range(args.seeds)] for name in FACTORIES}
            loops.append(row)
            print(table([row]).split("\n", 2)[2], flush=True)
            args.target.write_text(json.dumps({**results, "loops": loops}, indent=1) + "\n")
    print(table(loops))


if __name__ == "__main__":
    main()
