"""The command `python -m spacy lstm-ner teach`."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.cli._util import parse_config_overrides
from wasabi import msg

from ..teach.limits import Limits
from .app import app, exit_on_error, print_numbers
from .options import parse_columns

ROWS = {"teacher": "teacher", "student": "student", "gold-alone": "student from gold alone"}


@app.command("teach")
def teach_cli(
    teacher: Annotated[
        str, typer.Argument(metavar="TEACHER", help="Pipeline that finds entities, or a file of texts with spans")
    ],
    places: Annotated[
        list[Path], typer.Argument(metavar="[TEXTS] OUT", help="Raw texts, unless TEACHER is a file; and a folder")
    ],
    dev: Annotated[Path, typer.Option("--dev", "-d", help="Annotated data to compare on")],
    gold: Annotated[Optional[Path], typer.Option("--gold", "-g", help="Annotated data to train on as well")] = None,
    config: Annotated[
        Optional[Path], typer.Option("--config", help="Training config; by default, what init-config writes")
    ] = None,
    labels: Annotated[
        str, typer.Option("--labels", help="Labels of the student, such as PERSON=PER,GPE=LOC,DATE= to drop DATE")
    ] = "",
    limits: Annotated[
        str, typer.Option("--limits", help="Trust limits of scores, such as 0.2,0.7; by default, found on gold")
    ] = "",
    level: Annotated[
        float, typer.Option("--level", min=0.5, max=1.0, help="How often spans beyond the limits are right on gold")
    ] = 0.9,
    gold_weight: Annotated[
        Optional[int], typer.Option("--gold-weight", min=1, help="How often gold is read; by default, by the sizes")
    ] = None,
    noisy: Annotated[
        bool, typer.Option("--noisy", help="Many spans of the teacher are wrong: students correct them first")
    ] = False,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the texts, unless --config names it")] = "en",
    columns: Annotated[
        str, typer.Option("--columns", "-c", help="Fields of TEXTS by their meaning, such as text=body,id=key")
    ] = "",
    workers: Annotated[int, typer.Option("--workers", "-w", min=0, help="Processes; 0: one on each core")] = 0,
    timeout: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds of the teacher for a text")] = 60.0,
    code: Annotated[Optional[Path], typer.Option("--code", help="Python file that the teacher needs")] = None,
) -> None:
    """Teach a small pipeline what a large one knows.

    The teacher annotates raw texts. Spans that it is unsure of count as missing annotation; of another lstm_ner with
    the same labels, the student learns the probabilities. Killed and started again, the command goes on.
    """
    with exit_on_error(f"Cannot teach with {teacher}"):
        from ..batch.job import terminal
        from ..teach.job import Job, Lesson

        texts, output = _places(teacher, places)
        job = {"workers": workers, "timeout": timeout, "columns": parse_columns(columns), "code": code}
        # As for `spacy train`, the environment may have settings: SPACY_CONFIG_OVERRIDES="--training.max_steps 1000".
        known = (_pairs(labels), _limits(limits), level, gold_weight, noisy, lang, parse_config_overrides([]), job)
        try:
            found = Job(Lesson(teacher, texts, output, dev, gold, config, *known), msg.info).run(terminal())
        except KeyboardInterrupt:
            msg.warn("Interrupted: start the command again to go on", exits=130)
        except RuntimeError as error:
            raise ValueError(f"{error}. What is done stays: start the command again to go on") from error
    best = found["teacher"]["f1"]
    rows = []
    for name, title in ROWS.items():
        if name in found:
            f1, speed = found[name]["f1"], found[name]["speed"]
            kept = f"{f1 / best:.0%}" if best and f1 is not None else "–"
            rows.append((title, _number(f1, ".3f"), kept, _number(speed, ",.0f")))
    print_numbers(rows, ("", "F1 on dev", "of the teacher's", "words/s"), f"{output}")
    msg.good(f"The student is {output / 'student' / 'model-best'}")


def _places(teacher: str, places: list[Path]) -> tuple[Optional[str], Path]:
    """The texts and the folder."""
    if Path(teacher).is_file() != (len(places) == 1) or len(places) > 2:
        raise ValueError(
            "expected TEACHER TEXTS OUT for a pipeline, or TEACHER OUT if it is a file of texts with spans, found "
            f"{' '.join([teacher, *map(str, places)])}"
        )
    return None if len(places) == 1 else str(places[0]), places[-1]


def _pairs(given: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in given.split(",") if part]
    labels = {name.strip(): value.strip() for name, _, value in pairs}
    if not all(equals for _, equals, _ in pairs) or "" in labels or len(labels) < len(pairs):
        raise ValueError(f"expected --labels such as PERSON=PER,DATE=, each label once, found {given!r}")
    return labels


def _limits(given: str) -> Optional[Limits]:
    if not given:
        return None
    try:
        low, high = map(float, given.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not low <= high:
        raise ValueError(f"expected --limits LOW,HIGH such as 0.2,0.7, found {given!r}")
    return Limits(low, high)


def _number(value: Optional[float], form: str) -> str:
    return "–" if value is None else format(value, form)
