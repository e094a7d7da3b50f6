"""From a teacher and raw texts to a student, in a folder in which a job that was killed goes on.

The folder has `rows/` (what the teacher said, see `batch`), `silver/` (docs to train on), the configs and trained
pipelines of the students in `student/` and `gold-alone/`, `manifest.json` (what the result depends on), and
`figures.json`. If the teacher is often wrong, `half-0/` and `half-1/` have the docs, `judge-0/` and `judge-1/` the
students that correct them, and `corrected/` the result.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, log
from pathlib import Path
from typing import Any, Optional, TextIO
from zlib import crc32

from spacy.language import DEFAULT_CONFIG, Language
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import DIR_MODEL_BEST
from spacy.util import load_config, load_config_from_str, minibatch
from thinc.api import Config

from ..annotation.gold import have_same_tokens
from ..batch.job import annotate
from ..batch.worker import Annotator
from ..batch.worker import Job as Batch
from ..data.annotated_file import Record
from ..data.corpora import open_corpus, pack_docs
from ..data.facts import count_facts
from ..data.languages import blank_pipeline
from ..data.reader import AnnotatedText, read_records
from ..data.span_policy import Problems
from ..data.taught import text_key
from ..files import MANIFEST, check_folder, check_manifest, checksum, locked, write_atomically
from ..pipeline.component import LSTMEntityRecognizer, find_component
from ..training.loop import train
from ..training.recipe import choose, make_config, put_reader
from ..training.resume import find_resumption, restore_output
from .limits import LEAST_SPANS, Judged, Limits, calibrate, right_share
from .silver import DOCS_AT_ONCE, GROUP, Silver, write_distributions
from .teacher import Found, find, look_up, tolerant

ROWS = "rows"
READER = "spacy-lstm-ner.TaughtCorpus.v1"
SHARE_OF_GOLD = 0.5
SHARE_OF_STEPS = 0.4
"""The training steps of a student that corrects annotation. Later, it would know what is wrong by heart."""
LEAST_GOLD = 4
"""The most silver tokens for each gold token that is read."""


@dataclass(frozen=True)
class Lesson:
    """What a student is to learn, and from whom.

    Attributes:
        teacher (str): A pipeline (a folder or a package), or a file of texts with spans.
        texts (Optional[str]): Raw texts for a pipeline, see `batch`. None for a file.
        output (Path): The folder.
        dev (Path): Annotated data to choose and compare pipelines on.
        gold (Optional[Path]): Annotated data to train on.
        config (Optional[Path]): The training config; None for what `init-config` writes.
        labels (Mapping[str, str]): The label of the student for a label of the teacher; empty for none.
        limits (Optional[Limits]): The trust limits; None to calibrate them on gold, or for the default ones.
        level (float): How often spans beyond the calibrated limits must be right or wrong.
        gold_weight (Optional[int]): How often each gold doc is read; None to go by the sizes.
        noisy (bool): Whether many of the teacher's spans are wrong, so that students correct them first.
        lang (str): The language, unless the config names it.
        overrides (Mapping[str, Any]): Settings that replace those of the config, by dotted name.
        job (Mapping[str, Any]): More arguments of `batch.job.annotate`.
    """

    teacher: str
    texts: Optional[str]
    output: Path
    dev: Path
    gold: Optional[Path] = None
    config: Optional[Path] = None
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Optional[Limits] = None
    level: float = 0.9
    gold_weight: Optional[int] = None
    noisy: bool = False
    lang: str = "en"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)


class Job:
    """A lesson that is being taught.

    Args:
        lesson (Lesson): The lesson.
        say (Callable[[str], None]): Called with what users should know.

    Raises:
        ValueError: If the config or the data cannot be used.
    """

    def __init__(self, lesson: Lesson, say: Callable[[str], None]) -> None:
        self.lesson, self.say, self.path = lesson, say, lesson.output / "figures.json"
        self.figures: dict[str, Any] = {}
        config = None if lesson.config is None else _read_config(lesson.config)
        self.base: Optional[Config] = config
        self.nlp = blank_pipeline(lesson.lang if config is None else config["nlp"]["lang"])
        if lesson.noisy and config is not None and not _own_components(config):
            found = ", ".join(config["components"])
            raise ValueError(f'{lesson.config}: --noisy needs a component with factory = "lstm_ner", found {found}')
        self.gold = [] if lesson.gold is None else self._docs(lesson.gold)
        self.dev = self._docs(lesson.dev)

    def _docs(self, path: Path) -> list[Doc]:
        docs = [example.reference for example in open_corpus(path)(self.nlp)]
        if not any(doc.has_annotation("ENT_IOB") for doc in docs):
            raise ValueError(f"{path}: expected annotated docs, found none among {len(docs)}")
        return docs

    @cached_property
    def annotator(self) -> Optional[Annotator]:
        """The teacher; None if it is a file."""
        code = self.lesson.job.get("code")
        return None if Path(self.lesson.teacher).is_file() else _annotator(self.lesson.teacher, code)

    def run(self, progress: Optional[TextIO] = None) -> dict[str, Any]:
        """Do what is not done yet.

        Args:
            progress (Optional[TextIO]): Where to show the progress of the teacher.

        Returns:
            dict[str, Any]: The figures of the teacher and the students.

        Raises:
            ValueError: If the teacher finds nothing, its labels are not those of gold, or it is wrong too often; or if
                the folder has something else, or another job with this folder runs.
        """
        check_folder(self.lesson.output, [ROWS])
        with locked(self.lesson.output):
            return self._run(progress)

    def _run(self, progress: Optional[TextIO]) -> dict[str, Any]:
        lesson, folder = self.lesson, self.lesson.output
        manifest = self._manifest()
        if (folder / MANIFEST).exists():
            check_manifest(folder, manifest)
            self.figures = json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}
        if lesson.texts is not None:
            done = annotate(lesson.texts, lesson.teacher, folder / ROWS, text=True, progress=progress, **lesson.job)
            if bad := sum(done.bad.values()):
                self.say(f"{bad} of {done.rows} texts were not annotated, see {folder / ROWS}/bad-*.jsonl")
        is_complete, has_scores = self._check_labels()
        limits = self._limits() if has_scores and "limits" not in self.figures else None
        # Before the first thing that depends on the lesson is written, and after its errors.
        check_manifest(folder, manifest, [ROWS])
        if limits is not None:
            self._note("limits", limits)
        component = self._component() if is_complete and not lesson.noisy else None
        limits = Limits(*self.figures.get("limits", Limits()))
        teacher = None if component is None or self.annotator is None else self.annotator.nlp
        silver, problems = Silver(self.nlp, lesson.labels, limits, is_complete, teacher, component), Problems()
        # A judge has learned gold, so it would agree too well with silver that has its texts.
        known, docs = ("--dev or --gold", [*self.dev, *self.gold]) if lesson.noisy else ("--dev", self.dev)
        held_out = {text_key(doc.text) for doc in docs}
        texts = (record for record in self.records() if text_key(record.text) not in held_out)
        written = silver.write(texts, folder / "silver", problems)
        if not any((folder / "silver").glob("*.spacy")):
            raise ValueError(f"all texts are in {known} too, so none is left to learn from. Give other texts")
        if written["doubt"]:
            self.say(f"Silver: {written['doubt']} of {written['tokens']} tokens are in doubt, and so missing")
        if problems.found:
            self.say("; ".join(f"{kind}: {found.count}" for kind, found in problems.found.items()) + " of silver spans")
        if "teacher" not in self.figures:
            self._note("teacher", self._scored(self._found(self.dev)))
        learned = self.corrected(folder / "silver") if lesson.noisy else folder / "silver"
        self._learn("student", learned, self._gold_with(component), component)
        if lesson.gold is not None:
            self._learn("gold-alone", None, lesson.gold, None)
        return self.figures

    def _manifest(self) -> dict[str, Any]:
        """What the result depends on, and rows/ does not: it has a manifest of its own."""
        lesson = self.lesson
        names = ("labels", "limits", "level", "gold_weight", "noisy", "lang", "overrides")
        code, teacher = lesson.job.get("code"), Path(lesson.teacher)
        said = teacher if teacher.is_file() else None
        files = {"teacher": said, "gold": lesson.gold, "dev": lesson.dev, "config": lesson.config, "code": code}
        settings = {name: getattr(lesson, name) for name in names}
        settings |= {name: path and checksum(Path(path)) for name, path in files.items()}
        found: dict[str, Any] = json.loads(json.dumps(settings))
        return found

    def corrected(self, silver: Path) -> Path:
        """Let two students correct silver annotation, each the half that it was not trained on.

        Args:
            silver (Path): The silver corpus.

        Returns:
            Path: The corpus with distributions, see `write_distributions`.

        Raises:
            ValueError: If there are too few texts.
        """
        halves, folder = self._halves(silver), self.lesson.output / "corrected"
        for k, half in enumerate(halves):
            name, parts = f"judge-{k}", {path: folder / f"{k}-{path.name}" for path in sorted(half.glob("*.spacy"))}
            missing = [path for path, target in parts.items() if not target.exists()]
            if not missing:
                continue
            self._learn(name, halves[1 - k], self.lesson.gold, None, SHARE_OF_STEPS)
            judge, f1 = _annotator(str(self.lesson.output / name / DIR_MODEL_BEST)), self.figures[name]["f1"]
            component, sample = find_component(judge.nlp.pipeline), self._read(min(parts))
            share = right_share(find(judge, sample).f1(sample), f1)
            self.say(
                f"About {share:.0%} of the spans of {half.name} are right"
                if f1
                else f"{name} is never right on dev, and so corrects little of {half.name}. More steps may help"
            )
            for path in missing:
                docs = self._read(path)
                for some in minibatch(docs, DOCS_AT_ONCE):
                    write_distributions(judge.nlp, component, some, {}, evidence=log(share / (1.0 - share)))
                write_atomically(parts[path], pack_docs(docs, user_data=True))
        return folder

    def _halves(self, silver: Path) -> list[Path]:
        """Divide a corpus. Docs with the same text are in the same half."""
        halves = [self.lesson.output / f"half-{k}" for k in range(2)]
        for part, path in enumerate(sorted(silver.glob("*.spacy"))):
            if (halves[1] / path.name).exists():
                continue
            docs = self._read(path)
            numbers = [crc32(text_key(doc.text).encode("utf-8")) % 2 for doc in docs]
            if part == 0 and len({*numbers}) < 2:
                raise ValueError("--noisy divides the texts into two halves, and one has none. Give more texts")
            for k, half in enumerate(halves):
                own = (doc for doc, number in zip(docs, numbers, strict=True) if number == k)
                write_atomically(half / path.name, pack_docs(own, user_data=True))
        return halves

    def _read(self, path: Path) -> list[Doc]:
        return list(DocBin().from_disk(path).get_docs(self.nlp.vocab))

    def _gold_with(self, component: Optional[LSTMEntityRecognizer]) -> Optional[Path]:
        """Gold for the student. Where it can learn the distribution of the teacher, half of it is mixed in.

        So what people annotated stays the most probable answer, and the student learns which others are near.
        """
        path = self.lesson.output / "gold.spacy"
        if component is None or self.lesson.gold is None or self.annotator is None:
            return self.lesson.gold
        if not path.exists():
            nlp, labels = self.annotator.nlp, self.lesson.labels

            def write(docs: Sequence[Doc]) -> Sequence[Doc]:
                write_distributions(nlp, component, docs, labels, SHARE_OF_GOLD)
                return docs

            for docs in minibatch(self.gold, DOCS_AT_ONCE):
                tolerant(write, docs)
            write_atomically(path, pack_docs(self.gold, user_data=True))
        return path

    def records(self) -> Iterator[Record]:
        """What the teacher says of the texts."""
        if self.lesson.texts is None:
            return read_records(Path(self.lesson.teacher))
        parts = sorted((self.lesson.output / ROWS).glob("part-*.jsonl"))
        return (record for part in parts if part.stat().st_size for record in read_records(part, "json"))

    def _note(self, name: str, value: Any) -> None:
        self.figures[name] = value
        write_atomically(self.path, json.dumps(self.figures, indent=1).encode("utf-8"))

    def _check_labels(self) -> tuple[bool, bool]:
        """Whether the teacher knows all labels of gold, and whether it has scores."""
        labels, given, has_scores = self.lesson.labels, set[str](), False
        for record in self.records():
            for span in record.spans:
                given.add(span.label)
                has_scores |= span.score is not None
                if span.score is not None and not 0.0 <= span.score <= 1.0 + 1e-6:
                    raise ValueError(
                        f"{record.place}: expected scores from 0 to 1, found {span.score:g}. Scale the scores first"
                    )
        found = {labels.get(label, label) for label in given} - {""}
        if not found:
            raise ValueError(
                f"{self.lesson.teacher}: the teacher finds no entity in the texts, so there is nothing to learn. Check "
                "that it writes doc.ents, that the texts are in its language, and that --labels does not drop all"
            )
        if not has_scores:
            self.say("The teacher gives no scores: all of its spans count as entities, and all other text as none")
        own = {ent.label_ for doc in self.gold for ent in doc.ents}
        if unknown := sorted(found - own) if own else []:
            raise ValueError(
                f"the teacher has labels that gold does not have: {', '.join(unknown)}; those of gold are "
                f"{', '.join(sorted(own))}. Map or drop them, such as --labels {unknown[0]}={min(own)} or "
                f"--labels {unknown[0]}="
            )
        pipes = [] if self.annotator is None else [pipe for _, pipe in self.annotator.nlp.pipeline]
        given.update(label for pipe in pipes for label in getattr(pipe, "labels", ()))
        if unused := sorted(set(labels) - given):
            self.say(f"The teacher has no {', '.join(unused)} of --labels; it has {', '.join(sorted(given))}")
        if silent := sorted(own - {labels.get(label, label) for label in given}):
            self.say(
                f"The teacher does not find {', '.join(silent)}: where it finds nothing, silver counts as missing, and "
                "not as no entity"
            )
        return not silent, has_scores

    def _component(self) -> Optional[LSTMEntityRecognizer]:
        """The component of a teacher whose distribution the student can learn; None if it is of another kind."""
        if self.annotator is None:
            return None
        nlp = self.annotator.nlp
        finders = [pipe for name, pipe in nlp.pipeline if "doc.ents" in nlp.get_pipe_meta(name).assigns]
        return finders[0] if len(finders) == 1 and isinstance(finders[0], LSTMEntityRecognizer) else None

    def _found(self, docs: list[Doc]) -> Found:
        """What the teacher finds in annotated docs."""
        if self.annotator is None:
            return look_up(Path(self.lesson.teacher), docs, self.lesson.labels)
        found = find(self.annotator, docs, self.lesson.labels)
        if found.failed:
            self.say(f"The teacher raised an error on {found.failed} of {len(docs)} annotated docs")
        return found

    def _limits(self) -> Limits:
        if self.lesson.limits is not None:
            return self.lesson.limits
        if self.lesson.noisy:
            return Limits(0.0, 0.0)
        found = self._found(self.gold).judged(self.gold)
        judged = [Judged(score, *truth) for score, *truth in found if score is not None]
        if len(judged) < LEAST_SPANS:
            default = Limits()
            few = (
                f"The teacher has {len(judged)} spans with scores on gold, which are too few"
                if self.gold
                else "No gold"
            )
            self.say(f"{few}: the trust limits are {default.low} and {default.high}")
            return default
        limits = calibrate(judged, self.lesson.level)
        self.say(f"Trust limits on gold: {limits.low:.3f} and {limits.high:.3f}")
        return limits

    def _scored(self, found: Found) -> dict[str, Any]:
        return {"f1": found.f1(self.dev), "speed": found.words / found.seconds if found.seconds else None}

    def _learn(
        self,
        name: str,
        silver: Optional[Path],
        gold: Optional[Path],
        component: Optional[LSTMEntityRecognizer],
        share_of_steps: float = 1.0,
    ) -> None:
        """Train a student, unless it is there."""
        if name in self.figures:
            return
        folder = self.lesson.output / name
        config = self._config(silver, gold)
        if share_of_steps < 1.0:
            shorten(config, share_of_steps)
        write_atomically(folder / "config.cfg", config.to_str(interpolate=False).encode("utf-8"))
        restore_output(folder)
        resumption = find_resumption(folder, config, self.say)
        nlp = init_nlp(config) if resumption is None else resumption.nlp
        if share_of_steps < 1.0:
            self._check_tokens(nlp)
        students = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, LSTMEntityRecognizer)]
        if component is not None and all(pipe.tagger.scheme != component.tagger.scheme for pipe in students):
            self.say("The student has another tag scheme than the teacher, or no lstm_ner: it learns only the spans")
        train(nlp, folder, config, every=500, resumption=resumption)
        self._note(name, self._scored(find(_annotator(str(folder / DIR_MODEL_BEST)), self.dev)))

    def _check_tokens(self, nlp: Language) -> None:
        """Students learn distributions only from docs that have the same tokens, see `read_soft`."""
        for doc in self.dev:
            if not have_same_tokens(nlp.make_doc(doc.text), self.nlp.make_doc(doc.text)):
                raise ValueError(
                    f"{self.lesson.config}: --noisy needs the tokenizer of spacy.blank({self.nlp.lang!r}), found one "
                    f"that divides {doc.text[:40]!r} into other tokens. Remove nlp.tokenizer, or leave out --noisy"
                )

    def _config(self, silver: Optional[Path], gold: Optional[Path]) -> Config:
        """The config of a student, which `spacy train` can use too."""
        lesson = self.lesson
        facts = count_facts(self.gold)
        gold_tokens, weight, labels = facts.tokens, 1, set[str]()
        if silver is not None:
            for example in open_corpus(silver)(self.nlp):
                facts.add(example.reference)
                labels.update(span.label_ for span in example.reference.spans.get(GROUP, ()))
            silver_tokens = facts.tokens - gold_tokens
            weight = lesson.gold_weight or max(1, round(silver_tokens / LEAST_GOLD / max(gold_tokens, 1)))
        paths = {"train": None, "dev": str(lesson.dev), "vectors": None}
        config = self.base.copy() if self.base else make_config(choose(facts, False, "speed"), lesson.lang, paths)
        set_corpus(config, silver, gold, weight, labels.union(facts.labels))
        is_text = isinstance(open_corpus(lesson.dev), AnnotatedText)
        reader = "spacy-lstm-ner.AnnotatedText.v1" if is_text else "spacy.Corpus.v1"
        put_reader(config, "dev", {"@readers": reader, "path": str(lesson.dev)})
        return load_config_from_str(config.to_str(interpolate=False), dict(lesson.overrides), interpolate=False)


def set_corpus(
    config: Config, silver: Optional[Path], gold: Optional[Path], gold_weight: int, labels: Iterable[str]
) -> None:
    """Make a config train on gold and silver. If it ends by its steps, each epoch is augmented anew.

    Args:
        config (Config): The config. It is changed.
        silver (Optional[Path]): The silver corpus.
        gold (Optional[Path]): The gold corpus.
        gold_weight (int): How often each gold doc is read.
        labels (Iterable[str]): The labels. A corpus that is read anew does not tell them in advance, nor one whose
            spans are in doubt.
    """
    paths = {"silver": silver and str(silver), "gold": gold and str(gold)}
    put_reader(config, "train", {"@readers": READER, **paths, "gold_weight": gold_weight})
    names = _own_components(config)
    for name in names:
        settings = config.setdefault("initialize", {}).setdefault("components", {}).setdefault(name, {})
        settings.setdefault("labels", sorted(labels))
    if names and config["training"].get("max_epochs") == 0:
        config["training"]["max_epochs"] = -1


def _own_components(config: Config) -> list[str]:
    return [name for name, block in config["components"].items() if block.get("factory") == "lstm_ner"]


def shorten(config: Config, share: float) -> None:
    """Make a config train for a share of its steps, if it has a limit, and evaluate before they end.

    Args:
        config (Config): The config. It is changed.
        share (float): The share, above 0.
    """
    # The config may leave out these settings, or take them from others.
    settings = DEFAULT_CONFIG.merge(config).interpolate()["training"]
    steps, every = ceil(share * settings["max_steps"]), settings["eval_frequency"]
    config["training"].update(max_steps=steps, eval_frequency=min(every, steps or every))


def _annotator(model: str, code: Optional[Path] = None) -> Annotator:
    return Annotator(Batch(model, code=None if code is None else str(code)))


def _read_config(path: Path) -> Config:
    """Read a config, and find out what is wrong with it before the teacher annotates for hours."""
    config = load_config(path, interpolate=False)
    for section in ("nlp", "components", "corpora", "training"):
        if section not in config:
            raise ValueError(f"{path}: expected a training config, found no [{section}]. See init-config")
    set_corpus(config.copy(), path, None, 1, [])
    return config
