"""Fuzz a target with Atheris: `python tests/fuzz/run.py loader|annotated|vectors SECONDS`.

It stops at the first input that a target neither takes nor clearly refuses, and prints the file with that input.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["spacy_lstm_ner"]):
    from targets import TARGETS


def main():
    name, seconds = sys.argv[1], int(sys.argv[2])
    target = TARGETS[name]()
    seeds = Path(tempfile.mkdtemp())
    for number, seed in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(seed)
    longest = 2 * max(map(len, target.seeds()))
    calls = 0

    def count(data):
        nonlocal calls
        calls += 1
        if calls % 1000 == 0:
            print(f"{name}: {calls} inputs, {target.loaded} of them taken", flush=True)
        target(data)

    options = [f"-max_total_time={seconds}", f"-max_len={longest}", "-rss_limit_mb=2048", "-print_final_stats=1"]
    options.append(f"-artifact_prefix={tempfile.mkdtemp(prefix='fuzz-')}/")
    atheris.Setup([sys.argv[0], *options, str(seeds)], count)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
