"""Print the entities that a packaged pipeline finds in a sentence, with their probabilities.

Usage: python scripts/annotate.py PACKAGE SENTENCE

PACKAGE is a folder that `spacy package` made.
"""

import sys
from pathlib import Path

import spacy


def pipeline_folder(package: Path) -> Path:
    """Find the folder of the pipeline in a package.

    Args:
        package (Path): The folder that `spacy package` made.

    Returns:
        Path: The folder with the pipeline's config.
    """
    configs = list(package.glob("*/*/config.cfg"))
    if not configs:
        sys.exit(f"No packaged pipeline in {package}; run `python -m spacy project run package` first")
    return configs[0].parent


def main() -> None:
    """Load the pipeline, and annotate the sentence."""
    folder, sentence = sys.argv[1:]
    doc = spacy.load(pipeline_folder(Path(folder)))(sentence)
    print(doc.text)
    for ent in doc.ents:
        score = f"{ent._.score:.2f}" if ent.has_extension("score") and ent._.score is not None else ""
        print(f"  {ent.text:20} {ent.label_:5} {score}")


if __name__ == "__main__":
    main()
