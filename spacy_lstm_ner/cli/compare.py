"""The command `python -m spacy lstm-ner compare`."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Optional

import typer
from spacy.cli._util import parse_config_overrides
from spacy.cli.init_config import init_config
from spacy.training.corpus import FILE_TYPE
from spacy.util import is_package, load_config
from wasabi import msg

from ..files import write_atomically
from ..report.comparison import HEADER, Contestant, Step, cells, figures, measure, train
from .app import app, exit_on_error, print_numbers, write_json
from .progress import progress

SPACYS = "spaCy's ner"


@app.command("compare", context_settings={"ignore_unknown_options": True})
def compare_cli(
    given: Annotated[
        list[str], typer.Argument(metavar="CONFIG_OR_PIPELINE...", help="Configs to train with; trained pipelines")
    ],
    dev: Annotated[Path, typer.Option("--dev", "-d", help="Annotated data to score and to measure on")],
    train_path: Annotated[Optional[Path], typer.Option("--train", "-t", help="Training data, for configs")] = None,
    ner: Annotated[bool, typer.Option("--ner", help="Also train spaCy's ner, with its efficiency config")] = False,
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of spaCy's ner")] = "en",
    outputs: Annotated[
        Optional[list[Path]], typer.Option("--output", "-o", help="File for the table: .md or .json; can be repeated")
    ] = None,
    keep: Annotated[
        Optional[Path], typer.Option("--keep", "-k", help="Folder for the trained pipelines; by default, not kept")
    ] = None,
    code_path: Annotated[
        Optional[Path], typer.Option("--code", "-c", help="Python file with functions to register, imported first")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each pipeline")] = 3,
    samples: Annotated[int, typer.Option("--samples", min=100, help="Number of samples of the bootstrap")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap")] = 0,
) -> None:
    """Train configs, or load pipelines, and compare F1, speed, training time, size and memory.

    Each training and each turn is a process of its own with one thread. Pipelines take turns, and the speed is the
    median. Override settings of all configs with options such as --training.max_steps 1000.
    """
    with exit_on_error("Cannot compare"), tempfile.TemporaryDirectory() as temporary:
        names, overrides = _divide(given)
        _check_files(dev, outputs or [], [own for own in (train_path, code_path) if own is not None])
        contestants = _contestants(names, keep or Path(temporary))
        if ner:
            contestants.append(_spacys_ner(lang, Path(temporary), keep or Path(temporary)))
        to_train = [own for own in contestants if own.config is not None]
        more = [*overrides, *([] if code_path is None else ["--code", str(code_path)])]
        if to_train:
            train_path = _check_training(to_train, train_path, dev, overrides)
        with _steps(len(to_train) + rounds * len(contestants)) as step:
            for own in to_train:
                with step(f"training {own.name}"):
                    train(own, (train_path or dev, dev), more)
            measure(contestants, dev, rounds, code_path, step)
        rows = figures(contestants, samples, seed)
        data = {"train": str(train_path) if to_train else None, "dev": str(dev), "words": rows[0]["turns"][0]["words"]}
        table = [cells(row) for row in rows]
        for path in outputs or []:
            if path.suffix == ".json":
                write_json(path, {**data, "samples": samples, "seed": seed, "rows": rows})
            else:
                write_atomically(path, _markdown(table).encode("utf-8"))
    print_numbers(*_turned(table), f"On {dev.name}, {data['words']:,} words, one thread, turns: {rounds}")
    if keep is not None and to_train:
        msg.good(f"Trained pipelines are in {keep}")


def _divide(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell what to compare from settings such as `--training.max_steps 1000`, which may stand anywhere."""
    names: list[str] = []
    overrides: list[str] = []
    for word in given:
        is_value = bool(overrides) and overrides[-1].startswith("--") and "=" not in overrides[-1]
        (overrides if word.startswith("--") or is_value else names).append(word)
    return names, overrides


def _check_files(dev: Path, outputs: Sequence[Path], others: Sequence[Path]) -> None:
    """Find what is wrong before hours of training."""
    for path in (dev, *others):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
    for path in outputs:
        if path.suffix not in (".md", ".json"):
            raise ValueError(f"expected --output with a name that ends in .md or .json, found {path}")


def _contestants(names: Sequence[str], folder: Path) -> list[Contestant]:
    found: list[Contestant] = []
    for number, name in enumerate(names, start=1):
        path = Path(name)
        if not path.exists() and not is_package(name):
            raise FileNotFoundError(f"{name}: there is no such config, folder or package")
        if path.is_file():
            found.append(Contestant(name, str(folder / f"{number}-{path.stem}" / "model-best"), path))
        else:
            found.append(Contestant(name, name))
    return found


def _spacys_ner(lang: str, temporary: Path, folder: Path) -> Contestant:
    config = temporary / "ner.cfg"
    init_config(lang=lang, pipeline=["ner"], optimize="efficiency").to_disk(config)
    return Contestant(SPACYS, str(folder / "spacy-ner" / "model-best"), config)


def _check_training(to_train: Sequence[Contestant], train_path: Optional[Path], dev: Path, options: list[str]) -> Path:
    """Find what is wrong with the data and the configs. Returns the training data."""
    if train_path is None:
        raise ValueError(f"{to_train[0].name} is a config: give the data to train with by --train")
    for path in (train_path, dev):
        if not path.is_dir() and path.suffix != FILE_TYPE:
            raise ValueError(f"{path}: expected a {FILE_TYPE} file to train with; make one with spacy lstm-ner convert")
    for own in to_train:
        try:
            load_config(str(own.config), overrides=parse_config_overrides(options), interpolate=False)
        except (ValueError, UnicodeDecodeError) as error:
            raise ValueError(f"{own.name} is no config: {error}") from error
        if Path(own.model).parent.exists():
            raise ValueError(f"{Path(own.model).parent}: exists already. Name another folder with --keep, or remove it")
    return train_path


@contextmanager
def _steps(total: int) -> Iterator[Step]:
    """A progress bar. Yields a function that makes a block for a step with a name."""
    with progress("Comparing", total=total) as bar:

        @contextmanager
        def step(name: str) -> Iterator[None]:
            bar.set_postfix_str(name)
            yield
            bar.update()

        yield step


def _turned(table: Sequence[Sequence[str]]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The table for the terminal, which is narrow: a column for each pipeline, whose names lose the same start.

    Returns the rows without those that say nothing, and the header.
    """
    names, *columns = zip(*table, strict=True)
    folders = [Path(name).parent.parts for name in names if Path(name).exists()]
    levels = takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False))
    same = sum(1 for _ in levels) if len(folders) > 1 else 0
    short = [str(Path(*Path(name).parts[same:])) if Path(name).exists() else name for name in names]
    rows = [(title, *cells) for title, cells in zip(HEADER[1:], columns, strict=True) if any(c != "-" for c in cells)]
    return rows, ("", *short)


def _markdown(table: Sequence[Sequence[str]]) -> str:
    lines = [HEADER, ("---", *("---:" for _ in HEADER[1:])), *table]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
