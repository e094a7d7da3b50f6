"""The code blocks of a page of the documentation, and how they are run.

    python doc_blocks.py PAGE

runs the `python` and `sh` blocks of a page in order, in the current folder, which must be a copy of the repository.
All `python` blocks of a page share their names, as in one session. A block that cannot run says why in its fence:

    ```sh no-run="needs a download"

A `python -m spacy` command runs in a process of its own. These are forked from one that has imported spaCy, because the
import takes longer than most commands do.
"""

import configparser
import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)(?P<marks>`{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=marks) *$", re.M | re.S
)
REASON = re.compile(r'no-run="([^"]*)"')
RUN = {"python", "sh"}
SHOWN = {"", "ini", "json", "make", "text", "toml", "yaml"}
"""Languages of blocks that are for reading."""
TRAIN = "--training.max_steps 20"
"""Overrides every config: spaCy reads it from the environment, in the commands of `spacy project` too."""
PRETRAIN = "--pretraining.max_epochs 1"
NOT_FOR_US = re.compile(r"(?:python3? -m )?(pip|pytest|make|git|pre-commit|\.ci/run)\b")
"""Commands that are checked but not run: what they install is there, and the tests do not run themselves."""


@dataclass
class Block:
    """A fenced block: its language, text and line, and why it does not run (None if it runs)."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    source, found = page.read_text("utf8"), []
    for match in FENCE.finditer(source):
        language, _, attributes = match["info"].strip().partition(" ")
        reason = REASON.search(attributes)
        line = source.count("\n", 0, match.start()) + 1
        text = textwrap.dedent(match["text"])
        found.append(Block(page, line, language, text, reason[1] if reason else None))
    return found


def commands_of(text: str) -> str:
    """The commands of an `sh` block, made short. Raises ValueError if one that is not run is wrong."""
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    return "\n".join(map(_short, lines))


def _short(line: str) -> str:
    left_out = NOT_FOR_US.match(line.strip())
    if left_out:
        _check(left_out[1], shlex.split(line.strip()[left_out.end() :], comments=True))
        return ":"
    return f"{line} {PRETRAIN}" if "spacy pretrain " in line else line


def _check(command: str, words: list[str]) -> None:
    """Whether a command names what is there. It may be one of several, and have options."""
    if command == "pip":
        setup = configparser.ConfigParser()
        setup.read("setup.cfg", "utf8")
        named = re.findall(r"^\.\[(.*)\]$", "\n".join(words), re.M)
        known = set(setup["options.extras_require"])
        wrong = {extra for names in named for extra in names.split(",")} - known
    elif command == "make":
        known = set(re.findall(r"^([a-z]+):", Path("Makefile").read_text("utf8"), re.M))
        wrong = set(words) - known
    elif command == "pytest":
        wrong = {word for word in words if "/" in word and not Path(word.partition("::")[0]).exists()}
    else:
        return
    if wrong:
        raise ValueError(f"{command} {' '.join(words)}: there is no {', '.join(sorted(wrong))}")


def spacy_commands(text: str) -> list[list[str]] | None:
    """The words of the commands, without `python`, if all are `python -m spacy` and need no shell. Otherwise None."""
    found = []
    for line in text.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        if set(line) & set("$`*~") or ((command := list(words)) and command[:3] != ["python", "-m", "spacy"]):
            return None
        if any(set(word) <= set("();<>|&") for word in command):
            return None
        if command:
            found.append(command[3:])
    return found


def _run_spacy(words: list[str]) -> None:
    sys.argv = ["spacy", *words]
    runpy.run_module("spacy", run_name="__main__", alter_sys=True)


def _run_commands(text: str) -> bool:
    """Run the commands of an `sh` block until one fails. Returns whether none does."""
    commands = spacy_commands(text)
    if commands is None or "forkserver" not in multiprocessing.get_all_start_methods():
        return subprocess.run(["bash", "-e", "-c", text]).returncode == 0
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["spacy.cli", "spacy_lstm_ner.cli"])
    for words in commands:
        process = context.Process(target=_run_spacy, args=(words,))
        process.start()
        process.join()
        if process.exitcode:
            return False
    return True


def run_page(page: Path) -> None:
    """Run the blocks of a page. The first that fails ends the process."""
    names: dict[str, object] = {"__name__": "__main__"}
    os.environ["SPACY_CONFIG_OVERRIDES"] = TRAIN
    # `python` is the one that runs this.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks_of(page):
        if block.reason is not None or block.language not in RUN:
            continue
        print(f"--- {block}", flush=True)
        if block.language == "sh":
            commands = commands_of(block.text)
            if not _run_commands(commands):
                sys.exit(f"{block}: the block failed:\n{commands}")
        else:
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


if __name__ == "__main__":
    # As in a session that is started here.
    sys.path[0] = ""
    run_page(Path(sys.argv[1]))
