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
        score = ent._.lstm_ner_score if ent._.has("lstm_ner_score") else None
        print(f"  {ent.text:20} {ent.label_:5} {'' if score is None else f'{score:.2f}'}")


if __name__ == "__main__":
    main()
