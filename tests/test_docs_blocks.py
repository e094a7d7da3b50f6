"""Every `python` and `sh` block of the README and the documentation runs, page by page."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import doc_blocks
from support.checkout import copy_checkout
from support.doc_blocks import RUN, SHOWN, Block, blocks_of, commands_of, spacy_commands

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = {page.relative_to(ROOT).as_posix(): blocks_of(page) for page in PAGES}
RUNNING = [name for name, blocks in BLOCKS.items() if any(b.language in RUN and b.reason is None for b in blocks)]
NOT_RUNNING = [block for blocks in BLOCKS.values() for block in blocks if block.reason is not None]


@pytest.mark.parametrize("page", RUNNING)
def test_the_blocks_of_a_page_run(page, root, tmp_path, run_env):
    copy = copy_checkout(root, tmp_path / "copy")
    command = [sys.executable, doc_blocks.__file__, page]
    done = subprocess.run(
        command, cwd=copy, env=run_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("page", BLOCKS)
def test_a_block_has_a_language_that_is_run_or_one_that_is_for_reading(page):
    assert not [str(block) for block in BLOCKS[page] if block.language not in RUN | SHOWN]


@pytest.mark.parametrize("block", NOT_RUNNING, ids=lambda block: f"{block.page.relative_to(ROOT)}:{block.line}")
def test_a_block_that_does_not_run_says_why(block):
    assert len(block.reason.split()) >= 2 and block.language in RUN
    pytest.skip(f"{block.page.relative_to(ROOT)}:{block.line} does not run: {block.reason}")


PAGE = """
Text with ```code``` in it.

```python
x = 1
```

1. In a list:

   ```sh
   python -m spacy pretrain a.cfg \\
     out
   ```

```sh no-run="needs a download"
curl example.org
```

```ini {no-run="is for reading"}
[section]
```
"""


def test_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf8")
    assert blocks_of(page) == [
        Block(page, 4, "python", "x = 1\n", None),
        Block(page, 10, "sh", "python -m spacy pretrain a.cfg \\\n  out\n", None),
        Block(page, 15, "sh", "curl example.org\n", "needs a download"),
        Block(page, 19, "ini", "[section]\n", "is for reading"),
    ]


def test_commands_are_made_short(root, monkeypatch):
    monkeypatch.chdir(root)
    assert commands_of("python -m spacy pretrain a.cfg \\\n  out\n") == (
        "python -m spacy pretrain a.cfg out --pretraining.max_epochs 1"
    )
    assert commands_of("pip install '.[test,lint]'  # both\nmake test\necho make") == ":\n:\necho make"
    assert commands_of("python -m pytest tests/conftest.py::test -k x") == ":"


@pytest.mark.parametrize("command", ["pip install '.[tset]'", "make tests", "python -m pytest tests/no.py"])
def test_a_command_that_is_not_run_names_what_is_there(command, root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match="there is no"):
        commands_of(command)


def test_only_commands_that_need_no_shell_run_without_one():
    text = "# Two.\npython -m spacy train 'a b' --x '{\"y\": 1}'  # a\n\npython -m spacy info\n"
    assert spacy_commands(text) == [["train", "a b", "--x", '{"y": 1}'], ["info"]]
    for command in ("cd a", "python -m spacy info > a", "python -m spacy info a | cat", "python -m spacy info *"):
        assert spacy_commands(f"python -m spacy info\n{command}\n") is None


FAILING = ["python\nassert False", "sh\nfalse\necho", "sh\npython -m spacy no-such-command\npython -m spacy info"]


@pytest.mark.parametrize("text", [f"```{block}\n```" for block in FAILING])
def test_a_block_that_fails_fails_its_page(text, tmp_path):
    (tmp_path / "page.md").write_text(text, "utf8")
    done = subprocess.run([sys.executable, doc_blocks.__file__, "page.md"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1
