"""What a user does first, with the installed package: convert data, train, package the pipeline, load the package.

    python first_steps.py CHECKOUT

It works in the current folder, which must not be the checkout: only a config and the annotated texts are taken from
there. `.ci/smoke.py` runs it with every Python, tests/test_wheel.py with the wheel.
"""

import os
import subprocess
import sys
from pathlib import Path

STEPS = 3
USE_PACKAGE = """
import spacy
import spacy_lstm_ner
nlp = spacy.load("en_first_steps")
doc = nlp("Sharon flew to Miami.")
assert nlp.pipe_names == ["lstm_ner"] and doc.has_annotation("ENT_IOB")
print(f"trained, packaged and loaded with {spacy_lstm_ner.__file__}")
"""


def main(checkout: Path) -> None:
    # Neither the checkout nor anything else beside the environment is imported from.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

    def python(*arguments: object) -> None:
        subprocess.run([sys.executable, *map(str, arguments)], check=True, env=env)

    for part in ("train", "dev"):
        text = checkout / "assets" / "embedded" / f"{part}.txt"
        python("-m", "spacy", "lstm-ner", "convert", text, f"{part}.spacy")
    data = ["--paths.train", "train.spacy", "--paths.dev", "dev.spacy", "--training.max_steps", STEPS]
    python("-m", "spacy", "train", checkout / "configs" / "default.cfg", "--output", "training", *data)
    Path("packages").mkdir()
    package = ["training/model-last", "packages", "--name", "first_steps", "--version", "0.0.0", "--build", "none"]
    python("-m", "spacy", "package", *package)
    python("-m", "pip", "install", "--quiet", "--no-deps", "packages/en_first_steps-0.0.0")
    python("-c", USE_PACKAGE)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
