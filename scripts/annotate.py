"""Load the pipeline that `spacy package` built under a folder and show the entities of a sentence.

Usage: python scripts/annotate.py FOLDER SENTENCE
"""

import sys
from pathlib import Path

import spacy


def newest_package(folder: Path) -> Path:
    """The data folder of the package that was built last: the innermost one with a config.cfg."""
    configs = [path for path in folder.glob("*/*/*/config.cfg") if path.parent.name[-1].isdigit()]
    if not configs:
        sys.exit(f"No packaged pipeline under {folder}; run `python -m spacy project run package` first")
    return max(configs, key=lambda path: path.stat().st_mtime).parent


def main() -> None:
    folder, sentence = sys.argv[1:]
    doc = spacy.load(newest_package(Path(folder)))(sentence)
    print(doc.text)
    for ent in doc.ents:
        print(f"  {ent.text:20} {ent.label_}")


if __name__ == "__main__":
    main()
