"""Write files and folders so that they are never seen incomplete, even if the process is killed.

New content is written under a hidden name in the same folder, and renamed when all of it is on the disk. A renamed file
replaces the old file in one step. A folder cannot: for a moment, the old one is named `.NAME.old` and there is no new
one. So readers ask `intact` for the place to read from, and writers call `restore` first.

Work that can be resumed has a manifest in its folder: all that its result depends on.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Optional

from spacy.language import Language

MANIFEST, _LOCK = "manifest.json", ".lock"
_BLOCK = 1 << 20


def write_atomically(path: Path, data: bytes, aside: Optional[Path] = None) -> None:
    """Write a file in one step. Readers see the old file or the new one, and a failure leaves the old one.

    Args:
        path (Path): The file. Its folder is created if necessary.
        data (bytes): The content.
        aside (Optional[Path]): See `replaced_file`.
    """
    with replaced_file(path, aside) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replaced_file(path: Path, aside: Optional[Path] = None) -> Iterator[Path]:
    """Replace a file with a new one, which the block writes. If the block raises an error, the old file stays.

    Args:
        path (Path): The file to replace. It need not exist; its folder is created if necessary.
        aside (Optional[Path]): A folder inside that of the file to write in, which is created if necessary. All names
            in it are read; without it, those in the folder of the file, which takes long if there are very many.

    Yields:
        Path: The name to write to.
    """
    # In or under the same folder, since a rename replaces a file in one step only within a file system.
    aside = aside or path.parent
    aside.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(aside / path.name)
    temporary = aside / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Replace a folder with a new one, which the block fills. If the block raises an error, the old folder stays.

    Args:
        folder (Path): The folder to replace, with all its content. It need not exist; its parents are created if
            necessary.

    Yields:
        Path: The new folder, which is empty.

    Raises:
        NotADirectoryError: If there is a file with this name.
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
    """Find the place to read a folder from.

    Args:
        folder (Path): The folder.

    Returns:
        Path: The folder itself; or the old one under its hidden name, if a writer was killed while it renamed folders.
    """
    return _old(folder) if not folder.exists() and _old(folder).is_dir() else folder


def restore(folder: Path) -> None:
    """Rename the old folder back, or remove it, if a writer was killed while it renamed folders.

    Args:
        folder (Path): The folder.
    """
    old = _old(folder)
    if not old.is_dir():
        return
    if folder.exists():
        shutil.rmtree(old)
    else:
        os.rename(old, folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all its content in one step, and the old one that a killed writer left.

    Args:
        folder (Path): The folder. It need not exist.

    Raises:
        NotADirectoryError: If there is a file with this name.
    """
    folder = _real_folder(folder)
    restore(folder)
    if folder.exists():
        # It is hidden first. If this process is killed, the next writer of the folder removes the rest.
        gone = _new(folder)
        shutil.rmtree(gone, ignore_errors=True)
        os.rename(folder, gone)
        shutil.rmtree(gone)


def save_pipeline(nlp: Language, folder: Path, vocab: Optional[Path] = None) -> None:
    """Replace a saved pipeline in one step. (`Language.to_disk` overwrites it file by file.)

    Args:
        nlp (Language): The pipeline.
        folder (Path): The folder.
        vocab (Optional[Path]): A folder with the vocabulary to save. Without it, the words of all texts that the
            pipeline has read since it was loaded are saved too.

    Raises:
        FileExistsError: If the folder contains something other than a pipeline.
    """
    check_output(folder)
    with replaced_folder(folder) as new:
        nlp.to_disk(new, exclude=[] if vocab is None else ["vocab"])
        if vocab is not None and vocab.is_dir():
            shutil.copytree(vocab, new / "vocab")


def check_output(folder: Path) -> None:
    """Check that a pipeline can be written to a folder without overwriting anything but a pipeline.

    Args:
        folder (Path): The folder.

    Raises:
        FileExistsError: If it is a file, or contains something other than a pipeline.
    """
    if not folder.exists() or (folder / "meta.json").exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    raise FileExistsError(f"{folder}: exists already and is no pipeline; choose another folder, or remove it")


def check_folder(folder: Path, own: Collection[str] = ()) -> None:
    """Check that a folder can take work with a manifest: it is absent or empty, or has a manifest.

    Args:
        folder (Path): The folder.
        own (Collection[str]): Names in it that the work may have written before its manifest.

    Raises:
        ValueError: If it is something else.
    """
    refuse_file(folder)
    if (
        folder.exists()
        and not (folder / MANIFEST).exists()
        and any(path.name[0] != "." and path.name not in own for path in folder.iterdir())
    ):
        raise ValueError(f"{folder}: expected a new folder, or one of this job, found other files in it")


def refuse_file(folder: Path) -> None:
    """Raise a ValueError if the folder for an output is a file."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder for the output, found a file. Remove it, or choose another name")


def check_manifest(folder: Path, manifest: Mapping[str, Any], own: Collection[str] = ()) -> None:
    """Write the manifest of new work, or compare that of an earlier run.

    Args:
        folder (Path): The folder of the work. It is created if necessary.
        manifest (Mapping[str, Any]): All that the result depends on, as values that JSON can hold.
        own (Collection[str]): See `check_folder`.

    Raises:
        ValueError: If the folder has the manifest of other work, or files without a manifest.
    """
    check_folder(folder, own)
    path = folder / MANIFEST
    if not path.exists():
        write_atomically(path, json.dumps(manifest, indent=2).encode("utf-8"))
        return
    try:
        found, wanted = flat(json.loads(path.read_text("utf-8")), " "), flat(manifest, " ")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: expected the manifest of a job, found something else. Remove the folder") from error
    changed = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if changed:
        raise ValueError(
            f"{folder}: expected the output of this job, found that of another one: {', '.join(changed[:5])} changed. "
            "Choose another folder, or remove it"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that call this from a folder. The system ends the lock with the process, even if killed.

    Args:
        folder (Path): The folder. It is created if necessary.

    Yields:
        None: Once.

    Raises:
        ValueError: If another process has the lock, or the folder is a file.
    """
    refuse_file(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise ValueError(f"{folder}: another job with this folder runs. Wait for its end, or stop it") from error
        yield


def flat(values: Mapping[str, Any], between: str = ".") -> dict[str, Any]:
    """Take nested dictionaries apart.

    Args:
        values (Mapping[str, Any]): The dictionaries, a config for example.
        between (str): What to put between the keys.

    Returns:
        dict[str, Any]: The values by the keys that lead to them.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = flat(value, between) if isinstance(value, dict) and value else None
        found.update({key: value} if inner is None else {f"{key}{between}{name}": own for name, own in inner.items()})
    return found


def checksum(path: Path) -> str:
    """Compute the SHA-256 of a file, or of the names and contents of the files in a folder.

    Args:
        path (Path): The file or folder.

    Returns:
        str: The checksum, in hexadecimal digits.
    """
    whole = sha256()
    if path.is_dir():
        for own in sorted(own for own in path.rglob("*") if own.is_file() and "__pycache__" not in own.parts):
            whole.update(f"{own.relative_to(path).as_posix()} {checksum(own)}\n".encode())
        return whole.hexdigest()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()


def _real_folder(folder: Path) -> Path:
    """Follow links, so that a link to the folder stays a link. Raises NotADirectoryError if it is a file."""
    folder = Path(os.path.realpath(folder))
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder, found a file; choose another folder, or remove it")
    return folder


def _new(folder: Path) -> Path:
    # _remove_leftovers recognizes this form.
    return folder.with_name(f".{folder.name}.{os.getpid()}.new")


def _old(folder: Path) -> Path:
    folder = Path(os.path.realpath(folder))
    return folder.with_name(f".{folder.name}.old")


def _sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    if os.name == "nt" and path.is_dir():
        # Windows cannot do this for folders, and does not need it.
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files and folders of writers that were killed."""
    if os.name == "nt":
        # There, os.kill cannot check whether a process runs without interrupting it.
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
