"""The logger `spacy-lstm-ner.Logger.v1`: spaCy's table, a line of JSON for each evaluation, and the curves at the end.

A line of the file:

    {"step": 120, "epoch": 2, "words": 61803, "seconds": 14, "losses": {"lstm_ner": 913.2}, "score": 0.71,
     "scores": {"ents_f": 0.71, "ents_p": 0.74, "ents_r": 0.68, "ents_per_type": {"per": {"p": 0.8, ...}}}}
"""

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Optional, TextIO, Tuple, Union

from spacy.language import Language
from spacy.training.loggers import console_logger_v3

from ..files import write_atomically

_NAME = "spacy-lstm-ner.Logger.v1"
LOG, CURVES = "log.jsonl", "curves.svg"
"""The files of `spacy lstm-ner train`, beside the pipelines."""
LogStep = Callable[[Optional[Dict[str, Any]]], None]
Setup = Callable[[Language, IO[str], IO[str]], Tuple[LogStep, Callable[[], None]]]


# The file has the name that it has in spaCy's loggers, so that `spacy lstm-ner train --resume` moves it aside.
def create_logger(
    output_file: Union[str, Path],
    figure: Union[str, Path, None] = None,
    progress_bar: Optional[str] = None,
    console_output: bool = True,
) -> Setup:
    """Create the logger `spacy-lstm-ner.Logger.v1`.

    Args:
        output_file (Union[str, Path]): The file for one line of JSON an evaluation. It must not exist when
            training starts.
        figure (Union[str, Path, None]): The SVG file for the curves of losses and scores, drawn when training ends.
            It needs matplotlib, the extra `report`. None: no figure.
        progress_bar (Optional[str]): "train" or "eval" for the progress bar of spaCy's console logger.
        console_output (bool): Whether to print spaCy's table.

    Returns:
        Setup: The function that spaCy's training loop calls with the pipeline, stdout and stderr.

    Raises:
        ImportError: If there is a figure to draw, and matplotlib is missing.
    """
    if figure is not None and find_spec("matplotlib") is None:
        raise ImportError(
            f"{_NAME}: the figure needs matplotlib, which is missing; install the extra: "
            "pip install 'spacy-lstm-ner[report]', or leave figure out"
        )
    set_up_console = console_logger_v3(progress_bar, console_output)

    def set_up(
        nlp: Language, stdout: IO[str] = sys.stdout, stderr: IO[str] = sys.stderr
    ) -> Tuple[LogStep, Callable[[], None]]:
        file = _open_new(Path(output_file))
        log_console, finish_console = set_up_console(nlp, stdout, stderr)
        shown = [name for name, weight in nlp.config["training"]["score_weights"].items() if weight is not None]
        rows: List[Dict[str, Any]] = []

        def log_step(info: Optional[Dict[str, Any]]) -> None:
            if info is not None:
                rows.append(_row(info))
                print(json.dumps(rows[-1], allow_nan=False), file=file, flush=True)
            log_console(info)

        def finish() -> None:
            file.close()
            finish_console()
            if figure is not None and rows:
                write_atomically(Path(figure), draw_curves(rows, shown))

        return log_step, finish

    return set_up


def logger_of_run(chosen: Mapping[str, Any], output: Path) -> Dict[str, Any]:
    """Choose the logger of `spacy lstm-ner train`: this one in place of spaCy's console logger, which it also runs.

    Args:
        chosen (Mapping[str, Any]): The block [training.logger] of the config.
        output (Path): The folder for the pipelines.

    Returns:
        Dict[str, Any]: The block to use. It is the chosen one if that is another logger, or writes a file already.
    """
    name = str(chosen.get("@loggers", ""))
    if not name.startswith("spacy.ConsoleLogger.") or chosen.get("output_file"):
        return dict(chosen)
    kind = chosen.get("progress_bar") or "train"
    return {
        "@loggers": _NAME,
        "output_file": str(output / LOG),
        "figure": str(output / CURVES) if find_spec("matplotlib") else None,
        # A bool in the first two versions of spaCy's logger. Without a terminal there is no bar.
        "progress_bar": "eval" if kind is True else kind,
        "console_output": chosen.get("console_output", True),
    }


def _open_new(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return open(path, "x", encoding="utf-8")
    except FileExistsError:
        raise ValueError(
            f"{_NAME}: output_file is {path}, which is the log of an earlier run. Name another file, or remove it"
        ) from None


def _row(info: Mapping[str, Any]) -> Dict[str, Any]:
    """What is logged of an evaluation."""
    names = {"losses": "losses", "score": "score", "scores": "other_scores"}
    counts = {key: info[key] for key in ("step", "epoch", "words", "seconds")}
    return {**counts, **{key: _plain(info[name]) for key, name in names.items()}}


def _plain(value: Any) -> Any:
    """A value as JSON knows it. Numbers may be of NumPy or CuPy. NaN and infinity become null, other objects text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(own) for own in value]
    try:
        number = float(value)
    except (TypeError, ValueError):
        # A score of someone's own component. It is no reason to end training.
        return str(value)
    return number if math.isfinite(number) else None


def read_log(path: Path) -> List[Dict[str, Any]]:
    """Read the lines that the logger wrote.

    Args:
        path (Path): The file.

    Returns:
        List[Dict[str, Any]]: A dict for each evaluation.

    Raises:
        ValueError: If a line is none of the logger.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            row = json.loads(line)
            rows.append({key: row[key] for key in ("step", "epoch", "words", "seconds", "losses", "score", "scores")})
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}:{number}: expected a line of {_NAME}, found {line[:40]!r}") from None
    return rows


def losses_per_word(rows: Sequence[Mapping[str, Any]]) -> List[Dict[str, Optional[float]]]:
    """Divide the losses of each evaluation by the words since the one before. Only then can they be compared.

    Args:
        rows (Sequence[Mapping[str, Any]]): The lines of the file.

    Returns:
        List[Dict[str, Optional[float]]]: The losses of each line by component. None where they are not finite.
    """
    found, before = [], 0
    for row in rows:
        words = max(row["words"] - before, 1)
        found.append({name: None if loss is None else loss / words for name, loss in row["losses"].items()})
        before = row["words"]
    return found


def draw_curves(rows: Sequence[Mapping[str, Any]], scores: Sequence[str]) -> bytes:
    """Draw the loss per word and the scores by step, side by side. It needs matplotlib, the extra `report`.

    Args:
        rows (Sequence[Mapping[str, Any]]): The lines of the file, at least one.
        scores (Sequence[str]): The scores to draw. Those that are no numbers are left out.

    Returns:
        bytes: An SVG image.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses = losses_per_word(rows)
    names = sorted({name for own in losses for name in own})
    steps = [row["step"] for row in rows]
    _draw(left, {name: [(step, own.get(name)) for step, own in zip(steps, losses, strict=True)] for name in names})
    _draw(right, {name: [(row["step"], row["scores"].get(name)) for row in rows] for name in scores})
    left.set(xlabel="step", ylabel="loss per word")
    right.set(xlabel="step", ylabel="score on dev", ylim=(0, 1))
    return to_svg(figure, "Losses and scores by step")


def to_svg(figure: Any, title: str) -> bytes:
    """Save a figure of matplotlib as an SVG image, without the date, so that equal figures are equal files."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Title": title})
    return file.getvalue()


def _draw(axes: Any, curves: Mapping[str, Sequence[Tuple[int, Any]]]) -> None:
    for name, points in curves.items():
        numbers = [(step, value) for step, value in points if isinstance(value, (int, float))]
        if numbers:
            axes.plot(*zip(*numbers, strict=True), label=name, marker=".")
    if axes.lines:
        axes.legend(loc="best", frameon=False)
    axes.grid(alpha=0.3)
