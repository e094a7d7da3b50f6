"""The training loops of tutorials, beside spaCy's `ner`: few texts, the default settings, nothing tuned.

Usage: python benchmarks/tutorial_loops.py [--data templates conll03 politics] [--seeds 5] [--target FILE]
       python benchmarks/tutorial_loops.py --report

Each run is a loop as tutorials write it: `spacy.blank("en")`, `nlp.add_pipe`, `nlp.initialize`, and `nlp.update` over
the shuffled texts, one by one or in batches, with the optimizer that `nlp.initialize` returns. It is done with
`lstm_ner` and with `ner`, on the same texts in the same order. The seed chooses texts, their order and the weights.
F1 is measured after 10, 30 and 50 rounds.

The texts come from
  - templates with the sentences of tutorials ("Who is Shaka Khan?"). One set of held-out texts has the same templates
    with other names; the other has templates that training did not see, and at least half of its names are other ones;
  - CoNLL-2003 and CrossNER politics: the first sentences of the training part, and 300 sentences of the other part.
    They need the folder that LSTM_NER_DATA names, and are skipped without it.

Writes benchmarks/results/tutorial_loops.json when all runs are done. --report writes the table in
docs/benchmarks/tutorials.md, from the stored results.
"""

import argparse
import itertools
import json
import platform
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

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
TITLES = {"conll03": "CoNLL-2003", "politics": "CrossNER, politics"}
DOCUMENT = ROOT / "docs" / "benchmarks" / "tutorials.md"
ROUNDS = (10, 30, 50)
HELD_OUT_TEXTS = 100
HELD_OUT_SENTENCES = 300
Batches = Literal["one", "size 8", "compounding"]
Annotated = tuple[str, list[tuple[int, int, str]]]

# By data: number of texts, dropout, batches.
LOOPS: dict[str, list[tuple[int, float, Batches]]] = {
    "templates": [
        *((n_texts, 0.2, "size 8") for n_texts in (5, 10, 20, 60, 200)),
        *itertools.product([5, 20], [0.0, 0.5], ["size 8"]),
        *((5, drop, "one") for drop in (0.0, 0.2, 0.5)),
        *itertools.product([5, 20], [0.2], ["compounding"]),
        (20, 0.2, "one"),
    ],
    "conll03": [(n_texts, 0.2, "size 8") for n_texts in (5, 20, 60)],
    "politics": [(n_texts, 0.2, "size 8") for n_texts in (5, 20, 60)],
}

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
    "Shaka|Anna|Omar|Lena|Igor|Maria|Tom|Priya|Chen|Fatima|Jonas|Aisha|Pedro|Yuki|Nora|Samuel|Ingrid|Kofi|Elif|Bruno|"
    "Carla|Dmitri|Esther|Felix|Greta|Hassan|Irene|Jamal|Katya|Luca"
)
LAST = (
    "Khan|Weber|Haddad|Novak|Petrov|Silva|Baker|Sharma|Wei|Rahman|Lindqvist|Okafor|Ramirez|Tanaka|Kelly|Adler|Berg|"
    "Mensah|Yilmaz|Rossi|Mendes|Ivanov|Cohen|Braun|Fischer|Malik|Murphy|Carter|Orlova|Conti"
)
PLACES = (
    "London|Berlin|Paris|Madrid|New York|Tokyo|Lagos|Cairo|San Francisco|Mumbai|Oslo|Lima|Toronto|Sydney|Warsaw|Dublin|"
    "Hong Kong|Nairobi|Prague|Vienna|Chile|Norway|Japan|Buenos Aires|Kenya|Peru|Portugal|Rome|Athens|South Africa|"
    "Hamburg|Seoul|Denver|Bogota|Jakarta|Rio de Janeiro|Lyon|Geneva|Ghana|Sweden"
)
COMPANIES = (
    "Uber|Google|Apple|Amazon|Goldman Sachs|Nokia|Siemens|Toyota|Spotify|General Electric|Intel|Samsung|Airbnb|Netflix|"
    "Morgan Stanley|Philips|Reuters|Boeing|Pfizer|Royal Bank|Adidas|Ikea|Tesla|Zalando|Red Hat|Oracle|Renault|Bayer|"
    "United Airlines|Cisco|Lufthansa|Volvo|Heineken|Deutsche Telekom|Ericsson|Nestle|Vodafone|Unilever|Danone|Lego"
)


def _names(label: str, known: bool, rng: random.Random) -> str:
    """A name. known: one of those of training, else one of the others."""

    def half(names: str) -> list[str]:
        return names.split("|")[0 if known else 1 :: 2]

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


def batches_of(examples: list[Example], batches: Batches) -> Iterator[list[Example]]:
    """The batches of one round."""
    random.shuffle(examples)
    if batches == "one":
        return ([one] for one in examples)
    return minibatch(examples, size=8 if batches == "size 8" else compounding(4.0, 32.0, 1.001))


def run(
    factory: str, data: str, n_texts: int, drop: float, batches: Batches, seed: int, rounds: Sequence[int] = ROUNDS
) -> dict[str, list[float]]:
    """One loop: F1 on each of the held-out sets, after each of the numbers of rounds."""
    train, held_out = made_texts(n_texts, seed) if data == "templates" else real_sentences(data, n_texts)
    random.seed(seed)
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory)
    examples = [example(nlp, annotated) for annotated in train]
    optimizer = nlp.initialize(lambda: examples)
    scores: dict[str, list[float]] = {name: [] for name in held_out}
    for done in range(1, max(rounds) + 1):
        for batch in batches_of(examples, batches):
            nlp.update(batch, drop=drop, sgd=optimizer)
        if done in rounds:
            for name, texts in held_out.items():
                found = nlp.evaluate([example(nlp, annotated) for annotated in texts])
                scores[name].append(round(found["ents_f"] or 0.0, 4))
    return scores


def table(loops: list[dict[str, Any]]) -> str:
    """The results as Markdown, one row for each loop and held-out set."""
    rows = []
    for loop in loops:
        for name in loop["f"]["ner"][0]:
            ours, theirs = (np.array([found[name] for found in loop["f"][factory]]) for factory in FACTORIES)
            cells = [TITLES.get(loop["data"], name), str(loop["texts"]), f"{loop['drop']:g}", loop["batches"]]
            for k in range(len(ROUNDS)):
                cells += [number(mean_and_sd(scores[:, k].tolist()), 2) for scores in (ours, theirs)]
            rows.append(cells)
    header = ["held out", "texts", "drop", "batches"]
    header += [f"{rounds} rounds: {factory}" for rounds in ROUNDS for factory in ("ours", "`ner`")]
    return documents.table(header, rows, 1)


def below(loops: list[dict[str, Any]]) -> str:
    """How many means are above those of `ner`, and below by more than two standard errors of the difference."""
    more = [
        np.subtract(*([found[name] for found in loop["f"][factory]] for factory in FACTORIES))
        for loop in loops
        for name in loop["f"]["ner"][0]
    ]
    means = np.concatenate([found.mean(axis=0) for found in more])
    errors = np.concatenate([found.std(axis=0, ddof=1) / len(found) ** 0.5 for found in more])
    above, lower, beyond = (int(found.sum()) for found in (means > 0, means < 0, means < -2 * errors))
    return (
        f"Of {len(means)} means over {len(more[0])} seeds, {above} are above that of `ner` and {lower} below it. "
        f"Of those below, {beyond} are so by more than twice the standard error of the difference."
    )


def report(target: Path) -> None:
    loops = json.loads(target.read_text("utf8"))["loops"]
    documents.fill(DOCUMENT, "loops", f"{below(loops)}\n\n{table(loops)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=LOOPS, default=list(LOOPS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", type=Path, default=OUTPUT)
    parser.add_argument("--report", action="store_true", help="write the table of the stored results")
    args = parser.parse_args()
    if args.report:
        report(args.target)
    else:
        loops: list[dict[str, Any]] = []
        versions = {"python": platform.python_version(), "machine": platform.machine(), "spacy": spacy.__version__}
        for data in args.data:
            if data != "templates" and corpora.real("conll03" if data == "conll03" else "domains") is None:
                print(f"skipped: {corpora.without(data)}")
                continue
            for setting in LOOPS[data]:
                loop: dict[str, Any] = {"data": data, **dict(zip(("texts", "drop", "batches"), setting, strict=True))}
                loop["f"] = {
                    name: [run(name, data, *setting, seed) for seed in range(args.seeds)] for name in FACTORIES
                }
                loops.append(loop)
                print(table([loop]).split("\n", 2)[2], flush=True)
        args.target.write_text(json.dumps({**versions, "loops": loops}) + "\n")


if __name__ == "__main__":
    main()
