"""Time to load a pipeline, and its size on disk."""

import json
import subprocess
import sys
import time
from pathlib import Path

from pipeline_parts.common import ENV, ChildFailed, Record, Work, folder_bytes, in_turn, median
from pipeline_parts.contestants import path_of

NAMES = ("default", "accuracy", "spacy_ner")
# Modules are compiled beforehand, as those of an installed package are.
COMPILED = {name: value for name, value in ENV.items() if name != "PYTHONDONTWRITEBYTECODE"}
PROGRAM = """
import json, sys, time
# Thinc imports PyTorch if it is installed. No pipeline here needs it.
sys.modules["torch"] = None
start = time.perf_counter()
import spacy
imported = time.perf_counter()
nlp = spacy.load(sys.argv[1])
loaded = time.perf_counter()
nlp("Sharon flew to Miami last Friday.")
print(json.dumps({"import": imported - start, "load": loaded - imported, "first_doc": time.perf_counter() - loaded}))
"""


def measure(work: Work, rounds: int) -> Record:
    """Wall time of `import spacy`, `spacy.load`, the first text and the whole process, and MiB of the folder."""
    paths = {name: Path(path_of(name, work)) for name in NAMES}

    def turn(name: str) -> Record:
        start = time.perf_counter()
        command = [sys.executable, "-c", PROGRAM, str(paths[name])]
        done = subprocess.run(command, env=COMPILED, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ChildFailed(f"{name}: {done.stderr[-1000:]}")
        seconds: Record = json.loads(done.stdout.splitlines()[-1])
        return {**seconds, "process": time.perf_counter() - start}

    found = in_turn(NAMES, rounds, turn)
    return {
        "rounds": rounds,
        "contestants": {
            name: {
                "seconds": {key: round(median(results, key), 3) for key in results[0]},
                "mib": round(folder_bytes(paths[name]) / 2**20, 2),
            }
            for name, results in found.items()
        },
    }
