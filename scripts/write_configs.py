"""Write configs/default.cfg, vectors.cfg and accuracy.cfg: what `spacy lstm-ner init-config` writes for middling data.

Usage: python scripts/write_configs.py [--check]
--check: change nothing; the exit code is 1 if a config is not up to date.
"""

import sys
from collections import Counter
from pathlib import Path

from spacy_lstm_ner.data.facts import DataFacts
from spacy_lstm_ner.training.recipe import choose, make_config, render

FOLDER = Path(__file__).parent.parent / "configs"
MIDDLING = DataFacts(
    docs=1_000,
    tokens=200_000,
    sentences=10_000,
    characters=900_000,
    labels=Counter(PER=6_000, ORG=6_000, LOC=6_000, MISC=2_000),
    names=Counter({True: 20_000}),
    words=Counter({False: 130_000, True: 10_000}),
)
PATHS = "--paths.train corpus/train.spacy --paths.dev corpus/dev.spacy"
CONFIGS = {
    "default": (False, "speed", "The recommended pipeline for the CPU. It needs no word vectors.", PATHS),
    "vectors": (
        True,
        "speed",
        "Like default.cfg, with static word vectors from another pipeline (a folder or a package).",
        f"{PATHS} --paths.vectors FOLDER",
    ),
    "accuracy": (
        True,
        "accuracy",
        "Like vectors.cfg, with a character CNN and two wider layers. It needs word vectors.",
        f"{PATHS} --paths.vectors FOLDER",
    ),
}


def text(name: str) -> str:
    """The text of a config."""
    has_vectors, optimize, about, paths = CONFIGS[name]
    choices = choose(MIDDLING, has_vectors, optimize)
    config = render(make_config(choices, "en", {}), choices)
    return (
        f"# {about}\n# Set the paths on the command line: {paths}\n"
        "# It fits 200,000 tokens of English documents. `spacy lstm-ner init-config` writes a config for your data.\n\n"
        f"{config}"
    )


def main() -> None:
    """Compare the configs with what they should be, or write them."""
    for name in CONFIGS:
        path, expected = FOLDER / f"{name}.cfg", text(name)
        if "--check" not in sys.argv[1:]:
            path.write_text(expected, "utf8")
        elif path.read_text("utf8") != expected:
            sys.exit(f"{path} is not up to date: run python scripts/write_configs.py")


if __name__ == "__main__":
    main()
