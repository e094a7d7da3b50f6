"""Teach: what a student learns of a teacher, by the way it is taught.

Usage: python benchmarks/teach.py --work DIR --teacher MODEL [--only conll curve ...] [--seeds 3] [--steps 2400]
                                  [--small-teacher MODEL] [--sm PACKAGE] [--list] [--report]

  conll   student `default.cfg` without vectors; gold: CoNLL-2003 train; raw texts: GMB and domains/, without labels
  ablation  the same without parts of what `teach` does, or trained in another way
  curve   the same with fewer raw texts
  share   10 % of CoNLL-2003's documents as gold, and the texts of the others; --small-teacher: trained on these 10 %
  sm      teacher en_core_web_sm with its own labels, no gold, news texts; F1 is the agreement with the teacher on testa
  noise   30 % of the teacher's spans spoiled: another type, cut, removed, or joined by an invented one; 10 % as gold

Ways: gold alone; plain (each span of the teacher is an entity and all other text is none); taught (as the command
`teach` does it); limits (spans between the trust limits are missing); noisy (as `teach --noisy` does it); "right" is
before ways whose spans are not spoiled. In the part `noise`, all ways augment each epoch anew, as `teach` does. Unless
--steps names another number, the number of steps fits the number of tokens of gold and raw texts, as in `teach`. MODEL
is conll03/glove of robustness.py, the config `accuracy`. Each training is stored in benchmarks/results/teach.jsonl, so
that the next call does the missing ones. --report writes the tables in docs/teach.md. LSTM_NER_DATA names the folder
with conll03/, wnut17/, gmb/ and domains/. The part `sm` needs the package en_core_web_sm, or the one that --sm names.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import spacy
from spacy.tokens import Doc, DocBin
from spacy.util import load_config, minibatch
from spacy.vocab import Vocab

import corpora
import documents
from campaign import store
from campaign.entities import Entity as Predicted
from campaign.entities import gold_entities, out_of_domain
from campaign.report import number
from campaign.summary import mean_and_sd
from spacy_lstm_ner.batch.worker import Annotator
from spacy_lstm_ner.batch.worker import Job as Batch
from spacy_lstm_ner.data.annotated_file import Entity, Record
from spacy_lstm_ner.data.corpora import pack_docs
from spacy_lstm_ner.data.reader import read_docs
from spacy_lstm_ner.data.span_policy import Problems
from spacy_lstm_ner.pipeline.component import find_component
from spacy_lstm_ner.teach.job import SHARE_OF_GOLD, Job, Lesson, set_corpus
from spacy_lstm_ner.teach.limits import Judged, Limits, calibrate
from spacy_lstm_ner.teach.silver import Silver, write_distributions
from spacy_lstm_ner.teach.teacher import Found, find
from spacy_lstm_ner.training.recipe import n_steps
from training import ENV, ROOT, train

RESULTS, DOCUMENT = ROOT / "benchmarks" / "results" / "teach.jsonl", ROOT / "docs" / "teach.md"
CONFIG = ROOT / "configs" / "default.cfg"
DOMAINS = ("crossner-politics", "crossner-music", "bc5cdr", "btc")
RAW = ("gmb/ner_dataset.csv", *(f"domains/{name}-train.iob" for name in DOMAINS))
EMBED = "components.lstm_ner.model.tok2vec.embed"
CURVE, ALL = (25_000, 50_000, 100_000, 200_000), 10**9
SPOILED = 0.3
ABLATION = ("taught, epochs alike", "taught, gold as it is")
CHANGES: dict[str, dict[str, Any]] = {
    "less dropout": {f"{EMBED}.word_dropout": 0.1, f"{EMBED}.affix_dropout": 0.2},
}
PARTS = ("conll", "ablation", "curve", "share", "sm", "noise")
NOISE = ("gold", "plain", "limits", "noisy", "right plain", "right noisy")
KINDS = ("label", "cut", "removed", "invented")


class Run(NamedTuple):
    """A training: the part, the way, whether the training data is varied, the raw tokens, and the seed."""

    part: str
    way: str
    varied: bool
    tokens: int
    seed: int

    @property
    def key(self) -> str:
        return "/".join(map(str, self))


def runs(parts: Sequence[str], seeds: int, has_small_teacher: bool) -> Iterator[Run]:
    """The trainings of some parts."""
    small = ("small plain", "small taught") if has_small_teacher else ()
    ways = {
        "conll": [(way, varied, ALL) for varied in (True, False) for way in ("gold", "plain", "taught")],
        "ablation": [(way, True, ALL) for way in (*ABLATION, *(f"taught, {way}" for way in CHANGES))],
        "curve": [("taught", True, tokens) for tokens in CURVE],
        "share": [(way, True, ALL) for way in ("gold", "all gold", "plain", "taught", *small)],
        "sm": [(way, True, ALL) for way in ("plain", "taught")],
        "noise": [(way, True, ALL) for way in NOISE],
    }
    for part in parts:
        for seed in range(seeds):
            yield from (Run(part, *way, seed) for way in ways[part])


class Data:
    """The data in the work folder, made when it is needed."""

    def __init__(self, work: Path, args: argparse.Namespace) -> None:
        self.work, self.args, self.nlp = work, args, spacy.blank("en")

    def gold(self, name: str) -> Path:
        """A file of annotated docs: train, tenth or rest of train, testa, or wnut."""
        path = self.work / f"{name}.spacy"
        if not path.exists():
            self.work.mkdir(parents=True, exist_ok=True)
            source = {"wnut": "wnut17/emerging.dev.conll", "testa": "conll03/eng.testa"}.get(name, "conll03/eng.train")
            docs = list(read_docs(corpora.needed(source), self.nlp))
            if name in ("tenth", "rest"):
                random.Random(0).shuffle(docs)
                tenth = round(len(docs) / 10)
                docs = docs[:tenth] if name == "tenth" else docs[tenth:]
            path.write_bytes(pack_docs(docs))
        return path

    def docs(self, name: str) -> list[Doc]:
        return list(DocBin().from_disk(self.gold(name)).get_docs(Vocab()))

    def texts(self, part: str, tokens: int) -> list[str]:
        """The raw texts of a part, in an order that does not depend on their number."""
        if part in ("share", "noise"):
            return [doc.text.strip() for doc in self.docs("rest")]
        texts = [doc.text.strip() for name in RAW for doc in read_docs(corpora.needed(name), self.nlp)]
        if part == "sm":
            gmb = [doc.text.strip() for doc in read_docs(corpora.needed(RAW[0]), self.nlp)]
            return [*(doc.text.strip() for doc in self.docs("train")), *gmb]
        random.Random(0).shuffle(texts)
        kept, total = [], 0
        for text in texts:
            if total >= tokens:
                break
            kept.append(text)
            total += text.count(" ") + 1
        return kept

    def n_tokens(self, run: Run, gold: Path | None) -> int:
        """About how many tokens a run learns from. gold: its gold."""
        texts = () if run.way in ("gold", "all gold") else self.texts(run.part, run.tokens)
        docs = () if gold is None else DocBin().from_disk(gold).get_docs(Vocab())
        return sum(text.count(" ") + 1 for text in texts) + sum(map(len, docs))

    def silver(self, run: Run) -> Path | None:
        """The silver corpus of a run."""
        if run.way in ("gold", "all gold"):
            return None
        part = "conll" if run.part in ("curve", "ablation") else run.part
        way = run.way.partition(",")[0].replace("noisy", "plain")
        folder = self.work / "silver" / f"{part}-{way.replace(' ', '-')}-{run.tokens}"
        if not (folder / "done").exists():
            annotator = Annotator(Batch(self.teacher(run)))
            records, limits = annotated(annotator, self.texts(part, run.tokens)), Limits(0.0, 0.0)
            if part == "noise" and not way.startswith("right"):
                rng = random.Random(0)
                records = (spoiled(record, rng) for record in records)
            if way == "limits":
                limits = self.limits(annotator)
                print(f"{run.key}: {limits}", flush=True)
            is_soft = way.endswith("taught") and part != "sm"
            component = find_component(annotator.nlp.pipeline) if is_soft else None
            teacher = annotator.nlp if component is not None else None
            Silver(self.nlp, {}, limits, True, teacher, component).write(records, folder, Problems())
            (folder / "done").touch()
        return folder

    def gold_of(self, run: Run) -> Path | None:
        """The gold of a run, with the distribution of the teacher mixed in if the student learns it."""
        names = {"sm": None, "share": "tenth", "noise": "tenth"}
        name = "train" if run.way == "all gold" else names.get(run.part, "train")
        if name is None or "taught" not in run.way or run.way.endswith("gold as it is"):
            return name and self.gold(name)
        path = self.work / f"{name}-{'small' if run.way.startswith('small') else 'taught'}.spacy"
        if not path.exists():
            nlp, docs = spacy.load(self.teacher(run)), self.docs(name)
            for some in minibatch(docs, 256):
                write_distributions(nlp, find_component(nlp.pipeline), some, {}, SHARE_OF_GOLD)
            path.write_bytes(pack_docs(docs, user_data=True))
        return path

    def corrected(self, run: Run, steps: int) -> Path:
        """The silver corpus of a run as students correct it."""
        folder = self.work / "corrected" / f"{run.way.replace(' ', '-')}-{run.seed}-{steps}"
        settings = {"training.max_steps": steps, "training.eval_frequency": steps // 20, "system.seed": run.seed}
        named = {"config": CONFIG, "gold_weight": 2, "overrides": settings}
        lesson = Lesson(self.teacher(run), None, folder, self.gold("testa"), self.gold("tenth"), **named)
        return Job(lesson, print).corrected(self.silver(run))

    def teacher(self, run: Run) -> str:
        if run.part == "sm":
            return str(self.args.sm)
        return str(self.args.small_teacher if run.way.startswith("small ") else self.args.teacher)

    def limits(self, annotator: Annotator) -> Limits:
        """Trust limits for the teacher whose spans are spoiled, found on gold."""
        docs, rng = self.docs("tenth"), random.Random(1)
        found = zip(docs, find(annotator, docs).spans, strict=True)
        spans = [spoiled(Record(doc.text, own or [], ""), rng).spans for doc, own in found]
        judged = Found([*spans], 0).judged(docs)
        return calibrate([Judged(score or 0.0, *truth) for score, *truth in judged], 0.9)


def annotated(annotator: Annotator, texts: Iterable[str]) -> Iterator[Record]:
    """What a teacher says of texts."""
    for some in minibatch(texts, 256):
        for text, doc in zip(some, annotator.nlp.pipe(some), strict=True):
            yield Record(text, [Entity(**ent) for ent in annotator.entities(doc)], "raw")


def spoiled(record: Record, rng: random.Random) -> Record:
    """A record with spoiled spans. Their scores are lower than those of the others, with a large overlap."""
    labels, text = ("LOC", "MISC", "ORG", "PER"), record.text
    words = [(at, at + len(word)) for at, word in _words(text)]
    spans: list[Entity] = []
    for span in record.spans:
        kind = rng.choice(KINDS) if rng.random() < SPOILED else "right"
        own = [word for word in words if span.start < word[1] and word[0] < span.end]
        low, high = rng.uniform(0.0, 0.8), rng.uniform(0.4, 1.0)
        if kind == "label":
            spans.append(span._replace(label=rng.choice([x for x in labels if x != span.label]), score=low))
        elif kind == "cut" and len(own) > 1:
            limits = (own[1][0], span.end) if rng.random() < 0.5 else (span.start, own[-2][1])
            spans.append(span._replace(start=limits[0], end=limits[1], score=low))
        elif kind != "removed":
            spans.append(span._replace(score=high))
        if kind == "invented" or (kind == "cut" and len(own) == 1):
            free = [w for w in words if not any(s.start < w[1] and w[0] < s.end for s in (*record.spans, *spans))]
            if free:
                start, end = rng.choice(free)
                spans.append(Entity(start, end, rng.choice(labels), low))
    record.spans = spans
    return record


def _words(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for word in text.split(" "):
        if word:
            yield at, word
        at += len(word) + 1


def perform(run: Run, data: Data, steps: int | None) -> dict[str, Any]:
    """Train a student and score it. steps: None for a number that fits the data."""
    config = load_config(CONFIG, interpolate=False)
    gold = data.gold_of(run)
    steps = steps or n_steps(data.n_tokens(run, gold))
    silver = data.corrected(run, steps) if "noisy" in run.way else data.silver(run)
    if not run.varied:
        del config["corpora"]["train"]["augmenter"]
    if run.part != "noise" and ("taught" not in run.way or run.way.endswith("alike")):
        # As `spacy train` reads a corpus: once.
        config["training"]["max_epochs"] = 10**6
    labels = {ent.label_ for doc in (data.docs("train") if run.part != "sm" else agreed(data)) for ent in doc.ents}
    weight = 2 if run.part in ("share", "noise") and silver else 1
    set_corpus(config, silver, gold, weight, labels)
    testa = data.gold("testa")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if run.part == "sm":
            testa = folder / "testa.spacy"
            testa.write_bytes(pack_docs(agreed(data)))
        config.to_disk(folder / "config.cfg")
        overrides = {"paths.dev": testa, "system.seed": run.seed, "training.max_steps": steps}
        overrides |= {"training.eval_frequency": max(1, steps // 20), **CHANGES.get(run.way.partition(", ")[2], {})}
        train(folder / "config.cfg", folder / "model", overrides, echo=False)
        model, found = folder / "model" / "model-best", folder / "found.json"
        command = [sys.executable, "-m", "campaign.predict", str(model), str(found), str(testa), str(data.gold("wnut"))]
        paths = [str(ROOT / "benchmarks"), *filter(None, [ENV.get("PYTHONPATH")])]
        subprocess.run(command, env=ENV | {"PYTHONPATH": os.pathsep.join(paths)}, check=True)
        scores = json.loads(found.read_text("utf8"))
        f = {"testa": scores["scores"]["ents_f"], **{k: v["ents_f"] for k, v in scores["conditions"].items()}}
        if run.part != "sm":
            f["wnut"] = out_of_domain(
                gold_entities(data.gold("wnut")), [Predicted(*e) for e in scores["entities"][1]]
            ).f
        else:
            speeds = [(own.words / own.seconds) for own in _turns(str(model), str(data.args.sm), data)]
            f["speed"] = speeds[0] / speeds[1]
    return {"key": run.key, **run._asdict(), "steps": steps, "f": f}


def agreed(data: Data) -> Iterator[Doc]:
    """The texts of testa as the teacher en_core_web_sm annotates them."""
    nlp = spacy.load(data.args.sm)
    yield from nlp.pipe(doc.text for doc in data.docs("testa"))


def _turns(student: str, teacher: str, data: Data) -> Iterator[Found]:
    docs = data.docs("testa")
    for model in (student, teacher):
        annotator = Annotator(Batch(model))
        yield min((find(annotator, docs) for _ in range(3)), key=lambda own: own.seconds)


def report(results: Path) -> None:
    """Write the tables of the stored results."""
    found = list(store.read(results).values())
    groups: dict[tuple[Any, ...], list[dict[str, float]]] = {}
    for row in found:
        kind = tuple(row[name] for name in ("part", "varied", "tokens", "way", "steps"))
        groups.setdefault(kind, []).append(row["f"])
    columns = ("testa", "sentences", "lower", "upper", "wnut", "speed")
    titles = ("testa", "sentences", "lower case", "capitals", "WNUT-17", "speed")
    header = ["part", "training data", "raw tokens", "way", "steps", *titles, "seeds"]
    rows = []
    for (part, varied, tokens, way, steps), values in groups.items():
        cells = [number(mean_and_sd(f.get(name) for f in values), 3) if name in values[0] else "" for name in columns]
        size = "all" if tokens == ALL else f"{tokens:,}"
        rows.append([part, "varied" if varied else "as it is", size, way, f"{steps:,}", *cells, str(len(values))])
    documents.fill(DOCUMENT, "results", documents.table(header, rows, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for data")
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--small-teacher", type=Path)
    parser.add_argument("--sm", default="en_core_web_sm", help="name of the package")
    parser.add_argument("--only", nargs="+", default=list(PARTS), metavar="PART")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="number of training steps; by default, it fits the data")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--list", action="store_true", help="print the trainings, and which are done")
    parser.add_argument("--report", action="store_true", help="write the tables of the stored results")
    args = parser.parse_args()
    if args.report:
        report(args.results)
        return
    done = store.read(args.results)
    for run in runs(args.only, args.seeds, args.small_teacher is not None):
        if args.list:
            print(run.key, "done" if run.key in done else "")
        elif run.key not in done:
            result = perform(run, Data(args.work, args), args.steps)
            store.add(args.results, result)
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
