"""A job: its manifest, what of it is done already, its progress, and its summary."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional, TextIO, Union

from spacy.util import get_package_path, is_package

from ..files import check_manifest, checksum, write_atomically
from .inputs import Chunk, find_inputs, open_source
from .local import LocalEngine
from .worker import Job

SUMMARY = "summary.json"
ENGINES = ("local",)
OUTPUT_FORMATS = ("jsonl", "parquet")


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


def annotate(
    paths: Union[str, Path, Sequence[Union[str, Path]]],
    model: Union[str, Path],
    output: Union[str, Path],
    *,
    workers: int = 0,
    format: str = "auto",
    output_format: str = "jsonl",
    columns: Optional[Mapping[str, str]] = None,
    text: bool = False,
    threshold: Optional[float] = None,
    max_length: int = 1_000_000,
    timeout: float = 60.0,
    batch_size: int = 256,
    part_rows: int = 2000,
    code: Optional[Union[str, Path]] = None,
    progress: Optional[TextIO] = None,
) -> Summary:
    """Annotate the texts of files on several cores, and write rows to a folder.

    If the folder has parts of the same job, only what is missing is done.

    Args:
        paths (Union[str, Path, Sequence[Union[str, Path]]]): Files, folders or patterns, see `find_inputs`.
        model (Union[str, Path]): A pipeline: a folder or an installed package.
        output (Union[str, Path]): The folder to write to.
        workers (int): Processes; 0 for one on each core.
        format (str): The format of the input; auto to go by the suffixes.
        output_format (str): "jsonl" or "parquet".
        columns (Optional[Mapping[str, str]]): The names of the columns or fields with the "text" and the "id".
        text (bool): Whether to write the texts.
        threshold (Optional[float]): A threshold in place of those of the components.
        max_length (int): The most characters of a text.
        timeout (float): Seconds for a document.
        batch_size (int): The most rows of a batch.
        part_rows (int): Rows of a part of the output.
        code (Optional[Union[str, Path]]): A Python file with functions that the pipeline needs.
        progress (Optional[TextIO]): Where to show the progress.

    Returns:
        Summary: What was done. Bad rows are in the files `bad-*.jsonl` of the folder.

    Raises:
        FileNotFoundError: If the model or the input is missing.
        ValueError: If an argument is out of range, or the folder has something else than parts of this job.
        RuntimeError: If the job cannot go on, because the disk is full for example. It can be started again.
    """
    _check(workers, output_format, columns or {}, threshold, max_length, timeout, batch_size, part_rows)
    place, folder = _model_folder(str(model)), Path(output)
    files, kind = find_inputs(paths, format)
    if any(folder.resolve() in Path(name).resolve().parents for name in files):
        raise ValueError(f"{folder}: expected a folder for the output that no input is in. Choose another folder")
    job = Job(
        str(place), str(folder), kind, output_format, dict(columns or {}), text, threshold, max_length, timeout,
        batch_size, None if code is None else str(code),
    )  # fmt: skip
    chunks = _plan(files, job, part_rows)
    check_manifest(folder, _manifest(job, place, files, part_rows, len(chunks)))
    summary = Summary(len(chunks), sum(chunk.rows for chunk in chunks))
    # Workers write parts with deterministic names in one step each, so what is there is complete.
    there = {name.name for name in folder.iterdir()}
    missing = [chunk for chunk in chunks if job.part(chunk.number).name not in there]
    summary.resumed = summary.rows - sum(chunk.rows for chunk in missing)
    for chunk in set(chunks) - set(missing):
        summary.bad.update(_bad_kinds(job.bad(chunk.number)))
    _run(job, missing, min(workers or _cores(), len(missing)), summary, progress)
    write_atomically(folder / SUMMARY, json.dumps(summary.__dict__, indent=2).encode("utf-8"))
    return summary


def _check(
    workers: int,
    output_format: str,
    columns: Mapping[str, str],
    threshold: Optional[float],
    max_length: int,
    timeout: float,
    batch_size: int,
    part_rows: int,
) -> None:
    numbers = {"max_length": max_length, "timeout": timeout, "batch_size": batch_size, "part_rows": part_rows}
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"expected {name} above 0, found {value}")
    if workers < 0:
        raise ValueError(f"expected 0 workers or more, found {workers}")
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise ValueError(f"expected a threshold from 0 to 1, found {threshold}")
    if output_format not in OUTPUT_FORMATS:
        raise ValueError(f"expected an output format among {', '.join(OUTPUT_FORMATS)}, found {output_format!r}")
    if output_format == "parquet" and find_spec("pyarrow") is None:
        raise ImportError("to write Parquet, install pyarrow: pip install 'spacy-lstm-ner[parquet]'")
    unknown = sorted(set(columns) - {"text", "id"})
    if unknown:
        raise ValueError(f"expected columns for text and id, found one for {unknown[0]!r}")


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _model_folder(model: str) -> Path:
    if is_package(model):
        return Path(get_package_path(model))
    if not (Path(model) / "config.cfg").is_file() or not (Path(model) / "meta.json").is_file():
        raise FileNotFoundError(f"{model}: expected the folder of a pipeline, or the name of an installed package")
    return Path(model)


def _plan(files: Sequence[str], job: Job, part_rows: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    for name in files:
        with closing(open_source(name, job.kind, job.columns)) as source:
            for start, line, rows in source.chunks(part_rows):
                chunks.append(Chunk(len(chunks), name, start, line, rows))
    if not chunks:
        raise ValueError(f"{files[0]}: expected rows, found none in {len(files)} files")
    return chunks


def _manifest(job: Job, model: Path, files: Sequence[str], part_rows: int, parts: int) -> dict[str, Any]:
    """All that the output depends on, and not where and how fast it is made."""
    names = ("kind", "output_format", "columns", "text", "threshold", "max_length", "timeout")
    options = {name: getattr(job, name) for name in names}
    return {
        "version": 1,
        "model": {"sha256": checksum(model), "code": job.code and checksum(Path(job.code))},
        "options": {**options, "part_rows": part_rows},
        "parts": parts,
        "input": {name: {"bytes": os.path.getsize(name), "sha256": checksum(Path(name))} for name in files},
    }


def _bad_kinds(path: Path) -> Counter[str]:
    if not path.exists():
        return Counter()
    with path.open(encoding="utf-8") as file:
        return Counter(json.loads(line)["reason"].partition(":")[0] for line in file)


def _run(job: Job, chunks: Sequence[Chunk], workers: int, summary: Summary, progress: Optional[TextIO]) -> None:
    begin, to_do = time.monotonic(), sum(chunk.rows for chunk in chunks)
    shown, done_rows = begin, 0

    def on_done(chunk: Chunk, done: dict[str, Any]) -> None:
        nonlocal done_rows
        done_rows += chunk.rows
        summary.words += done["words"]
        summary.bad.update(done["bad"])

    def show() -> None:
        nonlocal shown
        now = time.monotonic()
        if progress is None or now < shown + 0.5 or not done_rows:
            return
        shown, spent = now, now - begin
        left = time.strftime("%H:%M:%S", time.gmtime(spent / done_rows * (to_do - done_rows)))
        progress.write(
            f"\r{summary.resumed + done_rows:,} of {summary.rows:,} rows, {summary.words / spent:,.0f} words/s, "
            f"{sum(summary.bad.values()):,} bad, {left} left "
        )
        progress.flush()

    if chunks:
        LocalEngine(job, chunks, workers, on_done).run(show)
    if progress is not None:
        progress.write("\r" + " " * 78 + "\r")
    summary.seconds = time.monotonic() - begin


def terminal() -> Optional[TextIO]:
    """Where to show the progress: stderr, if it is a terminal."""
    return sys.stderr if sys.stderr.isatty() else None
