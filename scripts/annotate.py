"""Load the pipeline inside a folder that `spacy package` built and show the entities of a sentence.

Usage: python scripts/annotate.py PACKAGE SENTENCE
"""

import sys
from pathlib import Path

import spacy


def pipeline_folder(package: Path) -> Path:
    """The folder inside a package that holds the pipeline."""
    configs = list(package.glob("*/*/config.cfg"))
    if not configs:
        sys.exit(f"No packaged pipeline in {package}; run `python -m spacy project run package` first")
    return configs[0].parent


def main() -> None:
    folder, sentence = sys.argv[1:]
    doc = spacy.load(pipeline_folder(Path(folder)))(sentence)
    print(doc.text)
    for ent in doc.ents:
        print(f"  {ent.text:20} {ent.label_}")


if __name__ == "__main__":
    main()
