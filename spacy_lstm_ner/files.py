"""Writing files and folders so that nobody ever sees half of one, whenever the process is killed.

What is new is written beside, under a hidden name, and renamed when all of it is on the disk. A file takes the place
of an older one at once. A folder cannot: for a moment the old one is called ``.NAME.old`` and there is no other, so
readers ask `intact` and writers `restore` it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spacy.language import Language


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that no reader ever sees half of it, and a failure leaves the old one.

    path: the file; its folder is made if it is absent.
    data: what to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    # In the same folder, because only within a file system does a rename replace a file at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new, empty folder that takes the place of `folder` when the block is left without an error.

    folder: what to replace, with all that is in it; it may be absent, and its parents are made.
    Raises NotADirectoryError if there is a file of this name.
    """
    folder = _real_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    restore(folder)
    _remove_leftovers(folder)
    new, old = _new(folder), _old(folder)
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir()
        yield new
        for path in [*new.rglob("*"), new]:
            _sync(path)
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
        _sync(folder.parent)
    finally:
        restore(folder)
        shutil.rmtree(new, ignore_errors=True)


def intact(folder: Path) -> Path:
    """Where to read a folder: there, or where a writer that was killed had put it aside."""
    return _old(folder) if not folder.exists() and _old(folder).is_dir() else folder


def restore(folder: Path) -> None:
    """Undo what is left of a writer of the folder that was killed while it was renaming."""
    old = _old(folder)
    if not old.is_dir():
        return
    if folder.exists():
        shutil.rmtree(old)
    else:
        os.rename(old, folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, and what a killed writer put aside; it is there whole, or not at all.

    Raises NotADirectoryError if there is a file of this name.
    """
    folder = _real_folder(folder)
    restore(folder)
    if folder.exists():
        # Under a name that is none; if this process is killed, the next writer of the folder finds and removes it.
        gone = _new(folder)
        shutil.rmtree(gone, ignore_errors=True)
        os.rename(folder, gone)
        shutil.rmtree(gone)


def save_pipeline(nlp: Language, folder: Path) -> None:
    """Write a pipeline whole, in place of an older one; `Language.to_disk` writes file by file over it.

    Raises FileExistsError if the folder has something else than a pipeline.
    """
    check_output(folder)
    with replaced_folder(folder) as new:
        nlp.to_disk(new)


def check_output(folder: Path) -> None:
    """Raise FileExistsError if something other than a pipeline or an empty folder would be overwritten."""
    if not folder.exists() or (folder / "meta.json").exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    raise FileExistsError(f"{folder}: is there already and no pipeline; name another folder, or remove it")


def _real_folder(folder: Path) -> Path:
    """What a link to the folder, which stays a link, leads to. Raises NotADirectoryError if there is a file."""
    folder = Path(os.path.realpath(folder))
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder, found a file; name another folder, or remove it")
    return folder


def _new(folder: Path) -> Path:
    # _remove_leftovers knows it by this form.
    return folder.with_name(f".{folder.name}.{os.getpid()}.new")


def _old(folder: Path) -> Path:
    folder = Path(os.path.realpath(folder))
    return folder.with_name(f".{folder.name}.old")


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before anything else happens."""
    if os.name == "nt" and path.is_dir():
        # Windows cannot, and need not.
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_leftovers(path: Path) -> None:
    """Remove what writers of a path left that were killed."""
    if os.name == "nt":
        # There is no asking for a process without ending it.
        return
    name = re.compile(re.escape(f".{path.name}.") + r"(\d+)\.(tmp|new)")
    for left in path.parent.iterdir():
        match = name.fullmatch(left.name)
        if match and not _runs(int(match[1])):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
