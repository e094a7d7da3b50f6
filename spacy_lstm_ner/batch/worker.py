"""Annotate batches of rows: the function that all engines call, and the process of the engine `local`.

A process reads orders from its input, one JSON value a line: first the job, then chunks. It writes what it is doing to
its output in the same way: the rows that it begins, and what it has done of a chunk.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, Optional

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import import_file, load_model

from ..data.writers import name_and_version
from ..files import replaced_file, write_atomically
from ..pipeline.annotate import entity_score_attribute
from ..pipeline.component import LSTMEntityRecognizer
from ..pipeline.scores import entity_score
from .inputs import Chunk, Row, Source, open_source

_CHARACTERS = 500_000
"""About the most characters of a batch."""


@dataclass(frozen=True)
class Job:
    """What the workers of a job need to know.

    Attributes:
        model (str): The folder of the pipeline.
        output (str): The folder of the output.
        kind (str): The format of the input.
        output_format (str): "jsonl" or "parquet".
        columns (Mapping[str, str]): The names of the columns or fields with the "text" and the "id".
        text (bool): Whether to write the texts.
        threshold (Optional[float]): A threshold in place of those of the components.
        max_length (int): The most characters of a text.
        timeout (float): Seconds for a document. A batch that needs more is done one document at a time.
        batch_size (int): The most rows of a batch.
        code (Optional[str]): A Python file with functions that the pipeline needs.
    """

    model: str
    output: str
    kind: str = "jsonl"
    output_format: str = "jsonl"
    columns: Mapping[str, str] = field(default_factory=dict)
    text: bool = False
    threshold: Optional[float] = None
    max_length: int = 1_000_000
    timeout: float = 60.0
    batch_size: int = 256
    code: Optional[str] = None

    def part(self, number: int) -> Path:
        """The file with the rows of a chunk. If it is there, the chunk is done."""
        return Path(self.output) / f"part-{number:05d}.{self.output_format}"

    def bad(self, number: int) -> Path:
        """The file with the bad rows of a chunk. It is written before the part, and only if there are any."""
        return Path(self.output) / f"bad-{number:05d}.jsonl"


class Result(NamedTuple):
    """A row with its entities.

    Attributes:
        row (Row): The row, with a problem if it could not be annotated.
        entities (list[dict[str, Any]]): Each with start, end, label and score.
        words (int): The number of tokens.
    """

    row: Row
    entities: list[dict[str, Any]]
    words: int


class Annotator:
    """A pipeline that annotates batches of rows. A process makes one, and keeps it.

    Args:
        model (str): The folder of the pipeline.
        threshold (Optional[float]): A threshold in place of those of its components.
        max_length (int): The most characters of a text.
        code (Optional[str]): A Python file with functions that the pipeline needs.

    Attributes:
        nlp (Language): The pipeline.
        name (str): Its name and its version.

    Raises:
        ValueError: If a component writes no `doc.ents`.
    """

    def __init__(self, model: str, threshold: Optional[float], max_length: int, code: Optional[str] = None) -> None:
        if code is not None:
            import_file("python_code", code)
        self.nlp: Language = load_model(model)
        self.nlp.max_length = max(self.nlp.max_length, max_length)
        self.name, self.max_length = name_and_version(self.nlp), max_length
        # Others, such as gliner-spacy, have their scores in `ent._.score`.
        self.attrs: list[str] = ["score"]
        for name, component in self.nlp.pipeline:
            if not isinstance(component, LSTMEntityRecognizer):
                continue
            cfg = component.cfg
            cfg["score_attr"] = entity_score_attribute(model, name, cfg)
            self.attrs.append(cfg["score_attr"])
            if threshold is not None:
                cfg.update(threshold=threshold, label_thresholds={})

    def __call__(
        self, rows: Sequence[Row], alone: bool = False, begin: Callable[[int, bool], None] = lambda number, alone: None
    ) -> list[Result]:
        """Annotate a batch of rows. If it fails, each document is annotated alone, so that only bad ones are lost.

        Args:
            rows (Sequence[Row]): The rows.
            alone (bool): Whether to annotate one document at a time from the start.
            begin (Callable[[int, bool], None]): Called with the number of the row that begins, and with whether it is
                alone or the first of a batch.

        Returns:
            list[Result]: The same rows. Those that could not be annotated have a problem.
        """
        rows = [self._checked(row) for row in rows]
        good = [row for row in rows if not row.problem]
        found: dict[int, Result] = {}
        if good and not alone:
            begin(rows[0].number, False)
            try:
                found = {result.row.number: result for result in self._find(good)}
            except Exception:  # A component may raise anything. The next lines find out which document is to blame.
                found = {}
        for row in good if not found else ():
            begin(row.number, True)
            try:
                found[row.number] = self._find([row])[0]
            except Exception as error:
                found[row.number] = _failed(row, f"error: {type(error).__name__}: {error}"[:500])
        return [found[row.number] if not row.problem else Result(row, [], 0) for row in rows]

    def _checked(self, row: Row) -> Row:
        if row.problem or len(row.text) <= self.max_length:
            return row
        return _failed(row, f"too long: {len(row.text)} characters, the limit is {self.max_length}").row

    def _find(self, rows: Sequence[Row]) -> list[Result]:
        docs = self.nlp.pipe([row.text for row in rows], batch_size=len(rows))
        results = []
        for row, doc in zip(rows, docs, strict=True):
            results.append(Result(row, self.entities(doc), len(doc)))
        return results

    def entities(self, doc: Doc) -> list[dict[str, Any]]:
        """The entities of a doc, each with start, end, label and score."""
        entities = []
        for ent in doc.ents:
            scores = (entity_score(attr, ent) for attr in self.attrs)
            score = next((float(score) for score in scores if score is not None), None)
            entities.append({"start": ent.start_char, "end": ent.end_char, "label": ent.label_, "score": score})
        return entities


def _failed(row: Row, problem: str) -> Result:
    return Result(row._replace(problem=problem, text=""), [], 0)


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Group rows, at most `size` and about `_CHARACTERS` characters together."""
    group: list[Row] = []
    characters = 0
    for row in rows:
        if group and (len(group) == size or characters + len(row.text) > _CHARACTERS):
            yield group
            group, characters = [], 0
        group.append(row)
        characters += len(row.text)
    if group:
        yield group


def write_chunk(
    job: Job,
    annotator: Annotator,
    source: Source,
    chunk: Chunk,
    alone: Callable[[int], bool] = lambda number: False,
    skip: Mapping[int, str] = {},
    begin: Callable[[Optional[int], bool], None] = lambda number, alone: None,
) -> dict[str, Any]:
    """Annotate a chunk and write its part, after its bad rows. Nothing is seen before it is complete.

    Args:
        job (Job): The job.
        annotator (Annotator): The pipeline.
        source (Source): The file of the chunk.
        chunk (Chunk): The chunk.
        alone (Callable[[int], bool]): Whether the batch that begins with a row is done one document at a time.
        skip (Mapping[int, str]): Rows that are known to be bad, with their problem.
        begin (Callable[[Optional[int], bool], None]): Called as in `Annotator`, and with None after each batch.

    Returns:
        dict[str, Any]: The number of rows, words and entities, and of bad rows by kind.
    """
    rows = words = entities = 0
    problems: list[Row] = []
    with replaced_file(job.part(chunk.number)) as temporary:
        with _writer(job, temporary, annotator.name) as write, annotator.nlp.memory_zone():
            for batch in batches(source.rows(chunk), job.batch_size):
                known = [_failed(row, skip[row.number]).row if row.number in skip else row for row in batch]
                results = annotator(known, alone(batch[0].number), begin)
                begin(None, False)
                problems += [result.row for result in results if result.row.problem]
                write([result for result in results if not result.row.problem])
                rows += len(results)
                words += sum(result.words for result in results)
                entities += sum(len(result.entities) for result in results)
        if rows != chunk.rows:
            raise ValueError(f"{chunk.path}: expected {chunk.rows} rows from line {chunk.line} on, found {rows}")
        lines = [_line({"id": row.id, "place": row.place, "reason": row.problem}) for row in problems]
        if lines:
            write_atomically(job.bad(chunk.number), "".join(lines).encode("utf-8"))
        else:
            job.bad(chunk.number).unlink(missing_ok=True)
    kinds = Counter(row.problem.partition(":")[0] for row in problems)
    return {"rows": rows, "words": words, "entities": entities, "bad": kinds}


def _line(value: Any) -> str:
    # What JSON has as half of a surrogate pair stays written as such.
    line = json.dumps(value, ensure_ascii=False)
    return (line if line.isprintable() else line.encode("utf-8", "backslashreplace").decode("utf-8")) + "\n"


@contextmanager
def _writer(job: Job, path: Path, model: str) -> Iterator[Callable[[list[Result]], None]]:
    """Open a part of the output, and give the function that writes results to it."""

    def values(result: Result) -> dict[str, Any]:
        text = {"text": result.row.text} if job.text else {}
        return {"id": result.row.id, **text, "entities": result.entities, "model": model}

    if job.output_format == "jsonl":
        with path.open("w", encoding="utf-8", newline="\n") as out:
            yield lambda results: out.writelines(_line(values(result)) for result in results)
        return
    import pyarrow as pa
    import pyarrow.parquet

    parts = [("start", pa.int32()), ("end", pa.int32()), ("label", pa.string()), ("score", pa.float64())]
    text = [("text", pa.string())] if job.text else []
    columns = [("id", pa.string()), *text, ("entities", pa.list_(pa.struct(parts))), ("model", pa.string())]
    schema = pa.schema(columns)
    with pa.parquet.ParquetWriter(path, schema) as table:

        def write(results: list[Result]) -> None:
            found = [{**values(result), "id": _as_text(result.row.id)} for result in results]
            table.write_batch(pa.RecordBatch.from_pylist(found, schema=schema))

        yield write


def _as_text(name: Any) -> str:
    text = name if isinstance(name, str) else json.dumps(name, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def main() -> None:
    """Run the process of a worker until its input ends, because the job is done or its parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What components print is no reply.
    orders: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read_orders, args=(orders,), daemon=True).start()

    def send(**reply: Any) -> None:
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

    try:
        job = Job(**json.loads(orders.get()))
        annotator = Annotator(job.model, job.threshold, job.max_length, job.code)
        opened = cache(lambda path: open_source(path, job.kind, job.columns))
        send(ready=annotator.name)
        while True:
            order = json.loads(orders.get())
            chunk = Chunk(*order["chunk"])
            if opened.cache_info().currsize > 8:
                opened.cache_clear()
            single, skip = order["single"], {int(number): reason for number, reason in order["skip"].items()}
            done = write_chunk(
                job,
                annotator,
                opened(chunk.path),
                chunk,
                lambda number, single=single: single is None or number in single,  # type: ignore[misc]
                skip,
                lambda number, alone: send(at=number, alone=alone),
            )
            send(done=done)
    except Exception as error:  # The parent ends the job with this message: no row is to blame.
        send(fatal=str(error) if isinstance(error, (ValueError, OSError, ImportError)) else repr(error))
    os._exit(1)


def _read_orders(orders: "SimpleQueue[str]") -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
