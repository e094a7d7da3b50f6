"""Writing what a benchmark found between the markers of a document.

No benchmark by itself; imported by memory.py and accuracy.py.
"""

import re
from pathlib import Path


def fill(document: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name: start -->` and `<!-- name: end -->`.

    Raises ValueError if the document does not have just one such pair.
    """
    start, end = (f"<!-- {name}: {side} -->" for side in ("start", "end"))
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    block = "\n".join([start, text, end])
    changed, count = pattern.subn(lambda _: block, document.read_text("utf8"))
    if count != 1:
        raise ValueError(f"{document}: expected one pair of markers {start} and {end}, found {count}")
    document.write_text(changed, "utf8")
