"""Errors in annotation: how many of those that were put into a corpus does `review` find, and what do they cost?

Usage: python benchmarks/review.py [--steps N] [--folds 5] [--without-training] [--report]

Spoils 5 % of the entities of CoNLL-2003 train: a quarter each gets another label, loses or gains a token, is removed,
or is joined by a new one somewhere else in the doc. Then it ranks places with the models of one cross-fit in two ways:
as `spacy lstm-ner review` does, and tokens by their label quality scores in cleanlab. Tokens of one place count once.

Then it trains on the clean data, on the spoiled data, and on the spoiled data after the first suggestions, as many as 5
% of the entities, were applied as they are, and compares F1 on testa. --without-training leaves this out.

Writes benchmarks/results/review.json and the tables in docs/benchmarks/annotation.md. --report only writes the tables.
It needs cleanlab (extra `benchmark`), and the folder that LSTM_NER_DATA names.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from thinc.api import Config

import corpora
import documents
from campaign.report import number
from campaign.summary import mean_and_sd
from spacy_lstm_ner.data.corpora import pack_docs
from spacy_lstm_ner.data.facts import count_facts
from spacy_lstm_ner.data.reader import read_docs
from spacy_lstm_ner.pipeline.predict import read_chains
from spacy_lstm_ner.training.recipe import choose, make_config
from spacy_lstm_ner.training.review import Doubt, config_for, cross_fit, review, without_annotation
from training import ROOT, evaluate, train

RESULTS, DOCUMENT = ROOT / "benchmarks" / "results" / "review.json", ROOT / "docs" / "benchmarks" / "annotation.md"
SHARE = 0.05
KINDS = ("label", "boundary", "removed", "added")


class Error(NamedTuple):
    """An error that was put into a doc: its kind, and the first token and the token after the last one of its place."""

    doc: int
    kind: str
    start: int
    end: int


Triple = tuple[int, int, str]


def spoil(docs: Sequence[Doc], rng: random.Random) -> list[Error]:
    """Put errors into docs. Returns them."""
    labels, errors = sorted({ent.label_ for doc in docs for ent in doc.ents}), []
    for which, doc in enumerate(docs):
        ents: list[Triple] = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
        taken, kept = {k for start, end, _ in ents for k in range(start, end)}, []
        for ent in ents:
            changed = _spoiled(doc, ent, taken, labels, rng) if rng.random() < SHARE else None
            if changed is None:
                kept.append(ent)
                continue
            kind, new = changed
            kept += new
            taken.update(k for start, end, _ in new for k in range(start, end))
            place = [span for span in (*new, ent) if kind != "added" or span != ent]
            errors.append(Error(which, kind, min(s[0] for s in place), max(s[1] for s in place)))
        doc.set_ents([Span(doc, start, end, label=label) for start, end, label in kept], default="outside")
    return errors


def _spoiled(
    doc: Doc, ent: Triple, taken: set[int], labels: Sequence[str], rng: random.Random
) -> tuple[str, list[Triple]] | None:
    """A kind of error and what it makes of an entity; None if there is no place for it."""
    kind, (start, end, label) = rng.choice(KINDS), ent
    if kind == "removed":
        return kind, []
    if kind == "label":
        return kind, [(start, end, rng.choice([other for other in labels if other != label]))]
    if kind == "boundary":
        moved = [(start - 1, end), (start, end + 1), (start + 1, end), (start, end - 1)]
        free = [k for k in range(len(doc)) if k not in taken or start <= k < end]
        fitting = [(a, b) for a, b in moved if a < b and all(k in free for k in range(a, b))]
        return (kind, [(*rng.choice(fitting), label)]) if fitting else None
    places = [token.i for token in doc if token.is_alpha and token.i not in taken]
    if not places:
        return None
    place = rng.choice(places)
    return kind, [ent, (place, place + 1, rng.choice(labels))]


def token_places(nlp: Language, docs: dict[int, Doc]) -> list[tuple[float, int, int, int]]:
    """Tokens by their label quality in cleanlab: (quality, doc, start, end) of the entity of each token, or of it."""
    from cleanlab.token_classification.rank import get_label_quality_scores

    tagger, found = nlp.get_pipe("lstm_ner").tagger, []
    names = ["O", *tagger.labels]
    fresh = [without_annotation(nlp, doc) for doc in docs.values()]
    chains = read_chains(tagger, fresh)
    marginals = chains.lattice().marginals
    roles = (marginals.shape[1] - 1) // len(tagger.labels)
    by_label = np.concatenate([marginals[:, :1], marginals[:, 1:].reshape(len(marginals), -1, roles).sum(2)], axis=1)
    by_doc = np.split(by_label / by_label.sum(axis=1, keepdims=True), np.cumsum(chains.tokens.lengths)[:-1])
    given = [[names.index(token.ent_type_ or "O") for token in doc if not token.is_space] for doc in docs.values()]
    _, scores = get_label_quality_scores(given, by_doc, tokens=[[str(k) for k in range(len(g))] for g in given])
    for (which, doc), values in zip(docs.items(), scores, strict=True):
        entity = {k: ent for ent in doc.ents for k in range(ent.start, ent.end)}
        tokens = [token.i for token in doc if not token.is_space]
        for k, quality in zip(tokens, values.tolist(), strict=True):
            start, end = (entity[k].start, entity[k].end) if k in entity else (k, k + 1)
            found.append((quality, which, start, end))
    return found


def once(places: Iterable[tuple[float, int, int, int]]) -> list[tuple[int, int, int]]:
    """Places sorted by their score, each once: (doc, start, end)."""
    return list(dict.fromkeys(place[1:] for place in sorted(places, key=lambda place: place[0])))


def figures(places: Sequence[tuple[int, int, int]], errors: Sequence[Error], n_entities: int) -> dict[str, Any]:
    """Precision of the first places, and the share of the errors that they find."""

    def at(doc: int, start: int, end: int) -> list[int]:
        return [k for k, error in enumerate(errors) if error.doc == doc and error.start < end and start < error.end]

    hits = [at(*place) for place in places[: round(n_entities / 10)]]
    tenth, twentieth = ({k for own in hits[:count] for k in own} for count in (len(hits), round(n_entities / 20)))
    by_kind = {kind: [k for k, error in enumerate(errors) if error.kind == kind] for kind in KINDS}
    return {
        "places": len(places),
        "precision of the first 100": sum(map(bool, hits[:100])) / 100,
        "recall, first 5 %": len(twentieth) / len(errors),
        "recall, first 10 %": len(tenth) / len(errors),
        "recall, first 10 %, by kind": {kind: len(tenth.intersection(own)) / len(own) for kind, own in by_kind.items()},
    }


def apply(docs: Sequence[Doc], doubts: Iterable[Doubt]) -> None:
    """Apply suggestions to docs."""
    for doubt in doubts:
        doc = docs[doubt.doc]
        kept = [ent for ent in doc.ents if ent.end <= doubt.start or ent.start >= doubt.end]
        doc.set_ents([*kept, *(Span(doc, *span) for span in doubt.suggested)], default="outside")


def f_on_testa(config: Config, docs: Iterable[Doc], dev: Path, folder: Path, seed: int) -> float:
    """F1 after training on docs; the model with the best score on testa counts."""
    (folder / "train.spacy").write_bytes(pack_docs(docs))
    config.to_disk(folder / "config.cfg")
    overrides = {"paths.train": folder / "train.spacy", "paths.dev": dev, "system.seed": seed}
    train(folder / "config.cfg", folder / "model", overrides, echo=False)
    f: float = evaluate(folder / "model" / "model-best", dev, folder / "scores.json")["ents_f"]
    return f


def measure(args: argparse.Namespace) -> dict[str, Any]:
    nlp = spacy.blank("en")
    clean, docs = (list(read_docs(corpora.needed("conll03/eng.train"), nlp)) for _ in range(2))
    errors, n_entities = spoil(docs, random.Random(args.seed)), sum(len(doc.ents) for doc in clean)
    config = config_for(docs, "en")
    steps = config["training"]["max_steps"] = args.steps or config["training"]["max_steps"]
    doubts: list[Doubt] = []
    tokens: list[tuple[float, int, int, int]] = []
    for trained, own in cross_fit(docs, config, args.folds):
        doubts += review(trained, trained.get_pipe("lstm_ner"), own).doubts
        tokens += token_places(trained, own)
        print(f"{len(doubts)} doubts", flush=True)
    doubts.sort(key=lambda doubt: -doubt.score)
    places = [(doubt.doc, doubt.start, doubt.end) for doubt in doubts]
    result: dict[str, Any] = {"entities": n_entities, "errors": len(errors), "steps": steps, "folds": args.folds}
    result["seed"] = args.seed
    result["review"] = figures(places, errors, n_entities)
    result["cleanlab"] = figures(once(tokens), errors, n_entities)
    print(json.dumps(result, indent=1), flush=True)
    if not args.without_training:
        config = make_config(choose(count_facts(docs), False, "speed"), "en", {"train": None, "dev": None})
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            dev = folder / "dev.spacy"
            dev.write_bytes(pack_docs(read_docs(corpora.needed("conll03/eng.testa"), nlp)))
            result["f1"] = {"spoiled": [], "corrected": [], "clean": []}
            for seed in range(args.seeds):
                result["f1"]["spoiled"].append(f_on_testa(config, docs, dev, folder, seed))
                result["f1"]["clean"].append(f_on_testa(config, clean, dev, folder, seed))
            apply(docs, doubts[: round(n_entities * SHARE)])
            result["f1"]["corrected"] = [f_on_testa(config, docs, dev, folder, seed) for seed in range(args.seeds)]
            print(result["f1"], flush=True)
    return result


def report() -> None:
    """Write the tables of the stored results."""
    result = json.loads(RESULTS.read_text("utf8"))
    header = ["ranking", "precision of the first 100", "errors in the first 5 %", "errors in the first 10 %", *KINDS]
    rows = []
    for name, title in (("review", "`review`"), ("cleanlab", "cleanlab, tokens")):
        own = result[name]
        names = ("precision of the first 100", "recall, first 5 %", "recall, first 10 %")
        values = [*(own[key] for key in names), *(own["recall, first 10 %, by kind"][kind] for kind in KINDS)]
        rows.append([title, *(f"{value:.2f}" for value in values)])
    documents.fill(DOCUMENT, "review", documents.table(header, rows))
    trained = [[name, number(mean_and_sd(values), 3)] for name, values in result["f1"].items()]
    documents.fill(DOCUMENT, "corrected", documents.table(["trained on", "F1 on testa"], trained))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="steps of each model of the cross-fit (default: as the command)")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="which entities are spoiled")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on each kind of data")
    parser.add_argument("--without-training", action="store_true", help="only rank")
    parser.add_argument("--target", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="write the tables of the stored results")
    args = parser.parse_args()
    if args.report:
        report()
    else:
        args.target.write_text(json.dumps(measure(args), indent=1) + "\n", "utf8")


if __name__ == "__main__":
    main()
