"""The formats of annotated text: one file for each, and how they are recognized.

To add a format, write a file with a `FORMAT` (see `base`).
"""

from importlib import import_module
from itertools import chain
from pathlib import Path
from pkgutil import iter_modules

from ..annotated_file import NO_OPTIONS, AnnotatedFile, CorpusError, ReadOptions
from .base import Format, Head

_MODULES = [import_module(f".{module.name}", __name__) for module in iter_modules(__path__)]
_ALL: list[Format] = [module.FORMAT for module in _MODULES if hasattr(module, "FORMAT")]
REGISTRY: dict[str, Format] = {format.name: format for format in _ALL}
"""The formats by name."""
FORMATS = tuple(REGISTRY)
"""The names of the formats."""
WRITTEN = (*(name for name, format in REGISTRY.items() if format.write), "spacy")
"""The names of the formats that can be written."""
_CERTAIN, _LIKELY = 0.9, 0.5


def open_file(path: Path, format: str = "auto", options: ReadOptions = NO_OPTIONS) -> AnnotatedFile:
    """Open an annotated file and read its first record.

    Args:
        path (Path): The file.
        format (str): One of `FORMATS`, or "auto" to recognize it.
        options (ReadOptions): What the file does not say of itself.

    Returns:
        AnnotatedFile: The file. Its other records are read when they are needed.

    Raises:
        CorpusError: At the first place that breaks the format.
        ValueError: If the format is unknown.
    """
    if format not in (*FORMATS, "auto"):
        raise ValueError(f"expected a format among auto, {', '.join(FORMATS)}, found {format!r}")
    found = recognize(path, options) if format == "auto" else format
    file = AnnotatedFile(path, found, options)
    records = REGISTRY[found].read(file)
    first = next(records, None)
    if first is None:
        skipped = ", ".join(f"{count} {kind}" for kind, count in file.skipped.items() if count)
        raise CorpusError(
            path, 1, "expected at least one sentence, found none" + f" ({skipped} skipped)" * bool(skipped), ""
        )
    file.sentences = chain([first], records)
    return file


def recognize(path: Path, options: ReadOptions = NO_OPTIONS) -> str:
    """Recognize the format of a file.

    Args:
        path (Path): The file.
        options (ReadOptions): What the file does not say of itself.

    Returns:
        str: One of `FORMATS`.

    Raises:
        ValueError: If the file has none of the formats, or several of them.
    """
    suffix = path.suffix.lower()
    by_suffix = next((format for format in _ALL if suffix in format.suffixes), None)
    if by_suffix and by_suffix.binary:
        return by_suffix.name
    head = Head.of(path, options.encoding)
    if not head.text.strip():
        return "inline"
    scores = {format.name: format.sniff(head) for format in _ALL}
    best = sorted(scores, key=lambda name: -scores[name])
    top = scores[best[0]]
    if top < _CERTAIN and by_suffix and not head.items:
        return by_suffix.name
    likely = [name for name in best if scores[name] == top]
    if top >= _LIKELY and len(likely) == 1:
        return likely[0]
    if top >= _LIKELY:
        raise ValueError(f"{path}: expected one format, found {' and '.join(likely)}. Give one with --format")
    looked = "; ".join(f"{format.name} ({format.looks})" for format in _ALL if not format.binary)
    nearest = f"{best[0]} comes nearest" if top else "none comes near"
    line = next(iter(head.lines), "")
    raise ValueError(
        f"{path}: expected annotated text in a known format, found {line[:80]!r}; {nearest}. Give the format with "
        "--format, and columns or fields of other names with --columns. For text without any entity, give --format "
        f"inline. Looked for: {looked}"
    )
