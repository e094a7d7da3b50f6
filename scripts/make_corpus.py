"""Turn the annotated files of a folder into train.spacy, dev.spacy and eval.spacy.

Usage: python scripts/make_corpus.py FOLDER OUTPUT [--lang en] [--if-outdated]

For each part, the first of these files that FOLDER has is converted:
  train  train.txt, train.conll, train.csv, eng.train, wnut17train.conll
  dev    dev.txt, dev.conll, dev.csv, eng.testa, emerging.dev.conll
  test   test.txt, test.conll, test.csv, eng.testb, emerging.test.annotated
If FOLDER has ner_dataset.csv, its first nine tenths become train and its last tenth becomes dev.
eval.spacy is the test part. If there is no test part, it is a copy of the dev part.
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
    """The arguments for `convert` of each part that the folder has."""
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
        sys.exit(f"{source}: not converted")


def is_newer(outputs: list[Path], inputs: list[Path]) -> bool:
    """Whether all outputs exist and were written after all inputs."""
    if not all(path.exists() for path in outputs):
        return False
    oldest = min(path.stat().st_mtime for path in outputs)
    return oldest > max(path.stat().st_mtime for path in inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the annotated files")
    parser.add_argument("output", type=Path, help="folder for the .spacy files")
    parser.add_argument("--lang", default="en", help="language of the tokenizer (default: en)")
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
