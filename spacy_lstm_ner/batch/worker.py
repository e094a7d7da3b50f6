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
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, Optional

from spacy.tokens import Doc, DocBin, Span
from spacy.util import import_file, load_model

from ..data.formats.tables import place_of
from ..data.writers import name_and_version
from ..files import replaced_file, write_atomically
from ..pipeline.annotate import entity_score_attribute
from ..pipeline.component import LSTMEntityRecognizer, docs_before
from ..pipeline.novelty import novelty_of
from ..pipeline.scores import entity_score
from .inputs import Chunk, Row, Source, check_column, make_row, open_source, require, texts_of

OUTPUT_FORMATS = ("jsonl", "parquet")
DIGITS = 7
"""Digits of the number in the names of parts. A folder can hardly have more files."""

_CHARACTERS = 500_000
"""About the most characters of a batch."""
_WORDS = 50_000
"""From so many different words on, a process forgets those that are new in a chunk."""


@dataclass(frozen=True)
class Job:
    """What the workers of a job need to know. The fields from `output_format` on are options of `annotate`.

    Attributes:
        model (str): The folder of the pipeline, or the package that has it.
        output (str): The folder of the output.
        kind (str): The format of the input.
        folder (str): The folder that paths are relative to.
        output_format (str): "jsonl" or "parquet".
        columns (Mapping[str, str]): The names of the columns or fields with the "text" and the "id".
        text (bool): Whether to write the texts.
        n_best (int): So many of the most probable analyses are written too.
        doubt (bool): Whether to write the doubt about each text, of a pipeline that was calibrated for it.
        docbin (bool): Whether to write the docs too, in spaCy's binary format.
        threshold (Optional[float]): A threshold in place of those of the components.
        max_length (int): The most characters of a text.
        timeout (float): Seconds for a document. A batch that needs more is done one document at a time.
        batch_size (int): The most rows of a batch.
        code (Optional[str]): A Python file with functions that the pipeline needs.

    Raises:
        ValueError: If a value is out of range.
        ImportError: If pyarrow is needed and not installed.
    """

    model: str
    output: str = ""
    kind: str = ""
    folder: str = field(default_factory=os.getcwd)
    output_format: str = "jsonl"
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    text: bool = False
    n_best: int = 0
    doubt: bool = False
    docbin: bool = False
    threshold: Optional[float] = None
    max_length: int = 1_000_000
    timeout: float = 60.0
    batch_size: int = 256
    code: Optional[str] = None

    def __post_init__(self) -> None:
        for name in ("max_length", "timeout", "batch_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"expected {name} above 0, found {getattr(self, name)}")
        if self.n_best < 0:
            raise ValueError(f"expected n_best of 0 or more, found {self.n_best}")
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"expected a threshold from 0 to 1, found {self.threshold}")
        if self.output_format not in OUTPUT_FORMATS:
            names = ", ".join(OUTPUT_FORMATS)
            raise ValueError(f"expected an output format among {names}, found {self.output_format!r}")
        if self.output_format == "parquet":
            require("pyarrow", "parquet")
        unknown = sorted(set(self.columns) - {"text", "id"})
        if unknown:
            raise ValueError(f"expected columns for text and id, found one for {unknown[0]!r}")

    def part(self, number: int) -> Path:
        """The file with the rows of a chunk. If it is there, the chunk is done."""
        return Path(self.output) / f"part-{number:0{DIGITS}d}.{self.output_format}"

    def bad(self, number: int) -> Path:
        """The file with the bad rows of a chunk. It is written before the part, and only if there are any."""
        return Path(self.output) / f"bad-{number:0{DIGITS}d}.jsonl"

    def docs(self, number: int) -> Path:
        """The file with the docs of the rows of a chunk, if they are wanted. It is written before the part."""
        return Path(self.output) / f"docs-{number:0{DIGITS}d}.spacy"

    @property
    def aside(self) -> Path:
        """The folder for files that are not complete. The folder of the output has too many names to look for them."""
        return Path(self.output) / ".incomplete"


class Result(NamedTuple):
    """A row with what was found.

    Attributes:
        row (Row): The row, with a problem if it could not be annotated.
        found (dict[str, Any]): The "entities", each with start, end, label and score, the "doubt", and the
            "alternatives".
        doc (Optional[Doc]): The document.
    """

    row: Row
    found: dict[str, Any]
    doc: Optional[Doc]


class Annotator:
    """A pipeline that annotates batches of rows. A process makes one, and keeps it.

    Args:
        job (Job): The job.

    Attributes:
        nlp (Language): The pipeline.
        name (str): Its name and its version.

    Raises:
        ValueError: If a component writes no `doc.ents`, n-best is wanted of a pipeline without one `lstm_ner`, or doubt
            of one that was not calibrated for it.
    """

    def __init__(self, job: Job) -> None:
        if job.code is not None:
            import_file("python_code", job.code)
        self.job, self.nlp = job, load_model(job.model)
        self.nlp.max_length = max(self.nlp.max_length, job.max_length)
        self.name = name_and_version(self.nlp)
        self.components = [
            component for _, component in self.nlp.pipeline if isinstance(component, LSTMEntityRecognizer)
        ]
        if job.n_best and len(self.components) != 1:
            raise ValueError(f"{job.model}: expected one lstm_ner for n-best, found {len(self.components)}")
        self.doubt_attr = _doubt_attribute(job.model, self.components) if job.doubt else None
        # Others, such as gliner-spacy, have their scores in `ent._.score`.
        self.attrs: list[str] = ["score"]
        for component in self.components:
            cfg = component.cfg
            cfg["score_attr"] = entity_score_attribute(job.model, component.name, cfg)
            self.attrs.append(cfg["score_attr"])
            if job.threshold is not None:
                cfg.update(threshold=job.threshold, label_thresholds={})

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
                found[row.number] = Result(_failed(row, f"error: {type(error).__name__}: {error}"[:500]), {}, None)
        return [found[row.number] if not row.problem else Result(row, {}, None) for row in rows]

    def annotate_arrow(self, batch: Any) -> Any:
        """Annotate a batch or a table of Arrow.

        Args:
            batch (Any): The batch or the table, with a column of texts.

        Returns:
            Any: The same with the columns of `arrow_columns`, and "problem", which says why a row has no entities.

        Raises:
            ValueError: If there is no column of texts, or one with the name of a new one.
        """
        import pyarrow as pa

        names, fields = batch.schema.names, [*arrow_columns(self.job), ("problem", pa.string())]
        at = place_of(names, "text", self.job.columns.get("text"))
        check_column("data", at, names, self.job.columns)
        if taken := [name for name, _ in fields if name in names]:
            raise ValueError(f"data: expected no column {taken[0]!r} yet, found one. Rename it")
        rows = [make_row(k, str(k), names[at], None, text) for k, text in enumerate(texts_of(batch, names[at]))]
        values: list[dict[str, Any]] = []
        with self.zone():
            for some in batches(rows, self.job.batch_size):
                for row, found, _ in self(some):
                    values.append({**found, "model": self.name, "problem": row.problem or None})
        new = [pa.array([value.get(name) for value in values], kind) for name, kind in fields]
        schema = pa.schema([*batch.schema, *(pa.field(*named) for named in fields)], batch.schema.metadata)
        return type(batch).from_arrays([*batch.columns, *new], schema=schema)

    def zone(self) -> AbstractContextManager[Any]:
        """The memory zone for the next rows: words that are new in it are forgotten at its end.

        Until the process has seen many words, there is none, since spaCy's tokenizer remembers words only outside.
        """
        return self.nlp.memory_zone() if len(self.nlp.vocab) > _WORDS else nullcontext()

    def _checked(self, row: Row) -> Row:
        most = self.job.max_length
        if row.problem or len(row.text) <= most:
            return row
        return _failed(row, f"too long: {len(row.text)} characters, the limit is {most}")

    def _find(self, rows: Sequence[Row]) -> list[Result]:
        texts = [row.text for row in rows]
        alternatives = self._alternatives(texts) if self.job.n_best else [{}] * len(texts)
        results = []
        for row, doc, more in zip(rows, self.nlp.pipe(texts, batch_size=len(rows)), alternatives, strict=True):
            doubt = {"doubt": doc._.get(self.doubt_attr)} if self.doubt_attr else {}
            results.append(Result(row, {"entities": self.entities(doc), **doubt, **more}, doc))
        return results

    def entities(self, doc: Doc) -> list[dict[str, Any]]:
        """The entities of a doc, each with start, end, label and score."""
        entities = []
        for ent in doc.ents:
            scores = (entity_score(attr, ent) for attr in self.attrs)
            score = next((float(score) for score in scores if score is not None), None)
            entities.append({**_place(ent), "score": score})
        return entities

    def _alternatives(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        docs = docs_before(self.nlp, self.components[0], texts)
        found = []
        for doc, analyses in zip(docs, self.components[0].n_best(docs, self.job.n_best), strict=True):
            values = [
                {"entities": [_place(Span(doc, *entity)) for entity in entities], "probability": probability}
                for entities, probability in analyses
            ]
            found.append({"alternatives": values})
        return found


def _doubt_attribute(place: str, components: Sequence[LSTMEntityRecognizer]) -> str:
    """The attribute of docs with the doubt about them. Raises a ValueError if there is not one component with it."""
    settings = [one.tagger.settings for one in components if novelty_of(one.tagger.head) is not None]
    found = [one.doubt_attr for one in settings if one.doubt_attr]
    if len(found) != 1:
        remedy = "Set doubt_attr to null in the others" if found else "Calibrate it with `calibrate --train`"
        raise ValueError(
            f"{place}: expected one lstm_ner with a doubt_attr that was calibrated with its training texts, found "
            f"{len(found)}. {remedy}, or leave out --doubt"
        )
    return found[0]


def _place(span: Span) -> dict[str, Any]:
    return {"start": span.start_char, "end": span.end_char, "label": span.label_}


def _failed(row: Row, problem: str) -> Row:
    return row._replace(problem=problem, text="")


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
    docs = DocBin(store_user_data=True)
    with replaced_file(job.part(chunk.number), job.aside) as temporary:
        with _writer(job, temporary, annotator.name) as write, annotator.zone():
            for batch in batches(source.rows(chunk), job.batch_size):
                known = [_failed(row, skip[row.number]) if row.number in skip else row for row in batch]
                results = annotator(known, alone(batch[0].number), begin)
                begin(None, False)
                problems += [result.row for result in results if result.row.problem]
                write([result for result in results if not result.row.problem])
                rows += len(results)
                for row, found, doc in results:
                    if doc is not None:
                        words += len(doc)
                        entities += len(found["entities"])
                        if job.docbin:
                            doc.user_data["id"] = _storable(row.id)
                            docs.add(doc)
        if rows != chunk.rows:
            raise ValueError(f"{chunk.path}: expected {chunk.rows} rows from line {chunk.line} on, found {rows}")
        if job.docbin:
            write_atomically(job.docs(chunk.number), docs.to_bytes(), job.aside)
        lines = [_line({"id": row.id, "place": row.place, "reason": row.problem}) for row in problems]
        if lines:
            write_atomically(job.bad(chunk.number), "".join(lines).encode("utf-8"), job.aside)
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
        return {"id": result.row.id, **text, **result.found, "model": model}

    if job.output_format == "jsonl":
        with path.open("w", encoding="utf-8", newline="\n") as out:
            yield lambda results: out.writelines(_line(values(result)) for result in results)
        return
    import pyarrow as pa
    import pyarrow.parquet

    text = [("text", pa.string())] if job.text else []
    schema = pa.schema([("id", pa.string()), *text, *arrow_columns(job)])
    with pa.parquet.ParquetWriter(path, schema) as table:

        def write(results: list[Result]) -> None:
            found = [{**values(result), "id": _as_text(result.row.id)} for result in results]
            table.write_batch(pa.RecordBatch.from_pylist(found, schema=schema))

        yield write


def arrow_columns(job: Job) -> list[tuple[str, Any]]:
    """The names and Arrow types of the columns that a job adds to those of the input."""
    import pyarrow as pa

    place = [("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())]
    entities = ("entities", pa.list_(pa.struct([*place, ("score", pa.float64())])))
    analysis = pa.struct([("entities", pa.list_(pa.struct(place))), ("probability", pa.float64())])
    doubt = [("doubt", pa.float64())] if job.doubt else []
    alternatives = [("alternatives", pa.list_(analysis))] if job.n_best else []
    return [entities, *doubt, *alternatives, ("model", pa.string())]


def _as_text(name: Any) -> str:
    text = name if isinstance(name, str) else json.dumps(name, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _storable(name: Any) -> Any:
    """An identifier as msgpack, the format of the docs, can hold it: text where it cannot."""
    return name if isinstance(name, (bool, float)) or _is_int64(name) else _as_text(name)


def _is_int64(name: Any) -> bool:
    return isinstance(name, int) and -(1 << 63) <= name < 1 << 63


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
        annotator = Annotator(job)
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
