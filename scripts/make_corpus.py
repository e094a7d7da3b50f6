"""Convert the annotated files of a folder to train.spacy, dev.spacy and eval.spacy.

Usage: python scripts/make_corpus.py FOLDER OUTPUT [--lang en] [--if-outdated]

For each part, the first of these files that FOLDER contains is used:
  train  train.txt, train.conll, train.csv, eng.train, wnut17train.conll
  dev    dev.txt, dev.conll, dev.csv, eng.testa, emerging.dev.conll
  test   test.txt, test.conll, test.csv, eng.testb, emerging.test.annotated
If FOLDER contains ner_dataset.csv, it is used alone: the first nine tenths are train, the last tenth is dev.
eval.spacy is the test part, or the dev part if there is no test part.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = {
    "train": ["train.txt", "train.conll", "train.csv", "eng.train", "wnut17train.conll"],
    "dev": ["dev.txt", "dev.conll", "dev.csv", "eng.testa", "emerging.dev.conll"],
    "test": ["test.txt", "test.conll", "test.csv", "eng.testb", "emerging.test.annotated"],
}
ONE_FILE = "ner_dataset.csv"
DEV_FROM = "0.9"


def sources(folder: Path) -> dict[str, list[str]]:
    """Find the annotated files.

    Args:
        folder (Path): The folder.

    Returns:
        dict[str, list[str]]: For "train", "dev" and perhaps "test": the file, and options of the command `convert`.
    """
    if (folder / ONE_FILE).exists():
        whole = str(folder / ONE_FILE)
        return {"train": [whole, "--to", DEV_FROM], "dev": [whole, "--from", DEV_FROM]}
    found = {}
    for part, names in NAMES.items():
        paths = [folder / name for name in names if (folder / name).exists()]
        if paths:
            found[part] = [str(paths[0])]
        elif part != "test":
            sys.exit(f"{folder}: no {part} file; expected one of {', '.join(names)}, or {ONE_FILE} alone")
    return found


def convert(arguments: list[str], output: Path, lang: str) -> None:
    """Run the command `convert`, and exit if it fails.

    Args:
        arguments (list[str]): The annotated file, and options.
        output (Path): The file to write.
        lang (str): The language of the text.
    """
    source, *options = arguments
    command = [
        sys.executable,
        "-m",
        "spacy",
        "lstm-ner",
        "convert",
        source,
        str(output),
        "--lang",
        lang,
        *options,
    ]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"{source} could not be converted")


def is_newer(outputs: list[Path], inputs: list[Path]) -> bool:
    """Compare files by the time of their last change.

    Args:
        outputs (list[Path]): Files that may not exist.
        inputs (list[Path]): Files that exist.

    Returns:
        bool: Whether all outputs exist and are newer than all inputs.
    """
    if not all(path.exists() for path in outputs):
        return False
    oldest = min(path.stat().st_mtime for path in outputs)
    return oldest > max(path.stat().st_mtime for path in inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of annotated files")
    parser.add_argument("output", type=Path, help="folder to write to")
    parser.add_argument("--lang", default="en", help="language of the text (default: en)")
    parser.add_argument("--if-outdated", action="store_true", help="do nothing if OUTPUT is newer than FOLDER")
    args = parser.parse_args()
    wanted = [args.output / f"{part}.spacy" for part in ("train", "dev", "eval")]
    if args.if_outdated and is_newer(wanted, [Path(__file__), *args.folder.iterdir()]):
        return
    parts = sources(args.folder)
    for part in ("train", "dev"):
        convert(parts[part], args.output / f"{part}.spacy", args.lang)
    if "test" in parts:
        convert(parts["test"], args.output / "eval.spacy", args.lang)
    else:
        print(f"{args.folder} has no test part: the pipeline will be evaluated on dev")
        shutil.copyfile(args.output / "dev.spacy", args.output / "eval.spacy")


if __name__ == "__main__":
    main()
