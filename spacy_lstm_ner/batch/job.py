"""A job: its manifest, what of it is done already, its progress, and its summary."""

import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Optional, TextIO, Union, overload

from spacy.util import get_package_path, is_package

from ..files import check_folder, check_manifest, checksum, locked, refuse_file, write_atomically
from .clusters import annotate_dataset, run_ray, run_spark
from .inputs import Chunk, find_inputs, open_source, require
from .local import run_local
from .worker import DIGITS, Job

SUMMARY = "summary.json"
ENGINES = {"local": run_local, "ray": run_ray, "spark": run_spark}
PACKAGES = {"ray": "ray", "spark": "pyspark"}
"""What engines need, which are also the names of extras."""
Paths = Union[str, Path, Sequence[Union[str, Path]]]


@dataclass
class Summary:
    """What a job has done, with what earlier runs of it have done.

    Attributes:
        parts (int): Parts of the output.
        rows (int): Rows of the input.
        bad (Counter[str]): Rows that could not be annotated, by kind of problem.
        resumed (int): Rows that an earlier run had done.
        words (int): Words of this run.
        seconds (float): Seconds of this run, without the time to look at its input.
    """

    parts: int = 0
    rows: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    words: int = 0
    seconds: float = 0.0


@overload
def annotate(data: Paths, model: Union[str, Path], output: Union[str, Path], **options: Any) -> Summary: ...


@overload
def annotate(data: Any, model: Union[str, Path], output: None = None, **options: Any) -> Any: ...


def annotate(
    data: Any,
    model: Union[str, Path],
    output: Optional[Union[str, Path]] = None,
    *,
    engine: str = "local",
    address: Optional[str] = None,
    workers: int = 0,
    format: str = "auto",
    part_rows: int = 2000,
    progress: Optional[TextIO] = None,
    **options: Any,
) -> Any:
    """Annotate the texts of files on several cores, and write rows to a folder. Or annotate a distributed data set.

    If the folder has parts of the same job, only what is missing is done.

    Args:
        data (Any): Files, folders or patterns, see `find_inputs`. Or a data set of Ray or a data frame of Spark, to
            which columns are added, see `annotate_dataset`.
        model (Union[str, Path]): A pipeline: a folder or an installed package.
        output (Optional[Union[str, Path]]): The folder to write to; None for a data set.
        engine (str): One of `ENGINES`, for files.
        address (Optional[str]): The address of a cluster of Ray or the master of one of Spark; None for this machine.
        workers (int): Processes; 0 for one on each core.
        format (str): The format of the input; auto to go by the suffixes.
        part_rows (int): Rows of a part of the output.
        progress (Optional[TextIO]): Where to show the progress.
        **options (Any): Fields of `Job`, from `output_format` on.

    Returns:
        Any: A `Summary` of what was done, and bad rows are in the files `bad-*.jsonl` of the folder. Or the data set.

    Raises:
        FileNotFoundError: If the model or the input is missing.
        ImportError: If a package is missing.
        ValueError: If an argument is out of range, the folder has something else than parts of this job, or another
            job with this folder runs.
        RuntimeError: If the job cannot go on, because the disk is full for example. It can be started again.
    """
    if engine not in ENGINES:
        raise ValueError(f"expected an engine among {', '.join(ENGINES)}, found {engine!r}")
    if engine in PACKAGES:
        require(PACKAGES[engine], engine)
    if workers < 0 or part_rows < 1:
        raise ValueError(f"expected workers of 0 or more and part_rows above 0, found {workers} and {part_rows}")
    place = _model_folder(str(model))
    options["code"] = str(options["code"]) if options.get("code") else None
    if output is None:
        return annotate_dataset(data, Job(_to_load(model, place.resolve()), **options), workers)
    folder = Path(output)
    files, kind = find_inputs(data, format)
    _check_apart(folder, data, files)
    job = Job(_to_load(model, place), str(folder), kind, **options)
    _show(progress, "Reading the input, to cut it into parts")
    try:
        chunks, inputs = _plan(files, job, part_rows)
    finally:
        _show(progress, "")
    check_folder(folder)
    refuse_file(job.aside)
    with locked(folder):
        check_manifest(folder, _manifest(job, place, inputs, part_rows, len(chunks)))
        summary = Summary(len(chunks), sum(chunk.rows for chunk in chunks))
        # Workers write parts with deterministic names in one step each, so what is there is complete.
        there = {name.name for name in folder.iterdir()}
        missing = [chunk for chunk in chunks if job.part(chunk.number).name not in there]
        summary.resumed = summary.rows - sum(chunk.rows for chunk in missing)
        for chunk in set(chunks) - set(missing):
            summary.bad.update(_bad_kinds(job.bad(chunk.number)))
        if missing:
            with closing(ENGINES[engine](job, missing, workers, address)) as replies:
                try:
                    _follow(replies, summary, progress)
                finally:
                    _show(progress, "")
        shutil.rmtree(job.aside, ignore_errors=True)
        write_atomically(folder / SUMMARY, json.dumps(summary.__dict__, indent=2).encode("utf-8"))
    return summary


def _model_folder(model: str) -> Path:
    """The folder of a pipeline, or that of the package that has it."""
    place = Path(get_package_path(model)) if is_package(model) else Path(model)
    needed = ["meta.json"] if is_package(model) else ["meta.json", "config.cfg"]
    if not all((place / name).is_file() for name in needed):
        raise FileNotFoundError(f"{model}: expected the folder of a pipeline, or the name of an installed package")
    return place


def _to_load(model: Union[str, Path], place: Path) -> str:
    # A package is imported by its name: it may have code that its pipeline needs.
    return str(model) if is_package(str(model)) else str(place)


def _check_apart(folder: Path, data: Paths, files: Sequence[str]) -> None:
    """Raise a ValueError if the output would become input when the job is started again, or is in its way."""
    given = [Path(path) for path in ([data] if isinstance(data, (str, Path)) else data)]
    own = folder.resolve()
    is_inside = any(path.is_dir() and path.resolve() in (own, *own.parents) for path in given)
    if is_inside or any(own in Path(name).resolve().parents for name in files):
        raise ValueError(
            f"{folder}: expected a folder for the output that no input is in, and that is in no folder of the input. "
            "Choose another folder"
        )


def _plan(files: Sequence[str], job: Job, part_rows: int) -> tuple[list[Chunk], dict[str, Any]]:
    """Cut the input into chunks, and note its size and checksum, by which a changed input is found."""
    chunks: list[Chunk] = []
    inputs: dict[str, Any] = {}
    for name in files:
        with closing(open_source(name, job.kind, job.columns)) as source:
            for start, line, rows in source.chunks(part_rows):
                chunks.append(Chunk(len(chunks), name, start, line, rows))
            inputs[name] = {"bytes": os.path.getsize(name), "sha256": source.checksum()}
    if not chunks:
        raise ValueError(f"{files[0]}: expected rows, found none in {len(files)} files")
    if len(chunks) > 10**DIGITS:
        raise ValueError(f"expected at most {10**DIGITS:,} parts, found {len(chunks):,}. Make them larger: --part-rows")
    return chunks, inputs


def _manifest(job: Job, model: Path, inputs: Mapping[str, Any], part_rows: int, parts: int) -> dict[str, Any]:
    """All that the output depends on, and not where and how fast it is made."""
    names = ("kind", "output_format", "columns", "text", "n_best", "doubt", "docbin")
    options = {name: getattr(job, name) for name in (*names, "threshold", "max_length", "timeout")}
    return {
        "version": 2,
        "model": {"sha256": checksum(model), "code": job.code and checksum(Path(job.code))},
        "options": {**options, "part_rows": part_rows},
        "parts": parts,
        "input": inputs,
    }


def _bad_kinds(path: Path) -> Counter[str]:
    if not path.exists():
        return Counter()
    with path.open(encoding="utf-8") as file:
        return Counter(json.loads(line)["reason"].partition(":")[0] for line in file)


def _follow(replies: Iterator[Mapping[str, Any]], summary: Summary, progress: Optional[TextIO]) -> None:
    """Count what an engine does, and show the progress."""
    begin = shown = time.monotonic()
    done_rows, to_do = 0, summary.rows - summary.resumed
    for done in replies:
        if "fatal" in done:
            raise RuntimeError(done["fatal"])
        done_rows += done["rows"]
        summary.words += done["words"]
        summary.bad.update(done["bad"])
        now = time.monotonic()
        summary.seconds = now - begin
        if progress is not None and now > shown + 0.5:
            shown = now
            left = timedelta(seconds=round(summary.seconds / done_rows * (to_do - done_rows)))
            _show(
                progress,
                f"{summary.resumed + done_rows:,} of {summary.rows:,} rows, "
                f"{summary.words / summary.seconds:,.0f} words/s, {sum(summary.bad.values()):,} bad, {left} left",
            )
    if done_rows != to_do:
        raise RuntimeError(f"the engine ended after {done_rows:,} of {to_do:,} rows")


def _show(progress: Optional[TextIO], line: str) -> None:
    """Replace the line of the progress."""
    if progress is not None:
        progress.write(f"\r{line:<78}" if line else f"\r{'':78}\r")
        progress.flush()


def terminal() -> Optional[TextIO]:
    """Where to show the progress: stderr, if it is a terminal."""
    return sys.stderr if sys.stderr.isatty() else None
