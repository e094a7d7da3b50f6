"""The encoding of a file: UTF-8, what a byte order mark says, Latin-1 where nothing speaks against it, or an error."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CHUNK = 1 << 20
# Characters that Latin-1 has and no text uses, and words that consist of letters beyond ASCII.
_CONTROLS = re.compile(rb"[\x80-\x9f]")
_FOREIGN = re.compile(rb"[\xa0-\xff]{4,}")
_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


def find_encoding(path: Path, given: str = "") -> tuple[str, str]:
    """Find the encoding of a file. Reads all of the file, in bounded memory.

    Args:
        path (Path): The file.
        given (str): The encoding that the user gives; empty to find it.

    Returns:
        tuple[str, str]: The name for Python, and the name for the user.

    Raises:
        ValueError: If the given encoding is unknown or does not fit, or if no encoding can be told.
    """
    with path.open("rb") as file:
        start = file.read(4096)
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "")
    if given:
        try:
            name = codecs.lookup(given).name
        except LookupError as error:
            raise ValueError(f"{path}: expected the name of an encoding, found {given!r}") from error
        codec = marked if marked and marked.startswith(name[:5]) else name
    else:
        codec = marked or "utf-8"
        if not marked and start.count(0) > len(start) // 8:
            raise ValueError(
                f"{path}: expected text, found NUL characters. If it is text, give its encoding, such as utf-16-le"
            )
    try:
        decoder = codecs.getincrementaldecoder(codec)()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", True)
    except UnicodeDecodeError as error:
        if given or marked:
            raise ValueError(
                f"{path}: expected text in {given or marked}, found bytes that it does not have"
            ) from error
        return "latin-1", _latin_1(path)
    except LookupError as error:
        raise ValueError(f"{path}: expected an encoding of text, found {given!r}") from error
    return codec, "utf-8" if codec == "utf-8-sig" else codec


def read_text(path: Path, given: str = "") -> tuple[str, str]:
    """Read a text file with its line ends.

    Args:
        path (Path): The file.
        given (str): Its encoding; empty to find it.

    Returns:
        tuple[str, str]: The text, and the name of its encoding.

    Raises:
        ValueError: As `find_encoding`.
    """
    codec, name = find_encoding(path, given)
    return path.read_bytes().decode(codec), name


def first_bad_line(path: Path) -> tuple[int, int]:
    """Find the first line that is not UTF-8.

    Args:
        path (Path): The file, which has such a line.

    Returns:
        tuple[int, int]: The number of the line, and the first bad byte in it.
    """
    return next((number, raw[error.start]) for number, raw, error in _lines(path) if error is not None)


def _lines(path: Path) -> Iterator[tuple[int, bytes, Optional[UnicodeDecodeError]]]:
    """The lines of a file as bytes, with what is wrong if they are no UTF-8."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError as error:
                yield number, raw, error
            else:
                yield number, raw, None


def _latin_1(path: Path) -> str:
    """Check that a file that is not UTF-8 may be Latin-1."""
    for number, raw, error in _lines(path):
        if error is None:
            if not raw.isascii():
                raise ValueError(
                    f"{path}:{number}: expected one encoding, found UTF-8 here and bytes that are not UTF-8 in other "
                    "lines. Convert the file to UTF-8, or give its encoding"
                )
            continue
        bad = f"{path}:{number}: expected UTF-8, found the byte 0x{raw[error.start]:02x}"
        if _UTF8.search(raw):
            raise ValueError(f"{bad} in a line that also has UTF-8. Correct the line") from error
        if found := _CONTROLS.search(raw):
            control = f"0x{found[0][0]:02x}"
            raise ValueError(
                f"{bad}. In Latin-1, {control} is a control character. Give the encoding, such as cp1252"
            ) from error
        if _FOREIGN.search(raw):
            raise ValueError(
                f"{bad}. It does not look like Latin-1 either. Give the encoding, such as cp1251"
            ) from error
    return "latin-1"
