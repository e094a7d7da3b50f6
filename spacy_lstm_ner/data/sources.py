"""The annotated files at a path: the file itself, or all files of one format in a folder."""

from collections.abc import Callable
from pathlib import Path

from .annotated_file import ReadOptions
from .formats import recognize

# They are in folders of corpora, and no annotation is in them.
_ABOUT = (".md", ".rst", ".html", ".pdf", ".license", ".cff", ".yml", ".yaml", ".toml", ".conf", ".lock", ".xlsx")
_ABOUT_NAMES = ("readme", "license", "licence", "changelog", "dataset_info", "state", "dataset_dict")


def find_files(
    path: Path, format: str, options: ReadOptions, skip: Callable[[Path, str], None]
) -> list[tuple[Path, str]]:
    """Find the files to read, in the order of their names, with their formats.

    Args:
        path (Path): A file or a folder, which is searched with all its folders. Hidden files are left out.
        format (str): A format, or "auto".
        options (ReadOptions): What the files do not say of themselves.
        skip (Callable[[Path, str], None]): Called with each file that is not read, and the reason.

    Returns:
        list[tuple[Path, str]]: The files, at least one.

    Raises:
        FileNotFoundError: If a folder has no annotated files.
        ValueError: If the files have several formats.
    """
    if not path.is_dir():
        return [(path, format)]
    splits = sorted(file.parent.name for file in path.rglob("dataset_info.json") if file.parent != path)
    if len(splits) > 1:
        raise ValueError(
            f"{path}: expected one part of a data set, found {', '.join(splits)}. Give one of these folders"
        )
    files = [name for name in sorted(path.rglob("*")) if name.is_file() and not _is_hidden(name.relative_to(path))]
    annotations = {name for name in files if name.suffix == ".ann"}
    found: list[tuple[Path, str]] = []
    unknown = None
    for name in files:
        if name.suffix == ".txt" and name.with_suffix(".ann") in annotations:
            continue
        if name.suffix.lower() in _ABOUT or name.stem.lower() in _ABOUT_NAMES:
            skip(name, "no annotation by its name")
            continue
        try:
            found.append((name, recognize(name, options) if format == "auto" else format))
        except ValueError as error:
            unknown = unknown or error
            skip(name, str(error).split(";")[0])
    kinds = sorted({kind for _, kind in found})
    if len(kinds) > 1:
        examples = ", ".join(f"{kind} ({next(name.name for name, own in found if own == kind)})" for kind in kinds)
        raise ValueError(
            f"{path}: expected files of one format, found {examples}. Give one with --format, or one folder each"
        )
    if not found and unknown is not None:
        raise unknown
    if not found:
        raise FileNotFoundError(f"{path}: expected annotated files in this folder, found none")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
