"""The code blocks of a page of the documentation, and how they are run.

The `python` and `sh` blocks of a page run in order, in a copy of the repository. All `python` blocks of a page share
their names, as in one session. A `python -m spacy` command runs in a process of its own (`support/forked.py`). A block
that cannot run says why in its fence:

    ```sh no-run="needs a download"
"""

import configparser
import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from support import forked

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


def parts_of(text: str) -> list[str]:
    """Cut an `sh` block where a `python -m spacy` command that needs no shell stands by itself.

    A block that sets variables or goes to another folder is not cut.
    """
    if re.search(r"^(cd|export|\w+=)", text, re.M):
        return [text]
    parts, end, was_spacy = [""], None, False
    for line in text.splitlines(keepends=True):
        is_inside = end is not None
        if is_inside:
            end = None if line.strip() == end else end
        elif started := re.search(r"<<'?(\w+)", line):
            end = started[1]
        elif re.match(r"(for|while) ", line):
            end = "done"
        is_spacy = not is_inside and end is None and spacy_commands(line) is not None
        if is_spacy != was_spacy:
            parts.append("")
        parts[-1] += line
        was_spacy = is_spacy
    return [part for part in parts if part]


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
        if line == ":":
            continue
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        if set(line) & set("$`*~") or ((command := list(words)) and command[:3] != ["python", "-m", "spacy"]):
            return None
        if any(set(word) <= set("();<>|&") for word in command):
            return None
        if command:
            found.append(command[3:])
    return found


@dataclass
class Runner:
    """Runs the blocks of a page.

    Attributes:
        folder (Path): The current folder, a copy of the repository.
        env (Mapping[str, str]): The environment.
        output (Path): A file for what the blocks print.
    """

    folder: Path
    env: Mapping[str, str]
    output: Path

    def __post_init__(self) -> None:
        # `python` is the one that runs this.
        path = os.pathsep.join([str(Path(sys.executable).parent), self.env["PATH"]])
        self.env = {**self.env, "PATH": path, "SPACY_CONFIG_OVERRIDES": TRAIN}

    def run_page(self, page: Path, made: "Made | None" = None) -> Block | None:
        """Run the blocks of a page. Returns the first that fails. made: what pages begin with; None: not shared."""
        here, there = multiprocessing.Pipe()
        python = None
        blocks = running(page)
        try:
            for block in blocks:
                with self.output.open("a", encoding="utf8") as file:
                    file.write(f"--- {block}\n")
                if block.language == "sh":
                    parts = parts_of(commands_of(block.text))
                    known = made if block is blocks[0] and len(parts) == 1 else None
                    is_good = all(self.run_commands(part, known) for part in parts)
                else:
                    if python is None:
                        python = forked.start(_run_python, (there,), self.folder, self.env, self.output)
                        there.close()
                    is_good = _is_run(here, block)
                if not is_good:
                    return block
        finally:
            here.close()
            if python is not None:
                python.join()
        return None

    def run_commands(self, text: str, made: "Made | None") -> bool:
        """Run the commands of an `sh` block, or a part of one, until one fails. Returns whether none does."""
        commands = spacy_commands(text)
        if commands is None:
            with self.output.open("ab") as file:
                words = ["bash", "-e", "-c", text]
                done = subprocess.run(words, cwd=self.folder, env=self.env, stdout=file, stderr=subprocess.STDOUT)
            return done.returncode == 0
        for number, words in enumerate(commands, start=1):
            if made is not None and made.put(commands[:number], self.folder):
                continue
            before = _files(self.folder)
            _, code = forked.run_spacy(*words, folder=self.folder, env=self.env, output=self.output)
            if code:
                return False
            if made is not None:
                made.keep(commands[:number], self.folder, before)
        return True


class Made:
    """The files that commands have made with which several pages begin, so that these commands run once.

    Args:
        pages (Iterable[Path]): The pages.
    """

    def __init__(self, pages: Iterable[Path]) -> None:
        times: Counter[str] = Counter()
        for page in pages:
            first = running(page)[:1]
            commands = spacy_commands(commands_of(first[0].text)) if first and first[0].language == "sh" else None
            times.update(str(commands[: k + 1]) for k in range(len(commands or ())))
        self.folders: dict[str, Path | None] = {key: None for key, n in times.items() if n > 1}

    def put(self, commands: list[list[str]], folder: Path) -> bool:
        """Put what the last of some commands has made into a folder. Returns whether this is known."""
        kept = self.folders.get(str(commands))
        if kept is not None:
            shutil.copytree(kept, folder, dirs_exist_ok=True)
        return kept is not None

    def keep(self, commands: list[list[str]], folder: Path, before: dict[Path, int]) -> None:
        """Keep what the last of some commands has made, if another page begins with them too."""
        if str(commands) in self.folders:
            kept = folder.with_name(f"{folder.name}-{len(commands)}")
            for path, time in _files(folder).items():
                if before.get(path) != time:
                    target = kept / path.relative_to(folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, target)
            self.folders[str(commands)] = kept


def running(page: Path) -> list[Block]:
    """The blocks of a page that run."""
    return [block for block in blocks_of(page) if block.language in RUN and block.reason is None]


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def _run_python(blocks: Connection) -> None:
    """Run the `python` blocks that come through a connection. One that fails ends the process."""
    names: dict[str, object] = {"__name__": "__main__"}
    while True:
        try:
            block = blocks.recv()
        except EOFError:
            return
        exec(compile("\n" * block.line + block.text, str(block.page), "exec"), names)
        sys.stdout.flush()
        blocks.send(True)


def _is_run(session: Connection, block: Block) -> bool:
    session.send(block)
    try:
        return bool(session.recv())
    except EOFError:
        return False
