"""The protocol of Label Studio's ML backends (label-studio-ml 1.x): its projects and tasks, to texts and annotations.

A project says in XML where its labels go:

    <View>
      <Labels name="label" toName="text"><Label value="PER"/><Label value="LOC"/></Labels>
      <Text name="text" value="$sentence"/>
    </View>
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional
from xml.parsers import expat

from ..data.annotated_file import AnnotatedFile, ReadOptions, Record
from ..data.formats.json_values import field
from ..data.formats.label_studio import read_task, task_text, write_regions

SUBMITTED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED")
"""The webhooks that bring an annotation to learn from."""
_LONGEST_CONFIG = 200_000


class Control(NamedTuple):
    """The control of a project that labels its text.

    Attributes:
        from_name (str): Its name.
        to_name (str): The name of the text.
        field (str): The field of a task with the text; empty for `text`, or the only field with a text.
        labels (frozenset[str]): The labels; empty if the project does not list them.
    """

    from_name: str = "label"
    to_name: str = "text"
    field: str = ""
    labels: frozenset[str] = frozenset()


def find_control(label_config: Optional[str]) -> Control:
    """Find the control with the labels in the configuration of a project.

    Args:
        label_config (Optional[str]): The configuration. Without one, the names are Label Studio's usual ones.

    Returns:
        Control: The first `Labels` of a `Text`.

    Raises:
        ValueError: If the configuration is no XML, is too long, has a document type (so no entity can be expanded), or
            has no such control.
    """
    if not label_config:
        return Control()
    tags = _tags(label_config)
    texts = {values.get("name"): values for tag, values in tags if tag == "Text"}
    for k, (tag, values) in enumerate(tags):
        text = texts.get(values.get("toName"))
        if tag != "Labels" or text is None:
            continue
        if text.get("valueType") == "url":
            raise ValueError("label_config: expected a Text with its text in the task, found valueType='url'")
        # The labels follow their control.
        own = [tag == "Label" for tag, _ in tags[k + 1 :]] + [False]
        labels = [values.get("value", "") for _, values in tags[k + 1 : k + 1 + own.index(False)]]
        return Control(values.get("name", ""), values["toName"], text.get("value", "").lstrip("$"), frozenset(labels))
    raise ValueError("label_config: expected a control Labels whose toName is the name of a Text, found none")


def check_config(label_config: Optional[str]) -> None:
    """Raise ValueError if a configuration cannot be read. It need not have labels."""
    if label_config:
        _tags(label_config)


def _tags(xml: str) -> list[tuple[str, dict[str, str]]]:
    """The tags of a document in order, with their attributes. There is no tree, so depth does not matter."""
    if len(xml) > _LONGEST_CONFIG:
        raise ValueError(f"label_config: expected at most {_LONGEST_CONFIG} characters, found {len(xml)}")
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, values: found.append((tag, values))
    parser.StartDoctypeDeclHandler = _no_document_type
    try:
        parser.Parse(xml.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise ValueError(f"label_config: expected XML, found: {error}") from error
    return found


def _no_document_type(*declared: Any) -> None:
    raise ValueError("label_config: expected no document type")


def task_texts(tasks: Sequence[Any], control: Control) -> list[str]:
    """The texts of tasks. Raises ValueError, with the number of the task, if one has none."""
    return [_text(task, control, f"tasks[{k}]: ") for k, task in enumerate(tasks)]


def _text(task: Any, control: Control, place: str) -> str:
    try:
        return task_text(_source(control.field), field(task, "data", dict))
    except ValueError as error:
        raise ValueError(f"{place}{error}") from error


def _source(field: str = "") -> AnnotatedFile:
    """What the reader of the format takes a task to be from. field: the one with the text, if it is known."""
    columns = {"text": field} if field else {}
    return AnnotatedFile(Path("webhook"), "label-studio", ReadOptions(columns=columns))


def predictions(
    records: Sequence[Record], sure: Sequence[float], control: Control, version: str
) -> list[dict[str, Any]]:
    """Write annotated texts as predictions.

    Args:
        records (Sequence[Record]): The texts with their entities. Label Studio refuses labels that the project does not
            have, so they are left out.
        sure (Sequence[float]): The probability of the best analysis of each text, by which Label Studio can sort tasks.
        control (Control): The control that they are for.
        version (str): The version of the pipeline.

    Returns:
        list[dict[str, Any]]: A prediction for each text.
    """
    found = []
    for record, score in zip(records, sure, strict=True):
        spans = [span for span in record.spans if not control.labels or span.label in control.labels]
        result = write_regions(Record(record.text, spans, record.place), control.from_name, control.to_name)
        found.append({"result": result, "score": score, "model_version": version})
    return found


class Submission(NamedTuple):
    """An annotation to learn from.

    Attributes:
        task (dict[str, Any]): The task in the form of Label Studio's export, with its text, one annotation, and the
            project.
        key (tuple[str, int]): The project and the number of the task.
        record (Record): The text with its entities.
        labels (frozenset[str]): The labels of the project; empty if it does not list them.
    """

    task: dict[str, Any]
    key: tuple[str, int]
    record: Record
    labels: frozenset[str]


def submission(annotation: Any, task: Any, project: Any) -> Optional[Submission]:
    """Take what is to be learned from a webhook: an annotation, its task, and the project.

    Returns:
        Optional[Submission]: The annotation; None if it was cancelled.

    Raises:
        ValueError: If something is missing or has another form.
    """
    config = project.get("label_config") if isinstance(project, dict) else None
    control = find_control(config if isinstance(config, str) else None)
    text = _text(task, control, "task: ")
    regions = [
        {"type": "labels", "value": {name: value[name] for name in ("start", "end", "text", "labels") if name in value}}
        for region in field(annotation, "result", list)
        if isinstance(region, dict)
        and region.get("type") == "labels"
        and (not config or region.get("from_name") == control.from_name)
        and isinstance(value := region.get("value"), dict)
    ]
    return read_submission(
        {
            "id": field(task, "id", int),
            "project": str(project.get("id", "")) if isinstance(project, dict) else "",
            "labels": sorted(control.labels),
            "data": {"text": text},
            "annotations": [{"was_cancelled": bool(annotation.get("was_cancelled")), "result": regions}],
        }
    )


def read_submission(task: Any) -> Optional[Submission]:
    """Read the task of a submission; None if it was cancelled. Raises ValueError for another form."""
    key = field(task, "project", str), field(task, "id", int)
    record = next(read_task(_source(), task, f"task {key[1]}"), None)
    labels = frozenset(map(str, field(task, "labels", list)))
    return None if record is None else Submission(task, key, record, labels)
