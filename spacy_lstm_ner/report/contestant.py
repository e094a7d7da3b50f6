"""One turn of a pipeline in a comparison, in a process of its own: `python -m spacy_lstm_ner.report.contestant`.

The arguments are the pipeline, the annotated data, "score" or "time", and, if there is one, a file with code to import.
The last line on stdout is JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, Optional

import numpy as np
from spacy.cli._util import import_code
from spacy.language import Language
from spacy.util import load_model

from ..data.corpora import read_examples
from .counts import count_labels
from .judge import judge


def take_turn(model: str, data: Path, is_scored: bool) -> dict[str, Any]:
    """Load a pipeline, measure it on the texts of a corpus, and score it if that is asked for.

    Args:
        model (str): A folder, or the name of a package.
        data (Path): Annotated data.
        is_scored (bool): Whether to score it, after it is measured.

    Returns:
        dict[str, Any]: `words` of the data; `first` and `again`: seconds of processor time of the first and the second
            pass over it; `peak`: the most memory so far, in bytes; `size` on disk, in bytes; and, if it is scored,
            `counts`: tp, fp and fn of each doc.
    """
    nlp = load_model(model)
    examples = read_examples(nlp, data)
    texts = [example.reference.text for example in examples]
    # What is set up with the first text is no part of the speed.
    nlp(texts[0])
    result: dict[str, Any] = {"words": sum(len(example.reference) for example in examples)}
    for name in ("first", "again"):
        result[name] = _seconds(nlp, texts)
    result["peak"], result["size"] = peak_memory(), _folder_size(nlp.path)
    if is_scored:
        docs = judge(nlp, examples).docs
        result["counts"] = np.sum(count_labels(docs)[1], axis=1).tolist()
    return result


def _seconds(nlp: Language, texts: list[str]) -> float:
    # Of one thread, this is the time that passes, less that in which other programs have the processor.
    start = time.process_time()
    for _ in nlp.pipe(texts):
        pass
    return time.process_time() - start


def _folder_size(folder: Optional[Path]) -> Optional[int]:
    return None if folder is None else sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak_memory() -> Optional[int]:
    """The most memory that this process has used, in bytes. None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # The other way gives that of the parent if it is larger, since a process starts as a copy of its parent.
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        return None if line is None else 1024 * int(line.split()[1])
    if sys.platform == "darwin":
        import resource

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return None


if __name__ == "__main__":
    import_code(sys.argv[4] if len(sys.argv) > 4 else None)
    print(json.dumps(take_turn(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "score")))
